import hashlib
import hmac
import re
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from evq.errors import LeaseLost
from evq_server.store.database import Database, participants, tickets
from evq_server.store.participants import Row, list_participants, save_chunk
from evq_server.store.tickets import (
    derive_token,
    event_key,
    find_ticket,
    issue_tickets,
    normalise_token,
    qr_text,
    token_hash,
    tokens_of,
)

if TYPE_CHECKING:
    from tests.server.conftest import StartImport

SECRET = b"a secret for the tests"
TOKEN = "0123456789ABCDEFGHJKMNPQRS"


def save(database: Database, count: int, import_id: str = "A", event_id: str = "spring") -> list[int]:
    rows = [
        Row(row=number, email=f"guest{number}@example.org", name="Guest", phone=None, attributes={})
        for number in range(count)
    ]
    with database.begin() as conn:
        save_chunk(
            conn,
            import_id=import_id,
            event_id=event_id,
            fence=1,
            first=0,
            end=count,
            rows=rows,
            duplicates="skip",
            now_ms=1,
        )
        return [it.id for it in list_participants(conn, event_id, limit=count)]


def issue(
    database: Database,
    people: list[int],
    *,
    import_id: str = "A",
    event_id: str = "spring",
    fence: int = 1,
    now_ms: int = 5,
) -> dict[int, str]:
    with database.begin() as conn:
        return issue_tickets(
            conn,
            import_id=import_id,
            fence=fence,
            secret=SECRET,
            event_id=event_id,
            participant_ids=people,
            now_ms=now_ms,
        )


def test_a_token_is_130_bits_of_an_hmac_in_crockfords_base32() -> None:
    key = hmac.new(SECRET, b"spring:1", hashlib.sha256).digest()
    assert event_key(SECRET, "spring", 1) == key
    digest = hmac.new(key, b"7:1", hashlib.sha256).digest()
    bits = "".join(f"{byte:08b}" for byte in digest)[:130]
    expected = "".join("0123456789ABCDEFGHJKMNPQRSTVWXYZ"[int(bits[at : at + 5], 2)] for at in range(0, 130, 5))
    assert derive_token(key, 7, 1) == expected
    assert re.fullmatch(r"[0-9A-HJKMNP-TV-Z]{26}", expected)


def test_a_token_depends_on_secret_event_version_participant_and_issue() -> None:
    tokens = {
        derive_token(event_key(secret, event_id, version), participant_id, number)
        for secret in (SECRET, b"other")
        for event_id in ("spring", "autumn")
        for version in (1, 2)
        for participant_id in (1, 11)
        for number in (1, 2)
    }
    assert len(tokens) == 32


def test_a_token_may_be_typed_as_it_is_read() -> None:
    assert normalise_token(TOKEN.lower()) == TOKEN
    assert normalise_token("oIl3456789abcdefghjkmnpqrs") == "0113456789ABCDEFGHJKMNPQRS"


@pytest.mark.parametrize(
    "text", ["", TOKEN[:-1], TOKEN + "0", TOKEN[:-1] + "U", TOKEN[:-1] + "-", TOKEN[:-1] + "\uff10"]
)
def test_what_cannot_be_a_token_is_refused(text: str) -> None:
    assert normalise_token(text) is None


def test_a_character_that_grows_in_upper_case_makes_no_token() -> None:
    assert normalise_token(TOKEN[:-2] + "ß") is None  # "SS" in capitals


def test_the_database_keeps_the_hash_only(database: Database, start_import: "StartImport") -> None:
    start_import("A")
    (person,) = save(database, 1)
    token = issue(database, [person])[person]
    with database.read() as conn:
        ticket = conn.execute(sa.select(tickets)).one()
    assert ticket.token_sha256 == hashlib.sha256(token.encode()).digest() == token_hash(token)
    assert (ticket.issue, ticket.key_version, ticket.issued_ms) == (1, 1, 5)


def test_issuing_again_gives_the_same_tokens_and_no_second_ticket(
    database: Database, start_import: "StartImport"
) -> None:
    start_import("A")
    people = save(database, 3)
    tokens = issue(database, people[:2])
    again = issue(database, people, now_ms=9)
    assert {person: again[person] for person in tokens} == tokens
    assert len(set(again.values())) == 3
    with database.read() as conn:
        assert conn.scalars(sa.select(tickets.c.issued_ms).order_by(tickets.c.participant_id)).all() == [5, 5, 9]


def test_a_stale_fence_issues_nothing(database: Database, start_import: "StartImport") -> None:
    start_import("A")
    people = save(database, 1)
    issue(database, [], fence=2)
    with pytest.raises(LeaseLost):
        issue(database, people, fence=1)
    with database.read() as conn:
        assert tokens_of(conn, secret=SECRET, participant_ids=people) == {}


def test_issuing_does_not_move_the_checkpoint(database: Database, start_import: "StartImport") -> None:
    start_import("A")
    issue(database, save(database, 2))
    with database.read() as conn:
        assert conn.scalar(sa.text("SELECT checkpoint FROM imports")) == 2


def test_a_ticket_that_was_issued_anew_keeps_its_issue_and_key(database: Database, start_import: "StartImport") -> None:
    start_import("A")
    (person,) = save(database, 1)
    issue(database, [person])
    token = derive_token(event_key(SECRET, "spring", 3), person, 2)
    with database.begin() as conn:
        conn.execute(tickets.update().values(issue=2, key_version=3, token_sha256=token_hash(token)))
    assert issue(database, [person]) == {person: token}


def test_a_ticket_is_found_by_its_token_however_it_was_typed(database: Database, start_import: "StartImport") -> None:
    start_import("A")
    person, other = save(database, 2)
    tokens = issue(database, [person, other])
    with database.read() as conn:
        ticket = find_ticket(conn, tokens[person].lower().replace("0", "o").replace("1", "l"))
        assert ticket
        assert (ticket.participant_id, ticket.event_id, ticket.issue) == (person, "spring", 1)
        assert find_ticket(conn, TOKEN) is None
        assert find_ticket(conn, "'; DROP TABLE tickets") is None


def test_many_tickets_are_issued_at_once(database: Database, start_import: "StartImport") -> None:
    start_import("A")
    people = save(database, 1_201)
    assert list(issue(database, people)) == people


def test_a_qr_code_holds_the_token_or_its_url_in_capitals() -> None:
    assert qr_text(TOKEN, None) == TOKEN
    assert qr_text(TOKEN, "https://events.example.org:8443") == f"HTTPS://EVENTS.EXAMPLE.ORG:8443/T/{TOKEN}"


def test_every_ticket_belongs_to_a_participant(database: Database, start_import: "StartImport") -> None:
    start_import("A")
    (person,) = save(database, 1)
    issue(database, [person])
    with database.begin() as conn, pytest.raises(sa.exc.IntegrityError):
        conn.execute(participants.delete())
