"""A Redis at its `maxmemory`: nothing new goes in, everything that is in comes out."""

from collections.abc import AsyncIterator, Iterator

import pytest

from evq import NewJob, QueueFull, Reply
from evq.embedded import private_redis
from tests.lua.lua_bench import KEEP_MS, LEASE_MS, Bench

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


def fill(bench: Bench, *, later_ms: int = 0) -> None:
    bench.redis.config_set("maxmemory", 0)
    bench.later(later_ms)
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


async def test_a_resent_enqueue_is_still_recognised(full: Bench) -> None:
    job = NewJob(task="send", payload=b"{}")
    await full.broker.enqueue([job])
    fill(full)
    assert await full.broker.enqueue([job]) == [Reply.EXISTS]


async def test_running_jobs_report_keep_their_leases_and_end(full: Bench) -> None:
    done, failed, tried, handed = [await full.start(hooked=True) for _ in range(4)]
    fill(full)
    assert await full.cancel(tried.id) is Reply.REQUESTED
    assert await full.progress(done) is Reply.OK
    assert await full.extend(done) is Reply.OK
    assert await full.broker.watch(done.id, "a", 60_000) is Reply.WATCHING
    assert await full.ack(done) is Reply.OK
    assert await full.broker.next_ended("a", 10) == done.id
    (record,) = await full.broker.get([done.id])
    assert record is not None
    assert record.result == "done"
    assert await full.fail(failed) is Reply.OK
    assert await full.backoff(tried) is Reply.OK
    assert await full.snooze(handed) is Reply.OK


async def test_waiting_jobs_are_run_cancelled_promoted_and_taken_back(full: Bench) -> None:
    waiting, unwanted = [await full.enqueue(delay_ms=d) for d in (0, 100)]
    lost = await full.reserve()
    assert lost.id == waiting
    due = await full.enqueue(delay_ms=10)
    fill(full)
    assert await full.cancel(unwanted) is Reply.CANCELLED
    fill(full, later_ms=LEASE_MS)
    await full.broker.maintain(100, KEEP_MS)
    assert [job.id for job in (await full.take(2)).jobs] == [waiting, due]


async def test_hooks_run_and_failed_jobs_are_replayed(full: Bench) -> None:
    job = await full.start(hooked=True)
    fill(full)
    await full.fail(job)
    assert await full.broker.reserve_ended(10, 30_000, ["send"]) == [job.id]
    await full.broker.ack_ended(KEEP_MS, [(job.id, int(full.record(job.id)["seq"]))])
    assert full.members("ended") == []
    assert await full.broker.replay(job.id) is Reply.OK
