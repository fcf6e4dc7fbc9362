"""Poison: jobs with which their workers, or processes, are lost."""

import pytest

from evq import Reply
from tests.lua.lua_bench import LEASE_MS, Bench

pytestmark = pytest.mark.anyio

HOUR = 3_600_000


async def test_a_crash_counts_no_attempt_and_the_job_goes_in_front(lua: Bench) -> None:
    job = await lua.start()
    await lua.enqueue()
    lua.redis.delete(lua.key("wake"))
    assert await lua.crash(job) is Reply.OK
    assert lua.tokens() == 1
    assert lua.events()[-1] == ("reclaimed", [job.id])
    again = await lua.reserve()
    assert (again.id, again.attempt) == (job.id, 1)
    assert lua.record(job.id)["crashes"] == 1


async def test_a_stale_crash_changes_nothing_and_a_resent_one_counts_once(lua: Bench) -> None:
    job = await lua.start()
    await lua.lose(job)
    assert await lua.crash(job) is Reply.STALE
    again = await lua.reserve()
    assert await lua.crash(again) is Reply.OK
    assert await lua.crash(again) is Reply.REPEATED
    assert lua.record(job.id)["crashes"] == 2


@pytest.mark.parametrize("verb", ["crash", "lose"])
async def test_a_job_that_was_lost_three_times_in_72_hours_is_poison(lua: Bench, verb: str) -> None:
    job = await lua.start()
    for _ in range(3):
        assert lua.state(job.id) == "active"
        await getattr(lua, verb)(job)
        if lua.state(job.id) == "waiting":
            lua.later(20 * HOUR)
            job = await lua.reserve(isolates=False)
    record = lua.record(job.id)
    assert record["state"] == "failed"
    assert '"type":"Poison"' in record["error"]


async def test_crashes_of_more_than_72_hours_ago_are_forgiven(lua: Bench) -> None:
    job = await lua.start()
    for _ in range(8):
        await lua.crash(job)
        lua.later(37 * HOUR)
        job = await lua.reserve(isolates=False)
    assert lua.record(job.id)["crashes"] == 8


async def test_a_job_lost_twice_is_run_in_a_process_of_its_own_if_its_worker_can(lua: Bench) -> None:
    job = await lua.start()
    assert not job.isolated
    await lua.lose(job)
    job = await lua.reserve()
    assert not job.isolated, "one loss is no suspicion"
    await lua.lose(job)
    assert (await lua.reserve()).isolated


async def test_a_job_that_runs_by_itself_is_not_blamed_for_the_loss_of_its_worker(lua: Bench) -> None:
    job = await lua.start()
    for _ in range(9):
        await lua.lose(job)
        job = await lua.reserve()
    assert job.isolated
    await lua.lose(job)
    assert lua.state(job.id) == "failed", "ten times is enough, however it happened"


async def test_a_suspect_that_runs_in_its_worker_again_is_to_blame_for_its_loss(lua: Bench) -> None:
    job = await lua.start()
    for _ in range(3):
        await lua.lose(job)
        job = await lua.reserve()
    assert job.isolated
    await lua.snooze(job)
    job = await lua.reserve(isolates=False)
    assert not job.isolated
    await lua.lose(job)
    assert lua.state(job.id) == "failed"


async def test_a_job_that_runs_by_itself_and_kills_its_process_is_poison_at_the_third_time(lua: Bench) -> None:
    job = await lua.start()
    for _ in range(2):
        await lua.lose(job)
        job = await lua.reserve()
    await lua.crash(job)
    assert lua.state(job.id) == "failed"


async def test_a_crashed_job_that_was_to_be_cancelled_is(lua: Bench) -> None:
    job = await lua.start()
    await lua.cancel(job.id)
    await lua.crash(job)
    assert lua.state(job.id) == "cancelled"


async def test_a_replay_forgives_all_crashes(lua: Bench) -> None:
    job = await lua.start()
    for _ in range(3):
        await lua.crash(job)
        if lua.state(job.id) == "waiting":
            job = await lua.reserve(isolates=False)
    await lua.replay(job.id)
    job = await lua.reserve()
    await lua.crash(job)
    assert lua.state(job.id) == "waiting"


async def test_a_lost_job_beyond_its_deadline_fails(lua: Bench) -> None:
    job = await lua.start(deadline=LEASE_MS / 1000)
    await lua.lose(job)
    assert '"type":"DeadlineExceeded"' in lua.record(job.id)["error"]
