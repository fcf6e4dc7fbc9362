"""The durable list of ended jobs: reserve_ended and ack_ended."""

import pytest

from tests.lua.lua_bench import ENDS, KEEP_MS, LEASE_MS, Bench

pytestmark = pytest.mark.anyio


async def end_one(lua: Bench, task: str = "send") -> str:
    job = await lua.start(task, hooks=ENDS)
    await lua.ack(job)
    return job.id


async def test_an_ended_job_comes_again_until_its_hooks_have_run(lua: Bench) -> None:
    job_id = await end_one(lua)
    assert await lua.reserve_ended() == [job_id]
    assert await lua.reserve_ended() == []
    lua.later(LEASE_MS)
    assert await lua.reserve_ended() == [job_id]
    await lua.ack_ended(job_id, lua.seq(job_id))
    lua.later(LEASE_MS)
    assert await lua.reserve_ended() == []


async def test_the_pause_before_it_comes_again_doubles_up_to_an_hour(lua: Bench) -> None:
    job_id = await end_one(lua)
    pauses = []
    for _ in range(9):
        assert await lua.reserve_ended() == [job_id]
        pauses.append(lua.scores("ended")[job_id] - lua.now)
        lua.later(pauses[-1])
    assert pauses == [*(LEASE_MS * 2**n for n in range(7)), 3_600_000, 3_600_000]


WEEK_MS = 7 * 24 * 3_600_000


async def test_a_job_is_kept_until_its_hooks_have_run_but_no_longer_than_a_week_more(lua: Bench) -> None:
    job_id = await end_one(lua)
    lua.later(WEEK_MS)
    await lua.broker.maintain(100)
    assert job_id in lua.members("completed")
    await end_one(lua)
    assert job_id not in lua.members("ended")
    lua.later(KEEP_MS)
    await lua.broker.maintain(100)
    assert lua.state(job_id) is None


async def test_a_job_is_forgotten_after_its_hooks_have_run(lua: Bench) -> None:
    job_id = await end_one(lua)
    lua.later(KEEP_MS)
    await lua.broker.maintain(100)
    assert lua.state(job_id) is not None
    await lua.ack_ended(job_id, lua.seq(job_id))
    lua.later(KEEP_MS)
    await lua.broker.maintain(100)
    assert lua.state(job_id) is None


async def test_hooks_are_told_of_a_job_that_ended_longer_ago_than_jobs_are_kept(lua: Bench) -> None:
    job_id = await end_one(lua)
    lua.later(KEEP_MS)
    await lua.ack(await lua.start())
    assert job_id in await lua.reserve_ended()


async def test_a_worker_leaves_the_hooks_of_unknown_tasks_to_others_at_once(lua: Bench) -> None:
    strange = [await end_one(lua, "strange") for _ in range(3)]
    known = await end_one(lua)
    # Those it does not know go behind, so they keep the others from nobody.
    taken: list[str] = []
    for _ in range(3):
        lua.later(1)
        taken += await lua.reserve_ended(count=2)
    assert taken == [known]
    assert sorted(await lua.reserve_ended("strange")) == sorted(strange)


async def test_a_worker_leaves_what_it_has_no_hook_for_to_others(lua: Bench) -> None:
    job_id = await end_one(lua)
    assert await lua.reserve_ended(events=["failed", "retried"]) == []
    assert await lua.reserve_ended(events=["completed"]) == [job_id]
    retried = await lua.start(hooks=["retried"])
    await lua.backoff(retried)
    assert await lua.reserve_ended(events=["completed"]) == []
    assert await lua.reserve_ended(events=["retried"]) == [f"{retried.id}:1"]


async def test_hooks_that_ran_before_a_replay_do_not_take_away_those_of_the_next_end(lua: Bench) -> None:
    job = await lua.start(hooks=ENDS)
    await lua.fail(job)
    (job_id,) = await lua.reserve_ended()
    seen = lua.seq(job_id)
    await lua.replay(job_id)
    await lua.ack_ended(job_id, seen)
    assert lua.state(job_id) == "waiting"
    await lua.ack(await lua.reserve())
    await lua.ack_ended(job_id, seen)
    assert await lua.reserve_ended() == [job_id]


async def test_an_ended_id_without_a_record_is_dropped(lua: Bench) -> None:
    job_id = await end_one(lua)
    lua.drop(job_id)
    assert await lua.reserve_ended() == []
    assert lua.members("ended") == []


async def test_a_task_without_hooks_leaves_nothing_on_the_list(lua: Bench) -> None:
    await lua.ack(await lua.start())
    assert lua.members("ended") == []


async def test_a_worker_makes_hooks_known_for_jobs_enqueued_by_programs_that_do_not_have_them(lua: Bench) -> None:
    job = await lua.start()
    lua.redis.sadd(lua.key("hooked_tasks"), "send completed")
    await lua.ack(job)
    assert lua.members("ended") == [job.id]
