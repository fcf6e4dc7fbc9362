"""Many jobs at once: half a bulk, a flood of one group, a cancel of all."""

import time

import anyio
import pytest
from anyio.lowlevel import checkpoint

from evq import JobStatus, Queue
from evq.lifecycle import State
from evq.scripts import load_scripts
from tests.chaos.checker import History
from tests.chaos.proxy import Proxy
from tests.chaos.scene import LARGE, Scene

pytestmark = pytest.mark.anyio

BLOCKED_US = 5_000
"""No command may keep Redis busy for longer, µs."""


@pytest.mark.parametrize("count", [2_000, pytest.param(100_000, marks=pytest.mark.slow)])
async def test_f29_a_group_is_cancelled_whole_without_blocking_redis(scene: Scene, count: int) -> None:
    await scene.worker("--concurrency", "50")
    running = await scene.enqueue_many("work", [{"ms": 60_000}] * 50, group="upload")
    for job in running:
        await scene.until_running(job)
    waiting = await scene.enqueue_many("work", [{}] * count, group="upload")
    scene.redis.client.config_set("slowlog-max-len", count)
    scene.redis.client.config_set("slowlog-log-slower-than", BLOCKED_US)
    assert await scene.queue.drain("upload") == count
    assert await scene.queue.cancel_all(State.ACTIVE) == 50
    asked = time.monotonic()
    for job in running:
        while (await job.refresh()).status is not JobStatus.CANCELLED:
            assert time.monotonic() - asked < 10
            await anyio.sleep(0.05)
    # A busy machine holds up a call now and then, but not a quarter of those that take 100 jobs each.
    assert len(scene.redis.client.slowlog_get(count)) <= 1 + count // 400
    started = {entry.job for entry in scene.journal.entries("started")}
    assert started.isdisjoint(job.id for job in waiting)
    await scene.verify()


async def test_f33_a_producer_that_dies_in_the_middle_of_a_bulk_leaves_nothing(scene: Scene) -> None:
    producer = scene.process("-m", "tests.chaos.producer", "1", "50000", "1", environ={})
    redis = scene.redis.client
    with anyio.fail_after(20):
        while not redis.zcard("evq:{chaos}:staging-parts"):
            await checkpoint()
    producer.kill()
    assert not redis.exists("evq:{chaos}:waiting", "evq:{chaos}:marked-parts"), "the bulk was through"
    await scene.worker()
    await scene.run(await scene.enqueue("work"))
    counts = await scene.queue.counts()
    assert (counts["enqueued"], counts["waiting"]) == (1, 0)


@pytest.mark.usefixtures("marked")
async def test_f33_a_bulk_that_is_marked_runs_whatever_becomes_of_its_producer(scene: Scene) -> None:
    await scene.worker("--concurrency", "50")
    await scene.journal.wait_for("started", count=LARGE)
    history = await scene.verify()
    assert history.counts["completed"] == LARGE


@pytest.mark.parametrize("losses", [1, 2])
@pytest.mark.parametrize("script", ["stage", "mark", "move"])
async def test_f33_a_bulk_whose_reply_was_lost_can_be_sent_again(
    scene: Scene, proxy: Proxy, far: Queue, script: str, losses: int
) -> None:
    for _ in range(losses):  # one is made good by the connection, two by the producer
        proxy.lose(load_scripts()[script].sha, "reply")
    await scene.enqueue_many("work", [{}] * LARGE, via=far)
    assert proxy.lost == losses
    await scene.worker("--concurrency", "50")
    history = await scene.verify()
    assert history.counts["completed"] == LARGE


@pytest.mark.parametrize("flood", [500, pytest.param(5_000, marks=pytest.mark.slow)])
async def test_f34_a_flood_of_one_group_holds_up_no_other_and_keeps_within_its_limits(scene: Scene, flood: int) -> None:
    await scene.queue.limit("flood", concurrency=3)
    await scene.worker("--concurrency", "4")
    await scene.enqueue_many("work", [{"ms": 5}] * flood, group="flood")
    await scene.journal.wait_for("started", count=50)
    few = await scene.enqueue_many("work", [{"ms": 5}] * 10, group="few")
    confirmed = scene.journal.entries("confirmed", few[-1].id)[0].at
    for job in few:
        await scene.run(job)
    last = max(scene.journal.entries("started", job.id)[0].at for job in few)
    between = [entry for entry in scene.journal.entries("started") if confirmed < entry.at < last]
    assert len(between) < 4 * len(few)
    assert (await scene.queue.counts())["waiting"] > 0, "the flood was over before"
    history = await scene.verify(within=120)
    assert most_at_once(history, {job.id for job in few}) == 3


def most_at_once(history: History, others: set[str]) -> int:
    """Return how many handlers ran at a time at the most, those of *others* apart."""
    running = most = 0
    for entry in sorted(history.entries, key=lambda entry: entry.at):
        if entry.job not in others:
            running += {"started": 1, "finished": -1}.get(entry.event, 0)
            most = max(most, running)
    return most
