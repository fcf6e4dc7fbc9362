"""A scene: one Redis, its queue, a journal, and the workers that the scenario brings in."""

import contextlib
import os
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio

from evq import Job, Queue, QueueUnavailable
from evq.broker import BULK
from evq.cli import fsck
from evq.job import Record
from evq.lifecycle import State
from evq.task import Task
from tests.chaos.actors import Process, RedisServer
from tests.chaos.checker import Final, History, check
from tests.chaos.journal import Journal
from tests.chaos.producer import anything

TARGET = "tests.chaos.isolated_jobs:queue"
SIMPLE = "tests.chaos.jobs:queue"
"""Only what every version of evq can run."""
LARGE = BULK + 100
"""Jobs that are enqueued by more than one call."""
ROOT = Path(__file__).parents[2]


class Scene:
    """What takes part in one scenario."""

    def __init__(self, folder: Path, redis: RedisServer, lease: float) -> None:
        self.folder = folder
        self.redis = redis
        self.lease = lease
        self.journal = Journal(folder / "journal")
        self.queue = Queue("chaos", redis=redis.url, lease=lease)
        self._processes: list[Process] = []
        self._effects = folder / "effects.db"
        with contextlib.closing(sqlite3.connect(self._effects)) as db:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("CREATE TABLE effects (job TEXT PRIMARY KEY, fence INTEGER)")

    async def close(self) -> None:
        for process in self._processes:
            process.close()
        await self.queue.close()
        self.redis.close()

    def move_to(self, redis: RedisServer) -> None:
        """Look at another Redis from now on: it has taken over."""
        self.redis.close()
        self.redis = redis
        self.queue = Queue("chaos", redis=redis.url, lease=self.lease)

    # Who takes part

    @property
    def environ(self) -> dict[str, str]:
        return {
            "EVQ_REDIS_URL": self.redis.url,
            "CHAOS_JOURNAL": str(self.journal.path),
            "CHAOS_LEASE": str(self.lease),
            "CHAOS_EFFECTS": str(self._effects),
            "EVQ_POOL_PID": str(os.getpid()),  # a worker is one process, as a pool starts it, and we are the pool
            "PYTHONPATH": str(ROOT),
        }

    def process(self, *arguments: str, environ: Mapping[str, str], cwd: Path = ROOT) -> Process:
        log = self.folder / f"process-{len(self._processes)}.log"
        process = Process(*arguments, environ={**self.environ, **environ}, log=log, cwd=cwd)
        self._processes.append(process)
        return process

    async def worker(
        self,
        *options: str,
        url: str = "",
        target: str = TARGET,
        environ: Mapping[str, str] | None = None,
        cwd: Path = ROOT,
    ) -> Process:
        """Start a worker, on Redis itself or on a *url* that leads there; return it once it is at work."""
        process = self.process(
            *("-m", "evq", "worker", target, "--processes", "1", *options),
            environ={**(environ or {}), "EVQ_REDIS_URL": url or self.redis.url},
            cwd=cwd,
        )
        with anyio.fail_after(20):
            while "worker started" not in process.said:
                assert process.alive, process.said
                await anyio.sleep(0.02)
        return process

    async def pool(self, *options: str) -> Process:
        """Start a pool of workers, which replaces those that die."""
        return self.process("-m", "evq", "worker", TARGET, *options, environ={"EVQ_POOL_PID": ""})

    # What they do

    def task(self, name: str) -> Task:
        """Return the task *name* of the workers, to be enqueued."""
        return self.queue.tasks.get(name) or self.queue.task(name=name)(anything)

    async def enqueue(self, name: str, **payload: Any) -> Job:
        return (await self.enqueue_many(name, [payload]))[0]

    async def enqueue_many(
        self, name: str, payloads: list[dict[str, Any]], *, via: Queue | None = None, **options: Any
    ) -> list[Job]:
        """Enqueue jobs of the task *name* with *options*, and write it down; send them again until it is sure."""
        task, queue = self.task(name).using(**options), via or self.queue
        new = [task.job(**payload) for payload in payloads]
        for one in new:
            self.journal.write("sent", one.id)
        with anyio.fail_after(20):
            while True:
                try:
                    jobs = await queue.enqueue_many(new)
                    break
                except QueueUnavailable:
                    await anyio.sleep(0.1)
        for job in jobs:
            self.journal.write("confirmed", job.id)
        return jobs

    async def run(self, job: Job, *, within: float = 15) -> int:
        """Wait for a job's result; return how often it had been started."""
        await job.result(within)
        return len(self.journal.entries("started", job.id))

    async def until_active(self, job: Job, *, within: float = 10) -> None:
        with anyio.fail_after(within):
            while (await job.refresh()).record.state is not State.ACTIVE:
                await anyio.sleep(0.02)

    async def until_running(self, job: Job, *, within: float = 10) -> None:
        """Wait until its handler has begun, which is later than its lease has."""
        await self.journal.wait_for("started", job.id, within=within)
        await self.until_active(job, within=within)

    # The end

    async def until_all_ended(self, *, within: float = 30) -> None:
        with anyio.move_on_after(within) as patience:
            while await self._left():
                await anyio.sleep(0.05)
        assert not patience.cancelled_caught, f"jobs are left: {await self.queue.counts()}"

    async def _left(self) -> int:
        counts = await self.queue.counts()
        return counts["enqueued"] - counts["completed"] - counts["failed"] - counts["cancelled"]

    async def records(self) -> list[Record]:
        """Read what Redis holds of every job that was ever sent."""
        ids = list({entry.job for entry in self.journal.entries("sent")})
        return [record for record in await self.queue.broker.get(ids) if record is not None]

    async def finals(self) -> dict[str, Final]:
        return {
            record.id: Final(
                status=record.status.value,
                fence=record.fence,
                failures=record.failures,
                settled_by=record.result["fence"] if isinstance(record.result, Mapping) else 0,
                group=record.group or "",
                leased=(record.started_ms or 0) / 1000,
                error=record.error.type if record.error else "",
            )
            for record in await self.records()
        }

    async def verify(self, *, within: float = 30, lost_from: float = float("inf")) -> History:
        """Wait until every job has ended, and let the checkers of what was done and of what is there find nothing."""
        await self.until_all_ended(within=within)
        counts = await self.queue.counts()
        history = History(self.journal.entries(), await self.finals(), counts, self.lease, lost_from)
        violations = check(history)
        assert not violations, violations[:10]
        findings = await fsck.check(self.queue.broker)
        assert not findings, findings[:10]
        return history
