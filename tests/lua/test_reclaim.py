import pytest

from evq import Reply
from tests.lua.lua_bench import LEASE_MS, Bench

pytestmark = pytest.mark.anyio


async def test_a_lost_job_comes_back_in_front_and_counts_no_attempt(lua: Bench) -> None:
    job = await lua.start()
    waiting = await lua.enqueue()
    await lua.lose(job)
    assert lua.members("waiting") == [job.id, waiting]
    assert lua.record(job.id)["crashes"] == 1
    assert ("reclaimed", [job.id]) in lua.events()
    again = await lua.reserve()
    assert (again.id, again.attempt) == (job.id, 1)
    assert again.fence > job.fence


async def test_lost_jobs_keep_their_order(lua: Bench) -> None:
    jobs = []
    for _ in range(3):
        jobs.append(await lua.start())
        lua.later(1)
    await lua.outlive(LEASE_MS)
    await lua.broker.maintain(100)
    assert lua.members("waiting") == [job.id for job in jobs]


async def test_a_living_lease_stays(lua: Bench) -> None:
    job = await lua.start()
    lua.later(LEASE_MS - 1)
    assert await lua.broker.maintain(100) == 1
    assert lua.state(job.id) == "active"


async def test_a_lost_job_after_a_requested_cancel_ends_cancelled(lua: Bench) -> None:
    job = await lua.start()
    await lua.cancel(job.id)
    await lua.lose(job)
    assert lua.state(job.id) == "cancelled"
    assert (lua.members("waiting"), lua.members("active")) == ([], [])


async def test_reclaim_is_bounded_and_wakes_workers(lua: Bench) -> None:
    for _ in range(5):
        await lua.start()
    lua.redis.delete(lua.key("wake"))
    await lua.outlive(LEASE_MS)
    assert await lua.broker.maintain(3) == 0
    assert (len(lua.members("waiting")), len(lua.members("active")), lua.tokens()) == (3, 2, 3)


async def test_an_id_without_a_record_is_dropped(lua: Bench) -> None:
    job = await lua.start()
    lua.drop(job.id)
    await lua.outlive(LEASE_MS)
    await lua.broker.maintain(100)
    assert lua.members("active") == lua.members("waiting") == []


async def test_after_a_silence_living_workers_extend_their_leases_before_any_is_taken_back(lua: Bench) -> None:
    """Redis was away for an hour, or its clock has jumped."""
    jobs = [await lua.start() for _ in range(2)]
    await lua.beat("w1")
    lua.later(3_600_000)
    taken = await lua.take(worker="w2")
    assert (taken.jobs, taken.wait_ms) == ([], 500)
    await lua.beat("w2")
    assert await lua.broker.maintain(100) == 8_000
    lua.later(7_999)
    assert await lua.extend(jobs[0]) is Reply.OK
    assert await lua.broker.maintain(100) == 1
    lua.later(1)
    await lua.broker.maintain(100)
    assert [lua.state(job.id) for job in jobs] == ["active", "waiting"]


async def test_short_leases_are_held_for_half_their_time_only(lua: Bench) -> None:
    await lua.start()
    lua.later(LEASE_MS)
    await lua.beat("w2", lease_ms=3_001)
    assert await lua.broker.maintain(100) == 1_500
