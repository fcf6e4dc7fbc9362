"""What a worker says to Redis: settled jobs go there and new ones come back, in one exchange, or two at a time."""

from collections.abc import Sequence
from typing import Any

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
