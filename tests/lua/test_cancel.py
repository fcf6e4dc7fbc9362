import pytest

from evq import Reply
from tests.lua.lua_bench import ENDS, KEEP_MS, Bench

pytestmark = pytest.mark.anyio


async def test_a_waiting_job_is_cancelled_at_once(lua: Bench) -> None:
    job_id = await lua.enqueue()
    assert await lua.cancel(job_id) is Reply.CANCELLED
    assert (lua.state(job_id), lua.members("waiting")) == ("cancelled", [])
    assert lua.events()[-1] == ("cancelled", [job_id])
    assert lua.members("cancelled") == [job_id]


async def test_a_delayed_job_is_cancelled_at_once(lua: Bench) -> None:
    job_id = await lua.enqueue(delay=0.1)
    assert await lua.cancel(job_id) is Reply.CANCELLED
    assert (lua.state(job_id), lua.members("delayed")) == ("cancelled", [])


async def test_a_parked_job_is_cancelled_at_once(lua: Bench) -> None:
    job_id = await lua.enqueue("strange")
    await lua.take()
    assert await lua.cancel(job_id) is Reply.CANCELLED
    assert (lua.state(job_id), lua.members("parked_of", "strange")) == ("cancelled", [])
    assert (await lua.take(tasks=("strange",))).jobs == []


async def test_an_active_job_is_asked_to_stop(lua: Bench) -> None:
    job = await lua.start()
    assert await lua.cancel(job.id) is Reply.REQUESTED
    assert await lua.cancel(job.id) is Reply.REQUESTED
    assert lua.state(job.id) == "active"
    assert lua.events()[-1] == ("cancel-requested", [job.id])


async def test_the_heart_of_its_worker_is_told_and_if_it_is_dead_not_for_ever(lua: Bench) -> None:
    job = await lua.start()
    await lua.cancel(job.id)
    assert 0 < lua.redis.pttl(lua.key("waiter_of", "w1.heart")) <= 60_000
    assert await lua.broker.next_told("w1.heart", 10) == job.id


async def test_an_ended_job_stays_as_it_is(lua: Bench) -> None:
    done, failed = await lua.start(), await lua.start()
    await lua.ack(done)
    await lua.fail(failed)
    cancelled = await lua.enqueue()
    await lua.cancel(cancelled)
    before = lua.everything()
    for job_id in (done.id, failed.id, cancelled):
        assert await lua.cancel(job_id) is Reply.ENDED
    assert lua.everything() == before


async def test_an_unknown_job_is_not_found(lua: Bench) -> None:
    assert await lua.cancel("0" * 26) is Reply.NOT_FOUND


async def test_the_hooks_of_a_cancelled_waiting_job_run_too(lua: Bench) -> None:
    job_id = await lua.enqueue(hooks=ENDS)
    await lua.cancel(job_id)
    assert lua.members("ended") == [job_id]
    lua.later(KEEP_MS)
    await lua.broker.maintain(100)
    assert lua.state(job_id) == "cancelled"
