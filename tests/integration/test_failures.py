"""Handlers that raise, and jobs that none can take or whose result cannot be stored."""

import asyncio
import logging
import time
from typing import Any

import pytest

from evq import Context, JobFailed, JobStatus, NetworkError, Queue, RetryPolicy, TemporaryError, ValidationError
from tests.integration.running import until, until_status, working

pytestmark = pytest.mark.anyio

AT_ONCE = RetryPolicy(attempts=3, delay=0.001)


@pytest.mark.parametrize("error", [TemporaryError("busy"), NetworkError("gone"), ConnectionResetError("gone")])
async def test_a_passing_error_is_retried(queue: Queue, error: Exception) -> None:
    attempts = []
    at_once = {TemporaryError: 0.001, NetworkError: 0.001, ConnectionError: 0.001}

    @queue.task(retry=RetryPolicy(on=at_once))
    async def flaky(ctx: Context) -> str:
        attempts.append(ctx.attempt)
        if ctx.attempt < 3:
            raise error
        return "done"

    async with working(queue):
        assert await (await flaky.enqueue()).result(5) == "done"
    assert attempts == [1, 2, 3]


async def test_a_job_fails_when_its_attempts_are_used_up(queue: Queue) -> None:
    @queue.task(retry=AT_ONCE)
    async def hopeless() -> None:
        raise TemporaryError("still busy")

    async with working(queue):
        job = await hopeless.enqueue()
        with pytest.raises(JobFailed) as failed:
            await job.result(5)
    assert (failed.value.type, failed.value.message) == ("TemporaryError", "still busy")
    assert "raise TemporaryError" in failed.value.traceback
    assert (await job.refresh()).record.failures == 3


@pytest.mark.parametrize("error", [ValidationError("bad row"), KeyError("x"), SystemExit(3), asyncio.CancelledError()])
async def test_any_other_error_fails_at_once_and_harms_no_worker(queue: Queue, error: BaseException) -> None:
    @queue.task
    async def broken() -> None:
        raise error

    @queue.task
    def broken_too() -> None:
        raise error

    @queue.task
    async def fine() -> str:
        return "fine"

    async with working(queue):
        jobs = [await broken.enqueue()]
        if not isinstance(error, asyncio.CancelledError):
            jobs.append(await broken_too.enqueue())
        for job in jobs:
            with pytest.raises(JobFailed) as failed:
                await job.result(5)
            assert failed.value.type == type(error).__name__
        assert await (await fine.enqueue()).result(5) == "fine"


class Unspeakable(Exception):  # noqa: N818 - it is one
    def __str__(self) -> str:
        raise RuntimeError("no words")


class CodedError(TemporaryError):
    def __init__(self, code: int) -> None:
        self.code = code


@pytest.mark.parametrize(
    "error", [Unspeakable(), ValueError("\udcff name"), ValueError("long" * 100_000), CodedError(3)]
)
async def test_an_error_that_is_hard_to_describe_is_described(queue: Queue, error: Exception) -> None:
    @queue.task(retry=RetryPolicy(attempts=1))
    async def broken() -> None:
        raise error

    async with working(queue):
        with pytest.raises(JobFailed) as failed:
            await (await broken.enqueue()).result(5)
    assert failed.value.type == type(error).__name__
    assert len(failed.value.message) < 21_000


@pytest.mark.parametrize("payload", [{}, {"to": "x", "more": 1}, {"ctx": 1}])
async def test_a_payload_that_does_not_fit_fails_without_a_retry(queue: Queue, payload: dict[str, Any]) -> None:
    producer = Queue(queue.name, redis=queue.url)

    @queue.task
    async def send(ctx: Context, to: str) -> None: ...

    async with producer, working(queue):
        (job,) = await producer.enqueue_many([producer.job("send", payload)])
        with pytest.raises(JobFailed, match="send") as failed:
            await job.result(5)
    assert failed.value.type == "ValidationError"
    assert (await queue.counts())["failed"] == 1


@pytest.mark.parametrize("result", [object(), {1, 2}, 1 << 80, "x" * (17 << 20)], ids=["object", "set", "int", "huge"])
async def test_a_result_that_cannot_be_stored_fails_the_job(queue: Queue, result: object) -> None:
    @queue.task
    async def give() -> object:
        return result

    async with working(queue):
        with pytest.raises(JobFailed, match="give") as failed:
            await (await give.enqueue()).result(5)
    assert failed.value.type == "ValidationError"


async def test_an_unknown_task_is_parked_until_a_worker_knows_it(
    queue: Queue, caplog: pytest.LogCaptureFixture
) -> None:
    old, new = Queue(queue.name, redis=queue.url), queue
    caplog.set_level(logging.WARNING)

    @old.task
    async def known() -> None: ...

    @new.task
    async def news() -> str:
        return "extra"

    job = await news.enqueue()
    async with old:
        async with working(old):
            await until_status(job, JobStatus.PENDING)
            await until(lambda: _is_parked(new))
        assert "parked" in caplog.text
        async with working(new):
            assert await job.result(5) == "extra"


async def _is_parked(queue: Queue) -> bool:
    return (await queue.counts())["parked"] == 1


async def test_a_retry_comes_in_time_when_its_worker_has_room_for_other_jobs(queue: Queue) -> None:
    starts: list[float] = []

    @queue.task(retry=RetryPolicy(delay=0.2))
    async def flaky() -> None:
        starts.append(time.monotonic())
        if len(starts) < 3:
            raise TemporaryError("not now")

    async with working(queue, concurrency=4):
        await (await flaky.enqueue()).result(timeout=10)

    assert starts[2] - starts[0] < 2  # 0.6 s and jitter, if nobody sleeps too long
