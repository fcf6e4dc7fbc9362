"""The heart of a worker: a thread that extends its leases and takes back those of lost workers.

A thread, because a handler may keep the event loop busy for longer than a lease lasts, and its job is healthy all the
same. It runs an event loop of its own, so that there is one way of talking to Redis and not two.
"""

import asyncio
import contextlib
import logging
import threading
import time
from typing import TYPE_CHECKING, Self

from evq.errors import QueueUnavailable

if TYPE_CHECKING:
    from evq.worker import Worker

log = logging.getLogger("evq.heartbeat")

LIMIT = 100
"""Jobs reclaimed, or promoted, in one call."""
SOONEST = 0.2
"""The least time between two beats, s."""


class Heartbeat:
    """Beats while it is entered."""

    def __init__(self, worker: "Worker") -> None:
        self._worker = worker
        self._period = worker.queue.lease_ms / 3000
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()), name="evq-heartbeat", daemon=True)
        self._started = threading.Event()
        self._loop_seen = time.monotonic()

    def __enter__(self) -> Self:
        self._thread.start()
        self._started.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        self._started.set()
        pause = 0.0
        while not self._stopping.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._stopping.wait()
                    break
            self._watch_loop()
            try:
                pause = await self._beat()
            except QueueUnavailable:
                # The worker's own loop reports it; leases are extended as soon as Redis is back.
                pause = SOONEST
            except Exception:
                log.exception("a heartbeat failed", extra={"worker": self._worker.id})
                pause = SOONEST
        with contextlib.suppress(QueueUnavailable):
            await self._worker.queue.broker.leave(self._worker.id)
        await self._worker.queue.close()

    async def _beat(self) -> float:
        """Extend the leases, take back lost ones; return the seconds until the next beat is due."""
        worker, broker = self._worker, self._worker.queue.broker
        leases = worker.leases()
        words = await broker.extend(worker.id, worker.queue.lease_ms, leases)
        for (job_id, fence), word in zip(leases, words, strict=True):
            worker.lease_word(job_id, fence, word)
        due_ms = await broker.maintain(LIMIT, worker.queue.keep_ms)
        return max(SOONEST, min(self._period, self._period if due_ms is None else due_ms / 1000))

    def _watch_loop(self) -> None:
        """Report an event loop that has not turned for longer than a beat."""
        silent = time.monotonic() - self._loop_seen
        if silent > 2 * self._period + 1:
            log.warning(
                "a handler blocks the event loop: make it a plain function, or await more often",
                extra={"worker": self._worker.id, "blocked_s": round(silent, 1)},
            )
        self._worker.call_soon(self._see_loop)

    def _see_loop(self) -> None:
        self._loop_seen = time.monotonic()
