"""Compare what was written down with what Redis holds in the end: a pure function, with a rule each.

A zombie is a worker that was stopped or cut off, lost its lease, and goes on. It may start and finish handlers, since
nobody can stop it; it may not change the job.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tests.chaos.journal import Entry, by_job

SLACK = 1.0
"""How much earlier than a lease another may take over, by the journals' measure: replies and starts take time, s."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Final:
    """What Redis holds of a job in the end."""

    status: str
    fence: int
    failures: int = 0
    settled_by: int = 0
    """The fence in its result: handlers return it."""


@dataclass(frozen=True, slots=True)
class Violation:
    """A rule that was broken."""

    rule: str
    job: str
    what: str


@dataclass(frozen=True, slots=True)
class History:
    """All that is known after a run, when nothing runs any more."""

    entries: Sequence[Entry]
    finals: Mapping[str, Final]
    counts: Mapping[str, int]
    """Jobs by outcome since the beginning, as the queue counts them."""
    lease: float
    lost_from: float = float("inf")
    """From when on Redis was allowed to forget (by `appendfsync everysec`), by the monotonic clock, s."""

    @property
    def durable(self) -> bool:
        return self.lost_from == float("inf")

    def of(self, event: str) -> dict[str, list[Entry]]:
        return by_job(list(self.entries), event)


def check(history: History) -> list[Violation]:
    """Return every violation of every rule."""
    return [
        Violation(rule.__name__, job, what)
        for rule in (*ALWAYS, *(DURABLE if history.durable else ()))
        for job, what in rule(history)
    ]


Found = Iterator[tuple[str, str]]


def nothing_confirmed_is_lost(history: History) -> Found:
    for job, entries in history.of("confirmed").items():
        if job not in history.finals and entries[0].at < history.lost_from:
            yield job, "was confirmed, and is not there"


def every_job_ends(history: History) -> Found:
    for job, final in history.finals.items():
        if final.status not in ("completed", "failed", "cancelled"):
            yield job, f"is {final.status}"


def no_job_comes_from_nowhere(history: History) -> Found:
    for job in history.finals.keys() - history.of("sent").keys():
        yield job, "nobody enqueued it"


def only_a_run_completes(history: History) -> Found:
    finished = {(entry.job, entry.fence) for entry in history.entries if entry.event == "finished"}
    for job, final in history.finals.items():
        if final.status == "completed" and (job, final.settled_by) not in finished:
            yield job, f"was completed under fence {final.settled_by}, under which no handler finished"


def a_stale_worker_changes_nothing(history: History) -> Found:
    for job, starts in history.of("started").items():
        final, newest = history.finals.get(job), max(start.fence for start in starts)
        if final and final.status == "completed" and final.settled_by < newest:
            yield job, f"fence {final.settled_by} completed it, and {newest} had been given away"


def a_lease_runs_once(history: History) -> Found:
    for job, starts in history.of("started").items():
        fences = [start.fence for start in starts]
        if len(fences) != len(set(fences)):
            yield job, f"started more than once under one fence: {fences}"


def fences_grow(history: History) -> Found:
    for job, starts in history.of("started").items():
        final, newest = history.finals.get(job), max(start.fence for start in starts)
        if final and final.fence < newest:
            yield job, f"has fence {final.fence} in the end, and ran under {newest}"


def a_lease_lasts(history: History) -> Found:
    """Nobody else may start a job while its handler runs and its lease cannot have run out."""
    ends = {(e.job, e.fence): e.at for e in history.entries if e.event in ("finished", "raised")}
    stopped = {entry.more["pid"] for entry in history.entries if entry.more.get("kind") == "suspend"}
    for job, starts in history.of("started").items():
        for earlier in starts:
            end = ends.get((job, earlier.fence))
            if end is None or earlier.pid in stopped:
                continue
            for later in starts:
                overlap = earlier.fence < later.fence and earlier.at < later.at < end
                if overlap and later.at - earlier.at < history.lease - SLACK:
                    yield job, f"ran under fence {later.fence} {later.at - earlier.at:.2f} s after {earlier.fence}"


def a_cancel_that_was_confirmed_holds(history: History) -> Found:
    for job, cancels in history.of("cancelled").items():
        final = history.finals.get(job)
        if final and final.status != "cancelled":
            yield job, f"is {final.status}"
        late = [start for start in history.of("started").get(job, []) if start.fence > cancels[0].fence]
        if late:
            yield job, f"was leased after its cancel, under fence {late[0].fence}"


def only_failures_count(history: History) -> Found:
    """A kill, a lost lease and a graceful stop are no failed attempts."""
    raised = history.of("raised")
    for job, starts in history.of("started").items():
        for start in starts:
            before = sum(entry.at < start.at for entry in raised.get(job, []))
            if not 1 <= start.attempt <= 1 + before:
                yield job, f"attempt {start.attempt} was started after {before} failures"
    for job, final in history.finals.items():
        # A handler that ends by a cancel is counted, too, and nobody tries it again.
        if final.status != "cancelled" and final.failures > len(raised.get(job, [])):
            yield job, f"counts {final.failures} failures of {len(raised.get(job, []))}"


def every_job_is_counted_once(history: History) -> Found:
    statuses = [final.status for final in history.finals.values()]
    expected = {status: statuses.count(status) for status in ("completed", "failed", "cancelled")}
    expected |= {"enqueued": len(statuses), "waiting": 0, "delayed": 0, "active": 0, "parked": 0}
    for name, count in expected.items():
        if history.counts[name] != count:
            yield "", f"{name}: {history.counts[name]} are counted, and {count} there"


ALWAYS = (
    nothing_confirmed_is_lost,
    every_job_ends,
    no_job_comes_from_nowhere,
    only_a_run_completes,
    a_lease_runs_once,
    a_lease_lasts,
)
DURABLE = (
    a_stale_worker_changes_nothing,
    fences_grow,
    a_cancel_that_was_confirmed_holds,
    only_failures_count,
    every_job_is_counted_once,
)
"""What a Redis that forgot its last second cannot promise: it forgot leases and ends, too."""
