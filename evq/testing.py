"""Help for tests: run a job here and now, without Redis and without a worker."""

from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import anyio
import orjson

from evq.context import Context, SyncContext
from evq.errors import JobFailed, LeaseLost
from evq.executor import Backoff, Completed, Failed, Snoozed, execute
from evq.job import JobError, JobProgress, ReservedJob
from evq.task import Task


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """What came of the first attempt of a job."""

    job_id: str
    event: Literal["completed", "failed", "retried", "snoozed"]
    value: Any = None
    error: JobError | None = None
    """Why it failed, or is to be tried again."""
    delay: float | None = None
    """s until it were to be run again; with jitter, if its policy has some."""
    progress: tuple[JobProgress, ...] = ()
    """What the handler said, in order."""
    log: tuple[str, ...] = ()
    """The lines that it logged."""

    @property
    def result(self) -> Any:
        """What the handler returned; raise `JobFailed` if it did not."""
        if self.event != "completed":
            error = self.error or JobError("Snooze", f"put off for {self.delay} s", "")
            raise JobFailed(self.job_id, error.type, error.message, error.traceback)
        return self.value


async def run_inline(task: Task, /, **payload: Any) -> Attempt:
    """Run a job of *task* as a worker does: payload and result go through JSON, errors through its retry policy.

    It runs in this process, whatever its isolation, for as long as it likes, and without its hooks. Raise
    `PayloadError` if the payload does not fit.
    """
    progress: list[JobProgress] = []
    lines: list[str] = []

    async def report(what: JobProgress | str) -> None:
        if isinstance(what, str):
            lines.append(what)
        else:
            progress.append(what)

    new = task.job(**payload)
    job = ReservedJob(new.id, task.name, new.payload, fence=1, failures=0, created_ms=0, progress=None)
    context = (Context if task.is_async else SyncContext)(job, report)
    outcome = await execute(task, job, context, anyio.CapacityLimiter(1))
    attempt = partial(Attempt, job_id=job.id, progress=tuple(progress), log=tuple(lines))
    match outcome:
        case Completed(result):
            return attempt(event="completed", value=orjson.loads(result))
        case Failed(error):
            return attempt(event="failed", error=error)
        case Backoff(delay_ms, error):
            return attempt(event="retried", error=error, delay=delay_ms / 1000)
        case Snoozed(delay_ms):
            return attempt(event="snoozed", delay=delay_ms / 1000)
        case _:
            raise LeaseLost(job.id)  # as the handler said
