"""Who takes part in a scenario, and can be broken: a Redis and workers, all of them real processes."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import anyio
import psutil
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from evq.embedded import find_server

PLAIN = {name: value for name, value in os.environ.items() if not name.startswith(("EVQ_", "REDIS_", "WORKER_"))}
PATIENCE = 20.0
"""How long a Redis may take to start and load its data, s."""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    return port


class RedisServer:
    """A Redis that can be killed, and started again on the same port with the same data."""

    def __init__(self, folder: Path, *, fsync: str | None = "always", environ: Mapping[str, str] | None = None) -> None:
        """Plan a Redis with its data in *folder*, written as `appendfsync` *fsync* says, or never."""
        self.folder = folder
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.client: Any = Redis(port=self.port, decode_responses=True)
        self._command = [find_server(), "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(folder)]
        self._command += ["--save", "", "--appendonly", "yes" if fsync else "no", "--appendfsync", fsync or "no"]
        self._environ = {**PLAIN, **(environ or {})}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, env=self._environ)
        give_up = time.monotonic() + PATIENCE
        while True:
            try:
                self.client.ping()
            except RedisConnectionError:  # also while it loads
                assert self._process.poll() is None, "Redis did not start"
                assert time.monotonic() < give_up, "Redis did not answer in time"
                time.sleep(0.01)
            else:
                return

    def kill(self) -> None:
        """Kill it with SIGKILL, provided that it runs."""
        assert self._process is not None
        assert self._process.poll() is None, "Redis had ended before"
        self._process.kill()
        self._process.wait()

    def suspend(self) -> None:
        """Let it stand still until `resume`."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        with contextlib.suppress(AssertionError):
            self.kill()
        self.client.close()

    def calls_of(self, command: str) -> int:
        """Return how often *command* was called."""
        stats = self.client.info("commandstats").get(f"cmdstat_{command}")
        return int(stats["calls"]) if stats else 0


class Process:
    """A Python program of ours."""

    def __init__(self, *arguments: str, environ: Mapping[str, str], log: Path, cwd: Path | None = None) -> None:
        self._log = log
        with log.open("wb") as file:
            self._process = self._start(arguments, environ, file, cwd)
        self.pid = self._process.pid

    @staticmethod
    def _start(
        arguments: tuple[str, ...], environ: Mapping[str, str], log: IO[bytes], cwd: Path | None
    ) -> subprocess.Popen[bytes]:
        command = [sys.executable, *arguments]
        return subprocess.Popen(command, env={**PLAIN, **environ}, stdout=log, stderr=subprocess.STDOUT, cwd=cwd)

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    @property
    def suspended(self) -> bool:
        return bool(psutil.Process(self.pid).status() == psutil.STATUS_STOPPED)

    @property
    def said(self) -> str:
        """All of its log."""
        return self._log.read_text()

    def send(self, number: signal.Signals) -> None:
        """Send a signal, provided that it runs."""
        assert self.alive, f"process {self.pid} had ended before; it said: {self.said[-2000:]}"
        self._process.send_signal(number)

    def kill(self) -> None:
        self.send(signal.SIGKILL)
        self._process.wait()

    def suspend(self) -> None:
        """Stop it where it is, and be sure that it has."""
        self.send(signal.SIGSTOP)
        while not self.suspended:
            time.sleep(0.001)

    async def ended(self, *, within: float) -> int:
        """Wait for its end; return its exit code."""
        with anyio.fail_after(within):
            while self.alive:
                await anyio.sleep(0.02)
        return int(self._process.returncode)

    def close(self) -> None:
        if self.alive:
            self._process.kill()
        self._process.wait()
