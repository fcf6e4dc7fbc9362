"""Events: they exist before their imports."""

from litestar import get, put
from litestar.exceptions import NotFoundException
from litestar.params import FromPath, JSONBody
from sqlalchemy import Connection

from evq_server.api import Given
from evq_server.clock import now_ms
from evq_server.schemas import EventAnswer, EventBody
from evq_server.store import events
from evq_server.store.database import Database


@put("/api/events/{event_id:str}", sync_to_thread=True)
def put_event(event_id: FromPath[str], data: JSONBody[EventBody], database: Given[Database]) -> EventAnswer:
    """Create the event, or change it."""
    with database.begin() as conn:
        event = events.put_event(
            conn,
            event_id,
            name=data.name,
            language=data.language,
            mail_subject=data.mail_subject,
            mail_body=data.mail_body,
            now_ms=now_ms(),
        )
    return _answer(event)


@get("/api/events/{event_id:str}", sync_to_thread=True)
def get_event(event_id: FromPath[str], database: Given[Database]) -> EventAnswer:
    """Show the event."""
    with database.read() as conn:
        return _answer(require_event(conn, event_id))


def require_event(conn: Connection, event_id: str) -> events.Event:
    """Return the event, or raise the 404 that says how to create it."""
    event = events.get_event(conn, event_id)
    if event is None:
        raise NotFoundException(
            f"There is no event {event_id!r}. Create it first: "
            f'PUT /api/events/{event_id} with {{"name": "...", "language": "ko" or "en"}}.'
        )
    return event


def _answer(event: events.Event) -> EventAnswer:
    return EventAnswer(
        id=event.id,
        name=event.name,
        language=event.language,
        mail_subject=event.mail_subject,
        mail_body=event.mail_body,
    )
