"""A worker that runs for long does not grow."""

import pytest

from evq import Queue
from tests.integration.running import until, worker_processes

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

JOBS = 500_000
PORTION = 50_000
CONCURRENCY = 256
GROWN, OBJECTS = 1 << 20, 500
"""How many more bytes and objects than after the second portion count as growth."""


async def test_a_worker_has_no_more_memory_and_no_more_objects_after_half_a_million_jobs(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = []
    async with worker_processes(queue, monkeypatch, "soak_jobs", processes=1, concurrency=CONCURRENCY):

        async def drained() -> bool:
            counts = await queue.counts()
            return counts["completed"] == counts["enqueued"]

        for start in range(0, JOBS, PORTION):
            await queue.enqueue_many([queue.job("work", {"n": n}) for n in range(start, start + PORTION)])
            await until(drained, within=60)
            weights.append(await (await queue.enqueue(queue.job("weigh", {}))).result(10))
            print(f"{start + PORTION:,} jobs: %d bytes, %d objects, heart %d bytes" % tuple(weights[-1]))
    settled, (rss, objects, heart) = weights[1], weights[-1]
    assert rss - settled[0] < GROWN
    assert objects - settled[1] < OBJECTS
    assert heart - settled[2] < GROWN
