"""A job that a worker is running: how long it may, and how it is told to end."""

import asyncio
import logging
import math
from dataclasses import dataclass

from evq.context import Context, SyncContext
from evq.errors import AttemptTimeout, DeadlineExceeded, EvqError
from evq.job import ReservedJob
from evq.task import Task

log = logging.getLogger("evq.running")

PATIENCE = 3.0
"""How long an interrupted handler has to end, once the worker does, before it is left behind, s."""


@dataclass(slots=True, eq=False)
class Running:
    """A job that is being run here."""

    job: ReservedJob
    context: Context | SyncContext
    until: float = math.inf
    """When it must end, by the monotonic clock."""
    task: asyncio.Task[None] | None = None

    def interrupt(self, reason: EvqError) -> None:
        """Make the handler stop; the first reason counts."""
        if self.context.interruption is None:
            self.context.interruption = reason
            if self.task is not None:
                self.task.cancel()
                asyncio.get_running_loop().call_later(PATIENCE, self._report)

    def _report(self) -> None:
        if self.task is not None and not self.task.done():
            log.warning(
                "a handler does not end though it was interrupted, and keeps its place: let CancelledError pass",
                extra={"job": self.job.id, "task": self.job.task},
            )


def time_limit(task: Task, job: ReservedJob) -> float:
    """Return how long an attempt may take, s."""
    return task.timeout if job.left_ms is None else min(task.timeout, job.left_ms / 1000)


def late(task: Task, job: ReservedJob) -> EvqError:
    """Say why an attempt must end that has taken so long."""
    if time_limit(task, job) < task.timeout:
        return DeadlineExceeded("the job has not ended within its deadline")
    return AttemptTimeout(f"the attempt took longer than its task's timeout of {task.timeout:g} s")
