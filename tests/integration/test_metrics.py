"""Metrics of a queue: what was counted, read back."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import pytest
import redis as redis_client

from evq import Queue, RetryPolicy, TemporaryError, UsageError
from evq.metrics import read_buckets
from tests.integration.running import until, working

pytestmark = pytest.mark.anyio


@pytest.fixture
def redis(redis_url: str) -> Iterator[Any]:
    with redis_client.Redis.from_url(redis_url, decode_responses=True) as redis:
        yield redis


async def minute_of(queue: Queue) -> int:
    return await queue.broker.now() // 60_000


def count(redis: Any, queue: Queue, minute: int, **counted: int) -> None:
    redis.hset(f"evq:{{{queue.name}}}:metrics:{minute}", mapping=counted)


async def ended(queue: Queue, count: int) -> bool:
    total = (await queue.metrics()).total
    return total.completed + total.failed + total.cancelled == count


async def has_told(queue: Queue) -> bool:
    return bool((await queue.metrics()).total.utilisation)


async def test_every_minute_is_there_and_all_are_summed_up(queue: Queue, redis: Any) -> None:
    present = await minute_of(queue)
    count(redis, queue, present - 3, failed=9)
    count(redis, queue, present - 2, completed=1, work_ms=10)
    count(redis, queue, present, completed=2)
    metrics = await queue.metrics(datetime.fromtimestamp((present - 2) * 60 + 59, UTC))

    assert [minute.completed for minute in metrics.minutes][:3] == [1, 0, 2]
    assert (metrics.total.completed, metrics.total.failed, metrics.total.work.total_ms) == (3, 0, 10)
    assert metrics.total.start == metrics.minutes[0].start == datetime.fromtimestamp((present - 2) * 60, UTC)


async def test_it_is_the_last_hour_unless_told_otherwise(queue: Queue, redis: Any) -> None:
    present = await minute_of(queue)
    count(redis, queue, present - 61, completed=1)
    count(redis, queue, present - 59, completed=1)

    assert (await queue.metrics()).total.completed == 1
    assert len((await queue.metrics()).minutes) == 61


async def test_48_hours_are_read_in_pages(queue: Queue, redis: Any) -> None:
    present = await minute_of(queue)
    for ago in (0, 499, 500, 2878, 2881):
        count(redis, queue, present - ago, completed=1)
    metrics = await queue.metrics(timedelta(days=365))

    assert len(metrics.minutes) == 48 * 60
    assert metrics.total.completed == 4


async def test_foreign_data_among_the_metrics_is_passed_over(queue: Queue, redis: Any) -> None:
    key = f"evq:{{{queue.name}}}:metrics:{await minute_of(queue)}"
    redis.hset(key, mapping={"completed": 2, "failed": "many", "work:x": 7, b"\xff": -1})

    total = (await queue.metrics()).total
    assert (total.completed, total.failed, total.work.count) == (2, 0, 0)


async def test_a_moment_that_cannot_be_is_refused(queue: Queue) -> None:
    with pytest.raises(UsageError, match=r"since=2025-01-01 00:00:00: a moment needs a time zone"):
        await queue.metrics(datetime(2025, 1, 1))  # noqa: DTZ001 - that is the mistake
    with pytest.raises(UsageError, match="no metrics of the future"):
        await queue.metrics(timedelta(seconds=-5))


async def test_a_worker_s_jobs_are_in_the_figures(queue: Queue) -> None:
    @queue.task(retry=RetryPolicy(attempts=2, delay=0, jitter=0))
    async def work(seconds: float, *, fails: bool = False) -> None:
        await anyio.sleep(seconds)
        if fails:
            raise TemporaryError

    for _ in range(3):
        await work.enqueue(seconds=0.02)
    await work.enqueue(seconds=0.02, fails=True)
    await (await work.enqueue(seconds=9)).cancel()
    async with working(queue, concurrency=2):
        await until(lambda: ended(queue, 5))
    total = (await queue.metrics()).total

    assert (total.enqueued, total.started, total.retried) == (5, 5, 1)
    assert (total.completed, total.failed, total.cancelled) == (3, 1, 1)
    assert (total.failure_rate, total.wait.count, total.work.count) == (0.25, 5, 5)
    assert total.work.mean is not None
    assert 0.02 <= total.work.mean < 1


async def test_what_a_worker_has_done_is_counted_once(queue: Queue) -> None:
    queue.lease_ms = 1_000

    @queue.task
    async def work() -> None: ...

    begun = time.monotonic()
    async with working(queue, concurrency=2):
        await anyio.sleep(3.5)
    present = await minute_of(queue)
    counted = await read_buckets(queue.broker, range(present - 1, present + 1))
    capacity_ms = sum(numbers.get("capacity_ms", 0) for numbers in counted.values())
    assert 0 < capacity_ms <= (time.monotonic() - begun) * 1000 * 2


@pytest.mark.parametrize(("jobs", "least", "most"), [(1, 0, 0.6), (2, 0.6, 1)])
async def test_a_living_worker_tells_how_busy_it_is(queue: Queue, jobs: int, least: float, most: float) -> None:
    queue.lease_ms = 1_000  # so that it tells soon
    done = anyio.Event()

    @queue.task
    async def work() -> None:
        await done.wait()

    async with working(queue, concurrency=2):
        await queue.enqueue_many([work.job() for _ in range(jobs)])
        await until(lambda: has_told(queue), within=20)
        total = (await queue.metrics()).total
        done.set()

    assert total.utilisation is not None
    assert least < total.utilisation <= most  # of two places, as sampled
    assert total.rss > 1 << 20
