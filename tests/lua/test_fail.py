import orjson
import pytest

from evq import Reply
from tests.lua.lua_bench import Bench

pytestmark = pytest.mark.anyio


async def test_a_failed_job_has_its_error_and_counts_the_attempt(lua: Bench) -> None:
    job = await lua.start()
    assert await lua.fail(job) is Reply.OK
    record = lua.record(job.id)
    assert (record["state"], record["failures"]) == ("failed", 1)
    assert orjson.loads(record["error"])["type"] == "ValueError"
    assert lua.members("failed") == [job.id]
    assert lua.events()[-1] == ("failed", [job.id])


async def test_a_failure_after_a_requested_cancel_ends_cancelled(lua: Bench) -> None:
    job = await lua.start()
    await lua.cancel(job.id)
    assert await lua.fail(job) is Reply.OK
    assert lua.state(job.id) == "cancelled"
    assert (lua.members("cancelled"), lua.members("failed")) == ([job.id], [])
    assert lua.events()[-1] == ("cancelled", [job.id])
