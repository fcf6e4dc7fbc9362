"""The lease of a job while its handler runs: kept as long as it does, and what follows if it is lost."""

import asyncio
import time

import anyio
import pytest

from evq import Context, JobFailed, LeaseLost, Queue, Reply, RetryPolicy
from tests.integration.running import until, working

pytestmark = pytest.mark.anyio


async def test_a_handler_that_tidies_up_after_its_timeout_keeps_its_lease_meanwhile(brief: Queue) -> None:
    runs = []

    @brief.task(timeout=0.1, retry=RetryPolicy(attempts=1))
    async def slow(ctx: Context) -> None:
        runs.append(ctx.fence)
        try:
            await anyio.sleep(60)
        finally:
            await anyio.sleep(2)

    async with working(brief, concurrency=2):
        with pytest.raises(JobFailed) as failed:
            await (await slow.enqueue()).result(10)
    assert failed.value.type == "AttemptTimeout"
    assert len(runs) == 1


async def test_a_handler_that_blocks_the_event_loop_keeps_its_lease(brief: Queue) -> None:
    runs = []

    @brief.task
    async def rude(ctx: Context) -> int:
        runs.append(ctx.fence)
        time.sleep(2.5)  # noqa: ASYNC251 - rude, as we said
        return len(runs)

    other = Queue(brief.name, redis=brief.url, lease=1)
    other.tasks.update(brief.tasks)
    async with working(brief), anyio.create_task_group() as group:
        group.start_soon(anyio.to_thread.run_sync, lambda: asyncio.run(_work_for(other, 4.0)))
        await until(lambda: _has_workers(brief, 2))
        assert await (await rude.enqueue()).result(10) == 1
    assert len(runs) == 1


async def _has_workers(queue: Queue, count: int) -> bool:
    return len(await queue.workers()) == count


async def _work_for(queue: Queue, seconds: float) -> None:
    async with queue, working(queue):
        await anyio.sleep(seconds)


async def test_a_lost_lease_interrupts_the_handler_and_its_result_is_dropped(brief: Queue) -> None:
    seen: list[str] = []
    values = iter(["first", "second"])

    @brief.task
    async def work(ctx: Context) -> str:
        value = next(values)
        if value == "first":
            await steal(brief, ctx)
            try:
                await anyio.sleep(10)
            except asyncio.CancelledError:
                seen.append(type(ctx.interruption).__name__)
        return value

    async with working(brief):
        assert await (await work.enqueue()).result(5) == "second"
    assert seen == ["LeaseLost"]


async def test_what_the_heart_says_of_an_earlier_lease_concerns_no_later_one(queue: Queue) -> None:
    @queue.task
    async def work(ctx: Context) -> None:
        runs.append(ctx.fence)
        worker._on_word(ctx.job_id, ctx.fence - 1, Reply.STALE)
        await anyio.sleep(0.01)

    runs: list[int] = []
    async with working(queue) as worker:
        await (await work.enqueue()).result(5)
    assert len(runs) == 1


async def test_progress_after_a_lost_lease_raises(brief: Queue) -> None:
    seen = []
    fences = []

    @brief.task
    async def work(ctx: Context) -> int:
        fences.append(ctx.fence)
        if len(fences) == 1:
            await steal(brief, ctx)
            with pytest.raises(LeaseLost):
                await ctx.progress(50)
            seen.append("lost")
            await ctx.progress(60)
        return ctx.fence

    async with working(brief):
        newest = await (await work.enqueue()).result(5)
    first, second = fences
    assert seen == ["lost"]
    assert first < second == newest


async def steal(queue: Queue, ctx: Context) -> None:
    """Let the lease of a job run out, as if its worker had been cut off while another one lives."""
    keys = queue.broker.keys
    await queue.broker.send([("ZADD", keys["workers"], "inf", "another"), ("ZADD", keys["active"], 1, ctx.job_id)])
    await queue.broker.maintain(10)
