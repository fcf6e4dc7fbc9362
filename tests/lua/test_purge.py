import pytest

from evq import JobOptions, NewJob
from evq.lifecycle import State
from tests.lua.lua_bench import KEEP_COUNT, Bench

pytestmark = pytest.mark.anyio


async def purge(lua: Bench, *, age_ms: int) -> int:
    _, count = await lua.broker.run("purge", state=State.COMPLETED, until_ms=lua.now - age_ms, limit=250)
    return int(count)


async def test_jobs_that_ended_long_enough_ago_are_deleted_portion_by_portion(lua: Bench) -> None:
    for _ in range(3):
        await lua.ack(await lua.start())
    lua.later(1000)
    young = await lua.start()
    await lua.ack(young)
    assert await purge(lua, age_ms=1000) == 3
    assert await purge(lua, age_ms=1000) == 0
    lua.later(999)
    assert await purge(lua, age_ms=1000) == 0
    assert lua.members("completed") == [young.id]
    assert lua.redis.hkeys(lua.key("records")) == [young.id]


async def test_what_hooks_have_not_been_told_of_is_not_purged(lua: Bench) -> None:
    job = await lua.start(hooks=["completed"])
    await lua.ack(job)
    assert await purge(lua, age_ms=0) == 0
    await lua.ack_ended(job.id, lua.seq(job.id))
    assert await purge(lua, age_ms=0) == 1


async def test_what_hooks_have_not_been_told_of_keeps_no_other_job(lua: Bench) -> None:
    owed = await lua.start(hooks=["completed"])
    await lua.ack(owed)
    lua.later(1)
    await lua.ack(await lua.start("parse"))
    lua.later(1)
    assert await lua.broker.run("purge", state=State.COMPLETED, until_ms=lua.now - 1, limit=1) == [1, 0]
    assert await lua.broker.run("purge", state=State.COMPLETED, until_ms=lua.now - 1, limit=1) == [1, 1]
    assert await lua.broker.run("purge", state=State.COMPLETED, until_ms=lua.now - 1, limit=1) == [0, 0]
    assert lua.members("completed") == [owed.id]


async def test_those_whose_hooks_have_not_run_count_but_keep_no_other_job(lua: Bench) -> None:
    for task, hooks, portions in (("send", ["completed"], 1), ("parse", [], KEEP_COUNT // 100 + 2)):
        for _ in range(portions):
            await lua.broker.enqueue(
                [NewJob(task=task, payload=b"{}", options=JobOptions().to_wire(hooks)) for _ in range(100)]
            )
            await lua.settle("ack", (await lua.take(100, tasks=[task])).jobs, b"1")
            lua.later(1)
    assert len(lua.members("completed")) == KEEP_COUNT
    assert set(lua.members("ended")) <= set(lua.members("completed"))


async def test_no_more_ended_jobs_are_kept_than_the_queue_wants(lua: Bench) -> None:
    ids = [await lua.enqueue() for _ in range(KEEP_COUNT + 20)]
    for start in range(0, len(ids), 100):
        jobs = (await lua.take(100)).jobs
        assert [job.id for job in jobs] == ids[start : start + 100]
        await lua.settle("ack", jobs, b"1")
    assert lua.members("completed") == ids[20:]
    assert set(lua.redis.hkeys(lua.key("records"))) == set(ids[20:])
