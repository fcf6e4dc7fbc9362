"""How fast the queue is, beside its peers and the floor: the same jobs through each, by the same protocol, in turns.

A subject is a producer and a worker, each a process of its own, on a private Redis behind a socket that writes nothing
to disk. `peers/protocol.py` says what they are asked.
"""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal

from redis import Redis

from benchmarks import environments
from benchmarks.environments import NotInstalled
from benchmarks.measuring import Effort, Row, alternate, figures
from benchmarks.peers.protocol import TOGETHER
from benchmarks.programs import Program, ProgramFailed
from benchmarks.redis_server import newest_server, version_of_server
from benchmarks.script_times import p99_of_scripts
from evq.embedded import private_redis

SINGLE: Final = 10_000
"""Jobs enqueued one after another, and concurrently, a thousand at a time."""
BULK: Final = 40_000
"""Jobs enqueued together, and drained at the best concurrency."""
ALONE: Final = 2_000
"""Jobs drained one at a time."""
SAMPLES: Final = 200
"""Jobs for an idle worker, 20 ms apart."""
DELAYED: Final = 100
"""Jobs put off for a second."""
BACKLOGS: Final = (10_000, 1_000_000)
"""Behind how many waiting jobs enqueueing and draining are measured again."""
HUGE: Final = 5_000_000
"""Another backlog of evq's, for those who ask for it: 3 GB, and some two minutes more."""
TIMED: Final = 500
"""Jobs one by one whose scripts are timed."""
TOGETHER_TIMED: Final = 20_000
"""Jobs together whose scripts are timed: a hundred calls of the largest, so that these have a p99."""
FILL_LIMIT: Final = 300.0
"""How long a backlog may take to be enqueued, s."""
ENQUEUE_LIMIT: Final = 15.0
"""How long enqueueing may take in one case, s; what is enqueued by then counts."""
RUN_LIMIT: Final = 12.0
"""How long running may take in one case, the start of the worker included, s; what has run by then counts."""
REST: Final = 0.3
"""How long a worker that has run everything may take to say so to Redis, s."""
PART_SECONDS: Final = 180.0
"""A part of the suite that has taken this long begins no further round, s."""
ROUNDS: Final = 3

Better = Literal["higher", "lower"]
CASES: Final[dict[str, tuple[str, Better]]] = {
    "enqueue-one": ("jobs/s", "higher"),
    "enqueue-gather": ("jobs/s", "higher"),
    "enqueue-bulk": ("jobs/s", "higher"),
    "drain-1": ("jobs/s", "higher"),
    "drain-best": ("jobs/s", "higher"),
    "latency-idle-p50": ("ms", "lower"),
    "latency-idle-p99": ("ms", "lower"),
    "delayed-p99": ("ms", "lower"),
    "memory-waiting": ("bytes/job", "lower"),
    "memory-completed": ("bytes/job", "lower"),
    "script-one-p99": ("µs", "lower"),
    "script-batch-p99": ("µs", "lower"),
}
"""A case with many jobs waiting is called `drain-best@1M`."""
Figures = dict[str, float]
"""By case."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A queue as it is measured: its program, its best setting, and what it can do."""

    program: str
    setting: str
    best: int
    """The concurrency at which it drains fastest."""
    jobs: int = BULK
    """How many jobs it is given at once: a slow one fewer."""
    gather: bool = True
    """Whether it can enqueue concurrently in one thread."""
    bulk: bool = False
    """Whether it has a call to enqueue many jobs."""
    delay: bool = True
    """Whether its worker runs delayed jobs."""
    keeps: bool = True
    """Whether it keeps something of a completed job."""
    backlogs: tuple[int, ...] = ()
    """Behind how many waiting jobs it is measured again: nothing where these take too long to enqueue."""
    environment: tuple[tuple[str, str], ...] = ()


EVQ: Final = Subject(program="evq", setting="uvloop, hiredis, concurrency 400", best=400, bulk=True, backlogs=BACKLOGS)
FLOOR: Final = Subject(
    program="floor",
    setting="bare Lua, uvloop, batches of 50, a task per job; nothing is kept, retried or delayed",
    best=50,
    bulk=True,
    delay=False,
    keeps=False,
)
PEERS: Final = {
    "bullmq-node": Subject(
        program="bullmq.mjs", setting="node, concurrency 100", best=100, bulk=True, backlogs=BACKLOGS
    ),
    "dramatiq": Subject(
        program="dramatiq",
        setting="8 threads, prefetch 1,000, hiredis; no results",
        best=8,
        jobs=20_000,
        gather=False,
        keeps=False,
        environment=(("dramatiq_queue_prefetch", "1000"),),
    ),
    "arq": Subject(program="arq", setting="uvloop, hiredis, 100 jobs, poll_delay 5 ms", best=100, jobs=10_000),
    "huey": Subject(
        program="huey",
        setting="2 threads, blocking pop, hiredis; no acknowledgement, no result of None",
        best=2,
        jobs=20_000,
        gather=False,
        keeps=False,
    ),
    "saq": Subject(program="saq", setting="uvloop, hiredis, concurrency 64", best=64, jobs=10_000),
    "bullmq-py": Subject(
        program="bullmq_py", setting="uvloop, hiredis, concurrency 64", best=64, jobs=10_000, bulk=True
    ),
    "taskiq-stream": Subject(
        program="taskiq_stream",
        setting="uvloop, hiredis, 100 tasks, prefetch 100, results in Redis",
        best=100,
        jobs=10_000,
        delay=False,
    ),
    "streaq": Subject(program="streaq", setting="uvloop, concurrency 16", best=16, jobs=5_000, bulk=True),
    "rq": Subject(
        program="rq",
        setting="SimpleWorker, hiredis, one at a time; delayed jobs need another process",
        best=1,
        jobs=1_000,
        gather=False,
        bulk=True,
        delay=False,
    ),
    "celery": Subject(
        program="celery",
        setting="solo pool, prefetch 100, hiredis, one at a time; acknowledges early, no results",
        best=1,
        jobs=5_000,
        gather=False,
        keeps=False,
    ),
}


def chosen(peers: str) -> list[str]:
    """Return the names of the peers asked for, which are all, none, or some; raise ValueError if there is none such."""
    if peers in {"all", "none"}:
        return list(PEERS) if peers == "all" else []
    names = peers.split(",")
    for name in names:
        if name not in PEERS:
            raise ValueError(f"there is no peer {name!r}: use all, none, or some of {', '.join(PEERS)}")
    return list(dict.fromkeys(names))


def measure(effort: Effort, peers: Sequence[str] = (), *, huge: bool = False) -> list[Row]:
    """Measure evq, *peers* and the floor in turns, evq with a *huge* backlog as well if that is asked for.

    A peer that cannot be installed, or fails, is named and left out.
    """
    evq = replace(EVQ, backlogs=(*BACKLOGS, HUGE)) if huge else EVQ
    subjects = {"evq": evq, **_installed(peers), "floor": FLOOR}
    server = newest_server()
    _say(f"on {Path(server).name} {version_of_server(server)}")
    _say_settings(subjects)
    taken: dict[str, list[Figures]] = {}
    with ExitStack() as stack:
        url = stack.enter_context(private_redis(server=server))
        places = {count: stack.enter_context(private_redis(server=server)) for count in evq.backlogs}
        runs = {name: _Run(name, url, places, subject, effort) for name, subject in subjects.items()}
        for part in (_Run.idle, _Run.loaded, _Run.alone, _Run.backlogged):
            turns = {name: partial(_Run.attempt, run, part) for name, run in runs.items()}
            most = min(effort.rounds, ROUNDS)
            for name, rounds in alternate(turns, most, warm_up=False, seconds=PART_SECONDS).items():
                taken.setdefault(name, []).extend(rounds)
    cases = dict.fromkeys(case for rounds in taken.values() for of in rounds for case in of)
    return [row for case in sorted(cases, key=_place) for row in _rows(case, taken)]


def _installed(peers: Sequence[str]) -> dict[str, Subject]:
    """Install what is not there yet, and return what can be measured."""
    subjects = {}
    for name in peers:
        try:
            environments.install(PEERS[name].program)
        except NotInstalled as reason:
            _say(f"{name} is left out, since it cannot be installed: {reason}")
        else:
            subjects[name] = PEERS[name]
    return subjects


def _say_settings(subjects: Mapping[str, Subject]) -> None:
    for name, subject in subjects.items():
        version = environments.version_of(name.split("-")[0], subject.program)
        _say(f"{f'{name} {version}'.strip()}: {subject.setting}")


def _say(line: str) -> None:
    print(f"# {line}", flush=True)


def _place(case: str) -> int:
    """Return where a case stands: each that is measured with jobs waiting behind, beside the one without."""
    return list(CASES).index(case.partition("@")[0])


def _rows(case: str, taken: Mapping[str, Sequence[Figures]]) -> list[Row]:
    unit, better = CASES[case.partition("@")[0]]
    values = {name: [of[case] for of in rounds if case in of] for name, rounds in taken.items()}
    return figures("queue", case, {name: of for name, of in values.items() if of}, unit=unit, better=better)


class _Run:
    """A subject on the Redis of this run, which is emptied before each part, and on one more for each backlog."""

    def __init__(self, name: str, url: str, places: Mapping[int, str], subject: Subject, effort: Effort) -> None:
        self._name = name
        self._subject = subject
        self._effort = effort
        self._start = partial(_start, subject, url)
        self._redis = Redis.from_url(url)
        self._backlogs = [_Backlog(places[count], subject, effort, effort.of(count)) for count in subject.backlogs]
        self._failed = False

    def attempt(self, part: Callable[["_Run"], Figures]) -> Figures:
        """Measure a part; a peer that fails is not tried again, and without evq there is nothing to measure."""
        if self._failed:
            return {}
        self._redis.flushdb()
        try:
            return part(self)
        except ProgramFailed as failure:
            if self._name == "evq":
                raise
            self._failed = True
            _say(f"{self._name} is left out from here on, since it failed: {failure}")
            return {}

    def idle(self) -> Figures:
        """Measure how late a job begins on an idle worker, and how late a delayed one."""
        with self._start("produce") as producer, self._start("work", self._subject.best) as worker:
            worker.ask("wait", producer.hear()["count"], RUN_LIMIT)
            latencies = _ages(producer, worker, "idle", self._effort.of(SAMPLES))
            taken = {"latency-idle-p50": _percentile(latencies, 50), "latency-idle-p99": _percentile(latencies, 99)}
            if self._subject.delay:
                taken["delayed-p99"] = _percentile(_ages(producer, worker, "delayed", self._effort.of(DELAYED)), 99)
        return taken

    def loaded(self) -> Figures:
        """Measure enqueueing, draining at the best concurrency, and the memory before and after."""
        subject, taken = self._subject, {}
        empty = self._memory()
        with self._start("produce") as producer:
            count = producer.hear()["count"]
            calls = ["single", "gather"] if subject.gather else ["single"]
            for call in calls:
                if call == "gather":
                    count += producer.ask(call, TOGETHER, ENQUEUE_LIMIT)["count"]  # which opens the connections
                answer = producer.ask(call, self._effort.of(SINGLE), ENQUEUE_LIMIT)
                count += answer["count"]
                taken["enqueue-one" if call == "single" else "enqueue-gather"] = answer["count"] / answer["seconds"]
            answer = producer.ask(self._loading(), self._effort.of(subject.jobs), ENQUEUE_LIMIT)
            count += answer["count"]
            if subject.bulk:
                taken["enqueue-bulk"] = answer["count"] / answer["seconds"]
        taken["memory-waiting"] = (self._memory() - empty) / count
        with self._start("work", subject.best) as worker:
            drained = worker.ask("wait", count, RUN_LIMIT)
            taken["drain-best"] = _rate(drained)
            time.sleep(REST)
        if subject.keeps and drained["count"] >= count:
            taken["memory-completed"] = (self._memory() - empty) / count
        return taken

    def alone(self) -> Figures:
        """Measure draining one job at a time."""
        with self._start("produce") as producer:
            count = producer.hear()["count"]
            jobs = self._effort.of(min(ALONE, self._subject.jobs))
            count += producer.ask(self._loading(), jobs, ENQUEUE_LIMIT)["count"]
        with self._start("work", 1) as worker:
            return {"drain-1": _rate(worker.ask("wait", count, RUN_LIMIT))}

    def backlogged(self) -> Figures:
        """Measure the rates again, and how long evq's scripts take, with more and more jobs waiting behind."""
        taken: Figures = {}
        for backlog in self._backlogs:
            there = backlog.rates()
            if self._name == "evq":
                there |= backlog.script_times()
            taken |= {f"{case}@{_short(backlog.count)}": figure for case, figure in there.items()}
        return taken

    def _loading(self) -> str:
        """Return the fastest call that enqueues many."""
        return "bulk" if self._subject.bulk else "gather" if self._subject.gather else "single"

    def _memory(self) -> int:
        used: int = self._redis.info("memory")["used_memory"]
        return used


class _Backlog:
    """A subject behind *count* waiting jobs, which stay from round to round: it takes longest to enqueue them."""

    def __init__(self, url: str, subject: Subject, effort: Effort, count: int) -> None:
        self.count = count
        self._subject = subject
        self._effort = effort
        self._start = partial(_start, subject, url)
        self._redis = Redis.from_url(url)
        self._waiting = 0

    def rates(self) -> Figures:
        """Enqueue what is missing of the backlog; then measure how other jobs are enqueued, and drain as many."""
        taken = {}
        with self._start("produce") as producer:
            self._waiting += producer.hear()["count"]
            if (missing := self.count - self._waiting) > 0:
                filled = self._ask(producer, "bulk", missing, FILL_LIMIT)["count"]
                if filled < missing:
                    raise ProgramFailed(f"it enqueued {filled:,} of {missing:,} jobs in {FILL_LIMIT:g} s")
            for case, call, jobs in (("enqueue-one", "single", SINGLE), ("enqueue-bulk", "bulk", BULK)):
                answer = self._ask(producer, call, self._effort.of(jobs), ENQUEUE_LIMIT)
                taken[case] = answer["count"] / answer["seconds"]
        for case, concurrency, jobs in (("drain-1", 1, ALONE), ("drain-best", self._subject.best, BULK)):
            with self._start("work", concurrency) as worker:
                taken[case] = _rate(self._ask(worker, "wait", self._effort.of(jobs), RUN_LIMIT))
        return taken

    def script_times(self) -> Figures:
        """Time the scripts that enqueue, reserve and acknowledge: one job a call, and as many as a call takes."""
        one, batch = [], []
        with self._start("produce") as producer:
            self._waiting += producer.hear()["count"]
            one.append(self._p99(producer, "single", TIMED))
            batch += [self._p99(producer, call, TOGETHER_TIMED) for call in ("gather", "bulk")]
        with self._start("work", 1) as worker:
            one.append(self._p99(worker, "wait", TIMED))
        with self._start("work", self._subject.best) as worker:
            batch.append(self._p99(worker, "wait", 2 * TOGETHER_TIMED))
        return {"script-one-p99": max(one), "script-batch-p99": max(batch)}

    def _p99(self, program: Program, call: str, count: int) -> float:
        return p99_of_scripts(self._redis, partial(self._ask, program, call, count, RUN_LIMIT))

    def _ask(self, program: Program, call: str, count: int, limit: float) -> dict[str, Any]:
        """Ask a program, and count how many jobs wait then."""
        answer = program.ask(call, count, limit)
        self._waiting += -answer["count"] if call == "wait" else answer["count"]
        return answer


def _start(subject: Subject, url: str, role: Literal["produce", "work"], concurrency: int = 1) -> Program:
    command, folder = environments.command(subject.program)
    return Program([*command, role, url, str(concurrency)], folder, dict(subject.environment))


def _short(count: int) -> str:
    """Return a round number as one says it: 10k, 1M."""
    for unit, letter in ((1_000_000, "M"), (1_000, "k")):
        if count >= unit:
            return f"{count // unit}{letter}"
    return str(count)


def _rate(answer: Mapping[str, Any]) -> float:
    """Return how many jobs a second a worker has run, between the start of the first and that of the last."""
    if answer["count"] < 2:
        raise ProgramFailed(f"its worker ran {answer['count']} jobs in {RUN_LIMIT:g} s")
    rate: float = (answer["count"] - 1) / answer["seconds"]
    return rate


def _ages(producer: Program, worker: Program, call: str, count: int) -> list[float]:
    """Return how late jobs were that the producer enqueued one after another, ms."""
    producer.ask(call, count, ENQUEUE_LIMIT)
    ages = worker.ask("wait", count, RUN_LIMIT)["ages"]
    if len(ages) < count:
        raise ProgramFailed(f"its worker ran {len(ages)} of {count} jobs in {RUN_LIMIT:g} s")
    return [age / 1000 for age in ages]


def _percentile(values: Sequence[float], percent: int) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1] if len(values) > 1 else values[0]
