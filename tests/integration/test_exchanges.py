"""What a worker says to Redis: settled jobs go there and new ones come back, in one exchange, or two at a time."""

from collections.abc import Sequence
from typing import Any

import anyio
import pytest

from evq import Queue, Worker
from evq.broker import PORTION, Call, Reserved

pytestmark = pytest.mark.anyio

JOBS = 10 * PORTION


async def most_exchanges_at_once(queue: Queue, monkeypatch: pytest.MonkeyPatch, concurrency: int) -> int:
    """Let a worker run jobs; return how many of its exchanges were under way at once."""

    @queue.task
    async def work() -> None: ...

    most, under_way, exchange = 0, 0, queue.broker.exchange

    async def count(settle: Sequence[Call], reserve: Call | None) -> tuple[Any, Reserved | None]:
        nonlocal most, under_way
        under_way += 1
        most = max(most, under_way)
        try:
            return await exchange(settle, reserve)
        finally:
            under_way -= 1

    monkeypatch.setattr(queue.broker, "exchange", count)
    await queue.enqueue_many([work.job() for _ in range(JOBS)])
    await Worker(queue, concurrency=concurrency).run(burst=True)
    assert (await queue.counts())["completed"] == JOBS
    return most


async def test_an_exchange_that_is_full_goes_ahead_though_another_is_under_way(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await most_exchanges_at_once(queue, monkeypatch, concurrency=2 * PORTION) == 2


async def test_an_exchange_of_few_jobs_waits_for_the_one_before_so_that_more_go_together(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await most_exchanges_at_once(queue, monkeypatch, concurrency=PORTION // 2) == 1


async def test_a_burst_that_has_settled_without_room_for_more_looks_once_more(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A child comes behind both looks that are under way, and its parent is settled while the worker sleeps."""
    looked, settled, other = anyio.Event(), anyio.Event(), Queue(queue.name, redis=queue.url)

    @queue.task
    async def child() -> None: ...

    @queue.task
    async def parent() -> None:
        await looked.wait()
        await other.enqueue_many([child.job()])

    exchange = queue.broker.exchange

    async def reply_late(settle: Sequence[Call], reserve: Call | None) -> tuple[Any, Reserved | None]:
        replies = await exchange(settle, reserve)
        if settle and reserve:
            await settled.wait()
            await anyio.sleep(0.05)  # until the worker is awake
        elif settle:
            settled.set()
            await anyio.sleep(0.1)
        return replies

    async def wake_late(worker: str, wait_ms: int, reserve: Call) -> Reserved | None:
        _, reserved = await exchange([], reserve)
        looked.set()
        await settled.wait()
        return reserved

    monkeypatch.setattr("evq.worker.PORTION", 1)
    monkeypatch.setattr(queue.broker, "exchange", reply_late)
    monkeypatch.setattr(queue.broker, "sleep", wake_late)
    await queue.enqueue_many([child.job(), parent.job()])
    await Worker(queue, concurrency=3).run(burst=True)
    counts = await queue.counts()
    assert (counts["waiting"], counts["completed"]) == (0, 3)
    await other.close()
