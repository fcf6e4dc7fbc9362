"""Hooks of ended jobs: at least once, whatever crashes."""

import anyio
import pytest

from evq import Job, JobStatus, Queue, Task, ValidationError, Worker
from tests.integration.running import until, working

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
    broker, keep = queue.broker, queue.keep_ms
    _, reserved = await broker.exchange([], broker.reserve_call("w", 1, 1000, keep, ["work"]))
    assert reserved is not None
    (job,) = reserved.jobs
    await broker.exchange([broker.ack_call(keep, [(job.id, job.fence, b"1")])], None)
    await Worker(queue).run(burst=True)
    assert told.ends == [(job.id, JobStatus.COMPLETED)]


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


async def test_a_hook_that_fails_is_run_again_and_harms_nobody(
    queue: Queue, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evq.hooks.SHORTEST_LEASE_MS", 50)
    queue.lease_ms = 1000
    monkeypatch.setattr("evq.hooks.PERIOD", 0.02)
    errors = iter([RuntimeError("once"), None])

    @queue.task
    async def work() -> None: ...

    @work.on_completed
    async def hook(job: Job) -> None:
        if error := next(errors):
            raise error
        await told(job)

    async with working(queue):
        job = await work.enqueue()
        await until(told.anything)
    assert told.ends == [(job.id, JobStatus.COMPLETED)]


async def test_a_hook_that_hangs_is_ended_and_run_again(
    queue: Queue, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evq.hooks.SHORTEST_LEASE_MS", 50)
    queue.lease_ms = 1000
    monkeypatch.setattr("evq.hooks.PERIOD", 0.02)
    waits = iter([60.0, 0.0])

    @queue.task
    async def work() -> None: ...

    @work.on_completed
    async def hook(job: Job) -> None:
        await anyio.sleep(next(waits))
        await told(job)

    async with working(queue):
        job = await work.enqueue()
        await until(told.anything)
    assert told.ends == [(job.id, JobStatus.COMPLETED)]


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
