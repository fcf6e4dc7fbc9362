"""`evq jobs` and `evq job`: look at jobs."""

from collections.abc import AsyncIterator, Callable
from itertools import count as count_from
from typing import Any, Final

import click
import orjson

from evq import census
from evq.cli.options import group_option, one_of, queue_command, task_option
from evq.cli.output import Cell, Output, facts, iso, local, table, word
from evq.errors import UsageError
from evq.job import Record
from evq.lifecycle import END_STATES, State
from evq.queue import Queue

PAGE: Final = 100
"""Jobs that are read in one exchange."""


@queue_command
@click.option("--state", type=one_of(State), default="waiting", show_default=True, help="In this state.")
@group_option
@task_option
@click.option("--start", type=click.IntRange(0), default=0, help="Leave out so many.")
@click.option("--count", type=click.IntRange(1), default=20, show_default=True, help="List so many at most.")
async def jobs(
    queue: Queue, out: Output, state: str, group: str | None, task: str | None, start: int, count: int
) -> None:
    """List the jobs of one state in QUEUE: what has ended from the newest on, the others from the next on.

    With --group or --task, the jobs of the state are searched one by one.
    """
    found: list[Record] = []
    async for page in _pages(queue, State(state), await census.places(queue.broker, State(state), group, task)):
        found += [job for job in page if task in (None, job.task) and group in (None, job.group)]
        if len(found) >= start + count:
            break
    found = found[start : start + count]
    view = table(found, _columns(State(state))) if found else f"queue {queue.name}: no {state} jobs"
    out.show([job_wire(job) for job in found], view)


def _columns(state: State) -> dict[str, Callable[[Record], Cell]]:
    times: dict[State, tuple[str, Callable[[Record], int | None]]] = {
        State.DELAYED: ("due", lambda job: job.due_ms),
        State.ACTIVE: ("started", lambda job: job.started_ms),
        **dict.fromkeys(END_STATES, ("ended", lambda job: job.ended_ms)),
    }
    heading, time = times.get(state, ("created", lambda job: job.created_ms))
    return {
        "id": lambda job: job.id,
        "task": lambda job: job.task,
        "group": lambda job: job.group or "",
        heading: lambda job: local(time(job)),
        "failures": lambda job: str(job.failures),
        "progress": lambda job: f"{job.progress.percentage:.0f} %" if job.progress else "",
        "error": lambda job: job.error.type if job.error else "",
    }


async def _pages(queue: Queue, state: State, places: list[str]) -> AsyncIterator[list[Record]]:
    """Read all jobs of some places, page by page."""
    backwards = state in END_STATES
    for of in places:
        for start in count_from(step=PAGE):
            ids = await census.page(queue.broker, state, of, -start - PAGE if backwards else start, PAGE)
            if not ids:
                break
            records = [record for record in await queue.broker.get(ids, skip=True) if record]
            yield records[::-1] if backwards else records


@queue_command
@click.argument("job_id", metavar="ID")
@click.option("--payload", is_flag=True, help="Show its payload, too; it may hold personal data.")
@click.option("--result", is_flag=True, help="Show its result, too; it may hold personal data.")
@click.option("--log", is_flag=True, help="Show what its handler logged, too.")
async def job(queue: Queue, out: Output, job_id: str, payload: bool, result: bool, log: bool) -> None:
    """Show the job ID of QUEUE."""
    (record,) = await queue.broker.get([job_id])
    if record is None:
        raise UsageError(f"queue {queue.name} has no job {job_id}: it never had, or its record has expired")
    position = await queue.position(job_id) if record.state is State.WAITING else None
    lines = await queue.log(job_id) if log else []
    wire = job_wire(record) | {"position": position}
    wire |= {"payload": record.payload} if payload else {}
    wire |= {"result": record.result} if result else {}
    wire |= {"log": lines} if log else {}
    told = _facts(record, position)
    told |= {"payload": _json(record.payload)} if payload else {}
    told |= {"result": _json(record.result)} if result else {}
    out.show(wire, facts(told), *([record.error.traceback.rstrip()] if record.error else []), *lines)


def _facts(job: Record, position: int | None) -> dict[str, Cell | None]:
    progress, error = job.progress, job.error
    return {
        "id": job.id,
        "task": job.task,
        "state": word(job.state),
        "cancel": "requested" if job.cancel_requested and job.state is State.ACTIVE else None,
        "position": None if position is None else f"{position} before it",
        "priority": str(job.priority),
        "group": job.group,
        "dedup key": job.dedup_key,
        "created": local(job.created_ms),
        "due": local(job.due_ms) if job.state is State.DELAYED else None,
        "started": local(job.started_ms),
        "ended": local(job.ended_ms),
        "deadline": local(job.deadline_ms),
        "failures": str(job.failures),
        "crashes": str(job.crashes),
        "worker": job.worker if job.state is State.ACTIVE else None,
        "progress": f"{progress.percentage:.0f} % {progress.current_step}" if progress else None,
        "error": f"{error.type}: {error.message}" if error else None,
    }


def job_wire(job: Record) -> dict[str, Any]:
    """Return a job's fields by their names in JSON, without its payload and result."""
    return {
        "id": job.id,
        "task": job.task,
        "state": job.state,
        "status": job.status,
        "priority": job.priority,
        "group": job.group,
        "dedupKey": job.dedup_key,
        "created": iso(job.created_ms),
        "due": iso(job.due_ms),
        "started": iso(job.started_ms),
        "ended": iso(job.ended_ms),
        "deadline": iso(job.deadline_ms),
        "failures": job.failures,
        "crashes": job.crashes,
        "fence": job.fence,
        "worker": job.worker,
        "cancelRequested": job.cancel_requested,
        "progress": job.progress.to_wire() if job.progress else None,
        "error": orjson.loads(job.error.dump()) if job.error else None,
    }


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()
