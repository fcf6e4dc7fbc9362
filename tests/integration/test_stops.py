"""Workers that stop: what runs may end, or is handed back."""

import asyncio
import threading
import time

import anyio
import pytest

from evq import JobStatus, Queue, Worker, blocking
from evq.lifecycle import State
from tests.integration.running import until, until_status, working

pytestmark = pytest.mark.anyio


async def test_a_graceful_stop_lets_running_jobs_end_and_takes_no_others(queue: Queue) -> None:
    started = anyio.Event()

    @queue.task
    async def work(n: int) -> int:
        started.set()
        await anyio.sleep(0.1)
        return n

    async with working(queue, concurrency=2) as worker:
        job = await work.enqueue(n=1)
        await started.wait()
        worker.stop()
        late = await work.enqueue(n=2)
    assert await job.result(1) == 1
    assert (await late.refresh()).record.state is State.WAITING


async def test_a_stop_hands_jobs_back_after_the_grace_time_without_counting_an_attempt(queue: Queue) -> None:
    @queue.task
    async def endless() -> None:
        await anyio.sleep(60)

    async with working(queue, concurrency=2, grace=0.05):
        jobs = [await endless.enqueue() for _ in range(2)]
        for job in jobs:
            await until_status(job, JobStatus.PROCESSING)
    for job in jobs:
        record = (await job.refresh()).record
        assert (record.state, record.failures, record.crashes) == (State.WAITING, 0, 0)
    assert await queue.workers() == []


async def test_a_cancelled_worker_hands_its_jobs_back(queue: Queue) -> None:
    begun = anyio.Event()

    @queue.task
    async def endless() -> None:
        begun.set()
        await anyio.sleep(60)

    async with anyio.create_task_group() as group:
        group.start_soon(Worker(queue).run)
        job = await endless.enqueue()
        await begun.wait()
        group.cancel_scope.cancel()
    assert (await job.refresh()).record.state is State.WAITING


async def test_a_cancelled_worker_hands_back_what_is_on_its_way_to_it(queue: Queue) -> None:
    @queue.task
    async def nap() -> None: ...

    async with anyio.create_task_group() as group:
        group.start_soon(Worker(queue).run)
        await until(queue.workers)
        thread = threading.Thread(target=blocking(_enqueue_elsewhere), args=(queue,))
        thread.start()
        thread.join()
        time.sleep(0.1)  # noqa: ASYNC251 - the job comes, and this loop has not looked yet
        group.cancel_scope.cancel()
    counts = await queue.counts()
    assert (counts["active"], counts["waiting"]) == (0, 1)


async def _enqueue_elsewhere(queue: Queue) -> None:
    async with queue:
        await queue.enqueue_many([queue.job("nap", {})])


async def test_a_worker_ends_even_if_a_handler_will_not(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evq.worker.PATIENCE", 0.05)
    release = anyio.Event()

    @queue.task
    async def immortal() -> None:
        while not release.is_set():
            try:
                await anyio.sleep(0.2)
            except asyncio.CancelledError:
                continue

    async with working(queue, grace=0.01):
        job = await immortal.enqueue()
        await until_status(job, JobStatus.PROCESSING)
    assert (await job.refresh()).record.state is State.WAITING  # handed back all the same
    release.set()


async def test_a_worker_can_be_stopped_before_it_runs(queue: Queue) -> None:
    @queue.task
    async def work() -> None: ...

    worker = Worker(queue)
    worker.stop()
    with anyio.fail_after(5):
        await worker.run()


async def test_a_job_that_a_stopping_worker_still_gets_is_handed_back(queue: Queue) -> None:
    @queue.task
    async def work() -> None: ...

    await queue.pause()
    async with working(queue) as worker:
        job = await work.enqueue()

        async def sleeps() -> bool:
            (tokens,) = await queue.broker.send([("LLEN", queue.broker.keys["wake"])])
            return worker._sleeper is not None and tokens == 0

        await until(sleeps)
        await queue.broker.send([("DEL", queue.broker.keys["limits"])])  # a resume of which nobody is told
    record = (await job.refresh()).record
    assert (record.state, record.failures) == (State.WAITING, 0)
    assert record.fence > 0


async def test_an_idle_worker_is_roused_to_stop(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evq.worker.SLEEP_MS", 60_000)

    @queue.task
    async def work() -> None: ...

    with anyio.fail_after(10):
        async with working(queue) as worker:

            async def sleeps() -> bool:
                return worker._sleeper is not None

            await until(sleeps)
