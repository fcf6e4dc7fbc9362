import pytest

from evq import Reply
from evq.census import counts
from tests.lua.lua_bench import ENDS, KEEP_MS, Bench

pytestmark = pytest.mark.anyio


async def test_a_completed_job_has_its_result_and_its_time(lua: Bench) -> None:
    job = await lua.start()
    lua.later(5)
    assert await lua.ack(job, b'{"sent":true}') is Reply.OK
    record = lua.record(job.id)
    assert (record["state"], record["result"], record["ended"]) == ("completed", '{"sent":true}', lua.now)
    assert (lua.members("active"), lua.members("completed")) == ([], [job.id])
    assert lua.events()[-1] == ("completed", [job.id])
    assert (await counts(lua.broker))["completed"] == 1


async def test_success_beats_a_requested_cancel(lua: Bench) -> None:
    job = await lua.start()
    assert await lua.cancel(job.id) is Reply.REQUESTED
    assert await lua.ack(job) is Reply.OK
    assert lua.state(job.id) == "completed"


async def test_an_ended_job_is_kept_as_long_as_the_queue_wants_and_its_progress_an_hour(lua: Bench) -> None:
    job = await lua.start()
    await lua.progress(job)
    assert lua.redis.pttl(lua.key("progress_of", job.id)) == -1
    await lua.ack(job)
    assert 3_500_000 < lua.redis.pttl(lua.key("progress_of", job.id)) <= 3_600_000
    lua.later(KEEP_MS - 1)
    await lua.broker.maintain(100)
    assert lua.state(job.id) == "completed"
    lua.later(1)
    await lua.broker.maintain(100)
    assert (lua.state(job.id), lua.members("completed")) == (None, [])


async def test_several_jobs_are_settled_one_by_one_and_are_one_event(lua: Bench) -> None:
    first, stale, last = [await lua.start() for _ in range(3)]
    await lua.snooze(stale)
    await lua.reserve(worker="w2")
    assert await lua.settle("ack", [first, stale, last], b"1") == [Reply.OK, Reply.REPEATED, Reply.OK]
    assert lua.events()[-1] == ("completed", [first.id, last.id])


async def test_settling_and_reserving_are_one_round_trip_in_this_order(lua: Bench) -> None:
    job = await lua.start()
    following = await lua.enqueue()
    words, reserved = await lua.broker.exchange([lua.settle_call("ack", [job], b"1")], lua.reserve_call())
    assert words == [[Reply.OK]]
    assert reserved is not None
    assert [j.id for j in reserved.jobs] == [following]


async def test_each_end_takes_two_expired_ids_out_of_the_index(lua: Bench) -> None:
    ids = []
    for _ in range(6):
        job = await lua.start()
        await lua.ack(job)
        ids.append(job.id)
    lua.later(KEEP_MS)
    await lua.ack(last := await lua.start())
    assert lua.members("completed") == [*ids[2:], last.id]


async def test_a_hooked_job_is_put_on_the_ended_list_and_kept(lua: Bench) -> None:
    job = await lua.start(hooks=ENDS)
    lua.redis.delete(lua.key("wake"))
    await lua.ack(job)
    assert lua.members("ended") == [job.id]
    assert lua.tokens() == 1
    lua.later(KEEP_MS)
    await lua.broker.maintain(100)
    assert lua.state(job.id) == "completed"
