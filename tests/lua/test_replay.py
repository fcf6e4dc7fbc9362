import pytest

from evq import Reply
from tests.lua.lua_bench import ENDS, Bench

pytestmark = pytest.mark.anyio


async def test_a_failed_job_runs_again_with_all_its_attempts_and_a_higher_fence(lua: Bench) -> None:
    job = await lua.start()
    await lua.progress(job, 80)
    await lua.fail(job)
    lua.redis.delete(lua.key("wake"))
    assert await lua.replay(job.id) is Reply.OK
    assert lua.tokens() == 1
    record = lua.record(job.id)
    assert record["state"] == "waiting"
    assert record["failures"] == 0
    assert not record.keys() & {"error", "ended", "settled", "cancel"}
    assert lua.members("failed") == []
    assert lua.events()[-1] == ("replayed", [job.id])
    again = await lua.reserve()
    assert (again.fence, again.attempt, again.progress) == (job.fence + 1, 1, None)
    assert await lua.ack(job) is Reply.STALE
    assert await lua.ack(again) is Reply.OK


async def test_a_cancelled_job_runs_again_and_is_not_cancelled_once_more(lua: Bench) -> None:
    job = await lua.start()
    await lua.cancel(job.id)
    await lua.fail(job)
    assert await lua.replay(job.id) is Reply.OK
    assert await lua.extend(await lua.reserve()) is Reply.OK
    assert lua.members("cancelled") == []


async def test_only_jobs_that_ended_without_success_are_replayed(lua: Bench) -> None:
    job = await lua.start()
    assert await lua.replay(job.id) is Reply.NOT_ENDED
    await lua.ack(job)
    assert await lua.replay(job.id) is Reply.COMPLETED
    assert await lua.replay("0" * 26) is Reply.NOT_FOUND


async def test_a_replayed_job_does_not_run_the_hooks_of_its_earlier_end(lua: Bench) -> None:
    job = await lua.start(hooks=ENDS)
    await lua.fail(job)
    await lua.replay(job.id)
    assert lua.members("ended") == []
    assert await lua.reserve_ended() == []
