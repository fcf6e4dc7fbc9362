"""What a handler knows of its job, and how it says how far it is."""

import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import anyio.from_thread

from evq.errors import EvqError
from evq.job import JobProgress, ReservedJob

MEASURABLE = 0.2
"""No remaining time is estimated from less than this, s."""

Report = Callable[[JobProgress], Coroutine[Any, Any, None]]


def estimate_remaining(elapsed: float, percentage: float) -> float | None:
    """Return the seconds that are left if the rest goes as fast as what is done, or None if that is too little."""
    if percentage >= 100:
        return 0.0
    if elapsed < MEASURABLE or percentage <= 0:
        return None
    return elapsed * (100 - percentage) / percentage


@dataclass(slots=True)
class Context:
    """One attempt of a job, as its handler sees it."""

    job: ReservedJob
    report: Report = field(repr=False)
    interruption: EvqError | None = None
    """Why the handler should stop, once it should."""
    last: JobProgress = field(init=False)
    _started: float = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Begin where an earlier attempt got to, so that nobody sees the job go back."""
        self.last = self.job.progress or JobProgress(percentage=0)
        self._started = time.monotonic()

    @property
    def job_id(self) -> str:
        return self.job.id

    @property
    def attempt(self) -> int:
        """Which attempt this is, from 1; attempts that lost their worker do not count."""
        return self.job.attempt

    @property
    def fence(self) -> int:
        """Grows with every lease of this job: use it to guard your own writes, `... WHERE fence <= :fence`."""
        return self.job.fence

    async def progress(
        self, percentage: float, *, step: str = "", total_steps: int | None = None, completed_steps: int | None = None
    ) -> None:
        """Say how far the job is, 0 to 100; raise `LeaseLost` if another worker has it now.

        What has been said is never taken back: a smaller percentage is shown as the one before.
        """
        self.last = self._advance(percentage, step, total_steps, completed_steps)
        await self.report(self.last)

    def check(self) -> None:
        """Raise if the handler should stop: cancelled, too late, or its lease lost. For handlers without `await`."""
        if self.interruption is not None:
            raise self.interruption

    def _advance(
        self, percentage: float, step: str, total_steps: int | None, completed_steps: int | None
    ) -> JobProgress:
        last, elapsed = self.last, time.monotonic() - self._started
        known = [
            seconds
            for seconds in (estimate_remaining(elapsed, percentage), last.estimated_time_remaining)
            if seconds is not None
        ]
        remaining = min(known, default=None)
        return JobProgress(
            percentage=round(max(last.percentage, min(percentage, 100)), 2),
            current_step=step or last.current_step,
            total_steps=total_steps or last.total_steps,
            completed_steps=max(last.completed_steps, completed_steps or 0),
            estimated_time_remaining=None if remaining is None else round(remaining, 1),
        )


class SyncContext(Context):
    """The context of a handler that is a plain function and runs in a thread."""

    __slots__ = ()

    def progress(  # type: ignore[override]  # the same call, for code that cannot await
        self, percentage: float, *, step: str = "", total_steps: int | None = None, completed_steps: int | None = None
    ) -> None:
        """Say how far the job is; see `Context.progress`."""
        self.check()
        self.last = self._advance(percentage, step, total_steps, completed_steps)
        anyio.from_thread.run(self.report, self.last)
