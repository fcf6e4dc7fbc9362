import pytest

from evq import Reply
from tests.lua.lua_bench import Bench

pytestmark = pytest.mark.anyio


async def test_a_job_handed_back_goes_in_front_and_counts_no_attempt(lua: Bench) -> None:
    job = await lua.start()
    waiting = await lua.enqueue()
    lua.redis.delete(lua.key("wake"))
    assert await lua.snooze(job) is Reply.OK
    assert lua.members("waiting") == [job.id, waiting]
    assert lua.tokens() == 1
    assert lua.events()[-1] == ("snoozed", [job.id])
    assert (await lua.reserve()).attempt == 1


async def test_the_front_is_that_of_the_same_priority(lua: Bench) -> None:
    job = await lua.start(priority=100)
    urgent = await lua.enqueue(priority=99)
    await lua.snooze(job)
    assert lua.members("waiting") == [urgent, job.id]


async def test_jobs_handed_back_together_keep_their_order(lua: Bench) -> None:
    jobs = [await lua.start() for _ in range(3)]
    await lua.settle("snooze", jobs, 0)
    assert lua.members("waiting") == [job.id for job in jobs]


async def test_a_job_snoozed_with_a_delay_comes_back_after_it(lua: Bench) -> None:
    job = await lua.start()
    await lua.snooze(job, 300)
    assert (lua.state(job.id), lua.members("delayed")) == ("delayed", [job.id])
    lua.later(300)
    assert (await lua.reserve()).attempt == 1


@pytest.mark.parametrize("delay_ms", [0, 1])
async def test_a_snooze_beyond_the_deadline_ends_the_job(lua: Bench, delay_ms: int) -> None:
    job = await lua.start(deadline=1)
    lua.later(1000 - delay_ms)
    assert await lua.snooze(job, delay_ms) is Reply.OK
    assert (lua.state(job.id), lua.members("deadlines")) == ("failed", [])
    assert "DeadlineExceeded" in lua.record(job.id)["error"]


@pytest.mark.parametrize("delay_ms", [0, 300])
async def test_a_snooze_after_a_requested_cancel_ends_cancelled(lua: Bench, delay_ms: int) -> None:
    job = await lua.start()
    await lua.cancel(job.id)
    assert await lua.snooze(job, delay_ms) is Reply.OK
    assert lua.state(job.id) == "cancelled"
    assert lua.members("waiting") == lua.members("delayed") == []
