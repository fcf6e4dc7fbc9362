"""Connections are cut, silenced and slowed down, and single requests and replies are lost."""

import time

import anyio
import pytest
from redis import Redis

from evq import JobStatus, Queue
from evq.broker import Reply
from evq.scripts import load_scripts
from tests.chaos.proxy import Loss, Proxy
from tests.chaos.scene import Scene

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("loss", ["request", "reply"])
async def test_f15_an_ack_whose_request_or_reply_is_lost_counts_once(scene: Scene, proxy: Proxy, loss: Loss) -> None:
    await scene.worker(url=proxy.url)
    proxy.lose(load_scripts()["ack"].sha, loss)
    job = await scene.enqueue("work")
    assert await scene.run(job) == 1
    history = await scene.verify()
    assert proxy.lost == 1
    assert len(history.of("started")[job.id]) == 1
    events = scene.redis.client.xrange("evq:{chaos}:events")
    assert sum(event["event"] == "completed" for _, event in events) == 1


@pytest.mark.parametrize("loss", ["request", "reply"])
async def test_f16_an_enqueue_whose_request_or_reply_is_lost_makes_one_job(
    scene: Scene, proxy: Proxy, far: Queue, loss: Loss
) -> None:
    await far.ping()
    proxy.lose(load_scripts()["enqueue"].sha, loss)
    (job,) = await scene.enqueue_many("work", [{}], via=far)
    assert proxy.lost == 1
    assert scene.redis.client.llen("evq:{chaos}:wake") == 1
    await scene.worker()
    await scene.verify()
    assert len(scene.journal.entries("started", job.id)) == 1


@pytest.mark.slow
async def test_f17_a_worker_whose_connections_went_silent_is_back_within_15_s(scene: Scene, proxy: Proxy) -> None:
    worker = await scene.worker(url=proxy.url)
    await scene.run(await scene.enqueue("work"))
    await anyio.sleep(0.2)  # until it sleeps in its pop
    assert proxy.freeze() > 0
    silent = time.monotonic()
    for seconds in range(20):
        job = await scene.enqueue("work", ms=seconds)
        await anyio.sleep(1)
        if (await job.refresh()).status is JobStatus.COMPLETED:
            break
    assert seconds > 2, "they were not silent"
    assert time.monotonic() - silent < 15 + 1
    assert worker.alive
    await scene.verify()


async def test_f28_a_cancel_of_which_the_worker_was_not_told_is_seen_by_the_next_heartbeat(scene: Scene) -> None:
    await scene.worker()
    job = await scene.enqueue("work", ms=60_000)
    await scene.until_running(job)
    worker = (await job.refresh()).record.worker
    assert worker is not None
    told = f"evq:{{chaos}}:waiter:{worker}.heart"
    stolen: list[object] = []
    with Redis(port=scene.redis.port) as thief:
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.to_thread.run_sync, lambda: stolen.append(thief.blpop([told], 10)))
            await anyio.sleep(scene.lease / 3 + 0.2)  # until the heart stands in line behind the thief
            assert await job.cancel() is Reply.REQUESTED
            asked = time.monotonic()
    assert stolen != [None], "the worker was told"
    with anyio.fail_after(scene.lease):
        while (await job.refresh()).status is not JobStatus.CANCELLED:
            await anyio.sleep(0.02)
    assert time.monotonic() - asked < scene.lease / 3 + 0.5
    assert scene.journal.entries("interrupted", job.id)
    await scene.verify()
