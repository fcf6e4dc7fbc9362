"""Letters: the words of every mail, in Korean and English, and how a queued mail becomes one.

A letter is written when it is sent. The outbox therefore holds no copy of a token, and a name that was corrected after
queueing is right. Its Message-ID depends on kind and subject alone, so that it stays the same however often it is
written.
"""

import hmac
from collections.abc import Sequence
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formatdate, parseaddr
from html import escape
from string import Template
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from email_validator import validate_email

from evq_ext import qr_png
from evq_server.schemas import Language
from evq_server.store import database as db
from evq_server.store.outbox import Kind, QueuedMail
from evq_server.store.tickets import qr_text, tokens_of

SUBJECTS: Final[dict[Language, dict[Kind, str]]] = {
    "en": {
        "welcome": "Your ticket for $event",
        "import-completed": "Import into $event: completed",
        "import-failed": "Import into $event: failed",
        "import-cancelled": "Import into $event: cancelled",
    },
    "ko": {
        "welcome": "[$event] 입장권을 보내 드립니다",
        "import-completed": "[$event] 참가자 등록이 완료되었습니다",
        "import-failed": "[$event] 참가자 등록에 실패했습니다",
        "import-cancelled": "[$event] 참가자 등록이 취소되었습니다",
    },
}

BODIES: Final[dict[Language, dict[Kind, str]]] = {
    "en": {
        "welcome": "$greeting\n\nyou are registered for $event. Please show the code below at the entrance.",
        "import-completed": (
            "Your file $filename has been imported into $event.\n\n"
            "Participants processed: $processed\nRows with errors: $errors\n\n"
            "The rows with errors can be downloaded from the import's page, together with the reasons."
        ),
        "import-failed": (
            "Your file $filename could not be imported into $event.\n\n$reason\n\n"
            "Whoever is registered already will not be registered twice when you upload the file again."
        ),
        "import-cancelled": (
            "The import of your file $filename into $event was cancelled.\n\n"
            "You can upload it again at any time. Whoever is registered already will not be registered twice."
        ),
    },
    "ko": {
        "welcome": "$greeting\n\n$event 참가 등록이 완료되었습니다. 입장하실 때 아래 코드를 보여 주세요.",
        "import-completed": (
            "$filename 파일의 참가자를 $event 행사에 등록했습니다.\n\n"
            "처리된 참가자: $processed명\n오류가 있는 행: $errors개\n\n"
            "오류가 있는 행과 그 이유는 가져오기 화면에서 내려받을 수 있습니다."
        ),
        "import-failed": (
            "$filename 파일을 $event 행사에 등록하지 못했습니다.\n\n$reason\n\n"
            "파일을 다시 올려도 이미 등록된 참가자는 중복으로 등록되지 않습니다."
        ),
        "import-cancelled": (
            "$filename 파일을 $event 행사에 등록하는 작업이 취소되었습니다.\n\n"
            "언제든지 다시 올릴 수 있습니다. 이미 등록된 참가자는 중복으로 등록되지 않습니다."
        ),
    },
}

GREETINGS: Final[dict[Language, str]] = {"en": "Hello $name,", "ko": "$name 님, 안녕하세요."}
NAMELESS: Final[dict[Language, str]] = {"en": "Hello,", "ko": "안녕하세요."}

_SEVEN_BITS: Final = SMTP.clone(cte_type="7bit")  # whatever the SMTP server can or cannot take

TICKET: Final[dict[Language, str]] = {"en": "Ticket", "ko": "입장권"}

_PAGE: Final = Template("""<!doctype html>
<html lang="$language"><head><meta charset="utf-8"><title>$subject</title></head>
<body style="margin:0;padding:24px;font-family:sans-serif;font-size:16px;line-height:1.6;color:#1a1a1a">
<div style="max-width:560px;margin:0 auto">
$content
</div></body></html>
""")

_TICKET_BLOCK: Final = Template("""<p style="text-align:center;margin:32px 0">
<img src="cid:$cid" alt="$label $token" width="264" height="264"><br>
<code style="font-size:14px">$shown</code></p>""")


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """A mail with the message that is to leave for it, or the *fault* why there can be none."""

    mail: QueuedMail
    message: EmailMessage | None = None
    fault: str = ""


class LetterWriter:
    """Writes letters in the name of one sender."""

    def __init__(self, *, secret: bytes, mail_from: str, public_url: str | None) -> None:
        self._secret = secret
        self._from = mail_from
        self._domain = parseaddr(mail_from)[1].rpartition("@")[2]
        self._public_url = public_url

    def write(self, conn: sa.Connection, mails: Sequence[QueuedMail]) -> list[Letter]:
        """Write the letters of *mails*, in their order, with one look-up for each kind of thing they are about."""
        welcomes = {int(mail.subject_key): mail for mail in mails if mail.kind == "welcome"}
        guests = _guests(conn, list(welcomes))
        tokens = tokens_of(conn, secret=self._secret, participant_ids=list(welcomes))
        uploads = _imports(conn, [mail.subject_key for mail in mails if mail.kind != "welcome"])
        letters = []
        for mail in mails:
            try:
                if mail.kind == "welcome":
                    key = int(mail.subject_key)
                    message = self._welcome(mail, guests[key], tokens[key])
                else:
                    message = self._notice(mail, uploads[mail.subject_key])
            except KeyError:
                letters.append(Letter(mail=mail, fault="what it is about is gone"))
            except ValueError:  # of the e-mail library
                letters.append(Letter(mail=mail, fault="its address cannot be written"))
            else:
                letters.append(Letter(mail=mail, message=message))
        return letters

    def message_id(self, mail: QueuedMail) -> str:
        """Return the Message-ID (RFC 5322 §3.6.4): the same for the same mail, and nobody else's."""
        digest = hmac.digest(self._secret, f"message-id:{mail.kind}:{mail.subject_key}".encode(), "sha256")
        return f"<{digest[:16].hex()}@{self._domain}>"

    def _welcome(self, mail: QueuedMail, guest: sa.RowMapping, token: str) -> EmailMessage:
        language: Language = guest["language"]
        subject = Template(guest["mail_subject"] or SUBJECTS[language]["welcome"])
        body = Template(guest["mail_body"] or BODIES[language]["welcome"])
        name = guest["name"]
        greeting = Template(GREETINGS[language] if name else NAMELESS[language]).substitute(name=name)
        values = {"greeting": greeting, "name": name, "event": guest["event"], "token": token}
        shown = f"{self._public_url}/t/{token}" if self._public_url else token
        cid = self.message_id(mail).strip("<>")
        block = _TICKET_BLOCK.substitute(cid=cid, label=TICKET[language], token=token, shown=escape(shown))
        message = self._message(mail, subject.substitute(values), language)
        text = body.substitute(values)
        message.set_content(f"{text}\n\n{TICKET[language]}: {shown}\n")
        message.add_alternative(_page(language, message["Subject"], _paragraphs(text) + block), subtype="html")
        _, html = message.iter_parts()
        picture = qr_png(qr_text(token, self._public_url))
        html.add_related(picture, "image", "png", cid=f"<{cid}>", disposition="inline", filename="ticket.png")
        return message

    def _notice(self, mail: QueuedMail, upload: sa.RowMapping) -> EmailMessage:
        language: Language = upload["language"]
        outcome: dict[str, Any] = upload["outcome"] or {}
        values = {
            "event": upload["event"],
            "filename": upload["filename"],
            "processed": outcome.get("processedCount", 0),
            "errors": outcome.get("errorCount", 0),
            "reason": outcome.get("message", ""),
        }
        message = self._message(mail, Template(SUBJECTS[language][mail.kind]).substitute(values), language)
        text = Template(BODIES[language][mail.kind]).substitute(values)
        message.set_content(text + "\n")
        message.add_alternative(_page(language, message["Subject"], _paragraphs(text)), subtype="html")
        return message

    def _message(self, mail: QueuedMail, subject: str, language: Language) -> EmailMessage:
        message = EmailMessage(_SEVEN_BITS)
        message["From"] = self._from
        message["To"] = _address(mail.recipient)
        message["Subject"] = " ".join(subject.split())
        message["Date"] = formatdate(mail.created_ms / 1000)
        message["Message-ID"] = self.message_id(mail)
        message["Content-Language"] = language
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office answers, please
        return message


def _guests(conn: sa.Connection, participant_ids: Sequence[int]) -> dict[int, sa.RowMapping]:
    people, events = db.participants, db.events
    query = (
        sa.select(people.c.id, people.c.name, events.c.name.label("event"))
        .add_columns(events.c.language, events.c.mail_subject, events.c.mail_body)
        .join_from(people, events)
        .where(people.c.id.in_(participant_ids))
    )
    return {row["id"]: row for row in conn.execute(query).mappings()}


def _imports(conn: sa.Connection, import_ids: Sequence[str]) -> dict[str, sa.RowMapping]:
    imports, events = db.imports, db.events
    query = (
        sa.select(imports.c.id, imports.c.filename, imports.c.outcome, events.c.name.label("event"), events.c.language)
        .join_from(imports, events)
        .where(imports.c.id.in_(import_ids))
    )
    return {row["id"]: row for row in conn.execute(query).mappings()}


def _address(recipient: str) -> str:
    """Return the address as most servers take it: a domain outside ASCII in its ASCII form."""
    if recipient.isascii():
        return recipient
    valid = validate_email(recipient, check_deliverability=False)
    return f"{valid.local_part}@{valid.ascii_domain}"


def _paragraphs(text: str) -> str:
    return "\n".join(f"<p>{escape(part).replace(chr(10), '<br>')}</p>" for part in text.split("\n\n"))


def _page(language: Language, subject: str, content: str) -> str:
    return _PAGE.substitute(language=language, subject=escape(subject), content=content)
