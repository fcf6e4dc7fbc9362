"""A worker: reserves jobs, runs them, settles them.

One loop exchanges with Redis: what has been settled goes there, and new jobs come back in the same round trip. While
that is under way a second exchange may be sent ahead, so that Redis and the handlers work at the same time. When there
is nothing to do the worker sleeps in a blocking pop, and wakes itself when something falls due. The heart beats in a
process of its own, so that a busy loop loses no lease; hooks of ended jobs are run beside the jobs.
"""

import asyncio
import contextlib
import logging
import math
import os
import random
import secrets
import socket
import time

import anyio

from evq.broker import PORTION, Call, Reply, Reserved
from evq.census import overdue
from evq.checks import check_kind, check_seconds, check_whole
from evq.context import Context, SyncContext
from evq.errors import (
    EvqError,
    JobCancelled,
    LeaseLost,
    QueueFull,
    QueueUnavailable,
    UsageError,
    WorkerStopped,
)
from evq.executor import Outcome, Snoozed
from evq.heartbeat import Heartbeat
from evq.hooks import Hooks
from evq.isolation import check_isolation, isolates, run_attempt
from evq.job import JobProgress, ReservedJob
from evq.queue import Queue
from evq.running import PATIENCE, Running, late, time_limit
from evq.settle import settle_calls
from evq.task import Task
from evq.upkeep import Upkeep

log = logging.getLogger("evq.worker")

SLEEP_MS = 5_000
"""The longest sleep of an idle worker, so that a lost wake token costs no more than this, ms."""
LOG_LINES = 1_000
"""A job's log keeps the last of them."""
OVERDUE = 5.0
"""How long past its timeout an attempt keeps its lease, s: one that does not stop even then is taken for lost."""


class Worker:
    """Runs the jobs of a queue in this process."""

    def __init__(self, queue: Queue, *, concurrency: int = 1, grace: float = 30.0) -> None:
        """Make a worker that runs up to *concurrency* jobs at a time; raise `UsageError` if that cannot be.

        When it is stopped, running jobs have *grace* s to end; the others are handed back.
        """
        check_kind("queue", queue, Queue)
        check_whole("concurrency", concurrency, least=1)
        check_seconds("grace", grace)
        if not queue.tasks:
            raise UsageError(f"queue {queue.name} has no tasks: import the modules that define them first")
        check_isolation(queue)
        self.queue = queue
        self.concurrency = concurrency
        self.grace = grace
        self.id = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
        # By id and fence: a lease that was lost here may be given back to us.
        self._running: dict[tuple[str, int], Running] = {}
        self._unsettled: list[tuple[ReservedJob, Outcome]] = []
        self._under_way = 0  # exchanges
        self._reserving = 0  # how many jobs may come of them
        self._changed = asyncio.Event()
        self._full = asyncio.Event()  # there is as much to settle as one exchange should
        self._more = True  # for all that is known, more jobs are waiting
        self._burst = False
        self._stopping = False
        self._given_up = False
        self._reachable = True
        self._sleeper: asyncio.Task[None] | None = None
        self._wait_ms = SLEEP_MS  # until something falls due
        self._alarm: asyncio.TimerHandle | None = None
        self._look_at = math.inf  # when it goes off, by the monotonic clock

    # From outside

    async def run(self, *, burst: bool = False) -> None:
        """Run jobs until stopped; with *burst*, until no job waits and none is running here."""
        self._loop = asyncio.get_running_loop()
        self._limiter = anyio.CapacityLimiter(self.concurrency)
        self._broker = self.queue.broker
        self._reserves: dict[int, Call] = {}  # by how many jobs each asks for
        self._tasks = [(name, int(isolates(task))) for name, task in self.queue.tasks.items()]
        self._burst = burst
        log.info("worker started", extra={"worker": self.id, "queue": self.queue.name})
        hooks, upkeep = Hooks(self.queue), Upkeep(self.queue)
        async with Heartbeat(self.id, self.queue, self.concurrency, self._on_word).beating() as self._leases:
            async with anyio.create_task_group() as group:
                group.start_soon(hooks.run)
                group.start_soon(upkeep.run)
                group.start_soon(self._exchange_ahead)
                try:
                    await self._serve(hooks)
                finally:
                    await self._abandon()
                hooks.stop()
                upkeep.stop()
            if burst:
                await hooks.drain()
        log.info("worker stopped", extra={"worker": self.id, "queue": self.queue.name})

    def stop(self) -> None:
        """Take no more jobs, let the running ones end within the grace time, and return from `run`.

        Call it in the worker's own event loop.
        """
        if not self._stopping:
            self._stopping = True
            self._changed.set()
            self._full.set()
            loop = asyncio.get_running_loop()
            loop.call_later(self.grace, self._interrupt_all)
            loop.call_later(self.grace + PATIENCE, self._give_up)

    # From the heart

    def _on_word(self, job_id: str, fence: int, word: Reply) -> None:
        running = self._running.get((job_id, fence))
        if running is None:
            return
        if word is Reply.CANCEL:
            running.interrupt(JobCancelled(job_id))
        elif word is Reply.STALE:
            log.warning("lease lost", extra={"worker": self.id, "job": job_id})
            running.interrupt(LeaseLost(job_id))

    # The loop

    async def _serve(self, hooks: Hooks) -> None:
        while not self._given_up:
            self._changed.clear()
            try:
                await self._exchange()
                leaving = self._stopping or (self._burst and self._idle and not await overdue(self._broker))
                if leaving and self._sleeper is not None:
                    with contextlib.suppress(QueueFull):  # it wakes by itself in a few seconds
                        await self._broker.tell(self.id, "stop")  # for its last look
            except QueueUnavailable as error:
                await self._wait_out(error)
                continue
            hooks.look()
            if self._unsettled or (self._more and self._room()):
                continue
            if leaving and self._idle and self._sleeper is None:
                return
            if not leaving:
                self._sleep_if_idle()
            await self._changed.wait()
        log.error(
            "the worker leaves handlers behind that do not end, and hands their jobs back",
            extra={"worker": self.id, "running": len(self._running), "unsettled": len(self._unsettled)},
        )

    @property
    def _idle(self) -> bool:
        return not self._running and not self._under_way

    def _room(self) -> int:
        if self._stopping or self._sleeper is not None:
            return 0
        places = self.concurrency - len(self._running)
        return min(PORTION, min(places, self._leases.free) - self._reserving)

    async def _exchange(self) -> None:
        """Settle what has been run, and reserve as much as there is room for, in one round trip."""
        outcomes = self._unsettled
        self._unsettled = []
        calls = settle_calls(self._broker, outcomes)
        # A burst ends with a look for jobs that the last ones may have enqueued.
        room = self._room() if self._more or (self._burst and calls) else 0
        if not calls and not room:
            return
        self._under_way += 1
        self._reserving += room
        try:
            words, reserved = await self._broker.exchange(
                [call for _, call in calls], self._reserve(room) if room else None
            )
        except BaseException:
            self._unsettled[:0] = outcomes
            raise
        finally:
            self._under_way -= 1
            self._reserving -= room
        self._note_reachable()
        for job, _ in outcomes:
            self._leases.release(job.id, job.fence)
        for (job_ids, _), replies in zip(calls, words, strict=True):
            for job_id, word in zip(job_ids, replies, strict=True):
                if word is Reply.STALE:
                    log.warning("lease lost before the end", extra={"worker": self.id, "job": job_id})
        if reserved is not None:
            self._take(reserved, room)
        elif self._burst:  # there was no room for that look
            self._more = True

    async def _exchange_ahead(self) -> None:
        """Exchange whenever there is enough for it, though another exchange is under way."""
        while not self._stopping:
            await self._full.wait()
            self._full.clear()
            try:
                if len(self._unsettled) >= PORTION and self._reachable:
                    await self._exchange()
            except QueueUnavailable as error:
                await self._wait_out(error)
            self._changed.set()

    def _reserve(self, count: int) -> Call:
        call = self._reserves.get(count)
        if call is None:
            lease_ms = self.queue.lease_ms
            call = self._broker.call("reserve", self._tasks, worker=self.id, count=count, lease_ms=lease_ms)
            self._reserves[count] = call
        return call

    def _take(self, reserved: Reserved, asked: int) -> None:
        if reserved.parked:
            log.warning(
                "jobs of unknown tasks were parked until a worker comes that knows them",
                extra={
                    "worker": self.id,
                    "jobs": list(reserved.parked),
                    "tasks": sorted(set(reserved.parked.values())),
                },
            )
        self._wait_ms = SLEEP_MS if reserved.wait_ms is None else min(SLEEP_MS, reserved.wait_ms)
        self._more = len(reserved.jobs) == asked or reserved.wait_ms == 0
        for job in reserved.jobs:
            if self._stopping:
                self._unsettled.append((job, Snoozed()))
            else:
                self._start_job(job)

    async def _wait_out(self, error: QueueUnavailable) -> None:
        if self._reachable:
            log.error("waiting for Redis: %s", error, extra={"worker": self.id})
            self._reachable = False
        await anyio.sleep(random.uniform(0.2, 1.0))  # noqa: S311 - spread, not secrecy

    def _note_reachable(self) -> None:
        if not self._reachable:
            log.info("Redis is back", extra={"worker": self.id})
            self._reachable = True

    # Idle

    def _sleep_if_idle(self) -> None:
        """Sleep until there are jobs for the room that is left, beside those that run."""
        room = self._room()
        if room:
            self._sleeper = asyncio.create_task(self._sleep(room))

    async def _sleep(self, room: int) -> None:
        wait_ms, alarm = self._wait_ms, None
        if wait_ms == SLEEP_MS:
            wait_ms -= random.randrange(SLEEP_MS // 10)  # noqa: S311 - so that sleepers do not wake together
        else:
            alarm = asyncio.create_task(self._ring_in(wait_ms))
        try:
            reserved = await self._broker.sleep(self.id, wait_ms, self._reserve(room))
            self._note_reachable()
            self._take(reserved, room)
        except QueueUnavailable as error:
            await self._wait_out(error)
            self._more = True
        finally:
            if alarm is not None:
                alarm.cancel()
            self._sleeper = None
            self._more = self._more or self._burst
            self._changed.set()

    async def _ring_in(self, wait_ms: int) -> None:
        """Wake the sleeper when something falls due: Redis itself ends a pop that took too long up to 0.1 s late."""
        await asyncio.sleep(wait_ms / 1000)
        with contextlib.suppress(QueueFull, QueueUnavailable):
            await self._broker.tell(self.id, "due")

    # Jobs

    def _start_job(self, job: ReservedJob) -> None:
        task = self.queue.tasks[job.task]

        async def report(what: JobProgress | str) -> None:
            broker = self._broker
            try:
                if isinstance(what, str):
                    word = await broker.word("log", id=job.id, fence=job.fence, line=what, most=LOG_LINES)
                else:
                    word = await broker.word("progress", id=job.id, fence=job.fence, progress=what.dump())
            except QueueUnavailable:
                return  # both are for onlookers: the job goes on, and the worker's loop reports the outage
            if word is Reply.STALE:
                raise LeaseLost(job.id)

        context = (Context if task.is_async else SyncContext)(job, report)
        running = Running(job, context, time.monotonic() + time_limit(task, job))
        self._leases.hold(job.id, job.fence, running.until + OVERDUE)
        self._running[job.id, job.fence] = running
        if running.until < self._look_at:
            self._look_for_late(running.until)
        running.task = self._loop.create_task(self._run_job(task, running))

    async def _run_job(self, task: Task, running: Running) -> None:
        job = running.job
        try:
            outcome = await run_attempt(task, job, running.context, self._limiter)
            if outcome is None:
                self._leases.release(job.id, job.fence)
            else:
                self._unsettled.append((job, outcome))
        finally:
            del self._running[job.id, job.fence]
            self._changed.set()
            if len(self._unsettled) >= PORTION:
                self._full.set()

    # One alarm, for the job that must end first, serves all: a timer for each would cost as much as its task.

    def _look_for_late(self, at: float) -> None:
        """Interrupt the jobs that have not ended in time, at the moment *at* and again whenever the next one must."""
        if self._alarm is not None:
            self._alarm.cancel()
        self._look_at = at
        self._alarm = self._loop.call_later(max(0.0, at - time.monotonic()), self._interrupt_late)

    def _interrupt_late(self) -> None:
        now, self._alarm, self._look_at = time.monotonic(), None, math.inf
        for running in list(self._running.values()):
            if running.until <= now:
                running.interrupt(late(self.queue.tasks[running.job.task], running.job))
        left = [running.until for running in self._running.values() if running.until > now]
        if left:
            self._look_for_late(min(left))

    # The end

    def _interrupt_all(self) -> None:
        for running in list(self._running.values()):
            running.interrupt(WorkerStopped(running.job.id))

    def _give_up(self) -> None:
        self._given_up = True
        self._changed.set()

    async def _abandon(self) -> None:
        """Hand back what still runs, should the loop have ended by an error or by cancellation."""
        self._stopping = True
        self._full.set()
        if self._alarm is not None:
            self._alarm.cancel()
        self._interrupt_all()
        tasks = [running.task for running in self._running.values() if running.task]
        with anyio.CancelScope(shield=True):
            if self._sleeper is not None:  # jobs may be on their way to it
                tasks.append(self._sleeper)
                with contextlib.suppress(EvqError):
                    await self._broker.tell(self.id, "stop")
            if tasks:
                await asyncio.wait(tasks, timeout=0 if self._given_up else PATIENCE)
            if self._sleeper is not None:
                self._sleeper.cancel()
            # What a handler does that was left behind is harmless: its job gets a new fence.
            self._unsettled += [(running.job, Snoozed()) for running in self._running.values()]
            with contextlib.suppress(QueueUnavailable):
                await self._exchange()
