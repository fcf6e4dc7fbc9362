from email.message import EmailMessage
from typing import TYPE_CHECKING

import pytest
import zxingcpp

from evq_server.mail.letters import LetterWriter
from evq_server.schemas import Language
from evq_server.store.database import Database, participants
from evq_server.store.events import put_event
from evq_server.store.imports import FinalStatus, record_outcome
from evq_server.store.outbox import Kind, QueuedMail
from evq_server.store.participants import Row, list_participants, save_chunk
from evq_server.store.tickets import issue_tickets
from tests.ext.pictures import pixels

if TYPE_CHECKING:
    from tests.server.conftest import StartImport

SECRET = b"a secret for the tests"


class Guests:
    """Guests of the event `spring`, saved by import A, and letters about them."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def welcome(self, name: str, email: str = "guest@example.org") -> tuple[QueuedMail, str]:
        """Save a guest with a ticket; return the mail that is to be written, and the token."""
        with self.database.begin() as conn:
            row = Row(row=2, email=email, name=name, phone=None, attributes={})
            save_chunk(
                conn,
                import_id="A",
                event_id="spring",
                fence=1,
                first=0,
                end=1,
                rows=[row],
                duplicates="skip",
                now_ms=1,
            )
            (person,) = list_participants(conn, "spring")
            tokens = issue_tickets(
                conn,
                import_id="A",
                fence=1,
                secret=SECRET,
                event_id="spring",
                participant_ids=[person.id],
                now_ms=2,
            )
        return mail("welcome", str(person.id), email), tokens[person.id]

    def describe(
        self, language: Language, mail_subject: str | None = None, mail_body: str | None = None, name: str = "봄 & 축제"
    ) -> None:
        with self.database.begin() as conn:
            put_event(
                conn, "spring", name=name, language=language, mail_subject=mail_subject, mail_body=mail_body, now_ms=1
            )

    def write(self, queued: QueuedMail, public_url: str | None = None) -> EmailMessage:
        writer = LetterWriter(secret=SECRET, mail_from="Events <events@example.org>", public_url=public_url)
        with self.database.read() as conn:
            (letter,) = writer.write(conn, [queued])
        assert letter.message, letter.fault
        return letter.message

    def fault(self, queued: QueuedMail) -> str:
        writer = LetterWriter(secret=SECRET, mail_from="events@example.org", public_url=None)
        with self.database.read() as conn:
            (letter,) = writer.write(conn, [queued])
        assert letter.message is None
        return letter.fault


def mail(kind: Kind, subject_key: str, recipient: str) -> QueuedMail:
    return QueuedMail(
        id=1,
        kind=kind,
        subject_key=subject_key,
        import_id="A",
        recipient=recipient,
        attempts=1,
        created_ms=1_700_000_000_000,
    )


def text(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    assert part
    content = part.get_content()
    assert isinstance(content, str)
    return content


@pytest.fixture
def guests(database: Database, start_import: "StartImport") -> Guests:
    start_import("A")
    return Guests(database)


@pytest.mark.parametrize(
    ("language", "subject", "greeting"),
    [
        ("en", "Your ticket for 봄 & 축제", "Hello 홍길동,"),
        ("ko", "[봄 & 축제] 입장권을 보내 드립니다", "홍길동 님, 안녕하세요."),
    ],
)
def test_a_welcome_mail_greets_in_the_events_language(
    guests: Guests, language: Language, subject: str, greeting: str
) -> None:
    queued, token = guests.welcome("홍길동")
    guests.describe(language)
    message = guests.write(queued)
    assert message["Subject"] == subject
    assert message["To"] == "guest@example.org"
    assert message["From"] == "Events <events@example.org>"
    for kind in ("plain", "html"):
        assert greeting in text(message, kind)
        assert token in text(message, kind)


@pytest.mark.parametrize(("language", "greeting"), [("en", "Hello,"), ("ko", "안녕하세요.")])
@pytest.mark.parametrize("mail_body", [None, "$greeting\n$event"])
def test_a_guest_without_a_name_is_greeted_without_one(
    guests: Guests, language: Language, greeting: str, mail_body: str | None
) -> None:
    queued, _ = guests.welcome("")
    guests.describe(language, mail_body=mail_body)
    assert text(guests.write(queued), "plain").splitlines()[0] == greeting


def test_a_welcome_mail_shows_its_qr_code_inline(guests: Guests) -> None:
    queued, token = guests.welcome("Kim")
    message = guests.write(queued)
    (image,) = [part for part in message.walk() if part.get_content_type() == "image/png"]
    assert image.get_content_disposition() == "inline"
    assert f'src="cid:{image["Content-ID"].strip("<>")}"' in text(message, "html")
    content = image.get_payload(decode=True)
    assert isinstance(content, bytes)
    assert [code.text for code in zxingcpp.read_barcodes(pixels(content))] == [token]


def test_with_a_public_url_mail_and_code_hold_the_link(guests: Guests) -> None:
    queued, token = guests.welcome("Kim")
    message = guests.write(queued, "https://events.example.org")
    assert f"https://events.example.org/t/{token}" in text(message, "plain")
    (image,) = [part for part in message.walk() if part.get_content_type() == "image/png"]
    content = image.get_payload(decode=True)
    assert isinstance(content, bytes)
    assert zxingcpp.read_barcodes(pixels(content))[0].text == f"HTTPS://EVENTS.EXAMPLE.ORG/T/{token}"


def test_an_event_may_have_its_own_words(guests: Guests) -> None:
    queued, token = guests.welcome("Kim")
    guests.describe("en", "$event awaits $name", "Dear $name,\nonly $$5\n\n$token", name="Spring")
    message = guests.write(queued)
    assert message["Subject"] == "Spring awaits Kim"
    assert text(message, "plain").startswith(f"Dear Kim,\nonly $5\n\n{token}\n")


def test_a_value_cannot_become_html_or_a_placeholder(guests: Guests) -> None:
    queued, token = guests.welcome("<b>$token</b>")
    guests.describe("en")
    html = text(guests.write(queued), "html")
    assert "&lt;b&gt;$token&lt;/b&gt;" in html
    assert "<b>" not in html
    assert "봄 &amp; 축제" in html
    assert html.count(token) == 2  # the picture's text and the code below it


def test_a_name_of_two_lines_cannot_add_a_header(guests: Guests) -> None:
    queued, _ = guests.welcome("Kim\r\nBcc: everybody@example.org")
    guests.describe("en", mail_subject="Hello $name")
    message = guests.write(queued)
    assert message["Bcc"] is None
    assert message["Subject"] == "Hello Kim Bcc: everybody@example.org"


def test_an_address_of_two_lines_is_a_fault(guests: Guests) -> None:
    queued, _ = guests.welcome("Kim", "guest@example.org\nBcc: everybody@example.org")
    assert guests.fault(queued) == "its address cannot be written"


def test_a_domain_outside_ascii_is_written_in_ascii(guests: Guests) -> None:
    queued, _ = guests.welcome("Kim", "guest@한국.kr")
    assert guests.write(queued)["To"] == "guest@xn--3e0b707e.kr"


def test_the_message_id_is_that_of_kind_and_subject_alone(guests: Guests) -> None:
    queued, _ = guests.welcome("Kim")
    first, second = guests.write(queued), guests.write(queued)
    assert first["Message-ID"] == second["Message-ID"]
    assert first["Date"] == second["Date"] == "Tue, 14 Nov 2023 22:13:20 -0000"
    assert first["Message-ID"].endswith("@example.org>")
    writer = LetterWriter(secret=SECRET, mail_from="events@example.org", public_url=None)
    other = LetterWriter(secret=b"another house", mail_from="events@example.org", public_url=None)
    ids = {
        writer.message_id(mail("welcome", "1", "")),
        writer.message_id(mail("welcome", "11", "")),
        writer.message_id(mail("import-completed", "1", "")),
        other.message_id(mail("welcome", "1", "")),
    }
    assert len(ids) == 4


def test_a_letter_is_of_seven_bit_lines_that_any_server_takes(guests: Guests) -> None:
    queued, _ = guests.welcome("홍길동")
    guests.describe("ko", mail_body="긴 글 " * 500)
    raw = guests.write(queued).as_bytes()
    assert raw.isascii()
    assert max(map(len, raw.split(b"\r\n"))) <= 998


def test_a_mail_about_somebody_who_is_gone_is_a_fault(database: Database, guests: Guests) -> None:
    queued, _ = guests.welcome("Kim")
    with database.begin() as conn:
        conn.exec_driver_sql("DELETE FROM tickets")
        conn.execute(participants.delete())
    assert guests.fault(queued) == "what it is about is gone"


@pytest.mark.parametrize("language", ["en", "ko"])
@pytest.mark.parametrize(
    ("status", "outcome", "said"),
    [
        ("completed", {"processedCount": 1234, "errorCount": 56}, ["1234", "56"]),
        ("failed", {"type": "ValidationError", "message": "There is no <e-mail> column."}, ["no <e-mail> column"]),
        ("cancelled", {}, []),
    ],
)
def test_the_uploader_is_told_how_the_import_ended(
    database: Database,
    guests: Guests,
    language: Language,
    status: FinalStatus,
    outcome: dict[str, object],
    said: list[str],
) -> None:
    guests.describe(language)
    with database.begin() as conn:
        record_outcome(conn, "A", 1, status, outcome, now_ms=3)
    message = guests.write(mail(f"import-{status}", "A", "organiser@example.org"))  # type: ignore[arg-type]
    assert "봄 & 축제" in message["Subject"]
    assert message["Auto-Submitted"] == "auto-generated"
    plain, html = text(message, "plain"), text(message, "html")
    for words in ["guests.csv", *said]:
        assert words in plain
    assert "<e-mail>" not in html
    assert f'<html lang="{language}">' in html


def test_letters_come_in_the_order_of_their_mails(database: Database, guests: Guests) -> None:
    queued, _ = guests.welcome("Kim")
    notice = mail("import-completed", "A", "organiser@example.org")
    writer = LetterWriter(secret=SECRET, mail_from="events@example.org", public_url=None)
    with database.read() as conn:
        letters = writer.write(conn, [notice, queued, notice])
        assert writer.write(conn, []) == []
    assert [letter.mail.kind for letter in letters] == ["import-completed", "welcome", "import-completed"]
