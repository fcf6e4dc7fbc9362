"""How fast the queue is, beside the floor: the same payloads through a bare Redis list, which keeps no promise at all.

Everything runs in one process and one event loop, on a private Redis behind a socket that writes nothing to disk.
"""

import asyncio
import statistics
import time
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Final, Protocol, TypeVar

import orjson
from redis.asyncio import Redis

from benchmarks.measuring import Effort, Row, alternate, figures, rate
from evq import Queue, Worker
from evq.embedded import private_redis

SINGLE: Final = 1_000
"""Jobs enqueued one by one, and drained one at a time."""
BULK: Final = 10_000
"""Jobs enqueued together, and drained 64 at a time."""
SAMPLES: Final = 150
"""Latencies measured in a round."""
REST: Final = 0.01
"""Time in which an idle worker goes to sleep again, s."""
LIMIT: Final = 30.0
"""How long a subject may take in one round, s."""

PAYLOAD: Final = {"to": "guest@example.org", "ticket": "0123456789ABCDEFGHJKMNPQRS"}

Taken = TypeVar("Taken")
Work = Callable[["Subject"], Coroutine[Any, Any, Taken]]


class Subject(Protocol):
    """What is measured: rates in jobs/s, latencies in ms."""

    async def enqueue_each(self, count: int) -> float: ...
    async def enqueue_all(self, count: int) -> float: ...
    async def drain(self, count: int, concurrency: int) -> float: ...
    async def idle_latencies(self, samples: int) -> list[float]: ...


def measure(effort: Effort) -> list[Row]:
    with private_redis() as url, asyncio.Runner() as runner:
        queue, redis = Queue("benchmark", redis=url), Redis.from_url(url)
        subjects: dict[str, Subject] = {"evq": Evq(queue), "bare list": BareList(redis)}

        def side_by_side(work: Work[Taken]) -> dict[str, list[Taken]]:
            runs = {name: partial(_run, runner, redis, work, subject) for name, subject in subjects.items()}
            return alternate(runs, effort.rounds)

        def rates(case: str, work: Work[float]) -> list[Row]:
            return figures("queue", case, side_by_side(work), unit="jobs/s", better="higher")

        single, bulk, samples = effort.of(SINGLE), effort.of(BULK), effort.of(SAMPLES)
        rows = [
            *rates("enqueue singly", lambda it: it.enqueue_each(single)),
            *rates("enqueue in bulk", lambda it: it.enqueue_all(bulk)),
            *rates("drain 1 at a time", lambda it: it.drain(single, 1)),
            *rates("drain 64 at a time", lambda it: it.drain(bulk, 64)),
            *_percentiles(side_by_side(lambda it: it.idle_latencies(samples))),
        ]
        runner.run(queue.close())
        runner.run(redis.aclose())
    return rows


def _run(runner: asyncio.Runner, redis: Redis, work: Work[Taken], subject: Subject) -> Taken:
    """Let a subject work on an empty Redis; raise TimeoutError if it takes longer than LIMIT."""

    async def run() -> Taken:
        await redis.flushdb()
        async with asyncio.timeout(LIMIT):
            return await work(subject)

    return runner.run(run())


def _percentiles(latencies: dict[str, list[list[float]]]) -> list[Row]:
    rows = []
    for percent in (50, 99):
        taken = {
            name: [statistics.quantiles(sample, n=100, method="inclusive")[percent - 1] for sample in rounds]
            for name, rounds in latencies.items()
        }
        rows += figures("queue", f"idle latency p{percent}", taken, unit="ms", better="lower")
    return rows


class Evq:
    """The queue, with a worker in the same event loop."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self._noop = queue.task(_noop)
        self._note_start = queue.task(self._put_start)
        self._starts: asyncio.Queue[float] = asyncio.Queue()

    async def _put_start(self, to: str, ticket: str) -> None:  # noqa: ARG002 - the payload is what counts
        self._starts.put_nowait(time.perf_counter())

    async def enqueue_each(self, count: int) -> float:
        start = time.perf_counter()
        for _ in range(count):
            await self._noop.enqueue(**PAYLOAD)
        return rate(count, start)

    async def enqueue_all(self, count: int) -> float:
        start = time.perf_counter()
        await self._queue.enqueue_many([self._noop.job(**PAYLOAD) for _ in range(count)])
        return rate(count, start)

    async def drain(self, count: int, concurrency: int) -> float:
        """Run jobs of an empty handler in a burst: reserve, run, ack, and the worker's start and end."""
        await self.enqueue_all(count)
        start = time.perf_counter()
        await Worker(self._queue, concurrency=concurrency).run(burst=True)
        drained = rate(count, start)
        completed = (await self._queue.counts())["completed"]
        if completed != count:
            raise RuntimeError(f"drain: {completed} of {count} jobs were completed; the figures would be wrong.")
        return drained

    async def idle_latencies(self, samples: int) -> list[float]:
        """Measure from the call of enqueue to the handler's first line, while the worker sleeps in a blocking pop."""
        worker = Worker(self._queue)
        running = asyncio.create_task(worker.run())
        latencies = []
        for _ in range(samples):
            await asyncio.sleep(REST)
            start = time.perf_counter()
            await self._note_start.enqueue(**PAYLOAD)
            latencies.append(1_000 * (await self._starts.get() - start))
        worker.stop()
        await running
        return latencies


async def _noop(to: str, ticket: str) -> None:
    pass


class BareList:
    """LPUSH and RPOP through redis-py, as many in one round trip as evq has; what is popped is lost."""

    KEY: Final = "list"
    ELEMENT: Final = orjson.dumps(PAYLOAD)
    TOGETHER: Final = 500  # elements in one round trip of a bulk

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def enqueue_each(self, count: int) -> float:
        start = time.perf_counter()
        for _ in range(count):
            await self._redis.lpush(self.KEY, self.ELEMENT)
        return rate(count, start)

    async def enqueue_all(self, count: int) -> float:
        start = time.perf_counter()
        for first in range(0, count, self.TOGETHER):
            async with self._redis.pipeline(transaction=False) as pipeline:
                for _ in range(min(self.TOGETHER, count - first)):
                    pipeline.lpush(self.KEY, self.ELEMENT)
                await pipeline.execute()
        return rate(count, start)

    async def drain(self, count: int, concurrency: int) -> float:
        await self.enqueue_all(count)
        start = time.perf_counter()
        for first in range(0, count, concurrency):
            async with self._redis.pipeline(transaction=False) as pipeline:
                for _ in range(min(concurrency, count - first)):
                    pipeline.rpop(self.KEY)
                for element in await pipeline.execute():
                    orjson.loads(element)
        return rate(count, start)

    async def idle_latencies(self, samples: int) -> list[float]:
        """Measure from the call of LPUSH to the return of the BRPOP that waits for it."""
        latencies = []
        for _ in range(samples):
            popping = asyncio.create_task(self._pop())
            await asyncio.sleep(REST)
            start = time.perf_counter()
            await self._redis.lpush(self.KEY, self.ELEMENT)
            latencies.append(1_000 * (await popping - start))
        return latencies

    async def _pop(self) -> float:
        await self._redis.brpop([self.KEY], timeout=LIMIT)
        return time.perf_counter()
