import pytest

from tests.lua.lua_bench import LEASE_MS, Bench

pytestmark = pytest.mark.anyio


async def test_a_lost_job_comes_back_in_front_and_counts_no_attempt(lua: Bench) -> None:
    job = await lua.start()
    waiting = await lua.enqueue()
    await lua.lose(job)
    assert lua.members("waiting") == [job.id, waiting]
    assert lua.record(job.id)["crashes"] == "1"
    assert ("reclaimed", [job.id]) in lua.events()
    again = await lua.reserve()
    assert (again.id, again.fence, again.attempt) == (job.id, job.fence + 1, 1)


async def test_lost_jobs_keep_their_order(lua: Bench) -> None:
    jobs = []
    for _ in range(3):
        jobs.append(await lua.start())
        lua.later(1)
    lua.later(LEASE_MS)
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
    lua.later(LEASE_MS)
    assert await lua.broker.maintain(3) == 0
    assert (len(lua.members("waiting")), len(lua.members("active")), lua.tokens()) == (3, 2, 3)


async def test_an_id_without_a_record_is_dropped(lua: Bench) -> None:
    job = await lua.start()
    lua.redis.delete(lua.key("job_of", job.id))
    lua.later(LEASE_MS)
    await lua.broker.maintain(100)
    assert lua.members("active") == lua.members("waiting") == []
