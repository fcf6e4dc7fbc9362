import orjson
import pytest

from evq import Reply
from tests.lua.lua_bench import Bench

pytestmark = pytest.mark.anyio


async def test_progress_is_stored_with_a_higher_sequence_number(lua: Bench) -> None:
    job = await lua.start()
    before = lua.seq(job.id)
    assert await lua.progress(job, 25, current_step="parse", total_steps=5, completed_steps=1) is Reply.OK
    assert lua.seq(job.id) == before + 1
    assert orjson.loads(lua.redis.get(lua.key("progress_of", job.id))) == {
        "percentage": 25,
        "currentStep": "parse",
        "totalSteps": 5,
        "completedSteps": 1,
        "estimatedTimeRemaining": None,
    }
    assert lua.events()[-1] == ("progress", [job.id])


async def test_progress_after_the_end_is_ignored(lua: Bench) -> None:
    job = await lua.start()
    await lua.ack(job)
    assert await lua.progress(job) is Reply.REPEATED
    assert lua.redis.get(lua.key("progress_of", job.id)) is None


async def test_the_event_carries_the_progress_and_the_sequence_number_that_the_job_has_now(lua: Bench) -> None:
    job = await lua.start()
    await lua.progress(job, 25)
    ((_, fields),) = lua.redis.xrevrange(lua.key("events"), count=1)
    assert fields["seq"] == str(lua.seq(job.id))
    assert fields["progress"] == lua.redis.get(lua.key("progress_of", job.id))
