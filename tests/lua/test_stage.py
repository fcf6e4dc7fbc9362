"""Large batches: staged, marked, moved. Before the mark none can run, after it all will."""

from collections.abc import Sequence
from typing import Any

import pytest

from evq import NewJob, QueueUnavailable, Reply, UsageError
from evq.broker import BULK, HOLD_MS, PART, pack_part
from evq.census import counts
from evq.job import JobOptions
from tests.lua.lua_bench import Bench

pytestmark = pytest.mark.anyio


def jobs(count: int, **options: Any) -> list[NewJob]:
    return [NewJob.make("send", {"n": n}, JobOptions(**options)) for n in range(count)]


async def stage(lua: Bench, *parts: Sequence[NewJob], batch: str = "b", last: int = 1) -> None:
    """Stage parts of a batch, of which the last one has this number."""
    packed = [pack_part([(job.id, job.task, job.payload, job.options) for job in part]) for part in parts]
    numbers = range(last + len(parts) - 1, last - 1, -1)
    await lua.broker.run("stage", list(zip(numbers, packed, strict=True)), batch=batch, hold_ms=HOLD_MS)


async def mark(lua: Bench, batch: str = "b", *, count: int = 1) -> Reply:
    return await lua.broker.word("mark", batch=batch, count=count, hold_ms=HOLD_MS)


async def move(lua: Bench, limit: int) -> bool:
    """Move that many jobs, or a few more; return whether more are to be moved."""
    return bool(await lua.broker.run("move", limit=limit))


async def test_a_large_batch_is_enqueued_whole_and_in_order(lua: Bench) -> None:
    some = jobs(1200)
    assert await lua.broker.enqueue(some) == [(Reply.OK, job.id) for job in some]
    assert lua.members("waiting") == [job.id for job in some]
    assert (await counts(lua.broker))["enqueued"] == 1200
    assert lua.redis.keys(lua.key("staged_of", "*")) == lua.members("marked") == []
    assert sum(len(ids) for name, ids in lua.events() if name == "enqueued") == 1200


async def test_a_large_batch_of_more_than_one_call_is_enqueued_in_order(lua: Bench) -> None:
    some = [NewJob.make("send", {"text": "x" * 9000}, JobOptions()) for _ in range(70)]
    await lua.broker.enqueue(some)
    assert lua.members("waiting") == [job.id for job in some]


async def test_before_the_mark_none_can_run(lua: Bench) -> None:
    some = jobs(3)
    await stage(lua, some)
    await lua.broker.maintain(10)
    assert (await lua.take(3)).jobs == []
    assert not lua.record(some[0].id)


async def test_after_the_mark_all_run_though_their_producer_is_gone(lua: Bench) -> None:
    some = jobs(120)
    await stage(lua, some[:PART], some[PART : 2 * PART], some[2 * PART :])
    assert await mark(lua, count=3) is Reply.OK
    assert len((await lua.take(10)).jobs) == 10, "a worker that reserves moves them"
    while await lua.broker.maintain(10) == 0:
        pass
    assert len((await lua.take(120)).jobs) == 110


async def test_a_mark_wakes_somebody_to_move_the_batch_and_the_move_as_many_as_there_are_jobs(lua: Bench) -> None:
    await stage(lua, jobs(3))
    assert lua.tokens() == 0
    await mark(lua)
    assert lua.tokens() == 1
    await lua.broker.maintain(10)
    assert lua.tokens() == 3


async def test_a_worker_that_leaves_a_part_of_a_batch_wakes_another_for_it(lua: Bench) -> None:
    await stage(lua, jobs(PART), jobs(1))
    await mark(lua, count=2)
    lua.redis.delete(lua.key("wake"))
    taken = await lua.take(100)
    assert (len(taken.jobs), taken.wait_ms, lua.tokens() > 0) == (PART, 0, True)


async def test_batches_are_moved_in_the_order_of_their_marks_and_a_part_says_that_there_is_more(lua: Bench) -> None:
    batches = {name: jobs(2) for name in ("b", "a")}
    for name, some in batches.items():
        await stage(lua, some, batch=name)
        await mark(lua, name)
        lua.later(1)
    assert await lua.broker.maintain(2) == 0
    assert await lua.broker.maintain(2) is None
    assert lua.members("waiting") == [job.id for some in batches.values() for job in some]


async def test_a_move_adds_as_many_parts_as_have_so_many_jobs(lua: Bench) -> None:
    await stage(lua, *(jobs(2) for _ in range(4)))
    await mark(lua, count=4)
    for limit, waiting in ((2, 2), (3, 6), (2, 8)):
        assert await move(lua, limit) is (waiting < 8)
        assert len(lua.members("waiting")) == waiting


async def test_a_move_adds_fewer_if_they_are_large(lua: Bench) -> None:
    await stage(lua, *([NewJob(task="send", payload=b'"%s"' % (b"x" * 100_000))] for _ in range(5)))
    await mark(lua, count=5)
    assert await move(lua, BULK) is True
    assert len(lua.members("waiting")) == 3, "256 KiB, and what is beyond in the last part"


async def test_staged_jobs_keep_their_options(lua: Bench) -> None:
    some = [*jobs(1, delay=5), *jobs(1, group="a"), *jobs(1, priority=3)]
    await stage(lua, some)
    await mark(lua)
    await lua.broker.maintain(10)
    delayed, grouped, urgent = (job.id for job in some)
    assert lua.members("delayed") == [delayed]
    assert lua.members("waiting_of", "a") == [grouped]
    assert lua.record(urgent)["priority"] == 3


async def test_the_times_of_a_staged_job_begin_when_it_is_moved(lua: Bench) -> None:
    (job,) = jobs(1, delay=5)
    await stage(lua, [job])
    await mark(lua)
    lua.later(2000)
    await lua.broker.maintain(10)
    assert lua.scores("delayed") == {job.id: lua.now + 5000}
    assert lua.record(job.id)["created"] == lua.now


async def test_a_batch_whose_producer_is_gone_is_dropped_and_cannot_be_marked(lua: Bench) -> None:
    await stage(lua, jobs(30), jobs(30))
    lua.later(HOLD_MS)
    assert await mark(lua, count=2) is Reply.NOT_FOUND
    await lua.broker.maintain(10)
    assert await mark(lua, count=2) is Reply.NOT_FOUND
    assert not lua.redis.exists(lua.key("staging"), lua.key("staged_of", "b"))


async def test_a_producer_that_goes_on_keeps_its_batch(lua: Bench) -> None:
    some = jobs(2)
    await stage(lua, some[:1], last=2)
    lua.later(HOLD_MS - 1)
    await stage(lua, some[1:])
    lua.later(HOLD_MS - 1)
    await lua.broker.maintain(10)
    assert await mark(lua, count=2) is Reply.OK


async def test_a_batch_that_is_marked_is_not_dropped_however_late_it_is_moved(lua: Bench) -> None:
    some = jobs(3)
    await stage(lua, some)
    await mark(lua)
    lua.later(HOLD_MS)
    await lua.broker.run("expire", limit=10)
    await lua.broker.maintain(10)
    assert lua.members("waiting") == [job.id for job in some]


async def test_a_producer_that_was_too_slow_is_told_and_may_begin_again(
    lua: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    send = lua.broker.word

    async def send_too_late(verb: str, **argv: Any) -> Reply:
        """Let the batch be dropped between its last part and its mark."""
        lua.later(HOLD_MS)
        await lua.broker.maintain(100)
        return await send(verb, **argv)

    some = jobs(600)
    with monkeypatch.context() as patch:
        patch.setattr(lua.broker, "word", send_too_late)
        with pytest.raises(QueueUnavailable, match="enqueue it again"):
            await lua.broker.enqueue(some)
    assert (await lua.take(5)).jobs == []
    await lua.broker.enqueue(some)
    assert lua.members("waiting") == [job.id for job in some]


async def test_a_producer_that_loses_redis_before_its_jobs_are_moved_is_told_and_they_run_once(
    lua: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = lua.broker.run

    async def run_before_the_move(verb: str, *each: Any, **argv: Any) -> Any:
        if verb == "move":
            raise QueueUnavailable("lost")
        return await run(verb, *each, **argv)

    some = jobs(600)
    with monkeypatch.context() as patch:
        patch.setattr(lua.broker, "run", run_before_the_move)
        with pytest.raises(QueueUnavailable, match="lost"):
            await lua.broker.enqueue(some)
    await lua.broker.maintain(100)
    await lua.broker.enqueue(some)
    assert lua.members("waiting") == [job.id for job in some]
    assert (await counts(lua.broker))["enqueued"] == 600


async def test_a_resent_mark_is_known_before_and_after_the_move(lua: Bench) -> None:
    await stage(lua, jobs(5), jobs(5))
    assert await mark(lua, count=2) is Reply.OK
    assert await mark(lua, count=2) is Reply.OK
    await move(lua, 5)
    assert await mark(lua, count=2) is Reply.OK
    await move(lua, 5)
    assert await mark(lua, count=2) is Reply.OK
    assert len((await lua.take(20)).jobs) == 10


async def test_a_mark_is_known_for_as_long_as_its_producer_may_take_however_late_it_came(lua: Bench) -> None:
    await stage(lua, jobs(5))
    lua.later(HOLD_MS - 1)
    assert await mark(lua) is Reply.OK
    await move(lua, 5)
    lua.later(HOLD_MS - 1)
    await lua.broker.maintain(10)
    assert await mark(lua) is Reply.OK
    lua.later(1)
    await lua.broker.maintain(10)
    assert not lua.redis.exists(lua.key("staging"), lua.key("staged_of", "b"))


async def test_a_batch_that_is_not_whole_is_not_marked(lua: Bench) -> None:
    await stage(lua, jobs(5), last=2)
    assert await mark(lua, count=2) is Reply.NOT_FOUND


async def test_a_batch_of_a_job_that_was_there_before_is_marked_only_if_it_is_whole(lua: Bench) -> None:
    some = jobs(3)
    await lua.broker.enqueue(some[:1])
    await stage(lua, some[:2], last=2)
    lua.later(HOLD_MS)
    await lua.broker.maintain(10)
    await stage(lua, some[2:])
    assert await mark(lua, count=2) is Reply.NOT_FOUND


async def test_a_batch_that_is_enqueued_again_changes_nothing(lua: Bench) -> None:
    some = jobs(600)
    for _ in range(2):
        await lua.broker.enqueue(some)
    assert lua.members("waiting") == [job.id for job in some]
    assert (await counts(lua.broker))["enqueued"] == 600


async def test_a_producer_that_begins_anew_makes_each_job_once(lua: Bench) -> None:
    some = jobs(600)
    await stage(lua, some[:PART], batch="first", last=2)
    await lua.broker.enqueue(some)
    lua.later(HOLD_MS)
    await lua.broker.maintain(100)
    assert lua.members("waiting") == [job.id for job in some]
    assert not lua.redis.exists(lua.key("staging"), lua.key("staged_of", "first"))


async def test_a_first_batch_that_is_marked_after_its_producer_has_begun_anew_counts_nothing_twice(lua: Bench) -> None:
    some = jobs(4)
    await stage(lua, some, batch="first")
    await lua.broker.enqueue(some[:2])
    await stage(lua, some, batch="second")
    for batch in ("first", "second"):
        assert await mark(lua, batch) is Reply.OK
    await lua.broker.maintain(10)
    assert lua.members("waiting") == [job.id for job in some]
    assert (await counts(lua.broker))["enqueued"] == 4


async def test_parts_that_are_sent_twice_and_in_any_order_count_once(lua: Bench) -> None:
    some = jobs(6)
    await stage(lua, some[4:])
    for _ in range(2):
        await stage(lua, some[:2], some[2:4], last=2)
    assert await mark(lua, count=3) is Reply.OK
    await lua.broker.maintain(10)
    assert lua.members("waiting") == [job.id for job in some]


async def test_a_part_that_is_sent_again_after_the_mark_is_left_out(lua: Bench) -> None:
    some = jobs(4)
    await stage(lua, some[:2], some[2:])
    await mark(lua, count=2)
    await move(lua, 1)
    await stage(lua, some[:2], last=2)
    await move(lua, 10)
    assert lua.members("waiting") == [job.id for job in some]
    assert not lua.redis.exists(lua.key("staged_of", "b"))


@pytest.mark.parametrize("first", [0, 1])
async def test_parts_that_are_sent_again_after_the_move_leave_nothing_and_change_no_answer(
    lua: Bench, first: int
) -> None:
    parts = [jobs(2), jobs(2)]
    await stage(lua, *parts)
    await mark(lua, count=2)
    await move(lua, 10)
    await stage(lua, *parts[first:])
    assert await mark(lua, count=2) is Reply.OK
    assert lua.members("marked") == []
    assert not lua.redis.exists(lua.key("staged_of", "b"))


async def test_a_job_that_is_listed_twice_is_one(lua: Bench) -> None:
    some = jobs(300)
    await lua.broker.enqueue([*some, *some])
    assert lua.members("waiting") == [job.id for job in some]


async def test_a_large_batch_can_be_put_in_front(lua: Bench) -> None:
    behind = await lua.enqueue()
    await lua.broker.enqueue(jobs(300, front=True))
    assert lua.members("waiting")[-1] == behind


async def test_jobs_with_a_dedup_key_are_refused_in_a_large_batch(lua: Bench) -> None:
    with pytest.raises(UsageError, match=rf"dedup_key.*{BULK}"):
        await lua.broker.enqueue([*jobs(BULK), *jobs(1, dedup_key="k")])
    assert lua.members("waiting") == []


@pytest.mark.parametrize("damage", ["\x7f", "\xc1", ""])
async def test_a_part_that_cannot_be_read_stops_no_worker(lua: Bench, damage: str) -> None:
    first, _, last = some = jobs(3)
    await stage(lua, *([job] for job in some))
    lua.redis.hset(lua.key("staged_of", "b"), 2, damage)
    await mark(lua, count=3)
    assert [job.id for job in (await lua.take(10)).jobs] == [first.id, last.id]


async def test_a_part_that_is_lost_stops_no_worker(lua: Bench) -> None:
    await stage(lua, jobs(1), jobs(1), jobs(1))
    await mark(lua, count=3)
    lua.redis.hdel(lua.key("staged_of", "b"), 1)
    lua.redis.hset(lua.key("staged_of", "b"), "stranger", "x")
    await lua.broker.maintain(10)
    assert (len(lua.members("waiting")), lua.members("marked")) == (2, [])
