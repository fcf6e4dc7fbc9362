from datetime import UTC, datetime
from typing import Any

import pytest

from evq import DuplicateJob, JobOptions, NewJob, Reply
from evq.cli import fsck
from tests.lua.lua_bench import START_MS, Bench

pytestmark = pytest.mark.anyio


async def test_while_a_job_holds_the_key_no_other_is_made(lua: Bench) -> None:
    job = await lua.start(dedup_key="k")
    assert await lua.add(dedup_key="k", dedup="existing") == (Reply.DUPLICATE, job.id)
    assert lua.members("waiting") == []


async def test_one_that_is_rejected_rejects_all_that_came_with_it(lua: Bench) -> None:
    job = await lua.start(dedup_key="k")
    others = [new("send"), new("send", dedup_key="k", dedup="reject"), new("send")]
    before = lua.everything()
    with pytest.raises(DuplicateJob) as caught:
        await lua.broker.enqueue(others)
    assert (caught.value.job_id, lua.everything()) == (job.id, before)
    with pytest.raises(DuplicateJob):
        await lua.broker.enqueue([new("send", dedup_key="l"), new("send", dedup_key="l", dedup="reject")])
    assert lua.everything() == before


async def test_a_rejected_job_that_is_sent_again_is_there_already(lua: Bench) -> None:
    job = new("send", dedup_key="k", dedup="reject")
    for word in (Reply.OK, Reply.EXISTS):
        assert await lua.broker.enqueue([job]) == [(word, job.id)]


@pytest.mark.parametrize("mode", ["replace", "debounce"])
async def test_a_job_of_another_task_is_not_replaced(lua: Bench, mode: str) -> None:
    job_id = await lua.enqueue("parse", dedup_key="k")
    before = lua.everything()
    with pytest.raises(DuplicateJob):
        await lua.add("send", dedup_key="k", dedup=mode)
    assert (lua.everything(), lua.state(job_id)) == (before, "waiting")


def new(task: str, **options: Any) -> NewJob:
    return NewJob.make(task, {}, JobOptions(**options))


async def test_other_keys_are_not_concerned(lua: Bench) -> None:
    await lua.enqueue(dedup_key="k")
    await lua.enqueue(dedup_key="l")
    await lua.enqueue()
    assert len(lua.members("waiting")) == 3


async def test_replace_puts_the_new_payload_into_the_pending_job_and_keeps_its_place(lua: Bench) -> None:
    first, second = await lua.enqueue(dedup_key="k"), await lua.enqueue()
    assert await lua.add(dedup_key="k", dedup="replace", payload={"n": 2}) == (Reply.REPLACED, first)
    assert lua.events()[-1] == ("replaced", [first])
    assert [(job.id, job.payload) for job in (await lua.take(2)).jobs] == [(first, b'{"n":2}'), (second, b'{"n":1}')]


async def test_replace_keeps_the_due_time_and_debounce_starts_it_anew(lua: Bench) -> None:
    job_id = await lua.enqueue(dedup_key="k", delay=1)
    lua.later(500)
    await lua.add(dedup_key="k", dedup="replace", delay=1)
    assert lua.record(job_id)["due"] == START_MS + 1000
    assert await lua.add(dedup_key="k", dedup="debounce", delay=1, payload={"n": 3}) == (Reply.REPLACED, job_id)
    assert lua.record(job_id)["due"] == START_MS + 1500
    lua.later(999)
    assert (await lua.take()).jobs == []
    lua.later(1)
    assert (await lua.reserve()).payload == b'{"n":3}'


async def test_debounce_starts_the_times_of_a_job_anew(lua: Bench) -> None:
    job_id = await lua.enqueue(dedup_key="k", delay=1, expires=1.5)
    lua.later(900)
    await lua.add(dedup_key="k", dedup="debounce", delay=1, expires=1.5)
    assert lua.scores("deadlines") == {job_id: START_MS + 2400}
    lua.later(1000)
    assert (await lua.reserve()).id == job_id


async def test_a_debounced_job_that_has_started_before_does_not_expire(lua: Bench) -> None:
    job = await lua.start(dedup_key="k")
    await lua.backoff(job)
    await lua.add(dedup_key="k", dedup="debounce", delay=1, expires=1.5)
    assert lua.scores("deadlines") == {}
    lua.later(2000)
    assert (await lua.reserve()).id == job.id


async def test_debounce_to_an_earlier_moment_wakes_a_sleeper(lua: Bench) -> None:
    await lua.enqueue(dedup_key="k", delay=60)
    lua.redis.delete(lua.key("wake"))
    await lua.add(dedup_key="k", dedup="debounce", delay=1)
    assert lua.tokens() == 1


async def test_debounce_heeds_the_moment_that_it_is_given(lua: Bench) -> None:
    job_id = await lua.enqueue(dedup_key="k", delay=1)
    at = datetime.fromtimestamp((START_MS + 5000) / 1000, UTC)
    await lua.add(dedup_key="k", dedup="debounce", at=at)
    assert lua.record(job_id)["due"] == START_MS + 5000


@pytest.mark.parametrize("group", [None, "a"])
async def test_a_job_can_be_debounced_by_one_of_its_own_call(lua: Bench, group: str | None) -> None:
    options = [JobOptions(dedup_key="k", group=group), JobOptions(dedup_key="k", dedup="debounce", delay=1)]
    first, later = [NewJob.make("send", {"n": n}, some) for n, some in enumerate(options)]
    assert await lua.broker.enqueue([first, later]) == [(Reply.OK, first.id), (Reply.REPLACED, first.id)]
    assert lua.members("delayed") == [first.id]
    assert lua.members("waiting") == lua.members("waiting_of", "a") == []
    assert await fsck.check(lua.broker) == []


async def test_debounce_delays_a_waiting_job_too(lua: Bench) -> None:
    job_id = await lua.enqueue(dedup_key="k", group="a")
    await lua.add(dedup_key="k", dedup="debounce", delay=1)
    assert (lua.state(job_id), lua.members("waiting_of", "a")) == ("delayed", [])


@pytest.mark.parametrize("mode", ["replace", "debounce"])
async def test_a_running_job_is_never_replaced_and_its_end_leaves_the_key_to_the_new_one(lua: Bench, mode: str) -> None:
    running = await lua.start(dedup_key="k")
    word, new = await lua.add(dedup_key="k", dedup=mode, delay=0)
    assert (word, new) != (Reply.OK, running.id)
    await lua.ack(running)
    assert lua.redis.get(lua.key("dedup_of", "k")) == new
    assert await lua.add(dedup_key="k") == (Reply.DUPLICATE, new)


@pytest.mark.parametrize("end", ["ack", "fail", "cancel", "remove", "poison", "expire", "deadline"])
async def test_the_key_goes_with_its_job_whatever_ends_it(lua: Bench, end: str) -> None:
    options: dict[str, Any] = {"expire": {"expires": 1}, "deadline": {"deadline": 1}}.get(end, {})
    job_id = await lua.enqueue(dedup_key="k", **options)
    match end:
        case "ack" | "fail":
            await getattr(lua, end)(await lua.reserve())
        case "cancel":
            await lua.cancel(job_id)
        case "remove":
            await lua.remove(job_id)
        case "poison":
            for _ in range(3):
                await lua.crash(await lua.reserve())
        case _:
            lua.later(1000)
            await lua.broker.maintain(10)
    assert lua.state(job_id) in ("completed", "failed", "cancelled", None)
    assert await lua.add(dedup_key="k") != (Reply.DUPLICATE, job_id)


@pytest.mark.parametrize("verb", ["backoff", "snooze", "crash", "lose"])
async def test_the_key_stays_with_a_job_that_will_run_again(lua: Bench, verb: str) -> None:
    job = await lua.start(dedup_key="k")
    await getattr(lua, verb)(job)
    assert await lua.add(dedup_key="k") == (Reply.DUPLICATE, job.id)


@pytest.mark.parametrize("verb", ["ack", "fail"])
async def test_a_key_that_names_a_job_that_has_ended_holds_nobody_up(lua: Bench, verb: str) -> None:
    job = await lua.start()
    await getattr(lua, verb)(job)
    lua.redis.set(lua.key("dedup_of", "k"), job.id)
    word, new = await lua.add(dedup_key="k")
    assert (word, lua.redis.get(lua.key("dedup_of", "k"))) == (Reply.OK, new)


async def test_a_key_with_a_ttl_is_given_up_after_it(lua: Bench) -> None:
    job_id = await lua.enqueue(dedup_key="k", dedup_ttl=5)
    assert 0 < lua.redis.pttl(lua.key("dedup_of", "k")) <= 5000
    lua.redis.delete(lua.key("dedup_of", "k"))  # as Redis does then
    assert await lua.enqueue(dedup_key="k") != job_id


async def test_a_replay_takes_its_key_again_unless_another_job_holds_it(lua: Bench) -> None:
    job = await lua.start(dedup_key="k")
    await lua.fail(job)
    other = await lua.start(dedup_key="k")
    assert await lua.replay(job.id) is Reply.DUPLICATE
    await lua.ack(other)
    assert await lua.replay(job.id) is Reply.OK
    assert await lua.add(dedup_key="k") == (Reply.DUPLICATE, job.id)
