"""Live progress for any number of WebSockets from one reader of the queue's events.

An event is a hint that jobs have changed; one of progress says how, and is passed on. For the others the hub reads
those jobs again that somebody watches, at most ten times a second, and offers each snapshot to the job's seats. So a
burst of hints costs one read, a lost hint a few seconds, and a gap in the hints is filled with fresh snapshots for all.
"""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager

import anyio
import msgspec
from anyio import CapacityLimiter

from evq.errors import QueueUnavailable

log = logging.getLogger(__name__)

TICK = 0.1  # s between two reads of one job
REFRESH = 5.0  # s after which everything watched is read again, in case a hint was lost
PARALLEL_READS = 32
PAUSE = 1.0  # s from a read that found no queue to the next


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """A frame, encoded once for all seats; *milestone* is its percentage if that is one, *final* is the last one."""

    seq: int
    milestone: float | None
    final: bool
    text: str


class Hint(msgspec.Struct, frozen=True, kw_only=True):
    """What the hub needs of a queue's event: the jobs that changed; none says that hints were lost.

    *message* is what their seats are to be shown; without it they are read.
    """

    jobs: tuple[str, ...]
    message: Message | None = None


class Seat:
    """One socket's place: what it has yet to send, so that it never grows: each milestone, and the newest other frame.

    A reader too slow for every frame still gets the milestones and the final one.
    """

    def __init__(self, after: int) -> None:
        self._seen = after
        self._waiting: dict[float | None, Message] = {}
        self._wake = anyio.Event()
        self._closed = False

    def offer(self, message: Message | None) -> None:
        """Take a message if it is news; None says that there will be no other."""
        if self._closed:
            return
        if message is None or message.final:
            self._closed = True
        elif message.seq <= self._seen:
            return
        if message is not None:
            self._seen = message.seq
            self._waiting.pop(message.milestone, None)  # to its new place in the order
            self._waiting[message.milestone] = message
        self._wake.set()

    async def messages(self) -> AsyncIterator[Message]:
        """Yield messages until the final one."""
        while True:
            await self._wake.wait()
            self._wake = anyio.Event()
            while self._waiting:
                yield self._waiting.pop(next(iter(self._waiting)))
            if self._closed:
                return


class Hub:
    """Seats by job. *hints* gives the queue's events; *read* a job's message now, or None when there is no such job."""

    def __init__(
        self,
        hints: Callable[[], AsyncIterator[Hint]],
        read: Callable[[str], Awaitable[Message | None]],
    ) -> None:
        self._hints = hints
        self._read = read
        self._seats: dict[str, set[Seat]] = {}
        self._changed: set[str] = set()
        self._wake = anyio.Event()

    async def run(self) -> None:
        """Serve until cancelled."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._listen)
            tasks.start_soon(self._refresh)
            tasks.start_soon(self._pump)

    @contextmanager
    def seat(self, job_id: str, *, after: int) -> Iterator[Seat]:
        """Take a seat at a job; it gets a snapshot within a tick, unless that is not newer than *after*."""
        seat = Seat(after)
        self._seats.setdefault(job_id, set()).add(seat)
        self._mark([job_id])
        try:
            yield seat
        finally:
            seats = self._seats.get(job_id)
            if seats is not None:
                seats.discard(seat)
                if not seats:
                    del self._seats[job_id]

    @property
    def seated(self) -> int:
        """How many seats are taken."""
        return sum(len(seats) for seats in self._seats.values())

    def _mark(self, jobs: Iterable[str]) -> None:
        watched = self._seats.keys() & jobs
        if watched:
            self._changed |= watched
            self._wake.set()

    async def _listen(self) -> None:
        async for hint in self._hints():
            if hint.message is None:
                self._mark(hint.jobs or list(self._seats))
            else:
                for seat in self._seats.get(hint.jobs[0], ()):
                    seat.offer(hint.message)

    async def _refresh(self) -> None:
        while True:
            await anyio.sleep(REFRESH)
            self._mark(list(self._seats))

    async def _pump(self) -> None:
        limiter = CapacityLimiter(PARALLEL_READS)
        while True:
            await self._wake.wait()
            self._wake = anyio.Event()
            changed, self._changed = self._changed, set()
            async with anyio.create_task_group() as tasks:
                for job_id in changed:
                    tasks.start_soon(self._show, job_id, limiter)
            await anyio.sleep(TICK)

    async def _show(self, job_id: str, limiter: CapacityLimiter) -> None:
        async with limiter:
            try:
                message = await self._read(job_id)
            except QueueUnavailable:
                self._mark([job_id])
                await anyio.sleep(PAUSE)  # keeping its place, so that there are few reads in an outage
                return
            except Exception as error:  # noqa: BLE001 - trouble with one job must not end everybody's progress
                log.warning("progress cannot be read", extra={"job": job_id, "error": type(error).__name__})
                return
        seats = self._seats.get(job_id, set())
        if message is None or message.final:
            self._seats.pop(job_id, None)
        for seat in seats:
            seat.offer(message)
