"""Mail: the ways in which a letter can leave.

A transport says three things exactly: the letter left, it will never leave, or it did not leave now; and, where the
connection died at the wrong moment, that it cannot know.
"""

import contextlib
import os
import re
import smtplib
import socket
import ssl
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from email.utils import parseaddr
from pathlib import Path
from typing import Final, Protocol, Self
from urllib.parse import unquote, urlsplit

from evq.errors import NetworkError, TemporaryError

# Every error of smtplib is an OSError, so that one name stands for the network's and the protocol's faults alike.

SMTP_TIMEOUT: Final = 30.0
"""How long any step of a conversation with the SMTP server may take, s."""

CLOSING: Final = 421
"""The reply of an SMTP server that is about to close the connection (RFC 5321 §3.8)."""


class Refused(Exception):  # noqa: N818 - the state is the name
    """The letter will never be taken, by this server and for this recipient."""


class Unsure(Exception):  # noqa: N818 - the state is the name
    """The connection was lost when the letter may have been taken already."""


class Transport(Protocol):
    """A way for letters to leave. Entered once for a delivery."""

    repeatable: bool
    """Whether sending the same letter twice is harmless."""
    batch: int
    """How many letters are claimed at a time: one, where a crash leaves the claimed ones unsure."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def send(self, message: EmailMessage) -> None:
        """Send one letter. Raises `Refused`, `TemporaryError`, `NetworkError` (not sent, none can be) or `Unsure`."""


class MaildirTransport:
    """Puts letters into a maildir (https://cr.yp.to/proto/maildir.html), each under a name made of its Message-ID.

    A letter that lies there already, read or unread, is left as it is.
    """

    repeatable = True
    batch = 20

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read: set[str] = set()

    def __enter__(self) -> Self:
        self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
        for folder in ("tmp", "new", "cur"):
            (self._path / folder).mkdir(mode=0o700, exist_ok=True)
        self._read = {file.name.partition(":")[0] for file in (self._path / "cur").iterdir()}
        return self

    def __exit__(self, *_: object) -> None:
        return

    def send(self, message: EmailMessage) -> None:
        """Store one letter."""
        name = message["Message-ID"].strip("<>").replace("/", "-")
        new = self._path / "new" / name
        if name in self._read or new.exists():
            return
        draft = self._path / "tmp" / f"{name}.{os.getpid()}"
        with draft.open("wb") as file:
            file.write(_bytes(message, "\n"))
            file.flush()
            os.fsync(file.fileno())
        draft.rename(new)


class SmtpTransport:
    """Sends letters over one SMTP connection, opened for the first of them.

    *url* is `smtp://`, `smtp+starttls://` or `smtps://`, with user and password if the server asks for them. With the
    latter two, the server's certificate must be valid for its name.
    """

    repeatable = False
    batch = 1

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._scheme = parts.scheme
        self._host = parts.hostname or "localhost"
        self._port = parts.port or {"smtp": 25, "smtp+starttls": 587, "smtps": 465}[parts.scheme]
        self._user = unquote(parts.username or "")
        self._password = unquote(parts.password or "")
        self._connection: smtplib.SMTP | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._connection:
            with contextlib.suppress(OSError):
                self._connection.quit()
        self._drop()

    def send(self, message: EmailMessage) -> None:
        """Send one letter; see `Transport.send`."""
        kept = self._connection
        try:
            connection = self._address(message)
        except NetworkError:
            if kept is None:
                raise
            connection = self._address(message)  # the server had closed the connection that was kept
        reply: bytes | str
        try:
            code, reply = connection.data(_bytes(message, "\r\n"))
        except smtplib.SMTPDataError as error:
            code, reply = error.smtp_code, error.smtp_error
        except OSError as error:
            self._drop()
            raise Unsure(f"the connection was lost while the letter was handed over: {type(error).__name__}") from None
        self._judge(code, reply)

    def _address(self, message: EmailMessage) -> smtplib.SMTP:
        """Open the connection if need be, and name sender and recipient: until here nothing of the letter has left."""
        sender = parseaddr(message["From"])[1]
        recipient = message["To"].addresses[0].addr_spec
        try:
            connection = self._connection = self._connection or self._connect()
            international = not recipient.isascii()
            if international and not connection.has_extn("smtputf8"):
                raise Refused("the SMTP server takes no address outside ASCII")
            code, reply = connection.mail(sender, ["SMTPUTF8"] if international else [])
            if code >= 500:
                raise NetworkError(f"the SMTP server refuses the sender: {_status(code, reply)}; check EVQ_MAIL_FROM")
            self._judge(code, reply)
            self._judge(*connection.rcpt(recipient))
        except OSError as error:
            self._drop()
            raise NetworkError(
                f"no conversation with the SMTP server {self._host}:{self._port}: {_reason(error)}; check EVQ_SMTP_URL"
            ) from None
        return connection

    def _connect(self) -> smtplib.SMTP:
        tls = ssl.create_default_context()
        name = socket.gethostname()  # smtplib's own choice may wait for a name server
        if self._scheme == "smtps":
            connection: smtplib.SMTP = smtplib.SMTP_SSL(self._host, self._port, name, timeout=SMTP_TIMEOUT, context=tls)
        else:
            connection = smtplib.SMTP(self._host, self._port, name, timeout=SMTP_TIMEOUT)
        try:
            if self._scheme == "smtp+starttls":
                connection.starttls(context=tls)
            connection.ehlo_or_helo_if_needed()
            if self._user:
                connection.login(self._user, self._password)
        except BaseException:
            connection.close()
            raise
        return connection

    def _judge(self, code: int, reply: bytes | str) -> None:
        """Raise what a reply means for the letter under way (RFC 5321 §4.2.1)."""
        if code < 400:
            return
        if code == CLOSING:
            self._drop()
            raise NetworkError(f"the SMTP server closes the connection: {_status(code, reply)}")
        if self._connection:
            try:
                self._connection.rset()
            except OSError:
                self._drop()
        raise (Refused if code >= 500 else TemporaryError)(f"the SMTP server replied {_status(code, reply)}")

    def _drop(self) -> None:
        if self._connection:
            self._connection.close()
        self._connection = None


def _bytes(message: EmailMessage, linesep: str) -> bytes:
    """Write the letter out; only an address outside ASCII needs what RFC 6532 adds."""
    policy = SMTP if message["To"].addresses[0].addr_spec.isascii() else SMTPUTF8
    return message.as_bytes(policy=policy.clone(linesep=linesep))


def _status(code: int, reply: bytes | str) -> str:
    """Return the codes of an SMTP reply, without its text, which may name a person."""
    text = reply.decode(errors="replace") if isinstance(reply, bytes) else reply
    enhanced = re.match(r"[245]\.\d{1,3}\.\d{1,3}", text)
    return f"{code} {enhanced[0]}" if enhanced else str(code)


def _reason(error: OSError) -> str:
    if isinstance(error, smtplib.SMTPResponseException):
        return f"{type(error).__name__} {_status(error.smtp_code, error.smtp_error)}"
    return type(error).__name__ if isinstance(error, smtplib.SMTPException) else str(error)
