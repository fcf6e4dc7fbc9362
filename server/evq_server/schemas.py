"""What crosses the wire: the payload of an import's job, and the bodies of HTTP requests and answers.

Names are snake_case here and camelCase on the wire. Lengths, choices and types are checked where a body is decoded, so
a value that exists is a value that fits.
"""

from typing import Annotated, Any, Final, Literal, Self

import msgspec
from msgspec import UNSET, Meta, UnsetType

Language = Literal["ko", "en"]
Duplicates = Literal["skip", "update", "error"]
Mode = Literal["partial", "all-or-nothing"]
Status = Literal["pending", "processing", "completed", "failed", "cancelled"]
TICKET_TYPE: Final = "ticket_type"
"""The field whose values `ImportOptions.ticket_types` names."""
FrameEvent = Literal["progress", "completed", "failed", "cancelled"]


class Wire(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The base of everything here: frozen, keyword-only, camelCase outside."""


class Strict(Wire, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The base of what others send us: a name that we do not know is refused, not ignored."""


# The job


class ImportOptions(Strict, frozen=True, kw_only=True):
    """What the organiser chose at the upload.

    *mapping* goes from the text of a heading to a field (`email`, `name`, ...) or to an attribute's name; an empty
    value leaves the column out. *values* goes from a field or an attribute's name to what every row gets. *region* (ISO
    3166) is that of phone numbers without a country code. *ticket_types*, if given, are the only ones that a row may
    have.
    """

    send_welcome_email: bool = False
    duplicates: Duplicates = "skip"
    mode: Mode = "partial"
    dry_run: bool = False
    mapping: dict[str, str] | None = None
    values: dict[str, str] | None = None
    region: str = "KR"
    ticket_types: tuple[str, ...] = ()
    sheet: str | None = None
    encoding: str | None = None


class ImportMetadata(Strict, frozen=True, kw_only=True):
    """What is known of the uploaded file; *size* in bytes, *sha256* in lower-case hex."""

    uploaded_by: str | None
    filename: str
    size: int
    sha256: str


class ImportPayload(Strict, frozen=True, kw_only=True):
    """The payload of a participant import's job."""

    temp_path: str
    mime_type: str
    event_id: str
    options: ImportOptions
    metadata: ImportMetadata

    @classmethod
    def from_wire(cls, payload: dict[str, Any]) -> Self:
        """Read a job's payload; raises `msgspec.ValidationError`, which names the field."""
        return msgspec.convert(payload, cls)

    def to_wire(self) -> dict[str, Any]:
        """Return the payload as JSON values with the names of the wire."""
        wire: dict[str, Any] = msgspec.to_builtins(self)
        return wire


class ColumnFound(Wire, frozen=True, kw_only=True):
    """What a column of the file became.

    *field* is a field, an attribute's name, or null if it was left out; *score* says how surely, 0 to 100.
    """

    header: str
    field: str | None
    score: int


class ImportResult(Wire, frozen=True, kw_only=True):
    """The result of an import's job; counts are of rows, except *tokens* and *emails_sent*."""

    success: bool
    processed_count: int
    """Inserted and updated."""
    error_count: int
    tokens: int
    emails_sent: int
    """Put into the outbox."""
    inserted_count: int
    updated_count: int
    skipped_count: int
    """Duplicates left out, of other rows of the file and of participants of the event."""
    dry_run: bool
    """Nothing was saved: the counts say what would have been."""
    reasons: dict[str, int]
    """Errors by code; a row may have several."""
    warnings: dict[str, int]
    """Rows by the code of a warning about them: accepted ones, and those left out for another row of the file."""
    encoding: str
    sheet: str | None
    hidden_sheets: list[str] = []
    """The workbook's hidden sheets, which were not looked at, as no sheet was asked for."""
    other_sheets: list[str] = []
    """Its visible sheets that have a header, too, and were not read."""
    nameless: bool = False
    """No column of names was found, and none was given to every row."""
    columns: list[ColumnFound]


# Requests


class EventBody(Strict, frozen=True, kw_only=True):
    """The body of `PUT /api/events/{event_id}`; without mail texts, evq's own are used."""

    name: Annotated[str, Meta(min_length=1, max_length=200)]
    language: Language
    mail_subject: Annotated[str, Meta(min_length=1, max_length=200)] | None = None
    mail_body: Annotated[str, Meta(min_length=1, max_length=20_000)] | None = None


# Answers


class EventAnswer(Wire, frozen=True, kw_only=True):
    id: str
    name: str
    language: Language
    mail_subject: str | None
    mail_body: str | None


class Links(Wire, frozen=True, kw_only=True):
    """Where everything of one import is found, as paths on this server."""

    self: str
    progress: str
    errors: str
    warnings: str
    qr: str
    participants: str


class Accepted(Wire, frozen=True, kw_only=True):
    """The answer to an upload: the import is on its way."""

    job_id: str
    status: Status
    links: Links


class JobStatusAnswer(Wire, frozen=True, kw_only=True):
    """The answer to a cancel or replay; *requested* is true while a running job has yet to stop."""

    job_id: str
    status: Status
    requested: bool = False


class JobFault(Wire, frozen=True, kw_only=True):
    """Why a job failed, for the organiser: never a traceback."""

    type: str
    message: str


class JobAnswer(Wire, frozen=True, kw_only=True):
    """One import as `GET /api/jobs/{id}` shows it; *created_at* is RFC 3339 in UTC."""

    job_id: str
    event_id: str
    status: Status
    progress: dict[str, Any] | None
    result: Any
    error: JobFault | None
    filename: str
    created_at: str
    links: Links


class ParticipantAnswer(Wire, frozen=True, kw_only=True):
    """One participant; *ticket* is the path of the ticket's public page, null while there is none."""

    id: int
    email: str
    name: str
    phone: str | None
    attributes: dict[str, str]
    ticket: str | None


class ParticipantPage(Wire, frozen=True, kw_only=True):
    """One page; *next* is the `after` of the following one, null on the last."""

    items: list[ParticipantAnswer]
    next: int | None


class FinalData(Wire, frozen=True, kw_only=True):
    """The data of a job's last frame."""

    progress: dict[str, Any] | None
    result: Any
    error: JobFault | None


class Frame(Wire, frozen=True, kw_only=True):
    """One WebSocket message: `progress` while the job lives, its final status once it is over."""

    event: FrameEvent
    job: str
    seq: int
    status: Status
    data: dict[str, Any] | FinalData


class Health(Wire, frozen=True, kw_only=True):
    """Whether the server is ready; *missing* says per part what is wrong and what to do."""

    status: Literal["ok", "unavailable"]
    missing: dict[str, str] | UnsetType = UNSET
