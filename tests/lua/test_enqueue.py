from datetime import UTC, datetime
from typing import Any

import pytest

from evq import NewJob, Reply
from evq.census import counts
from evq.ids import new_id
from tests.lua.lua_bench import ENDS, START_MS, Bench

pytestmark = pytest.mark.anyio


async def test_a_job_waits_with_all_that_was_said_of_it(lua: Bench) -> None:
    job_id = await lua.enqueue(priority=7)
    record = lua.record(job_id)
    assert record == {
        "task": "send",
        "payload": '{"n":1}',
        "priority": 7,
        "created": START_MS,
        "state": "waiting",
        "seq": 0,
        "fence": 0,
        "failures": 0,
    }
    assert lua.members("waiting") == [job_id]
    assert lua.events() == [("enqueued", [job_id])]


def moment(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)


@pytest.mark.parametrize(
    "options", [{"delay": 0.5}, {"at": moment(START_MS + 500)}, {"delay": 0.5, "at": moment(START_MS + 1)}]
)
async def test_a_job_with_a_delay_or_a_moment_is_delayed_until_then(lua: Bench, options: dict[str, Any]) -> None:
    job_id = await lua.enqueue(**options)
    assert lua.state(job_id) == "delayed"
    assert lua.record(job_id)["due"] == START_MS + 500
    assert lua.members("waiting") == []
    assert lua.members("delayed") == [job_id]


async def test_a_moment_that_has_passed_is_no_delay(lua: Bench) -> None:
    assert lua.state(await lua.enqueue(at=moment(START_MS))) == "waiting"


async def test_a_resent_enqueue_changes_nothing(lua: Bench) -> None:
    job = NewJob(task="send", payload=b"{}")
    assert await lua.broker.enqueue([job]) == [(Reply.OK, job.id)]
    before = lua.everything()
    lua.later(1000)
    assert await lua.broker.enqueue([job]) == [(Reply.EXISTS, job.id)]
    assert lua.everything() == before


async def test_an_enqueue_resent_after_the_end_does_not_run_the_job_again(lua: Bench) -> None:
    job = await lua.start()
    await lua.ack(job)
    assert await lua.broker.enqueue([NewJob(id=job.id, task="send", payload=b"{}")]) == [(Reply.EXISTS, job.id)]
    assert lua.state(job.id) == "completed"


async def test_several_jobs_are_one_event_and_keep_their_order(lua: Bench) -> None:
    jobs = [NewJob(task="send", payload=b"{}") for _ in range(5)]
    await lua.broker.enqueue(jobs)
    assert lua.events() == [("enqueued", [job.id for job in jobs])]
    assert [job.id for job in (await lua.take(5)).jobs] == [job.id for job in jobs]


async def test_wake_tokens_never_exceed_32(lua: Bench) -> None:
    await lua.enqueue()
    assert lua.tokens() == 1
    await lua.broker.enqueue([NewJob(task="send", payload=b"{}") for _ in range(5)])
    assert lua.tokens() == 5
    await lua.broker.enqueue([NewJob(task="send", payload=b"{}") for _ in range(300)])
    assert lua.tokens() == 32


async def test_a_new_delayed_job_wakes_somebody_to_sleep_until_it_is_due(lua: Bench) -> None:
    await lua.enqueue(delay=0.5)
    assert lua.tokens() == 1


async def test_enqueued_jobs_are_counted_and_resent_ones_are_not(lua: Bench) -> None:
    job = NewJob(task="send", payload=b"{}", id=new_id())
    await lua.broker.enqueue([job, job])
    await lua.broker.enqueue([job])
    assert (await counts(lua.broker))["enqueued"] == 1


async def test_a_job_of_a_task_with_hooks_makes_the_task_known_as_such(lua: Bench) -> None:
    await lua.enqueue("plain")
    await lua.enqueue("hooked", hooks=ENDS)
    assert lua.redis.smembers(lua.key("hooked_tasks")) == {"hooked completed", "hooked failed", "hooked cancelled"}
