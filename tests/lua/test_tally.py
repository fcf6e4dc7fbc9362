"""What the scripts count for the minute's metrics, against figures reckoned by hand."""

import pytest
from msgspec.structs import replace

from evq.metrics import KEPT, Numbers, read_buckets
from tests.lua.lua_bench import START_MS, Bench

pytestmark = pytest.mark.anyio

MINUTE = START_MS // 60_000  # of which 20 s have passed


async def counted(lua: Bench, minute: int = MINUTE) -> Numbers:
    return (await read_buckets(lua.broker, range(minute, minute + 1)))[minute]


async def test_each_verb_counts_what_it_did(lua: Bench) -> None:
    for _ in range(4):
        unwanted = await lua.enqueue()
    lua.later(700)
    completes = await lua.reserve()
    lua.later(1000)
    fails = await lua.reserve()
    await lua.ack(completes)
    lua.later(300)
    await lua.fail(fails)
    await lua.backoff(await lua.reserve())
    await lua.cancel(unwanted)

    assert await counted(lua) == {
        "enqueued": 4,
        "completed": 1,
        "failed": 1,
        "cancelled": 1,
        "retried": 1,
        "wait_ms": 700 + 1700 + 2000,
        "wait:10": 1,  # 512 to 1,023 ms
        "wait:11": 2,
        "work_ms": 1000 + 300 + 0,
        "work:0": 1,
        "work:9": 1,
        "work:10": 1,
    }


async def test_several_jobs_of_one_call_are_counted_each(lua: Bench) -> None:
    for _ in range(3):
        await lua.enqueue()
    jobs = (await lua.take(3)).jobs
    lua.later(4)
    await lua.settle("ack", jobs, b"1")

    found = await counted(lua)
    assert (found["wait:0"], found["completed"], found["work_ms"], found["work:3"]) == (3, 3, 12, 3)


async def test_a_job_waits_from_when_it_could_start(lua: Bench) -> None:
    delayed = await lua.enqueue(delay=5.0)
    lua.later(6_000)  # 1 s late
    job = await lua.reserve()
    lua.later(1_000)
    await lua.backoff(job, delay_ms=2_000)
    lua.later(5_000)  # 3 s late
    job = await lua.reserve()
    lua.later(1_000)
    await lua.snooze(job)
    lua.later(200)
    job = await lua.reserve()
    assert job.id == delayed
    found = await counted(lua)

    assert (found["wait_ms"], found["snoozed"]) == (1_000 + 3_000 + 200, 1)


async def test_the_longest_times_are_one_figure(lua: Bench) -> None:
    for days in (30, 60):
        await lua.enqueue()
        lua.later(days * 86_400_000)
        await lua.ack(await lua.reserve())
        found = await counted(lua, lua.now // 60_000)
        assert found["wait:32"] == 1


async def test_a_job_that_was_lost_waits_from_when_it_was_taken_back(lua: Bench) -> None:
    await lua.lose(await lua.start())
    lua.later(500)
    await lua.reserve()
    found = await counted(lua)

    assert (found["reclaimed"], found["wait:0"], found["wait_ms"]) == (1, 1, 500)


async def test_a_replayed_job_waits_from_its_replay(lua: Bench) -> None:
    job = await lua.start()
    await lua.fail(job)
    lua.later(10_000)
    await lua.replay(job.id)
    lua.later(500)
    await lua.reserve()

    assert (await counted(lua))["wait_ms"] == 500


async def test_what_a_stale_or_repeated_call_says_is_not_counted(lua: Bench) -> None:
    job = await lua.start()
    await lua.ack(job)
    before = await counted(lua)
    await lua.ack(job)
    await lua.fail(replace(job, fence=job.fence - 1))

    assert await counted(lua) == before


async def test_heartbeats_add_up_and_of_memory_the_most_is_kept(lua: Bench) -> None:
    for rss in (800, 1500, 1000):
        await lua.beat(rss=rss)

    assert await counted(lua) == {"busy_ms": 1500, "capacity_ms": 3000, "cpu_ms": 300, "rss": 1500}


async def test_each_minute_has_its_own_and_they_are_kept_for_48_hours(lua: Bench) -> None:
    job = await lua.start()
    lua.later(59_000)
    await lua.ack(job)

    assert (await counted(lua))["wait:0"] == 1
    assert await counted(lua, MINUTE + 1) == {"completed": 1, "work_ms": 59_000, "work:16": 1}
    kept = lua.redis.pttl(lua.key("metrics_of", str(MINUTE + 1)))
    assert KEPT.total_seconds() * 1000 - 10_000 < kept <= KEPT.total_seconds() * 1000


async def test_an_empty_call_counts_nothing(lua: Bench) -> None:
    await lua.take()
    await lua.broker.maintain(100)

    assert await counted(lua) == {}
