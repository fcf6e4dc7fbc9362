"""`evq top`: a queue, live."""

import asyncio
import contextlib
import os
import signal
import sys
import termios
import tty
from collections.abc import Iterator
from datetime import timedelta
from typing import Final

import click
import orjson
from rich.console import Console, Group
from rich.live import Live

from evq.cli.options import queue_command
from evq.cli.output import Output, share, span
from evq.cli.survey import Survey, survey, view
from evq.errors import QueueUnavailable
from evq.queue import Queue

PERIOD: Final = 2.0
"""From one look to the next, s."""
KEYBOARD: Final = 0
"""The file descriptor of standard input."""
LATELY: Final = timedelta(minutes=1)
"""Over how long rates are measured: by whole minutes, so from 1 to 2."""


@queue_command
@click.option("--once", is_flag=True, help="Look once.")
async def top(queue: Queue, out: Output, once: bool) -> None:
    """Show QUEUE live, with its workers, groups and alerts; q or Ctrl-C ends it.

    Where the output is no terminal, it is a line every 2 s; with --json, each is a JSON document.
    """
    if once:
        seen = await survey(queue, LATELY)
        out.show(seen.to_wire(), *view(seen))
        return
    lines = out.as_json or not sys.stdout.isatty()
    with _until_told() as told, contextlib.nullcontext() if lines else _screen() as live:
        while not told.is_set():
            try:
                seen = await survey(queue, LATELY)
            except QueueUnavailable as error:  # it may come back
                if live:
                    live.update(f"evq: {error}", refresh=True)
                else:
                    click.echo(f"evq: {error}", err=True)
            else:
                if live:
                    live.update(Group(*view(seen)), refresh=True)
                else:
                    click.echo(orjson.dumps(seen.to_wire()) if out.as_json else line(seen))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PERIOD):
                    await told.wait()


def _screen() -> Live:
    return Live(console=Console(markup=False, highlight=False, emoji=False), screen=True, auto_refresh=False)


@contextlib.contextmanager
def _until_told() -> Iterator[asyncio.Event]:
    """Give an event that is set by Ctrl-C, by SIGTERM, or by a q from the terminal."""
    told, loop = asyncio.Event(), asyncio.get_running_loop()

    def read_key() -> None:
        if os.read(KEYBOARD, 64).lower() in (b"q", b""):
            told.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, told.set)
    if not (os.isatty(KEYBOARD) and sys.stdout.isatty()):
        yield told
        return
    before = termios.tcgetattr(KEYBOARD)
    tty.setcbreak(KEYBOARD)
    loop.add_reader(KEYBOARD, read_key)
    try:
        yield told
    finally:
        loop.remove_reader(KEYBOARD)
        termios.tcsetattr(KEYBOARD, termios.TCSADRAIN, before)


def line(seen: Survey) -> str:
    """Say in one line how a queue is."""
    total = seen.metrics.total
    told = {
        **{name: seen.counts[name] for name in ("waiting", "delayed", "parked", "active")},
        "workers": len(seen.workers),
        "ended/s": f"{total.throughput:.1f}",
        "failed": share(total.failure_rate),
        "wait-p95": span(total.wait.quantile(0.95)).replace(" ", ""),
        "work-p95": span(total.work.quantile(0.95)).replace(" ", ""),
        "utilisation": share(total.utilisation),
        "firing": ",".join(seen.firing) or "-",
    }
    paused = " paused" if "paused" in seen.limits else ""
    return f"{seen.at.astimezone():%H:%M:%S} " + " ".join(f"{name}={value}" for name, value in told.items()) + paused
