"""`evq stats` and `evq top`."""

import fcntl
import json
import os
import pty
import signal
import struct
import subprocess
import termios

import anyio
from redis import Redis

from evq import Worker
from tests.cli.conftest import Evq, Run, make_queue, start


def test_stats_tell_what_is_there_and_what_was_done(evq: Evq, name: str, run_jobs: Run) -> None:
    evq("enqueue", name, "send", "to=a")
    evq("enqueue", name, "refuse", "why=so")
    run_jobs()
    evq("enqueue", name, "send", "to=b", "--group=g")
    seen = evq("stats", name, "--since=15m", "--json").json

    assert (seen["queue"], seen["paused"], seen["counts"]["waiting"], seen["counts"]["enqueued"]) == (name, False, 1, 3)
    assert (seen["metrics"]["completed"], seen["metrics"]["failed"], seen["metrics"]["failureRate"]) == (1, 1, 0.5)
    assert len(seen["minutes"]) == 16
    assert sum(minute["started"] for minute in seen["minutes"]) == seen["metrics"]["work"]["count"] == 2
    assert [(group["name"], group["waiting"]) for group in seen["groups"]] == [("g", 1)]
    assert seen["oldestWaiting"] >= 0

    told = evq("stats", name).out
    assert "1, the oldest for " in told
    assert "3 enqueued, 1 completed, 1 failed, 0 cancelled" in told
    assert "a share of 50.0%" in told


def test_workers_are_told_of(evq: Evq, name: str, redis_url: str) -> None:
    async def main() -> None:
        async with make_queue(name, redis_url) as queue, anyio.create_task_group() as group:
            worker = Worker(queue, concurrency=3)
            group.start_soon(worker.run)
            with anyio.fail_after(20):
                while not await queue.workers():
                    await anyio.sleep(0.05)
            (seen,) = (await anyio.to_thread.run_sync(evq, "top", name, "--once", "--json")).json["workers"]
            assert (seen["pid"], seen["concurrency"], seen["running"], seen["jobs"]) == (os.getpid(), 3, 0, [])
            assert seen["started"].endswith("+00:00")
            assert " 0/3 " in (await anyio.to_thread.run_sync(evq, "top", name, "--once")).out
            worker.stop()

    anyio.run(main)


def test_top_prints_a_line_at_a_time_where_there_is_no_terminal(evq: Evq, name: str, redis_url: str) -> None:
    evq("enqueue", name, "send")
    with start("top", name, redis_url=redis_url, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0

    assert b" waiting=1 " in line


def test_top_prints_json_lines_and_outlives_an_outage(evq: Evq, name: str, redis_url: str) -> None:
    evq("enqueue", name, "send")
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with start("top", name, "--json", redis_url=redis_url, **pipes) as process, Redis.from_url(redis_url) as client:
        assert process.stdout is not None
        assert process.stderr is not None
        assert json.loads(process.stdout.readline())["counts"]["waiting"] == 1
        waiting = f"evq:{{{name}}}:waiting"
        client.rename(waiting, waiting + "-away")
        client.set(waiting, "foreign")  # refused by Redis, as anything is in an outage
        assert b"refuses to work" in process.stderr.readline()
        client.rename(waiting + "-away", waiting)
        assert json.loads(process.stdout.readline())["counts"]["waiting"] == 1
        process.terminate()
        assert process.wait(10) == 0


def test_top_fills_a_terminal_until_q(evq: Evq, name: str, redis_url: str) -> None:
    evq("enqueue", name, "send", "--group", "the-group")
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 120, 0, 0))
    before = termios.tcgetattr(theirs)
    process = start("top", name, redis_url=redis_url, stdin=theirs, stdout=theirs, stderr=theirs)
    shown = b""
    while b"the-group" not in shown:
        shown += os.read(ours, 10_000)
    os.write(ours, b"q")

    assert process.wait(10) == 0
    assert b"\x1b[?1049h" in shown  # a screen of its own, left again
    assert b"\x1b[?1049l" in os.read(ours, 10_000)
    assert termios.tcgetattr(theirs) == before
    os.close(theirs)
    os.close(ours)
