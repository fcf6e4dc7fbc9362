"""`evq worker` and its pool, as real processes."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import psutil
import pytest
from redis import Redis

import evq.cli.worker
import evq.executor
import evq.pool
import evq.running
from evq import Queue, blocking
from evq.embedded import find_server

MODULE = """
import gc, os, time
import anyio
from evq import Queue

queue = Queue("pool", lease=2)
empty = Queue("empty")
not_a_queue = 1

@queue.task
async def pid() -> int:
    return os.getpid()

@queue.task
async def collector() -> list[int]:
    return [gc.get_threshold()[0], gc.get_freeze_count()]

@queue.task
async def nap(seconds: float) -> str:
    await anyio.sleep(seconds)
    return "slept"

@queue.task
def deaf() -> None:
    time.sleep(60)

@queue.task
async def blocking() -> None:
    time.sleep(60)
"""


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """Run a Redis on a free loopback port; give the port."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [find_server(), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", "/tmp"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    with contextlib.closing(Redis(port=port)) as client:
        while True:
            with contextlib.suppress(Exception):
                client.ping()
                break
    yield port
    process.terminate()
    process.wait()


@pytest.fixture
def environ(port: int) -> Iterator[dict[str, str]]:
    with contextlib.closing(Redis(port=port)) as client:
        client.flushall()
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("EVQ_", "REDIS_", "WORKER_"))}
    yield plain | {"REDIS_HOST": "127.0.0.1", "REDIS_PORT": str(port)}


@pytest.fixture
def queue(port: int) -> Iterator[Queue]:
    queue = Queue("pool", redis=f"redis://127.0.0.1:{port}/0")
    yield queue
    blocking(queue.close)()


Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(tmp_path: Path, environ: Mapping[str, str]) -> Iterator[Start]:
    """Return a function that starts `evq worker` with some arguments; what it started is gone after the test."""
    (tmp_path / "shop.py").write_text(MODULE)
    started: list[psutil.Process] = []

    def start(*arguments: str, target: str = "shop:queue", **more: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "evq", "worker", target, *arguments],
            cwd=tmp_path,
            env={**environ, **more},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(psutil.Process(process.pid))
        processes.append(process)
        return process

    processes: list[subprocess.Popen[str]] = []
    yield start
    for process in processes:
        for child in children(process.pid):
            child.kill()
        process.kill()
        process.communicate()


def children(pid: int) -> list[psutil.Process]:
    try:
        found: list[psutil.Process] = psutil.Process(pid).children()
    except psutil.NoSuchProcess:
        return []
    return found


def workers(queue: Queue) -> int:
    return len(blocking(queue.workers)())


def until(condition: Callable[[], object], *, within: float = 15) -> None:
    give_up = time.monotonic() + within
    while not condition():
        assert time.monotonic() < give_up, "it took too long"
        time.sleep(0.02)


def enqueue(queue: Queue, task: str, **payload: object) -> str:
    (job,) = blocking(queue.enqueue_many)([queue.job(task, payload)])
    return job.id


def status(queue: Queue, job_id: str) -> str:
    job = blocking(queue.get)(job_id)
    assert job is not None
    return job.status.value


def test_a_pool_runs_jobs_and_drains_on_sigterm(start: Start, queue: Queue) -> None:
    pool = start("--processes", "2", "--concurrency", "2")
    until(lambda: workers(queue) == 2)
    pids = {child.pid for child in children(pool.pid)}
    assert blocking(queue.result)(enqueue(queue, "pid"), 10) in pids
    job_id = enqueue(queue, "nap", seconds=0.5)
    until(lambda: status(queue, job_id) == "processing")
    pool.send_signal(signal.SIGTERM)
    _, errors = pool.communicate(timeout=20)
    assert pool.returncode == 0, errors
    assert all(line.startswith("{") for line in errors.splitlines()), errors
    assert status(queue, job_id) == "completed"
    assert workers(queue) == 0


@pytest.mark.parametrize(("processes", "told"), [("1", signal.SIGINT), ("2", signal.SIGTERM)])
def test_a_second_signal_ends_at_once_and_says_so(
    start: Start, queue: Queue, processes: str, told: signal.Signals
) -> None:
    pool = start("--processes", processes)
    job_id = enqueue(queue, "nap", seconds=60)
    until(lambda: status(queue, job_id) == "processing" and workers(queue) == int(processes))
    pids = [child.pid for child in children(pool.pid)]
    pool.send_signal(told)
    until(lambda: workers(queue) == 1)  # the idle one has drained
    time.sleep(0.2)  # until the first signal has been heard: two at a time are one
    assert pool.poll() is None
    pool.send_signal(told)
    _, errors = pool.communicate(timeout=5)
    assert pool.returncode == 1
    assert "ended at once, as told" in errors
    assert not any(psutil.pid_exists(pid) for pid in pids)


def test_a_burst_ends_at_once_on_a_second_signal(start: Start, queue: Queue) -> None:
    job_id = enqueue(queue, "nap", seconds=60)
    worker = start("--burst")
    until(lambda: status(queue, job_id) == "processing")
    worker.send_signal(signal.SIGTERM)
    time.sleep(0.2)
    assert worker.poll() is None
    worker.send_signal(signal.SIGTERM)
    _, errors = worker.communicate(timeout=5)
    assert worker.returncode == 1
    assert "ended at once, as told" in errors


def test_a_signal_to_the_pool_and_to_its_processes_is_one_wish(start: Start, queue: Queue) -> None:
    pool = start("--processes", "1")
    job_id = enqueue(queue, "nap", seconds=1)
    until(lambda: status(queue, job_id) == "processing")
    for process in [*children(pool.pid), pool]:
        process.send_signal(signal.SIGTERM)
    _, errors = pool.communicate(timeout=20)
    assert pool.returncode == 0, errors
    assert status(queue, job_id) == "completed"


def test_ctrl_c_drains_too(start: Start, queue: Queue) -> None:
    worker = start("--processes", "1")
    until(lambda: workers(queue))
    worker.send_signal(signal.SIGINT)
    _, errors = worker.communicate(timeout=10)
    assert worker.returncode == 0, errors


def is_replaced(pool: int, pid: int) -> bool:
    pids = {child.pid for child in children(pool)}
    return len(pids) == 2 and pid not in pids


def test_a_process_that_was_killed_is_replaced(start: Start, queue: Queue) -> None:
    pool = start("--processes", "2")
    until(lambda: workers(queue) == 2)
    old = {child.pid for child in children(pool.pid)}
    for _ in range(2):
        victim = children(pool.pid)[0]
        victim.kill()
        until(lambda: is_replaced(pool.pid, victim.pid))  # noqa: B023 - it is called here
    assert blocking(queue.result)(enqueue(queue, "pid"), 10)
    assert {child.pid for child in children(pool.pid)} != old
    pool.send_signal(signal.SIGTERM)
    _, errors = pool.communicate(timeout=20)
    assert pool.returncode == 0, errors
    assert "a worker process died and is replaced" in errors


def test_workers_drain_and_end_when_their_pool_is_killed(start: Start, queue: Queue) -> None:
    pool = start("--processes", "2")
    until(lambda: workers(queue) == 2)
    orphans = children(pool.pid)
    job_id = enqueue(queue, "nap", seconds=2)
    until(lambda: status(queue, job_id) == "processing")
    pool.kill()
    pool.wait()
    until(lambda: not any(orphan.is_running() and orphan.status() != "zombie" for orphan in orphans))
    assert status(queue, job_id) == "completed"


def test_a_plain_handler_that_does_not_end_does_not_keep_the_process(start: Start, queue: Queue) -> None:
    pool = start("--processes", "1", "--grace", "0.1")
    job_id = enqueue(queue, "deaf")
    until(lambda: status(queue, job_id) == "processing")
    pool.send_signal(signal.SIGTERM)
    pool.communicate(timeout=20)
    assert status(queue, job_id) == "pending"


def test_a_handler_that_blocks_everything_does_not_keep_the_pool(start: Start, queue: Queue) -> None:
    pool = start("--processes", "1", "--grace", "0.1")
    job_id = enqueue(queue, "blocking")
    until(lambda: status(queue, job_id) == "processing")
    time.sleep(0.2)  # until it holds the event loop
    pool.send_signal(signal.SIGTERM)
    _, errors = pool.communicate(timeout=20)
    assert "has not drained and is killed" in errors


def test_a_redis_that_hangs_does_not_keep_the_pool(start: Start, queue: Queue, port: int) -> None:
    pool = start("--processes", "1", "--grace", "0.1")
    job_id = enqueue(queue, "nap", seconds=60)
    until(lambda: status(queue, job_id) == "processing")
    with contextlib.closing(Redis(port=port)) as client:
        server = psutil.Process(client.info()["process_id"])
    server.suspend()
    try:
        pool.send_signal(signal.SIGTERM)
        _, errors = pool.communicate(timeout=20)
    finally:
        server.resume()
    assert "something in it does not stop" in errors


def test_the_promise_to_end_within_5_s_beyond_the_grace_time_is_kept_by_all_who_wait() -> None:
    assert evq.executor.PATIENCE < evq.running.PATIENCE < evq.cli.worker.LATEST < evq.pool.SLACK < 5
    assert evq.running.PATIENCE + evq.cli.worker.LEAVE <= evq.cli.worker.LATEST


def test_worker_count_is_honoured(start: Start, queue: Queue) -> None:
    pool = start(WORKER_COUNT="3")
    until(lambda: workers(queue) == 3)
    assert len(children(pool.pid)) == 3
    pool.send_signal(signal.SIGTERM)
    pool.communicate(timeout=20)


def test_a_burst_drains_the_queue_and_ends(start: Start, queue: Queue) -> None:
    ids = [enqueue(queue, "pid") for _ in range(5)]
    worker = start("--burst")
    _, errors = worker.communicate(timeout=20)
    assert worker.returncode == 0, errors
    assert {status(queue, job_id) for job_id in ids} == {"completed"}


def test_the_collector_of_a_worker_looks_seldom_and_not_at_what_is_imported(start: Start, queue: Queue) -> None:
    job_id = enqueue(queue, "collector")
    start("--burst").communicate(timeout=20)
    threshold, frozen = blocking(queue.result)(job_id, 10)
    assert threshold == evq.cli.worker.YOUNG
    assert frozen > 10_000


@pytest.mark.parametrize(
    ("arguments", "more", "complaint"),
    [
        ({"target": "shop"}, {}, "say MODULE:QUEUE"),
        ({"target": "nothing_such:queue"}, {}, "No module named 'nothing_such'"),
        ({"target": "shop:nothing"}, {}, "shop has no queue of the name 'nothing'"),
        ({"target": "shop:not_a_queue"}, {}, "shop has no queue of the name 'not_a_queue'"),
        ({"target": "shop:empty"}, {}, "queue empty has no tasks"),
        ({}, {"WORKER_COUNT": "many"}, "WORKER_COUNT='many': use a whole number from 1 to 1024"),
        ({}, {"WORKER_COUNT": "0"}, "WORKER_COUNT='0'"),
        ({}, {"REDIS_PORT": "99999"}, "REDIS_PORT='99999': use a whole number from 1 to 65535"),
        ({}, {"EVQ_REDIS_URL": "http://x"}, "is no address of a Redis"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    start: Start, arguments: dict[str, str], more: dict[str, str], complaint: str
) -> None:
    output, errors = (worker := start(**arguments, **more)).communicate(timeout=20)
    assert (worker.returncode, output) == (1, "")
    assert errors.startswith("evq: ")
    assert complaint in errors
    assert errors.count("\n") == 1


def test_a_worker_without_redis_says_so_once_and_keeps_trying(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        nobody = probe.getsockname()[1]
    worker = start("--processes", "1", REDIS_PORT=str(nobody))
    time.sleep(2.5)
    assert worker.poll() is None
    worker.send_signal(signal.SIGTERM)
    _, errors = worker.communicate(timeout=20)
    assert worker.returncode == 0, errors
    assert errors.count(f"cannot reach Redis at redis://127.0.0.1:{nobody}/0") == 1


def test_a_burst_refuses_to_be_a_pool(start: Start) -> None:
    worker = start("--burst", "--processes", "2")
    _, errors = worker.communicate(timeout=20)
    assert worker.returncode == 2
    assert "leave --processes and --capacity out" in errors


def test_the_command_lists_its_subcommands_and_its_version() -> None:
    def evq(*arguments: str) -> str:
        return subprocess.run(
            [sys.executable, "-m", "evq", *arguments], capture_output=True, text=True, check=True
        ).stdout

    assert "worker" in evq("--help")
    assert "MODULE:QUEUE" in evq("worker", "--help")
    assert "version" in evq("--version")
