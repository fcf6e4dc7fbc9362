import pytest

from evq import NewJob, Reply
from tests.lua.lua_bench import LEASE_MS, Bench

pytestmark = pytest.mark.anyio


async def test_the_oldest_comes_first_among_equals(lua: Bench) -> None:
    ids = [await lua.enqueue() for _ in range(3)]
    assert [(await lua.reserve()).id for _ in ids] == ids


async def test_a_lower_priority_number_comes_first(lua: Bench) -> None:
    late, early, middle = [await lua.enqueue(priority=p) for p in (4095, 0, 2048)]
    assert [job.id for job in (await lua.take(3)).jobs] == [early, middle, late]


async def test_a_lease_has_a_deadline_a_worker_and_a_fence(lua: Bench) -> None:
    job = await lua.start()
    assert (job.fence, job.failures, job.progress, job.payload) == (lua.now, 0, None, b'{"n":1}')
    assert lua.scores("active")[job.id] == lua.now + LEASE_MS
    record = lua.record(job.id)
    assert (record["state"], record["worker"], record["started"]) == ("active", "w1", lua.now)


async def test_every_reserve_raises_the_fence(lua: Bench) -> None:
    job = await lua.start()
    await lua.snooze(job)
    again = await lua.reserve()
    assert (again.id, again.fence) == (job.id, job.fence + 1)


async def test_no_fence_comes_twice_though_redis_has_lost_its_last_writes(lua: Bench) -> None:
    job_id = await lua.enqueue()
    record = lua.record(job_id)
    lost = await lua.reserve()
    lua.redis.delete(lua.key("active"))
    lua.spoil(job_id, **record)
    lua.redis.zadd(lua.key("waiting"), {job_id: 0})
    lua.later(1)
    again = await lua.reserve()
    assert again.fence > lost.fence
    assert await lua.ack(lost) is Reply.STALE
    assert await lua.ack(again) is Reply.OK


async def test_at_most_the_wanted_number_comes_and_the_rest_wakes_another_worker(lua: Bench) -> None:
    await lua.broker.enqueue([NewJob(task="send", payload=b"{}") for _ in range(3)])
    lua.redis.delete(lua.key("wake"))
    taken = await lua.take(2)
    assert (len(taken.jobs), taken.wait_ms) == (2, 0)
    assert lua.tokens() == 1


async def test_an_empty_queue_says_that_nothing_will_fall_due(lua: Bench) -> None:
    taken = await lua.take()
    assert (taken.jobs, taken.parked, taken.wait_ms) == ([], {}, None)


async def test_the_wait_is_until_the_next_delayed_job_or_the_next_lease(lua: Bench) -> None:
    await lua.enqueue(delay=0.7)
    assert (await lua.take()).wait_ms == 700
    await lua.enqueue()
    assert (await lua.take(lease_ms=300)).wait_ms == 300


async def test_a_due_job_is_taken_without_waiting_for_a_promote(lua: Bench) -> None:
    job_id = await lua.enqueue(delay=0.7)
    lua.later(699)
    assert (await lua.take()).jobs == []
    lua.later(1)
    assert (await lua.reserve()).id == job_id


async def test_a_lost_job_is_taken_without_waiting_for_a_reclaim(lua: Bench) -> None:
    job = await lua.start()
    await lua.outlive(LEASE_MS - 1)
    assert (await lua.take()).jobs == []
    lua.later(1)
    again = await lua.reserve(worker="w2")
    assert (again.id, again.attempt) == (job.id, 1)


async def test_a_job_of_an_unknown_task_is_parked_and_reported_and_keeps_nobody(lua: Bench) -> None:
    strange = await lua.enqueue("strange")
    known = await lua.enqueue()
    taken = await lua.take(2)
    assert ([job.id for job in taken.jobs], list(taken.parked)) == ([known], [strange])
    assert lua.state(strange) == "parked"
    assert ("parked", [strange]) in lua.events()
    assert (await lua.take(2)).parked == {}


async def test_a_worker_that_parks_jobs_wakes_others_who_may_know_them(lua: Bench) -> None:
    for _ in range(2):
        await lua.enqueue("strange")
    lua.redis.delete(lua.key("wake"))
    await lua.take(2)
    assert lua.tokens() == 2


async def test_parked_jobs_run_in_their_order_once_a_worker_knows_the_task(lua: Bench) -> None:
    late, first, second = [await lua.enqueue("strange", priority=p) for p in (9, 1, 1)]
    assert list((await lua.take(3)).parked) == [first, second, late]
    taken = await lua.take(3, tasks=("send", "strange"))
    assert [job.id for job in taken.jobs] == [first, second, late]
    assert lua.redis.exists(lua.key("parked_tasks")) == 0


async def test_only_as_many_parked_jobs_come_as_there_is_room_for(lua: Bench) -> None:
    for _ in range(3):
        await lua.enqueue("strange")
    await lua.take(3)
    assert len((await lua.take(2, tasks=("strange",))).jobs) == 2
    assert len((await lua.take(2, tasks=("strange",))).jobs) == 1


async def test_a_later_attempt_sees_the_progress_of_the_earlier_one(lua: Bench) -> None:
    job = await lua.start()
    await lua.progress(job, 40)
    await lua.lose(job)
    again = await lua.reserve()
    assert again.progress is not None
    assert again.progress.percentage == 40


async def test_a_waiting_id_without_a_record_is_dropped(lua: Bench) -> None:
    lost = await lua.enqueue()
    kept = await lua.enqueue()
    lua.drop(lost)
    assert [job.id for job in (await lua.take(2)).jobs] == [kept]
    assert lua.members("waiting") == []


@pytest.mark.parametrize("state", ["completed", "delayed", "active"])
async def test_a_waiting_id_of_a_job_that_does_not_wait_is_dropped(lua: Bench, state: str) -> None:
    job_id = await lua.enqueue()
    lua.spoil(job_id, state=state)
    assert (await lua.take()).jobs == []
    assert (lua.state(job_id), lua.members("waiting"), lua.members("active")) == (state, [], [])


async def test_a_parked_id_without_a_record_is_dropped(lua: Bench) -> None:
    lost = await lua.enqueue("strange")
    await lua.take()
    lua.drop(lost)
    assert (await lua.take(tasks=("strange",))).jobs == []
    assert lua.redis.exists(lua.key("parked_tasks")) == 0


async def test_500_jobs_come_in_one_call(lua: Bench) -> None:
    await lua.broker.enqueue([NewJob(task="send", payload=b"{}") for _ in range(500)])
    assert len((await lua.take(500)).jobs) == 500


async def test_the_jobs_of_one_call_are_one_event(lua: Bench) -> None:
    await lua.broker.enqueue([NewJob(task="send", payload=b"{}") for _ in range(3)])
    taken = await lua.take(3)
    assert lua.events()[-1] == ("reserved", [job.id for job in taken.jobs])


async def test_of_many_parked_jobs_a_worker_that_knows_them_gets_all(lua: Bench) -> None:
    for _ in range(100):
        await lua.enqueue("rare")
    await lua.take(100, tasks=["other"])
    first = await lua.take(100, tasks=["rare"])
    assert first.wait_ms == 0
    assert len(first.jobs) + len((await lua.take(100, tasks=["rare"])).jobs) == 100
