"""Jobs that are enqueued one by one at the same time go to Redis together, and each caller is told of its own."""

import asyncio
from collections.abc import Sequence

import pytest
from anyio.lowlevel import checkpoint

from evq import Job, Queue, QueueFull, QueueUnavailable, Reply, Task
from evq.broker import BULK
from evq.job import NewJob

pytestmark = pytest.mark.anyio


async def _work(n: int, text: str = "") -> None:
    raise AssertionError("no worker runs here")


@pytest.fixture
def work(queue: Queue) -> Task:
    return queue.task(_work)


@pytest.fixture
async def calls(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many jobs each call of Redis had, which is as real as ever."""
    counts: list[int] = []
    enqueue = queue.broker.enqueue_together

    async def counted(jobs: Sequence[NewJob]) -> list[tuple[Reply, str]]:
        counts.append(len(jobs))
        return await enqueue(jobs)

    monkeypatch.setattr(queue.broker, "enqueue_together", counted)
    return counts


async def _waiting(queue: Queue) -> list[str]:
    return [job.id for job in await queue.jobs("waiting", count=2_000)]


async def test_a_thousand_at_once_are_a_few_calls_and_wait_in_their_order(
    queue: Queue, work: Task, calls: list[int]
) -> None:
    jobs = await asyncio.gather(*(work.enqueue(n=n) for n in range(1_000)))
    assert calls == [1, BULK, BULK, BULK, 249]
    assert await _waiting(queue) == [job.id for job in jobs]


async def test_one_alone_waits_for_no_other(work: Task, calls: list[int]) -> None:
    for n in range(3):
        await work.enqueue(n=n)
    assert calls == [1, 1, 1]


async def test_large_payloads_are_in_calls_of_a_bounded_size(queue: Queue, work: Task, calls: list[int]) -> None:
    jobs = await asyncio.gather(*(work.enqueue(n=n, text="x" * 100_000) for n in range(6)))
    assert calls == [1, 2, 2, 1]
    assert await _waiting(queue) == [job.id for job in jobs]


async def test_a_caller_that_is_cancelled_while_its_job_waits_enqueues_nothing(
    queue: Queue, work: Task, calls: list[int]
) -> None:
    tasks = [asyncio.create_task(work.enqueue(n=n)) for n in range(3)]
    await checkpoint()
    tasks[1].cancel()
    first, cancelled, last = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(cancelled, asyncio.CancelledError)
    assert isinstance(first, Job)
    assert isinstance(last, Job)
    assert await _waiting(queue) == [first.id, last.id]
    assert calls == [1, 1]


async def test_when_the_first_caller_is_cancelled_the_others_go_on(queue: Queue, work: Task) -> None:
    tasks = [asyncio.create_task(work.enqueue(n=n)) for n in range(3)]
    await checkpoint()
    tasks[0].cancel()
    _, *others = await asyncio.gather(*tasks, return_exceptions=True)
    waiting = await _waiting(queue)
    assert all(isinstance(job, Job) and job.id in waiting for job in others)


async def test_a_job_that_is_refused_for_its_dedup_key_takes_no_other_with_it(queue: Queue, work: Task) -> None:
    unique = work.using(dedup_key="one", dedup="reject")
    results = await asyncio.gather(
        unique.enqueue(n=0), *(work.enqueue(n=n) for n in (1, 2)), unique.enqueue(n=3), return_exceptions=True
    )
    assert sorted(type(result).__name__ for result in results) == ["DuplicateJob", "Job", "Job", "Job"]
    assert len(await _waiting(queue)) == 3


async def test_everybody_is_told_that_redis_cannot_be_reached() -> None:
    async with Queue("nowhere", redis="redis://127.0.0.1:1/0") as queue:
        work = queue.task(_work)
        results = await asyncio.gather(*(work.enqueue(n=n) for n in range(BULK + 50)), return_exceptions=True)
        assert {type(result) for result in results} == {QueueUnavailable}
        assert len(set(map(id, results))) == BULK + 50
        with pytest.raises(QueueUnavailable):
            await work.enqueue(n=0)


async def test_a_call_that_fails_fails_its_own_jobs_only(
    queue: Queue, work: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    enqueue = queue.broker.enqueue_together

    async def full_once(jobs: Sequence[NewJob]) -> list[tuple[Reply, str]]:
        if len(jobs) == BULK:
            raise QueueFull("no room")
        return await enqueue(jobs)

    monkeypatch.setattr(queue.broker, "enqueue_together", full_once)
    results = await asyncio.gather(*(work.enqueue(n=n) for n in range(BULK + 50)), return_exceptions=True)
    assert [type(result) for result in results] == [Job, *[QueueFull] * BULK, *[Job] * 49]
    assert len(await _waiting(queue)) == 50
