from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from evq.errors import LeaseLost
from evq_server.store.database import Database
from evq_server.store.imports import (
    advance,
    begin_attempt,
    get_import,
    hold,
    record_outcome,
    remove_import,
    unfinished_imports,
)

if TYPE_CHECKING:
    from tests.server.conftest import StartImport


def test_a_new_import_is_unfinished_and_has_done_nothing(database: Database, start_import: "StartImport") -> None:
    start_import("A", fence=0)
    with database.read() as conn:
        row = get_import(conn, "A")
        assert row
        assert [it.id for it in unfinished_imports(conn)] == ["A"]
    assert (row.event_id, row.filename, row.options) == ("spring", "guests.csv", {"duplicates": "skip"})
    assert (row.fence, row.checkpoint, row.inserted, row.rejected) == (0, 0, 0, 0)
    assert (row.status, row.outcome, row.ended_ms) == (None, None, None)


def test_an_import_needs_its_event(database: Database, start_import: "StartImport") -> None:
    start_import("A")
    with database.begin() as conn, pytest.raises(sa.exc.IntegrityError):
        conn.execute(sa.text("UPDATE imports SET event_id = 'nothing'"))


def test_an_unknown_import_is_none(database: Database) -> None:
    with database.read() as conn:
        assert get_import(conn, "A") is None


def test_an_older_attempt_cannot_begin_after_a_newer_one(database: Database, start_import: "StartImport") -> None:
    start_import("A", fence=2)
    with database.begin() as conn, pytest.raises(LeaseLost):
        begin_attempt(conn, "A", 1)


def test_a_stale_fence_can_neither_hold_nor_advance(database: Database, start_import: "StartImport") -> None:
    start_import("A", fence=2)
    with database.begin() as conn:
        with pytest.raises(LeaseLost):
            hold(conn, "A", 1)
        with pytest.raises(LeaseLost):
            advance(conn, "A", 1, first=0, end=10)
        row = get_import(conn, "A")
        assert row
        assert (row.fence, row.checkpoint) == (2, 0)


def test_an_unknown_import_has_no_lease(database: Database) -> None:
    with database.begin() as conn, pytest.raises(LeaseLost):
        begin_attempt(conn, "A", 1)


def test_the_next_attempt_goes_on_at_the_checkpoint(database: Database, start_import: "StartImport") -> None:
    start_import("A", fence=1)
    with database.begin() as conn:
        assert advance(conn, "A", 1, first=0, end=10)
    with database.begin() as conn:
        begin_attempt(conn, "A", 2)
        assert advance(conn, "A", 2, first=10, end=20)


def test_ordinals_that_are_saved_are_not_saved_again(database: Database, start_import: "StartImport") -> None:
    start_import("A")
    with database.begin() as conn:
        assert advance(conn, "A", 1, first=0, end=10)
        assert not advance(conn, "A", 1, first=0, end=10)
        assert not advance(conn, "A", 1, first=0, end=5)


@pytest.mark.parametrize(("first", "end"), [(11, 20), (5, 15)])
def test_ordinals_that_do_not_follow_are_refused(
    database: Database, start_import: "StartImport", first: int, end: int
) -> None:
    start_import("A")
    with database.begin() as conn:
        advance(conn, "A", 1, first=0, end=10)
        with pytest.raises(ValueError, match="do not follow on checkpoint 10"):
            advance(conn, "A", 1, first=first, end=end)


def test_the_first_outcome_stands(database: Database, start_import: "StartImport") -> None:
    start_import("A")
    with database.begin() as conn:
        assert record_outcome(conn, "A", 1, "completed", {"processedCount": 3}, now_ms=5)
        assert not record_outcome(conn, "A", 1, "failed", {"message": "late"}, now_ms=6)
        row = get_import(conn, "A")
        assert row
        assert (row.status, row.outcome, row.ended_ms) == ("completed", {"processedCount": 3}, 5)
        assert unfinished_imports(conn) == []


def test_an_import_may_be_cancelled_before_any_attempt(database: Database, start_import: "StartImport") -> None:
    start_import("A", fence=0)
    with database.begin() as conn:
        assert record_outcome(conn, "A", 0, "cancelled", {}, now_ms=5)


def test_a_replay_opens_the_import_and_a_late_outcome_does_not_close_it(
    database: Database, start_import: "StartImport"
) -> None:
    start_import("A", fence=1)
    with database.begin() as conn:
        record_outcome(conn, "A", 1, "failed", {"message": "no"}, now_ms=5)
        begin_attempt(conn, "A", 2)
        assert not record_outcome(conn, "A", 1, "failed", {"message": "no"}, now_ms=6)
        row = get_import(conn, "A")
        assert row
        assert (row.status, row.outcome, row.ended_ms) == (None, None, None)
        assert record_outcome(conn, "A", 2, "completed", {}, now_ms=7)


def test_beginning_the_same_attempt_again_does_not_open_what_has_ended(
    database: Database, start_import: "StartImport"
) -> None:
    start_import("A", fence=1)
    with database.begin() as conn:
        record_outcome(conn, "A", 1, "completed", {}, now_ms=5)
        begin_attempt(conn, "A", 1)
        row = get_import(conn, "A")
        assert row
        assert row.status == "completed"


def test_only_an_import_without_an_attempt_can_be_removed(database: Database, start_import: "StartImport") -> None:
    start_import("A", fence=0)
    start_import("B", fence=1)
    with database.begin() as conn:
        remove_import(conn, "A")
        remove_import(conn, "B")
        assert get_import(conn, "A") is None
        assert get_import(conn, "B")
