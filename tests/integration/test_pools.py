"""Pools that share the workers of a queue, with real processes."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import psutil
import pytest

import evq.pool
from evq import Queue, QueueUnavailable, UsageError, WorkerPool
from evq.embedded import private_redis

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]

Running = Callable[..., AbstractAsyncContextManager[WorkerPool]]


@pytest.fixture
def running(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> Running:
    """Run a pool of real processes, which beats so seldom that it must be told of whatever it is to do."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(evq.pool, "BEAT_MS", 60_000)
    monkeypatch.setattr(evq.pool, "LOST_MS", 60_000)

    @asynccontextmanager
    async def run(processes: int, capacity: int = 4, *, on: Queue = queue) -> AsyncIterator[WorkerPool]:
        monkeypatch.setenv("EVQ_REDIS_URL", on.url)
        monkeypatch.setenv("TEST_QUEUE", on.name)
        pool = WorkerPool(
            "tests.integration.pool_jobs:queue", queue=on, processes=processes, capacity=capacity, log_level="ERROR"
        )
        async with anyio.create_task_group() as group:
            await group.start(pool.run)
            yield pool
            pool.stop()

    return run


async def until(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(15):
        while not condition():
            await anyio.sleep(0.02)


def sizes(*pools: WorkerPool) -> list[int]:
    return [len(pool.pids) for pool in pools]


async def test_workers_come_and_go_while_jobs_run_and_no_job_is_lost_or_tried_twice(
    queue: Queue, running: Running
) -> None:
    jobs = await queue.enqueue_many([queue.job("nap", {"seconds": 0.05}) for _ in range(80)])
    async with running(1) as pool:
        await until(lambda: sizes(pool) == [1])
        assert await queue.scale(4) == 4
        await until(lambda: sizes(pool) == [4])
        ran = {await job.result(15) for job in jobs[:30]}
        assert await queue.scale(1) == 1
        ran |= {await job.result(15) for job in jobs[30:]}
        await until(lambda: sizes(pool) == [1])
    for job in jobs:
        record = (await job.refresh()).record
        assert (record.status, record.failures, record.crashes) == ("completed", 0, 0)
    assert 2 <= len(ran) <= 4


async def test_a_removed_worker_ends_its_job_before_it_leaves(queue: Queue, running: Running) -> None:
    async with running(2, capacity=3) as pool:
        jobs = await queue.enqueue_many([queue.job("nap", {"seconds": 0.5}) for _ in range(2)])
        while (await queue.counts())["active"] < 2:
            await anyio.sleep(0.02)
        await pool.remove_worker()
        assert sizes(pool) == [1]
        assert (await queue.counts())["completed"] >= 1
        assert [await job.result(5) for job in jobs]
        assert [(await job.refresh()).record.crashes for job in jobs] == [0, 0]
        await pool.add_worker()
        await until(lambda: sizes(pool) == [2])
        await pool.scale(0)
        assert sizes(pool) == [0]


async def test_a_worker_that_drains_is_none_of_those_that_are_wanted(queue: Queue, running: Running) -> None:
    async with running(1) as pool:
        (job,) = await queue.enqueue_many([queue.job("nap", {"seconds": 3})])
        while not (await queue.counts())["active"]:
            await anyio.sleep(0.02)
        await queue.scale(0)
        await until(lambda: all(member.stopping for member in pool._members))
        await queue.scale(1)
        await until(lambda: sizes(pool) == [2])
        assert await job.result(15)


async def test_pools_share_what_is_wanted_each_up_to_its_capacity(queue: Queue, running: Running) -> None:
    async with running(0, capacity=1) as small, running(0, capacity=3) as large:
        assert await queue.scale(10) == 4
        await until(lambda: sizes(small, large) == [1, 3])
        assert await queue.scale(2) == 2
        await until(lambda: sizes(small, large) == [1, 1])
        await large.add_worker()
        await until(lambda: sizes(small, large) == [1, 2])
        assert await queue.scale(None) == 0
        await until(lambda: sizes(small, large) == [0, 0])


async def test_the_share_of_a_pool_that_leaves_or_is_lost_is_taken_over(
    queue: Queue, running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evq.pool, "BEAT_MS", 100)
    await queue.scale(4)
    await queue.broker.run("join", pool="lost", capacity=8, processes=0, ttl_ms=1000)  # and never again
    async with running(0, capacity=4) as pool:
        await until(lambda: sizes(pool) == [2])
        await until(lambda: sizes(pool) == [4])
        async with running(0, capacity=4) as other:
            await until(lambda: sizes(pool, other) == [2, 2])
        await until(lambda: sizes(pool) == [4])


async def test_a_pool_that_stops_starts_nothing_more(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    with anyio.fail_after(10):
        async with running(0) as pool:
            join = pool._join

            async def late(ttl_ms: int) -> tuple[int, dict[str, int]]:
                answer = await join(ttl_ms)
                pool.stop()
                await anyio.sleep(0.05)
                return answer

            monkeypatch.setattr(pool, "_join", late)
            await pool.scale(1)
    assert pool.pids == []


async def test_without_redis_a_pool_keeps_its_workers_replaces_dead_ones_and_stops(running: Running) -> None:
    with ExitStack() as redis:
        queue = Queue("outage", redis=redis.enter_context(private_redis()))
        await queue.scale(1)
        async with running(3, on=queue) as pool:
            await until(lambda: sizes(pool) == [1])
            while not await queue.workers():
                await anyio.sleep(0.02)
            redis.close()
            with pytest.raises(QueueUnavailable):
                await pool.scale(2)
            (pid,) = pool.pids
            psutil.Process(pid).kill()
            await until(lambda: sizes(pool) == [1] and pool.pids != [pid])
            with anyio.fail_after(10):
                pool.stop()
                while pool.pids:
                    await anyio.sleep(0.02)
        async with running(2, on=queue) as pool:
            await until(lambda: sizes(pool) == [2])
        await queue.close()


@pytest.mark.parametrize("count", [-1, 1.5, "3"])
async def test_a_number_of_workers_that_cannot_be_is_refused(queue: Queue, count: Any) -> None:
    with pytest.raises(UsageError, match=r"count=.*use a whole number from 0"):
        await queue.scale(count)
