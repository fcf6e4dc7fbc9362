import multiprocessing
import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import count
from typing import TYPE_CHECKING

import pytest
from aiosmtpd import smtp

from evq.errors import JobCancelled, LeaseLost, NetworkError, TemporaryError
from evq_server.mail.delivery import MAX_ATTEMPTS, Delivered, deliver
from evq_server.mail.letters import LetterWriter
from evq_server.mail.transports import MaildirTransport, SmtpTransport, Transport
from evq_server.settings import Settings
from evq_server.store.database import Database, open_database
from evq_server.store.outbox import NewMail, State, begin_delivery, claim, counts, queue_mail
from evq_server.store.participants import Row, list_participants, save_chunk
from evq_server.store.tickets import issue_tickets
from tests.server.test_mail import Mailbox, free_port, hang_up, serving

if TYPE_CHECKING:
    from tests.server.conftest import StartImport

SECRET = b"a secret for the tests"
GUESTS = 5


def writer() -> LetterWriter:
    return LetterWriter(secret=SECRET, mail_from="events@example.org", public_url=None)


def run(
    database: Database,
    transport: Transport,
    delivery_id: str = "d1",
    fence: int = 1,
    check: Callable[[], None] = lambda: None,
) -> Delivered:
    return deliver(database, transport, writer(), delivery_id=delivery_id, fence=fence, import_id="A", check=check)


def at_call(number: int, action: Callable[[], None]) -> Callable[[], None]:
    """Return a function that does nothing, except for *action* when it is called for the *number*th time."""
    calls = count(1)
    return lambda: action() if next(calls) == number else None


def state(database: Database) -> dict[State, int]:
    with database.read() as conn:
        return counts(conn, "A")


def recipients(mailbox: Mailbox) -> list[str]:
    return sorted(address for envelope in mailbox.taken for address in envelope.rcpt_tos)


@pytest.fixture
def guests(database: Database, start_import: "StartImport") -> list[str]:
    """Queue a welcome mail to each of a few guests, and return their addresses."""
    start_import("A")
    addresses = [f"guest{number}@example.org" for number in range(GUESTS)]
    rows = [
        Row(row=number, email=email, name="Guest", phone=None, attributes={}) for number, email in enumerate(addresses)
    ]
    with database.begin() as conn:
        save_chunk(
            conn,
            import_id="A",
            event_id="spring",
            fence=1,
            first=0,
            end=GUESTS,
            rows=rows,
            duplicates="skip",
            now_ms=1,
        )
        people = list_participants(conn, "spring")
        issue_tickets(
            conn,
            import_id="A",
            fence=1,
            secret=SECRET,
            event_id="spring",
            participant_ids=[person.id for person in people],
            now_ms=2,
        )
        mails = [
            NewMail(kind="welcome", subject_key=str(person.id), import_id="A", recipient=person.email)
            for person in people
        ]
        queue_mail(conn, mails, now_ms=3)
    return addresses


@pytest.fixture
def mailbox() -> Mailbox:
    return Mailbox()


@pytest.fixture
def url(mailbox: Mailbox) -> Iterator[str]:
    with serving(mailbox) as port:
        yield f"smtp://127.0.0.1:{port}"


def test_every_mail_is_sent_once_by_smtp(database: Database, guests: list[str], mailbox: Mailbox, url: str) -> None:
    assert run(database, SmtpTransport(url)) == Delivered(sent=GUESTS, failed=0, unsure=0)
    assert run(database, SmtpTransport(url), "d2") == Delivered(sent=0, failed=0, unsure=0)
    assert recipients(mailbox) == guests
    assert state(database) == {"sent": GUESTS}


def test_without_smtp_every_mail_lies_in_the_maildir_once(
    database: Database, guests: list[str], settings: Settings
) -> None:
    assert run(database, MaildirTransport(settings.maildir)).sent == len(guests)
    assert len(list((settings.maildir / "new").iterdir())) == len(guests)


def test_a_maildir_delivery_that_was_interrupted_ends_with_every_mail_once(
    database: Database, guests: list[str], settings: Settings
) -> None:
    with database.begin() as conn:  # an attempt that died after writing one of the mails it had claimed
        begin_delivery(conn, "d1", 1, repeatable=True)
        mails = claim(conn, "d1", 1, import_id="A", after_id=0, limit=3)
        (letter,) = writer().write(conn, mails[:1])
    assert letter.message
    with MaildirTransport(settings.maildir) as transport:
        transport.send(letter.message)
    assert run(database, MaildirTransport(settings.maildir), fence=2).sent == len(guests)
    assert len(list((settings.maildir / "new").iterdir())) == len(guests)


def test_a_mail_whose_connection_died_after_it_is_unsure_and_not_sent_again(
    database: Database, guests: list[str], mailbox: Mailbox, url: str
) -> None:
    handed_over: list[str] = []

    def die_once(server: smtp.SMTP) -> str:
        assert server.envelope
        handed_over.extend(server.envelope.rcpt_tos)
        return hang_up(server) if len(handed_over) == 2 else "250 OK"

    mailbox.at_data = die_once
    assert run(database, SmtpTransport(url)) == Delivered(sent=GUESTS - 1, failed=0, unsure=1)
    run(database, SmtpTransport(url), fence=2)
    run(database, SmtpTransport(url), "d2")
    assert sorted(handed_over) == guests
    assert state(database) == {"sent": GUESTS - 1, "unsure": 1}


def kill_me_at_the_second_mail(database_url: str, smtp_url: str) -> None:
    run(open_database(database_url), SmtpTransport(smtp_url))


def test_a_killed_delivery_leaves_one_mail_unsure_and_the_rest_to_the_next_attempt(
    database: Database, guests: list[str], settings: Settings, mailbox: Mailbox, url: str
) -> None:
    victims: list[int] = []
    handed_over: list[str] = []

    def kill_once(server: smtp.SMTP) -> str:
        assert server.envelope
        handed_over.extend(server.envelope.rcpt_tos)
        if len(handed_over) == 2:
            os.kill(victims[0], signal.SIGKILL)
        return "250 OK"

    mailbox.at_data = kill_once
    process = multiprocessing.get_context("spawn").Process(
        target=kill_me_at_the_second_mail, args=(settings.database_url, url)
    )
    with database.begin():  # the child waits here until its pid is known
        process.start()
        assert process.pid
        victims.append(process.pid)
    process.join(30)
    assert process.exitcode == -signal.SIGKILL
    assert run(database, SmtpTransport(url), fence=2).sent == GUESTS - 2
    assert sorted(handed_over) == guests
    assert state(database) == {"sent": GUESTS - 1, "unsure": 1}


def test_two_deliveries_at_once_send_no_mail_twice(
    database: Database, guests: list[str], mailbox: Mailbox, url: str
) -> None:
    start = threading.Barrier(3)

    def send(number: int) -> None:
        start.wait()
        run(database, SmtpTransport(url), f"d{number}")

    threads = [threading.Thread(target=send, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Counter(recipients(mailbox)) == Counter(guests)


def test_a_refused_mail_has_failed_and_stops_no_other(
    database: Database, guests: list[str], mailbox: Mailbox, url: str
) -> None:
    mailbox.at_rcpt = lambda address: "550 no" if address == guests[1] else "250 OK"
    assert run(database, SmtpTransport(url)) == Delivered(sent=GUESTS - 1, failed=1, unsure=0)


def test_a_mail_that_was_put_off_asks_for_another_attempt(
    database: Database, guests: list[str], mailbox: Mailbox, url: str
) -> None:
    mailbox.at_rcpt = lambda address: "451 later" if address == guests[1] else "250 OK"
    with pytest.raises(TemporaryError, match="1 mails were put off"):
        run(database, SmtpTransport(url))
    assert state(database) == {"sent": GUESTS - 1, "queued": 1}
    mailbox.at_rcpt = lambda _: "250 OK"
    assert run(database, SmtpTransport(url), fence=2).sent == 1


def test_a_mail_is_not_put_off_for_ever(database: Database, guests: list[str], mailbox: Mailbox, url: str) -> None:
    mailbox.at_rcpt = lambda address: "451 later" if address == guests[0] else "250 OK"
    for fence in range(1, MAX_ATTEMPTS):
        with pytest.raises(TemporaryError):
            run(database, SmtpTransport(url), fence=fence)
    assert run(database, SmtpTransport(url), fence=MAX_ATTEMPTS).failed == 1


def test_while_the_server_is_away_mails_stay_queued(
    database: Database, guests: list[str], mailbox: Mailbox, url: str
) -> None:
    away = SmtpTransport(f"smtp://127.0.0.1:{free_port()}")
    for fence in range(1, MAX_ATTEMPTS + 2):
        with pytest.raises(NetworkError):
            run(database, away, fence=fence)
    assert state(database) == {"queued": len(guests)}
    assert run(database, SmtpTransport(url), fence=MAX_ATTEMPTS + 2).sent == len(guests)


def test_a_delivery_that_is_stopped_has_settled_what_it_sent(database: Database, guests: list[str], url: str) -> None:
    def stop() -> None:
        raise JobCancelled("d1")

    with pytest.raises(JobCancelled):
        run(database, SmtpTransport(url), check=at_call(3, stop))
    assert state(database) == {"sent": 2, "queued": len(guests) - 2}


def test_an_attempt_that_lost_its_lease_sends_no_more(
    database: Database, guests: list[str], mailbox: Mailbox, url: str
) -> None:
    def take_over() -> None:
        with database.begin() as conn:
            begin_delivery(conn, "d1", 2, repeatable=False)

    with pytest.raises(LeaseLost):
        run(database, SmtpTransport(url), check=at_call(3, take_over))
    assert recipients(mailbox) == guests[:2]
    assert state(database) == {"sent": 2, "queued": len(guests) - 2}


def test_a_mail_that_cannot_be_written_has_failed(
    database: Database, guests: list[str], mailbox: Mailbox, url: str
) -> None:
    with database.begin() as conn:
        conn.exec_driver_sql("DELETE FROM tickets WHERE participant_id = 1")
    assert run(database, SmtpTransport(url)) == Delivered(sent=GUESTS - 1, failed=1, unsure=0)
    assert recipients(mailbox) == guests[1:]
