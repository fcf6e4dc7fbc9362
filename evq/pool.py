"""A pool of worker processes on this machine: started, replaced when they die, scaled, drained.

How many workers a queue has is one number, stored with it, and the pools that serve it share them. Every pool hears
with its beat which others there are, and computes the same shares as they do, so that none has to lead.
"""

import contextlib
import logging
import os
import secrets
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from typing import cast

import anyio
from anyio.abc import Process, TaskGroup, TaskStatus

from evq.broker import pairs
from evq.checks import check_kind, check_seconds, check_whole
from evq.errors import QueueUnavailable, UsageError
from evq.place import load_queue
from evq.queue import Queue
from evq.settings import worker_count

log = logging.getLogger("evq.pool")

LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
"""How much a worker process can be told to log."""
BEAT_MS = 2_000
"""The time between two beats of a pool, ms; it beats at once when the queue is scaled."""
LOST_MS = 3 * BEAT_MS
"""After so long without a beat the other pools take over a pool's share, ms."""
FAREWELL = 1.0
"""How long the last word to Redis may take, s."""
STEADY = 2.0
"""A process that lived this long did not die of its start, s."""
LONGEST_PAUSE = 30.0
"""The longest pause before a process that keeps dying is started again, s."""
SLACK = 4.5
"""How long a process may take to end beyond its grace time before it is killed, s."""


def share(wanted: int, capacities: Mapping[str, int], pool: str) -> int:
    """Return how many of the *wanted* workers *pool* runs, if they are spread as evenly as the capacities allow."""
    smallest_first = sorted(capacities, key=lambda name: (capacities[name], name))
    for number, name in enumerate(smallest_first):
        part = min(capacities[name], wanted // (len(capacities) - number))
        if name == pool:
            return part
        wanted -= part
    return 0


class _Member:
    """One place in the pool: a process, and its successors."""

    def __init__(self, command: Sequence[str], patience: float) -> None:
        self._command = command
        self._patience = patience
        self._process: Process | None = None
        self._stopping = anyio.Event()
        self.ended = anyio.Event()

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process and self._process.returncode is None else None

    @property
    def stopping(self) -> bool:
        return self._stopping.is_set()

    def stop(self) -> None:
        """Let the process drain, and kill it if that takes too long."""
        self._stopping.set()

    def kill(self) -> None:
        self._patience = 0
        self._stopping.set()
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    async def run(self) -> None:
        """Keep a process alive until stopped."""
        pause = 0.5
        while True:
            begun = time.monotonic()
            ended = await self._run_process()
            if self.stopping:
                return
            pause = 0.5 if time.monotonic() - begun > STEADY else min(2 * pause, LONGEST_PAUSE)
            log.error("a worker process died and is replaced", extra={"ended": ended, "pause_s": pause})
            with anyio.move_on_after(pause):
                await self._stopping.wait()
                return

    async def _run_process(self) -> str:
        """Run a process until it ends, and say how it did."""
        try:
            with anyio.CancelScope(shield=True):  # a process half started could not be ended
                # A session of its own: Ctrl-C in a terminal is the pool's to answer, or jobs were interrupted twice.
                self._process = process = await anyio.open_process(
                    self._command,
                    stdin=None,
                    stdout=None,
                    stderr=None,
                    env=os.environ | {"EVQ_POOL_PID": str(os.getpid())},
                    start_new_session=True,
                )
        except OSError as error:
            return f"it could not be started: {error.strerror}"
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(self._end_when_stopped, process)
                code = await process.wait()
                group.cancel_scope.cancel()
        finally:
            with anyio.CancelScope(shield=True), contextlib.suppress(ProcessLookupError):
                process.kill()
                await process.wait()
        return f"exit code {code}"

    async def _end_when_stopped(self, process: Process) -> None:
        await self._stopping.wait()
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
            await anyio.sleep(self._patience)
            log.error("a worker process has not drained and is killed", extra={"pid": process.pid})
            process.kill()


class WorkerPool:
    """Several worker processes of one queue."""

    def __init__(
        self,
        target: str,
        *,
        queue: Queue | None = None,
        processes: int | None = None,
        capacity: int | None = None,
        concurrency: int = 1,
        grace: float = 30.0,
        log_level: str = "INFO",
    ) -> None:
        """Plan a pool for the queue at *target*, `module:attribute`; its processes import it, and so does this one.

        It imports nothing if it is given the *queue*. *processes* is WORKER_COUNT by default, and holds as long as
        nobody has scaled the queue; *capacity* is the most that it runs, by default that or the number of CPUs. Each
        process runs up to *concurrency* jobs and drains within *grace* s. Raise `UsageError` if that cannot be.
        """
        check_kind("target", target, str)
        self._processes = worker_count() if processes is None else processes
        check_whole("processes", self._processes, least=0)
        self._capacity = max(self._processes, os.cpu_count() or 1) if capacity is None else capacity
        check_whole("capacity", self._capacity, least=self._processes)
        check_whole("concurrency", concurrency, least=1)
        check_seconds("grace", grace)
        if log_level not in LOG_LEVELS:
            raise UsageError(f"log_level={log_level!r}: use one of {', '.join(LOG_LEVELS)}")
        served = load_queue(target) if queue is None else queue
        check_kind("queue", served, Queue)
        self._queue = Queue(served.name, redis=served.url)  # with connections that are the pool's to close
        options = ["--concurrency", str(concurrency), "--grace", str(grace), "--log-level", log_level]
        self._command = [sys.executable, "-m", "evq", "worker", target, *options]
        self._patience = grace + SLACK
        self.id = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
        self._members: list[_Member] = []
        self._group: TaskGroup | None = None
        self._turn = anyio.Lock()
        self._stopped = anyio.Event()

    @property
    def pids(self) -> list[int]:
        """The process ids of the workers that run now."""
        return [member.pid for member in self._members if member.pid is not None]

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Run this pool's share of the queue's workers until `stop`, then wait until they have drained."""
        async with self._queue, anyio.create_task_group() as self._group:
            async with anyio.create_task_group() as serving:
                serving.start_soon(self._serve, task_status)
                await self._stopped.wait()
                serving.cancel_scope.cancel()
            self._resize(0)
            with anyio.move_on_after(FAREWELL), contextlib.suppress(QueueUnavailable):
                async with self._turn:
                    await self._join(ttl_ms=0)

    def stop(self) -> None:
        """Let the processes end the jobs that they run, and end."""
        self._stopped.set()

    def kill(self) -> None:
        """End the processes at once; their jobs are run again when the leases run out."""
        self._stopped.set()
        for member in self._members:
            member.kill()

    async def scale(self, count: int | None) -> None:
        """Scale the queue, as `Queue.scale` does; return when the processes that leave this pool have drained.

        Raise `QueueUnavailable` if Redis, which keeps the number, cannot be reached.
        """
        self._check_running()
        await self._queue.scale(count)
        await self._reconcile()

    async def add_worker(self) -> None:
        """Scale the queue to one worker more, which the pool with the smallest share that has room starts."""
        self._check_running()
        await self._queue.broker.run("scale", count=-1, by=1)
        await self._reconcile()

    async def remove_worker(self) -> None:
        """Scale the queue to one worker less, which the pool with the largest share drains."""
        self._check_running()
        await self._queue.broker.run("scale", count=-1, by=-1)
        await self._reconcile()

    def _check_running(self) -> None:
        if self._group is None or self._stopped.is_set():
            raise UsageError("the pool does not run: start pool.run() first")

    async def _serve(self, task_status: TaskStatus[None]) -> None:
        """Run the pool's share of the workers, as it is with each beat; without Redis, those that there are."""
        try:
            await self._take_share()
        except QueueUnavailable:
            self._resize(self._processes)
        task_status.started()
        reachable = True
        while True:
            try:
                await self._queue.broker.next_told(self.id, BEAT_MS)
                await self._take_share()
                reachable = True
            except QueueUnavailable:
                if reachable:
                    log.warning("Redis cannot be reached: the pool keeps its workers", extra={"pool": self.id})
                reachable = False
                await anyio.sleep(1)

    async def _take_share(self) -> None:
        async with self._turn:  # or the older of two answers could come last
            wanted, capacities = await self._join(ttl_ms=LOST_MS)
            if not self._stopped.is_set():
                self._resize(self._processes if wanted < 0 else share(wanted, capacities, self.id))

    async def _join(self, ttl_ms: int) -> tuple[int, dict[str, int]]:
        """Beat for this pool; return how many workers are wanted (-1: nobody said so), and all capacities."""
        run = self._queue.broker.run
        wanted, *flat = await run(
            "join", pool=self.id, capacity=self._capacity, processes=self._processes, ttl_ms=ttl_ms
        )
        return wanted, {name.decode(): int(text.split()[0]) for name, text in pairs(flat).items()}

    async def _reconcile(self) -> None:
        """Take this pool's share, and wait until those that leave have drained."""
        await self._take_share()
        for member in [member for member in self._members if member.stopping]:
            await member.ended.wait()

    def _resize(self, count: int) -> None:
        """Start processes, or let some drain, until *count* stay."""
        group = cast("TaskGroup", self._group)
        staying = [member for member in self._members if not member.stopping]
        if count != len(staying):
            log.info("workers scaled", extra={"pool": self.id, "workers": count, "before": len(staying)})
        for member in staying[count:]:
            member.stop()
        for _ in range(count - len(staying)):
            member = _Member(self._command, self._patience)
            self._members.append(member)
            group.start_soon(self._keep, member)

    async def _keep(self, member: _Member) -> None:
        try:
            await member.run()
        finally:
            self._members.remove(member)
            member.ended.set()
