"""The queue that workers of the scenarios run: its handlers write down what they do.

They are told by the environment: CHAOS_JOURNAL is the journal, CHAOS_LEASE the lease in seconds, CHAOS_EFFECTS a
database for side effects, of which each job may have one, guarded by its fence.
"""

import asyncio
import contextlib
import ctypes
import os
import signal
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

from evq import Context, Queue, RetryPolicy, SyncContext, TemporaryError, ValidationError
from evq.errors import AttemptTimeout
from tests.chaos.journal import Journal

journal = Journal(Path(os.environ["CHAOS_JOURNAL"]))
queue = Queue("chaos", lease=float(os.environ["CHAOS_LEASE"]))

Result = dict[str, int]
SOON = RetryPolicy(attempts=4, delay=0.1, max_delay=0.2)


@contextlib.contextmanager
def written(ctx: Context | SyncContext) -> Iterator[Result]:
    """Write down when a handler starts, and whether it finished, raised, or was interrupted; give what it returns."""

    def write(event: str) -> None:
        # Of a handler in a process of its own, the parent is the worker.
        about = {"wall": time.time(), "parent": os.getppid()}
        journal.write(event, ctx.job_id, fence=ctx.fence, attempt=ctx.attempt, **about)

    write("started")
    try:
        yield {"fence": ctx.fence}
    except BaseException:
        counts = ctx.interruption is None or isinstance(ctx.interruption, AttemptTimeout)
        write("raised" if counts else "interrupted")
        raise
    write("finished")


@queue.task(retry=SOON)
async def work(ctx: Context, ms: int = 0, failures: int = 0) -> Result:
    """Take a while; fail so many times before."""
    with written(ctx) as result:
        await asyncio.sleep(ms / 1000)
        if ctx.attempt <= failures:
            raise TemporaryError("not yet")
    return result


@queue.task
async def padded(ctx: Context, padding: str) -> Result:
    """Have a large payload."""
    with written(ctx) as result:
        assert padding
    return result


@queue.task
async def doomed(ctx: Context) -> Result:
    with written(ctx):
        raise ValidationError("never")


@queue.task
def think(ctx: SyncContext, ms: int) -> Result:
    """Take a while in a thread, and say how far it is."""
    with written(ctx) as result:
        for tenth in range(10):
            time.sleep(ms / 10_000)
            ctx.progress(10 * tenth)
    return result


@queue.task
async def gated(ctx: Context, gate: str) -> Result:
    """Go on only when the file *gate* is there, then have an effect."""
    with written(ctx) as result:
        while not Path(gate).exists():
            await asyncio.sleep(0.02)
        journal.write("effect", ctx.job_id, fence=ctx.fence, accepted=have_effect(ctx))
    return result


@queue.task
async def block(ctx: Context, seconds: float) -> Result:
    """Block the event loop, as a thoughtless handler does."""
    with written(ctx) as result:
        time.sleep(seconds)  # noqa: ASYNC251 - this is the fault
    return result


@queue.task
def hold_gil(ctx: SyncContext, seconds: float) -> Result:
    """Let no other thread run, as C code that does not release the GIL."""
    with written(ctx) as result:
        ctypes.PyDLL(None).usleep(round(seconds * 1e6))
    return result


@queue.task
async def poison(ctx: Context) -> Result:
    """Kill the process, as a broken C extension does; its neighbours have been started by then."""
    with written(ctx):
        await asyncio.sleep(0.2)
        os.abort()


@queue.task
async def die_once(ctx: Context) -> Result:
    """Have an effect, and be killed before anybody is told; the second time live."""
    with written(ctx) as result:
        journal.write("effect", ctx.job_id, fence=ctx.fence, accepted=have_effect(ctx))
        if is_first(ctx):
            os.kill(os.getpid(), signal.SIGKILL)
    return result


def is_first(ctx: Context) -> bool:
    """Tell the first run of a job from those that follow."""
    return len(journal.entries("started", ctx.job_id)) == 1


def have_effect(ctx: Context) -> bool:
    """Write to a database, unless a newer lease of the job has been there; say whether it did."""
    with contextlib.closing(sqlite3.connect(os.environ["CHAOS_EFFECTS"], timeout=10)) as db, db:
        done = db.execute(
            "INSERT INTO effects VALUES (?, ?) ON CONFLICT (job) DO UPDATE SET fence = excluded.fence "
            "WHERE excluded.fence > effects.fence",
            (ctx.job_id, ctx.fence),
        )
        return done.rowcount == 1
