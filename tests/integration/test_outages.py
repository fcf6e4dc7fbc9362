"""Redis goes away and comes back."""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest
from redis import Redis

from evq import Context, Job, JobStatus, Queue, QueueFull, QueueUnavailable
from evq.broker import PORTION
from evq.embedded import find_server
from evq.lifecycle import State
from tests.integration.running import until, until_status, working

pytestmark = pytest.mark.anyio


class Server:
    """A Redis that can be killed and started again on the same socket with the same data."""

    def __init__(self, folder: Path) -> None:
        self.socket = folder / "redis.sock"
        self.url = f"unix://{self.socket}"
        self._command = [find_server(), "--port", "0", "--unixsocket", str(self.socket), "--dir", str(folder)]
        self._command += ["--appendonly", "yes", "--appendfsync", "always", "--save", ""]

    def start(self) -> None:
        self.process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        with contextlib.closing(Redis(unix_socket_path=str(self.socket))) as client:
            while True:
                with contextlib.suppress(Exception):
                    client.ping()
                    return

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def lose_data(self) -> None:
        for path in self.socket.parent.iterdir():
            if path.is_dir():  # since Redis 7
                shutil.rmtree(path)
            else:
                path.unlink()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path)
    server.start()
    yield server
    server.kill()


@pytest.fixture
async def queue(server: Server) -> AsyncIterator[Queue]:
    async with Queue("outages", redis=server.url, lease=2) as queue:
        yield queue


async def test_a_worker_waits_out_a_restart_and_loses_nothing(queue: Queue, server: Server) -> None:
    release = anyio.Event()

    @queue.task
    async def work(ctx: Context, n: int) -> int:
        await release.wait()
        await ctx.progress(50)
        return n

    async with working(queue, concurrency=2):
        jobs = await queue.enqueue_many([work.job(n=n) for n in range(6)])
        await until_status(jobs[1], JobStatus.PROCESSING)
        server.kill()
        release.set()
        await anyio.sleep(0.3)
        server.start()
        assert [await result(queue, job.id) for job in jobs] == list(range(6))
    assert (await queue.counts())["completed"] == 6
    assert [(await job.refresh()).record.failures for job in jobs] == [0] * 6, "an outage is no fault of a job's"


async def until_completed(queue: Queue, count: int) -> None:
    """Return once so many jobs are completed."""

    async def completed() -> bool:
        return (await queue.counts())["completed"] >= count

    await until(completed)


async def result(queue: Queue, job_id: str) -> object:
    """Wait for a result as a patient program does."""
    while True:
        try:
            return await queue.result(job_id, 10)
        except QueueUnavailable:
            await anyio.sleep(0.05)


async def test_restarts_with_two_exchanges_under_way_cost_no_job_and_no_lease(queue: Queue, server: Server) -> None:
    running = most = 0

    @queue.task
    async def work(n: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await anyio.lowlevel.checkpoint()
        running -= 1
        return n

    concurrency, count = 2 * PORTION, 12 * PORTION
    jobs = await queue.enqueue_many([work.job(n=n) for n in range(count)])
    async with working(queue, concurrency=concurrency) as worker:
        for outage in range(1, 4):
            await until_completed(queue, outage * 2 * PORTION)
            server.kill()
            await anyio.sleep(0.1)
            server.start()
        assert [await result(queue, job.id) for job in jobs] == list(range(count))
        assert most <= concurrency
        assert (worker._leases.free, worker._reserving) == (2 * concurrency, 0)


async def test_a_worker_that_slept_through_an_outage_looks_at_once_and_has_complained_once(
    queue: Queue, server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("evq.worker.SLEEP_MS", 60_000)

    @queue.task
    async def work() -> str:
        return "done"

    await queue.pause()
    job = await work.enqueue()
    async with working(queue) as worker:

        async def sleeps() -> bool:
            return worker._sleeper is not None

        async def complained() -> bool:
            return "waiting for Redis" in caplog.text

        await until(sleeps)
        await queue.broker.send([("DEL", queue.broker.keys["limits"])])  # a resume of which nobody is told
        server.kill()
        await until(complained)
        await anyio.sleep(1.2)  # enough for another try
        server.start()
        assert await result(queue, job.id) == "done"
    assert caplog.text.count("waiting for Redis") == 1


async def test_flushed_scripts_are_loaded_again(queue: Queue) -> None:
    @queue.task
    async def work(n: int) -> int:
        return n

    async with working(queue):
        assert await (await work.enqueue(n=1)).result(5) == 1
        await queue.broker.send([("SCRIPT", "FLUSH")])
        jobs = await queue.enqueue_many([work.job(n=n) for n in range(1001)])
        assert await jobs[-1].result(10) == 1000


async def test_a_redis_that_hangs_is_given_up(queue: Queue, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evq.connection.TIMEOUT", 0.2)
    await queue.ping()
    server.process.send_signal(signal.SIGSTOP)
    try:
        with anyio.fail_after(5):
            for _ in range(2):  # on the open connection, then on a new one
                with pytest.raises(QueueUnavailable, match="no answer"):
                    await queue.ping()
    finally:
        server.process.send_signal(signal.SIGCONT)
    await queue.ping()


async def test_nobody_else_reads_the_reply_to_a_command_that_was_given_up(queue: Queue) -> None:
    with anyio.move_on_after(0.05):
        await queue.broker.next_told("nobody", 300)
    assert await queue.broker.send([("ECHO", "mine")]) == [b"mine"]


async def test_a_command_may_block_for_longer_than_replies_may_take(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evq.connection.TIMEOUT", 0.2)
    await queue.ping()
    assert await queue.broker.next_told("nobody", 500) is None


async def test_a_redis_that_refuses_writes_is_waited_out(queue: Queue) -> None:
    @queue.task
    async def work() -> str:
        return "done"

    read_only: list[tuple[str | int, ...]] = [("REPLICAOF", "127.0.0.1", 1)]
    async with working(queue):
        await (await work.enqueue()).result(5)
        await queue.broker.send(read_only)
        with pytest.raises(QueueUnavailable, match="refuses"):
            await work.enqueue()
        await anyio.sleep(0.3)
        await queue.broker.send([("REPLICAOF", "NO", "ONE")])
        assert await (await work.enqueue()).result(10) == "done"


async def test_a_full_redis_takes_no_new_jobs_and_is_drained_with_progress_results_and_hooks(queue: Queue) -> None:
    told: list[str] = []

    @queue.task
    async def work(ctx: Context, n: int) -> int:
        await ctx.progress(50)
        return n

    @work.on_completed
    async def hook(job: Job) -> None:
        told.append(job.id)

    jobs = await queue.enqueue_many([work.job(n=n) for n in range(40)])
    await queue.broker.send([("CONFIG", "SET", "maxmemory", 1)])
    with pytest.raises(QueueFull):
        await work.enqueue(n=40)
    async with working(queue, concurrency=4):
        assert [await job.result(5) for job in jobs] == list(range(40))
        await until(lambda: _all_told(told, 40))
    assert sorted(told) == [job.id for job in jobs]


async def _all_told(told: list[str], count: int) -> bool:
    return len(told) >= count


async def test_a_worker_that_is_stopped_while_redis_is_away_ends(
    queue: Queue, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evq.worker.PATIENCE", 0.1)

    @queue.task
    async def work() -> None:
        server.kill()

    with anyio.fail_after(10):
        async with working(queue, grace=0.1) as worker:
            await work.enqueue()
            while server.process.poll() is None:
                await anyio.sleep(0.01)
            worker.stop()
    server.start()


async def test_a_job_of_a_worker_that_died_is_run_by_another_within_its_lease_and_a_second(
    queue: Queue, tmp_path: Path
) -> None:
    module = tmp_path / "dying.py"
    module.write_text(
        "import os, signal\n"
        "from evq import Queue\n"
        f"queue = Queue('outages', redis={queue.url!r}, lease=1)\n"
        "@queue.task\n"
        "async def die() -> None:\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )

    @queue.task
    async def die() -> str:
        return f"not me, {os.getpid()}"

    queue.lease_ms = 1000
    job = await die.enqueue()
    command = ["-m", "evq", "worker", "dying:queue", "--burst"]
    process = await anyio.run_process([sys.executable, *command], cwd=tmp_path, check=False)
    assert process.returncode == -signal.SIGKILL
    assert (await job.refresh()).record.state is State.ACTIVE
    async with working(queue):
        assert await job.result(3) == f"not me, {os.getpid()}"
    assert (await job.refresh()).record.crashes == 1


async def test_those_who_wait_take_no_connection_from_the_others(queue: Queue) -> None:
    async def all_wait() -> bool:
        (clients,) = await queue.broker.send([("INFO", "clients")])
        return "blocked_clients:32" in clients.decode()

    async with anyio.create_task_group() as group:
        for n in range(32):
            group.start_soon(queue.broker.next_told, f"waiter-{n}", 60_000)
        await until(all_wait)
        group.cancel_scope.cancel()


async def test_an_event_loop_that_was_busy_is_not_taken_for_an_outage(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evq.connection.TIMEOUT", 0.2)
    monkeypatch.setattr("evq.wire.LATE", 0.2)
    async with Queue("busy", redis=redis_url) as queue:
        await queue.ping()
        asking = asyncio.create_task(queue.counts())
        await asyncio.sleep(0)
        time.sleep(1)  # noqa: ASYNC251 - as a rude handler does
        assert (await asking)["waiting"] == 0
