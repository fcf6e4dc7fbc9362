"""Run the hooks of jobs that have ended, or are to be tried again: at least once each, whatever crashes in between."""

import asyncio
import contextlib
import logging
import traceback

import anyio
from anyio.abc import TaskGroup

from evq.errors import EvqError
from evq.queue import Queue

log = logging.getLogger("evq.hooks")

CONCURRENCY = 10
"""Hooks that run side by side."""
SHORTEST_LEASE_MS = 5_000
"""A hook may take as long as the queue's lease, but always this long, ms."""
PERIOD = 5.0
"""How often to look without being told that a job has ended, s."""


class Hooks:
    """Drains the queue's list of ended jobs."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self._lease_ms = max(queue.lease_ms, SHORTEST_LEASE_MS)
        self._known = [f"{task.name} {event}" for task in queue.tasks.values() for event in task.hooks]
        self._running = 0
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
        async with anyio.create_task_group() as group:
            while self._known and not self._stopping:
                self._look.clear()
                # The worker's own loop reports an outage; a full Redis refuses the mark, and hooks run all the same.
                with contextlib.suppress(EvqError):
                    if not marked:
                        await self._mark()
                        marked = True
                with contextlib.suppress(EvqError):
                    await self._start(group)
                with anyio.move_on_after(PERIOD):
                    await self._look.wait()

    async def drain(self) -> None:
        """Run the hooks of all jobs that have ended."""
        more = bool(self._known)
        while more:
            async with anyio.create_task_group() as group:
                more = await self._start(group)

    async def _mark(self) -> None:
        """Make it known what hooks there are, for jobs that were enqueued by programs without them."""
        await self._queue.broker.send([("SADD", self._queue.broker.keys["hooked_tasks"], *self._known)])

    async def _start(self, group: TaskGroup) -> bool:
        """Start as many hooks as there is room for; tell whether there were any."""
        room = CONCURRENCY - self._running
        if not room:
            return False
        each = [(hook,) for hook in self._known]
        found = await self._queue.broker.run("reserve_ended", each, count=room, lease_ms=self._lease_ms)
        members = [member.decode() for member in found]
        self._running += len(members)
        for member in members:
            group.start_soon(self._run_hook, member)
        return bool(members)

    async def _run_hook(self, member: str) -> None:
        """Run the hook of a member of `ended`: a job's id if it has ended, or id:failures if it is to be tried again.

        Whatever goes wrong, the member comes again after a pause that Redis doubles each time, up to 1 h.
        """
        job_id, _, failures = member.partition(":")
        try:
            async with asyncio.timeout(self._lease_ms / 1000):
                job = await self._queue.get(job_id)
                if job is None or not (failures or job.status.ended):
                    return  # it has expired, or was replayed
                seq = job.seq
                if hook := self._queue.tasks[job.task].hooks.get("retried" if failures else job.status):
                    await hook(job)
            await self._queue.broker.run("ack_ended", [(member, seq)])
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a hook may raise anything, and harms no other
            # Its place, but not its message, which may be about persons.
            place = "".join(traceback.format_tb(error.__traceback__)).rstrip()
            extra = {"job": job_id, "error": type(error).__name__}
            log.error("a hook failed and will be run again: %s\n%s", type(error).__name__, place, extra=extra)  # noqa: TRY400 - no message
        finally:
            self._running -= 1
            self._look.set()
