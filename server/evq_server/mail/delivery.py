"""Delivery: empties the outbox through a transport, so that no crash and no second delivery sends a mail twice."""

import logging
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from evq.errors import NetworkError, TemporaryError
from evq_server.clock import now_ms
from evq_server.mail.letters import Letter, LetterWriter
from evq_server.mail.transports import Refused, Transport, Unsure
from evq_server.store.database import Database
from evq_server.store.outbox import Settled, begin_delivery, claim, settle

MAX_ATTEMPTS: Final = 10
"""How often a mail is attempted before a server that keeps putting it off is taken at its word."""

log = logging.getLogger(__name__)


class Delivered(msgspec.Struct, frozen=True, kw_only=True):
    """What one attempt of a delivery did, in mails."""

    sent: int
    failed: int
    unsure: int


def deliver(
    database: Database,
    transport: Transport,
    writer: LetterWriter,
    *,
    delivery_id: str,
    fence: int,
    import_id: str,
    check: Callable[[], None],
) -> Delivered:
    """Send the queued mails of an import; *check* is called between them, and raises to stop.

    Raises `TemporaryError` at the end if the server put some of them off, `NetworkError` as soon as none can be sent
    (in both cases they stay queued), and `LeaseLost` if a newer attempt has begun.
    """
    with database.begin() as conn:
        begin_delivery(conn, delivery_id, fence, repeatable=transport.repeatable)
    states: Counter[str] = Counter()
    settled: list[Settled] = []
    after_id = 0
    try:
        with transport:
            while True:
                check()
                with database.begin() as conn:
                    settle(conn, delivery_id, fence, settled, now_ms=now_ms())
                    mails = claim(
                        conn, delivery_id, fence, import_id=import_id, after_id=after_id, limit=transport.batch
                    )
                    letters = writer.write(conn, mails)  # before the commit: what cannot be written stays queued
                settled.clear()
                if not mails:
                    break
                after_id = mails[-1].id
                _send(transport, letters, settled)
                states.update(outcome.state for outcome in settled)
    finally:
        with database.begin() as conn:
            settle(conn, delivery_id, fence, settled, now_ms=now_ms())
    log.info("delivery ended", extra={"delivery": delivery_id, "fence": fence, **states})
    if states["queued"]:
        raise TemporaryError(f"{states['queued']} mails were put off by the mail server and stay queued")
    return Delivered(sent=states["sent"], failed=states["failed"], unsure=states["unsure"])


def _send(transport: Transport, letters: Iterable[Letter], settled: list[Settled]) -> None:
    """Hand over each letter, and append what became of it; raises `NetworkError` when no more can be sent."""
    for letter in letters:
        mail = letter.mail
        if letter.message is None:
            settled.append(Settled(id=mail.id, state="failed", error=letter.fault))
            continue
        try:
            transport.send(letter.message)
        except Refused as error:
            outcome = Settled(id=mail.id, state="failed", error=str(error))
        except Unsure as error:
            outcome = Settled(id=mail.id, state="unsure", error=str(error))
        except TemporaryError as error:
            again = mail.attempts < MAX_ATTEMPTS
            outcome = Settled(id=mail.id, state="queued" if again else "failed", error=str(error))
        except NetworkError as error:
            settled.append(Settled(id=mail.id, state="queued", error=str(error)))
            raise
        else:
            outcome = Settled(id=mail.id, state="sent")
        settled.append(outcome)
