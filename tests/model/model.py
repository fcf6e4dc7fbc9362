"""A queue as a plain program: what the scripts promise, said a second time, without Redis.

A job changes its state in `_go` only, which holds every step against `evq.lifecycle.TRANSITIONS`. Which group's turn it
is, is not predicted: `reserve` is told what was started, and checks that all of that was allowed, and that nothing was
left that could have started as well.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from evq.job import JobProgress, ReservedJob
from evq.lifecycle import END_STATES, GONE, PENDING_STATES, TRANSITIONS, State
from tests.model.records import Job, Limits, New

POISON_MS = 72 * 3_600_000
HOUR_MS = 3_600_000
WEEK_MS = 7 * 24 * HOUR_MS


class Model:
    """The queue."""

    def __init__(self, now: int, keep_ms: int, keep_count: int) -> None:
        self.now, self.keep_ms, self.keep_count = now, keep_ms, keep_count
        self.jobs: dict[str, Job] = {}
        self.limits: defaultdict[str, Limits] = defaultdict(Limits)  # "": those of the queue
        self.throttled: dict[str, int] = {}
        self.dedup: dict[str, str] = {}
        self.staging: dict[str, int] = {}
        self.marked: dict[str, int] = {}
        self.parts: defaultdict[str, dict[int, list[New]]] = defaultdict(dict)  # of each batch, numbered down to 1
        self.index: dict[str, dict[str, int]] = {state: {} for state in END_STATES}
        self.deadlines: dict[str, int] = {}
        self.to_tell: dict[str, int] = {}
        self.hooks: set[str] = set()
        self.waiters: defaultdict[str, set[str]] = defaultdict(set)
        self.told: defaultdict[str, list[str]] = defaultdict(list)
        self.alive: dict[str, int] = {}
        self.held = 0
        self.totals: Counter[str] = Counter()
        self.figures: Counter[str] = Counter()
        self._sequence = 0
        self._ends: defaultdict[str, list[str]] = defaultdict(list)

    # Steps that several verbs have in common

    def _go(self, verb: str, job: Job, state: str) -> None:
        assert (job.state, state) in TRANSITIONS[verb], f"{verb}: {job.state} -> {state}"
        job.state = state

    def jobs_in(self, state: str) -> Iterator[Job]:
        return (job for job in self.jobs.values() if job.state == state)

    def waiting(self, group: str | None) -> list[Job]:
        mine = [job for job in self.jobs_in(State.WAITING) if job.group == group]
        return sorted(mine, key=lambda job: job.place)

    def running(self, group: str | None) -> int:
        return sum(job.group == group for job in self.jobs_in(State.ACTIVE))

    def open_groups(self) -> set[str]:
        names = {job.group for job in self.jobs_in(State.WAITING) if job.group}
        return {g for g in names if g not in self.throttled and self.limits[g].may_run(self.running(g))}

    def _wait(self, job: Job, *, front: bool = False) -> None:
        self._sequence += 1
        job.place = (job.priority, -self._sequence if front else self._sequence)

    def _place(self, verb: str, job: Job, *, front: bool) -> None:
        self._go(verb, job, State.DELAYED if (job.due or 0) > self.now else State.WAITING)
        if job.state == State.WAITING:
            self._wait(job, front=front)
        if moments := [job.options[name] for name in ("expires", "deadline") if name in job.options]:
            self.deadlines[job.id] = min(moments)

    def _measure(self, figure: str, ms: int) -> None:
        self.figures[f"{figure}_ms"] += ms
        self.figures[f"{figure}:{ms.bit_length()}"] += 1

    def _end(self, verb: str, job: Job, state: str, error: str | None = None) -> None:
        self._go(verb, job, state)
        job.ended, job.error = self.now, error or job.error
        job.seq += 1
        self._ends[state].append(job.id)
        if "expires" in job.options or "deadline" in job.options:
            self.deadlines.pop(job.id, None)
        self._release_key(job)
        for waiter in self.waiters.pop(job.id, ()):
            self.told[waiter].append(job.id)
        if f"{job.task} {state}" in self.hooks:
            self.to_tell = {of: ms for of, ms in self.to_tell.items() if ms > self.now - WEEK_MS}
            self.to_tell[job.id] = self.now

    def _release_key(self, job: Job) -> None:
        key = job.options.get("dedup", "")
        if self.dedup.get(key) == job.id:
            del self.dedup[key]

    def _finish(self) -> None:
        for state, ids in self._ends.items():
            self.index[state] |= dict.fromkeys(ids, self.now)
            self.totals[state] += len(ids)
            self.figures[state] += len(ids)
            self._let_old_go(state, 2 * len(ids))
        self._ends.clear()

    def _let_old_go(self, state: str, most: int) -> int:
        old = len(_due(self.index[state], self.now - self.keep_ms))
        looks = max(0, min(max(old, len(self.index[state]) - self.keep_count), most))
        self._let_go(state, _due(self.index[state])[:looks])
        return looks

    def _let_go(self, state: str, ids: Iterable[str]) -> int:
        index, gone = self.index[state], [job_id for job_id in ids if job_id not in self.to_tell]
        index |= dict.fromkeys((job_id for job_id in ids if job_id in self.to_tell), self.now)
        for job_id in gone:
            del index[job_id]
            self._forget(job_id)
        return len(gone)

    def _forget(self, job_id: str) -> None:
        self.jobs.pop(job_id, None)
        self.waiters.pop(job_id, None)

    # New jobs

    def enqueue(self, news: Sequence[New]) -> list[tuple[str, str]]:
        return self._refusal(news) or [self._add("enqueue", new) for new in news]

    def _refusal(self, news: Iterable[New]) -> list[tuple[str, str]]:
        """Say which job is in the way of one of the new ones, whatever its mode: then none is added."""
        taken: dict[str, str] = {}
        for new in news:
            if not new.dedup:
                continue
            holder = self.jobs.get(self.dedup.get(new.dedup, ""))
            if holder is not None and holder.state not in END_STATES:
                alien = new.mode != "existing" and holder.task != new.task
                if holder.id != new.id and (new.mode == "reject" or alien):
                    return [("REFUSED", holder.id)]
            elif new.mode == "reject" and taken.get(new.dedup, new.id) != new.id:
                return [("REFUSED", taken[new.dedup])]
            taken[new.dedup] = new.id
        return []

    def _add(self, verb: str, new: New) -> tuple[str, str]:
        if new.id in self.jobs:
            return "EXISTS", new.id
        holder = self.jobs.get(self.dedup.get(new.dedup, "")) if new.dedup else None
        if holder is not None and holder.state not in END_STATES:
            if new.mode not in ("replace", "debounce") or holder.task != new.task:
                return "DUPLICATE", holder.id
            if holder.state in PENDING_STATES:
                self._replace(holder, new)
                return "REPLACED", holder.id
        self._place(verb, self._write(new), front=new.front)
        self.totals["enqueued"] += 1
        self.figures["enqueued"] += 1
        return "OK", new.id

    def _replace(self, job: Job, new: New) -> None:
        job.payload = new.payload
        job.beside = job.beside or len(new.payload) > 1024
        job.seq += 1
        if new.mode == "debounce":
            self._go("enqueue", job, State.DELAYED)
            job.due = max(new.at, self.now + new.delay)
            moments = self._moments(new) | ({"expires": 0} if job.fence else {})
            self._decide(job, {"group": job.group, "dedup": new.dedup, **moments})

    def _moments(self, new: New) -> dict[str, int]:
        return {name: ms and self.now + ms for name, ms in (("expires", new.expires), ("deadline", new.deadline))}

    def _decide(self, job: Job, options: Mapping[str, Any]) -> None:
        job.options = {name: value for name, value in options.items() if value}
        self.deadlines.pop(job.id, None)
        if moments := [job.options[name] for name in ("expires", "deadline") if name in job.options]:
            self.deadlines[job.id] = min(moments)

    def _write(self, new: New) -> Job:
        due = max(new.at, self.now + new.delay)
        options = {"group": new.group, "dedup": new.dedup, **self._moments(new)}
        job = Job(
            id=new.id,
            task=new.task,
            payload=new.payload,
            beside=len(new.payload) > 1024,
            priority=new.priority,
            created=self.now,
            due=due if due > self.now else None,
            options={name: value for name, value in options.items() if value},
        )
        self.jobs[job.id] = job
        if new.dedup:
            self.dedup[new.dedup] = job.id
        self.hooks |= {f"{new.task} {event}" for event in new.hooks}
        return job

    def lapse(self, key: str) -> None:
        """Let a dedup key reach the end of its time to live."""
        self.dedup.pop(key, None)

    # Large batches

    def stage(self, batch: str, hold_ms: int, parts: Mapping[int, list[New]]) -> None:
        if not self._is_marked(batch):
            self.parts[batch] |= parts
            self.staging[batch] = self.now + hold_ms

    def mark(self, batch: str, count: int, hold_ms: int) -> str:
        if self._is_marked(batch):
            return "OK"
        if self._is_known(batch) and len(self.parts[batch]) == count:
            self.marked[batch] = self.now
            self.staging[batch] = self.now + hold_ms
            return "OK"
        return "NOT_FOUND"

    def _is_marked(self, batch: str) -> bool:
        return batch in self.marked or (self._is_known(batch) and not self.parts[batch])

    def _is_known(self, batch: str) -> bool:
        return self.staging.get(batch, 0) > self.now

    def move(self, limit: int) -> bool:
        looks = 0
        while self.marked and looks < limit:
            batch = _due(self.marked)[0]
            news = self.parts[batch].pop(max(self.parts[batch]))
            for new in news:
                self._add("move", new)
            looks += len(news)
            if not self.parts[batch]:
                del self.marked[batch]
        return bool(self.marked)

    # Reserve

    def reserve(
        self,
        worker: str,
        count: int,
        lease_ms: int,
        tasks: Mapping[str, int],
        *,
        started: Sequence[str],
        parked: Sequence[str],
        throttled: dict[str, int],
    ) -> tuple[int | None, list[ReservedJob]]:
        """Check what a reserve has started, parked and held back; return what it should have answered."""
        self._reclaim(8)
        self._promote(128)
        rest = False
        if self.marked or self.deadlines or any(self.jobs_in(State.PARKED)):
            rest = self.move(50)
            self._expire(8)
            rest = self._unpark(tasks, min(count, 64)) or rest
        room, popped, given = self._room(count), [self.jobs[i] for i in (*started, *parked)], {}
        assert len(popped) <= room, f"{len(popped)} jobs were taken where the queue allows {room}"
        for group in {job.group for job in popped}:
            mine = sorted((job for job in popped if job.group == group), key=lambda job: job.place)
            assert mine == self.waiting(group)[: len(mine)], f"not the first of {group}"
            assert [j.id for j in mine if j.id in started] == [i for i in started if self.jobs[i].group == group]
            for job in mine:
                assert job.lateness(self.now) is None
                assert group is None or group in self.open_groups(), f"group {group} is closed"
                assert group is None or not self.limits[group].wait(self.now), f"group {group} is beyond its rate"
                assert (job.id in started) == (job.task in tasks), f"{job.task} is in {started} or {parked}"
                if job.id in parked:
                    self._go("reserve", job, State.PARKED)
                    job.seq += 1
                else:
                    given[job.id] = self._lease(job, worker, lease_ms, isolates=bool(tasks[job.task]))
        self._hold_back(throttled)
        if len(popped) < room:
            assert not self.open_groups(), "a group was passed over"
            assert not self.waiting(None), "jobs of no group were passed over"
        self._finish()
        return 0 if rest else self._wait_ms(), [given[job_id] for job_id in started]

    def _room(self, count: int) -> int:
        """Return how many jobs the queue's own limits let start, at most *count*."""
        queue, running, room = self.limits[""], sum(1 for _ in self.jobs_in(State.ACTIVE)), 0
        trial = Limits(queue.settings, queue.paused, queue.tat)
        while room < count and trial.may_run(running + room) and not trial.wait(self.now):
            trial.start(self.now)
            room += 1
        return room

    def _lease(self, job: Job, worker: str, lease_ms: int, *, isolates: bool) -> ReservedJob:
        self._go("reserve", job, State.ACTIVE)
        for limits in [self.limits[""], *([self.limits[job.group]] if job.group else [])]:
            limits.start(self.now)
        job.seq += 1
        started_before = job.fence > 0
        job.fence = max(job.fence + 1, self.now)
        job.worker, job.started, job.lease = worker, self.now, self.now + lease_ms
        job.isolated = isolates and len(job.crashed) >= 2
        deadline = job.options.get("deadline")
        if deadline is not None:
            self.deadlines[job.id] = deadline
        elif "expires" in job.options:
            self.deadlines.pop(job.id, None)
        self._measure("wait", self.now - max(job.created, job.due or 0))
        return ReservedJob(
            job.id,
            job.task,
            job.payload.encode(),
            job.fence,
            job.failures,
            job.created,
            JobProgress(percentage=job.progress) if job.progress is not None and started_before else None,
            None if deadline is None else deadline - self.now,
            job.isolated,
        )

    def _hold_back(self, throttled: dict[str, int]) -> None:
        for group, until in throttled.items() - self.throttled.items():
            wait = self.limits[group].wait(self.now)
            assert wait > 0 and until == self.now + wait, f"group {group} is held back until {until}, not {wait} ms"
        assert self.throttled.keys() <= throttled.keys(), "a group was let go too early"
        self.throttled = throttled

    def _wait_ms(self) -> int | None:
        queue, running = self.limits[""], sum(1 for _ in self.jobs_in(State.ACTIVE))
        pause = queue.wait(self.now) if queue.may_run(running) else 0
        if (self.open_groups() or self.waiting(None)) and queue.may_run(running) and not pause:
            return 0
        due = self.next_due()
        return min(pause, due if due is not None else pause) if pause else due

    def next_due(self) -> int | None:
        moments = [job.due or 0 for job in self.jobs_in(State.DELAYED)]
        if first := min((job.lease for job in self.jobs_in(State.ACTIVE)), default=None):
            moments.append(first if first > self.now else self._held_until())
        moments += [*self.deadlines.values(), *self.throttled.values()]
        return max(0, min(moments) - self.now) if moments else None

    def _unpark(self, tasks: Mapping[str, int], limit: int) -> bool:
        """Let so many parked jobs of each task wait; tell whether there are more."""
        for task in tasks:
            parked = sorted((job for job in self.jobs_in(State.PARKED) if job.task == task), key=lambda job: job.place)
            for job in parked[:limit]:
                self._go("reserve", job, State.WAITING)
                job.seq += 1
        return any(job.task in tasks for job in self.jobs_in(State.PARKED))

    # Leases

    def _check(self, job_id: str, fence: int) -> tuple[str, Job | None]:
        job = self.jobs.get(job_id)
        if job is not None and job.state == State.ACTIVE and job.fence == fence:
            return "OK", job
        return "REPEATED" if job is not None and fence in (job.fence, job.settled) else "STALE", None

    def settle(self, verb: str, leases: Iterable[tuple[str, int]], delay_ms: int) -> list[str]:
        words, in_front = [], []
        for job_id, fence in leases:
            word, job = self._check(job_id, fence)
            if job is not None:
                if verb in ("backoff", "snooze", "crash"):
                    job.settled = fence
                getattr(self, f"_{verb}")(job, delay_ms)
                if verb == "snooze" and job.state == State.WAITING:
                    in_front.append(job)
            words.append(word)
        for job in reversed(in_front):
            self._wait(job, front=True)
        self._finish()
        return words

    def _ack(self, job: Job, _: int) -> None:
        job.result = '"done"'
        self._measure("work", self.now - (job.started or 0))
        self._end("ack", job, State.COMPLETED)

    def _fail(self, job: Job, _: int) -> None:
        job.failures += 1
        self._measure("work", self.now - (job.started or 0))
        self._end("fail", job, State.CANCELLED if job.cancel else State.FAILED, "ValueError")

    def _backoff(self, job: Job, delay_ms: int) -> None:
        due = self.now + delay_ms
        job.failures += 1
        self._measure("work", self.now - (job.started or 0))
        if job.cancel or job.lateness(due):
            self._end("backoff", job, State.CANCELLED if job.cancel else State.FAILED, "ValueError")
            return
        self._go("backoff", job, State.DELAYED)
        job.due, job.error = due, "ValueError"
        job.seq += 1
        self.figures["retried"] += 1
        if f"{job.task} retried" in self.hooks:
            self.to_tell[f"{job.id}:{job.failures}"] = self.now

    def _snooze(self, job: Job, delay_ms: int) -> None:
        due = self.now + delay_ms
        if job.cancel:
            self._end("snooze", job, State.CANCELLED)
        elif late := job.lateness(due):
            self._end("snooze", job, State.FAILED, late)
        else:
            self._go("snooze", job, State.DELAYED if delay_ms else State.WAITING)
            job.due = due
            job.seq += 1
            self.figures["snoozed"] += 1

    def _crash(self, job: Job, _: int) -> None:
        self._take_back("crash", job, 3)

    def _take_back(self, verb: str, job: Job, most: int) -> bool:
        job.crashed = [self.now, *(ms for ms in job.crashed if ms > self.now - POISON_MS)][:10]
        job.crashes += 1
        self.figures["reclaimed"] += 1
        if job.cancel:
            self._end(verb, job, State.CANCELLED)
        elif len(job.crashed) >= most:
            self._end(verb, job, State.FAILED, "Poison")
        elif late := job.lateness(self.now):
            self._end(verb, job, State.FAILED, late)
        else:
            self._go(verb, job, State.WAITING)
            job.due = self.now
            job.seq += 1
            self._wait(job, front=True)
            return True
        return False

    def extend(self, worker: str, leases: Iterable[tuple[str, int]], lease_ms: int) -> list[str]:
        words = []
        if self._silent():
            self.held = self.now + min(lease_ms // 2, 8000)
        self.alive[worker] = self.now + lease_ms
        for job_id, fence in leases:
            word, job = self._check(job_id, fence)
            if job is not None:
                self._go("extend", job, State.ACTIVE)
                job.lease = self.now + lease_ms
                word = "CANCEL" if job.cancel else word
            words.append(word)
        return words

    def progress(self, job_id: str, fence: int, percentage: float) -> str:
        word, job = self._check(job_id, fence)
        if job is not None:
            self._go("progress", job, State.ACTIVE)
            job.progress, job.progressed = percentage, True
            job.seq += 1
        return word

    def log(self, job_id: str, fence: int, line: str, most: int) -> str:
        word, job = self._check(job_id, fence)
        if job is not None:
            job.log = [*job.log, line][-most:]
        return word

    # Time

    def later(self, ms: int) -> None:
        self.now += ms

    def reclaim(self, limit: int) -> int:
        count = self._reclaim(limit)
        self._finish()
        return count

    def _reclaim(self, limit: int) -> int:
        expired = _due({job.id: job.lease for job in self.jobs_in(State.ACTIVE)}, self.now)[:limit]
        jobs = [self.jobs[job_id] for job_id in reversed(expired)] if self._held_until() <= self.now else []
        for job in jobs:
            job.fence += 1
        return sum(self._take_back("reclaim", job, 10 if job.isolated else 3) for job in jobs)

    def _silent(self) -> bool:
        return all(until <= self.now for until in self.alive.values())

    def _held_until(self) -> int:
        return self.now + 500 if self._silent() else self.held

    def promote(self, limit: int) -> int | None:
        self._promote(limit)
        return self.next_due()

    def _promote(self, limit: int) -> None:
        for job_id in _due({job.id: job.due or 0 for job in self.jobs_in(State.DELAYED)}, self.now)[:limit]:
            job = self.jobs[job_id]
            self._go("promote", job, State.WAITING)
            job.seq += 1
            self._wait(job)
        for group in _due(self.throttled, self.now)[:limit]:
            del self.throttled[group]

    def expire(self, limit: int) -> int:
        self._expire(limit)
        self._finish()
        return max(self._let_old_go(state, limit) for state in self.index)

    def _expire(self, limit: int) -> None:
        for job_id in _due(self.deadlines, self.now)[:limit]:
            del self.deadlines[job_id]
            job = self.jobs[job_id]
            if (late := job.lateness(self.now)) and job.state in PENDING_STATES:
                self._end("expire", job, State.FAILED, late)
        for batch in _due(self.staging, self.now)[:limit]:
            del self.staging[batch]
            if batch not in self.marked:
                del self.parts[batch]

    # What users and operators do

    def cancel(self, job_ids: Iterable[str], *, running: bool) -> list[str]:
        words = [self._cancel(self.jobs.get(job_id), running=running) for job_id in job_ids]
        self._finish()
        return words

    def _cancel(self, job: Job | None, *, running: bool) -> str:
        if job is None:
            return "NOT_FOUND"
        if job.state in PENDING_STATES:
            self._end("cancel", job, State.CANCELLED)
            return "CANCELLED"
        if job.state in END_STATES:
            return "ENDED"
        if not running:
            return "ACTIVE"
        self._go("cancel", job, State.ACTIVE)
        job.cancel = True
        job.seq += 1
        return "REQUESTED"

    def replay(self, job_ids: Iterable[str]) -> list[str]:
        return [self._replay(self.jobs.get(job_id)) for job_id in job_ids]

    def _replay(self, job: Job | None) -> str:
        if job is None:
            return "NOT_FOUND"
        if job.state == State.COMPLETED:
            return "COMPLETED"
        if job.state not in END_STATES:
            return "NOT_ENDED"
        key = job.options.get("dedup")
        if key in self.dedup:
            return "DUPLICATE"
        job.options = {name: job.options[name] for name in ("group", "dedup") if name in job.options}
        if key:
            self.dedup[key] = job.id
        self.index[job.state].pop(job.id, None)
        self.to_tell.pop(job.id, None)
        self._go("replay", job, State.WAITING)
        job.failures, job.error, job.cancel, job.ended, job.settled = 0, None, False, None, None
        job.crashed, job.isolated, job.hook_runs, job.progress, job.progressed = [], False, 0, None, False
        job.watched = False
        job.due = self.now
        job.seq += 1
        self._wait(job)
        return "OK"

    def remove(self, job_ids: Iterable[str]) -> list[str]:
        return [self._remove(self.jobs.get(job_id)) for job_id in job_ids]

    def _remove(self, job: Job | None) -> str:
        if job is None:
            return "NOT_FOUND"
        if job.state == State.ACTIVE:
            return "ACTIVE"
        self._go("remove", job, GONE)
        for index in (*self.index.values(), self.to_tell, self.deadlines):
            index.pop(job.id, None)
        self._release_key(job)
        self._forget(job.id)
        return "OK"

    def purge(self, state: str, until_ms: int, limit: int) -> list[int]:
        found = _due(self.index[state], until_ms)[:limit]
        for job_id in found:
            if job_id not in self.to_tell:
                self._go("purge", self.jobs[job_id], GONE)
                self.jobs[job_id].state = state
        return [len(found), self._let_go(state, found)]

    def pause(self, group: str) -> None:
        self.limits[group].paused = True

    def resume(self, group: str) -> None:
        self.limits[group].paused = False

    def limit(self, group: str, settings: dict[str, int]) -> None:
        self.limits[group].settings = settings
        self.limits[group].tat = None
        self.throttled.pop(group, None)

    def watch(self, job_id: str, waiter: str) -> str:
        job = self.jobs.get(job_id)
        if job is None or job.state in END_STATES:
            return "ENDED" if job else "NOT_FOUND"
        job.watched = True
        self.waiters[job_id].add(waiter)
        return "WATCHING"

    # Hooks

    def reserve_ended(self, count: int, lease_ms: int, known: Iterable[str]) -> list[str]:
        given = []
        for member in _due(self.to_tell, self.now)[:count]:
            del self.to_tell[member]
            job = self.jobs.get(member.partition(":")[0])
            if job and f"{job.task} {'retried' if ':' in member else job.state}" in known:
                job.hook_runs += 1
                self.to_tell[member] = self.now + min(lease_ms * 2 ** (job.hook_runs - 1), HOUR_MS)
                given.append(member)
            elif job:
                self.to_tell[member] = self.now
        return given

    def ack_ended(self, members: Iterable[tuple[str, int]]) -> None:
        for member, seq in members:
            job = self.jobs.get(member.partition(":")[0])
            if ":" in member:
                self.to_tell.pop(member, None)
                if job:
                    job.hook_runs = 0
            elif job and job.seq == seq:
                self.to_tell.pop(member, None)


def _due(scores: Mapping[str, int], now: float = math.inf) -> list[str]:
    """Sort as Redis sorts: by score, then by name."""
    return sorted((name for name, ms in scores.items() if ms <= now), key=lambda name: (scores[name], name))
