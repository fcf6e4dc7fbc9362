"""A Redis at its `maxmemory`: nothing new goes in, everything that is in comes out."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from evq import NewJob, QueueFull, Reply
from evq.embedded import private_redis
from tests.lua.lua_bench import ENDS, LEASE_MS, Bench

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def own_url(server_url: str, request: pytest.FixtureRequest) -> Iterator[str]:
    server = request.node.callspec.params["server_url"] if hasattr(request.node, "callspec") else None
    with private_redis(server=server) as url:
        yield url


@pytest.fixture
async def full(own_url: str) -> AsyncIterator[Bench]:
    bench = Bench(own_url, "full")
    bench.redis.config_set("maxmemory", 0)
    bench.redis.flushall()
    bench.at(bench.now)
    yield bench
    bench.redis.config_set("maxmemory", 0)
    await bench.close()


def fill(bench: Bench) -> None:
    bench.redis.config_set("maxmemory-policy", "noeviction")
    bench.redis.config_set("maxmemory", 1)


async def test_an_enqueue_is_refused_whole_and_says_what_to_do(full: Bench) -> None:
    fill(full)
    before = full.everything()
    with pytest.raises(QueueFull, match="maxmemory"):
        await full.enqueue()
    assert full.everything() == before


async def test_a_bulk_enqueue_is_refused_whole(full: Bench) -> None:
    fill(full)
    before = full.everything()
    with pytest.raises(QueueFull):
        await full.broker.enqueue([NewJob(task="send", payload=b"{}") for _ in range(1200)])
    assert full.everything() == before


async def test_a_bulk_enqueue_that_fills_it_leaves_nothing_behind(full: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    run, sent = full.broker.run, []

    async def run_and_fill(verb: str, *each: Any, **argv: Any) -> Any:
        sent.append(verb)
        if sent == ["stage", "stage"]:
            fill(full)
        return await run(verb, *each, **argv)

    monkeypatch.setattr(full.broker, "run", run_and_fill)
    with pytest.raises(QueueFull):
        await full.broker.enqueue([NewJob(task="send", payload=b'"%s"' % (b"x" * 1000)) for _ in range(600)])
    assert sent == ["stage", "stage", "stage", "expire"], "the last two drop it"
    assert [key for key in full.everything() if "clock" not in key] == []


async def test_a_resent_enqueue_is_still_recognised(full: Bench) -> None:
    job = NewJob(task="send", payload=b"{}")
    await full.broker.enqueue([job])
    fill(full)
    assert await full.broker.enqueue([job]) == [(Reply.EXISTS, job.id)]


async def test_running_jobs_report_keep_their_leases_and_end(full: Bench) -> None:
    done, failed, tried, handed = [await full.start(hooks=ENDS) for _ in range(4)]
    fill(full)
    assert await full.cancel(tried.id) is Reply.REQUESTED
    assert await full.progress(done) is Reply.OK
    assert await full.extend(done) is Reply.OK
    assert await full.watch(done.id) is Reply.WATCHING
    assert await full.ack(done) is Reply.OK
    assert await full.broker.next_told("a", 10) == done.id
    (record,) = await full.broker.get([done.id])
    assert record is not None
    assert record.result == "done"
    assert await full.fail(failed) is Reply.OK
    assert await full.backoff(tried) is Reply.OK
    assert await full.snooze(handed) is Reply.OK


async def test_waiting_jobs_are_run_cancelled_promoted_and_taken_back(full: Bench) -> None:
    waiting, unwanted = [await full.enqueue(delay=d) for d in (0, 0.1)]
    lost = await full.reserve()
    assert lost.id == waiting
    due = await full.enqueue(delay=0.01)
    fill(full)
    assert await full.cancel(unwanted) is Reply.CANCELLED
    full.redis.config_set("maxmemory", 0)
    await full.outlive(LEASE_MS)
    fill(full)
    await full.broker.maintain(100)
    assert [job.id for job in (await full.take(2)).jobs] == [waiting, due]


async def test_hooks_run_and_failed_jobs_are_replayed(full: Bench) -> None:
    job = await full.start(hooks=ENDS)
    fill(full)
    await full.fail(job)
    assert await full.reserve_ended() == [job.id]
    await full.ack_ended(job.id, full.seq(job.id))
    assert full.members("ended") == []
    assert await full.replay(job.id) is Reply.OK


async def test_a_purge_finds_room_behind_jobs_whose_hooks_have_not_run(full: Bench) -> None:
    owed = await full.start(hooks=["completed"])
    await full.ack(owed)
    full.later(1)
    await full.ack(await full.start("parse"))
    fill(full)
    assert await full.broker.run("purge", state="completed", until_ms=full.now, limit=10) == [2, 1]
    assert full.members("completed") == [owed.id]
