"""Workers are killed, suspended, cut off and asked to end."""

import signal
import time

import anyio
import pytest

from evq import Job, JobStatus, Queue
from tests.chaos.actors import Process
from tests.chaos.conftest import LEASE
from tests.chaos.journal import Entry
from tests.chaos.proxy import Proxy
from tests.chaos.scene import Scene
from tests.lua.lua_bench import LEASE_MS, Bench

pytestmark = pytest.mark.anyio


async def killed_at_work(scene: Scene, job: Job, worker: Process) -> float:
    """Kill a worker that holds the lease of a job and runs it; return when."""
    await scene.until_running(job)
    (start,) = scene.journal.entries("started", job.id)
    assert start.pid == worker.pid
    worker.kill()
    return time.monotonic()


async def second_start(scene: Scene, job: Job) -> Entry:
    return (await scene.journal.wait_for("started", job.id, count=2, within=scene.lease + 10))[1]


DEFAULT = Queue("chaos").lease_ms / 1000
each_lease = pytest.mark.parametrize(
    "lease", [LEASE, pytest.param(5.0, marks=pytest.mark.slow), pytest.param(DEFAULT, marks=pytest.mark.slow)]
)


@each_lease
async def test_f1_a_job_of_a_killed_worker_runs_again_within_its_lease_and_a_second(scene: Scene, lease: float) -> None:
    victim = await scene.worker()
    job = await scene.enqueue("gated", gate=str(scene.folder / "gate"))
    await scene.journal.wait_for("started", job.id)
    await scene.worker()
    killed = await killed_at_work(scene, job, victim)
    again = await second_start(scene, job)
    print(f"with a lease of {lease:g} s it ran again after {again.at - killed:.2f} s")
    assert again.at - killed <= lease + 1
    assert again.attempt == 1
    (scene.folder / "gate").touch()
    assert await scene.run(job) == 2
    assert (await job.refresh()).record.crashes == 1
    await scene.verify()


@each_lease
async def test_f1_a_job_of_a_killed_worker_runs_again_though_all_others_are_full(scene: Scene, lease: float) -> None:
    victim = await scene.worker()
    job = await scene.enqueue("work", ms=60_000)
    await scene.journal.wait_for("started", job.id)
    await scene.worker()
    await scene.enqueue_many("work", [{"ms": 100}] * round(10 * (lease + 4)))
    killed = await killed_at_work(scene, job, victim)
    again = await second_start(scene, job)
    print(f"with a lease of {lease:g} s and no idle worker it ran again after {again.at - killed:.2f} s")
    assert again.at - killed <= lease + 1
    assert (await scene.queue.counts())["waiting"] > 0, "the other worker was not full"


async def test_f2_a_worker_killed_before_it_read_what_it_had_reserved_loses_nothing(scene: Scene, proxy: Proxy) -> None:
    victim = await scene.worker(url=proxy.url)
    await scene.run(await scene.enqueue("work"))
    await anyio.sleep(0.2)  # until it sleeps in its pop, with a reserve behind
    assert proxy.deafen(b"EVALSHA") > 0
    job = await scene.enqueue("work")
    await scene.until_active(job)
    victim.kill()
    assert scene.journal.entries("started", job.id) == []
    await scene.worker()
    await scene.run(job)
    assert (await job.refresh()).record.crashes == 1
    await scene.verify()


async def test_f3_a_worker_killed_after_the_effect_and_before_the_ack_has_one_effect(scene: Scene) -> None:
    victim = await scene.worker()
    job = await scene.enqueue("die_once")
    assert await victim.ended(within=10) == -signal.SIGKILL
    (effect,) = scene.journal.entries("effect", job.id)
    assert effect.more["accepted"]
    await scene.worker()
    assert await scene.run(job) == 2
    effects = scene.journal.entries("effect", job.id)
    assert [(e.more["accepted"], e.fence > effect.fence) for e in effects] == [(True, False), (True, True)]
    await scene.verify()


async def test_f4_a_worker_that_is_cut_off_for_longer_than_its_lease_changes_nothing(
    scene: Scene, proxy: Proxy
) -> None:
    zombie = await scene.worker(url=proxy.url)
    gate = scene.folder / "gate"
    job = await scene.enqueue("gated", gate=str(gate))
    await scene.until_running(job)
    proxy.refusing = True
    assert proxy.cut() > 0
    await scene.worker()
    await second_start(scene, job)
    gate.touch()
    assert await scene.run(job) == 2
    before = (await job.refresh()).record
    proxy.refusing = False
    with anyio.fail_after(10):  # it comes back, and is told
        while "lease lost" not in zombie.said:
            await anyio.sleep(0.1)
    assert (await job.refresh()).record == before
    await scene.verify()


async def test_f5_an_ack_after_the_lease_and_before_anybody_took_it_counts_once(redis_url: str) -> None:
    bench = Bench(redis_url, "f5")
    job = await bench.start()
    bench.later(LEASE_MS + 1)
    assert [await bench.ack(job), await bench.ack(job)] == ["OK", "REPEATED"]
    assert bench.redis.hget(bench.key("counters"), "completed") == "1"
    await bench.close()


async def test_f6_a_worker_that_was_suspended_past_its_lease_wakes_and_changes_nothing(scene: Scene) -> None:
    zombie = await scene.worker()
    gate = scene.folder / "gate"
    job = await scene.enqueue("gated", gate=str(gate))
    await scene.until_running(job)
    suspended = time.monotonic()
    zombie.suspend()
    scene.journal.write("fault", kind="suspend", pid=zombie.pid)
    await scene.worker()
    again = await second_start(scene, job)
    assert again.at - suspended <= LEASE + 1
    gate.touch()
    assert await scene.run(job) == 2
    before = (await job.refresh()).record
    zombie.send(signal.SIGCONT)
    effects = await scene.journal.wait_for("effect", job.id, count=2)
    assert [(effect.fence == again.fence, effect.more["accepted"]) for effect in effects] == [
        (True, True),
        (False, False),
    ]
    await scene.run(await scene.enqueue("work"))
    assert (await job.refresh()).record == before
    await scene.verify()


async def test_f31_a_graceful_stop_hands_jobs_back_at_once_in_front_and_uncounted(scene: Scene) -> None:
    leaving = await scene.worker("--grace", "0.2")
    job = await scene.enqueue("gated", gate=str(scene.folder / "gate"))
    await scene.until_running(job)
    behind = await scene.enqueue_many("work", [{}] * 3)
    leaving.send(signal.SIGTERM)
    asked = time.monotonic()
    assert await leaving.ended(within=5) == 0
    assert (await job.refresh()).status is JobStatus.PENDING
    (scene.folder / "gate").touch()
    await scene.worker()
    again = await second_start(scene, job)
    assert again.at - asked < LEASE, "it came back by its lease, not by hand"
    assert again.attempt == 1
    await scene.verify()
    assert again.at < min(scene.journal.entries("started", one.id)[0].at for one in behind)


async def test_f31_a_worker_that_is_stopped_while_redis_is_away_ends_within_its_grace_and_5_s(scene: Scene) -> None:
    leaving = await scene.worker("--grace", "0.5")
    job = await scene.enqueue("work", ms=60_000)
    await scene.until_running(job)
    scene.redis.kill()
    leaving.send(signal.SIGTERM)
    await leaving.ended(within=0.5 + 5)
    scene.redis.start()
    assert (await job.refresh()).status is JobStatus.PROCESSING, "Redis was not away"
