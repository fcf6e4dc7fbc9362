"""The stream of events: each is seen once, in order, and what was missed is said to be."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from redis import Redis

from evq import Context, Event, JobProgress, Queue, UsageError, Worker
from evq.events import GAP, KEPT
from evq.ids import new_id
from tests.integration.running import until
from tests.integration.test_outages import Server

pytestmark = pytest.mark.anyio


class Stream:
    """A queue's stream of events, written and cut by the test."""

    def __init__(self, queue: Queue) -> None:
        self.key = queue._keys["events"]
        self.redis: Any = Redis.from_url(queue.url, decode_responses=True)

    def add(self, *jobs: str, at: str = "*") -> str:
        event_id: str = self.redis.xadd(self.key, {"event": "enqueued", "jobs": " ".join(jobs)}, id=at)
        return event_id

    def add_many(self, count: int) -> None:
        with self.redis.pipeline(transaction=False) as pipeline:
            for number in range(count):
                pipeline.xadd(self.key, {"event": "enqueued", "jobs": str(number)}, maxlen=10_000, approximate=True)
            pipeline.execute()

    def cut(self, keep: int) -> None:
        self.redis.xtrim(self.key, maxlen=keep, approximate=False)


@pytest.fixture
def stream(queue: Queue) -> Iterator[Stream]:
    stream = Stream(queue)
    yield stream
    stream.redis.close()


async def read(events: AsyncIterator[Event], count: int) -> list[tuple[str, ...]]:
    """Read some events; return the jobs of each, or the name of a gap."""
    with anyio.fail_after(10):
        found = [await anext(events) for _ in range(count)]
    return [event.jobs or (event.name,) for event in found]


async def test_events_tell_what_became_of_a_job(queue: Queue) -> None:
    @queue.task
    async def work() -> None: ...

    seen: list[str] = []
    job_id = new_id()

    async def listen() -> None:
        async for event in queue.events(from_id="0-0"):
            assert event.jobs == (job_id,)
            seen.append(event.name)
            if event.name == "completed":
                return

    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            group.start_soon(listen)
            await work.using(id=job_id).enqueue()
            await Worker(queue).run(burst=True)
    assert seen == ["enqueued", "reserved", "completed"]


async def test_a_progress_event_carries_the_progress_and_its_sequence_number(queue: Queue) -> None:
    @queue.task
    async def work(ctx: Context) -> None:
        await ctx.progress(50, step="half")

    job = await work.enqueue()
    await Worker(queue).run(burst=True)
    with anyio.fail_after(5):
        async for event in queue.events(from_id="0-0"):
            if event.name == "progress":
                break
    assert event.progress == JobProgress(percentage=50, current_step="half")
    assert event.seq is not None
    assert event.seq < (await job.refresh()).seq


async def test_events_begin_where_the_listener_comes_in(queue: Queue, stream: Stream) -> None:
    stream.add("early")
    seen: list[tuple[str, ...]] = []

    async def listen() -> None:
        seen.extend(await read(queue.events(), 1))

    async def blocked() -> bool:
        return bool(stream.redis.info("clients")["blocked_clients"])

    async with anyio.create_task_group() as group:
        group.start_soon(listen)
        await until(blocked)
        stream.add("late")
    assert seen == [("late",)]


async def test_a_listener_goes_on_after_the_last_event_that_it_has_read(queue: Queue, stream: Stream) -> None:
    ids = [stream.add(str(number)) for number in range(4)]
    assert await read(queue.events(from_id=ids[1]), 2) == [("2",), ("3",)]


@pytest.mark.parametrize("from_id", ["", "0", "1-", "$", "-", "1-1 ", "99999999999999999999-0"])
async def test_what_is_no_id_of_an_event_is_refused_at_the_call(queue: Queue, from_id: str) -> None:
    with pytest.raises(UsageError, match="from_id="):
        queue.events(from_id=from_id)


# Gaps


async def test_a_listener_that_was_overtaken_by_the_cut_is_told_and_goes_on_with_what_is_kept(
    queue: Queue, stream: Stream
) -> None:
    stream.add("first")
    events = queue.events(from_id="0-0")
    assert await read(events, 1) == [("first",)]
    stream.add_many(12_000)
    kept = stream.redis.xlen(stream.key)
    assert await read(events, kept + 1) == [(GAP,), *((str(n),) for n in range(12_000 - kept, 12_000))]


async def test_no_gap_is_told_of_while_the_event_that_was_read_last_is_there(queue: Queue, stream: Stream) -> None:
    for number in range(3):
        stream.add(str(number))
    events = queue.events(from_id="0-0")
    assert await read(events, 3) == [("0",), ("1",), ("2",)]
    stream.add("3")
    stream.cut(keep=2)
    assert await read(events, 1) == [("3",)]


async def test_who_asks_for_all_events_is_told_that_there_were_others(queue: Queue, stream: Stream) -> None:
    stream.add_many(12_000)
    assert await read(queue.events(from_id="0-0"), 1) == [(GAP,)]


async def test_an_event_that_is_not_kept_any_more_is_a_gap_at_the_beginning(queue: Queue, stream: Stream) -> None:
    ids = [stream.add(str(number)) for number in range(3)]
    stream.cut(keep=1)
    events = queue.events(from_id=ids[0])
    with anyio.fail_after(5):
        gap = await anext(events)
    assert (gap.name, gap.jobs, gap.id) == (GAP, (), ids[0])
    assert await read(events, 1) == [("2",)]


async def test_a_lost_stream_is_one_gap_and_what_comes_after_is_read_even_if_its_clock_went_back(
    queue: Queue, stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evq.events.BLOCK_MS", 10)
    place = stream.add("before")
    earlier = int(place.partition("-")[0]) - 3_600_000
    events = queue.events(from_id=place)
    stream.redis.delete(stream.key)
    stream.add("unseen", at=f"{earlier}-0")
    assert await read(events, 1) == [(GAP,)]
    asyncio.get_running_loop().call_later(0.05, lambda: stream.add("after", at=f"{earlier}-1"))
    assert await read(events, 1) == [("after",)]


async def test_a_lost_stream_in_which_nothing_happens_is_a_gap_too(
    queue: Queue, stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evq.events.BLOCK_MS", 10)
    events = queue.events(from_id=stream.add("before"))
    stream.redis.delete(stream.key)
    assert await read(events, 1) == [(GAP,)]
    asyncio.get_running_loop().call_later(0.05, lambda: stream.add("after"))
    assert await read(events, 1) == [("after",)]


@pytest.mark.parametrize(("jobs", "most"), [(1, 10_000), (50, 200), (250, KEPT)])
async def test_the_stream_keeps_what_was_said_of_so_many_jobs_but_no_less_than_a_listener_counts_on(
    queue: Queue, stream: Stream, jobs: int, most: int
) -> None:
    @queue.task
    async def work() -> None: ...

    for length, kept in ((most - 1, range(most, most + 1)), (2 * most, range(most, most + 200))):
        stream.redis.delete(stream.key)
        with stream.redis.pipeline(transaction=False) as pipeline:
            for _ in range(length):
                pipeline.xadd(stream.key, {"event": "enqueued", "jobs": "j"})
            pipeline.execute()
        await queue.enqueue_many([work.job() for _ in range(jobs)])
        assert stream.redis.xlen(stream.key) in kept


# Outages


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path)
    server.start()
    yield server
    server.kill()


@pytest.mark.parametrize("lost", [False, True])
async def test_an_outage_is_a_gap_only_if_events_were_lost_in_it(
    server: Server, *, lost: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async with Queue("outage", redis=server.url) as queue:

        @queue.task
        async def work() -> None: ...

        events = queue.events(from_id="0-0")
        before = await work.enqueue()
        assert await read(events, 1) == [(before.id,)]
        server.kill()
        if lost:
            server.lose_data()
        seen: list[tuple[str, ...]] = []

        async def listen() -> None:
            seen.extend(await read(events, 2 if lost else 1))

        async def interrupted() -> bool:
            return "the event stream is interrupted" in caplog.text

        async with anyio.create_task_group() as group:
            group.start_soon(listen)
            await until(interrupted)
            server.start()
            after = await work.enqueue()
        assert seen == ([(GAP,)] if lost else []) + [(after.id,)]
    assert caplog.text.count("the event stream is interrupted") == 1


async def test_after_an_outage_a_gap_is_told_of_though_nothing_happens(
    server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("evq.events.BLOCK_MS", 60_000)

    async def interrupted() -> bool:
        return "the event stream is interrupted" in caplog.text

    async with Queue("outage", redis=server.url) as queue:
        events = queue.events(from_id=await _an_event(queue))
        async with anyio.create_task_group() as group:

            async def listen() -> None:
                assert await read(events, 1) == [(GAP,)]

            async def listens() -> bool:
                (clients,) = await queue.broker.send([("INFO", "clients")])
                return "blocked_clients:1" in clients.decode()

            group.start_soon(listen)
            await until(listens)
            server.kill()
            server.lose_data()
            await until(interrupted)
            server.start()


async def _an_event(queue: Queue) -> str:
    """Let something happen; return the id of the event."""
    (event_id,) = await queue.broker.send(
        [("XADD", queue.broker.keys["events"], "*", "event", "enqueued", "jobs", "j")]
    )
    return str(event_id.decode())
