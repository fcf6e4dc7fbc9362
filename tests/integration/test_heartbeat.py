"""Hearts: workers in processes of their own are held up, stopped and killed, with a second worker beside them."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import psutil
import pytest

from evq import Context, JobFailed, JobStatus, Queue
from evq.broker import BULK
from evq.errors import DeadlineExceeded
from evq.heart import BLOCKED
from evq.metrics import read_buckets
from tests.integration.running import reserve, until, until_status, working

pytestmark = pytest.mark.anyio

# As users write them: nothing guards the last line from being run again by a child that imports this.
PROGRAM = """
import asyncio, ctypes, logging, sys
import anyio
import evq.worker
from evq import Context, Queue, SyncContext, Worker

logging.basicConfig(level="INFO", format="%(message)s")
evq.worker.OVERDUE = 0.3
queue = Queue(sys.argv[1], redis=sys.argv[2], lease=1)

def hold_the_interpreter(seconds):
    ctypes.PyDLL(None).usleep(round(seconds * 1_000_000))

@queue.task
def busy(seconds: float) -> str:
    hold_the_interpreter(seconds)
    return "the first"

@queue.task(timeout=0.2)
def hung(seconds: float) -> str:
    hold_the_interpreter(seconds)
    return "the first"

@queue.task
async def nap() -> str:
    await anyio.sleep(60)

asyncio.run(Worker(queue).run())
"""


@pytest.fixture
def brief(brief: Queue) -> Queue:
    """The queue with the tasks of the program above."""
    for name in ("busy", "hung", "nap"):

        @brief.task(name=name)
        async def other(seconds: float = 0) -> str:
            return "the second"

    return brief


@asynccontextmanager
async def first_worker(queue: Queue, folder: Path) -> AsyncIterator[subprocess.Popen[bytes]]:
    """Run a worker in a process of its own, as the only one at first."""
    (folder / "program.py").write_text(PROGRAM)
    command = [sys.executable, "-W", "error", "program.py", queue.name, queue.url]
    with (folder / "stderr").open("w") as stderr:
        process = subprocess.Popen(command, cwd=folder, stderr=stderr)
    try:
        await until(queue.workers)
        yield process
    finally:
        process.kill()
        process.wait()


def heart_of(pid: int) -> psutil.Process | None:
    hearts = [child for child in psutil.Process(pid).children() if "evq.heart" in child.cmdline()]
    return hearts[0] if hearts else None


async def until_written(folder: Path, text: str) -> None:
    """Wait until the first worker, or its heart, has written *text* to its standard error."""

    async def is_written() -> bool:
        return text in (folder / "stderr").read_text()

    await until(is_written)


async def test_a_handler_that_holds_the_interpreter_keeps_its_lease_and_is_reported(
    brief: Queue, tmp_path: Path
) -> None:
    async with first_worker(brief, tmp_path):
        job = await brief.tasks["busy"].enqueue(seconds=5.5)
        await until_status(job, JobStatus.PROCESSING)
        async with working(brief):
            await until_written(tmp_path, "blocks the event loop")
            assert (await job.refresh()).status is JobStatus.PROCESSING
            assert await job.result(10) == "the first"
    record = (await job.refresh()).record
    assert record.crashes == 0
    assert (tmp_path / "stderr").read_text().count("blocks the event loop") == 1


async def test_a_handler_that_holds_the_interpreter_past_its_timeout_loses_its_job(
    brief: Queue, tmp_path: Path
) -> None:
    async with first_worker(brief, tmp_path):
        job = await brief.tasks["hung"].enqueue(seconds=4)
        await until_status(job, JobStatus.PROCESSING)
        async with working(brief):
            assert await job.result(3) == "the second"
            await until_written(tmp_path, "lease lost")  # by the first one, which then has nothing to say any more
    record = (await job.refresh()).record
    assert (record.result, record.crashes) == ("the second", 1)


async def test_a_stopped_worker_loses_its_jobs_and_changes_nothing_when_it_goes_on(
    brief: Queue, tmp_path: Path
) -> None:
    async with first_worker(brief, tmp_path) as process:
        job = await brief.tasks["nap"].enqueue()
        await until_status(job, JobStatus.PROCESSING)
        process.send_signal(signal.SIGSTOP)
        stopped = time.monotonic()
        async with working(brief):
            assert await job.result(5) == "the second"
        assert time.monotonic() - stopped < 1 + 1 + 0.5
        assert await brief.workers() == []
        await anyio.sleep(BLOCKED + 1.5 - (time.monotonic() - stopped))
        process.send_signal(signal.SIGCONT)
        await until_written(tmp_path, "lease lost")
        await until(brief.workers)
        assert "blocks the event loop" not in (tmp_path / "stderr").read_text(), "it was none of its handlers"
    assert (await job.refresh()).record.crashes == 1


async def test_a_killed_worker_leaves_no_heart_behind(brief: Queue, tmp_path: Path) -> None:
    async with first_worker(brief, tmp_path) as process:
        job = await brief.tasks["nap"].enqueue()
        await until_status(job, JobStatus.PROCESSING)
        heart = heart_of(process.pid)
        assert heart is not None
        process.kill()  # and nobody waits for it, so that its number stays taken
        killed = time.monotonic()
        async with working(brief):
            assert await job.result(5) == "the second"
        assert time.monotonic() - killed < 1 + 1 + 0.5
        heart.wait(3)


async def test_a_heart_that_dies_is_replaced_and_no_lease_is_lost(
    brief: Queue, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    del brief.tasks["nap"]

    @brief.task
    async def nap() -> str:
        await anyio.sleep(2)
        return "slept"

    async with working(brief):
        job = await nap.enqueue()
        await until_status(job, JobStatus.PROCESSING)
        heart = heart_of(os.getpid())
        assert heart is not None
        heart.kill()
        assert await job.result(5) == "slept"
        assert heart_of(os.getpid()) not in (None, heart)
    assert heart_of(os.getpid()) is None
    assert (await job.refresh()).record.crashes == 0
    assert "the worker's heart does not beat and is replaced" in caplog.text


async def test_a_heart_that_stands_still_is_replaced(brief: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evq.heartbeat.SILENT", 1.5)
    async with working(brief):
        await until(brief.workers)
        heart = heart_of(os.getpid())
        assert heart is not None
        heart.suspend()
        await until(lambda: _is_other(heart))


async def _is_other(heart: psutil.Process) -> bool:
    return heart_of(os.getpid()) not in (None, heart)


async def test_a_heart_that_cannot_be_started_is_tried_again_while_jobs_run(
    queue: Queue, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    @queue.task
    async def work() -> str:
        return "done"

    with monkeypatch.context() as no_program:
        no_program.setattr(sys, "executable", "/nothing/such")
        async with working(queue):
            assert await (await work.enqueue()).result(5) == "done"
            assert await queue.workers() == []
            no_program.undo()
            await until(queue.workers)
    assert "is replaced: [Errno 2] No such file or directory: '/nothing/such'" in caplog.text


async def test_with_a_short_lease_no_job_begins_before_the_heart_does(
    brief: Queue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = tmp_path / "python"
    slow.write_text(f'#!/bin/sh\nsleep 1.5\nexec {sys.executable} "$@"\n')
    slow.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(slow))

    @brief.task
    async def work() -> None:
        await anyio.sleep(2)

    async def take_lost_jobs_back() -> None:
        while True:
            await brief.broker.maintain(10)
            await anyio.sleep(0.1)

    await let_another_live(brief)
    async with working(brief), anyio.create_task_group() as group:
        group.start_soon(take_lost_jobs_back)
        job = await work.enqueue()
        await job.result(15)
        group.cancel_scope.cancel()
    assert (await job.refresh()).record.crashes == 0


async def let_another_live(queue: Queue) -> None:
    """Let there be a heartbeat of another worker, since after a silence no job is taken back."""
    alive_until = await queue.broker.now() + 60_000
    await queue.broker.send([("ZADD", queue.broker.keys["workers"], alive_until, "another")])


async def test_a_heart_goes_on_when_all_processes_of_a_service_are_told_to_end(brief: Queue) -> None:
    async with working(brief):
        await until(brief.workers)
        heart = heart_of(os.getpid())
        assert heart is not None
        heart.send_signal(signal.SIGTERM)
        await anyio.sleep(1.5)
        assert heart_of(os.getpid()) == heart
        assert await brief.workers()


async def test_a_job_that_has_ended_keeps_its_lease_until_that_is_written(brief: Queue) -> None:
    runs = []
    blocked = threading.Event()

    @brief.task
    async def quick(ctx: Context) -> None:
        runs.append(ctx.job_id)

    @brief.task
    async def rude() -> None:
        blocked.set()
        time.sleep(2.5)  # noqa: ASYNC251 - rude, as we said

    async def second_worker() -> None:
        blocked.wait()
        other = Queue(brief.name, redis=brief.url, lease=1)
        other.tasks["quick"] = quick
        async with other, working(other):
            await anyio.sleep(3.5)

    jobs = await brief.enqueue_many([quick.job(), rude.job()])
    async with working(brief, concurrency=2), anyio.create_task_group() as group:
        group.start_soon(anyio.to_thread.run_sync, lambda: asyncio.run(second_worker()))
        await until_status(jobs[1], JobStatus.COMPLETED)
    assert runs == [jobs[0].id]


async def test_more_leases_than_one_script_takes_are_all_extended(brief: Queue) -> None:
    runs = []

    @brief.task
    async def slow(ctx: Context) -> None:
        await anyio.sleep(1.5)
        runs.append(ctx.job_id)

    jobs = await brief.enqueue_many([slow.job() for _ in range(BULK + 50)])
    begun = time.monotonic()
    async with working(brief, concurrency=len(jobs)), working(brief):
        await jobs[-1].result(10)
    assert sorted(runs) == sorted(job.id for job in jobs)
    present = await brief.broker.now() // 60_000
    counted = await read_buckets(brief.broker, range(present - 1, present + 1))
    capacity_ms = sum(numbers.get("capacity_ms", 0) for numbers in counted.values())
    assert 0 < capacity_ms <= (time.monotonic() - begun) * 1000 * (len(jobs) + 1), "some of it was counted twice"


async def test_a_lost_job_is_taken_back_as_soon_as_its_lease_ends_though_all_workers_are_busy(queue: Queue) -> None:
    @queue.task
    async def work() -> None:
        await anyio.sleep_forever()

    lost, _ = await queue.enqueue_many([work.job(), work.job()])
    await let_another_live(queue)
    await reserve(queue, "work", lease_ms=1000)
    assert queue.lease_ms / 3000 > 5  # heartbeats are far apart
    async with working(queue, grace=0):
        await until_status(lost, JobStatus.PENDING, within=4)
    assert (await lost.refresh()).record.crashes == 1


async def test_what_a_worker_says_of_itself(brief: Queue) -> None:
    @brief.task
    async def work() -> None:
        await anyio.sleep_forever()

    async with working(brief, concurrency=2, grace=0) as worker:
        job = await work.enqueue()

        async def is_seen() -> bool:
            return any(info.running for info in await brief.workers())

        await until(is_seen)
        (info,) = await brief.workers()
    assert (info.id, info.pid, info.concurrency, info.running, info.jobs) == (worker.id, os.getpid(), 2, 1, (job.id,))
    assert 0 <= info.utilisation <= 1
    assert info.cpu >= 0
    assert info.rss > 1 << 20
    assert info.started_ms <= time.time() * 1000


async def test_an_attempt_ends_with_the_deadline_of_its_job(queue: Queue) -> None:
    seen = []

    @queue.task
    async def slow(ctx: Context) -> None:
        try:
            await anyio.sleep(30)
        finally:
            seen.append(ctx.interruption)

    async with working(queue):
        job = await slow.using(deadline=0.5).enqueue()
        with pytest.raises(JobFailed) as failed:
            await job.result(5)
    assert failed.value.type == "DeadlineExceeded"
    assert [type(reason) for reason in seen] == [DeadlineExceeded]
