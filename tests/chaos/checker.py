"""Compare what was written down with what Redis holds in the end: a pure function, with a rule each.

A zombie is a worker that was stopped or cut off, lost its lease, and goes on. It may start and finish handlers, since
nobody can stop it; it may not change the job.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from tests.chaos.journal import Entry, by_job

SLACK = 1.0
"""How much earlier than a lease another may take over, by the journals' measure: replies and starts take time, s."""
TICK = 0.002
"""Redis counts ms."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Final:
    """What Redis holds of a job in the end."""

    status: str
    fence: int
    failures: int = 0
    settled_by: int = 0
    """The fence in its result: handlers return it."""
    group: str = ""
    leased: float = 0.0
    """When it was last leased, by the clock of Redis, s."""
    error: str = ""
    """The kind of its error."""


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
    def broken(self) -> set[int]:
        """The workers that were killed, stopped or suspended."""
        return {entry.more["pid"] for entry in self.entries if entry.event == "fault" and "pid" in entry.more}

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


def worker_of(start: Entry) -> set[int]:
    """Return the process that ran a handler, and the one that started that: one of them is the worker."""
    return {start.pid, start.more.get("parent", start.pid)}


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
        if final and final.status == "completed" and final.settled_by != max(newest, final.fence):
            yield job, f"fence {final.settled_by} completed it, and {max(newest, final.fence)} had been given away"


def a_lease_runs_once(history: History) -> Found:
    for job, starts in history.of("started").items():
        fences = [start.fence for start in starts]
        if len(fences) != len(set(fences)):
            yield job, f"started more than once under one fence: {fences}"


def a_run_ends_at_most_once(history: History) -> Found:
    """An end comes after its start, in the same process."""
    starts = (entry for entry in reversed(history.entries) if entry.event == "started")
    runs = {(start.job, start.fence, start.pid): start for start in starts}  # of two that are the same, the first
    for end in history.entries:
        if end.event in ("finished", "raised", "interrupted"):
            start = runs.pop((end.job, end.fence, end.pid), None)
            if start is None or start.at > end.at:
                yield end.job, f"{end.event} under fence {end.fence}, under which nothing ran then"


def nothing_runs_that_is_not_there(history: History) -> Found:
    """Not of a batch that was dropped, and nothing that nobody sent."""
    for job in history.of("started").keys() - history.finals.keys():
        yield job, "was started, and is not there"


def a_finish_is_no_failure(history: History) -> Found:
    """What was finished under the last fence may be cancelled, or poison by then, but has not failed."""
    for finish in history.entries:
        final = history.finals.get(finish.job) if finish.event == "finished" else None
        if final and (final.status, final.fence) == ("failed", finish.fence) and final.error != "Poison":
            yield finish.job, f"finished under fence {finish.fence}, and failed with {final.error}"


def what_expired_never_ran(history: History) -> Found:
    for job in history.of("started"):
        if job in history.finals and history.finals[job].error == "Expired":
            yield job, "was started, and failed since it had not been"


def what_finished_runs_again_for_a_reason(history: History) -> Found:
    """Its worker was broken before it could tell, or nobody could reach Redis meanwhile."""
    broken = history.broken
    outages = [entry.at for entry in history.entries if entry.event == "fault" and "pid" not in entry.more]
    finished = {(entry.job, entry.fence): entry for entry in history.entries if entry.event == "finished"}
    for job, starts in history.of("started").items():
        for earlier, later in pairwise(sorted(starts, key=lambda start: start.fence)):
            finish = finished.get((job, earlier.fence))
            again = finish is not None and finish.at < later.at and earlier.fence < later.fence
            if not again or broken & worker_of(earlier):
                continue
            if not any(earlier.at - SLACK < outage < later.at for outage in outages):
                yield job, f"finished under fence {earlier.fence}, and ran again under {later.fence}"


def a_group_keeps_within_its_limit(history: History) -> Found:
    """A run that settled its job had its lease from the start to the end."""
    steps = {"started": 1, "finished": -1}
    for limit in history.of("limited").get("", []):
        group, most = limit.more["group"], limit.more["concurrency"]
        running = 0
        for entry in sorted(history.entries, key=lambda entry: entry.at):
            final = history.finals.get(entry.job)
            if most and final and final.group == group and final.settled_by == entry.fence:
                running += steps.get(entry.event, 0)
                if entry.event == "started" and running > most:
                    yield entry.job, f"{running} jobs of {group} ran at a time, of which {most} may"


def a_group_keeps_within_its_rate(history: History) -> Found:
    """Only the last lease of each job is known; what is left of a stream within its rate is within it, too."""
    leases = sorted((final.leased, job, final.group) for job, final in history.finals.items() if final.leased)
    for limit in history.of("limited").get("", []):
        group, rate, burst = limit.more["group"], limit.more["rate"], limit.more["burst"]
        due = 0.0  # a GCRA: when the next one would come if they came evenly
        for at, job, of in leases:
            if rate and of == group:
                if due - at > (burst - 1) / rate + TICK:
                    yield job, f"started {due - at:.3f} s before its turn, of {group} with {rate:g}/s"
                due = max(due, at) + 1 / rate


def nothing_starts_while_paused(history: History) -> Found:
    walls = ([entry.more["wall"] for entry in history.of(event).get("", [])] for event in ("paused", "resumed"))
    for paused, resumed in zip(*walls, strict=True):
        for job, final in history.finals.items():
            if paused + TICK < final.leased < resumed - TICK:
                yield job, f"was leased {final.leased - paused:.3f} s after a pause"


def fences_grow(history: History) -> Found:
    """Only a worker that was suspended between its lease and the start may start behind another."""
    broken = history.broken
    for job, starts in history.of("started").items():
        for earlier, later in pairwise(sorted(starts, key=lambda start: start.at)):
            if later.fence < earlier.fence and not broken & worker_of(later):
                yield job, f"was started under fence {later.fence} after {earlier.fence}"
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
        for earlier, later in pairwise(sorted(starts, key=lambda start: start.fence)):
            if later.attempt < earlier.attempt:
                yield job, f"attempt {later.attempt} was started under a newer fence than {earlier.attempt}"
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
    a_run_ends_at_most_once,
    nothing_runs_that_is_not_there,
    a_finish_is_no_failure,
    what_expired_never_ran,
    what_finished_runs_again_for_a_reason,
    a_group_keeps_within_its_limit,
    a_group_keeps_within_its_rate,
    nothing_starts_while_paused,
    a_cancel_that_was_confirmed_holds,
    only_failures_count,
    every_job_is_counted_once,
)
"""What a Redis that forgot its last second cannot promise: it forgot leases and ends, too."""
