"""Waiting for results: one blocking read serves all who wait in an event loop, and nothing is scanned."""

import asyncio
import contextlib
import logging
import random
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

from evq.broker import Broker, Reply
from evq.errors import QueueUnavailable
from evq.ids import new_id
from evq.job import Record

log = logging.getLogger("evq.results")

TTL_MS = 60_000
"""A watch is forgotten after this long unless renewed, so that those of a program that died go away, ms."""
CHECK_MS = 20_000
"""After this long without news a watch is renewed, and the job looked at again: news are hints, ms."""
BLOCK_MS = 5_000
"""How long one read waits, ms; then it is repeated."""

Answer = TypeVar("Answer")


class Results:
    """Tells waiters of the ends of their jobs."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._waiter = new_id()
        self._waiting: defaultdict[str, set[asyncio.Event]] = defaultdict(set)
        self._reader: asyncio.Task[None] | None = None
        self._reachable = True
        self._outage = asyncio.Lock()

    async def wait(self, job_id: str) -> Record | None:
        """Return the record of a job once it has ended, or None if there is none; an outage of Redis is waited out."""
        news = asyncio.Event()
        self._waiting[job_id].add(news)
        try:
            while True:
                if await self._ask(lambda: self._watch(job_id)) is Reply.WATCHING:
                    await self._news(news)
                    continue
                (record,) = await self._ask(lambda: self._broker.get([job_id]))
                if record is None or record.status.ended:  # else it was replayed just now
                    return record
        finally:
            self._waiting[job_id].discard(news)
            if not self._waiting[job_id]:
                del self._waiting[job_id]

    async def _watch(self, job_id: str) -> Reply:
        return await self._broker.word("watch", id=job_id, waiter=self._waiter, ttl_ms=TTL_MS)

    async def _ask(self, question: Callable[[], Awaitable[Answer]]) -> Answer:
        """Ask Redis until it answers. In an outage those who wait take turns, so that not all of them try at once."""
        while True:
            async with contextlib.nullcontext() if self._reachable else self._outage:
                try:
                    answer = await question()
                except QueueUnavailable as error:
                    if self._reachable:
                        log.warning("results have to wait for Redis: %s", error)
                    self._reachable = False
                    await anyio.sleep(random.uniform(0.2, 1.0))  # noqa: S311 - spread, not secrecy
                else:
                    self._reachable = True
                    return answer

    async def _news(self, news: asyncio.Event) -> None:
        if self._reader is None or self._reader.done():
            self._reader = asyncio.create_task(self._read())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CHECK_MS / 1000):
                await news.wait()
        news.clear()

    async def _read(self) -> None:
        try:
            while self._waiting:
                job_id = await self._broker.next_told(self._waiter, BLOCK_MS)
                for news in self._waiting.get(job_id or "", ()):
                    news.set()
        except QueueUnavailable:
            # Those who wait shall look themselves: their watches may be lost.
            for waiting in self._waiting.values():
                for news in waiting:
                    news.set()

    async def close(self) -> None:
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.gather(self._reader, return_exceptions=True)
