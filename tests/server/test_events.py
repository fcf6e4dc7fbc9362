import pytest

from evq.errors import ValidationError
from evq_server.store.database import Database
from evq_server.store.events import get_event, put_event


def test_an_event_is_created_then_changed(database: Database) -> None:
    with database.begin() as conn:
        put_event(conn, "spring-2026", name="봄 축제", language="ko", now_ms=1)
        put_event(
            conn,
            "spring-2026",
            name="Spring",
            language="en",
            mail_subject="Hi $name",
            mail_body="$$5 off: $token",
            now_ms=2,
        )
    with database.read() as conn:
        event = get_event(conn, "spring-2026")
        assert event
        assert (event.id, event.name, event.language) == ("spring-2026", "Spring", "en")
        assert (event.mail_subject, event.mail_body) == ("Hi $name", "$$5 off: $token")


def test_an_unknown_event_is_none(database: Database) -> None:
    with database.read() as conn:
        assert get_event(conn, "nothing") is None


@pytest.mark.parametrize("event_id", ["", "a" * 65, "Spring", "a b", "a/b", "a.b", "봄", "a\n"])
def test_an_event_id_that_cannot_be_is_refused(database: Database, event_id: str) -> None:
    with database.begin() as conn, pytest.raises(ValidationError, match="event id"):
        put_event(conn, event_id, name="x", language="en", now_ms=1)


@pytest.mark.parametrize("name", ["", "  ", "two\nlines", "a\x00b"])
def test_a_name_that_cannot_be_is_refused(database: Database, name: str) -> None:
    with database.begin() as conn, pytest.raises(ValidationError, match="name must be one line"):
        put_event(conn, "spring", name=name, language="en", now_ms=1)


def test_a_mail_subject_of_two_lines_is_refused(database: Database) -> None:
    with database.begin() as conn, pytest.raises(ValidationError, match="mail subject must be one line"):
        put_event(conn, "spring", name="x", language="en", mail_subject="a\r\nBcc: b@example.org", now_ms=1)


def test_an_unknown_placeholder_is_refused_by_name(database: Database) -> None:
    with database.begin() as conn, pytest.raises(ValidationError, match=r"mail body.*\$nmae.*\$greeting, \$name"):
        put_event(conn, "spring", name="x", language="en", mail_body="Hi ${nmae}", now_ms=1)


def test_a_lone_dollar_is_refused_with_the_remedy(database: Database) -> None:
    with database.begin() as conn, pytest.raises(ValidationError, match=r"write '\$\$'"):
        put_event(conn, "spring", name="x", language="en", mail_body="only $5", now_ms=1)
