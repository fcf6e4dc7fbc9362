"""Jobs that are enqueued one by one at the same time go to Redis together: a call a batch instead of one each.

The first goes at once. Those that come while it is under way are one call, or a few, as soon as it is back; so nobody
waits for company that may not come.
"""

import asyncio
from collections import deque
from collections.abc import Iterable
from copy import copy
from dataclasses import dataclass, field

from evq.broker import BULK, ROOM, Broker, Reply
from evq.errors import QueueUnavailable
from evq.job import NewJob

Standing = tuple[Reply, str]
"""What became of a new job, and the id of the job that stands for it."""


@dataclass(slots=True, eq=False)
class _Waiting:
    """A job that waits for a call, and what will be told of it."""

    job: NewJob
    standing: asyncio.Future[Standing] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Gathering:
    """Enqueues single jobs, for one event loop."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._waiting: deque[_Waiting] = deque()
        self._busy = False
        self._sender: asyncio.Task[None] | None = None

    async def enqueue(self, job: NewJob) -> Standing:
        """Add *job*; raise what `Broker.enqueue` raises."""
        if job.has_dedup_key:  # it may be refused, and all beside it
            return (await self._broker.enqueue([job]))[0]
        if self._busy:
            waiting = _Waiting(job)
            self._waiting.append(waiting)
            return await waiting.standing
        self._busy = True
        try:
            return (await self._broker.enqueue_together([job]))[0]
        except QueueUnavailable as error:
            self._give_up(error)
            raise
        finally:
            self._go_on()

    def _go_on(self) -> None:
        """Let those go that have come meanwhile."""
        self._busy = bool(self._waiting)
        if self._waiting:
            self._sender = asyncio.get_running_loop().create_task(self._send())

    async def _send(self) -> None:
        batch: list[_Waiting] = []
        try:
            while batch := self._next():
                try:
                    standing = await self._broker.enqueue_together([waiting.job for waiting in batch])
                except Exception as error:  # noqa: BLE001 - it is raised where the jobs come from
                    _fail(batch, error)
                    if isinstance(error, QueueUnavailable):
                        self._give_up(error)
                else:
                    for waiting, stands in zip(batch, standing, strict=True):
                        if not waiting.standing.done():
                            waiting.standing.set_result(stands)
        finally:  # by whatever it ends, nobody is left waiting
            for waiting in (*batch, *self._waiting):
                waiting.standing.cancel()
            self._waiting.clear()
            self._busy = False

    def _next(self) -> list[_Waiting]:
        """Take as many as one call should have; those whose callers were cancelled are left out."""
        batch: list[_Waiting] = []
        size = 0
        while self._waiting and len(batch) < BULK:
            size += len(self._waiting[0].job.payload)
            if batch and size > ROOM:
                break
            waiting = self._waiting.popleft()
            if not waiting.standing.done():
                batch.append(waiting)
        return batch

    def _give_up(self, error: QueueUnavailable) -> None:
        """Fail all that wait: each would wait as long, for the same answer."""
        _fail(self._waiting, error)
        self._waiting.clear()


def _fail(batch: Iterable[_Waiting], error: Exception) -> None:
    for waiting in batch:
        if not waiting.standing.done():
            waiting.standing.set_exception(copy(error))  # each has a traceback of its own
