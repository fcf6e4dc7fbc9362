"""Sleeping workers: a blocking pop with a reserve behind it."""

import anyio
import pytest

from evq.broker import Reserved
from tests.lua.lua_bench import Bench

pytestmark = pytest.mark.anyio


async def sleep(lua: Bench, wait_ms: int, found: list[Reserved]) -> None:
    found.append(await lua.broker.sleep("w1", wait_ms, lua.reserve_call()))


async def test_an_enqueue_wakes_a_sleeper_which_comes_back_with_the_job(lua: Bench) -> None:
    found: list[Reserved] = []
    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            group.start_soon(sleep, lua, 60_000, found)
            job_id = await lua.enqueue()
    assert [job.id for job in found[0].jobs] == [job_id]


async def test_a_sleeper_can_be_roused_by_name(lua: Bench) -> None:
    found: list[Reserved] = []
    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            group.start_soon(sleep, lua, 60_000, found)
            await lua.broker.tell("w1", "stop")
    assert found[0].jobs == []
    await lua.broker.tell("w1", "stop")
    assert 0 < lua.redis.pttl(lua.key("waiter_of", "w1")) <= 60_000, "nobody may be there to hear it"


async def test_a_sleep_ends_by_itself_and_looks_for_jobs_then(lua: Bench) -> None:
    job_id = await lua.enqueue()
    lua.redis.delete(lua.key("wake"))
    found: list[Reserved] = []
    await sleep(lua, 1, found)
    assert [job.id for job in found[0].jobs] == [job_id]


async def test_flushed_scripts_are_sent_again(lua: Bench) -> None:
    job_id = await lua.enqueue()
    lua.redis.script_flush()
    found: list[Reserved] = []
    await sleep(lua, 1, found)
    assert [job.id for job in found[0].jobs] == [job_id]
