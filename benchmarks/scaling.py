"""How draining grows with workers and with servers, and what a job costs either side in CPU time.

A machine with fewer cores than processes lets them wait for each other, so the rate says little there. What a job takes
of Redis's core and of the workers' says where the limit is: Redis has one thread, so it is full when its time is.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, process_time
from typing import Final, Literal, NamedTuple

import psutil
from redis import Redis

from benchmarks.environments import command
from benchmarks.measuring import Effort, Row, alternate, figures
from benchmarks.peers.protocol import PAYLOAD, TOGETHER, run
from benchmarks.programs import Program
from benchmarks.queue import EVQ, Figures
from benchmarks.redis_server import newest_server
from evq import Queue
from evq.embedded import private_redis

JOBS: Final = 40_000
"""Jobs drained, by all workers together."""
LEAST: Final = 5_000
"""Fewer jobs would be drained in less CPU time than is counted, which is in steps of 10 ms."""
SINGLE: Final = 2_000
"""Jobs enqueued one after another."""
LIMIT: Final = 60.0
"""How long the workers may take to start, or to drain, s."""
SECONDS: Final = 40.0
"""When so much has been measured no further round begins, s."""

DRAINS: Final = {
    "2 Redis, 4 workers": ([0, 1], 4),
    "2 Redis, 2 workers": ([0, 1], 2),
    "AOF, 1 worker": ([2], 1),
    "4 workers": ([0], 4),
    "3 workers": ([0], 3),
    "2 workers": ([0], 2),
    "1 worker": ([0], 1),
}
"""Which servers, of which the last writes to disk, and how many worker processes in all."""
CASES: Final[dict[str, tuple[str, Literal["higher", "lower"]]]] = {
    "drain": ("jobs/s", "higher"),
    "drain-redis-cpu": ("µs/job", "lower"),
    "drain-worker-cpu": ("µs/job", "lower"),
    "drain-network": ("bytes/job", "lower"),
    "enqueue-redis-cpu": ("µs/job", "lower"),
    "enqueue-producer-cpu": ("µs/job", "lower"),
    "enqueue-network": ("bytes/job", "lower"),
}


def measure(effort: Effort) -> list[Row]:
    with ExitStack() as stack:
        data = [None, None, Path(stack.enter_context(TemporaryDirectory()))]
        urls = [stack.enter_context(private_redis(where, server=newest_server())) for where in data]
        jobs = max(LEAST, effort.of(JOBS))
        drains = {
            name: partial(_measured, partial(_drain, [urls[i] for i in servers], workers, jobs))
            for name, (servers, workers) in DRAINS.items()
        }
        enqueues = {
            "AOF, 1,000 together": partial(_measured, partial(_enqueue, urls[2], jobs, TOGETHER)),
            "1,000 together": partial(_measured, partial(_enqueue, urls[0], jobs, TOGETHER)),
            "one by one": partial(_measured, partial(_enqueue, urls[0], effort.of(SINGLE), 1)),
        }
        taken = alternate(enqueues, effort.rounds) | alternate(drains, effort.rounds, warm_up=False, seconds=SECONDS)
    return [row for case in CASES for row in _rows(case, taken)]


def _rows(case: str, taken: dict[str, list[Figures]]) -> list[Row]:
    unit, better = CASES[case]
    values = {name: [of[case] for of in rounds] for name, rounds in taken.items() if case in rounds[0]}
    return figures("scaling", case, values, unit=unit, better=better)


def _measured(measurement: Callable[[], Awaitable[Figures]]) -> Figures:
    taken: Figures = {}

    async def take() -> None:
        taken.update(await measurement())

    run(take())
    return taken


async def _enqueue(url: str, count: int, together: int) -> Figures:
    async with Queue("benchmark", redis=url) as queue:
        servers = [Redis.from_url(url)]
        servers[0].flushdb()
        before, spent = _used(servers), process_time()
        await _load(queue, count, together)
        spent, after = process_time() - spent, _used(servers)
    return {
        "enqueue-redis-cpu": 1e6 * (after.cpu - before.cpu) / count,
        "enqueue-producer-cpu": 1e6 * spent / count,
        "enqueue-network": (after.network - before.network) / count,
    }


async def _load(queue: Queue, count: int, together: int) -> None:
    for done in range(0, count, together):
        jobs = [queue.job("noop", PAYLOAD) for _ in range(min(together, count - done))]
        await queue.enqueue_many(jobs)


async def _drain(urls: Sequence[str], workers: int, count: int) -> Figures:
    """Drain a queue on each server, all at the same time."""
    share = count // len(urls)
    with ExitStack() as stack:
        servers = [Redis.from_url(url) for url in urls]
        queues = [Queue("benchmark", redis=url) for url in urls]
        for redis, queue in zip(servers, queues, strict=True):
            redis.flushdb()
            await queue.pause()
            await _load(queue, share, TOGETHER)
        arguments, folder = command(EVQ.program)
        for number in range(workers):
            url = urls[number % len(urls)]
            stack.enter_context(Program([*arguments, "work", url, str(EVQ.best)], folder, {}))
        pids = await _started(queues, workers)
        before, spent = _used(servers), _worker_cpu(pids)
        start = perf_counter()
        for queue in queues:
            await queue.resume()
        for queue in queues:
            await _until(partial(_drained, queue, share))
        seconds = perf_counter() - start
        spent, after = _worker_cpu(pids) - spent, _used(servers)
        for queue in queues:
            await queue.close()
    drained = share * len(urls)
    return {
        "drain": drained / seconds,
        "drain-redis-cpu": 1e6 * (after.cpu - before.cpu) / drained,
        "drain-worker-cpu": 1e6 * spent / drained,
        "drain-network": (after.network - before.network) / drained,
    }


async def _started(queues: Sequence[Queue], workers: int) -> list[int]:
    """Wait until all workers are there; return their processes."""
    pids: list[int] = []

    async def there() -> bool:
        pids[:] = [worker.pid for queue in queues for worker in await queue.workers()]
        return len(pids) == workers

    await _until(there)
    return pids


async def _drained(queue: Queue, count: int) -> bool:
    return (await queue.counts())["completed"] == count


async def _until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(LIMIT):
        while not await condition():  # noqa: ASYNC110 - nobody is told of either
            await asyncio.sleep(0.01)


class _Used(NamedTuple):
    """What servers have taken so far."""

    cpu: float
    """s."""
    network: float
    """Bytes in and out."""


def _used(servers: Sequence[Redis]) -> _Used:
    infos = [server.info("all") for server in servers]
    return _Used(
        cpu=sum(info["used_cpu_user"] + info["used_cpu_sys"] for info in infos),
        network=sum(info["total_net_input_bytes"] + info["total_net_output_bytes"] for info in infos),
    )


def _worker_cpu(pids: Sequence[int]) -> float:
    """Return the CPU time that workers and their hearts have taken so far, s."""
    workers = [psutil.Process(pid) for pid in pids]
    times = [process.cpu_times() for worker in workers for process in (worker, *worker.children())]
    return float(sum(each.user + each.system for each in times))
