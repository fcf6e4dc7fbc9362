"""schedule, unschedule, due_schedules: schedules are kept, and listed when they are due."""

from collections.abc import AsyncIterator

import pytest

from evq import Queue, Reply, UsageError
from evq.errors import QueueFull
from evq.schedules import Schedule, from_ms, to_ms
from tests.lua.lua_bench import START_MS, Bench

pytestmark = pytest.mark.anyio

MINUTE_MS = 60_000
NEVER = -1


@pytest.fixture
async def queue(lua: Bench, server_url: str) -> AsyncIterator[Queue]:
    """Look at the bench's queue as its operators do."""
    async with Queue(lua.name, redis=server_url) as queue:
        yield queue


def a_schedule(name: str = "nightly", *, cron: str = "* * * * *", in_ms: int = MINUTE_MS) -> Schedule:
    return Schedule(name=name, task="send", payload={"n": 1}, options={}, cron=cron, next=from_ms(START_MS + in_ms))


async def due(lua: Bench, limit: int = 10) -> tuple[int, int, list[tuple[bytes, int, bytes]]]:
    """List what is due: the time, ms until the next is, and the name, instant and spec of each."""
    now_ms, wait_ms, *flat = await lua.broker.run("due_schedules", limit=limit)
    return now_ms, wait_ms, list(zip(flat[::3], flat[1::3], flat[2::3], strict=True))


async def test_what_was_stored_is_listed_the_next_first(lua: Bench, queue: Queue) -> None:
    later, sooner = a_schedule("a", in_ms=2 * MINUTE_MS), a_schedule("b")
    for schedule in (later, sooner):
        assert await lua.schedule(schedule) == to_ms(schedule.next)
    assert await queue.schedules() == [sooner, later]


async def test_a_schedule_that_has_not_changed_keeps_its_next_instant(lua: Bench) -> None:
    await lua.schedule(a_schedule())
    assert await lua.schedule(a_schedule(in_ms=7 * MINUTE_MS)) == START_MS + MINUTE_MS
    assert lua.scores("schedules") == {"nightly": START_MS + MINUTE_MS}


async def test_a_schedule_that_has_changed_gets_a_new_next_instant(lua: Bench, queue: Queue) -> None:
    await lua.schedule(a_schedule())
    changed = a_schedule(cron="*/7 * * * *", in_ms=7 * MINUTE_MS)
    assert await lua.schedule(changed) == START_MS + 7 * MINUTE_MS
    assert await queue.schedules() == [changed]


async def test_a_schedule_that_is_forgotten_leaves_nothing(lua: Bench) -> None:
    before = lua.everything()
    await lua.schedule(a_schedule())
    assert await lua.unschedule("nightly") is Reply.OK
    assert await lua.unschedule("nightly") is Reply.NOT_FOUND
    assert lua.everything() == before


async def test_schedules_are_due_by_the_clock_of_redis(lua: Bench) -> None:
    sooner, later = a_schedule("a", in_ms=1000), a_schedule("b", in_ms=5000)
    assert await due(lua) == (START_MS, NEVER, [])
    for schedule in (sooner, later):
        await lua.schedule(schedule)
    lua.later(999)
    assert await due(lua) == (START_MS + 999, 1, [])
    lua.later(1)
    assert await due(lua) == (START_MS + 1000, 4000, [(b"a", START_MS + 1000, sooner.dump())])
    lua.later(4000)
    _, wait_ms, listed = await due(lua)
    assert (wait_ms, [name for name, _, _ in listed]) == (NEVER, [b"a", b"b"])
    assert [name for name, _, _ in (await due(lua, limit=1))[2]] == [b"a"]


async def test_looking_changes_nothing(lua: Bench) -> None:
    await lua.schedule(a_schedule(in_ms=0))
    before = lua.everything()
    await due(lua)
    assert lua.everything() == before


async def test_a_schedule_without_a_spec_is_due_without_one_and_reported_by_name(lua: Bench, queue: Queue) -> None:
    lua.redis.zadd(lua.key("schedules"), {"foreign": START_MS})
    assert await due(lua) == (START_MS, NEVER, [(b"foreign", START_MS, b"")])
    with pytest.raises(UsageError, match="schedule foreign cannot be read"):
        await queue.schedules()


async def test_a_full_redis_stores_no_schedule(lua: Bench) -> None:
    before = lua.everything()
    lua.redis.config_set("maxmemory", 1)
    try:
        with pytest.raises(QueueFull):
            await lua.schedule(a_schedule())
    finally:
        lua.redis.config_set("maxmemory", 0)
    assert lua.everything() == before
