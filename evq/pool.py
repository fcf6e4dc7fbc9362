"""A pool of worker processes on this machine: started, replaced when they die, scaled, drained."""

import contextlib
import logging
import os
import signal
import sys
import time
from collections.abc import Sequence

import anyio
from anyio.abc import Process, TaskGroup, TaskStatus

from evq.errors import UsageError
from evq.settings import worker_count

log = logging.getLogger("evq.pool")

STEADY = 10.0
"""A process that lived this long did not die of its start, s."""
LONGEST_PAUSE = 30.0
"""The longest pause before a process that keeps dying is started again, s."""


class _Member:
    """One place in the pool: a process, and its successors."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command
        self._process: Process | None = None
        self._stopping = anyio.Event()
        self.ended = anyio.Event()

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Keep a process alive until stopped."""
        pause = 0.5
        try:
            while not self._stopping.is_set():
                begun = time.monotonic()
                code = await self._run_process(task_status)
                if self._stopping.is_set():
                    break
                pause = 0.5 if time.monotonic() - begun > STEADY else min(2 * pause, LONGEST_PAUSE)
                log.error("a worker process died and is replaced", extra={"exit_code": code, "pause_s": pause})
                with anyio.move_on_after(pause):
                    await self._stopping.wait()
        finally:
            self.ended.set()

    async def _run_process(self, task_status: TaskStatus[None]) -> int:
        # A session of its own: Ctrl-C in a terminal is the pool's to answer, or jobs would be interrupted twice.
        self._process = await anyio.open_process(
            self._command,
            stdin=None,
            stdout=None,
            stderr=None,
            env=os.environ | {"EVQ_POOL_PID": str(os.getpid())},
            start_new_session=True,
        )
        task_status.started()
        try:
            return await self._process.wait()
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            raise

    def stop(self, with_signal: signal.Signals = signal.SIGTERM) -> None:
        self._stopping.set()
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(with_signal)


class WorkerPool:
    """Several worker processes of one queue."""

    def __init__(self, target: str, *, processes: int | None = None, concurrency: int = 1, grace: float = 30.0) -> None:
        """Plan a pool for the queue at *target*, `module:attribute`; its processes import it.

        *processes* is WORKER_COUNT by default; each runs up to *concurrency* jobs and drains within *grace* s.
        """
        self._wanted = worker_count() if processes is None else processes
        if self._wanted < 0 or concurrency < 1:
            raise UsageError(f"processes={processes}, concurrency={concurrency}: use 0 or more, and 1 or more")
        options = ["--processes", "1", "--concurrency", str(concurrency), "--grace", str(grace)]
        self._command = [sys.executable, "-m", "evq", "worker", target, *options]
        self._members: list[_Member] = []
        self._group: TaskGroup | None = None
        self._stopped = anyio.Event()

    @property
    def pids(self) -> list[int]:
        """The process ids of the workers that run now."""
        return [member.pid for member in self._members if member.pid is not None]

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Keep the processes alive until `stop`, then wait until they have drained."""
        async with anyio.create_task_group() as self._group:
            await self.scale(self._wanted)
            task_status.started()
            await self._stopped.wait()
            await self.scale(0)
        self._group = None

    def stop(self) -> None:
        """Let the processes end the jobs that they run, and end."""
        self._stopped.set()

    def kill(self) -> None:
        """End the processes at once; their jobs are run again when the leases run out."""
        self._stopped.set()
        for member in self._members:
            member.stop(signal.SIGKILL)

    async def scale(self, processes: int) -> None:
        """Start or drain processes until there are so many."""
        while len(self._members) < processes:
            await self.add_worker()
        await self._drain(len(self._members) - processes)

    async def add_worker(self) -> None:
        """Start one process more."""
        member = _Member(self._command)
        self._members.append(member)
        await self._running_group().start(member.run)

    async def remove_worker(self) -> None:
        """Let one process end the jobs that it runs, and end it."""
        await self._drain(min(1, len(self._members)))

    async def _drain(self, count: int) -> None:
        leaving = self._members[len(self._members) - count :]
        for member in leaving:
            member.stop()
        for member in leaving:
            await member.ended.wait()
            self._members.remove(member)

    def _running_group(self) -> TaskGroup:
        if self._group is None:
            raise UsageError("the pool does not run: start pool.run() first")
        return self._group
