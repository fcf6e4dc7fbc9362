"""Redis is killed, restarted, emptied, flushed, filled, and replaced by its replica."""

import os
import time
from pathlib import Path

import anyio
import pytest

from evq import PayloadError, QueueFull
from evq.scripts import load_scripts
from tests.chaos.actors import RedisServer
from tests.chaos.proxy import Proxy
from tests.chaos.scene import Scene

pytestmark = pytest.mark.anyio

LOSS = 2.0
"""How much `appendfsync everysec` may lose when the machine dies, s."""


async def work_through(scene: Scene, redis: RedisServer, *, restarts: int) -> float:
    """Kill and restart Redis while jobs are enqueued and run; return how long the slowest restart took to be felt.

    That is the time from the moment at which Redis is back to the next start of a handler.
    """
    slowest = 0.0
    producers = [scene.process("-m", "tests.chaos.producer", str(seed), "3", "0", environ={}) for seed in range(2)]
    for _ in range(restarts):
        known = len(scene.journal.entries("started"))
        await scene.journal.wait_for("started", count=known + 10)
        scene.journal.write("fault", kind="outage")
        redis.kill()
        await anyio.sleep(0.3)
        redis.start()
        back, known = time.monotonic(), len(scene.journal.entries("started"))
        await scene.journal.wait_for("started", count=known + 1)
        slowest = max(slowest, time.monotonic() - back)
    for producer in producers:
        producer.kill()
    return slowest


@pytest.mark.parametrize("restarts", [1, pytest.param(20, marks=pytest.mark.slow)])
async def test_f11_a_redis_that_is_killed_loses_nothing_with_aof_always(scene: Scene, restarts: int) -> None:
    for _ in range(2):
        await scene.worker("--concurrency", "4")
    slowest = await work_through(scene, scene.redis, restarts=restarts)
    print(f"{restarts} restarts; jobs started again at most {slowest:.2f} s after Redis was back")
    assert slowest < 10
    await scene.verify()


@pytest.mark.slow
@pytest.mark.parametrize("fsync", ["everysec"])
async def test_f12_a_redis_that_is_killed_with_aof_everysec_loses_what_the_machine_had_not_written(
    scene: Scene, fsync: str
) -> None:
    await scene.worker("--concurrency", "4")
    await work_through(scene, scene.redis, restarts=1)
    await scene.verify(lost_from=time.monotonic() - LOSS)


@pytest.mark.parametrize("fsync", ["everysec"])
async def test_f12_a_machine_that_dies_with_aof_everysec_loses_two_seconds_at_the_most(
    scene: Scene, fsync: str
) -> None:
    producer = scene.process("-m", "tests.chaos.producer", "1", "3", "0", environ={})
    await scene.journal.wait_for("confirmed", count=20)
    log = newest_log(scene.folder)
    on_disk, at = log.stat().st_size, time.monotonic()
    await anyio.sleep(1)
    producer.kill()
    scene.redis.kill()
    assert log.stat().st_size > on_disk, "nothing was written in the last second"
    os.truncate(log, on_disk)  # what the disk did not have yet
    scene.redis.start()
    confirmed = {entry.job for entry in scene.journal.entries("confirmed")}
    lost = confirmed - (await scene.finals()).keys()
    print(f"{len(lost)} of {len(confirmed)} confirmed jobs were lost with the last second")
    assert lost, "nothing was lost"
    await scene.worker("--concurrency", "4")
    await scene.verify(lost_from=at - (LOSS - 1))


def newest_log(folder: Path) -> Path:
    """Return the append-only file that Redis writes now; from 7.0 on there are several in a folder."""
    return max(folder.rglob("*.aof"), key=lambda path: path.stat().st_mtime_ns)


@pytest.mark.parametrize("fsync", [None])
async def test_f13_a_redis_that_comes_back_empty_is_used_again(scene: Scene, fsync: None) -> None:
    worker = await scene.worker()
    old = await scene.enqueue("work", ms=60_000)
    await scene.until_running(old)
    scene.redis.kill()
    scene.redis.start()
    # The worker may have said already that it lives, but nothing is left of what there was.
    assert not scene.redis.client.exists("evq:{chaos}:records", "evq:{chaos}:active", "evq:{chaos}:events")
    assert await scene.queue.get(old.id) is None
    assert await scene.run(await scene.enqueue("work")) == 1
    assert worker.alive


@pytest.mark.slow
async def test_f14_a_failover_to_a_replica_loses_only_what_it_had_not_got(
    scene: Scene, proxy: Proxy, tmp_path: Path
) -> None:
    (tmp_path / "replica").mkdir()
    replica = RedisServer(tmp_path / "replica")
    replica.start()
    replica.client.replicaof("127.0.0.1", scene.redis.port)
    with anyio.fail_after(20):
        while replica.client.info("replication")["master_link_status"] != "up":
            await anyio.sleep(0.05)
    await scene.worker("--concurrency", "4", url=proxy.url)
    producer = scene.process("-m", "tests.chaos.producer", "1", "3", "0", environ={"EVQ_REDIS_URL": proxy.url})
    await scene.journal.wait_for("started", count=20)

    failed_over = time.monotonic()
    scene.redis.kill()
    replica.client.replicaof("NO", "ONE")
    proxy.target = replica.port
    known = len(scene.journal.entries("started"))
    await scene.journal.wait_for("started", count=known + 20)
    producer.kill()
    scene.move_to(replica)
    await scene.verify(lost_from=failed_over - 1)


@pytest.mark.slow
async def test_f18_forgotten_scripts_are_not_noticed(scene: Scene) -> None:
    await scene.worker("--concurrency", "4")
    scripts = [script.sha for script in load_scripts().values()]
    producer = scene.process("-m", "tests.chaos.producer", "1", "3", "40", environ={})
    flushed = 0
    while producer.alive:
        known = sum(scene.redis.client.script_exists(*scripts))
        scene.redis.client.script_flush()
        flushed += known > 0
        await anyio.sleep(0.02)
    assert await producer.ended(within=1) == 0
    assert flushed > 10
    assert scene.redis.calls_of("eval") > 10, "nobody had to send a script anew"
    await scene.verify()


@pytest.mark.slow
async def test_f18_clients_that_are_killed_are_not_noticed(scene: Scene) -> None:
    worker = await scene.worker("--concurrency", "4")
    producer = scene.process("-m", "tests.chaos.producer", "1", "3", "40", environ={})
    killed = 0
    while producer.alive:
        killed += int(scene.redis.client.execute_command("CLIENT", "KILL", "TYPE", "normal"))
        await anyio.sleep(0.1)
    assert await producer.ended(within=1) == 0, producer.said
    assert killed > 10
    assert worker.alive
    await scene.verify()


async def test_f21_a_full_redis_refuses_whole_batches_and_is_drained(scene: Scene) -> None:
    redis = scene.redis.client
    running = await scene.enqueue_many("gated", [{"gate": str(scene.folder / "gate")}] * 4)
    await scene.worker("--concurrency", "4")
    for job in running:
        await scene.until_running(job)
    redis.config_set("maxmemory", redis.info("memory")["used_memory"] + 4_000_000)
    accepted, padding = list(running), {"padding": "x" * 50_000}
    with pytest.raises(QueueFull):
        while True:
            accepted += await scene.enqueue_many("padded", [padding] * 5)
    assert redis.info("errorstats")["errorstat_OOM"]["count"] > 0
    refused = [scene.task("padded").job(**padding) for _ in range(20)]
    with pytest.raises(QueueFull):
        await scene.queue.enqueue_many(refused)
    assert [await scene.queue.get(job.id) for job in refused] == [None] * 20
    (scene.folder / "gate").touch()
    for job in accepted:
        await scene.run(job)
    full = redis.info("memory")["used_memory"]
    await scene.verify()
    assert await scene.queue.purge("completed") == len(accepted)  # as a full Redis lets one
    assert redis.info("memory")["used_memory"] < full - 2_000_000
    await scene.enqueue_many("padded", [padding] * 20)


async def test_f22_a_redis_that_may_evict_jobs_is_warned_of_at_the_start(scene: Scene) -> None:
    scene.redis.client.config_set("maxmemory", "100mb")
    scene.redis.client.config_set("maxmemory-policy", "allkeys-lru")
    worker = await scene.worker()
    assert await scene.run(await scene.enqueue("work")) == 1
    assert "maxmemory-policy" in worker.said
    assert "noeviction" in worker.said


async def test_f23_a_payload_that_is_too_large_is_refused_by_name(scene: Scene) -> None:
    for size in (1 << 20, 50 << 20):
        with pytest.raises(PayloadError, match="task padded: the payload has"):
            await scene.enqueue("padded", padding="x" * size)
    assert scene.redis.client.dbsize() == 0
