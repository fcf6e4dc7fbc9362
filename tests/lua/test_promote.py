import pytest

from tests.lua.lua_bench import Bench

pytestmark = pytest.mark.anyio


async def test_equal_due_times_keep_the_order_of_the_ids(lua: Bench) -> None:
    ids = [await lua.enqueue(delay=0.1) for _ in range(12)]
    lua.later(100)
    await lua.broker.maintain(100)
    assert lua.members("waiting") == ids


async def test_only_due_jobs_are_promoted_and_the_wait_for_the_next_is_told(lua: Bench) -> None:
    soon = await lua.enqueue(delay=0.1)
    late = await lua.enqueue(delay=0.25)
    lua.later(100)
    assert await lua.broker.maintain(100) == 150
    assert (lua.members("waiting"), lua.members("delayed")) == ([soon], [late])


async def test_a_promoted_job_keeps_its_priority_and_comes_behind_those_that_wait(lua: Bench) -> None:
    delayed = await lua.enqueue(delay=0.1)
    waiting = await lua.enqueue()
    urgent = await lua.enqueue(delay=0.1, priority=1)
    lua.later(100)
    await lua.broker.maintain(100)
    assert lua.members("waiting") == [urgent, waiting, delayed]


async def test_promotion_is_bounded_and_wakes_workers(lua: Bench) -> None:
    for _ in range(5):
        await lua.enqueue(delay=0.1)
    lua.later(100)
    lua.redis.delete(lua.key("wake"))
    assert await lua.broker.maintain(3) == 0
    assert (len(lua.members("waiting")), lua.tokens()) == (3, 3)


async def test_promotion_raises_the_sequence_number(lua: Bench) -> None:
    job_id = await lua.enqueue(delay=0.1)
    lua.later(100)
    await lua.broker.maintain(100)
    assert lua.record(job_id)["seq"] == 1


async def test_an_id_without_a_record_is_dropped(lua: Bench) -> None:
    lost = await lua.enqueue(delay=0.1)
    lua.drop(lost)
    lua.later(100)
    assert await lua.broker.maintain(100) is None
    assert lua.members("delayed") == lua.members("waiting") == []
