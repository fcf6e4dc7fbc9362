import pytest

from evq.census import counts
from tests.lua.lua_bench import Bench

pytestmark = pytest.mark.anyio


async def limit(lua: Bench, group: str, settings: str) -> None:
    await lua.broker.run("limit", group=group, settings=settings)


async def names(lua: Bench, count: int) -> list[str | None]:
    """Reserve jobs one by one, as many workers would, and say of which groups they are."""
    return [lua.group(job.id) for _ in range(count) for job in (await lua.take()).jobs]


# Groups take turns.


async def test_groups_take_turns_however_many_jobs_each_has(lua: Bench) -> None:
    for group, count in (("a", 6), ("b", 2), ("c", 3)):
        for _ in range(count):
            await lua.enqueue(group=group)
    assert await names(lua, 11) == ["a", "b", "c", "a", "b", "c", "a", "c", "a", "a", "a"]


async def test_jobs_of_no_group_are_one_more_group(lua: Bench) -> None:
    for group in ("a", "a", "a", None, None, None):
        await lua.enqueue(group=group)
    assert sorted(str(group) for group in await names(lua, 4)) == ["None", "None", "a", "a"]


async def test_within_a_group_the_most_urgent_is_first_and_the_oldest_among_equals(lua: Bench) -> None:
    late, urgent, next_ = [await lua.enqueue(group="a", priority=p) for p in (2048, 1, 2048)]
    assert [(await lua.reserve()).id for _ in range(3)] == [urgent, late, next_]


async def test_one_call_that_takes_many_is_as_fair_as_many_calls(lua: Bench) -> None:
    for _ in range(10):
        await lua.enqueue(group="a")
    for _ in range(2):
        await lua.enqueue(group="b")
    jobs = (await lua.take(4)).jobs
    assert [lua.group(job.id) for job in jobs] == ["a", "b", "a", "b"]


async def test_a_group_of_weight_three_gets_three_turns_where_others_get_one(lua: Bench) -> None:
    await limit(lua, "heavy", '{"weight":3}')
    for group in ("heavy", "light"):
        for _ in range(20):
            await lua.enqueue(group=group)
    found = await names(lua, 16)
    assert (found.count("heavy"), found.count("light")) == (12, 4)


async def test_a_group_that_was_idle_has_hoarded_no_turns(lua: Bench) -> None:
    for _ in range(30):
        await lua.enqueue(group="busy")
    await names(lua, 20)
    for _ in range(10):
        await lua.enqueue(group="new")
    found = await names(lua, 8)
    assert (found.count("busy"), found.count("new")) == (4, 4)


async def test_a_group_with_a_weight_that_comes_back_has_hoarded_no_turns(lua: Bench) -> None:
    await limit(lua, "back", '{"weight":1}')
    await lua.start(group="back")
    for _ in range(30):
        await lua.enqueue(group="busy")
    await names(lua, 20)
    for _ in range(10):
        await lua.enqueue(group="back")
    found = await names(lua, 8)
    assert (found.count("busy"), found.count("back")) == (4, 4)


async def test_a_group_that_came_late_has_hoarded_no_turns_beside_jobs_of_no_group(lua: Bench) -> None:
    await limit(lua, "", '{"concurrency":1000}')  # with any limit, turns are taken
    for _ in range(30):
        await lua.enqueue()
    await names(lua, 20)
    for _ in range(10):
        await lua.enqueue(group="new")
    found = await names(lua, 8)
    assert (found.count(None), found.count("new")) == (4, 4)


async def test_a_group_with_a_weight_that_was_full_keeps_its_turn(lua: Bench) -> None:
    await limit(lua, "a", '{"concurrency":1,"weight":1}')
    for group in ("a", "b"):
        for _ in range(4):
            await lua.enqueue(group=group)
    found = []
    for _ in range(6):
        job = await lua.reserve()
        found.append(lua.group(job.id))
        await lua.ack(job)  # and the group is open again
    assert found == ["a", "b"] * 3


async def test_groups_that_come_and_go_with_each_job_keep_no_other_from_its_turn(lua: Bench) -> None:
    groups = [f"g{n}" for n in range(10)]
    for group in groups:
        await limit(lua, group, '{"concurrency":1}')
        for _ in range(6):
            await lua.enqueue(group=group)
    running = (await lua.take(5)).jobs
    found = [lua.group(job.id) for job in running]
    for _ in range(35):
        await lua.ack(running.pop(0))
        running.append(await lua.reserve())
        found.append(lua.group(running[-1].id))
    assert {group: found.count(group) for group in groups} == dict.fromkeys(groups, 4)


async def test_a_group_of_which_one_job_waits_at_a_time_is_no_more_than_one_of_all(lua: Bench) -> None:
    for _ in range(10):
        await lua.enqueue(group="backlog")
    found = []
    for _ in range(10):
        if not lua.members("waiting_of", "a trickle"):
            await lua.enqueue(group="a trickle")
        found += await names(lua, 1)
    assert found.count("backlog") == 5


async def test_a_group_with_a_weight_that_was_idle_is_not_held_to_what_it_had_before(lua: Bench) -> None:
    await limit(lua, "heavy", '{"weight":3}')
    for _ in range(90):
        await lua.enqueue(group="heavy")
    await lua.take(90)
    for group in ("light", "heavy"):
        for _ in range(12):
            await lua.enqueue(group=group)
    found = await names(lua, 12)
    assert (found.count("heavy"), found.count("light")) == (9, 3)


async def test_a_heavy_group_passes_jobs_of_no_group_only_by_its_weight(lua: Bench) -> None:
    await limit(lua, "heavy", '{"weight":3}')
    for group in (None, "heavy"):
        for _ in range(20):
            await lua.enqueue(group=group)
    found = await names(lua, 16)
    assert (found.count("heavy"), found.count(None)) == (12, 4)


async def test_jobs_of_no_group_that_came_late_have_hoarded_no_turns_and_lost_none(lua: Bench) -> None:
    for _ in range(30):
        await lua.enqueue(group="busy")
    await names(lua, 20)
    for _ in range(10):
        await lua.enqueue()
    found = await names(lua, 8)
    assert (found.count("busy"), found.count(None)) == (4, 4)


async def test_a_job_that_comes_back_waits_in_its_group_again(lua: Bench) -> None:
    job = await lua.start(group="a")
    await lua.snooze(job)
    assert lua.members("waiting_of", "a") == [job.id]
    await lua.lose(await lua.reserve())
    assert lua.members("waiting_of", "a") == [job.id]
    await lua.backoff(await lua.reserve(), 10)
    lua.later(10)
    assert (await lua.reserve()).id == job.id


async def test_what_waits_in_groups_is_counted_with_the_others(lua: Bench) -> None:
    ids = [await lua.enqueue(group=group) for group in (None, "a", "b", "b")]
    assert (await counts(lua.broker))["waiting"] == 4
    await lua.cancel(ids[1])
    await lua.take(1)
    assert (await counts(lua.broker))["waiting"] == 2


async def test_an_empty_group_leaves_nothing_behind(lua: Bench) -> None:
    await lua.ack(await lua.start(group="a"))
    assert not lua.redis.exists(*(lua.key(n) for n in ("groups", "group_names")), lua.key("group_of", "a"))


# Concurrency


async def test_no_more_jobs_of_a_group_run_than_its_concurrency(lua: Bench) -> None:
    await limit(lua, "a", '{"concurrency":2}')
    for _ in range(4):
        await lua.enqueue(group="a")
    first, _ = (await lua.take(4)).jobs
    assert (await lua.take(4)).jobs == []
    await lua.ack(first)
    assert len((await lua.take(4)).jobs) == 1


@pytest.mark.parametrize("verb", ["ack", "fail", "backoff", "snooze", "crash", "lose"])
async def test_every_way_out_of_the_active_gives_the_place_back(lua: Bench, verb: str) -> None:
    await limit(lua, "a", '{"concurrency":1}')
    job = await lua.start(group="a")
    other = await lua.enqueue(group="a")
    assert (await lua.take()).jobs == []
    await getattr(lua, verb)(job)
    assert lua.redis.hget(lua.key("group_of", "a"), "active") is None
    assert {job.id for job in (await lua.take(1)).jobs} <= {other, job.id}


async def test_a_full_group_blocks_no_other(lua: Bench) -> None:
    await limit(lua, "full", '{"concurrency":1}')
    for group in ("full", "full", "free", "free", None):
        await lua.enqueue(group=group)
    assert sorted(str(lua.group(job.id)) for job in (await lua.take(10)).jobs) == ["None", "free", "free", "full"]


async def test_no_more_jobs_of_the_queue_run_than_its_concurrency(lua: Bench) -> None:
    await limit(lua, "", '{"concurrency":2}')
    for group in (None, "a", "b"):
        await lua.enqueue(group=group)
    first, _ = (await lua.take(5)).jobs
    assert (await lua.take(5)).jobs == []
    lua.redis.delete(lua.key("wake"))
    await lua.ack(first)
    assert lua.tokens() == 1, "nobody learns that there is room again"
    assert len((await lua.take(5)).jobs) == 1


async def test_a_limit_that_is_lifted_holds_no_longer(lua: Bench) -> None:
    await limit(lua, "a", '{"concurrency":1}')
    for _ in range(3):
        await lua.enqueue(group="a")
    await lua.take(5)
    await limit(lua, "a", "{}")
    assert len((await lua.take(5)).jobs) == 2


@pytest.mark.parametrize("group", ["", "a"])
async def test_sleepers_learn_of_another_limit(lua: Bench, group: str) -> None:
    await limit(lua, group, '{"concurrency":1}')
    assert lua.tokens() == 32


async def test_a_group_that_has_room_again_wakes_somebody(lua: Bench) -> None:
    await limit(lua, "a", '{"concurrency":1}')
    running = await lua.start(group="a")
    await lua.enqueue(group="a")
    lua.redis.delete(lua.key("wake"))
    await lua.ack(running)
    assert lua.tokens() == 1


# Rate


async def test_a_queue_starts_no_more_jobs_than_its_rate_and_says_when_the_next_may(lua: Bench) -> None:
    await limit(lua, "", '{"interval":100,"burst":2}')
    for _ in range(5):
        await lua.enqueue()
    reserved = await lua.take(5)
    assert (len(reserved.jobs), reserved.wait_ms) == (2, 100)
    lua.later(99)
    assert (await lua.take(5)).jobs == []
    lua.later(1)
    assert len((await lua.take(5)).jobs) == 1


async def test_a_rate_saves_up_no_more_than_its_burst(lua: Bench) -> None:
    await limit(lua, "", '{"interval":100,"burst":3}')
    for _ in range(9):
        await lua.enqueue()
    lua.later(60_000)
    assert len((await lua.take(9)).jobs) == 3


async def test_over_any_time_no_more_start_than_the_rate_allows(lua: Bench) -> None:
    await limit(lua, "", '{"interval":70,"burst":4}')
    for _ in range(80):
        await lua.enqueue()
    starts = []
    for _ in range(400):
        starts += [lua.now] * len((await lua.take(7)).jobs)
        lua.later(10)
    assert len(starts) == 4 + 3990 // 70
    assert all(later - earlier >= 70 for earlier, later in zip(starts, starts[4:], strict=False))


async def test_a_group_beyond_its_rate_blocks_no_other_and_comes_back_in_time(lua: Bench) -> None:
    await limit(lua, "slow", '{"interval":1000,"burst":1}')
    for group in ("slow", "slow", "free", "free"):
        await lua.enqueue(group=group)
    reserved = await lua.take(10)
    assert [lua.group(job.id) for job in reserved.jobs].count("slow") == 1
    assert len(reserved.jobs) == 3
    assert reserved.wait_ms == 1000
    lua.later(1000)
    assert len((await lua.take(10)).jobs) == 1


async def test_a_group_spends_its_rate_on_each_job_of_a_call(lua: Bench) -> None:
    await limit(lua, "slow", '{"interval":1000,"burst":3}')
    for _ in range(5):
        await lua.enqueue(group="slow")
    assert [len((await lua.take(5)).jobs) for _ in range(2)] == [3, 0]
    lua.later(1000)
    assert len((await lua.take(5)).jobs) == 1


async def test_a_blocked_group_says_when_it_may_go_on_to_a_worker_that_finds_nothing(lua: Bench) -> None:
    await limit(lua, "slow", '{"interval":1000,"burst":1}')
    for _ in range(2):
        await lua.enqueue(group="slow")
    await lua.take()
    lua.later(400)
    assert (await lua.take()).wait_ms == 600


async def test_parked_jobs_are_unparked_into_their_group_and_its_limits(lua: Bench) -> None:
    await limit(lua, "a", '{"concurrency":1}')
    for _ in range(3):
        await lua.enqueue("rare", group="a")
    await lua.take(3, tasks=["other"])
    assert len((await lua.take(3, tasks=["rare"])).jobs) == 1
    assert (await counts(lua.broker))["waiting"] == 2
