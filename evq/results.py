"""Waiting for results: one blocking read serves all who wait in an event loop, and nothing is scanned."""

import asyncio
import contextlib
from collections import defaultdict

from evq.broker import Broker, Reply
from evq.errors import QueueUnavailable
from evq.ids import new_id

TTL_MS = 60_000
"""A watch is forgotten after this long unless renewed, so that those of a program that died go away, ms."""
CHECK_MS = 20_000
"""After this long without news a watch is renewed, and the job looked at again: news are hints, ms."""
BLOCK_MS = 5_000
"""How long one read waits, ms; then it is repeated."""


class Results:
    """Tells waiters of the ends of their jobs."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._waiter = new_id()
        self._waiting: defaultdict[str, set[asyncio.Event]] = defaultdict(set)
        self._reader: asyncio.Task[None] | None = None

    async def wait(self, job_id: str) -> None:
        """Return once the job has ended, or if there is none; raise `QueueUnavailable` if Redis goes away."""
        news = asyncio.Event()
        self._waiting[job_id].add(news)
        try:
            while await self._broker.watch(job_id, self._waiter, TTL_MS) is Reply.WATCHING:
                if self._reader is None or self._reader.done():
                    self._reader = asyncio.create_task(self._read())
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(CHECK_MS / 1000):
                        await news.wait()
                news.clear()
        finally:
            self._waiting[job_id].discard(news)
            if not self._waiting[job_id]:
                del self._waiting[job_id]

    async def _read(self) -> None:
        try:
            while self._waiting:
                job_id = await self._broker.next_ended(self._waiter, BLOCK_MS)
                for news in self._waiting.get(job_id or "", ()):
                    news.set()
        except QueueUnavailable:
            # Those who wait shall see it themselves.
            for waiting in self._waiting.values():
                for news in waiting:
                    news.set()

    async def close(self) -> None:
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.gather(self._reader, return_exceptions=True)
