import pytest

from evq import Reply
from tests.lua.lua_bench import Bench

pytestmark = pytest.mark.anyio


async def test_a_job_waits_out_its_delay_and_counts_the_attempt(lua: Bench) -> None:
    job = await lua.start()
    lua.redis.delete(lua.key("wake"))
    assert await lua.backoff(job, 2000) is Reply.OK
    assert lua.tokens() == 1, "nobody sleeps until it is due"
    record = lua.record(job.id)
    assert (record["state"], record["due"], record["failures"]) == ("delayed", lua.now + 2000, 1)
    assert (lua.members("active"), lua.members("delayed")) == ([], [job.id])
    assert lua.events()[-1] == ("retried", [job.id])
    lua.later(2000)
    assert (await lua.reserve()).attempt == 2


async def test_a_backoff_after_a_requested_cancel_ends_cancelled(lua: Bench) -> None:
    job = await lua.start()
    await lua.cancel(job.id)
    assert await lua.backoff(job) is Reply.OK
    assert lua.state(job.id) == "cancelled"
    assert (lua.members("delayed"), lua.members("cancelled")) == ([], [job.id])
