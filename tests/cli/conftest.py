"""The command `evq`, run in this process as its script runs it, or as a process of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import anyio
import pytest

from evq import Queue, RetryPolicy, Worker
from evq.cli import main

EVQ = Path(sys.executable).with_name("evq")
_numbers = count(1)


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        assert self.code in (0, 3), self.err
        return json.loads(self.out)


Evq = Callable[..., Done]


@pytest.fixture
def evq(redis_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Evq:
    """Run a command in this process."""
    monkeypatch.setenv("EVQ_REDIS_URL", redis_url)

    def run(*arguments: str) -> Done:
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["evq", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        return Done(int(ended.value.code or 0), captured.out, captured.err)

    return run


@pytest.fixture
def name() -> str:
    """Name a queue that nobody has used."""
    return f"cli-{next(_numbers)}"


Run = Callable[..., None]


@pytest.fixture
def run_jobs(redis_url: str, name: str) -> Run:
    """Let a worker with the tasks `send` and `refuse` run what waits, to the end."""

    def run(**options: Any) -> None:
        async def work() -> None:
            async with make_queue(name, redis_url) as queue:
                await Worker(queue, **options).run(burst=True)

        anyio.run(work)

    return run


def make_queue(name: str, redis_url: str) -> Queue:
    queue = Queue(name, redis=redis_url)

    @queue.task
    async def send(to: str) -> str:
        return f"sent to {to}"

    @queue.task(retry=RetryPolicy(attempts=1))
    async def refuse(why: str) -> None:
        raise LookupError(why)

    return queue


def start(*arguments: str, redis_url: str, **options: Any) -> "subprocess.Popen[bytes]":
    """Start the command as a process of its own."""
    return subprocess.Popen([EVQ, *arguments], env=os.environ | {"EVQ_REDIS_URL": redis_url}, **options)
