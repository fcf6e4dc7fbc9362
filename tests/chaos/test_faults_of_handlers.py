"""Handlers block, hold the GIL, eat memory, and take their process with them."""

import os
import signal

import pytest

from evq import JobFailed
from tests.chaos.conftest import LEASE
from tests.chaos.scene import Scene

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("seconds", [2.5 * LEASE, pytest.param(40, marks=pytest.mark.slow)])
async def test_f7_a_handler_that_holds_the_gil_keeps_its_lease(scene: Scene, seconds: float) -> None:
    held = await scene.worker()
    job = await scene.enqueue("hold_gil", seconds=seconds)
    await scene.journal.wait_for("started", job.id)
    await scene.worker()
    assert await scene.run(job, within=seconds + 10) == 1
    assert "blocks the event loop" in held.said, "it let others run"
    await scene.verify()


async def test_f8_a_handler_that_blocks_the_event_loop_keeps_its_lease_and_is_reported(scene: Scene) -> None:
    blocked = await scene.worker()
    job = await scene.enqueue("block", seconds=2.5 * LEASE)
    await scene.journal.wait_for("started", job.id)
    await scene.worker()
    assert await scene.run(job) == 1
    assert "blocks the event loop" in blocked.said
    await scene.verify()


INNOCENTS = 20


@pytest.mark.slow
async def test_f9_poison_is_failed_after_three_kills_and_its_neighbours_complete(scene: Scene) -> None:
    await scene.pool("--processes", "2", "--concurrency", str(INNOCENTS + 1))
    poison = await scene.enqueue("poison")
    neighbours = await scene.enqueue_many("work", [{"ms": 1000}] * INNOCENTS)
    with pytest.raises(JobFailed, match="Poison"):
        await poison.result(60)
    starts = scene.journal.entries("started", poison.id)
    assert len(starts) == 3
    beside = [scene.journal.entries("started", job.id) for job in neighbours]
    assert all(runs[0].pid == starts[0].pid for runs in beside), "they did not run beside it"
    for job in neighbours:
        await scene.run(job, within=60)
    await scene.verify()


async def test_f10_a_handler_that_eats_too_much_memory_fails_alone(scene: Scene) -> None:
    worker = await scene.worker("--concurrency", "2")
    greedy, beside = await scene.enqueue("eat", size=1 << 30), await scene.enqueue("work", ms=1500)
    with pytest.raises(JobFailed, match="MemoryError"):
        await greedy.result(10)
    assert await scene.run(beside) == 1
    assert worker.alive
    await scene.verify()


async def test_f10_a_process_that_the_kernel_killed_for_its_memory_is_replaced_at_once(scene: Scene) -> None:
    worker = await scene.worker()
    job = await scene.enqueue("apart")
    (start,) = await scene.journal.wait_for("started", job.id)
    assert start.pid != worker.pid, "it has no process of its own"
    os.kill(start.pid, signal.SIGKILL)  # as the kernel does
    assert await scene.run(job) == 2
    again = scene.journal.entries("started", job.id)[1]
    assert again.at - start.at < LEASE, "it came back by its lease"
    assert again.attempt == 1
    record = (await job.refresh()).record
    assert record.crashes == 1
    assert worker.alive
    await scene.verify()
