"""The operator's side of a queue: many jobs at once, limits, schedules, and how it fares."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import orjson

from evq import census
from evq.alerts import Alert, AlertHook
from evq.broker import PORTION, Broker, Reply, pairs
from evq.checks import check_hook, check_kind, check_name, check_seconds, check_whole
from evq.errors import UsageError
from evq.job import Record, WorkerInfo
from evq.lifecycle import END_STATES, PENDING_STATES, State
from evq.metrics import Metrics, read_metrics
from evq.schedules import Fold, Gap, Misfire, Overlap, Schedule, from_ms, next_instant, overlap_options, to_ms
from evq.scripts import Argument
from evq.task import Task


class Control(ABC):
    """What a `Queue` offers to those who run it."""

    name: str
    alert_hooks: list[AlertHook]

    @property
    @abstractmethod
    def broker(self) -> Broker: ...

    # Many jobs: in portions, each of which is one short script.

    async def cancel_all(
        self, state: State | str | None = None, *, group: str | None = None, task: str | None = None
    ) -> int:
        """Cancel the jobs of one state, or all pending ones; of a group, of a task, if given. Return how many.

        These are the jobs that are there when it is called. Those that run go on, unless *state* is active.
        """
        states = PENDING_STATES if state is None else (listed(state),)
        return await self._sweep("cancel", states, group, task, running=int(state == State.ACTIVE))

    async def replay_all(
        self, state: State | str = State.FAILED, *, group: str | None = None, task: str | None = None
    ) -> int:
        """Replay the failed jobs, or the cancelled ones; of a group, of a task, if given. Return how many."""
        return await self._sweep("replay", (listed(state),), group, task)

    async def _sweep(
        self, verb: str, states: Sequence[State], group: str | None, task: str | None, **argv: Argument
    ) -> int:
        """Do *verb* to each job of *states* that is there now; again, while some may have gone from one to another."""
        check_name("group", group, optional=True)
        check_name("task", task, optional=True)
        broker, done = self.broker, 0
        until_ms = await broker.now()
        while True:
            found = 0
            for state in states:
                for of in await census.places(broker, state, group, task):
                    async for ids in census.every(broker, state, of):
                        records = await broker.get([job_id.decode(errors="replace") for job_id in ids], skip=True)
                        each = [(one.id,) for one in records if one and _is_meant(one, until_ms, group, task)]
                        words = await broker.words(verb, each, **argv) if each else []
                        found += sum(word in (Reply.OK, Reply.CANCELLED, Reply.REQUESTED) for word in words)
            done += found
            if not found or len(states) == 1:
                return done

    async def drain(self, group: str | None = None) -> int:
        """Cancel every pending job, or those of a group; return how many. Those that run go on."""
        return await self.cancel_all(group=group)

    async def purge(self, state: State | str, *, older_than: float = 0.0) -> int:
        """Delete the jobs that ended completed, failed or cancelled more than *older_than* s ago; return how many.

        Those whose hooks have not run yet stay.
        """
        if state not in END_STATES:
            raise UsageError(f"purge({state!r}): only jobs that are completed, failed or cancelled can be purged")
        check_seconds("older_than", older_than, least=0)
        until_ms, done, looked = await self.broker.now() - round(older_than * 1000), 0, PORTION
        while looked == PORTION:
            looked, deleted = await self.broker.run("purge", state=state, until_ms=until_ms, limit=PORTION)
            done += deleted
        return done

    # Limits

    async def pause(self, group: str | None = None) -> None:
        """Let no job of the queue, or of one group, start any more; those that run go on."""
        await self.broker.run("pause", group=_group(group))

    async def resume(self, group: str | None = None) -> None:
        """Let jobs of the queue, or of one group, start again."""
        await self.broker.run("resume", group=_group(group))

    async def limit(
        self,
        group: str | None = None,
        *,
        concurrency: int | None = None,
        rate: float | None = None,
        burst: int = 1,
        weight: float | None = None,
    ) -> None:
        """Say anew how many jobs of the queue, or of one group, may run at a time and start in a while.

        *concurrency* bounds those that run, on all workers together; *rate* (jobs/s) those that start, of which *burst*
        may do so at once. A group of *weight* 2 gets two turns where others get one. What is not given is not limited.
        """
        if concurrency is not None:
            check_whole("concurrency", concurrency, least=1)
        check_whole("burst", burst, least=1)
        if burst != 1 and rate is None:
            raise UsageError(f"burst={burst}: it is one of a rate: give rate= as well")
        for name, value in (("rate", rate), ("weight", weight)):
            if value is not None and (type(value) not in (int, float) or not 0.001 <= value <= 1_000_000):
                raise UsageError(f"{name}={value!r}: use a number from 0.001 to 1,000,000")
        if weight is not None and group is None:
            raise UsageError("weight: only a group has one; say which with group=")
        settings: dict[str, float | None] = {"concurrency": concurrency, "weight": weight}
        if rate is not None:
            settings |= {"interval": 1000 / rate, "burst": burst}
        given = {name: value for name, value in settings.items() if value is not None}
        await self.broker.run("limit", group=_group(group), settings=orjson.dumps(given))

    # Schedules

    async def schedule(
        self,
        name: str,
        task: Task,
        *,
        cron: str,
        tz: str = "UTC",
        payload: Mapping[str, Any] | None = None,
        gap: Gap = "shift",
        fold: Fold = "first",
        misfire: Misfire = "once",
        overlap: Overlap = "allow",
    ) -> Schedule:
        """Enqueue a job of *task* at every instant that *cron* names in the zone *tz*; see `Schedule`.

        One of that name is replaced; doing it again with nothing changed changes nothing, so it may be done at every
        start. Raise `UsageError` for what cannot be a schedule, `PayloadError` if *payload* does not fit the task.
        """
        check_kind("task", task, Task)
        if task.queue.name != self.name:
            raise UsageError(f"schedule {name}: task {task.name} is one of queue {task.queue.name}: schedule it there")
        task.bind(payload or {})  # before it is spread, so that what is no mapping is refused by name
        own = overlap_options(name, overlap)
        for option in ("id", "delay", "at", *own):
            if getattr(task.options, option):
                raise UsageError(f"schedule {name}: use task {task.name} without {option}=, which the schedule decides")
        job = task.using(**own).job(**payload or {})
        schedule = Schedule(
            name=name,
            task=task.name,
            payload=dict(payload or {}),
            options=orjson.loads(job.options or b"{}"),
            cron=cron,
            tz=tz,
            gap=gap,
            fold=fold,
            misfire=misfire,
            overlap=overlap,
            next=from_ms(0),
        )
        schedule = replace(schedule, next=next_instant(schedule, from_ms(await self.broker.now())))
        if overlap == "queue":
            await self.limit(own["group"], concurrency=1)
        next_ms = await self.broker.run("schedule", name=name, spec=schedule.dump(), next_ms=to_ms(schedule.next))
        return replace(schedule, next=from_ms(next_ms))

    async def unschedule(self, name: str) -> Reply:
        """Forget a schedule: `OK` or `NOT_FOUND`. The jobs that it has enqueued stay."""
        check_name("name", name)
        return await self.broker.word("unschedule", name=name)

    async def schedules(self) -> list[Schedule]:
        """List the schedules, the one that fires next first; raise `UsageError` if one cannot be read."""
        keys = self.broker.keys
        scored, flat = await self.broker.send(
            [("ZRANGE", keys["schedules"], 0, -1, "WITHSCORES"), ("HGETALL", keys["schedule_specs"])]
        )
        specs = pairs(flat)
        return [Schedule.load(name.decode(), specs.get(name, b""), int(ms)) for name, ms in pairs(scored).items()]

    # Metrics and alerts

    async def metrics(self, since: datetime | timedelta = timedelta(hours=1)) -> Metrics:
        """Return what was measured since a moment, or for so long, by whole minutes; 48 h are kept.

        Raise `UsageError` if the moment lies ahead or has no time zone.
        """
        check_kind("since", since, datetime, timedelta)
        return await read_metrics(self.broker, since)

    async def alerts(self) -> list[Alert]:
        """Return the alerts as they were evaluated last; none if no worker ever did."""
        found = [Alert.load(text) for text in (await self.broker.send([("HVALS", self.broker.keys["alerts"])]))[0]]
        return sorted((alert for alert in found if alert), key=lambda alert: alert.rule.name)

    def on_alert(self, hook: AlertHook) -> AlertHook:
        """Let *hook* be told of every change of an alert's state, at least once each, by the worker that saw it."""
        check_hook("on_alert", hook)
        self.alert_hooks.append(hook)
        return hook

    async def counts(self) -> dict[str, int]:
        """Count the jobs that are waiting, delayed, parked, active; and, since the beginning, those that ended."""
        return await census.counts(self.broker)

    async def oldest_waiting(self) -> float | None:
        """Return for how long the job that has waited longest has, s, or None if none waits."""
        return await census.oldest_waiting(self.broker)

    async def workers(self) -> list[WorkerInfo]:
        """List the workers that are alive, as their last heartbeats said."""
        return await census.workers(self.broker)

    async def scale(self, count: int | None) -> int:
        """Set how many workers all pools of this queue run together, and return how many they will.

        Each runs up to its capacity. The number stays until it is set again; None: as many as each was started with.
        """
        if count is not None:
            check_whole("count", count, least=0)
        running: int = await self.broker.run("scale", count=-1 if count is None else count, by=0)
        return running


def _is_meant(record: Record, until_ms: int, group: str | None, task: str | None) -> bool:
    came_ms = max(record.created_ms, record.ended_ms or 0)
    return came_ms <= until_ms and group in (None, record.group) and task in (None, record.task)


def _group(group: str | None) -> str:
    check_name("group", group, optional=True)
    return group or ""


def listed(state: State | str) -> State:
    """Return the state whose jobs can be listed; raise `UsageError` if there is none of that name."""
    if state not in list(State):
        raise UsageError(f"state={state!r}: use one of {', '.join(State)}")
    return State(state)
