from collections.abc import Sequence
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from evq.errors import LeaseLost
from evq_server.schemas import Duplicates
from evq_server.store.database import LOOKUP_SIZE, PARAMETERS, Database, before_images, participants
from evq_server.store.imports import FinalStatus, get_import, record_outcome
from evq_server.store.participants import (
    ChunkResult,
    Participant,
    Rejection,
    Row,
    count_participants_of_import,
    list_participants,
    participants_of_import,
    preview_chunk,
    rejections_of_import,
    save_chunk,
)
from evq_server.store.tickets import issue_tickets

if TYPE_CHECKING:
    from tests.server.conftest import StartImport


def row(number: int, *, name: str = "", phone: str | None = None, **attributes: str) -> Row:
    return Row(
        row=number + 2,
        email=f"guest{number}@example.org",
        name=name or f"Guest {number}",
        phone=phone,
        attributes=attributes,
    )


def save(
    database: Database,
    rows: Sequence[Row],
    import_id: str = "A",
    *,
    fence: int = 1,
    first: int = 0,
    duplicates: Duplicates = "skip",
    now_ms: int = 10,
) -> ChunkResult:
    with database.begin() as conn:
        return save_chunk(
            conn,
            import_id=import_id,
            event_id="spring",
            fence=fence,
            first=first,
            end=first + len(rows),
            rows=rows,
            duplicates=duplicates,
            now_ms=now_ms,
        )


def finish(database: Database, import_id: str) -> None:
    """End an import as a whole one ends: with tickets for its participants."""
    with database.begin() as conn:
        people = [it.id for it in participants_of_import(conn, import_id, limit=10_000)]
        issue_tickets(
            conn, import_id=import_id, fence=1, secret=b"s", event_id="spring", participant_ids=people, now_ms=20
        )
        record_outcome(conn, import_id, 1, "completed", {}, now_ms=20)


def everybody(database: Database) -> list[Participant]:
    with database.read() as conn:
        return list_participants(conn, "spring", limit=10_000)


def counters(database: Database, import_id: str) -> tuple[int, int, int, int, int]:
    with database.read() as conn:
        it = get_import(conn, import_id)
    assert it
    return it.checkpoint, it.inserted, it.updated, it.skipped, it.rejected


def test_rows_are_saved_once_with_their_counters(database: Database, start_import: "StartImport") -> None:
    start_import("A")
    assert save(database, [row(0, phone="+821012345678", team="red"), row(1)]) == ChunkResult(inserted=2)
    assert save(database, [row(2)], first=2) == ChunkResult(inserted=1)
    first, second, third = everybody(database)
    assert (first.email, first.name, first.phone) == ("guest0@example.org", "Guest 0", "+821012345678")
    assert first.attributes == {"team": "red"}
    assert (second.phone, third.email) == (None, "guest2@example.org")
    assert counters(database, "A") == (3, 3, 0, 0, 0)


def test_a_chunk_saved_again_changes_nothing(database: Database, start_import: "StartImport") -> None:
    start_import("A")
    save(database, [row(0), row(1)])
    assert save(database, [row(0), row(1)]) == ChunkResult()
    assert counters(database, "A") == (2, 2, 0, 0, 0)


def test_a_stale_fence_saves_nothing(database: Database, start_import: "StartImport") -> None:
    start_import("A", fence=2)
    with pytest.raises(LeaseLost):
        save(database, [row(0)], fence=1)
    assert everybody(database) == []
    assert counters(database, "A") == (0, 0, 0, 0, 0)


def test_a_crash_within_a_chunk_leaves_neither_rows_nor_checkpoint(
    database: Database, start_import: "StartImport"
) -> None:
    start_import("A")
    with pytest.raises(RuntimeError), database.begin() as conn:
        save_chunk(
            conn,
            import_id="A",
            event_id="spring",
            fence=1,
            first=0,
            end=1,
            rows=[row(0)],
            duplicates="skip",
            now_ms=1,
        )
        raise RuntimeError
    assert everybody(database) == []
    assert counters(database, "A") == (0, 0, 0, 0, 0)


def test_superseded_ordinals_count_for_the_checkpoint_only(database: Database, start_import: "StartImport") -> None:
    start_import("A")
    with database.begin() as conn:
        save_chunk(
            conn,
            import_id="A",
            event_id="spring",
            fence=1,
            first=0,
            end=5,
            rows=[row(0)],
            duplicates="skip",
            now_ms=1,
        )
    assert counters(database, "A") == (5, 1, 0, 0, 0)


def test_skip_leaves_who_is_there_as_they_are(database: Database, start_import: "StartImport") -> None:
    start_import("A")
    save(database, [row(0)])
    finish(database, "A")
    start_import("B")
    assert save(database, [row(0, name="New"), row(1)], "B") == ChunkResult(inserted=1, skipped=1)
    assert [it.name for it in everybody(database)] == ["Guest 0", "Guest 1"]
    assert counters(database, "B") == (2, 1, 0, 1, 0)


def test_error_rejects_who_is_there_with_the_row(database: Database, start_import: "StartImport") -> None:
    start_import("A")
    save(database, [row(0)])
    finish(database, "A")
    start_import("B")
    rejection = Rejection(row=2, column="email", value="guest0@example.org", code="duplicate_in_event", params={})
    assert save(database, [row(0), row(1)], "B", duplicates="error") == ChunkResult(inserted=1, rejections=(rejection,))
    with database.read() as conn:
        assert rejections_of_import(conn, "B", 2, 3) == [rejection]
        assert rejections_of_import(conn, "B", 3, 9) == []
        assert rejections_of_import(conn, "A", 2, 3) == []
    assert counters(database, "B") == (2, 1, 0, 0, 1)


def test_update_writes_what_is_given_and_erases_nothing(database: Database, start_import: "StartImport") -> None:
    start_import("A")
    save(database, [row(0, phone="+821012345678", team="red", city="서울")])
    finish(database, "A")
    start_import("B")
    changed = row(0, name="New", team="blue", city="", seat="12")
    assert save(database, [changed], "B", duplicates="update", now_ms=30) == ChunkResult(updated=1)
    (now,) = everybody(database)
    assert (now.name, now.phone) == ("New", "+821012345678")
    assert now.attributes == {"team": "blue", "city": "서울", "seat": "12"}
    assert (now.created_ms, now.updated_ms) == (10, 30)


def test_the_before_image_is_that_from_before_the_import(database: Database, start_import: "StartImport") -> None:
    start_import("A")
    save(database, [row(0, team="red")])
    finish(database, "A")
    start_import("B")
    save(database, [row(0, name="New")], "B", duplicates="update")
    save(database, [row(0, name="Newer")], "B", first=1, duplicates="update")
    with database.read() as conn:
        (image,) = conn.scalars(sa.select(before_images.c.image).where(before_images.c.import_id == "B"))
    assert (image["name"], image["attributes"], image["email"]) == ("Guest 0", {"team": "red"}, "guest0@example.org")


@pytest.mark.parametrize("duplicates", ["skip", "update", "error"])
def test_what_an_import_has_written_is_no_duplicate_to_it(
    database: Database, start_import: "StartImport", duplicates: Duplicates
) -> None:
    start_import("A")
    save(database, [row(0)])
    finish(database, "A")
    start_import("B")
    save(database, [row(0), row(1)], "B", duplicates=duplicates)
    before = counters(database, "B")[1:3]
    again = save(database, [row(1)], "B", first=2, duplicates=duplicates)
    assert again == ChunkResult()
    assert counters(database, "B")[1:3] == before


@pytest.mark.parametrize("status", ["cancelled", "failed"])
def test_who_was_left_by_an_import_that_did_not_finish_is_finished_by_the_next(
    database: Database, start_import: "StartImport", status: FinalStatus
) -> None:
    start_import("A")
    save(database, [row(0)])
    with database.begin() as conn:
        record_outcome(conn, "A", 1, status, {}, now_ms=20)
    start_import("B")
    assert save(database, [row(0, name="Right")], "B", duplicates="skip") == ChunkResult(updated=1)
    assert save(database, [row(0, name="Again")], "B", first=1, duplicates="skip") == ChunkResult()
    with database.read() as conn:
        assert [it.name for it in participants_of_import(conn, "B")] == ["Right"]
        assert participants_of_import(conn, "A") == []
    finish(database, "B")
    start_import("C")
    assert save(database, [row(0, name="Other")], "C", duplicates="skip") == ChunkResult(skipped=1)


def test_who_belongs_to_an_import_that_still_runs_is_left_to_it(
    database: Database, start_import: "StartImport"
) -> None:
    start_import("A")
    save(database, [row(0)])
    start_import("B")
    assert save(database, [row(0)], "B") == ChunkResult(skipped=1)
    with database.read() as conn:
        assert participants_of_import(conn, "B") == []


def test_the_same_email_in_another_event_is_somebody_else(database: Database, start_import: "StartImport") -> None:
    start_import("A")
    save(database, [row(0)])
    start_import("B", event_id="autumn")
    with database.begin() as conn:
        result = save_chunk(
            conn,
            import_id="B",
            event_id="autumn",
            fence=1,
            first=0,
            end=1,
            rows=[row(0)],
            duplicates="error",
            now_ms=1,
        )
    assert result == ChunkResult(inserted=1)


@pytest.mark.parametrize("duplicates", ["skip", "update", "error"])
def test_a_preview_tells_what_saving_does_and_writes_nothing(
    database: Database, start_import: "StartImport", duplicates: Duplicates
) -> None:
    start_import("A")
    save(database, [row(0)])
    finish(database, "A")
    start_import("B")
    rows = [row(0, name="New"), row(1)]
    with database.read() as conn:
        preview = preview_chunk(conn, import_id="B", event_id="spring", rows=rows, duplicates=duplicates)
    assert [it.name for it in everybody(database)] == ["Guest 0"]
    assert counters(database, "B") == (0, 0, 0, 0, 0)
    assert save(database, rows, "B", duplicates=duplicates) == preview


def test_a_chunk_may_be_larger_than_one_look_up(database: Database, start_import: "StartImport") -> None:
    start_import("A")
    size = 2 * LOOKUP_SIZE + 1
    save(database, [row(number) for number in range(size)])
    finish(database, "A")
    start_import("B")
    assert save(database, [row(number) for number in range(size + 1)], "B") == ChunkResult(inserted=1, skipped=size)


@pytest.mark.parametrize("duplicates", ["skip", "update", "error"])
def test_a_large_chunk_that_meets_half_of_its_rows_treats_each_as_it_should(
    database: Database, start_import: "StartImport", duplicates: Duplicates
) -> None:
    start_import("A")
    size = 4 * LOOKUP_SIZE
    save(database, [row(number) for number in range(0, size, 2)])
    finish(database, "A")
    start_import("B")
    result = save(database, [row(number, name="New") for number in range(size)], "B", duplicates=duplicates)
    half = size // 2
    assert (result.inserted, result.updated, result.skipped, len(result.rejections)) == {
        "skip": (half, 0, half, 0),
        "update": (half, half, 0, 0),
        "error": (half, 0, 0, half),
    }[duplicates]
    assert counters(database, "B") == (size, result.inserted, result.updated, result.skipped, len(result.rejections))
    assert [it.row for it in result.rejections] == [n + 2 for n in range(0, size, 2) if duplicates == "error"]
    renamed = {it.email for it in everybody(database) if it.name == "New"}
    assert renamed == {row(n).email for n in range(size) if n % 2 or duplicates == "update"}
    assert save(database, [row(number) for number in range(size)], "B", duplicates=duplicates) == ChunkResult()


def test_saving_new_rows_asks_the_database_once_for_many_of_them(
    database: Database, start_import: "StartImport"
) -> None:
    start_import("A")
    start_import("B")
    statements: list[str] = []

    def note(_conn: object, _cursor: object, statement: str, *_: object) -> None:
        statements.append(statement)

    def count(import_id: str, rows: Sequence[Row]) -> int:
        statements.clear()
        with database.begin() as conn:
            sa.event.listen(conn, "before_cursor_execute", note)
            save_chunk(
                conn,
                import_id=import_id,
                event_id="spring",
                fence=1,
                first=0,
                end=len(rows),
                rows=rows,
                duplicates="skip",
                now_ms=1,
            )
        return len(statements)

    many = PARAMETERS // 8  # columns of a participant
    one = count("A", [row(0)])
    assert count("B", [row(number) for number in range(1, 5 * many)]) == one + 4


def test_pages_follow_each_other_without_gap_or_repetition(database: Database, start_import: "StartImport") -> None:
    start_import("A")
    save(database, [row(number) for number in range(7)])
    pages, after = [], 0
    with database.read() as conn:
        while page := list_participants(conn, "spring", after, limit=3):
            pages.append([it.email for it in page])
            after = page[-1].id
    assert [len(page) for page in pages] == [3, 3, 1]
    assert [email for page in pages for email in page] == [f"guest{number}@example.org" for number in range(7)]


def test_an_import_pages_over_whom_it_created_and_updated(database: Database, start_import: "StartImport") -> None:
    start_import("A")
    save(database, [row(0), row(1), row(2)])
    finish(database, "A")
    start_import("B")
    save(database, [row(3), row(1), row(4)], "B", duplicates="update")
    with database.read() as conn:
        first = participants_of_import(conn, "B", limit=2)
        rest = participants_of_import(conn, "B", first[-1].id, limit=2)
        assert count_participants_of_import(conn, "B") == 3
        assert count_participants_of_import(conn, "A") == 3  # an update takes nobody away from their import
    assert [it.email for it in first + rest] == ["guest1@example.org", "guest3@example.org", "guest4@example.org"]


def test_an_id_never_comes_again(database: Database, start_import: "StartImport") -> None:
    start_import("A")
    save(database, [row(0)])
    (person,) = everybody(database)
    with database.begin() as conn:
        conn.execute(participants.delete())
    save(database, [row(1)], first=1)
    assert everybody(database)[0].id > person.id
