from typing import Any

import pytest

from evq import NewJob, Reply
from evq.ids import new_id
from tests.lua.lua_bench import START_MS, Bench

pytestmark = pytest.mark.anyio


async def test_a_job_waits_with_all_that_was_said_of_it(lua: Bench) -> None:
    job_id = await lua.enqueue(priority=7)
    record = lua.record(job_id)
    assert record == {
        "task": "send",
        "payload": '{"n":1}',
        "priority": "7",
        "created": str(START_MS),
        "state": "waiting",
    }
    assert lua.members("waiting") == [job_id]
    assert lua.events() == [("enqueued", [job_id])]


@pytest.mark.parametrize("options", [{"delay_ms": 500}, {"at_ms": START_MS + 500}, {"delay_ms": 500, "at_ms": 1}])
async def test_a_job_with_a_delay_or_a_moment_is_delayed_until_then(lua: Bench, options: dict[str, Any]) -> None:
    job_id = await lua.enqueue(**options)
    assert lua.state(job_id) == "delayed"
    assert lua.record(job_id)["due"] == str(START_MS + 500)
    assert lua.members("waiting") == []
    assert lua.members("delayed") == [job_id]


async def test_a_moment_that_has_passed_is_no_delay(lua: Bench) -> None:
    assert lua.state(await lua.enqueue(at_ms=START_MS)) == "waiting"


async def test_a_resent_enqueue_changes_nothing(lua: Bench) -> None:
    job = NewJob(task="send", payload=b"{}")
    assert await lua.broker.enqueue([job]) == [Reply.OK]
    before = lua.everything()
    lua.later(1000)
    assert await lua.broker.enqueue([job]) == [Reply.EXISTS]
    assert lua.everything() | {lua.key("job_of", "clock"): 0} == before | {lua.key("job_of", "clock"): 0}


async def test_an_enqueue_resent_after_the_end_does_not_run_the_job_again(lua: Bench) -> None:
    job = await lua.start()
    await lua.ack(job)
    assert await lua.broker.enqueue([NewJob(id=job.id, task="send", payload=b"{}")]) == [Reply.EXISTS]
    assert lua.state(job.id) == "completed"


async def test_several_jobs_are_one_event_and_keep_their_order(lua: Bench) -> None:
    jobs = [NewJob(task="send", payload=b"{}") for _ in range(5)]
    await lua.broker.enqueue(jobs)
    assert lua.events() == [("enqueued", [job.id for job in jobs])]
    assert [job.id for job in (await lua.take(5)).jobs] == [job.id for job in jobs]


async def test_1200_jobs_are_one_transaction(lua: Bench) -> None:
    words = await lua.broker.enqueue([NewJob(task="send", payload=b"{}") for _ in range(1200)])
    assert words == [Reply.OK] * 1200
    assert len(lua.members("waiting")) == 1200
    assert [len(jobs) for _, jobs in lua.events()] == [500, 500, 200]


async def test_wake_tokens_never_exceed_32(lua: Bench) -> None:
    await lua.enqueue()
    assert lua.tokens() == 1
    await lua.broker.enqueue([NewJob(task="send", payload=b"{}") for _ in range(5)])
    assert lua.tokens() == 5
    await lua.broker.enqueue([NewJob(task="send", payload=b"{}") for _ in range(300)])
    assert lua.tokens() == 32


async def test_a_new_delayed_job_wakes_somebody_to_sleep_until_it_is_due(lua: Bench) -> None:
    await lua.enqueue(delay_ms=500)
    assert lua.tokens() == 1


async def test_enqueued_jobs_are_counted_and_resent_ones_are_not(lua: Bench) -> None:
    job = NewJob(task="send", payload=b"{}", id=new_id())
    await lua.broker.enqueue([job, job])
    await lua.broker.enqueue([job])
    assert (await lua.broker.counts())["enqueued"] == 1


async def test_a_job_of_a_task_with_hooks_makes_the_task_known_as_such(lua: Bench) -> None:
    await lua.enqueue("plain")
    await lua.enqueue("hooked", hooked=True)
    assert lua.redis.smembers(lua.key("hooked_tasks")) == {"hooked"}
