import math
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evq import Context, JobCancelled, JobProgress
from evq.context import estimate_remaining
from evq.job import ReservedJob

pytestmark = pytest.mark.anyio


def a_context(reported: list[JobProgress], progress: JobProgress | None = None) -> Context:
    async def report(progress: Any) -> None:
        reported.append(progress)

    job = ReservedJob(id="0" * 26, task="t", payload=b"{}", fence=3, failures=1, created_ms=0, progress=progress)
    return Context(job, report)


@given(st.lists(st.floats(allow_nan=True), min_size=1, max_size=20))
async def test_progress_never_goes_back_and_never_leaves_its_bounds(percentages: list[float]) -> None:
    reported: list[JobProgress] = []
    context = a_context(reported)
    for percentage in percentages:
        await context.progress(percentage, completed_steps=int(percentage) % 7 if math.isfinite(percentage) else None)
    shown = [progress.percentage for progress in reported]
    assert shown == sorted(shown)
    assert all(0 <= percentage <= 100 for percentage in shown)
    steps = [progress.completed_steps for progress in reported]
    assert steps == sorted(steps)
    remaining = [p.estimated_time_remaining for p in reported if p.estimated_time_remaining is not None]
    assert remaining == sorted(remaining, reverse=True)
    assert all(seconds >= 0 for seconds in remaining)


async def test_a_later_attempt_begins_where_the_earlier_one_got_to() -> None:
    reported: list[JobProgress] = []
    context = a_context(reported, JobProgress(percentage=75, current_step="save", total_steps=5, completed_steps=3))
    assert (context.attempt, context.fence, context.job_id) == (2, 3, "0" * 26)
    await context.progress(25, step="parse", completed_steps=1)
    (shown,) = reported
    assert (shown.percentage, shown.current_step, shown.total_steps, shown.completed_steps) == (75, "parse", 5, 3)


async def test_a_later_attempt_measures_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    reported: list[JobProgress] = []
    context = a_context(reported, JobProgress(percentage=75, estimated_time_remaining=2.0))
    began = time.monotonic()
    await context.progress(0)
    for elapsed, percentage in ((10, 25), (30, 30), (40, 80)):
        monkeypatch.setattr(time, "monotonic", lambda elapsed=elapsed: began + elapsed)
        await context.progress(percentage)
    assert [progress.estimated_time_remaining for progress in reported] == [None, 30.0, 30.0, 10.0]


async def test_a_step_stays_until_another_is_named() -> None:
    reported: list[JobProgress] = []
    context = a_context(reported)
    await context.progress(10, step="parse")
    await context.progress(20)
    assert [progress.current_step for progress in reported] == ["parse", "parse"]


@pytest.mark.parametrize(
    ("elapsed", "start", "percentage", "remaining"),
    [
        (10, 0, 50, 10),
        (10, 0, 25, 30),
        (10, 75, 80, 40),
        (10, 0, 100, 0),
        (0.01, 0, 100, 0),
        (0.9, 0, 50, None),
        (10, 75, 75, None),
        (10, 75, 25, None),
    ],
)
def test_the_remaining_time_is_measured(
    elapsed: float, start: float, percentage: float, remaining: float | None
) -> None:
    assert estimate_remaining(elapsed, start, percentage) == remaining


async def test_each_step_is_measured_at_its_own_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    reported: list[JobProgress] = []
    context = a_context(reported)
    began = time.monotonic()
    for elapsed, percentage, step in ((0, 0, "fast"), (2, 40, "fast"), (2, 40, "slow"), (12, 50, "slow")):
        monkeypatch.setattr(time, "monotonic", lambda elapsed=elapsed: began + elapsed)
        await context.progress(percentage, step=step)
    assert [progress.estimated_time_remaining for progress in reported] == [None, 3.0, None, 50.0]


def test_a_check_raises_why_the_handler_should_stop() -> None:
    context = a_context([])
    context.check()
    context.interruption = JobCancelled("0" * 26)
    with pytest.raises(JobCancelled):
        context.check()


def test_progress_comes_back_from_the_wire_as_it_went() -> None:
    progress = JobProgress(percentage=12.5, current_step="읽기", total_steps=5, completed_steps=1)
    assert JobProgress.load(progress.dump()) == progress
