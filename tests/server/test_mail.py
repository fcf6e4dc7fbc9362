import asyncio
import socket
import ssl
import stat
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP, default
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd import smtp
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope, LoginPassword, Session

from evq.errors import NetworkError, TemporaryError
from evq_server.mail.transports import MaildirTransport, Refused, SmtpTransport, Unsure


def letter(to: str = "guest@example.org", subject: str = "입장권", message_id: str = "<1@example.org>") -> EmailMessage:
    message = EmailMessage(SMTP.clone(cte_type="7bit"))
    message["From"] = "Events <events@example.org>"
    message["To"] = to
    message["Subject"] = subject
    message["Message-ID"] = message_id
    message.set_content("안녕하세요\n.a line that begins with a dot\n")
    return message


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Mailbox:
    """An SMTP server's handler: keeps what it takes, and answers as the test wants."""

    def __init__(self) -> None:
        self.taken: list[Envelope] = []
        self.sessions: set[Session] = set()
        self.at_mail = "250 OK"
        self.at_rcpt: Callable[[str], str] = lambda _: "250 OK"
        self.at_data: Callable[[smtp.SMTP], str] = lambda _: "250 OK"

    async def handle_MAIL(  # noqa: N802 - the name that aiosmtpd calls
        self, _server: smtp.SMTP, session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        self.sessions.add(session)
        envelope.mail_from = address
        return self.at_mail

    async def handle_RCPT(  # noqa: N802 - the name that aiosmtpd calls
        self, _server: smtp.SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        reply = self.at_rcpt(address)
        if reply.startswith("250"):
            envelope.rcpt_tos.append(address)
        return reply

    async def handle_DATA(  # noqa: N802 - the name that aiosmtpd calls
        self, server: smtp.SMTP, _session: Session, envelope: Envelope
    ) -> str:
        reply = self.at_data(server)
        if reply.startswith("250"):
            self.taken.append(envelope)
        return reply


def hang_up(server: smtp.SMTP) -> str:
    assert isinstance(server.transport, asyncio.Transport)
    server.transport.abort()
    return "451 nobody hears this"


@contextmanager
def serving(mailbox: Mailbox, **options: Any) -> Iterator[int]:
    controller = Controller(mailbox, hostname="127.0.0.1", port=free_port(), **options)
    controller.start()
    try:
        yield controller.port
    finally:
        controller.stop()


@pytest.fixture
def mailbox() -> Mailbox:
    return Mailbox()


@pytest.fixture
def port(mailbox: Mailbox) -> Iterator[int]:
    with serving(mailbox) as port:
        yield port


# Maildir


def test_a_letter_lies_new_in_the_maildir_and_nothing_in_tmp(tmp_path: Path) -> None:
    with MaildirTransport(tmp_path / "mail") as transport:
        transport.send(letter())
    (file,) = (tmp_path / "mail" / "new").iterdir()
    assert message_from_bytes(file.read_bytes(), policy=default)["Subject"] == "입장권"
    assert b"\r" not in file.read_bytes()  # a maildir's files are text files
    assert list((tmp_path / "mail" / "tmp").iterdir()) == []
    assert stat.S_IMODE((tmp_path / "mail").stat().st_mode) == 0o700


def test_the_same_letter_lies_in_the_maildir_once(tmp_path: Path) -> None:
    for subject in ("first", "second"):
        with MaildirTransport(tmp_path) as transport:
            transport.send(letter(subject=subject))
            transport.send(letter(subject=subject))
    (file,) = (tmp_path / "new").iterdir()
    assert b"Subject: first" in file.read_bytes()


def test_a_letter_that_was_read_does_not_come_back(tmp_path: Path) -> None:
    with MaildirTransport(tmp_path) as transport:
        transport.send(letter())
    (file,) = (tmp_path / "new").iterdir()
    file.rename(tmp_path / "cur" / f"{file.name}:2,S")
    with MaildirTransport(tmp_path) as transport:
        transport.send(letter())
    assert list((tmp_path / "new").iterdir()) == []


def test_a_message_id_cannot_leave_the_maildir(tmp_path: Path) -> None:
    with MaildirTransport(tmp_path) as transport:
        transport.send(letter(message_id="<../../escaped@example.org>"))
    assert len(list((tmp_path / "new").iterdir())) == 1


# SMTP


def test_letters_go_over_one_connection(mailbox: Mailbox, port: int) -> None:
    with SmtpTransport(f"smtp://127.0.0.1:{port}") as transport:
        transport.send(letter("a@example.org"))
        transport.send(letter("b@example.org"))
    assert [envelope.rcpt_tos for envelope in mailbox.taken] == [["a@example.org"], ["b@example.org"]]
    assert {envelope.mail_from for envelope in mailbox.taken} == {"events@example.org"}
    assert len(mailbox.sessions) == 1
    content = mailbox.taken[0].content
    assert isinstance(content, bytes)
    assert content.isascii()
    received = message_from_bytes(content, policy=default)
    assert received["Subject"] == "입장권"
    assert received.get_content() == "안녕하세요\r\n.a line that begins with a dot\r\n"


def test_a_refused_recipient_is_refused_and_the_next_is_served(mailbox: Mailbox, port: int) -> None:
    mailbox.at_rcpt = lambda address: "550 5.1.1 <a@example.org> unknown" if address[0] == "a" else "250 OK"
    with SmtpTransport(f"smtp://127.0.0.1:{port}") as transport:
        with pytest.raises(Refused) as caught:
            transport.send(letter("a@example.org"))
        transport.send(letter("b@example.org"))
    assert str(caught.value) == "the SMTP server replied 550 5.1.1"  # its text may name a person
    assert [envelope.rcpt_tos for envelope in mailbox.taken] == [["b@example.org"]]


def test_a_recipient_that_is_put_off_may_be_tried_again(mailbox: Mailbox, port: int) -> None:
    mailbox.at_rcpt = lambda _: "450 4.2.0 greylisted"
    with SmtpTransport(f"smtp://127.0.0.1:{port}") as transport:
        with pytest.raises(TemporaryError, match=r"450 4\.2\.0"):
            transport.send(letter())
        mailbox.at_rcpt = lambda _: "250 OK"
        transport.send(letter())
    assert len(mailbox.taken) == 1


@pytest.mark.parametrize(("reply", "error"), [("554 5.7.1 spam", Refused), ("452 4.3.1 full", TemporaryError)])
def test_a_letter_that_was_not_taken_is_judged_by_the_reply(
    mailbox: Mailbox, port: int, reply: str, error: type[Exception]
) -> None:
    mailbox.at_data = lambda _: reply
    with SmtpTransport(f"smtp://127.0.0.1:{port}") as transport, pytest.raises(error):
        transport.send(letter())


def test_a_refused_sender_is_no_fault_of_the_letter(mailbox: Mailbox, port: int) -> None:
    mailbox.at_mail = "553 5.7.1 not yours"
    with SmtpTransport(f"smtp://127.0.0.1:{port}") as transport, pytest.raises(NetworkError, match="EVQ_MAIL_FROM"):
        transport.send(letter())


def test_a_connection_that_dies_after_the_letter_leaves_it_unsure(mailbox: Mailbox, port: int) -> None:
    mailbox.at_data = hang_up
    with SmtpTransport(f"smtp://127.0.0.1:{port}") as transport:
        with pytest.raises(Unsure):
            transport.send(letter())
        mailbox.at_data = lambda _: "250 OK"
        transport.send(letter())
    assert len(mailbox.sessions) == 2


def test_a_connection_that_was_closed_between_letters_is_opened_again(mailbox: Mailbox, port: int) -> None:
    with SmtpTransport(f"smtp://127.0.0.1:{port}") as transport:
        transport.send(letter())
        assert transport._connection
        assert transport._connection.sock
        transport._connection.sock.shutdown(socket.SHUT_RDWR)
        transport.send(letter())
    assert len(mailbox.taken) == 2


def test_a_server_that_is_closing_has_not_taken_the_letter(mailbox: Mailbox, port: int) -> None:
    mailbox.at_rcpt = lambda _: "421 4.3.2 shutting down"
    with SmtpTransport(f"smtp://127.0.0.1:{port}") as transport, pytest.raises(NetworkError, match="421"):
        transport.send(letter())


def test_a_server_that_is_not_there_is_named_with_the_remedy() -> None:
    port = free_port()
    with (
        SmtpTransport(f"smtp://127.0.0.1:{port}") as transport,
        pytest.raises(NetworkError, match=f"127.0.0.1:{port}.*check EVQ_SMTP_URL"),
    ):
        transport.send(letter())


def test_an_address_outside_ascii_goes_to_a_server_that_takes_it(mailbox: Mailbox) -> None:
    with serving(mailbox, enable_SMTPUTF8=True) as port, SmtpTransport(f"smtp://127.0.0.1:{port}") as transport:
        transport.send(letter("홍길동@example.org"))
    assert mailbox.taken[0].rcpt_tos == ["홍길동@example.org"]


def test_an_address_outside_ascii_is_refused_by_a_server_that_does_not(mailbox: Mailbox) -> None:
    with (
        serving(mailbox, enable_SMTPUTF8=False) as port,
        SmtpTransport(f"smtp://127.0.0.1:{port}") as transport,
        pytest.raises(Refused, match="outside ASCII"),
    ):
        transport.send(letter("홍길동@example.org"))


# TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a certificate for `localhost`, signed by itself, with its key beside it."""
    path = tmp_path_factory.mktemp("tls") / "cert.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    names = ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(path.with_suffix(".key")), "-out", str(path)]
    try:
        subprocess.run(command + names, check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("openssl is not installed")
    return path


def server_tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_suffix(".key"))
    return context


def test_starttls_and_login_come_before_the_letter(
    mailbox: Mailbox, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logins: list[tuple[bytes, bytes]] = []

    def authenticate(*arguments: object) -> AuthResult:
        login = arguments[-1]
        assert isinstance(login, LoginPassword)
        logins.append((login.login, login.password))
        return AuthResult(success=login.password == b"p@ss word", handled=False)

    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    options = {
        "tls_context": server_tls(certificate),
        "require_starttls": True,
        "authenticator": authenticate,
        "auth_required": True,
    }
    with serving(mailbox, **options) as port:
        with SmtpTransport(f"smtp+starttls://user:p%40ss%20word@localhost:{port}") as transport:
            transport.send(letter())
        with (
            SmtpTransport(f"smtp+starttls://user:wrong@localhost:{port}") as transport,
            pytest.raises(NetworkError, match="SMTPAuthenticationError 535"),
        ):
            transport.send(letter())
    assert logins[0] == (b"user", b"p@ss word")
    assert len(mailbox.taken) == 1


@pytest.mark.parametrize("scheme", ["smtp+starttls", "smtps"])
def test_a_certificate_that_nobody_vouches_for_is_refused(
    mailbox: Mailbox, certificate: Path, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    key = "tls_context" if scheme == "smtp+starttls" else "ssl_context"
    with (
        serving(mailbox, **{key: server_tls(certificate)}) as port,
        SmtpTransport(f"{scheme}://localhost:{port}") as transport,
        pytest.raises(NetworkError, match="CERTIFICATE_VERIFY_FAILED"),
    ):
        transport.send(letter())
    assert mailbox.taken == []


def test_without_starttls_on_the_server_nothing_leaves(mailbox: Mailbox, port: int) -> None:
    with SmtpTransport(f"smtp+starttls://127.0.0.1:{port}") as transport, pytest.raises(NetworkError):
        transport.send(letter())
    assert mailbox.taken == []
