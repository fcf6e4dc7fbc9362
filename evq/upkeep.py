"""What a worker does for its queue beside running jobs: fire schedules, evaluate alerts."""

import asyncio
import contextlib
import logging
import random
import re
from collections.abc import Awaitable, Callable
from datetime import datetime

import anyio
import orjson

from evq.alerts import PERIOD_MS, evaluate
from evq.broker import Reply, standing
from evq.errors import EvqError, QueueUnavailable
from evq.queue import Queue
from evq.schedules import Schedule, due_instants, from_ms, next_instant, to_ms

log = logging.getLogger("evq.upkeep")

PERIOD = 5.0
"""The longest time from one look to the next, s."""
BATCH = 100
"""Schedules fired in one look."""


class Upkeep:
    """Looks after a queue. Every worker does; what is due is done by whoever comes first."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self._stopped = asyncio.Event()
        self._broken: set[str] = set()

    def stop(self) -> None:
        """End `run` once what it does has been done."""
        self._stopped.set()

    async def run(self) -> None:
        """Look after the queue until stopped."""
        async with anyio.create_task_group() as group:
            group.start_soon(self._check_eviction)
            group.start_soon(self._repeat, self.fire_due)
            group.start_soon(self._repeat, self.evaluate_alerts)

    async def _check_eviction(self) -> None:
        with contextlib.suppress(EvqError):
            (memory,) = await self._queue.broker.send([("INFO", "memory")])
            if policy := re.search(rb"maxmemory_policy:(?!noeviction)(\S+)", memory):
                log.warning(
                    "Redis may delete jobs when it is full: set its maxmemory-policy to noeviction",
                    extra={"queue": self._queue.name, "maxmemory_policy": policy[1].decode()},
                )

    async def _repeat(self, duty: Callable[[], Awaitable[float]]) -> None:
        """Do a duty again and again, after as many s as it says."""
        while not self._stopped.is_set():
            wait = PERIOD
            try:
                wait = await duty()
            except QueueUnavailable:
                pass  # the worker's own loop reports an outage
            except Exception:  # such as foreign data: the worker does its jobs all the same
                log.exception("what the worker does for its queue failed", extra={"queue": self._queue.name})
            # Spread, so that of many workers one comes first and the others find nothing to do.
            with anyio.move_on_after(wait + random.uniform(0, 0.5)):  # noqa: S311 - not secrecy
                await self._stopped.wait()

    async def evaluate_alerts(self) -> float:
        """Evaluate the alert rules, unless another worker just did; return s until the next turn."""
        queue = self._queue
        await evaluate(queue.name, queue.broker, queue.alert_rules, queue.alert_hooks)
        return PERIOD_MS / 1000

    async def fire_due(self) -> float:
        """Fire the schedules that are due by Redis's clock; return s until the next look."""
        now_ms, wait_ms, *due = await self._queue.broker.run("due_schedules", limit=BATCH)
        for schedule, next_ms, spec in zip(due[::3], due[1::3], due[2::3], strict=True):
            name = schedule.decode(errors="replace")
            try:
                await self._fire(Schedule.load(name, spec, next_ms), spec, from_ms(now_ms))
                self._broken.discard(name)
            except QueueUnavailable:
                raise
            except EvqError as error:  # one that cannot be fired keeps none of the others
                if name not in self._broken:
                    self._broken.add(name)
                    extra = {"queue": self._queue.name, "schedule": name}
                    log.error("cannot fire: %s", error, extra=extra)  # noqa: TRY400 - its sentence says it all
        return PERIOD if wait_ms < 0 else min(PERIOD, wait_ms / 1000)

    async def _fire(self, schedule: Schedule, spec: bytes, now: datetime) -> None:
        ids = [schedule.job_id(self._queue.name, instant) for instant in due_instants(schedule, now)]
        word, *replies = await self._queue.broker.run(
            "fire",
            [(job_id,) for job_id in ids],
            name=schedule.name,
            spec=spec,
            instant=to_ms(schedule.next),
            next_ms=to_ms(next_instant(schedule, now)),
            task=schedule.task,
            payload=orjson.dumps(schedule.payload),
            options=orjson.dumps(schedule.options),
        )
        if word == Reply.FIRED.encode():
            added = [job_id for answer, job_id in standing(ids, replies) if answer is Reply.OK]
            extra = {"queue": self._queue.name, "schedule": schedule.name, "instants": len(ids), "jobs": added}
            log.info("schedule fired", extra=extra)
