"""Workers that run beside a test."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from evq import Job, JobStatus, Queue, Worker, WorkerPool
from evq.job import ReservedJob


@asynccontextmanager
async def working(queue: Queue, **options: Any) -> AsyncIterator[Worker]:
    """Run a worker while the block runs, then stop it gracefully."""
    worker = Worker(queue, **options)
    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            group.start_soon(worker.run)
            try:
                yield worker
            finally:
                worker.stop()


@asynccontextmanager
async def worker_processes(
    queue: Queue, monkeypatch: pytest.MonkeyPatch, module: str, *, processes: int, concurrency: int
) -> AsyncIterator[None]:
    """Have processes at work on the tasks of *module*, which is beside this one, while the block runs."""
    monkeypatch.chdir(Path(__file__).parents[2])
    monkeypatch.setenv("EVQ_REDIS_URL", queue.url)
    monkeypatch.setenv("TEST_QUEUE", queue.name)
    target = f"tests.integration.{module}:queue"
    pool = WorkerPool(target, queue=queue, processes=processes, concurrency=concurrency, log_level="ERROR")

    async def at_work() -> bool:
        return len(await queue.workers()) == processes

    async with anyio.create_task_group() as group:
        await group.start(pool.run)
        await until(at_work)
        yield
        pool.stop()


async def reserve(queue: Queue, task: str, count: int = 1, *, lease_ms: int = 600_000) -> list[ReservedJob]:
    """Reserve jobs as a worker does, and leave them."""
    call = queue.broker.call("reserve", [(task, 0)], worker="w", count=count, lease_ms=lease_ms)
    _, reserved = await queue.broker.exchange([], call)
    assert reserved is not None
    return reserved.jobs


async def until(condition: Callable[[], Awaitable[object]], *, within: float = 10) -> None:
    """Return as soon as *condition* holds."""
    with anyio.fail_after(within):
        while not await condition():
            await anyio.sleep(0.01)


async def until_status(job: Job, status: JobStatus, *, within: float = 10) -> None:
    async def reached() -> bool:
        return (await job.refresh()).status is status

    await until(reached, within=within)
