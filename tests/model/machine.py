"""Drives every script on a real Redis beside the model, and compares the two after each step."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, TypeVar

import orjson
import pytest
from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from evq import DuplicateJob, NewJob, QueueFull
from evq.broker import pack_part
from evq.cli import fsck
from evq.job import JobProgress
from evq.lifecycle import END_STATES
from evq.scripts import Argument
from tests.lua.lua_bench import BEAT, ERROR, LEASE_MS, Bench
from tests.model.choices import (
    ALL,
    delays,
    descriptions,
    hooks,
    known,
    limited,
    limits,
    mostly,
    picks,
    plain,
    rarely,
    some_picks,
    workers,
)
from tests.model.model import Model
from tests.model.records import New
from tests.model.views import expected, observe

KEEP_COUNT = 6
"""Ended jobs that are kept, so few that the oldest go."""
HOLD_MS = 21_000
LOG_LINES = 3

ACTIONS: dict[str, st.SearchStrategy[dict[str, Any]]] = {}
DECK: list[str] = []
"""The names of the actions, each as often as its weight."""
Method = TypeVar("Method", bound=Callable[..., None])


def action(weight: int = 1, /, **arguments: st.SearchStrategy[Any]) -> Callable[[Method], Method]:
    """Let a method be called with *arguments*, as often as others of this weight.

    All actions are one rule, since of many rules Hypothesis leaves most out of each run.
    """

    def register(method: Method) -> Method:
        ACTIONS[method.__name__] = st.fixed_dictionaries(arguments)
        DECK.extend([method.__name__] * weight)
        return method

    return register


class QueueMachine(RuleBasedStateMachine):
    """One run: a sequence of calls, each compared with what the model says."""

    bench: ClassVar[Bench]
    runner: ClassVar[asyncio.Runner]
    steps: ClassVar[int] = 0
    """Of all runs together."""
    failure: ClassVar[tuple[int, str] | None] = None
    """The first step that went wrong, and how."""

    def __init__(self) -> None:
        super().__init__()
        self.bench.redis.flushall()
        self.bench.at(1_700_000_000_000)
        self.model = Model(self.bench.now, 100_000, KEEP_COUNT)
        self.broker = self.bench.broker
        self.news: list[New] = []
        self.batches: dict[str, dict[int, list[New]]] = {}  # all that their producers have staged, or will
        self.leases: list[tuple[str, int]] = []
        self.settled: tuple[str, list[tuple[str, int]], int] | None = None

    # Calls

    def call(self, verb: str, each: Sequence[Sequence[Argument]] = (), **argv: Argument) -> Any:
        return self.runner.run(self.broker.run(verb, each, **argv))

    def word(self, verb: str, **argv: Argument) -> str:
        return self.runner.run(self.broker.word(verb, **argv)).value

    def words(self, verb: str, each: Sequence[Sequence[Argument]], **argv: Argument) -> list[str]:
        return [word.value for word in self.runner.run(self.broker.words(verb, each, **argv))]

    @contextmanager
    def memory(self, *, full: bool) -> Iterator[None]:
        """Let Redis be at its `maxmemory`, where what drains the queue must work all the same."""
        if full:
            self.bench.redis.config_set("maxmemory", 1)
        try:
            yield
        finally:
            if full:
                self.bench.redis.config_set("maxmemory", 0)

    # Choices

    def job(self, pick: int) -> str:
        known = [new.id for new in self.news]
        return known[-1 - pick % len(known)] if known else "nobody"

    def jobs(self, some: list[int]) -> list[str]:
        return list(dict.fromkeys(self.job(pick) for pick in some))

    def held(self, some: list[int], *, current: bool) -> list[tuple[str, int]]:
        """Choose leases: of those that are held, or of any that there ever were."""
        active = [(job.id, job.fence) for job in self.model.jobs.values() if job.state == "active"]
        among = active if current and active else self.leases
        return [among[-1 - pick % len(among)] for pick in some] if among else []

    def describe(self, description: dict[str, Any]) -> New:
        """Give a description an id; few may have a deadline, so that one call can end all that fall due."""
        number = len(self.news) + 1
        crowded = len(self.model.deadlines) + sum(bool(new.expires or new.deadline) for new in self.news[-3:]) >= 5
        moments = {"expires": 0, "deadline": 0} if crowded else {}
        front = {"front": True} if number % 7 == 0 and not description["delay"] else {}
        at = {"at": self.model.now + 500} if number % 5 == 0 and not front else {}
        padding = ', "x": "{}"'.format("x" * 1100) if number % 11 == 0 else ""
        new = New(id=f"{number:026}", payload=f'{{"n":{number}{padding}}}', **description | moments | front | at)
        self.news.append(new)
        return new

    # New jobs

    @action(12, some=st.lists(descriptions, min_size=1, max_size=3))
    def enqueue(self, some: list[dict[str, Any]]) -> None:
        self._enqueue([self.describe(description) for description in some])

    @action(3, some=some_picks)
    def enqueue_again(self, some: list[int]) -> None:
        again = set(self.jobs(some))
        self._enqueue([new for new in self.news if new.id in again])

    def _enqueue(self, news: list[New]) -> None:
        try:
            found = self.runner.run(self.broker.enqueue([new.job() for new in news]))
            answer = [(word.value, job_id) for word, job_id in found]
        except DuplicateJob as error:
            answer = [("REFUSED", error.job_id)]
        assert answer == self.model.enqueue(news)

    @action(description=st.fixed_dictionaries(plain), staged=st.booleans())
    def enqueue_into_a_full_redis(self, description: dict[str, Any], staged: bool) -> None:
        new = self.describe(description)
        self.news.pop()
        with self.memory(full=True), pytest.raises(QueueFull):
            if staged:
                self._stage("full", {1: [new]})
            else:
                self.runner.run(self.broker.enqueue([new.job()]))

    @action(key=st.sampled_from(["k", "l"]))
    def let_a_key_lapse(self, key: str) -> None:
        self.bench.redis.delete(self.bench.key("dedup_of", key))
        self.model.lapse(key)

    # Large batches

    @action(
        4,
        parts=st.lists(st.lists(st.fixed_dictionaries(plain), min_size=1, max_size=2), min_size=1, max_size=3),
        again=some_picks,
        whole=mostly,
    )
    def stage(self, parts: list[list[dict[str, Any]]], again: list[int], whole: bool) -> None:
        """A producer begins to stage a batch, some jobs of which may be there already, or in another batch."""
        known = set(self.jobs(again)) if again[0] % 2 else ()
        news = [[self.describe(description) for description in part] for part in parts]
        news[-1] += [new for new in self.news if new.id in known and not new.dedup]
        batch = f"b{len(self.batches) + 1}"
        self.batches[batch] = dict(zip(range(len(news), 0, -1), news, strict=True))
        self._stage_both(batch, self.batches[batch] if whole else {len(news): news[0]})

    @action(6, pick=picks, some=some_picks, marked=mostly)
    def stage_more(self, pick: int, some: list[int], marked: bool) -> None:
        """Parts of a batch follow, or are sent again, even when it is marked."""
        if self.batches:
            batch, parts = self._batch(pick, marked=marked)
            self._stage_both(batch, {number: parts[number] for number in {1 + one % len(parts) for one in some}})

    def _batch(self, pick: int, *, marked: bool = False) -> tuple[str, dict[int, list[New]]]:
        names = [*self.model.marked] if marked and self.model.marked else [*self.batches]
        name = names[-1 - pick % len(names)]
        return name, self.batches[name]

    def _stage_both(self, batch: str, parts: dict[int, list[New]]) -> None:
        self._stage(batch, parts)
        self.model.stage(batch, HOLD_MS, parts)

    def _stage(self, batch: str, parts: dict[int, list[New]]) -> None:
        each = [(number, pack_part([_wire(new.job()) for new in news])) for number, news in parts.items()]
        self.call("stage", each, batch=batch, hold_ms=HOLD_MS)

    @action(6, pick=picks, full=rarely)
    def mark(self, pick: int, full: bool) -> None:
        if self.batches:
            batch, parts = self._batch(pick)
            with self.memory(full=full):
                word = self.word("mark", batch=batch, count=len(parts), hold_ms=HOLD_MS)
            assert word == self.model.mark(batch, len(parts), HOLD_MS)

    @action(2, limit=st.sampled_from([1, 2, 50]), full=rarely)
    def move(self, limit: int, full: bool) -> None:
        with self.memory(full=full):
            more = self.call("move", limit=limit)
        assert bool(more) == self.model.move(limit)

    # Leases

    @action(24, worker=workers, count=st.integers(1, 4), known=known, isolates=mostly, full=rarely)
    def reserve(self, worker: str, count: int, known: tuple[str, ...], isolates: bool, full: bool) -> None:
        names = dict.fromkeys(known, int(isolates))
        call = self.broker.call("reserve", names.items(), worker=worker, count=count, lease_ms=LEASE_MS)
        with self.memory(full=full):
            _, reserved = self.runner.run(self.broker.exchange([], call))
        assert reserved is not None
        throttled = self.bench.redis.zrange(self.bench.key("throttled"), 0, -1, withscores=True)
        wait_ms, jobs = self.model.reserve(
            worker,
            count,
            LEASE_MS,
            names,
            started=[job.id for job in reserved.jobs],
            parked=list(reserved.parked),
            throttled={group: int(ms) for group, ms in throttled},
        )
        assert (reserved.jobs, reserved.wait_ms) == (jobs, wait_ms)
        self.leases += [(job.id, job.fence) for job in jobs]

    @action(
        8,
        verb=st.sampled_from(["ack", "fail", "backoff", "snooze", "crash"]),
        some=some_picks,
        current=mostly,
        delay_ms=delays,
        full=rarely,
    )
    def settle(self, verb: str, some: list[int], current: bool, delay_ms: int, full: bool) -> None:
        self._settle(verb, self.held(some, current=current), delay_ms, full=full)

    @action(6, verb=st.sampled_from(["ack", "backoff", "crash"]), pick=picks, full=rarely)
    def settle_one(self, verb: str, pick: int, full: bool) -> None:
        self._settle(verb, self.held([pick], current=True), 0, full=full)

    @action(2, worker=workers, pick=picks)
    def wear_out(self, worker: str, pick: int) -> None:
        """A job is lost with its process, and given out again, as often as that."""
        for _ in range(2):
            self.settle_one("crash", pick, full=False)
            self.reserve(worker, 1, ALL, isolates=True, full=False)

    @action()
    def settle_again(self) -> None:
        """The reply was lost, so the call comes once more: at once, or much later."""
        if self.settled:
            self._settle(*self.settled)

    def _settle(self, verb: str, leases: list[tuple[str, int]], delay_ms: int, *, full: bool = False) -> None:
        more: dict[str, tuple[Any, ...]] = {
            "ack": (b'"done"',),
            "fail": (ERROR,),
            "backoff": (delay_ms, ERROR),
            "snooze": (delay_ms,),
            "crash": (),
        }
        each = [(*lease, *more[verb]) for lease in leases]
        with self.memory(full=full):
            words = self.words(verb, each) if each else []
        assert words == self.model.settle(verb, leases, delay_ms)
        self.settled = verb, leases, delay_ms

    @action(worker=workers, some=some_picks, current=mostly, full=rarely)
    def extend(self, worker: str, some: list[int], current: bool, full: bool) -> None:
        leases = self.held(some, current=current)
        with self.memory(full=full):
            words = [word.decode() for word in self.call("extend", leases, worker=worker, lease_ms=LEASE_MS, **BEAT)]
        assert words == self.model.extend(worker, leases, LEASE_MS)

    @action(pick=picks, percentage=st.integers(0, 100), current=mostly, full=rarely)
    def progress(self, pick: int, percentage: int, current: bool, full: bool) -> None:
        for job_id, fence in self.held([pick], current=current):
            with self.memory(full=full):
                text = JobProgress(percentage=percentage).dump()
                word = self.word("progress", id=job_id, fence=fence, progress=text)
            assert word == self.model.progress(job_id, fence, percentage)

    @action(pick=picks, current=mostly, full=rarely)
    def log(self, pick: int, current: bool, full: bool) -> None:
        for job_id, fence in self.held([pick], current=current):
            line = f"line {self.steps}"
            with self.memory(full=full):
                word = self.word("log", id=job_id, fence=fence, line=line, most=LOG_LINES)
            assert word == self.model.log(job_id, fence, line, LOG_LINES)

    # Time

    @action(3, ms=st.sampled_from([1, 100, 1000, 2000, 20_000, LEASE_MS, 100_000]))
    def later(self, ms: int) -> None:
        self.bench.later(ms)
        self.model.later(ms)

    @action(4, limit=st.sampled_from([1, 2, 50]), alone=rarely, full=rarely)
    def lose_leases(self, limit: int, alone: bool, full: bool) -> None:
        """Go to the moment when the next lease runs out, and take the job back, unless nobody else is alive."""
        leases = [job.lease for job in self.model.jobs.values() if job.state == "active"]
        for before in (LEASE_MS // 2, 1, 0):
            self.later(max(0, min(leases, default=0) - before - self.model.now))
            if before and not alone:
                self.extend("another", [], current=True, full=False)
        with self.memory(full=full):
            count = self.call("reclaim", limit=limit)
        assert count == self.model.reclaim(limit)

    @action(limit=st.sampled_from([1, 2, 50]), full=rarely)
    def promote(self, limit: int, full: bool) -> None:
        with self.memory(full=full):
            wait_ms = self.call("promote", limit=limit)
        due = self.model.promote(limit)
        assert wait_ms == (-1 if due is None else due)

    @action(2, limit=st.sampled_from([1, 2, 50]), full=rarely)
    def expire(self, limit: int, full: bool) -> None:
        with self.memory(full=full):
            looks = self.call("expire", limit=limit)
        assert looks == self.model.expire(limit)

    @action(2, limit=st.sampled_from([1, 2, 50]), full=rarely)
    def drop_batches(self, limit: int, full: bool) -> None:
        """Go to the moment when the next batch is dropped, unless it is marked."""
        self.later(max(0, min(self.model.staging.values(), default=0) - self.model.now))
        self.expire(limit, full=full)

    # Users and operators

    @action(some=some_picks, running=mostly, full=rarely)
    def cancel(self, some: list[int], running: bool, full: bool) -> None:
        ids = self.jobs(some)
        with self.memory(full=full):
            words = self.words("cancel", _each(ids), running=int(running))
        assert words == self.model.cancel(ids, running=running)

    @action(3, pick=picks)
    def cancel_a_running_one(self, pick: int) -> None:
        for job_id, _ in self.held([pick], current=True):
            assert self.words("cancel", _each([job_id]), running=1) == self.model.cancel([job_id], running=True)

    @action(some=some_picks)
    def replay(self, some: list[int]) -> None:
        ids = self.jobs(some)
        assert self.words("replay", _each(ids)) == self.model.replay(ids)

    @action(3, pick=picks)
    def replay_an_ended_one(self, pick: int) -> None:
        if ended := [job.id for job in self.model.jobs.values() if job.state in END_STATES[1:]]:
            job_id = ended[pick % len(ended)]
            assert self.words("replay", _each([job_id])) == self.model.replay([job_id])

    @action(some=some_picks, full=rarely)
    def remove(self, some: list[int], full: bool) -> None:
        ids = self.jobs(some)
        with self.memory(full=full):
            words = self.words("remove", _each(ids))
        assert words == self.model.remove(ids)

    @action(2, state=st.sampled_from(END_STATES), age_ms=st.sampled_from([0, 1000]), full=rarely)
    def purge(self, state: str, age_ms: int, full: bool) -> None:
        with self.memory(full=full):
            found = self.call("purge", state=state, until_ms=self.model.now - age_ms, limit=2)
        assert found == self.model.purge(state, self.model.now - age_ms, 2)

    @action(group=st.sampled_from(["", "a", "b"]))
    def pause(self, group: str) -> None:
        self.call("pause", group=group)
        self.model.pause(group)

    @action(3, pick=picks)
    def resume(self, pick: int) -> None:
        paused = [name for name, limits in self.model.limits.items() if limits.paused] or ["c"]
        group = paused[pick % len(paused)]
        self.call("resume", group=group)
        self.model.resume(group)

    @action(4, group=limited, settings=limits)
    def limit(self, group: str, settings: dict[str, int]) -> None:
        settings = {name: value for name, value in settings.items() if group or name != "weight"}
        self.call("limit", group=group, settings=orjson.dumps(settings))
        self.model.limit(group, settings)

    @action(pick=picks, waiter=st.sampled_from(["x", "y"]), full=rarely)
    def watch(self, pick: int, waiter: str, full: bool) -> None:
        job_id = self.job(pick)
        with self.memory(full=full):
            word = self.word("watch", id=job_id, waiter=waiter, ttl_ms=60_000)
        assert word == self.model.watch(job_id, waiter)

    # Hooks

    @action(event=st.sampled_from(["send failed", "parse cancelled"]))
    def mark_hooked(self, event: str) -> None:
        self.bench.redis.sadd(self.bench.key("hooked_tasks"), event)
        self.model.hooks.add(event)

    @action(count=st.integers(1, 3), known=hooks, full=rarely, ack=mostly)
    def run_hooks(self, count: int, known: list[str], full: bool, ack: bool) -> None:
        with self.memory(full=full):
            given = self.call("reserve_ended", _each(known), count=count, lease_ms=LEASE_MS)
        members = [member.decode() for member in given]
        assert members == self.model.reserve_ended(count, LEASE_MS, known)
        if ack:
            seqs = [(member, self.model.jobs[member.partition(":")[0]].seq - full) for member in members]
            self.call("ack_ended", seqs)
            self.model.ack_ended(seqs)

    # Steps

    @rule(one=st.sampled_from(DECK).flatmap(lambda name: st.tuples(st.just(name), ACTIONS[name])))
    def act(self, one: tuple[str, dict[str, Any]]) -> None:
        name, arguments = one
        with self.noted(name):
            getattr(self, name)(**arguments)

    @contextmanager
    def noted(self, doing: str) -> Iterator[None]:
        made = type(self)
        try:
            yield
        except Exception as error:
            made.failure = made.failure or (made.steps, f"{doing}: {str(error) or 'another answer'}".splitlines()[0])
            raise

    # After each step

    @invariant()
    def all_is_well(self) -> None:
        type(self).steps += 1
        with self.noted("Redis"):
            self.redis_is_as_the_model()
        with self.noted("fsck"):
            self.fsck_finds_nothing()

    def redis_is_as_the_model(self) -> None:
        seen = observe(self.bench)
        for part, content in expected(self.model).items():
            if seen[part] != content:
                note(f"{part} in Redis: {seen[part]}\n{part} in the model: {content}")
            assert seen[part] == content, f"other {part}"

    def fsck_finds_nothing(self) -> None:
        found = self.runner.run(fsck.check(self.broker))
        assert not found, "; ".join(f"{finding.where} {finding.what}" for finding in found)


def _wire(job: NewJob) -> tuple[str, str, bytes, bytes]:
    return job.id, job.task, job.payload, job.options


def _each(names: Sequence[str]) -> list[tuple[str]]:
    return [(name,) for name in names]
