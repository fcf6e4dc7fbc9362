"""The outbox: one row for each mail that is to leave, unique by kind and subject.

A row is marked `sending` in a committed transaction before its mail is handed over, and belongs to that one attempt of
that one delivery from then on: two deliveries at once never send the same mail. What an attempt that died has left in
`sending` may or may not have gone out: where sending twice would be seen, it becomes `unsure` and stays so; where it
would not, it is queued again.

    queued → sending → sent | failed | unsure
       ↑________|                                 (put off, or interrupted where sending twice is harmless)
"""

from collections.abc import Iterable, Sequence
from typing import Final, Literal

import msgspec
import sqlalchemy as sa

from evq.errors import LeaseLost
from evq_server.store.database import deliveries, imports, insert_or_ignore, outbox

Kind = Literal["welcome", "import-completed", "import-failed", "import-cancelled"]
State = Literal["queued", "sending", "sent", "failed", "unsure"]


class NewMail(msgspec.Struct, frozen=True, kw_only=True):
    """A mail to be queued; *subject_key* is the id of the participant (`welcome`) or import (the others)."""

    kind: Kind
    subject_key: str
    import_id: str
    recipient: str


class QueuedMail(msgspec.Struct, frozen=True, kw_only=True):
    """A mail that has been claimed; *attempts* counts this one."""

    id: int
    kind: Kind
    subject_key: str
    import_id: str
    recipient: str
    attempts: int
    created_ms: int


class Settled(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a claimed mail; `queued` puts it off. *error* names a reason, never a person."""

    id: int
    state: Literal["sent", "failed", "unsure", "queued"]
    error: str | None = None


_COLUMNS: Final = [outbox.c[field] for field in QueuedMail.__struct_fields__]


def queue_mail(conn: sa.Connection, mails: Iterable[NewMail], *, now_ms: int) -> int:
    """Queue those mails that have never been queued; return how many they were."""
    columns = (*NewMail.__struct_fields__, "created_ms")
    rows = [(*msgspec.structs.astuple(mail), now_ms) for mail in mails]
    return insert_or_ignore(conn, outbox, columns, rows, unique=("kind", "subject_key")).new


def begin_delivery(conn: sa.Connection, delivery_id: str, fence: int, *, repeatable: bool) -> int:
    """Begin attempt *fence* of a delivery, and settle what its earlier attempts left in `sending`; return how many.

    *repeatable* tells whether sending a mail twice is harmless. Raises `LeaseLost` if a newer attempt has begun.
    """
    insert_or_ignore(conn, deliveries, ("id", "fence"), [(delivery_id, fence)], unique=("id",))
    _hold(conn, delivery_id, fence)
    earlier = sa.and_(outbox.c.delivery_id == delivery_id, outbox.c.delivery_fence < fence)
    return _settle_interrupted(conn, earlier, repeatable=repeatable)


def abandon_deliveries(conn: sa.Connection, import_id: str, *, repeatable: bool) -> int:
    """Settle what deliveries of an import that will not be tried again left in `sending`; return how many."""
    return _settle_interrupted(conn, outbox.c.import_id == import_id, repeatable=repeatable)


def unsent_imports(conn: sa.Connection) -> list[str]:
    """Return the ids of imports that are over and have mails that are to leave or were leaving."""
    query = sa.select(outbox.c.import_id).distinct().join(imports, imports.c.id == outbox.c.import_id)
    waiting = query.where(outbox.c.state.in_(["queued", "sending"]), imports.c.status.is_not(None))
    return list(conn.scalars(waiting))


def claim(
    conn: sa.Connection, delivery_id: str, fence: int, *, import_id: str, after_id: int, limit: int
) -> list[QueuedMail]:
    """Move at most *limit* queued mails of an import with ids above *after_id* to `sending`; return them in order.

    Send nothing before the transaction is committed. Raises `LeaseLost` if a newer attempt has begun.
    """
    _hold(conn, delivery_id, fence)
    of_import = sa.and_(outbox.c.import_id == import_id, outbox.c.state == "queued", outbox.c.id > after_id)
    waiting = sa.select(outbox.c.id).where(of_import).order_by(outbox.c.id).limit(limit)
    claimed = (
        outbox.update()
        .where(outbox.c.id.in_(waiting.with_for_update(skip_locked=True)))
        .values(state="sending", delivery_id=delivery_id, delivery_fence=fence, attempts=outbox.c.attempts + 1)
        .returning(*_COLUMNS)
    )
    return sorted((QueuedMail(**row) for row in conn.execute(claimed).mappings()), key=lambda mail: mail.id)


def settle(conn: sa.Connection, delivery_id: str, fence: int, outcomes: Sequence[Settled], *, now_ms: int) -> None:
    """Write what became of mails that this attempt has claimed.

    A newer attempt may have judged one of them `unsure` meanwhile; whoever sent it knows better.
    """
    if not outcomes:
        return
    conn.execute(
        outbox.update()
        .where(
            outbox.c.id == sa.bindparam("mail_id"),
            outbox.c.delivery_id == delivery_id,
            outbox.c.delivery_fence == fence,
            sa.or_(outbox.c.state == "sending", outbox.c.state == "unsure"),  # executemany takes no IN
        )
        .values(state=sa.bindparam("to"), error=sa.bindparam("reason"), sent_ms=sa.bindparam("at")),
        [
            {
                "mail_id": outcome.id,
                "to": outcome.state,
                "reason": outcome.error,
                "at": now_ms if outcome.state == "sent" else None,
            }
            for outcome in outcomes
        ],
    )


def counts(conn: sa.Connection, import_id: str, kind: Kind | None = None) -> dict[State, int]:
    """Count an import's mails by state, those of one kind or of all; states without any are left out."""
    query = sa.select(outbox.c.state, sa.func.count().label("mails")).where(outbox.c.import_id == import_id)
    if kind is not None:
        query = query.where(outbox.c.kind == kind)
    return {row.state: row.mails for row in conn.execute(query.group_by(outbox.c.state))}


def drop_queued(conn: sa.Connection, import_id: str) -> int:
    """Forget the welcome mails of a cancelled import that have not begun to leave; return how many."""
    waiting = sa.and_(outbox.c.import_id == import_id, outbox.c.kind == "welcome", outbox.c.state == "queued")
    return conn.execute(outbox.delete().where(waiting)).rowcount


def _settle_interrupted(conn: sa.Connection, which: sa.ColumnElement[bool], *, repeatable: bool) -> int:
    change = {"state": "queued"} if repeatable else {"state": "unsure", "error": "the sender stopped while sending"}
    return conn.execute(outbox.update().where(which, outbox.c.state == "sending").values(change)).rowcount


def _hold(conn: sa.Connection, delivery_id: str, fence: int) -> None:
    held = deliveries.update().where(deliveries.c.id == delivery_id, deliveries.c.fence <= fence).values(fence=fence)
    if not conn.execute(held).rowcount:
        raise LeaseLost(delivery_id)
