"""fire: of an instant there is one job, whoever fires it and however often."""

from typing import Any

import orjson
import pytest

from evq import Reply
from evq.broker import standing
from evq.census import counts
from evq.errors import QueueFull
from evq.ids import new_id
from evq.schedules import Schedule, from_ms, to_ms
from tests.lua.lua_bench import START_MS, Bench

pytestmark = pytest.mark.anyio

DAY_MS = 86_400_000


@pytest.fixture
async def nightly(lua: Bench) -> Schedule:
    return await stored(lua)


async def stored(lua: Bench, **options: Any) -> Schedule:
    """Store a schedule that is due in a second."""
    schedule = Schedule(
        name="nightly", task="send", payload={"n": 1}, options=options, cron="0 3 * * *", next=from_ms(START_MS + 1000)
    )
    await lua.schedule(schedule)
    return schedule


async def fire(
    lua: Bench, schedule: Schedule, *ids: str, next_ms: int = START_MS + DAY_MS
) -> tuple[Reply, list[tuple[Reply, str]]]:
    """Fire a schedule; return the answer, and what became of each job and the id of the one that stands for it."""
    word, *replies = await lua.broker.run(
        "fire",
        [(job_id,) for job_id in ids],
        name=schedule.name,
        spec=schedule.dump(),
        instant=to_ms(schedule.next),
        next_ms=next_ms,
        task=schedule.task,
        payload=orjson.dumps(schedule.payload),
        options=orjson.dumps(schedule.options),
    )
    return Reply(word.decode()), standing(ids, replies) if replies else []


async def test_firing_enqueues_a_job_and_sets_the_next_instant(lua: Bench, nightly: Schedule) -> None:
    lua.later(1000)
    job_id = new_id()
    assert await fire(lua, nightly, job_id) == (Reply.FIRED, [(Reply.OK, job_id)])
    job = await lua.reserve()
    assert (job.id, job.task, job.payload) == (job_id, "send", b'{"n":1}')
    assert lua.scores("schedules") == {"nightly": START_MS + DAY_MS}
    assert ("enqueued", [job_id]) in lua.events()
    assert (await counts(lua.broker))["enqueued"] == 1


async def test_nothing_is_fired_before_its_time_by_the_clock_of_redis(lua: Bench, nightly: Schedule) -> None:
    lua.later(999)
    before = lua.everything()
    assert await fire(lua, nightly, new_id()) == (Reply.EARLY, [])
    assert lua.everything() == before


async def test_who_comes_second_changes_nothing(lua: Bench, nightly: Schedule) -> None:
    lua.later(1000)
    assert (await fire(lua, nightly, new_id()))[0] is Reply.FIRED
    before = lua.everything()
    assert await fire(lua, nightly, new_id(), next_ms=START_MS + 2 * DAY_MS) == (Reply.LOST, [])
    assert lua.everything() == before


@pytest.mark.parametrize("change", ["forget", "change"])
async def test_a_schedule_that_was_forgotten_or_changed_meanwhile_is_not_fired(
    lua: Bench, nightly: Schedule, change: str
) -> None:
    lua.later(1000)
    if change == "forget":
        await lua.unschedule("nightly")
    else:
        lua.redis.hset(lua.key("schedule_specs"), "nightly", "{}")
        lua.redis.zadd(lua.key("schedules"), {"nightly": START_MS + 1001})
    before = lua.everything()
    assert await fire(lua, nightly, new_id()) == (Reply.LOST, [])
    assert lua.everything() == before


async def test_an_instant_that_is_fired_again_is_the_same_job(lua: Bench, nightly: Schedule) -> None:
    lua.later(1000)
    job_id = new_id()
    await fire(lua, nightly, job_id)
    lua.redis.zadd(lua.key("schedules"), {"nightly": START_MS + 1000})  # as of a Redis that has forgotten a second
    assert await fire(lua, nightly, job_id) == (Reply.FIRED, [(Reply.EXISTS, job_id)])
    assert lua.members("waiting") == [job_id]


async def test_missed_instants_are_fired_in_one_step_in_their_order(lua: Bench, nightly: Schedule) -> None:
    lua.later(DAY_MS)
    ids = [new_id() for _ in range(100)]
    fired = await fire(lua, nightly, *ids, next_ms=START_MS + 2 * DAY_MS)
    assert fired == (Reply.FIRED, [(Reply.OK, job_id) for job_id in ids])
    assert lua.members("waiting") == ids


async def test_missed_instants_can_be_left_out(lua: Bench, nightly: Schedule) -> None:
    lua.later(DAY_MS)
    assert await fire(lua, nightly, next_ms=START_MS + 2 * DAY_MS) == (Reply.FIRED, [])
    assert lua.members("waiting") == []
    assert lua.scores("schedules") == {"nightly": START_MS + 2 * DAY_MS}


async def test_a_job_with_a_dedup_key_leaves_the_next_out_until_it_has_ended(lua: Bench) -> None:
    schedule = await stored(lua, dedup="schedule:nightly", dedup_mode="existing")
    lua.later(DAY_MS)
    first, second, third = new_id(), new_id(), new_id()
    fired = await fire(lua, schedule, first, second, next_ms=START_MS + 1000)
    assert fired == (Reply.FIRED, [(Reply.OK, first), (Reply.DUPLICATE, first)])
    await lua.ack(await lua.reserve())
    assert await fire(lua, schedule, third, next_ms=START_MS + 2 * DAY_MS) == (Reply.FIRED, [(Reply.OK, third)])


async def test_a_full_redis_fires_nothing_until_it_has_room(lua: Bench, nightly: Schedule) -> None:
    lua.later(1000)
    before, job_id = lua.everything(), new_id()
    lua.redis.config_set("maxmemory", 1)
    try:
        with pytest.raises(QueueFull):
            await fire(lua, nightly, job_id)
    finally:
        lua.redis.config_set("maxmemory", 0)
    assert lua.everything() == before
    assert await fire(lua, nightly, job_id) == (Reply.FIRED, [(Reply.OK, job_id)])
