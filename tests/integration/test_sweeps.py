"""Many jobs at once, beside workers that take them meanwhile; and what a queue says of those that wait."""

from typing import Any

import anyio
import pytest
import redis

from evq import CorruptRecord, Queue, Reply, RetryPolicy, State, UsageError, ValidationError, Worker
from evq.broker import ROOM
from tests.integration.running import reserve, until, working
from tests.lua.lua_bench import spoil

pytestmark = pytest.mark.anyio


@pytest.fixture
def client(redis_url: str) -> Any:
    with redis.Redis.from_url(redis_url) as client:
        yield client


async def test_a_drain_beside_a_busy_worker_leaves_no_job_and_stops_none(queue: Queue) -> None:
    interrupted: list[str] = []

    @queue.task
    async def nap(n: int) -> None:
        try:
            await anyio.sleep(0.02)
        except BaseException:
            interrupted.append("one")
            raise

    await queue.enqueue_many([nap.job(n=n) for n in range(5000)])
    async with working(queue, concurrency=50):
        await until(lambda: _ended(queue, 50))
        cancelled = await queue.drain()
        counts = await queue.counts()
        assert counts["waiting"] == 0
        await until(lambda: _ended(queue, 5000))
    assert interrupted == []
    assert (await queue.counts())["cancelled"] == cancelled > 0


async def _ended(queue: Queue, count: int) -> bool:
    counts = await queue.counts()
    return counts["completed"] + counts["cancelled"] >= count


async def test_a_drain_finds_jobs_that_go_from_one_place_to_another(queue: Queue) -> None:
    @queue.task
    async def never() -> None: ...

    await queue.pause()
    await queue.enqueue_many([never.job() for _ in range(3000)])
    await queue.enqueue_many([never.using(group=f"g{n % 9}", delay=0.05).job() for n in range(200)])
    async with working(queue):
        assert await queue.drain() == 3200
    assert (await queue.counts())["cancelled"] == 3200


async def test_a_drain_leaves_what_comes_after_it_began(queue: Queue) -> None:
    @queue.task
    async def never() -> None: ...

    await queue.enqueue_many([never.job() for _ in range(1000)])
    async with anyio.create_task_group() as group:

        async def go_on() -> None:
            await anyio.sleep(0.05)
            while True:
                await never.enqueue()

        group.start_soon(go_on)
        with anyio.fail_after(10):
            assert await queue.drain() >= 1000
        group.cancel_scope.cancel()


async def test_a_replay_of_jobs_that_fail_again_at_once_ends(queue: Queue) -> None:
    runs: list[int] = []

    @queue.task(retry=RetryPolicy(attempts=1))
    async def fail(n: int) -> None:
        runs.append(n)
        raise ValidationError("no")

    await queue.enqueue_many([fail.job(n=n) for n in range(300)])
    async with working(queue, concurrency=50):
        await until(lambda: _failed(queue, 300))
        assert await queue.replay_all() == 300
        await until(lambda: _failed(queue, 600))
    assert sorted(runs) == sorted([*range(300), *range(300)])


async def _failed(queue: Queue, count: int) -> bool:
    return (await queue.counts())["failed"] == count


async def test_jobs_can_be_chosen_by_their_task_and_their_group_wherever_they_are(queue: Queue) -> None:
    @queue.task
    async def one() -> None: ...

    @queue.task
    async def other() -> None: ...

    jobs = [task.using(group=group, delay=delay) for task in (one, other) for group in ("a", "b") for delay in (0, 60)]
    await queue.enqueue_many([task.job() for task in jobs])
    assert await queue.cancel_all("delayed", group="nobody") == 0
    assert await queue.cancel_all("delayed", group="a", task="one") == 1
    assert await queue.drain("a") == 3
    assert await queue.cancel_all(task="other") == 2
    assert await queue.replay_all("cancelled", group="b") == 2
    assert {(job.task, job.record.group) for job in await queue.jobs("waiting", of="b")} == {
        ("one", "b"),
        ("other", "b"),
    }


async def test_running_jobs_are_cancelled_only_if_one_says_so(queue: Queue) -> None:
    @queue.task
    async def nap() -> None: ...

    await queue.enqueue_many([nap.job() for _ in range(3)])
    held = await reserve(queue, "nap", 2)
    assert await queue.cancel_all() == 1
    assert await queue.cancel_all("active") == 2
    assert await queue.cancel(held[0].id) is Reply.REQUESTED


@pytest.mark.parametrize(("state", "of"), [("delayed", "a"), ("failed", "a"), ("parked", "")])
async def test_a_place_that_a_state_does_not_have_is_refused(queue: Queue, state: str, of: str) -> None:
    with pytest.raises(UsageError, match="of="):
        await queue.jobs(state, of=of)


@pytest.mark.parametrize("field", ["payload", "task", "state", "created", "rare"])
async def test_a_record_that_makes_no_sense_is_an_error_of_its_own_and_stepped_over_in_lists(
    queue: Queue, client: Any, field: str
) -> None:
    @queue.task
    async def nap() -> None: ...

    bad, good = await queue.enqueue_many([nap.job() for _ in range(2)])
    spoil(client, queue.broker.keys, bad.id, **{field: b"\xff{"})
    for read in (queue.get(bad.id), bad.refresh()):
        with pytest.raises(CorruptRecord, match="fsck"):
            await read
    assert [job.id for job in await queue.jobs("waiting")] == [good.id]
    assert await queue.cancel_all() == 1


class TestOldest:
    @pytest.fixture
    def nap(self, queue: Queue) -> Any:
        @queue.task
        async def nap() -> None: ...

        return nap

    async def age(self, queue: Queue) -> float:
        age = await queue.oldest_waiting()
        assert age is not None
        return age

    async def test_a_job_in_front_hides_no_older_one(self, queue: Queue, nap: Any) -> None:
        await nap.enqueue()
        await anyio.sleep(0.3)
        await nap.using(front=True).enqueue()
        assert await self.age(queue) >= 0.3

    async def test_of_jobs_in_front_it_is_the_last(self, queue: Queue, nap: Any) -> None:
        await nap.using(front=True).enqueue()
        await anyio.sleep(0.3)
        await nap.using(front=True).enqueue()
        await nap.enqueue()
        assert await self.age(queue) >= 0.3

    async def test_a_job_waits_from_when_it_could_start(self, queue: Queue, nap: Any) -> None:
        await nap.using(delay=0.5).enqueue()
        await anyio.sleep(0.6)
        await queue.broker.maintain(10)
        assert await self.age(queue) < 0.5

    async def test_it_may_have_any_priority_and_group(self, queue: Queue, nap: Any) -> None:
        await nap.using(priority=4000, group="a").enqueue()
        await anyio.sleep(0.3)
        await queue.enqueue_many([nap.using(priority=p).job() for p in (0, 5, 2048)])
        assert await self.age(queue) >= 0.3


async def test_large_payloads_come_in_answers_that_hold_nobody_up(queue: Queue) -> None:
    @queue.task
    async def keep(text: str) -> int:
        return len(text)

    jobs = await queue.enqueue_many([keep.job(text=str(n) * (ROOM // 2)) for n in range(9)])
    assert len(await reserve(queue, "keep", 9)) == 2
    await queue.enqueue_many([keep.using(group="a").job(text="x" * ROOM) for n in range(3)])
    assert len(await reserve(queue, "keep", 9)) <= 2
    async with working(queue, concurrency=20):
        assert [await job.result(5) for job in jobs[3:]] == [ROOM // 2] * 6


async def test_a_large_batch_of_large_jobs_is_cut_by_its_bytes(queue: Queue, client: Any) -> None:
    @queue.task
    async def keep(text: str) -> None: ...

    client.config_resetstat()
    await queue.enqueue_many([keep.job(text="x" * (ROOM // 3)) for _ in range(20)])
    assert client.info("commandstats")["cmdstat_evalsha"]["calls"] >= 10
    assert (await queue.counts())["waiting"] == 20


async def test_a_burst_takes_back_what_a_killed_one_has_left(queue: Queue) -> None:
    queue.lease_ms = 1000

    @queue.task
    async def nap() -> str:
        return "slept"

    job = await nap.enqueue()
    await reserve(queue, "nap", lease_ms=1000)
    await anyio.sleep(1.1)
    with anyio.fail_after(15):
        await Worker(queue).run(burst=True)
    assert (await job.refresh()).record.state is State.COMPLETED


async def test_a_group_may_have_any_name(queue: Queue) -> None:
    @queue.task
    async def nap() -> None: ...

    assert len(await queue.enqueue_many([nap.using(group="dedup").job() for _ in range(600)])) == 600
