"""What a handler knows of its job, and how it says how far it is."""

import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from typing import Any

import anyio.from_thread

from evq.errors import EvqError
from evq.job import JobProgress, ReservedJob

MEASURABLE = 1.0
"""No remaining time is estimated from less than this, s: the first moments of a step are no measure of the rest."""

LINE = 2_000
"""The longest line of a job's log, characters; what is beyond is cut off."""

_NOTHING = JobProgress(percentage=0)

Report = Callable[[JobProgress | str], Coroutine[Any, Any, None]]
"""Where progress, and lines for the job's log, go."""


def estimate_remaining(elapsed: float, start: float, percentage: float) -> float | None:
    """Return the seconds that are left at the pace since *start* (%), or None if that is too short to tell."""
    if percentage >= 100:
        return 0.0
    if elapsed < MEASURABLE or percentage <= start:
        return None
    return elapsed * (100 - percentage) / (percentage - start)


@dataclass(slots=True)
class _Attempt:
    """One attempt of a job: what the contexts of async and of plain handlers have in common."""

    job: ReservedJob
    report: Report = field(repr=False)
    interruption: EvqError | None = None
    """Why the handler should stop, once it should."""
    _shown: JobProgress = field(init=False)
    _measured: tuple[float, float] = field(init=False, repr=False)
    """Since when, and from what percentage on, the pace of the step is measured."""

    def __post_init__(self) -> None:
        """Begin where an earlier attempt got to, so that nobody sees the job go back; but measure anew."""
        before = self.job.progress
        self._shown = replace(before, estimated_time_remaining=None) if before else _NOTHING
        self._measured = time.monotonic(), 0.0

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

    def check(self) -> None:
        """Raise if the handler should stop: cancelled, too late, or its lease lost. For handlers without `await`."""
        if self.interruption is not None:
            raise self.interruption

    def _advance(
        self, percentage: float, step: str, total_steps: int | None, completed_steps: int | None
    ) -> JobProgress:
        """Return what to show now: nothing in it goes back, and the estimate does not rise within a step.

        Steps differ in pace, so each is measured by itself.
        """
        shown, now = self._shown, time.monotonic()
        done = min(max(0.0, percentage), 100.0)
        if step and step != shown.current_step:
            self._measured = now, done
            shown = replace(shown, estimated_time_remaining=None)
        since, start = self._measured
        measured = estimate_remaining(now - since, start, done)
        estimates = [seconds for seconds in (measured, shown.estimated_time_remaining) if seconds is not None]
        self._shown = JobProgress(
            percentage=round(max(shown.percentage, done), 2),
            current_step=step or shown.current_step,
            total_steps=total_steps or shown.total_steps,
            completed_steps=max(shown.completed_steps, completed_steps or 0),
            estimated_time_remaining=round(min(estimates), 1) if estimates else None,
        )
        return self._shown


class Context(_Attempt):
    """One attempt of a job, as its async handler sees it."""

    __slots__ = ()

    async def progress(
        self, percentage: float, *, step: str = "", total_steps: int | None = None, completed_steps: int | None = None
    ) -> None:
        """Say how far the job is, 0 to 100; raise `LeaseLost` if another worker has it now.

        What has been said is never taken back: a smaller percentage is shown as the one before.
        """
        await self.report(self._advance(percentage, step, total_steps, completed_steps))

    async def log(self, line: str) -> None:
        """Add a line to the job's log, which `Queue.log` reads: the last 1,000 are kept."""
        await self.report(line[:LINE])


class SyncContext(_Attempt):
    """The context of a handler that is a plain function and runs in a thread."""

    __slots__ = ()

    def progress(
        self, percentage: float, *, step: str = "", total_steps: int | None = None, completed_steps: int | None = None
    ) -> None:
        """Say how far the job is; see `Context.progress`. Raise as `check` does if the handler should stop."""
        self.check()
        anyio.from_thread.run(self.report, self._advance(percentage, step, total_steps, completed_steps))

    def log(self, line: str) -> None:
        """Add a line to the job's log; see `Context.log`. Raise as `check` does if the handler should stop."""
        self.check()
        anyio.from_thread.run(self.report, line[:LINE])
