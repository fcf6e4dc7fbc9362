"""Clocks are wrong, and jump."""

import time
from collections.abc import Mapping

import anyio
import pytest

from evq.lifecycle import State
from tests.chaos.clock import Clock
from tests.chaos.scene import Scene

pytestmark = pytest.mark.anyio

HOUR = 3600


async def test_f19_workers_whose_clocks_are_an_hour_off_and_jump_do_no_harm(scene: Scene, clock: Clock) -> None:
    ahead = await scene.worker("--concurrency", "4", environ=clock.environ)
    await scene.worker("--concurrency", "5")
    clock.step(HOUR)
    jobs = await scene.enqueue_many("work", [{"ms": 1.5 * scene.lease * 1000}] * 8)
    for job in jobs:
        await scene.until_running(job)
    clock.step(-HOUR)
    jobs += await scene.enqueue_many("work", [{}], delay=1)
    enqueued = time.monotonic()
    assert [await scene.run(job) for job in jobs] == [1] * 9
    (start,) = scene.journal.entries("started", jobs[-1].id)
    assert 1 <= start.at - enqueued + 0.05 < 2
    starts = [entry for entry in scene.journal.entries("started") if entry.pid == ahead.pid]
    assert {round((entry.more["wall"] - time.time()) / HOUR) for entry in starts} - {0}, "no clock was wrong"
    await scene.verify()


async def test_f20_a_redis_that_stood_still_for_longer_than_a_lease_takes_nothing_from_the_living(scene: Scene) -> None:
    workers = [await scene.worker("--concurrency", "4") for _ in range(2)]
    jobs = await scene.enqueue_many("work", [{"ms": 5 * scene.lease * 1000}] * 8)
    for job in jobs:
        await scene.until_running(job)
    leases = scene.redis.client.zrange(scene.queue.broker.keys["active"], 0, -1, withscores=True)
    scene.redis.suspend()
    await anyio.sleep(2 * scene.lease)
    now = time.time() * 1000
    scene.redis.resume()
    assert all(until + scene.lease * 1000 < now for _, until in leases), "the leases had not run out"
    assert [await scene.run(job, within=30) for job in jobs] == [1] * 8
    assert {entry.pid for entry in scene.journal.entries("started")} == {worker.pid for worker in workers}
    await scene.verify()


class TestOfRedis:
    """The clock of Redis decides: what it says of leases that are over is not believed before a worker was heard."""

    @pytest.fixture
    def redis_environ(self, clock: Clock) -> Mapping[str, str]:
        return clock.environ

    async def test_f20_a_redis_whose_clock_jumps_ahead_runs_every_job_once(self, scene: Scene, clock: Clock) -> None:
        await scene.worker("--concurrency", "4")
        jobs = await scene.enqueue_many("work", [{"ms": 1000}] * 6)
        (later,) = await scene.enqueue_many("work", [{}], delay=HOUR)
        await scene.until_running(jobs[0])
        before = scene.redis.client.time()[0]
        scene.journal.write("fault", kind="clock")
        clock.step(HOUR + 1)
        assert scene.redis.client.time()[0] - before > HOUR
        assert [await scene.run(job) for job in [*jobs, later]] == [1] * 7
        await scene.verify()

    async def test_f20_a_redis_whose_clock_falls_back_delays_nothing_that_comes_after(
        self, scene: Scene, clock: Clock
    ) -> None:
        await scene.worker()
        await scene.run(await scene.enqueue("work"))
        running = await scene.enqueue("work", ms=2 * scene.lease * 1000)
        (before,) = await scene.enqueue_many("work", [{}], delay=1)
        await scene.until_running(running)
        clock.step(-300)
        assert time.time() - scene.redis.client.time()[0] > 200
        (after,) = await scene.enqueue_many("work", [{}], delay=1)
        enqueued = time.monotonic()
        assert await scene.run(running) == 1
        assert await scene.run(after) == 1
        assert time.monotonic() - enqueued < 2 * scene.lease + 2
        assert (await before.refresh()).record.state is State.DELAYED, "the clock had not fallen back"
        clock.step(0)
        await scene.verify()
