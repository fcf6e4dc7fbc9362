"""Large batches: staged, marked, moved. Before the mark none can run, after it all will."""

from collections.abc import Sequence
from typing import Any

import pytest

from evq import NewJob, QueueUnavailable, Reply, UsageError
from evq.broker import BULK, HOLD_MS
from evq.census import counts
from evq.ids import new_id
from evq.job import JobOptions
from tests.lua.lua_bench import Bench

pytestmark = pytest.mark.anyio


def jobs(count: int, **options: Any) -> list[NewJob]:
    return [NewJob.make("send", {"n": n}, JobOptions(**options)) for n in range(count)]


async def stage(lua: Bench, some: Sequence[NewJob], batch: str = "b") -> None:
    each = [(job.id, job.task, job.payload, job.options) for job in some]
    await lua.broker.run("stage", each, batch=batch, hold_ms=HOLD_MS)


async def mark(lua: Bench, some: Sequence[NewJob], batch: str = "b") -> Reply:
    return await lua.broker.word("mark", batch=batch, id=some[0].id, count=len(some))


async def test_a_large_batch_is_enqueued_whole_and_in_order(lua: Bench) -> None:
    some = jobs(1200)
    assert await lua.broker.enqueue(some) == [(Reply.OK, job.id) for job in some]
    assert lua.members("waiting") == [job.id for job in some]
    assert (await counts(lua.broker))["enqueued"] == 1200
    assert not lua.redis.exists(lua.key("staging"), lua.key("marked"))
    assert sum(len(ids) for name, ids in lua.events() if name == "enqueued") == 1200


async def test_before_the_mark_none_can_run(lua: Bench) -> None:
    await stage(lua, jobs(3))
    await lua.broker.maintain(10)
    assert (await lua.take(3)).jobs == []


async def test_after_the_mark_all_run_though_their_producer_is_gone(lua: Bench) -> None:
    some = jobs(100)
    await stage(lua, some)
    assert await mark(lua, some) is Reply.OK
    assert len((await lua.take(10)).jobs) == 10, "a worker that reserves moves them"
    while await lua.broker.maintain(10) == 0:
        pass
    assert len((await lua.take(100)).jobs) == 90


async def test_a_mark_wakes_somebody_to_move_the_batch_and_the_move_as_many_as_there_are_jobs(lua: Bench) -> None:
    some = jobs(3)
    await stage(lua, some)
    assert lua.tokens() == 0
    await mark(lua, some)
    assert lua.tokens() == 1
    await lua.broker.maintain(10)
    assert lua.tokens() == 3


async def test_a_worker_that_leaves_a_part_of_a_batch_wakes_another_for_it(lua: Bench) -> None:
    some = jobs(100)
    await stage(lua, some)
    await mark(lua, some)
    lua.redis.delete(lua.key("wake"))
    taken = await lua.take(64)
    assert (len(taken.jobs), taken.wait_ms, lua.tokens()) == (64, 0, 1)


async def test_batches_are_moved_in_the_order_of_their_marks_and_a_part_says_that_there_is_more(lua: Bench) -> None:
    batches = {name: jobs(2) for name in ("b", "a")}
    for name, some in batches.items():
        await stage(lua, some, name)
        await mark(lua, some, name)
        lua.later(1)
    assert await lua.broker.maintain(2) == 0
    while lua.members("marked"):
        await lua.broker.maintain(2)
    assert lua.members("waiting") == [job.id for some in batches.values() for job in some]


async def test_staged_jobs_keep_their_options(lua: Bench) -> None:
    some = [*jobs(1, delay=5), *jobs(1, group="a"), *jobs(1, priority=3)]
    await stage(lua, some)
    await mark(lua, some)
    await lua.broker.maintain(10)
    delayed, grouped, urgent = (job.id for job in some)
    assert lua.members("delayed") == [delayed]
    assert lua.members("waiting_of", "a") == [grouped]
    assert lua.record(urgent)["priority"] == 3


async def test_a_batch_whose_producer_is_gone_is_dropped_and_cannot_be_marked(lua: Bench) -> None:
    some = jobs(30)
    await stage(lua, some)
    lua.later(HOLD_MS)
    for _ in range(5):
        await lua.broker.maintain(10)
    assert await mark(lua, some) is Reply.NOT_FOUND
    assert not any(lua.record(job.id) for job in some)
    assert not lua.redis.exists(lua.key("staging"), lua.key("staged_of", "b"))


async def test_a_producer_that_was_too_slow_is_told_and_may_begin_again(
    lua: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    send = lua.broker.word

    async def send_too_late(verb: str, **argv: Any) -> Reply:
        """Let the batch be dropped between its last part and its mark."""
        lua.later(HOLD_MS)
        for _ in range(10):
            await lua.broker.maintain(100)
        return await send(verb, **argv)

    monkeypatch.setattr(lua.broker, "word", send_too_late)
    with pytest.raises(QueueUnavailable, match="enqueue it again"):
        await lua.broker.enqueue(jobs(600))
    assert (await lua.take(5)).jobs == []


async def test_a_resent_mark_is_known_before_and_after_the_move(lua: Bench) -> None:
    some = jobs(5)
    await stage(lua, some)
    assert await mark(lua, some) is Reply.OK
    assert await mark(lua, some) is Reply.OK
    await lua.broker.maintain(10)
    assert await mark(lua, some) is Reply.OK
    assert len((await lua.take(10)).jobs) == 5


async def test_a_batch_that_is_not_whole_is_not_marked(lua: Bench) -> None:
    some = jobs(5)
    await stage(lua, some[:3])
    assert await mark(lua, some) is Reply.NOT_FOUND


async def test_a_batch_that_is_enqueued_again_changes_nothing(lua: Bench) -> None:
    some = jobs(600)
    await lua.broker.enqueue(some)
    assert {word for word, _ in await lua.broker.enqueue(some)} == {Reply.EXISTS}
    assert len(lua.members("waiting")) == 600


async def test_a_producer_that_begins_anew_loses_nothing_to_the_drop_of_its_first_batch(lua: Bench) -> None:
    some = jobs(600)
    await stage(lua, some[:400], "first")
    assert {word for word, _ in await lua.broker.enqueue(some)} == {Reply.OK}
    lua.later(HOLD_MS)
    for _ in range(20):
        await lua.broker.maintain(100)
    assert lua.members("waiting") == [job.id for job in some]
    assert not lua.redis.exists(lua.key("staging"), lua.key("staged_of", "first"))


async def test_a_mark_that_comes_after_its_producer_has_begun_anew_counts_nothing(lua: Bench) -> None:
    some = jobs(4)
    await stage(lua, some, "first")
    await stage(lua, some[:2], "second")
    assert await mark(lua, some, "first") is Reply.NOT_FOUND
    await stage(lua, some[2:], "second")
    assert await mark(lua, some, "second") is Reply.OK
    for _ in range(3):
        await lua.broker.maintain(10)
    assert lua.members("waiting") == [job.id for job in some]
    assert (await counts(lua.broker))["enqueued"] == 4


async def test_a_job_of_a_batch_that_was_given_up_can_be_enqueued_by_itself(lua: Bench) -> None:
    (job,) = jobs(1)
    await stage(lua, [job])
    assert await lua.broker.enqueue([job]) == [(Reply.OK, job.id)]
    lua.later(HOLD_MS)
    await lua.broker.maintain(10)
    assert (await lua.reserve()).id == job.id


async def test_a_part_that_is_sent_twice_counts_once(lua: Bench) -> None:
    some = jobs(4)
    await stage(lua, some[:3])
    await stage(lua, some)
    assert await mark(lua, some) is Reply.OK
    await lua.broker.maintain(10)
    assert lua.members("waiting") == [job.id for job in some]


async def test_a_job_that_is_listed_twice_is_one(lua: Bench) -> None:
    some = jobs(300)
    await lua.broker.enqueue([*some, *some])
    assert lua.members("waiting") == [job.id for job in some]


async def test_a_large_batch_can_be_put_in_front(lua: Bench) -> None:
    behind = await lua.enqueue()
    await lua.broker.enqueue(jobs(300, front=True))
    assert lua.members("waiting")[-1] == behind


async def test_a_staged_job_that_is_cancelled_never_runs(lua: Bench) -> None:
    some = jobs(3)
    await stage(lua, some)
    assert await lua.cancel(some[1].id) is Reply.REQUESTED
    await mark(lua, some)
    await lua.broker.maintain(10)
    assert [lua.state(job.id) for job in some] == ["waiting", "cancelled", "waiting"]


async def test_jobs_with_a_dedup_key_are_refused_in_a_large_batch(lua: Bench) -> None:
    with pytest.raises(UsageError, match=rf"dedup_key.*{BULK}"):
        await lua.broker.enqueue([*jobs(BULK), *jobs(1, dedup_key="k")])
    assert lua.members("waiting") == []


async def test_a_batch_that_ends_with_a_portion_keeps_the_next_one_from_no_worker(lua: Bench) -> None:
    for _ in range(2):
        jobs = [NewJob(task="send", payload=b"{}") for _ in range(3)]
        each = [(job.id, job.task, job.payload, job.options) for job in jobs]
        batch = new_id()
        await lua.broker.words("stage", each, batch=batch, hold_ms=1000)
        assert await lua.broker.word("mark", batch=batch, id=jobs[0].id, count=3) is Reply.OK
    for waiting in (3, 5, 6):
        assert (await lua.broker.run("move", limit=3) == 3) is (waiting < 6)
        assert len(lua.members("waiting")) == waiting
