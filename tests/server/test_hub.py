"""Live progress: snapshot first, then what matters, and the end for everybody."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from evq import Context, Queue, QueueUnavailable
from evq_server import hub as hub_module
from evq_server.hub import Hint, Hub, Message, Seat
from evq_server.settings import Settings
from evq_server.store.database import Database
from evq_server.store.imports import record_outcome
from tests.server.api_fixtures import Server, serve

pytestmark = pytest.mark.anyio


@pytest.fixture
async def server(settings: Settings, database: Database, queue: Queue) -> AsyncIterator[Server]:
    async with serve(settings, database, queue) as server:
        await server.put_event()
        yield server


def watch(server: Server, job_id: str, query: str = "", **options: Any) -> connect:
    options = {"additional_headers": server.auth, "compression": None} | options
    return connect(f"{server.ws}/api/jobs/{job_id}/progress{query}", **options)


async def frames_of(socket: ClientConnection) -> list[dict[str, Any]]:
    with anyio.fail_after(10):
        return [json.loads(text) async for text in socket]


# Over the wire


async def test_the_first_frame_is_a_snapshot_and_the_last_one_the_result(server: Server) -> None:
    job_id = await server.upload()
    go = anyio.Event()

    async def script(ctx: Context) -> dict[str, Any]:
        await go.wait()
        await ctx.progress(50, step="validate", total_steps=5, completed_steps=2)
        return {"success": True, "processedCount": 3}

    async with watch(server, job_id) as socket:
        first = json.loads(await socket.recv())
        assert first == {
            "event": "progress",
            "job": job_id,
            "seq": first["seq"],
            "status": "pending",
            "data": {
                "percentage": 0,
                "currentStep": "waiting",
                "totalSteps": 5,
                "completedSteps": 0,
                "estimatedTimeRemaining": None,
            },
        }
        async with server.worker(script):
            go.set()
            frames = await frames_of(socket)
        assert socket.close_code == 1000
    seqs = [frame["seq"] for frame in [first, *frames]]
    assert seqs == sorted(set(seqs))
    final = frames[-1]
    assert (final["event"], final["status"]) == ("completed", "completed")
    assert final["data"]["result"] == {"success": True, "processedCount": 3}
    assert final["data"]["progress"]["currentStep"] == "validate"
    assert final["data"]["error"] is None


async def test_a_failed_job_ends_with_its_reason_and_without_a_traceback(server: Server) -> None:
    job_id = await server.upload()

    async def script(_: Context) -> None:
        raise ValueError("no e-mail column")

    async with server.worker(script), watch(server, job_id) as socket:
        final = (await frames_of(socket))[-1]
    assert final["event"] == "failed"
    assert final["data"]["error"] == {"type": "ValueError", "message": "no e-mail column"}
    assert "Traceback" not in json.dumps(final)


async def test_after_spares_a_client_what_it_has_seen_but_never_the_end(server: Server) -> None:
    job_id = await server.upload()
    async with watch(server, job_id) as socket:
        seen = json.loads(await socket.recv())["seq"]
    async with watch(server, job_id, f"?after={seen}") as socket:
        with pytest.raises(TimeoutError), anyio.fail_after(0.3):
            await socket.recv()
        await server.client.delete(f"/api/jobs/{job_id}")
        (final,) = await frames_of(socket)
    assert final["event"] == "cancelled"
    async with watch(server, job_id, f"?after={final['seq']}") as socket:
        assert [frame["event"] for frame in await frames_of(socket)] == ["cancelled"]


async def test_an_import_that_the_queue_has_forgotten_shows_its_recorded_outcome(server: Server) -> None:
    job_id = await server.upload()
    with server.database.begin() as connection:
        record_outcome(connection, job_id, 0, "completed", {"success": True}, now_ms=1)
    server.jobs.queue = Queue("forgetful", redis=server.jobs.queue.url)  # knows no job at all
    async with watch(server, job_id) as socket:
        (final,) = await frames_of(socket)
    assert final["data"]["result"] == {"success": True}
    await server.jobs.queue.close()


async def test_an_unknown_job_is_closed_with_4404(server: Server) -> None:
    async with watch(server, "01NOPE") as socket:
        with pytest.raises(ConnectionClosed), anyio.fail_after(5):
            await socket.recv()
        assert socket.close_code == 4404


async def test_a_browser_may_bring_the_key_as_a_subprotocol(server: Server) -> None:
    job_id = await server.upload()
    offered = ["evq.progress", f"bearer.{server.key}"]
    async with watch(server, job_id, additional_headers={}, subprotocols=offered) as socket:
        assert socket.subprotocol == "evq.progress"
        await socket.recv()


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ({}, ""),
        ({"Authorization": "Bearer wrong"}, ""),
        ({}, "?key={key}"),
        ({"Authorization": "Bearer {key}", "Origin": "https://evil.example"}, ""),
        ({"Authorization": "Bearer {key}", "Origin": "null"}, ""),
    ],
)
async def test_strangers_are_refused_before_the_handshake(server: Server, headers: dict[str, str], query: str) -> None:
    job_id = await server.upload()
    headers = {name: value.format(key=server.key) for name, value in headers.items()}
    with pytest.raises(InvalidStatus) as refused:
        async with watch(server, job_id, query.format(key=server.key), additional_headers=headers):
            pass
    assert refused.value.response.status_code in {401, 403}


async def test_a_page_of_this_server_may_watch(server: Server) -> None:
    job_id = await server.upload()
    origin = f"http://127.0.0.1:{server.port}"
    async with watch(server, job_id, origin=origin) as socket:
        await socket.recv()


async def test_a_client_that_talks_is_closed(server: Server) -> None:
    job_id = await server.upload()
    async with watch(server, job_id) as socket:
        await socket.recv()
        await socket.send("hello")
        with pytest.raises(ConnectionClosed), anyio.fail_after(5):
            await socket.recv()
        assert socket.close_code == 1008


# The hub alone


class Source:
    """A queue to the hub: snapshots and hints that the test sets, and a count of the reads."""

    def __init__(self) -> None:
        self.messages: dict[str, Message] = {}
        self.reads = 0
        self.down = False
        self.broken = ""
        self._send, self._receive = anyio.create_memory_object_stream[Hint](100)

    async def read(self, job_id: str) -> Message | None:
        self.reads += 1
        if self.down:
            raise QueueUnavailable("down")
        if job_id == self.broken:
            raise RuntimeError("broken")
        return self.messages.get(job_id)

    async def hints(self) -> AsyncIterator[Hint]:
        async for hint in self._receive:
            yield hint

    def hint(self, *jobs: str, message: Message | None = None) -> None:
        self._send.send_nowait(Hint(jobs=jobs, message=message))

    def close(self) -> None:
        self._send.close()
        self._receive.close()


def message(seq: int, *, milestone: float | None = None, final: bool = False) -> Message:
    return Message(seq=seq, milestone=milestone, final=final, text=str(seq))


@contextmanager
def opened(source: Source) -> Iterator[Source]:
    try:
        yield source
    finally:
        source.close()


async def next_text(seat: Seat) -> str:
    with anyio.fail_after(5):
        return (await anext(seat.messages())).text


@pytest.fixture
async def running(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Hub, Source]]:
    monkeypatch.setattr(hub_module, "REFRESH", 3600)  # what is shown comes from hints
    with opened(Source()) as source:
        hub = Hub(source.hints, source.read)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(hub.run)
            yield hub, source
            tasks.cancel_scope.cancel()


async def test_a_burst_of_hints_costs_few_reads_and_shows_the_newest(running: tuple[Hub, Source]) -> None:
    hub, source = running
    source.messages["a"] = message(1)
    with hub.seat("a", after=-1) as seat:
        assert await next_text(seat) == "1"
        for seq in range(2, 80):
            source.messages["a"] = message(seq)
            source.hint("a")
            await checkpoint()  # let the hub see each hint by itself
        while await next_text(seat) != "79":
            pass
    assert source.reads <= 4


async def test_after_a_gap_in_the_hints_everybody_gets_a_fresh_snapshot(running: tuple[Hub, Source]) -> None:
    hub, source = running
    source.messages["a"] = source.messages["b"] = message(1)
    with hub.seat("a", after=-1) as seat, hub.seat("b", after=-1) as other:
        assert await next_text(seat) == await next_text(other) == "1"
        source.messages["a"] = source.messages["b"] = message(2)
        source.hint()  # what the queue says when it has lost hints: no jobs, but look at everything
        assert await next_text(seat) == await next_text(other) == "2"


async def test_a_read_that_found_no_queue_is_repeated_when_it_is_back(
    running: tuple[Hub, Source], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_module, "PAUSE", 0.01)
    hub, source = running
    source.messages["a"] = message(1)
    with hub.seat("a", after=-1) as seat:
        assert await next_text(seat) == "1"
        source.down = True
        source.messages["a"] = message(2)
        source.hint("a")
        with anyio.fail_after(5):
            while source.reads == 1:  # until a read has failed
                await anyio.sleep(0.01)
        source.down = False
        assert await next_text(seat) == "2"


async def test_a_lost_hint_costs_only_the_refresh_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module, "REFRESH", 0.05)
    with opened(Source()) as source:
        hub = Hub(source.hints, source.read)
        source.messages["a"] = message(1)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(hub.run)
            with hub.seat("a", after=-1) as seat:
                assert await next_text(seat) == "1"
                source.messages["a"] = message(2)
                assert await next_text(seat) == "2"
            tasks.cancel_scope.cancel()


async def test_trouble_with_one_job_does_not_end_the_others_progress(
    running: tuple[Hub, Source], caplog: pytest.LogCaptureFixture
) -> None:
    hub, source = running
    source.broken = "a"
    source.messages["b"] = message(1)
    with hub.seat("a", after=-1), hub.seat("b", after=-1) as seat:
        assert await next_text(seat) == "1"
        source.messages["b"] = message(2)
        source.hint("b")
        assert await next_text(seat) == "2"
    assert "progress cannot be read" in caplog.text


async def test_who_leaves_is_forgotten_and_who_stays_is_served(running: tuple[Hub, Source]) -> None:
    hub, source = running
    source.messages["a"] = message(1)
    with hub.seat("a", after=-1) as stays:
        with hub.seat("a", after=-1), hub.seat("b", after=-1):
            assert hub.seated == 3
        assert hub.seated == 1
        assert await next_text(stays) == "1"
    assert hub.seated == 0
    source.messages["a"] = message(2, final=True)
    reads = source.reads
    source.hint("a", "b")
    await anyio.sleep(0.05)
    assert source.reads == reads


async def test_progress_that_an_event_carries_is_shown_without_a_read(running: tuple[Hub, Source]) -> None:
    hub, source = running
    source.messages["a"] = message(1)
    with hub.seat("a", after=-1) as seat:
        assert await next_text(seat) == "1"
        reads = source.reads
        source.hint("a", message=message(2))
        assert await next_text(seat) == "2"
    assert source.reads == reads


async def test_a_slow_reader_keeps_each_milestone_the_newest_other_message_and_the_end() -> None:
    seat = Seat(after=-1)
    for seq in range(1000):
        seat.offer(message(seq, milestone=25 if seq == 100 else 50 if seq == 200 else None))
    seat.offer(message(1000, final=True, milestone=100))
    seat.offer(message(1001))  # nothing comes after the end

    assert [it.seq async for it in seat.messages()] == [100, 200, 999, 1000]


async def test_an_older_snapshot_never_follows_a_newer_one() -> None:
    seat = Seat(after=5)
    for seq in (4, 5, 7, 6, 7):
        seat.offer(message(seq))
    seat.offer(None)

    assert [it.seq async for it in seat.messages()] == [7]
