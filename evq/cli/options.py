"""What the commands on a queue share: how it is named and reached, and how times and rates are written."""

import asyncio
import os
import re
import sys
from collections.abc import Callable, Coroutine, Iterable
from datetime import datetime
from functools import wraps
from typing import Any, Final

import anyio
import click

from evq.cli.output import Output
from evq.errors import EvqError, QueueUnavailable
from evq.keys import KEYS
from evq.lifecycle import State
from evq.place import load_queue
from evq.queue import Queue
from evq.settings import hide_password

FAILED: Final = 1
"""Exit code: something could not be done; errors that evq names have the same."""
FOUND: Final = 3
"""Exit code: all went well, but there is something that should not be."""

PATIENCE: Final = 3.0
"""How long Redis may take to answer for the first time, s."""

Work = Callable[..., Coroutine[Any, Any, int | None]]


def queue_command(work: Work) -> click.Command:
    """Make a command of *work*, which is called with the queue, an `Output` and its own options.

    It returns the exit code, or None for 0.
    """

    @wraps(work)
    def run(queue: str, redis: str | None, as_json: bool, **own: Any) -> None:
        opened = _find(queue, redis)
        sys.exit(anyio.run(_work, opened, lambda: work(opened, Output(as_json), **own)) or 0)

    command = click.command(run)
    command.params = [
        click.Argument(["queue"]),
        *command.params,
        click.Option(["--redis"], metavar="URL", help="Where Redis is.  [default: EVQ_REDIS_URL, or REDIS_HOST]"),
        click.Option(["--json", "as_json"], is_flag=True, help="Print JSON."),
    ]
    return command


def _find(name: str, redis: str | None) -> Queue:
    """Return the queue of that name, or that of a program with its own settings and tasks: MODULE:QUEUE."""
    if ":" not in name:
        return Queue(name, redis=redis)
    if redis:
        raise click.UsageError(f"--redis: the queue {name} has its own Redis: leave it out, or name the queue alone")
    return load_queue(name)


async def _work(queue: Queue, work: Callable[[], Coroutine[Any, Any, int | None]]) -> int | None:
    async with queue:
        await _reach(queue)
        try:
            return await work()
        except (KeyError, TypeError, ValueError) as error:  # what others have written under the queue's keys
            raise EvqError(f"queue {queue.name} has data that make no sense ({error!r}): see evq fsck") from error


async def _reach(queue: Queue) -> None:
    """Raise `QueueUnavailable` soon if Redis does not answer; warn of a queue of which it has nothing."""
    keys = queue.broker.keys
    where = hide_password(queue.url)
    try:
        async with asyncio.timeout(PATIENCE):
            (known,) = await queue.broker.send([("EXISTS", *(keys[name] for name in KEYS if not name.endswith("_of")))])
    except TimeoutError:
        raise QueueUnavailable(f"Redis at {where} has not answered within {PATIENCE:g} s: see that it runs") from None
    if not known:
        click.echo(f"evq: there is no queue {queue.name} at {where} yet: is that its name?", err=True)


def confirm(question: str, *, yes: bool) -> None:
    """Go on only if the user agrees; without a terminal to ask in, `--yes` must have been given."""
    if yes:
        return
    if not os.isatty(0):
        raise click.UsageError("this is for many jobs, and there is nobody to ask: give --yes")
    click.confirm(question, abort=True, err=True)


yes_option = click.option("--yes", is_flag=True, help="Do not ask.")
group_option = click.option("--group", metavar="GROUP", help="This group only.")
task_option = click.option("--task", metavar="TASK", help="This task only.")


# Values, each read by a function that click calls; its name is what the help says.


def one_of(states: Iterable[State]) -> "click.Choice[str]":
    return click.Choice([state.value for state in states])


def duration(text: str) -> float:
    """Read a time in s, written like 90s, 15m, 2h or 7d."""
    number, unit = _split(text, r"(\d+(?:\.\d+)?)([smhd]?)", "90s, 15m, 2h or 7d")
    return number * {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}[unit]


def rate(text: str) -> float:
    """Read jobs per second, written like 10/s, 600/m or 100/h."""
    number, unit = _split(text, r"(\d+(?:\.\d+)?)(?:/([smh]))?", "10/s, 600/m or 100/h")
    return number / {"": 1, "s": 1, "m": 60, "h": 3600}[unit]


def _split(text: str, pattern: str, examples: str) -> tuple[float, str]:
    match = re.fullmatch(pattern, text)
    if not match:
        raise click.BadParameter(f"{text!r}: write it like {examples}")
    return float(match[1]), match[2] or ""


def moment(text: str) -> datetime:
    """Read a moment in ISO 8601; without a zone it is local."""
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(
            f"{text!r}: write it like 2030-01-31T09:00, or with a zone: 2030-01-31T09:00+09:00"
        ) from None
    return read if read.tzinfo else read.astimezone()


def workers(text: str) -> int | str:
    """Read a number of workers, or `default`."""
    if text != "default" and not text.isdecimal():
        raise click.BadParameter(f"{text!r}: use a number of workers, or default")
    return text if text == "default" else int(text)
