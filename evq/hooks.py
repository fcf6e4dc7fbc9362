"""Run the hooks of ended jobs: at least once each, whatever crashes in between."""

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, cast

from evq.errors import QueueUnavailable

if TYPE_CHECKING:
    from evq.queue import Queue
    from evq.task import End

log = logging.getLogger("evq.hooks")

BATCH = 10
LEASE_MS = 30_000
"""How long a hook may take before another worker runs it again, and how soon a failed one is tried again, ms."""
PERIOD = 5.0
"""How often to look without being told that a job has ended, s."""


class Hooks:
    """Drains the queue's list of ended jobs."""

    def __init__(self, queue: "Queue") -> None:
        self._queue = queue
        self._tasks = [task.name for task in queue.tasks.values() if task.hooks]
        self._look = asyncio.Event()

    def look(self) -> None:
        """Say that jobs may have ended."""
        self._look.set()

    async def run(self) -> None:
        """Run hooks as jobs end, until cancelled."""
        if not self._tasks:
            return
        while True:
            with contextlib.suppress(QueueUnavailable):
                await self.drain()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PERIOD):
                    await self._look.wait()
            self._look.clear()

    async def drain(self) -> None:
        """Run the hooks of all jobs that have ended."""
        if not self._tasks:
            return
        broker = self._queue.broker
        await broker.hook(self._tasks)
        while job_ids := await broker.reserve_ended(BATCH, LEASE_MS, self._tasks):
            done = [job_id for job_id in job_ids if await self._run_hook(job_id)]
            await broker.ack_ended(self._queue.keep_ms, done)

    async def _run_hook(self, job_id: str) -> bool:
        job = await self._queue.get(job_id)
        if job is None or not job.status.ended:
            return True
        hook = self._queue.tasks[job.task].hooks.get(cast("End", job.status.value))
        if hook is None:
            return True
        try:
            await hook(job)
        except QueueUnavailable:
            raise
        except Exception:
            log.exception("a hook failed and will be run again", extra={"job": job_id, "task": job.task})
            return False
        return True
