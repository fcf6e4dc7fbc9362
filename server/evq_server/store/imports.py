"""Imports: one row for each upload, and the fence that keeps a worker without a lease from writing.

Every transaction that writes for an import begins with `hold` or `advance`. Both are one UPDATE that touches no row
when a newer attempt has been here, and that makes the transaction wait for any other that holds the same import.
"""

from typing import Any, Final, Literal

import msgspec
import sqlalchemy as sa

from evq.errors import LeaseLost
from evq_server.store.database import imports

FinalStatus = Literal["completed", "failed", "cancelled"]


class Import(msgspec.Struct, frozen=True, kw_only=True):
    """One upload and what became of it; `status` and `outcome` stay None until it is over."""

    id: str
    event_id: str
    filename: str
    size: int
    sha256: str
    mime_type: str
    options: dict[str, Any]
    uploaded_by: str | None
    created_ms: int
    fence: int
    checkpoint: int
    inserted: int
    updated: int
    skipped: int
    rejected: int
    status: FinalStatus | None
    outcome: dict[str, Any] | None
    ended_ms: int | None


_COLUMNS: Final = [imports.c[field] for field in Import.__struct_fields__]


def create_import(
    conn: sa.Connection,
    *,
    import_id: str,
    event_id: str,
    filename: str,
    size: int,
    sha256: str,
    mime_type: str,
    options: dict[str, Any],
    uploaded_by: str | None,
    now_ms: int,
) -> None:
    """Write the row of a new upload; its event must exist."""
    conn.execute(
        imports.insert().values(
            id=import_id,
            event_id=event_id,
            filename=filename,
            size=size,
            sha256=sha256,
            mime_type=mime_type,
            options=options,
            uploaded_by=uploaded_by,
            created_ms=now_ms,
        )
    )


def get_import(conn: sa.Connection, import_id: str) -> Import | None:
    """Return the import, or None if there is none of that id."""
    row = conn.execute(sa.select(*_COLUMNS).where(imports.c.id == import_id)).mappings().one_or_none()
    return Import(**row) if row else None


def remove_import(conn: sa.Connection, import_id: str) -> None:
    """Remove an import, as when its job could not be enqueued; one that an attempt has begun stays."""
    conn.execute(imports.delete().where(imports.c.id == import_id, imports.c.fence == 0))


def unfinished_imports(conn: sa.Connection) -> list[Import]:
    """Return the imports that are not over, oldest first: those whose job may have to be enqueued again."""
    rows = conn.execute(sa.select(*_COLUMNS).where(imports.c.status.is_(None)).order_by(imports.c.created_ms))
    return [Import(**row) for row in rows.mappings()]


def begin_attempt(conn: sa.Connection, import_id: str, fence: int) -> None:
    """Begin attempt *fence*: from here on older ones save nothing. A replayed import is open again.

    Raises `LeaseLost` if a newer attempt has begun.
    """
    conn.execute(
        imports.update()
        .where(imports.c.id == import_id, imports.c.fence < fence)
        .values(fence=fence, status=None, outcome=None, ended_ms=None)
    )
    hold(conn, import_id, fence)


def hold(conn: sa.Connection, import_id: str, fence: int) -> None:
    """Open a transaction's writes for an import; raises `LeaseLost` if a newer attempt has begun."""
    if not conn.execute(
        imports.update().where(imports.c.id == import_id, imports.c.fence <= fence).values(fence=fence)
    ).rowcount:
        raise LeaseLost(import_id)


def advance(conn: sa.Connection, import_id: str, fence: int, *, first: int, end: int) -> bool:
    """Move the checkpoint from *first* to *end*, as `hold` does with the fence.

    Return False, and change nothing, if those ordinals are saved already. Raises `LeaseLost` if a newer attempt has
    begun, and `ValueError` if the ordinals do not follow on what is saved.
    """
    moved = conn.execute(
        imports.update()
        .where(imports.c.id == import_id, imports.c.fence <= fence, imports.c.checkpoint == first)
        .values(fence=fence, checkpoint=end)
    )
    if moved.rowcount:
        return True
    hold(conn, import_id, fence)
    checkpoint = conn.scalar(sa.select(imports.c.checkpoint).where(imports.c.id == import_id))
    if checkpoint is None or not end <= checkpoint:
        raise ValueError(f"import {import_id}: ordinals {first} to {end} do not follow on checkpoint {checkpoint}")
    return False


def record_outcome(
    conn: sa.Connection,
    import_id: str,
    fence: int,
    status: FinalStatus,
    outcome: dict[str, Any],
    *,
    now_ms: int,
) -> bool:
    """Record how the import ended with attempt *fence* (0: before any); tell whether this was news.

    The first outcome stands until a newer attempt begins; one that comes after that, from an older attempt, is ignored.
    """
    ended = conn.execute(
        imports.update()
        .where(imports.c.id == import_id, imports.c.fence <= fence, imports.c.status.is_(None))
        .values(fence=fence, status=status, outcome=outcome, ended_ms=now_ms)
    )
    return ended.rowcount > 0


def reopen(conn: sa.Connection, import_id: str) -> None:
    """Let an import begin anew because its job is lost: fences start from 1 again. What is saved stays saved."""
    conn.execute(imports.update().where(imports.c.id == import_id, imports.c.status.is_(None)).values(fence=0))
