"""Attempts in processes of their own."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import orjson
import psutil
import pytest
from redis import Redis

from evq import Context, Job, JobFailed, JobProgress, JobStatus, LeaseLost, Queue, SyncContext, UsageError, Worker
from evq.executor import Backoff, Completed, Crashed, Failed, Outcome, Snoozed
from evq.isolation import PROGRAM, _follow, isolates, run_attempt
from evq.job import ReservedJob
from tests.integration import isolated
from tests.integration.running import until, until_status, working
from tests.lua.lua_bench import spoil

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def _no_process_is_left() -> Any:
    yield
    assert attempts() == []


@pytest.fixture
async def queue(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Queue]:
    monkeypatch.setattr(isolated.queue, "url", redis_url)
    async with isolated.queue as queue:
        yield queue


def attempts() -> list[psutil.Process]:
    """List the processes of attempts that were started here."""
    return [process for process in psutil.Process().children() if "evq.isolation" in " ".join(process.cmdline())]


async def attempt(task: str, payload: dict[str, Any], reported: list[JobProgress] | None = None) -> Outcome | None:
    async def report(progress: Any) -> None:
        if reported is None:
            raise LeaseLost(job.id)
        reported.append(progress)

    found = isolated.queue.tasks[task]
    job = ReservedJob("0" * 26, task, orjson.dumps(payload), 5, 1, 0, None)
    context = (Context if found.is_async else SyncContext)(job, report)
    with anyio.fail_after(20):
        return await run_attempt(found, job, context, anyio.CapacityLimiter(1))


async def test_a_result_comes_from_another_process_that_knows_its_job() -> None:
    outcome = await attempt("where", {}, [])
    assert isinstance(outcome, Completed)
    pid, *rest = orjson.loads(outcome.result)
    assert pid != os.getpid()
    assert rest == ["0" * 26, 2, 5]


async def test_progress_and_logs_are_its_workers_and_prints_go_to_stderr(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    caplog.set_level("INFO")
    reported: list[JobProgress] = []
    assert await attempt("steps", {}, reported) == Completed(b'""')  # and there is nothing to read
    assert [(progress.percentage, progress.current_step) for progress in reported] == [(10, "count"), (50, "count")]
    (record,) = [record for record in caplog.records if record.name == isolated.__name__]
    assert (record.getMessage(), vars(record)["count"]) == ("counted", 2)
    assert capfd.readouterr() == ("", "printed\n")


async def test_a_log_below_the_level_of_its_logger_in_the_worker_is_dropped(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("WARNING", isolated.__name__)
    caplog.set_level("INFO")
    await attempt("steps", {}, [])
    assert caplog.records == []


async def test_what_follows_an_error_is_decided_by_its_class() -> None:
    final = await attempt("fail", {"error": "final"}, [])
    assert isinstance(final, Failed)
    assert (final.error.type, final.error.message) == ("ValidationError", "no")
    assert "isolated.py" in final.error.traceback
    passing, later = [await attempt("fail", {"error": error}, []) for error in ("passing", "later")]
    assert isinstance(passing, Backoff)
    assert isinstance(later, Backoff)
    assert (passing.delay_ms, later.delay_ms) == (4000, 7000)
    assert await attempt("fail", {"error": "snoozed"}, []) == Snoozed(90_000)
    assert isinstance(await attempt("fail", {"error": "exit"}, []), Failed)


async def test_memory_bounds_what_an_attempt_takes() -> None:
    assert isinstance(await attempt("allocate", {"size": 8 << 20}, []), Completed)
    outcome = await attempt("allocate", {"size": 140 << 20}, [])
    assert isinstance(outcome, Failed)
    assert outcome.error.type == "MemoryError"


@pytest.mark.parametrize(("task", "payload"), [("die", {}), ("leave", {"code": 0})])
async def test_a_process_that_dies_is_a_crash(task: str, payload: dict[str, Any]) -> None:
    assert await attempt(task, payload, []) == Crashed()


async def test_what_a_process_that_died_has_left_is_ended_too() -> None:
    reported: list[JobProgress] = []
    await attempt("die", {}, reported)
    (progress,) = reported
    await until(lambda: all_gone([int(progress.current_step)]))


async def test_an_outcome_that_was_cut_off_is_a_crash() -> None:
    async def report(progress: Any) -> None: ...

    lines = asyncio.StreamReader()
    lines.feed_data(b"Completed 12")
    lines.feed_eof()
    assert await _follow(lines, report) == Crashed()


@pytest.mark.parametrize("request_of_a_killed_worker", [b"", b'{"job": {"id": "0'])
def test_a_process_whose_worker_is_gone_before_it_has_asked_for_anything_ends_in_silence(
    request_of_a_killed_worker: bytes,
) -> None:
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, input=request_of_a_killed_worker, capture_output=True, timeout=20, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (1, b"", b"")


async def test_a_lost_lease_ends_the_process_and_is_no_outcome() -> None:
    assert await attempt("nap", {}) is None


async def test_a_task_that_is_not_registered_on_import_fails_and_says_so() -> None:
    @isolated.queue.task(isolation="process")
    async def late() -> None: ...

    try:
        outcome = await attempt("late", {}, [])
    finally:
        del isolated.queue.tasks["late"]
    assert isinstance(outcome, Failed)
    assert "task late is not registered when tests.integration.isolated:queue is imported" in outcome.error.message


async def test_only_what_is_in_a_module_isolates_and_a_worker_says_so_at_its_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    queue = Queue("local")

    @queue.task(isolation="process")
    async def send() -> None: ...

    assert not isolates(send)
    with pytest.raises(UsageError, match=r"task send: isolation='process' .* into a module"):
        Worker(queue)
    assert isolates(isolated.where)
    monkeypatch.setattr(isolated.where.handler, "__module__", "__main__")
    assert not isolates(isolated.where)


# With a worker


async def has_started(job: Job) -> bool:
    return (await job.refresh()).progress is not None


async def test_a_cancel_ends_the_process(queue: Queue) -> None:
    async with working(queue):
        job = await isolated.nap.enqueue()
        await until(lambda: has_started(job))
        (process,) = attempts()
        await job.cancel()
        await until_status(job, JobStatus.CANCELLED)
        assert not process.is_running()


async def test_a_stopping_worker_ends_the_process_and_hands_the_job_back(queue: Queue) -> None:
    async with working(queue, grace=0):
        job = await isolated.nap.enqueue()
        await until(lambda: has_started(job))
    assert (await job.refresh()).status is JobStatus.PENDING
    assert job.record.failures == 0
    await job.cancel()


async def test_a_timeout_ends_what_holds_the_gil_while_other_jobs_are_run(queue: Queue) -> None:
    async with working(queue, concurrency=2):
        job = await isolated.hold_the_gil.enqueue()
        await until(lambda: has_started(job))
        assert await (await isolated.here.enqueue()).result(1) == os.getpid()
        with pytest.raises(JobFailed, match="AttemptTimeout"):
            await job.result(5)
        pids = pids_of(await job.refresh())
        await until(lambda: all_gone(pids))


def pids_of(job: Job) -> list[int]:
    assert job.progress is not None
    return [int(pid) for pid in job.progress.current_step.split()]


def runs(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


async def all_gone(pids: list[int]) -> bool:
    return not any(map(runs, pids))


async def test_a_process_that_dies_three_times_is_poison_and_its_neighbours_are_not_blamed(queue: Queue) -> None:
    async with working(queue, concurrency=3):
        jobs = [await isolated.where.enqueue() for _ in range(3)]
        poison = await isolated.leave.enqueue(code=9)
        with pytest.raises(JobFailed, match="Poison"):
            await poison.result(10)
        for job in jobs:
            await job.result(10)
            assert (await job.refresh()).record.crashes == 0
    assert (await poison.refresh()).record.crashes == 3


async def test_a_suspect_is_run_apart_and_cannot_end_the_worker_again(queue: Queue) -> None:
    job = await isolated.kill_the_worker.enqueue()
    with Redis.from_url(queue.url) as redis:
        now = int(redis.time()[0]) * 1000
        spoil(redis, queue.broker.keys, job.id, crashed=f"{now} {now}")
    async with working(queue):
        with pytest.raises(JobFailed, match="Poison"):
            await job.result(10)


async def test_a_killed_worker_leaves_no_process(queue: Queue) -> None:
    worker = subprocess.Popen(
        [sys.executable, "-m", "evq", "worker", "tests.integration.isolated:queue", "--burst"],
        cwd=Path(__file__).parents[2],
        env=os.environ | {"EVQ_REDIS_URL": queue.url},
        stderr=subprocess.DEVNULL,
    )
    try:
        job = await isolated.hold_the_gil.enqueue()
        await until(lambda: has_started(job))
        pids = pids_of(job)
        assert all(map(runs, pids))
        worker.send_signal(signal.SIGKILL)
        await until(lambda: all_gone(pids), within=1)
    finally:
        worker.kill()
        worker.wait()
    await queue.cancel(job.id)
