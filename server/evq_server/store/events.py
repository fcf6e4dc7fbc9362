"""Events: what participants are imported into, and what their mails are called."""

import re
from string import Template
from typing import Final

import msgspec
import sqlalchemy as sa

from evq.errors import ValidationError
from evq_server.schemas import Language
from evq_server.store.database import events

PLACEHOLDERS: Final = frozenset({"greeting", "name", "event", "token"})
"""What the subject and body of an event's welcome mail may use, as `$name`."""


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One event; without mail texts, evq's own are used."""

    id: str
    name: str
    language: Language
    mail_subject: str | None
    mail_body: str | None


def put_event(
    conn: sa.Connection,
    event_id: str,
    *,
    name: str,
    language: Language,
    mail_subject: str | None = None,
    mail_body: str | None = None,
    now_ms: int,
) -> Event:
    """Create the event, or replace what is known of it.

    Raises `ValidationError` for an id, name, language or mail text that cannot be.
    """
    event = Event(id=event_id, name=name, language=language, mail_subject=mail_subject, mail_body=mail_body)
    _check(event)
    values = msgspec.structs.asdict(event)
    found = conn.execute(events.update().where(events.c.id == event_id).values(values))
    if not found.rowcount:
        conn.execute(events.insert().values(values | {"created_ms": now_ms}))
    return event


def get_event(conn: sa.Connection, event_id: str) -> Event | None:
    """Return the event, or None if there is none of that id."""
    columns = [events.c[field] for field in Event.__struct_fields__]
    row = conn.execute(sa.select(*columns).where(events.c.id == event_id)).mappings().one_or_none()
    return Event(**row) if row else None


def _check(event: Event) -> None:
    if not re.fullmatch(r"[a-z0-9-]{1,64}", event.id):
        raise ValidationError(f"event id {event.id!r}: use 1 to 64 of the characters a-z, 0-9 and '-'")
    if event.language not in {"ko", "en"}:
        raise ValidationError(f"language {event.language!r}: use 'ko' or 'en'")
    for field, text in (("name", event.name), ("mail subject", event.mail_subject)):
        if text is not None and (not text.strip() or not text.isprintable()):
            raise ValidationError(f"the event's {field} must be one line of text, without control characters")
    for field, text in (("mail subject", event.mail_subject), ("mail body", event.mail_body)):
        _check_template(field, text or "")


def _check_template(field: str, text: str) -> None:
    template = Template(text)
    if not template.is_valid():
        raise ValidationError(f"the {field} has a '$' that begins no placeholder; write '$$' for a dollar sign")
    if unknown := sorted(set(template.get_identifiers()) - PLACEHOLDERS):
        known = ", ".join(f"${name}" for name in sorted(PLACEHOLDERS))
        raise ValidationError(f"the {field} has an unknown placeholder ${unknown[0]}; the known ones are {known}")
