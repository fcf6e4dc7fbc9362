"""The commands that change jobs: cancel, replay, remove, purge, drain."""

from collections.abc import Sequence
from typing import Final

import click

from evq.broker import Reply
from evq.cli.options import (
    FAILED,
    confirm,
    duration,
    group_option,
    one_of,
    queue_command,
    task_option,
    yes_option,
)
from evq.cli.output import Output
from evq.lifecycle import END_STATES, PENDING_STATES, State
from evq.queue import Queue
from evq.scripts import Argument

REFUSALS: Final = {
    Reply.ENDED: "has ended already",
    Reply.NOT_ENDED: "has not ended yet",
    Reply.COMPLETED: "has completed: enqueue a new job instead",
    Reply.ACTIVE: "runs: cancel it first",
    Reply.DUPLICATE: "cannot run again while another job holds its dedup key",
    Reply.NOT_FOUND: "is not there, or not any more",
}

ids_argument = click.argument("ids", metavar="[ID]...", nargs=-1)
all_option = click.option("--all", "every", is_flag=True, help="All jobs of the state, instead of those of some ids.")


@queue_command
@ids_argument
@all_option
@click.option(
    "--state", type=one_of((*PENDING_STATES, State.ACTIVE)), help="With --all.  [default: all that do not run]"
)
@group_option
@task_option
@yes_option
async def cancel(
    queue: Queue,
    out: Output,
    ids: tuple[str, ...],
    every: bool,
    state: str | None,
    group: str | None,
    task: str | None,
    yes: bool,
) -> int | None:
    """Cancel jobs of QUEUE: those that do not run at once, and those that run as soon as their handlers stop."""
    _check_choice(ids, every, state or group or task)
    if not every:
        return await _each(queue, out, "cancel", ids, "cancelled", running=1)
    confirm(f"Cancel the {state or 'pending'} jobs{_of(task, group)} of queue {queue.name}?", yes=yes)
    _tell(out, "cancelled", await queue.cancel_all(state, group=group, task=task))
    return None


@queue_command
@ids_argument
@all_option
@click.option("--state", type=one_of((State.FAILED, State.CANCELLED)), help="With --all.  [default: failed]")
@task_option
@yes_option
async def replay(
    queue: Queue, out: Output, ids: tuple[str, ...], every: bool, state: str | None, task: str | None, yes: bool
) -> int | None:
    """Let failed or cancelled jobs of QUEUE run again, with all their attempts and without their deadlines."""
    _check_choice(ids, every, state or task)
    if not every:
        return await _each(queue, out, "replay", ids, "replayed")
    state = state or State.FAILED
    confirm(f"Replay the {state} jobs{_of(task)} of queue {queue.name}?", yes=yes)
    _tell(out, "replayed", await queue.replay_all(state, task=task))
    return None


@queue_command
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
async def remove(queue: Queue, out: Output, ids: tuple[str, ...]) -> int | None:
    """Delete jobs of QUEUE that do not run, with all that is kept of them; no hook is run."""
    return await _each(queue, out, "remove", ids, "removed")


@queue_command
@click.argument("state", type=one_of(END_STATES))
@click.option("--older-than", type=duration, default="0s", help="Only those that ended so long ago: 90s, 15m, 2h, 7d.")
@yes_option
async def purge(queue: Queue, out: Output, state: str, older_than: float, yes: bool) -> None:
    """Delete the jobs of QUEUE that ended in STATE; those whose hooks have not run yet stay."""
    confirm(f"Delete the {state} jobs of queue {queue.name}?", yes=yes)
    _tell(out, "deleted", await queue.purge(state, older_than=older_than))


@queue_command
@group_option
@yes_option
async def drain(queue: Queue, out: Output, group: str | None, yes: bool) -> None:
    """Cancel all jobs of QUEUE that do not run; those that run go on."""
    confirm(f"Cancel all jobs{_of(None, group)} of queue {queue.name} that do not run?", yes=yes)
    _tell(out, "cancelled", await queue.drain(group))


def _check_choice(ids: Sequence[str], every: bool, narrowed: object) -> None:
    if every == bool(ids):
        raise click.UsageError("give the ids of jobs, or --all")
    if narrowed and not every:
        raise click.UsageError("--state, --group and --task go with --all")


async def _each(queue: Queue, out: Output, verb: str, ids: Sequence[str], done: str, **argv: Argument) -> int | None:
    """Do *verb* to the jobs of these ids; fail if there is one to which it could not be done."""
    ids = list(dict.fromkeys(ids))
    words = dict(zip(ids, await queue.broker.words(verb, [(job_id,) for job_id in ids], **argv), strict=True))
    told = {Reply.OK: done, Reply.CANCELLED: done, Reply.REQUESTED: "runs, and was asked to stop"} | REFUSALS
    wire = [{"id": job_id, "outcome": reply.lower()} for job_id, reply in words.items()]
    out.show(wire, *(f"{job_id} {told[reply]}" for job_id, reply in words.items()))
    return None if REFUSALS.keys().isdisjoint(words.values()) else FAILED


def _tell(out: Output, verb: str, count: int) -> None:
    out.show({verb: count}, f"{count} job{'' if count == 1 else 's'} {verb}")


def _of(task: str | None, group: str | None = None) -> str:
    return (f" of task {task}" if task else "") + (f" of group {group}" if group else "")
