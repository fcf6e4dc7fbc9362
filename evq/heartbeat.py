"""A worker's side of its heart: it keeps the process alive, and hears what became of its leases."""

import asyncio
import contextlib
import logging
import os
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable
from importlib.metadata import version
from typing import TYPE_CHECKING, cast

import anyio
import orjson
from anyio.streams.buffered import BufferedByteReceiveStream

from evq.broker import Reply
from evq.errors import QueueUnavailable
from evq.leases import Leases
from evq.queue import Queue

if TYPE_CHECKING:
    from anyio.abc import ByteReceiveStream, Process

log = logging.getLogger("evq.heartbeat")

BRIEF_MS = 3000
"""A lease that is shorter than this might run out before the heart has begun to beat."""
BEGIN = 10.0
"""How long a worker with so short a lease waits for its heart, s."""
SILENT = 5.0
"""A heart that has stood still for so long, or for half a lease if that is longer, is replaced, s."""
PAUSE = 0.2
"""Before a heart is replaced, s."""
FAREWELL = 1.0
"""How long the last word to Redis may take, s."""


class Heartbeat:
    """Keeps a heart alive for one worker."""

    def __init__(self, worker: str, queue: Queue, concurrency: int, on_word: Callable[[str, int, Reply], None]) -> None:
        """Prepare a heart; what it finds wrong with a lease goes to *on_word* as (id, fence, word)."""
        self._worker = worker
        self._queue = queue
        self._on_word = on_word
        self._begun = anyio.Event()
        self._process: Process | None = None
        about = {
            "id": worker,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "version": version("evq"),
            "concurrency": concurrency,
            "started_ms": time.time_ns() // 1_000_000,
        }
        config = {
            "redis": queue.url,
            "queue": queue.name,
            "lease_ms": queue.lease_ms,
            "keep_ms": queue.keep_ms,
            "keep_count": queue.keep_count,
            "about": about,
        }
        # Of a job that runs, and of one that has ended and is being settled.
        self.leases = Leases.make(2 * concurrency, orjson.dumps(config))

    @contextlib.asynccontextmanager
    async def beating(self) -> AsyncIterator[Leases]:
        """Have the leases that are held extended while this is entered."""
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(self._keep_alive)
                group.start_soon(self._turn)
                if self._queue.lease_ms < BRIEF_MS:
                    with anyio.move_on_after(BEGIN):
                        await self._begun.wait()
                try:
                    yield self.leases
                finally:
                    group.cancel_scope.cancel()
        finally:
            self.leases.close()
            with anyio.move_on_after(FAREWELL, shield=True), contextlib.suppress(QueueUnavailable):
                await self._queue.broker.send([("ZREM", self._queue.broker.keys["workers"], self._worker)])

    async def _keep_alive(self) -> None:
        while True:
            try:
                end = f"exit code {await self._run_heart()}"
            except OSError as error:  # there is no memory for it, or there are too many processes
                end = str(error)
            log.error("the worker's heart does not beat and is replaced: %s", end, extra={"worker": self._worker})
            await anyio.sleep(PAUSE)

    async def _run_heart(self) -> int | None:
        """Run a heart until it dies; return its exit code."""
        with anyio.CancelScope(shield=True):  # a process half started could not be ended
            # A session of its own: Ctrl-C in a terminal is not its to answer.
            process = await anyio.open_process(
                [sys.executable, "-m", "evq.heart"], stdin=self.leases.fd, stderr=None, start_new_session=True
            )
        self.leases.turn_heart()
        async with process:
            self._process = process
            lines = BufferedByteReceiveStream(cast("ByteReceiveStream", process.stdout))
            with contextlib.suppress(anyio.IncompleteRead):
                while True:
                    self._hear(await lines.receive_until(b"\n", 100))
        return process.returncode

    def _hear(self, line: bytes) -> None:
        self._begun.set()
        if line:
            job_id, fence, word = line.decode().split()
            self._on_word(job_id, int(fence), Reply(word))

    async def _turn(self) -> None:
        """Let the heart see that the event loop turns, and see whether the heart's does."""
        patience = max(SILENT, self._queue.lease_ms / 2000)
        while True:
            self.leases.turn()
            if self._process and time.monotonic() - self.leases.heart_turned > patience:
                with contextlib.suppress(ProcessLookupError):
                    self._process.kill()
            await asyncio.sleep(1)
