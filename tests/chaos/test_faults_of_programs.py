"""Programs do not know each other's tasks, meet half-way, write nonsense, or are of another version."""

import random
import signal
import subprocess
from collections import Counter, defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import pytest
from redis import Redis

from evq import Context, Job, JobStatus, Queue
from evq.broker import Reply
from evq.lifecycle import State
from tests.chaos.clock import Clock
from tests.chaos.producer import KINDS, OLD_KINDS
from tests.chaos.scene import LARGE, ROOT, SIMPLE, Scene
from tests.integration.running import until, working
from tests.lua.lua_bench import spoil

pytestmark = pytest.mark.anyio

EARLIER = "c7c136a"
"""The commit whose queue runs beside the present one."""


async def test_f24_a_job_of_an_unknown_task_is_parked_without_a_stir_until_somebody_knows_it(scene: Scene) -> None:
    stranger = await scene.worker()
    (tmp := scene.folder / "later.py").write_text(LATER)
    job = await scene.enqueue("unheard_of")
    with anyio.fail_after(5):
        while (await job.refresh()).record.state is not State.PARKED:
            await anyio.sleep(0.02)
    calls = scene.redis.calls_of("evalsha")
    await anyio.sleep(1)
    assert scene.redis.calls_of("evalsha") - calls < 50, "it goes round and round"
    assert job.status is JobStatus.PENDING
    assert "jobs of unknown tasks were parked" in stranger.said
    await scene.worker(target="later:queue", environ={"PYTHONPATH": f"{tmp.parent}:{ROOT}"})
    assert await scene.run(job) == 1
    await scene.verify()


LATER = """
from tests.chaos.jobs import Context, queue, written

@queue.task
async def unheard_of(ctx: Context) -> dict[str, int]:
    with written(ctx) as result:
        return result
"""


async def test_f24_a_payload_that_is_no_json_fails_its_job_and_no_other(scene: Scene) -> None:
    job = await scene.enqueue("work")
    with Redis.from_url(scene.redis.url) as client:
        spoil(client, scene.queue.broker.keys, job.id, payload="{broken")
    worker = await scene.worker()
    assert await scene.run(await scene.enqueue("work")) == 1
    assert scene.redis.client.zrange("evq:{chaos}:failed", 0, -1) == [job.id]
    assert worker.alive


@pytest.mark.parametrize("rounds", [300, pytest.param(10_000, marks=pytest.mark.slow)])
async def test_f27_a_cancel_that_races_with_the_end_leaves_one_end(queue: Queue, rounds: int) -> None:
    @queue.task
    async def quick(ctx: Context) -> str:
        begun[ctx.job_id].set()
        await anyio.sleep(random.uniform(0, 0.01))
        return "done"

    async def cancel(job: Job) -> None:
        await begun[job.id].wait()
        await anyio.sleep(random.uniform(0, 0.01))
        words[job.id] = await job.cancel()

    begun: defaultdict[str, anyio.Event] = defaultdict(anyio.Event)
    words: dict[str, Reply] = {}
    ends: Counter[str] = Counter()
    async with working(queue, concurrency=50):
        await until(queue.workers)  # until it has a heart, which tells it of cancels
        while ends.total() < rounds or (min(ends["completed"], ends["cancelled"]) == 0 and ends.total() < 10 * rounds):
            jobs = await queue.enqueue_many([quick.job() for _ in range(50)])
            async with anyio.create_task_group() as group:
                for job in jobs:
                    group.start_soon(cancel, job)
            for job in jobs:
                ends[await end_of(job)] += 1
                assert words[job.id] in (Reply.REQUESTED, Reply.ENDED)
    assert min(ends["completed"], ends["cancelled"]) > 0, "there was no race"
    counts = await queue.counts()
    assert {name: counts[name] for name in ("completed", "cancelled", "failed")} == {"failed": 0, **ends}


async def end_of(job: Job) -> str:
    with anyio.fail_after(10):
        while not (await job.refresh()).status.ended:
            await anyio.sleep(0.01)
    return job.status.value


@pytest.mark.parametrize("rounds", [2, pytest.param(20, marks=pytest.mark.slow)])
async def test_f30_after_a_pause_nothing_starts_until_it_is_resumed(scene: Scene, rounds: int) -> None:
    await scene.worker("--concurrency", "4")
    await scene.worker("--concurrency", "4")
    for _ in range(rounds):
        jobs = await scene.enqueue_many("work", [{"ms": 20}] * 40)
        jobs += await scene.enqueue_many("work", [{"ms": 20}] * 10, delay=random.uniform(0.3, 0.5))
        await scene.journal.wait_for("started", jobs[0].id)
        await anyio.sleep(random.uniform(0, 0.2))
        await scene.queue.pause()
        seconds, micros = scene.redis.client.time()
        await anyio.sleep(0.5)  # in which those that are delayed fall due
        records = [(await job.refresh()).record for job in jobs]
        starts = [record.started_ms for record in records if record.started_ms is not None]
        assert max(starts, default=0) <= seconds * 1000 + micros / 1000
        assert 0 < len(starts) < len(jobs), "nothing was held up"
        await scene.queue.resume()
        await scene.until_all_ended()
    await scene.verify()


class TestOfSchedules:
    """Redis's clock decides what is due, and can be stepped."""

    @pytest.fixture
    def redis_environ(self, clock: Clock) -> Mapping[str, str]:
        return clock.environ

    @pytest.mark.slow
    @pytest.mark.parametrize("schedulers", [2, 10])
    async def test_f25_schedulers_fire_each_instant_once_though_one_was_suspended_through_it(
        self, scene: Scene, clock: Clock, schedulers: int
    ) -> None:
        workers = [await scene.worker() for _ in range(schedulers)]
        schedule = await scene.queue.schedule("often", scene.task("work"), cron="* * * * *", misfire="all")
        before = schedule.next - timedelta(seconds=30)
        ahead = before - datetime.now(UTC)
        for minute in range(1, 4):
            if minute == 2:
                workers[0].suspend()
            clock.step(round(ahead.total_seconds()) + 60 * minute)
            await scene.journal.wait_for("started", count=minute)
            if minute == 2:
                workers[0].send(signal.SIGCONT)
        await anyio.sleep(1)
        assert len(scene.journal.entries("started")) == 3
        assert (await scene.queue.counts())["enqueued"] == 3


@pytest.fixture
def earlier(tmp_path: Path) -> Path:
    """Give a folder with the earlier evq, Python and Lua."""
    archive = subprocess.run(["git", "archive", EARLIER, "evq"], cwd=ROOT, capture_output=True, check=False)
    if archive.returncode:
        pytest.skip(f"commit {EARLIER} is read with git, and this is no clone that has it")
    (folder := tmp_path / "earlier").mkdir()
    subprocess.run(["tar", "-x", "-C", folder], input=archive.stdout, check=True)
    return folder


async def test_f32_workers_and_producers_of_two_versions_serve_one_queue(scene: Scene, earlier: Path) -> None:
    folders = (earlier, ROOT)
    workers = [await scene.worker("--concurrency", "2", target=SIMPLE, cwd=folder) for folder in folders]
    producers = [
        scene.process("-m", "tests.chaos.producer", "1", "3", "20", str(kinds), environ={}, cwd=folder)
        for folder, kinds in zip(folders, (OLD_KINDS, KINDS), strict=True)
    ]
    for producer in producers:
        assert await producer.ended(within=20) == 0, producer.said
    await scene.enqueue_many("work", [{}] * LARGE)
    await scene.verify()
    assert {entry.pid for entry in scene.journal.entries("started")} == {worker.pid for worker in workers}
    assert not any('"level":"error"' in worker.said for worker in workers)


@pytest.mark.parametrize("victim_is_old", [True, False])
async def test_f32_what_one_version_held_is_taken_over_by_the_other(
    scene: Scene, earlier: Path, victim_is_old: bool
) -> None:
    folders = (earlier, ROOT) if victim_is_old else (ROOT, earlier)
    job = await scene.enqueue("die_once")
    victim = await scene.worker(target=SIMPLE, cwd=folders[0])
    assert await victim.ended(within=10) == -signal.SIGKILL
    await scene.worker(target=SIMPLE, cwd=folders[1])
    assert await scene.run(job) == 2
    await scene.verify()


@pytest.mark.usefixtures("marked")
async def test_f32_a_large_batch_that_its_producer_left_waits_for_a_worker_that_knows_its_form(
    scene: Scene, earlier: Path
) -> None:
    old = await scene.worker("--concurrency", "2", target=SIMPLE, cwd=earlier)
    await scene.run(await scene.enqueue("work"))
    assert len(scene.journal.entries("started")) == 1, "the earlier one moves it"
    new = await scene.worker("--concurrency", "2", target=SIMPLE)
    await scene.journal.wait_for("started", count=LARGE + 1)
    history = await scene.verify()
    assert history.counts["completed"] == LARGE + 1
    assert not any('"level":"error"' in worker.said for worker in (old, new))
