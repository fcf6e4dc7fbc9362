"""Handlers that are interrupted: an attempt took too long, or somebody cancelled the job."""

import asyncio
import contextlib
import time

import anyio
import pytest

from evq import JobCancelled, JobFailed, JobStatus, Queue, Reply, RetryPolicy, SyncContext, TemporaryError
from evq.lifecycle import State
from tests.integration.running import until_status, working

pytestmark = pytest.mark.anyio


async def test_an_attempt_that_takes_too_long_is_interrupted_and_retried(queue: Queue) -> None:
    ends = []

    @queue.task(timeout=0.05, retry=RetryPolicy(attempts=2, delay=0.001))
    async def slow() -> None:
        try:
            await anyio.sleep(30)
        finally:
            ends.append("interrupted")

    async with working(queue):
        with pytest.raises(JobFailed, match=r"timeout of 0\.05 s") as failed:
            await (await slow.enqueue()).result(5)
    assert failed.value.type == "AttemptTimeout"
    assert ends == ["interrupted"] * 2


async def test_a_plain_handler_that_takes_too_long_learns_of_it_where_it_looks(queue: Queue) -> None:
    ends = []

    @queue.task(timeout=0.05, retry=RetryPolicy(attempts=1))
    def slow(ctx: SyncContext) -> None:
        try:
            while True:
                ctx.check()
                time.sleep(0.005)
        except TemporaryError:
            ends.append("told")
            raise

    async with working(queue):
        with pytest.raises(JobFailed) as failed:
            await (await slow.enqueue()).result(5)
    assert failed.value.type == "AttemptTimeout"
    assert ends == ["told"]


async def test_a_handler_left_behind_in_its_thread_does_not_keep_the_next_job_waiting(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evq.executor.PATIENCE", 0.05)
    release = anyio.Event()

    @queue.task(timeout=0.05, retry=RetryPolicy(attempts=1))
    def deaf() -> None:
        while not release.is_set():
            time.sleep(0.005)

    @queue.task
    def quick() -> str:
        return "quick"

    async with working(queue):
        with pytest.raises(JobFailed):
            await (await deaf.enqueue()).result(5)
        assert await (await quick.enqueue()).result(5) == "quick"
        release.set()


async def test_a_running_job_is_cancelled_within_a_heartbeat(brief: Queue) -> None:
    ends = []

    @brief.task
    async def endless() -> None:
        try:
            await anyio.sleep(60)
        finally:
            ends.append("interrupted")

    async with working(brief):
        job = await endless.enqueue()
        await until_status(job, JobStatus.PROCESSING)
        assert await job.cancel() is Reply.REQUESTED
        with pytest.raises(JobCancelled):
            await job.result(3)
    assert ends == ["interrupted"]
    assert (await job.refresh()).record.state is State.CANCELLED


async def test_a_handler_that_swallows_its_cancellation_and_ends_well_has_ended_well(brief: Queue) -> None:
    @brief.task
    async def stubborn() -> str:
        with contextlib.suppress(asyncio.CancelledError):
            await anyio.sleep(60)
        return "finished all the same"

    async with working(brief):
        job = await stubborn.enqueue()
        await until_status(job, JobStatus.PROCESSING)
        await job.cancel()
        assert await job.result(3) == "finished all the same"


async def test_a_handler_that_keeps_its_place_though_it_was_interrupted_is_reported(
    queue: Queue, caplog: pytest.LogCaptureFixture
) -> None:
    @queue.task(timeout=0.1)
    async def stubborn() -> None:
        for _ in range(50):
            with contextlib.suppress(asyncio.CancelledError):
                await anyio.sleep(0.1)

    async with working(queue):
        job = await stubborn.enqueue()
        await until_status(job, JobStatus.COMPLETED)
    assert "keeps its place" in caplog.text


async def test_a_cancelled_handler_is_interrupted_once_however_often_its_heart_says_so(brief: Queue) -> None:
    @brief.task
    async def tidy() -> str:
        try:
            await anyio.sleep(60)
        except asyncio.CancelledError:
            await anyio.sleep(1)  # three heartbeats
        return "tidied up"

    async with working(brief):
        job = await tidy.enqueue()
        await until_status(job, JobStatus.PROCESSING)
        await job.cancel()
        assert await job.result(5) == "tidied up"


async def test_each_of_several_jobs_is_interrupted_at_its_own_limit(queue: Queue) -> None:
    took: dict[float, float] = {}

    async def last(limit: float) -> None:
        began = time.monotonic()
        try:
            await anyio.sleep(10)
        finally:
            took[limit] = time.monotonic() - began

    limits = (0.6, 0.2, 30.0, 0.4, 0.3)
    tasks = [queue.task(name=str(limit), timeout=limit, retry=RetryPolicy(attempts=1))(last) for limit in limits]
    async with working(queue, concurrency=8, grace=0.1):
        jobs = [await task.enqueue(limit=limit) for task, limit in zip(tasks, limits, strict=True)]
        for job, limit in zip(jobs, limits, strict=True):
            if limit < 1:
                await until_status(job, JobStatus.FAILED)
                assert limit <= took[limit] + 0.005
                assert took[limit] < limit + 0.15
        assert took.keys() == {limit for limit in limits if limit < 1}


async def test_a_running_job_is_cancelled_at_once_and_not_with_the_next_heartbeat(queue: Queue) -> None:
    assert queue.lease_ms / 3000 > 5  # heartbeats are far apart
    begun = anyio.Event()

    @queue.task
    async def endless() -> None:
        begun.set()
        await anyio.sleep_forever()

    async with working(queue):
        job = await endless.enqueue()
        await begun.wait()
        await job.cancel()
        with pytest.raises(JobCancelled):
            await job.result(timeout=3)
