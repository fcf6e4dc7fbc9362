"""The participants of an event, page by page."""

from typing import Annotated

from litestar import get
from litestar.params import FromPath, QueryParameter

from evq_server.api import Given
from evq_server.api.events import require_event
from evq_server.schemas import ParticipantAnswer, ParticipantPage
from evq_server.store import participants, tickets
from evq_server.store.database import Database


@get("/api/events/{event_id:str}/participants", sync_to_thread=True)
def list_participants(
    event_id: FromPath[str],
    database: Given[Database],
    secret: Given[bytes],
    after: Annotated[int, QueryParameter(ge=0)] = 0,
    limit: Annotated[int, QueryParameter(ge=1, le=1000)] = 100,
) -> ParticipantPage:
    """List an event's participants in the order in which they came; `next` is the following page's `after`."""
    with database.read() as conn:
        require_event(conn, event_id)
        found = participants.list_participants(conn, event_id, after_id=after, limit=limit)
        tokens = tickets.tokens_of(conn, secret=secret, participant_ids=[person.id for person in found])
    items = [
        ParticipantAnswer(
            id=person.id,
            email=person.email,
            name=person.name,
            phone=person.phone,
            attributes=person.attributes,
            ticket=f"/t/{tokens[person.id]}" if person.id in tokens else None,
        )
        for person in found
    ]
    return ParticipantPage(items=items, next=items[-1].id if len(items) == limit else None)
