"""The heart of a worker: a thread that extends its leases and takes back those of lost workers.

A thread, because a handler may keep the event loop busy for longer than a lease lasts, and its job is healthy all the
same. It runs an event loop of its own, so that there is one way of talking to Redis and not two.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterator

import anyio
from anyio.from_thread import start_blocking_portal

from evq.broker import Reply
from evq.errors import QueueUnavailable
from evq.queue import Queue

log = logging.getLogger("evq.heartbeat")

LIMIT = 100
"""Jobs reclaimed, or promoted, in one call."""
SOONEST = 0.2
"""The least time between two beats, s."""
FAREWELL = 1.0
"""How long the last word to Redis may take, s: the worker's event loop waits for it."""


class Heartbeat:
    """Beats for one worker, and tells its event loop what became of its leases."""

    def __init__(
        self,
        worker: str,
        queue: Queue,
        *,
        leases: Callable[[], list[tuple[str, int]]],
        on_word: Callable[[str, int, Reply], None],
    ) -> None:
        """Extend what *leases* lists as (id, fence), called in the heart's own thread.

        Each answer goes to *on_word* as (id, fence, word), called in the event loop in which this is made.
        """
        self._worker = worker
        self._queue = queue
        self._leases = leases
        self._on_word = on_word
        self._loop = asyncio.get_running_loop()
        self._loop_seen = time.monotonic()
        self._period = queue.lease_ms / 3000

    @contextlib.contextmanager
    def beating(self) -> Iterator[None]:
        """Beat while this is entered."""
        with start_blocking_portal(name="evq-heartbeat") as portal:
            beats = portal.start_task_soon(self._run)
            try:
                yield
            finally:
                beats.cancel()

    async def _run(self) -> None:
        try:
            while True:
                self._watch_loop()
                await self._rest(await self._try_beat())
        finally:
            with anyio.move_on_after(FAREWELL, shield=True), contextlib.suppress(QueueUnavailable):
                await self._queue.broker.leave(self._worker)
            with anyio.CancelScope(shield=True):
                await self._queue.close()

    async def _rest(self, seconds: float) -> None:
        """Pause, but not longer than until a job that runs here is cancelled."""
        try:
            await self._queue.broker.next_ended(f"{self._worker}.heart", round(seconds * 1000))
        except QueueUnavailable:
            await anyio.sleep(SOONEST)

    async def _try_beat(self) -> float:
        try:
            return await self._beat()
        except QueueUnavailable:
            # The worker's own loop reports it; leases are extended as soon as Redis is back.
            return SOONEST
        except Exception:
            log.exception("a heartbeat failed", extra={"worker": self._worker})
            return SOONEST

    async def _beat(self) -> float:
        """Extend the leases, take back lost ones; return the seconds until the next beat is due."""
        broker, leases = self._queue.broker, self._leases()
        words = await broker.extend(self._worker, self._queue.lease_ms, leases)
        for (job_id, fence), word in zip(leases, words, strict=True):
            if word is not Reply.OK:
                self._call_soon(self._on_word, job_id, fence, word)
        due_ms = await broker.maintain(LIMIT, self._queue.keep_ms)
        return max(SOONEST, min(self._period, self._period if due_ms is None else due_ms / 1000))

    def _watch_loop(self) -> None:
        """Report an event loop that has not turned for two beats."""
        silent = time.monotonic() - self._loop_seen
        if silent > 2 * self._period + 1:
            log.warning(
                "a handler blocks the event loop: make it a plain function, or await more often",
                extra={"worker": self._worker, "blocked_s": round(silent, 1)},
            )
        self._call_soon(self._see_loop)

    def _see_loop(self) -> None:
        self._loop_seen = time.monotonic()

    def _call_soon(self, callback: Callable[..., None], *args: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop may have been closed meanwhile
            self._loop.call_soon_threadsafe(callback, *args)
