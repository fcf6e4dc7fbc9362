"""Participants: saved in fenced chunks, and read page by page.

Identity within an event is the e-mail as it is given here: normalised and lower-cased. What an import has created or
updated is never a duplicate to that same import, so that saving again changes nothing.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec
import sqlalchemy as sa

from evq_server.schemas import Duplicates
from evq_server.store.database import (
    LOOKUP_SIZE,
    as_json,
    before_images,
    imports,
    insert_or_ignore,
    participants,
    rejections,
)
from evq_server.store.imports import advance

DUPLICATE: Final = "duplicate_in_event"
"""The code of a row whose e-mail the event has already."""


class Row(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One accepted row of an upload; *row* is its number there, *email* its identity."""

    row: int
    email: str
    name: str
    phone: str | None
    attributes: dict[str, str]


class Rejection(msgspec.Struct, frozen=True, kw_only=True):
    """One row that the event refuses: where it stands, what is wrong, and a code with its parameters."""

    row: int
    column: str
    value: str
    code: str
    params: dict[str, Any]


class ChunkResult(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one chunk. Rows that this import had already saved are in none of the counts."""

    inserted: int = 0
    updated: int = 0
    skipped: int = 0
    rejections: tuple[Rejection, ...] = ()


class Participant(msgspec.Struct, frozen=True, kw_only=True):
    """One participant of an event."""

    id: int
    event_id: str
    email: str
    name: str
    phone: str | None
    attributes: dict[str, str]
    created_ms: int
    updated_ms: int


class Contact(NamedTuple):
    """What a ticket and a mail need of a participant."""

    id: int
    email: str
    name: str


_INSERTED: Final = ("event_id", "email", "name", "phone", "attributes", "import_id", "created_ms", "updated_ms")
_COLUMNS: Final = [participants.c[field] for field in Participant.__struct_fields__]


class _Known(msgspec.Struct, frozen=True):
    """A participant that exists already, and the import it belongs to.

    *ours* if this import has written it. *unfinished* if its import failed or was cancelled, and may have issued no
    ticket or queued no mail: the next import that brings it finishes it, whatever is to be done with duplicates.
    """

    participant: Participant
    import_id: str
    ours: bool
    unfinished: bool


class _Plan(msgspec.Struct, frozen=True):
    """What is to happen to each row of a chunk."""

    inserted: int
    updates: list[tuple[Row, _Known]]
    skipped: int
    rejections: tuple[Rejection, ...]

    def result(self) -> ChunkResult:
        return ChunkResult(
            inserted=self.inserted, updated=len(self.updates), skipped=self.skipped, rejections=self.rejections
        )


def save_chunk(
    conn: sa.Connection,
    *,
    import_id: str,
    event_id: str,
    fence: int,
    first: int,
    end: int,
    rows: Sequence[Row],
    duplicates: Duplicates,
    now_ms: int,
) -> ChunkResult:
    """Save the rows of the spool's ordinals *first* to *end* (exclusive; superseded ones are not among the rows).

    Checkpoint, counters and participants change in the caller's one transaction, or not at all. A chunk that is saved
    already is left alone. Raises `LeaseLost` if a newer attempt has begun, and `ValueError` for a gap in the ordinals.
    """
    if not advance(conn, import_id, fence, first=first, end=end):
        return ChunkResult()
    inserted, met = _insert(conn, rows, import_id, event_id, now_ms)
    plan = _plan(conn, import_id, event_id, met, duplicates)
    _update(conn, plan.updates, import_id, now_ms)
    _reject(conn, plan.rejections, import_id)
    result = msgspec.structs.replace(plan.result(), inserted=inserted)
    conn.execute(
        imports.update()
        .where(imports.c.id == import_id)
        .values(
            inserted=imports.c.inserted + result.inserted,
            updated=imports.c.updated + result.updated,
            skipped=imports.c.skipped + result.skipped,
            rejected=imports.c.rejected + len(result.rejections),
        )
    )
    return result


def preview_chunk(
    conn: sa.Connection, *, import_id: str, event_id: str, rows: Sequence[Row], duplicates: Duplicates
) -> ChunkResult:
    """Tell what `save_chunk` would do, and write nothing."""
    return _plan(conn, import_id, event_id, rows, duplicates).result()


def list_participants(conn: sa.Connection, event_id: str, after_id: int = 0, limit: int = 100) -> list[Participant]:
    """Return the event's participants with ids above *after_id*, at most *limit*, in the order of their ids."""
    query = sa.select(*_COLUMNS).where(participants.c.event_id == event_id, participants.c.id > after_id)
    rows = conn.execute(query.order_by(participants.c.id).limit(limit))
    return [Participant(**row) for row in rows.mappings()]


def participants_of_import(conn: sa.Connection, import_id: str, after_id: int = 0, limit: int = 1000) -> list[Contact]:
    """Return those whom the import has created or updated, with ids above *after_id*, at most *limit*, in order."""
    created = sa.select(participants.c.id).where(participants.c.import_id == import_id, participants.c.id > after_id)
    updated = sa.select(before_images.c.participant_id).where(
        before_images.c.import_id == import_id, before_images.c.participant_id > after_id
    )
    ids = sa.union(created, updated).order_by("id").limit(limit)
    columns = [participants.c[field] for field in Contact._fields]
    query = sa.select(*columns).where(participants.c.id.in_(ids)).order_by(participants.c.id)
    return [Contact(*row) for row in conn.execute(query).all()]


def count_participants_of_import(conn: sa.Connection, import_id: str) -> int:
    """Count those whom the import has created or updated."""
    created = sa.select(participants.c.id).where(participants.c.import_id == import_id)
    updated = sa.select(before_images.c.participant_id).where(before_images.c.import_id == import_id)
    return conn.scalar(sa.select(sa.func.count()).select_from(sa.union(created, updated).subquery())) or 0


def rejections_of_import(conn: sa.Connection, import_id: str, first_row: int, last_row: int) -> list[Rejection]:
    """Return those of the rows *first_row* to *last_row* that were rejected while the import was saved, in order."""
    columns = [rejections.c[field] for field in Rejection.__struct_fields__]
    query = sa.select(*columns).where(
        rejections.c.import_id == import_id, rejections.c.row.between(first_row, last_row)
    )
    return [Rejection(**row) for row in conn.execute(query.order_by(rejections.c.row)).mappings()]


def _plan(conn: sa.Connection, import_id: str, event_id: str, rows: Sequence[Row], duplicates: Duplicates) -> _Plan:
    known = _find(conn, import_id, event_id, [row.email for row in rows])
    updates: list[tuple[Row, _Known]] = []
    rejected: list[Rejection] = []
    inserted = skipped = 0
    for row in rows:
        found = known.get(row.email)
        if found is None:
            inserted += 1
        elif found.ours:
            continue
        elif duplicates == "update" or found.unfinished:
            updates.append((row, found))
        elif duplicates == "error":
            rejected.append(Rejection(row=row.row, column="email", value=row.email, code=DUPLICATE, params={}))
        else:
            skipped += 1
    return _Plan(inserted, updates, skipped, tuple(rejected))


def _find(conn: sa.Connection, import_id: str, event_id: str, emails: Sequence[str]) -> dict[str, _Known]:
    """Look up, by e-mail, who exists already."""
    updated_by_us = sa.exists().where(
        before_images.c.import_id == import_id, before_images.c.participant_id == participants.c.id
    )
    query = (
        sa.select(
            *_COLUMNS,
            participants.c.import_id,
            sa.or_(participants.c.import_id == import_id, updated_by_us).label("ours"),
            sa.func.coalesce(imports.c.status.in_(["failed", "cancelled"]), sa.false()).label("unfinished"),
        )
        .join(imports, imports.c.id == participants.c.import_id)
        .where(participants.c.event_id == event_id)
    )
    known: dict[str, _Known] = {}
    for start in range(0, len(emails), LOOKUP_SIZE):
        for row in conn.execute(query.where(participants.c.email.in_(emails[start : start + LOOKUP_SIZE]))):
            *columns, owner, ours, unfinished = row
            participant = Participant(**dict(zip(Participant.__struct_fields__, columns, strict=True)))
            known[participant.email] = _Known(participant, owner, ours, unfinished)
    return known


def _insert(
    conn: sa.Connection, rows: Sequence[Row], import_id: str, event_id: str, now_ms: int
) -> tuple[int, list[Row]]:
    """Insert who is not there; return how many that were, and the rows among which some met a participant.

    Most rows of most imports are new. Those that met nobody were inserted just now and are the import's own already.
    """
    values = [
        (event_id, row.email, row.name, row.phone, as_json(row.attributes), import_id, now_ms, now_ms) for row in rows
    ]
    inserted = insert_or_ignore(conn, participants, _INSERTED, values, unique=("event_id", "email"))
    return inserted.new, [rows[place] for places in inserted.met for place in places]


def _update(conn: sa.Connection, updates: Sequence[tuple[Row, _Known]], import_id: str, now_ms: int) -> None:
    """Keep each participant as it was, then write what the row gives: an empty cell erases nothing."""
    if not updates:
        return
    unique = ("import_id", "participant_id")
    images = [
        (import_id, known.participant.id, as_json(msgspec.to_builtins(known.participant))) for _, known in updates
    ]
    insert_or_ignore(conn, before_images, (*unique, "image"), images, unique=unique)
    given = [_given(row, known, import_id) | {"updated_ms": now_ms} for row, known in updates]
    conn.execute(participants.update().where(participants.c.id == sa.bindparam("participant_id")), given)


def _given(row: Row, known: _Known, import_id: str) -> dict[str, Any]:
    was = known.participant
    return {
        "participant_id": was.id,
        "import_id": import_id if known.unfinished else known.import_id,
        "name": row.name or was.name,
        "phone": row.phone or was.phone,
        "attributes": was.attributes | {key: value for key, value in row.attributes.items() if value},
    }


def _reject(conn: sa.Connection, rejected: Sequence[Rejection], import_id: str) -> None:
    if rejected:
        conn.execute(rejections.insert(), [{"import_id": import_id, **msgspec.structs.asdict(it)} for it in rejected])
