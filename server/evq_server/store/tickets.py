"""Tickets: tokens that are derived, never drawn, so that issuing them again gives the same ones.

The database keeps only the SHA-256 of a token. A token comes from the secret, the event, the participant and the issue
number, so its QR code can be drawn again at any time, and a copy of the database opens no door.
"""

import hashlib
import hmac
from base64 import b32encode
from collections.abc import Sequence
from operator import itemgetter
from typing import Final

import msgspec
import sqlalchemy as sa

from evq_server.store.database import LOOKUP_SIZE, insert_or_ignore, participants, tickets
from evq_server.store.imports import hold

ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base32, https://www.crockford.com/base32.html"""

TOKEN_LENGTH: Final = 26
KEY_VERSION: Final = 1
FIRST_ISSUE: Final = 1

_NORMAL: Final = str.maketrans("ILO", "110")
_CROCKFORD: Final = bytes.maketrans(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", ALPHABET.encode())  # from that of RFC 4648
_DIGITS_OF: Final = 20
"""Bytes of a digest that are written as digits: a multiple of 5, so that digests stand side by side in base32."""


class Ticket(msgspec.Struct, frozen=True, kw_only=True):
    """A ticket that has been issued, and to whom."""

    participant_id: int
    event_id: str
    issue: int
    key_version: int
    issued_ms: int


_COLUMNS: Final = ("participant_id", "issue", "key_version", "token_sha256", "issued_ms")


def event_key(secret: bytes, event_id: str, version: int = KEY_VERSION) -> bytes:
    """Derive the key of an event's tickets (32 bytes)."""
    return hmac.digest(secret, f"{event_id}:{version}".encode(), "sha256")


def derive_token(key: bytes, participant_id: int, issue: int = FIRST_ISSUE) -> str:
    """Derive a participant's token: the first 130 bits of an HMAC-SHA256 as 26 characters."""
    return derive_tokens(key, [participant_id], issue)[0]


def derive_tokens(key: bytes, participant_ids: Sequence[int], issue: int = FIRST_ISSUE) -> list[str]:
    """Derive the tokens of many participants, as `derive_token` does."""
    keyed = hmac.new(key, digestmod="sha256")
    digests = bytearray()
    for participant_id in participant_ids:
        mac = keyed.copy()
        mac.update(b"%d:%d" % (participant_id, issue))
        digests += mac.digest()[:_DIGITS_OF]
    digits = b32encode(digests).translate(_CROCKFORD).decode()
    return [digits[at : at + TOKEN_LENGTH] for at in range(0, len(digits), 8 * _DIGITS_OF // 5)]


def normalise_token(text: str) -> str | None:
    """Return *text* as a token is written, reading I and L as 1 and O as 0; None if it cannot be a token."""
    if len(text) != TOKEN_LENGTH or not text.isascii():  # capitals of other letters may be two characters
        return None
    token = text.upper().translate(_NORMAL)
    return token if set(token) <= set(ALPHABET) else None


def token_hash(token: str) -> bytes:
    """Return what the database keeps of a token (32 bytes)."""
    return hashlib.sha256(token.encode()).digest()


def qr_text(token: str, public_url: str | None) -> str:
    """Return what a ticket's QR code holds: the token, or its URL in the capitals that QR codes write densely."""
    return f"{public_url}/T/{token}".upper() if public_url else token


def issue_tickets(
    conn: sa.Connection,
    *,
    import_id: str,
    fence: int,
    secret: bytes,
    event_id: str,
    participant_ids: Sequence[int],
    now_ms: int,
) -> dict[int, str]:
    """Issue a ticket to everybody who has none, and return everybody's token by participant id.

    Raises `LeaseLost` if a newer attempt of the import has begun.
    """
    hold(conn, import_id, fence)
    tokens = derive_tokens(event_key(secret, event_id), participant_ids)
    rows = [
        (participant_id, FIRST_ISSUE, KEY_VERSION, token_hash(token), now_ms)
        for participant_id, token in zip(participant_ids, tokens, strict=True)
    ]
    rows.sort(key=itemgetter(3))  # as they stand in the index of hashes: each of its pages is touched once
    inserted = insert_or_ignore(conn, tickets, _COLUMNS, rows, unique=("participant_id",))
    had_one = [rows[place][0] for places in inserted.met for place in places]
    return dict(zip(participant_ids, tokens, strict=True)) | tokens_of(conn, secret=secret, participant_ids=had_one)


def tokens_of(conn: sa.Connection, *, secret: bytes, participant_ids: Sequence[int]) -> dict[int, str]:
    """Derive the tokens that are valid now, by participant id; who has no ticket is left out."""
    tokens: dict[int, str] = {}
    keys: dict[tuple[str, int], bytes] = {}
    query = sa.select(
        tickets.c.participant_id, participants.c.event_id, tickets.c.key_version, tickets.c.issue
    ).join_from(tickets, participants)
    for start in range(0, len(participant_ids), LOOKUP_SIZE):
        batch = participant_ids[start : start + LOOKUP_SIZE]
        for participant_id, event_id, version, issue in conn.execute(query.where(tickets.c.participant_id.in_(batch))):
            if (event_id, version) not in keys:
                keys[event_id, version] = event_key(secret, event_id, version)
            tokens[participant_id] = derive_token(keys[event_id, version], participant_id, issue)
    return tokens


def find_ticket(conn: sa.Connection, token: str) -> Ticket | None:
    """Return the ticket of a token, however it was typed; None if there is none."""
    if (normal := normalise_token(token)) is None:
        return None
    query = (
        sa.select(*(tickets.c[field] for field in Ticket.__struct_fields__ if field != "event_id"))
        .add_columns(participants.c.event_id)
        .join_from(tickets, participants)
        .where(tickets.c.token_sha256 == token_hash(normal))
    )
    row = conn.execute(query).mappings().one_or_none()
    return Ticket(**row) if row else None
