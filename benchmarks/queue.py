"""How fast the queue is, beside the floor: the same payloads through a bare Redis list, which keeps no promise at all.

Everything runs in one process and one event loop, on a private Redis behind a socket that writes nothing to disk.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, Protocol, TypeVar

import orjson
from redis.asyncio import Redis

from benchmarks.measuring import Effort, Row, alternate, figures
from evq import Queue, Worker
from evq.embedded import private_redis

SINGLE: Final = 1_000
"""Jobs enqueued one by one, and drained one at a time."""
BULK: Final = 10_000
"""Jobs enqueued together, and drained 64 at a time."""
SAMPLES: Final = 150
"""Latencies measured in a round."""
BATCH: Final = 500
"""Elements that the floor pushes in one round trip, as evq does."""
REST: Final = 0.01
"""Time in which an idle worker goes to sleep again, s."""
LIMIT: Final = 30.0
"""How long a subject may take in one round, s."""

PAYLOAD: Final = {"to": "guest@example.org", "ticket": "0123456789ABCDEFGHJKMNPQRS"}

Taken = TypeVar("Taken")


class Subject(Protocol):
    """What is measured: rates are in jobs/s, latencies in ms."""

    async def enqueue_each(self, count: int) -> float: ...
    async def enqueue_all(self, count: int) -> float: ...
    async def drain(self, count: int, concurrency: int) -> float: ...
    async def idle_latencies(self, samples: int) -> list[float]: ...
    async def close(self) -> None: ...


def measure(effort: Effort) -> list[Row]:
    single, bulk, samples = effort.of(SINGLE), effort.of(BULK), effort.of(SAMPLES)
    with private_redis() as url, asyncio.Runner() as runner:
        subjects: dict[str, Subject] = {"evq": Evq(url), "bare list": BareList(url)}

        def side_by_side(work: Callable[[Subject], Coroutine[Any, Any, Taken]]) -> dict[str, list[Taken]]:
            def run(subject: Subject) -> Taken:
                return runner.run(asyncio.wait_for(work(subject), LIMIT))

            return alternate({name: partial(run, subject) for name, subject in subjects.items()}, effort.rounds)

        def rates(case: str, work: Callable[[Subject], Coroutine[Any, Any, float]]) -> list[Row]:
            return figures("queue", case, side_by_side(work), unit="jobs/s", better="higher")

        rows = [
            *rates("enqueue one by one", lambda it: it.enqueue_each(single)),
            *rates("enqueue in bulk", lambda it: it.enqueue_all(bulk)),
            *rates("drain, concurrency 1", lambda it: it.drain(single, 1)),
            *rates("drain, concurrency 64", lambda it: it.drain(bulk, 64)),
        ]
        latencies = side_by_side(lambda it: it.idle_latencies(samples))
        for percent in (50, 99):
            taken = {name: [_percentile(it, percent) for it in rounds] for name, rounds in latencies.items()}
            rows += figures("queue", f"idle latency, p{percent}", taken, unit="ms", better="lower")
        for subject in subjects.values():
            runner.run(subject.close())
    return rows


class Evq:
    """The queue with one task that does nothing, and its worker."""

    def __init__(self, url: str) -> None:
        self._queue = Queue("benchmark", redis=url)
        self._task = self._queue.task(self._note)
        self._started: asyncio.Queue[float] = asyncio.Queue()

    async def _note(self, to: str, ticket: str) -> None:
        self._started.put_nowait(time.perf_counter())

    async def close(self) -> None:
        await self._queue.close()

    async def enqueue_each(self, count: int) -> float:
        start = time.perf_counter()
        for _ in range(count):
            await self._task.enqueue(**PAYLOAD)
        return count / (time.perf_counter() - start)

    async def enqueue_all(self, count: int) -> float:
        jobs = [self._task.job(**PAYLOAD) for _ in range(count)]
        ...
