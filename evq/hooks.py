"""Run the hooks of ended jobs: at least once each, whatever crashes in between."""

import asyncio
import contextlib
import logging

import anyio

from evq.errors import EvqError
from evq.queue import Queue

log = logging.getLogger("evq.hooks")

BATCH = 10
"""Jobs whose hooks are run side by side."""
SHORTEST_LEASE_MS = 5_000
"""A hook may take as long as the queue's lease, but always this long, ms."""
PERIOD = 5.0
"""How often to look without being told that a job has ended, s."""


class Hooks:
    """Drains the queue's list of ended jobs."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self._lease_ms = max(queue.lease_ms, SHORTEST_LEASE_MS)
        self._tasks = [task.name for task in queue.tasks.values() if task.hooks]
        self._look = asyncio.Event()
        self._stopping = False

    def look(self) -> None:
        """Say that jobs may have ended."""
        self._look.set()

    def stop(self) -> None:
        """End `run` once the hooks that it runs have ended."""
        self._stopping = True
        self._look.set()

    async def run(self) -> None:
        """Run hooks as jobs end, until stopped."""
        marked = False
        while self._tasks and not self._stopping:
            self._look.clear()
            # The worker's own loop reports an outage; a full Redis refuses the mark, and hooks run all the same.
            with contextlib.suppress(EvqError):
                if not marked:
                    await self._queue.broker.mark_hooked(self._tasks)
                    marked = True
            with contextlib.suppress(EvqError):
                while await self._run_batch() and not self._stopping:
                    pass
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PERIOD):
                    await self._look.wait()

    async def drain(self) -> None:
        """Run the hooks of all jobs that have ended."""
        while self._tasks and await self._run_batch():
            pass

    async def _run_batch(self) -> int:
        """Run the hooks of some jobs side by side; return of how many."""
        broker = self._queue.broker
        job_ids = await broker.reserve_ended(BATCH, self._lease_ms, self._tasks)
        done: list[tuple[str, int]] = []
        async with anyio.create_task_group() as group:
            for job_id in job_ids:
                group.start_soon(self._run_hook, job_id, done)
        if done:
            await broker.ack_ended(self._queue.keep_ms, done)
        return len(job_ids)

    async def _run_hook(self, job_id: str, done: list[tuple[str, int]]) -> None:
        try:
            async with asyncio.timeout(self._lease_ms / 1000):
                job = await self._queue.get(job_id)
                if job is None or not job.status.ended:
                    return
                seq = job.seq
                if hook := self._queue.tasks[job.task].hooks.get(job.status):
                    await hook(job)
        except Exception:
            log.exception("a hook failed and will be run again", extra={"job": job_id})
        else:
            done.append((job_id, seq))
