"""Hooks of ended and of retried jobs: at least once, whatever crashes."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise

import anyio
import pytest

from evq import Job, JobStatus, Queue, Reply, RetryPolicy, Task, TemporaryError, ValidationError, Worker
from evq.embedded import private_redis
from evq.hooks import CONCURRENCY, Hooks
from tests.integration.running import reserve, until, working

pytestmark = pytest.mark.anyio


class Told:
    """Notes what the hooks were told."""

    def __init__(self) -> None:
        self.ends: list[tuple[str, JobStatus]] = []

    async def __call__(self, job: Job) -> None:
        self.ends.append((job.id, job.status))

    async def anything(self) -> bool:
        return bool(self.ends)


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def work(queue: Queue, told: Told) -> Task:
    @queue.task
    async def work(*, ok: bool) -> str:
        if not ok:
            raise ValidationError("as told")
        return "done"

    work.on_completed(told)
    work.on_failed(told)
    work.on_cancelled(told)
    return work


async def test_each_end_has_its_hook(queue: Queue, work: Task, told: Told) -> None:
    good, bad, unwanted = await work.enqueue(ok=True), await work.enqueue(ok=False), await work.enqueue(ok=True)
    await unwanted.cancel()
    await Worker(queue).run(burst=True)
    assert sorted(told.ends) == sorted(
        [(good.id, JobStatus.COMPLETED), (bad.id, JobStatus.FAILED), (unwanted.id, JobStatus.CANCELLED)]
    )


async def test_hooks_run_at_once_in_a_running_worker(work: Task, told: Told, queue: Queue) -> None:
    async with working(queue):
        await work.enqueue(ok=True)
        await until(told.anything, within=3)


async def test_the_hook_of_a_job_whose_worker_died_after_the_ack_runs_elsewhere(
    queue: Queue, work: Task, told: Told
) -> None:
    await work.enqueue(ok=True)
    (job,) = await reserve(queue, "work")
    assert await queue.broker.words("ack", [(job.id, job.fence, b"1")]) == [Reply.OK]
    await Worker(queue).run(burst=True)
    assert told.ends == [(job.id, JobStatus.COMPLETED)]


async def test_a_job_that_was_replayed_before_its_hook_ran_has_none_and_is_kept(
    queue: Queue, work: Task, told: Told
) -> None:
    job = await work.enqueue(ok=True)
    await job.cancel()
    (member,) = await queue.broker.run("reserve_ended", [("work cancelled",)], count=1, lease_ms=1000)
    await queue.replay(job.id)
    await Hooks(queue)._run_hook(member.decode())
    assert told.ends == []
    assert (await job.refresh()).status is JobStatus.PENDING


async def known_hooks(queue: Queue) -> list[bytes]:
    (hooks,) = await queue.broker.send([("SMEMBERS", queue.broker.keys["hooked_tasks"])])
    return list(hooks)


async def test_a_worker_makes_its_hooks_known_for_jobs_of_programs_without_them(
    queue: Queue, work: Task, told: Told
) -> None:
    async with Queue(queue.name, redis=queue.url) as producer, working(queue):
        await until(lambda: known_hooks(queue))
        (job,) = await producer.enqueue_many([producer.job("work", {"ok": True})])
        await until(told.anything)
    assert told.ends == [(job.id, JobStatus.COMPLETED)]


async def test_hooks_that_a_full_redis_does_not_take_are_made_known_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evq.hooks.PERIOD", 0.02)
    with private_redis() as url:
        async with Queue("full", redis=url) as queue:

            @queue.task
            async def work() -> None: ...

            @work.on_completed
            async def hook(job: Job) -> None: ...

            await queue.broker.send([("CONFIG", "SET", "maxmemory", 1)])
            async with telling(queue):
                await anyio.sleep(0.1)
                assert not await known_hooks(queue)
                await queue.broker.send([("CONFIG", "SET", "maxmemory", 0)])
                await until(lambda: known_hooks(queue))


async def test_all_hooks_are_drained_however_many_there_are(queue: Queue, told: Told) -> None:
    @queue.task
    async def work() -> None: ...

    work.on_cancelled(told)
    ids = await end_jobs(queue, work, 3 * CONCURRENCY)
    await Hooks(queue).drain()
    assert sorted(job_id for job_id, _ in told.ends) == sorted(ids)


async def test_a_hook_may_take_longer_than_a_short_lease(queue: Queue, told: Told) -> None:
    queue.lease_ms = 50

    @queue.task
    async def work() -> None: ...

    @work.on_cancelled
    async def hook(job: Job) -> None:
        await anyio.sleep(0.2)
        await told(job)

    (job_id,) = await end_jobs(queue, work)
    with anyio.fail_after(3):
        await Hooks(queue).drain()
    assert told.ends == [(job_id, JobStatus.CANCELLED)]


async def test_hooks_know_the_result(queue: Queue) -> None:
    results = []

    @queue.task
    async def add(a: int, b: int) -> int:
        return a + b

    @add.on_completed
    async def note(job: Job) -> None:
        results.append((job.payload, job.record.result))

    await add.enqueue(a=1, b=2)
    await Worker(queue).run(burst=True)
    assert results == [({"a": 1, "b": 2}, 3)]


async def test_each_retry_has_its_hook_and_the_last_failure_the_other(queue: Queue, told: Told) -> None:
    @queue.task(retry=RetryPolicy(attempts=3, delay=0))
    async def work() -> None:
        raise TemporaryError

    @work.on_retried
    async def note(job: Job) -> None:
        retried.append(job.id)

    retried: list[str] = []
    work.on_failed(told)
    async with working(queue):
        job = await work.enqueue()
        await until(told.anything)
    assert retried == [job.id, job.id]
    assert told.ends == [(job.id, JobStatus.FAILED)]


async def test_a_task_without_a_hook_for_retries_is_told_of_none(queue: Queue, told: Told) -> None:
    errors = iter([TemporaryError(), None])

    @queue.task(retry=RetryPolicy(delay=0))
    async def work() -> None:
        if error := next(errors):
            raise error

    work.on_completed(told)
    job = await work.enqueue()
    async with working(queue):
        await until(told.anything)
    assert told.ends == [(job.id, JobStatus.COMPLETED)]


# Hooks that go wrong


@pytest.fixture
def short_lease(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> float:
    """Give hooks little time; return how much, s."""
    monkeypatch.setattr("evq.hooks.SHORTEST_LEASE_MS", 50)
    monkeypatch.setattr("evq.hooks.PERIOD", 0.02)
    monkeypatch.setattr(queue, "lease_ms", 50)
    return 0.05


@asynccontextmanager
async def telling(queue: Queue) -> AsyncIterator[None]:
    """Run the hooks of a queue as its workers do, which would need a longer lease."""
    hooks = Hooks(queue)
    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            group.start_soon(hooks.run)
            try:
                yield
            finally:
                hooks.stop()


async def end_jobs(queue: Queue, task: Task, count: int = 1) -> list[str]:
    """Let some jobs end, and leave their hooks to others."""
    jobs = [await task.using(delay=60).enqueue() for _ in range(count)]
    for job in jobs:
        await job.cancel()
    return [job.id for job in jobs]


@pytest.mark.parametrize("error", [RuntimeError, SystemExit, TimeoutError])
async def test_a_hook_that_fails_is_run_again_after_growing_pauses(
    queue: Queue, told: Told, short_lease: float, error: type[BaseException]
) -> None:
    runs: list[float] = []

    @queue.task
    async def work() -> None: ...

    @work.on_cancelled
    async def hook(job: Job) -> None:
        runs.append(time.monotonic())
        if len(runs) < 4:
            raise error
        await told(job)

    (job_id,) = await end_jobs(queue, work)
    async with telling(queue):
        await until(told.anything)
    assert told.ends == [(job_id, JobStatus.CANCELLED)]
    pauses = [after - before for before, after in pairwise(runs)]
    assert all(pause > short_lease * 2**n * 0.9 for n, pause in enumerate(pauses))


async def test_a_hook_that_hangs_is_ended_and_run_again(queue: Queue, told: Told, short_lease: float) -> None:
    waits = iter([60.0, 0.0])

    @queue.task
    async def work() -> None: ...

    @work.on_cancelled
    async def hook(job: Job) -> None:
        await anyio.sleep(next(waits))
        await told(job)

    (job_id,) = await end_jobs(queue, work)
    async with telling(queue):
        await until(told.anything)
    assert told.ends == [(job_id, JobStatus.CANCELLED)]


async def test_a_hook_that_hangs_holds_up_no_other(queue: Queue, told: Told) -> None:
    @queue.task
    async def work() -> None: ...

    ids: list[str] = []
    others_told = anyio.Event()

    @work.on_cancelled
    async def hook(job: Job) -> None:
        if job.id == ids[0]:
            await others_told.wait()
        await told(job)
        if len(told.ends) == len(ids) - 1:
            others_told.set()

    ids += await end_jobs(queue, work, 3 * CONCURRENCY)
    async with telling(queue):
        await others_told.wait()
    assert sorted(job_id for job_id, _ in told.ends) == sorted(ids)


async def test_what_a_hook_says_when_it_fails_stays_out_of_the_log(
    queue: Queue, short_lease: float, caplog: pytest.LogCaptureFixture
) -> None:
    @queue.task
    async def work() -> None: ...

    person = "ann@example.org"

    @work.on_cancelled
    async def hook(job: Job) -> None:
        raise ValueError(f"{person} is no good")

    async def logged() -> bool:
        return "a hook failed and will be run again: ValueError" in caplog.text

    await end_jobs(queue, work)
    async with telling(queue):
        await until(logged)
    assert "test_hooks.py" in caplog.text
    assert person not in caplog.text


async def test_a_stopping_worker_finishes_the_hooks_that_it_runs(queue: Queue, told: Told) -> None:
    begun = anyio.Event()

    @queue.task
    async def work() -> None: ...

    @work.on_completed
    async def hook(job: Job) -> None:
        begun.set()
        await anyio.sleep(0.1)
        await told(job)

    async with working(queue):
        await work.enqueue()
        await begun.wait()
    assert len(told.ends) == 1
