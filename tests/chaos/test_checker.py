"""Each rule of the checker fires on a journal that breaks it, and on no other."""

from pathlib import Path
from typing import Any

import pytest

from tests.chaos.checker import ALWAYS, DURABLE, Final, History, check
from tests.chaos.journal import Entry, Journal

LEASE = 2.0


def entry(event: str, at: float, fence: int = 0, *, attempt: int = 1) -> Entry:
    return Entry(event=event, at=at, job="j", fence=fence, attempt=attempt, pid=7)


GOOD = (entry("sent", 0), entry("confirmed", 1), entry("started", 2, 1), entry("finished", 3, 1))
COMPLETED = Final(status="completed", fence=1, settled_by=1)


def broken(*entries: Entry, final: Final | None = COMPLETED, **options: Any) -> set[str]:
    """Return the rules that a history of one job breaks; the counts are right unless given."""
    statuses = [final.status] if final else []
    names = ("completed", "failed", "cancelled", "waiting", "delayed", "active", "parked")
    right = {name: statuses.count(name) for name in names} | {"enqueued": len(statuses)}
    finals = {"j": final} if final else {}
    history = History(entries, finals, counts=options.pop("counts", right), lease=LEASE, **options)
    return {violation.rule for violation in check(history)}


def test_a_history_in_which_all_is_well_breaks_nothing() -> None:
    assert broken(*GOOD) == set()


def test_a_job_that_was_sent_and_neither_confirmed_nor_kept_is_no_loss() -> None:
    assert broken(GOOD[0], final=None) == set()


def test_a_worker_that_was_killed_and_one_that_took_over_are_no_violation() -> None:
    after = entry("started", 4.1, 2), entry("finished", 5, 2)
    assert broken(*GOOD[:3], *after, final=Final(status="completed", fence=2, settled_by=2)) == set()


def test_a_zombie_that_goes_on_without_effect_is_no_violation() -> None:
    fault = Entry(event="fault", at=2.1, more={"kind": "suspend", "pid": 7})
    taken_over = entry("started", 2.2, 2), entry("finished", 2.3, 2), entry("finished", 9, 1)
    assert broken(*GOOD[:3], fault, *taken_over, final=Final(status="completed", fence=2, settled_by=2)) == set()


AGAIN = (*GOOD, entry("started", 6, 2), entry("finished", 7, 2))
TWICE = Final(status="completed", fence=2, settled_by=2)


def limited(**limits: float) -> Entry:
    return Entry(event="limited", at=0, more={"group": "g", "concurrency": None, "rate": None, "burst": 1, **limits})


@pytest.mark.parametrize("reason", [{"kind": "kill", "pid": 7}, {"kind": "outage"}])
def test_what_finished_may_run_again_if_its_worker_was_broken_or_redis_away(reason: dict[str, Any]) -> None:
    assert broken(*AGAIN, Entry(event="fault", at=3, more=reason), final=TWICE) == set()


BROKEN: list[tuple[str, tuple[Entry, ...], Final | None]] = [
    ("nothing_confirmed_is_lost", GOOD[:2], None),
    ("every_job_ends", GOOD[:3], Final(status="processing", fence=1)),
    ("no_job_comes_from_nowhere", GOOD[1:], COMPLETED),
    ("only_a_run_completes", GOOD[:3], COMPLETED),
    (
        "a_stale_worker_changes_nothing",
        (*GOOD[:3], entry("started", 5, 2), entry("finished", 6, 1)),
        Final(status="completed", fence=2, settled_by=1),
    ),
    ("a_stale_worker_changes_nothing", GOOD, Final(status="completed", fence=2, settled_by=1)),
    ("a_lease_runs_once", (*GOOD, entry("started", 9, 1)), COMPLETED),
    ("fences_grow", GOOD, Final(status="cancelled", fence=0)),
    (
        "fences_grow",
        (*GOOD[:2], entry("started", 2, 2), entry("started", 5, 1), entry("finished", 6, 2)),
        Final(status="completed", fence=2, settled_by=2),
    ),
    ("a_run_ends_at_most_once", (*GOOD, entry("finished", 3, 1)), COMPLETED),
    ("a_run_ends_at_most_once", (*GOOD[:2], GOOD[3]), COMPLETED),
    ("nothing_runs_that_is_not_there", (GOOD[0], *GOOD[2:]), None),
    ("a_finish_is_no_failure", GOOD, Final(status="failed", fence=1, error="ValueError")),
    ("what_expired_never_ran", GOOD[:3], Final(status="failed", fence=1, error="Expired")),
    ("what_finished_runs_again_for_a_reason", AGAIN, TWICE),
    (
        "a_group_keeps_within_its_limit",
        (*GOOD, limited(concurrency=0.5)),
        Final(status="completed", fence=1, settled_by=1, group="g"),
    ),
    (
        "a_group_keeps_within_its_rate",
        (*GOOD, limited(rate=10, burst=0)),
        Final(status="completed", fence=1, settled_by=1, group="g", leased=0.05),
    ),
    (
        "nothing_starts_while_paused",
        (*GOOD, Entry(event="paused", at=1, more={"wall": 4}), Entry(event="resumed", at=1, more={"wall": 6})),
        Final(status="completed", fence=1, settled_by=1, leased=5),
    ),
    (
        "a_lease_lasts",
        (*GOOD[:3], entry("started", 2.5, 2), *GOOD[3:], entry("finished", 3.5, 2)),
        Final(status="completed", fence=2, settled_by=2),
    ),
    ("a_cancel_that_was_confirmed_holds", (*GOOD, entry("cancelled", 3, 1)), COMPLETED),
    (
        "a_cancel_that_was_confirmed_holds",
        (*GOOD[:2], entry("cancelled", 1.5, 0), entry("started", 2, 1)),
        Final(status="cancelled", fence=1),
    ),
    (
        "only_failures_count",
        (*GOOD[:3], entry("started", 5, 2, attempt=2), entry("finished", 6, 2)),
        Final(status="completed", fence=2, settled_by=2),
    ),
    (
        "only_failures_count",
        (*GOOD[:3], entry("raised", 3, 1), entry("started", 4, 2, attempt=2), entry("started", 7, 3)),
        Final(status="failed", fence=3, failures=1),
    ),
    ("only_failures_count", GOOD, Final(status="completed", fence=1, settled_by=1, failures=1)),
]


@pytest.mark.parametrize(("rule", "entries", "final"), BROKEN)
def test_each_rule_fires_alone(rule: str, entries: tuple[Entry, ...], final: Final | None) -> None:
    assert broken(*entries, final=final) == {rule}


@pytest.mark.parametrize(
    "wrong", ["completed", "failed", "cancelled", "enqueued", "waiting", "delayed", "active", "parked"]
)
def test_a_job_that_is_counted_twice_or_left_in_a_set_is_found(wrong: str) -> None:
    names = ("completed", "failed", "cancelled", "enqueued", "waiting", "delayed", "active", "parked")
    counts = dict.fromkeys(names, 0) | {"completed": 1, "enqueued": 1}
    counts[wrong] += 1
    assert broken(*GOOD, counts=counts) == {"every_job_is_counted_once"}


def test_what_everysec_may_lose_is_no_violation_and_what_was_confirmed_before_is() -> None:
    assert broken(*GOOD, final=None, lost_from=0.5) == set()
    assert broken(*GOOD, final=None, lost_from=1.5) == {"nothing_confirmed_is_lost"}


def test_no_rule_is_untried() -> None:
    assert {rule.__name__ for rule in (*ALWAYS, *DURABLE)} == {rule for rule, _, _ in BROKEN} | {
        "every_job_is_counted_once"
    }


def test_an_entry_that_is_being_written_is_not_read_yet(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal")
    journal.write("sent", "a")
    with journal.path.open("a") as file:
        file.write('{"event":"se')
    assert [entry.job for entry in journal.entries()] == ["a"]
