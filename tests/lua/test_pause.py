import pytest

from tests.lua.lua_bench import Bench

pytestmark = pytest.mark.anyio


async def pause(lua: Bench, group: str = "") -> None:
    await lua.broker.run("pause", group=group)


async def resume(lua: Bench, group: str = "") -> None:
    await lua.broker.run("resume", group=group)


async def test_no_job_of_a_paused_queue_starts_and_those_that_run_go_on(lua: Bench) -> None:
    running = await lua.start()
    await lua.enqueue()
    await pause(lua)
    assert (await lua.take()).jobs == []
    assert await lua.ack(running) == "OK"


async def test_jobs_that_fall_due_while_paused_run_after_the_resume(lua: Bench) -> None:
    delayed = await lua.enqueue(delay=0.1)
    await pause(lua)
    lua.later(200)
    assert (await lua.take()).jobs == []
    lua.redis.delete(lua.key("wake"))
    await resume(lua)
    assert lua.tokens() == 32, "sleepers are not told"
    assert (await lua.reserve()).id == delayed


async def test_a_resumed_queue_is_as_if_it_had_never_been_paused(lua: Bench) -> None:
    await pause(lua)
    await resume(lua)
    assert not lua.redis.exists(lua.key("limits"))


async def test_a_paused_group_lets_the_others_run_and_nothing_is_lost(lua: Bench) -> None:
    held, free = await lua.enqueue(group="held"), await lua.enqueue(group="free")
    await pause(lua, "held")
    assert [job.id for job in (await lua.take(5)).jobs] == [free]
    also = await lua.enqueue(group="held")
    assert (await lua.take(5)).jobs == []
    await resume(lua, "held")
    assert [job.id for job in (await lua.take(5)).jobs] == [held, also]


async def test_pauses_and_resumes_are_events(lua: Bench) -> None:
    await pause(lua, "a")
    await resume(lua, "a")
    assert [name for name, _ in lua.events()] == ["paused", "resumed"]
