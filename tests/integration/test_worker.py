"""A worker and a real Redis, in this process: what it runs, and when."""

import gc
from typing import Any

import anyio
import pytest

from evq import JobStatus, Queue, SyncContext, UsageError, Worker
from evq.broker import BULK
from evq.running import Running
from tests.integration.running import until, working

pytestmark = pytest.mark.anyio


async def test_async_and_plain_handlers_return_their_results(queue: Queue) -> None:
    @queue.task
    async def add(a: int, b: int = 1) -> int:
        return a + b

    @queue.task
    def join(ctx: SyncContext, words: list[str]) -> str:
        ctx.progress(50, step="join")
        return " ".join(words)

    async with working(queue, concurrency=2):
        total, text = await add.enqueue(a=2), await join.enqueue(words=["at", "last"])
        assert await total.result(5) == 3
        assert await text.result(5) == "at last"
    assert (await text.refresh()).status is JobStatus.COMPLETED
    assert text.progress is not None
    assert (text.progress.percentage, text.progress.current_step) == (50, "join")


async def test_a_task_is_still_a_function(queue: Queue) -> None:
    @queue.task
    def double(n: int) -> int:
        return 2 * n

    assert double(n=2) == 4


async def test_a_burst_runs_everything_and_ends(queue: Queue) -> None:
    @queue.task
    async def note(n: int) -> int:
        return n

    jobs = await queue.enqueue_many([note.job(n=n) for n in range(1200)])
    await Worker(queue, concurrency=50).run(burst=True)
    assert [await job.result(1) for job in jobs[::100]] == list(range(0, 1200, 100))
    assert (await queue.counts())["completed"] == 1200


async def test_a_burst_runs_also_what_its_jobs_enqueue(queue: Queue) -> None:
    @queue.task
    async def parent(depth: int) -> None:
        if depth:
            await parent.enqueue(depth=depth - 1)

    for concurrency in (1, 2, 3):
        await parent.enqueue(depth=20)
        await Worker(queue, concurrency=concurrency).run(burst=True)
        counts = await queue.counts()
        assert (counts["waiting"], counts["active"], counts["completed"]) == (0, 0, 21 * concurrency)


async def test_a_burst_looks_behind_what_it_cannot_run(queue: Queue) -> None:
    other = Queue(queue.name, redis=queue.url)

    @queue.task
    async def work() -> None: ...

    await other.enqueue_many([other.job("strange", {}), work.job()])
    await Worker(queue).run(burst=True)
    counts = await queue.counts()
    assert (counts["parked"], counts["completed"]) == (1, 1)
    await other.close()


async def test_a_burst_runs_children_that_their_parents_wait_for(queue: Queue) -> None:
    @queue.task
    async def child() -> str:
        return "grown"

    @queue.task
    async def parent() -> Any:
        return await (await child.enqueue()).result(5)

    job = await parent.enqueue()
    await Worker(queue, concurrency=2).run(burst=True)
    assert await job.result(1) == "grown"


async def test_more_jobs_than_one_script_settles_may_end_at_once(queue: Queue) -> None:
    running, all_run = 0, anyio.Event()

    @queue.task
    async def work() -> None:
        nonlocal running
        running += 1
        if running == BULK + 50:
            all_run.set()
        await all_run.wait()

    await queue.enqueue_many([work.job() for _ in range(BULK + 50)])
    await Worker(queue, concurrency=BULK + 50).run(burst=True)
    counts = await queue.counts()
    assert (counts["completed"], counts["active"]) == (BULK + 50, 0)


async def test_a_worker_keeps_nothing_of_jobs_that_have_ended(queue: Queue) -> None:
    @queue.task
    async def work() -> None: ...

    async with working(queue):
        for _ in range(10):
            await (await work.enqueue()).result(5)
        gc.collect()
        assert sum(isinstance(thing, Running) for thing in gc.get_objects()) <= 1


async def test_concurrency_is_a_limit(queue: Queue) -> None:
    running, most = 0, 0

    @queue.task
    async def count() -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await anyio.sleep(0.01)
        running -= 1

    await queue.enqueue_many([count.job() for _ in range(20)])
    await Worker(queue, concurrency=4).run(burst=True)
    assert most == 4


async def test_a_delayed_job_starts_on_time_though_the_worker_sleeps(queue: Queue) -> None:
    @queue.task
    async def work() -> None: ...

    async with working(queue):
        job = await work.using(delay=0.3).enqueue()
        await job.result(3)
        record = (await job.refresh()).record
        assert record.started_ms is not None
        assert record.due_ms is not None
        assert 0 <= record.started_ms - record.due_ms < 1000


async def test_a_delayed_job_does_not_wait_for_redis_to_end_the_sleep(queue: Queue) -> None:
    @queue.task
    async def work() -> None: ...

    await queue.broker.send([("CONFIG", "SET", "hz", 1)])  # so often does Redis look for pops that took too long
    try:
        async with working(queue):
            for _ in range(3):
                job = await work.using(delay=0.1).enqueue()
                await job.result(3)
                record = (await job.refresh()).record
                assert record.started_ms is not None
                assert record.due_ms is not None
                assert 0 <= record.started_ms - record.due_ms < 100
    finally:
        await queue.broker.send([("CONFIG", "SET", "hz", 10)])


async def test_a_worker_is_listed_while_it_runs(queue: Queue) -> None:
    @queue.task
    async def work() -> None: ...

    async with working(queue) as worker:
        await until(queue.workers)
        assert [info.id for info in await queue.workers()] == [worker.id]
    assert await queue.workers() == []


async def test_a_worker_without_tasks_or_without_room_is_refused(queue: Queue) -> None:
    with pytest.raises(UsageError, match="has no tasks"):
        Worker(queue)
    queue.task(name="x")(lambda: None)
    with pytest.raises(UsageError, match="concurrency=0: use a whole number from 1"):
        Worker(queue, concurrency=0)
