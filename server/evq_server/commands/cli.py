"""The commands that the application adds to `evq`: serve, demo, import."""

import json
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import click
from rich.console import Console

from evq import UsageError
from evq.logs import set_up
from evq_server.commands.client import Client
from evq_server.commands.demo import run_demo
from evq_server.commands.show import nobody_imported, show_progress
from evq_server.settings import Settings, read_api_key
from evq_server.stack import stack

INTERRUPTED = 130
"""The exit code of a command that was interrupted before its end (POSIX: 128 + SIGINT)."""
DEMO_DATA = Path(".evq", "demo")


@click.command()
@click.option("--host", help="Address to listen on.  [default: EVQ_HOST, or 127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65535), help="Port; 0 takes a free one.  [default: EVQ_PORT, or 8000]")
@click.option("--workers", type=click.IntRange(0, 256), help="Worker processes.  [default: WORKER_COUNT, or 4]")
def serve(host: str | None, port: int | None, workers: int | None) -> None:
    """Run the server with its workers, until SIGTERM or Ctrl-C.

    Redis is the one that EVQ_REDIS_URL or REDIS_HOST names; without either, a private one runs in the data folder.
    """
    set_up()
    settings = _settings(EVQ_HOST=host, EVQ_PORT=port, WORKER_COUNT=workers)

    async def run(work: anyio.CancelScope) -> int:
        async with stack(settings) as running:
            with work:
                click.echo(f"evq serves {running.url}/#key={running.key}", err=True)
                await anyio.sleep_forever()
        return 0

    _run(run)


@click.command()
@click.option("--once", is_flag=True, help="End after the import, as when the output is not a terminal.")
@click.option("--port", type=click.IntRange(0, 65535), help="Port; 0 takes a free one.  [default: EVQ_PORT, or 8000]")
def demo(once: bool, port: int | None) -> None:
    """Import a sample of 2,000 participants, live, with everything that evq has, on this machine.

    Its data stay in EVQ_DATA, by default .evq/demo.
    """
    set_up("WARNING")
    settings = _settings(EVQ_PORT=port, EVQ_DATA=os.environ.get("EVQ_DATA") or DEMO_DATA)
    if not settings.workers:
        raise UsageError("WORKER_COUNT=0: the demo needs workers; leave it out, or use 1 or more")
    console = Console()
    stays = console.is_terminal and not once

    async def run(work: anyio.CancelScope) -> int:
        code = INTERRUPTED
        console.print("starting Redis, workers and the server ...")
        async with stack(settings, log_level="WARNING") as running:
            with work:
                differences = await run_demo(settings, running, console)
                for difference in differences:
                    click.echo(f"evq: not as expected: {difference}", err=True)
                code = 1 if differences else 0
                if stays:
                    console.print("Open the page in a browser. Ctrl-C stops everything.")
                    await anyio.sleep_forever()
            if code == INTERRUPTED:
                console.print("stopped before the end; what was under way goes on at the next start")
        return code

    with _own_terminal():
        _run(run)


@click.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--event", required=True, help="Id of the event.")
@click.option("--create", metavar="NAME", help="Create the event first, or rename it.")
@click.option(
    "--language", type=click.Choice(["en", "ko"]), default="en", show_default=True, help="Of a created event."
)
@click.option("--server", default="http://127.0.0.1:8000", show_default=True, help="Where `evq serve` runs.")
@click.option("--sheet", help="Sheet of a workbook.  [default: the one whose header names most]")
@click.option(
    "--map", "mapping", multiple=True, metavar="HEADER=FIELD", help="What a column is; without FIELD, nothing."
)
@click.option("--set", "values", multiple=True, metavar="FIELD=VALUE", help="What every row gets.")
@click.option(
    "--option", "options", multiple=True, metavar="NAME=VALUE", help="As in the API: mode=all-or-nothing, ..."
)
def import_file(
    file: Path,
    event: str,
    create: str | None,
    language: str,
    server: str,
    sheet: str | None,
    mapping: tuple[str, ...],
    values: tuple[str, ...],
    options: tuple[str, ...],
) -> None:
    """Import the participants of FILE into an event of a running server, and follow it to its end.

    The key is EVQ_API_KEY, or that of the data folder (EVQ_DATA).
    """
    fields = dict(_pair("--option", option) for option in options)
    if sheet is not None:
        fields["sheet"] = sheet
    if mapping:
        fields["mapping"] = json.dumps(dict(_pair("--map", pair) for pair in mapping))
    if values:
        fields["values"] = json.dumps(dict(_pair("--set", pair) for pair in values))
    settings = _settings()
    console = Console()

    async def run(work: anyio.CancelScope) -> int:
        async with Client(server, read_api_key(settings)) as client:
            with work:
                if create:
                    await client.put_event(event, create, language)
                job_id = await client.upload(event, file, fields)
                console.print(f"job {job_id}", highlight=False)
                last = await show_progress(console, client.follow(job_id))
                console.print_json(data=last["data"]["result"] or last["data"]["error"] or {})
                if last["event"] != "completed":
                    return 1
                if said := nobody_imported(last["data"]["result"]):
                    click.echo(f"evq: {said}", err=True)
                    return 1
                return 0
        return INTERRUPTED

    _run(run)


def _pair(option: str, pair: str) -> tuple[str, str]:
    name, equals, value = pair.partition("=")
    if not equals:
        raise click.BadParameter(f"{pair!r}: write NAME=VALUE", param_hint=option)
    return name, value


def _settings(**chosen: object) -> Settings:
    """Read the settings from the environment; what was chosen on the command line wins."""
    given = {name: str(value) for name, value in chosen.items() if value is not None}
    return Settings.from_env(os.environ | given)


def _run(main: Callable[[anyio.CancelScope], Coroutine[Any, Any, int]]) -> None:
    """Run *main* to its exit code.

    A signal cancels the scope that it is given, within which it works; a second one ends the process at once.
    """

    async def guarded() -> int:
        work = anyio.CancelScope()
        async with anyio.create_task_group() as group:
            group.start_soon(_answer_signals, work)
            code = await main(work)
            group.cancel_scope.cancel()
        return code

    sys.exit(anyio.run(guarded, backend_options={"use_uvloop": True}))


@contextmanager
def _own_terminal() -> Iterator[None]:
    """Have the terminal for this process alone, where another has started it and waits for it, as `make` does.

    Ctrl-C would end that one too, which would then call a clean stop an error.
    """
    if not sys.stdin.isatty() or os.tcgetpgrp(0) != os.getpgrp() or os.getpgrp() == os.getpid():
        yield
        return
    before = os.getpgrp()
    for unanswerable in (signal.SIGTTOU, signal.SIGTSTP):  # whoever waits would not learn that we were stopped
        signal.signal(unanswerable, signal.SIG_IGN)
    os.setpgid(0, 0)
    os.tcsetpgrp(0, os.getpgrp())
    try:
        yield
    finally:
        os.tcsetpgrp(0, before)


async def _answer_signals(work: anyio.CancelScope) -> None:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for _ in signals:
            if work.cancel_called:
                os._exit(INTERRUPTED)
            work.cancel()
