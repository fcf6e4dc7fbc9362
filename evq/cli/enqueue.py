"""`evq enqueue`: a job from the command line."""

import sys
from collections.abc import Sequence
from typing import Any, get_args

import click
import orjson

from evq.cli.options import duration, moment, queue_command
from evq.cli.output import Output
from evq.errors import EvqError
from evq.job import Dedup
from evq.queue import Queue


@queue_command
@click.argument("task")
@click.argument("pairs", metavar="[KEY=VALUE]...", nargs=-1)
@click.option("--payload", metavar="JSON", help="The payload, an object; - reads it from standard input.")
@click.option("--delay", type=duration, help="Start it after so long.")
@click.option("--at", type=moment, help="Do not start it before: 2030-01-31T09:00, local time unless it has a zone.")
@click.option("--priority", type=click.IntRange(0, 4095), help="Lower runs first.  [default: 2048]")
@click.option("--front", is_flag=True, default=None, help="Before the others of its priority.")
@click.option("--group", metavar="GROUP", help="Groups take turns.")
@click.option("--dedup-key", metavar="KEY", help="Of one key there is one pending job at a time.")
@click.option("--dedup", type=click.Choice(get_args(Dedup)), help="If the key is held.  [default: existing]")
@click.option("--dedup-ttl", type=duration, help="Give the key up after so long.")
@click.option("--expires", type=duration, help="Fail it if it has not started after so long.")
@click.option("--deadline", type=duration, help="Fail it if it has not ended after so long.")
@click.option("--id", metavar="ID", help="Of this id; enqueuing it twice makes one job.")
@click.option("--wait", type=duration, help="Wait so long for the result, and print it.")
async def enqueue(
    queue: Queue,
    out: Output,
    task: str,
    pairs: tuple[str, ...],
    payload: str | None,
    wait: float | None,
    **options: Any,
) -> None:
    """Enqueue a job of TASK in QUEUE and print its id.

    Its payload is made of KEY=VALUE, where a value that is JSON is taken as that and any other as a string.
    """
    if queue.tasks and task not in queue.tasks:
        raise click.BadParameter(f"{task!r}: the program has {', '.join(sorted(queue.tasks))}", param_hint="TASK")
    given = {name: value for name, value in options.items() if value is not None}
    (job,) = await queue.enqueue_many([queue.job(task, _payload(payload, pairs), **given)])
    if wait is None:
        out.show({"id": job.id, "task": task}, job.id)
        return
    try:
        result = await job.result(timeout=wait)
    except TimeoutError as error:
        raise EvqError(str(error)) from error
    out.show({"id": job.id, "task": task, "result": result}, job.id, orjson.dumps(result).decode())


def _payload(text: str | None, pairs: Sequence[str]) -> dict[str, Any]:
    payload: dict[str, Any] = {}
    if text is not None:
        try:
            given = orjson.loads(sys.stdin.buffer.read() if text == "-" else text)
        except orjson.JSONDecodeError as error:
            raise click.BadParameter(str(error), param_hint="--payload") from error
        if not isinstance(given, dict):
            raise click.BadParameter('use a JSON object, such as \'{"to": "a@example.org"}\'', param_hint="--payload")
        payload = given
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not key or not equals:
            raise click.BadParameter(f"{pair!r}: write KEY=VALUE", param_hint="KEY=VALUE")
        try:
            payload[key] = orjson.loads(value)
        except orjson.JSONDecodeError:
            payload[key] = value
    return payload
