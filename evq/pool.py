"""A pool of worker processes on this machine: started, replaced when they die, scaled, drained."""

import contextlib
import logging
import os
import signal
import sys
import time
from collections.abc import Sequence
from typing import cast

import anyio
from anyio.abc import Process, TaskGroup, TaskStatus

from evq.errors import UsageError
from evq.settings import worker_count

log = logging.getLogger("evq.pool")

STEADY = 2.0
"""A process that lived this long did not die of its start, s."""
LONGEST_PAUSE = 30.0
"""The longest pause before a process that keeps dying is started again, s."""
SLACK = 15.0
"""How long a process may take to end beyond its grace time before it is killed, s."""


class _Member:
    """One place in the pool: a process, and its successors."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command
        self._process: Process | None = None
        self._stopping = anyio.Event()
        self.ended = anyio.Event()

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process and self._process.returncode is None else None

    @property
    def stopping(self) -> bool:
        return self._stopping.is_set()

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Keep a process alive until stopped."""
        pause = 0.5
        try:
            await self._start()
            task_status.started()
            while True:
                begun = time.monotonic()
                code = await self._wait()
                if self._stopping.is_set():
                    return
                pause = 0.5 if time.monotonic() - begun > STEADY else min(2 * pause, LONGEST_PAUSE)
                log.error("a worker process died and is replaced", extra={"exit_code": code, "pause_s": pause})
                with anyio.move_on_after(pause):
                    await self._stopping.wait()
                    return
                await self._start()
        finally:
            self.ended.set()

    async def _start(self) -> None:
        # A session of its own: Ctrl-C in a terminal is the pool's to answer, or jobs would be interrupted twice.
        self._process = await anyio.open_process(
            self._command,
            stdin=None,
            stdout=None,
            stderr=None,
            env=os.environ | {"EVQ_POOL_PID": str(os.getpid())},
            start_new_session=True,
        )
        if self._stopping.is_set():  # while it was being started
            self.stop()

    async def _wait(self) -> int:
        process = cast("Process", self._process)
        try:
            return await process.wait()
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            raise

    def stop(self, with_signal: signal.Signals = signal.SIGTERM) -> None:
        self._stopping.set()
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(with_signal)


class WorkerPool:
    """Several worker processes of one queue."""

    def __init__(
        self,
        target: str,
        *,
        processes: int | None = None,
        concurrency: int = 1,
        grace: float = 30.0,
        log_level: str = "INFO",
    ) -> None:
        """Plan a pool for the queue at *target*, `module:attribute`; its processes import it.

        *processes* is WORKER_COUNT by default; each runs up to *concurrency* jobs and drains within *grace* s.
        """
        self._wanted = worker_count() if processes is None else processes
        if self._wanted < 0 or concurrency < 1:
            raise UsageError(f"processes={processes}, concurrency={concurrency}: use 0 or more, and 1 or more")
        options = ["--processes", "1", "--concurrency", str(concurrency), "--grace", str(grace)]
        options += ["--log-level", log_level]
        self._command = [sys.executable, "-m", "evq", "worker", target, *options]
        self._grace = grace
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
        staying = self._staying()
        for _ in range(processes - len(staying)):
            await self.add_worker()
        await self._drain(staying[processes:])

    async def add_worker(self) -> None:
        """Start one process more."""
        group, member = self._running_group(), _Member(self._command)
        self._members.append(member)
        await group.start(member.run)

    async def remove_worker(self) -> None:
        """Let one process end the jobs that it runs, and end it."""
        await self._drain(self._staying()[-1:])

    def _staying(self) -> list[_Member]:
        return [member for member in self._members if not member.stopping]

    async def _drain(self, leaving: Sequence[_Member]) -> None:
        for member in leaving:
            member.stop()
        with anyio.move_on_after(self._grace + SLACK):
            for member in leaving:
                await member.ended.wait()
        for member in leaving:
            member.stop(signal.SIGKILL)
            await member.ended.wait()
            self._members.remove(member)

    def _running_group(self) -> TaskGroup:
        if self._group is None:
            raise UsageError("the pool does not run: start pool.run() first")
        return self._group
