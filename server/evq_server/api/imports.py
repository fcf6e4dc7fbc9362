"""Uploads: a file comes in, an import begins."""

import logging
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

import msgspec
from anyio import CancelScope
from anyio.to_thread import run_sync
from email_validator import EmailNotValidError, validate_email
from litestar import Request, post
from litestar.exceptions import ClientException
from litestar.params import FromPath

from evq.ids import new_id
from evq_ext import Column, RowParser
from evq_server.api import Given
from evq_server.api.answers import links
from evq_server.api.events import require_event
from evq_server.clock import now_ms
from evq_server.jobs import ImportJobs
from evq_server.schemas import TICKET_TYPE, Accepted, ImportMetadata, ImportOptions, ImportPayload
from evq_server.settings import Settings
from evq_server.store import imports
from evq_server.store.database import Database
from evq_server.uploads import Received, Sink, Upload, clean_filename, receive

log = logging.getLogger(__name__)

FIELDS = (
    "Fields are filename, uploadedBy (an e-mail address), sendWelcomeEmail and dryRun (true, false), "
    "duplicates (skip, update, error), mode (partial, all-or-nothing), mapping and values (JSON objects), region (an "
    "ISO 3166 code), ticketTypes (separated by commas), sheet and encoding."
)


class Choices(msgspec.Struct, frozen=True, kw_only=True):
    """What an upload says beside its file."""

    filename: str | None
    uploaded_by: str | None
    options: ImportOptions


@post("/api/events/{event_id:str}/imports", status_code=HTTPStatus.ACCEPTED, request_max_body_size=None)
async def upload(
    event_id: FromPath[str],
    request: Request[Any, Any, Any],
    settings: Given[Settings],
    database: Given[Database],
    jobs: Given[ImportJobs],
) -> Accepted:
    """Take a participants file and import it in the background.

    The file is the raw body, or the one file of a multipart form. Options come as query or form fields.
    """
    await run_sync(_check_event, database, event_id)
    query = _unique(request.query_params.multi_items())
    read_choices(query, region=settings.region)  # wrong options are refused before the file has travelled
    job_id = new_id()
    async with Sink(settings.uploads, job_id, limit=settings.upload_limit) as sink:
        received = await receive(request, sink, limit=settings.upload_limit)
        choices = read_choices(_unique([*query.items(), *received.fields.items()]), region=settings.region)
        file = await sink.finish()
        payload = _payload(event_id, file, received, choices)
        await run_sync(_record, database, job_id, payload)
        await _enqueue(jobs, database, job_id, payload)
    log.info("upload accepted", extra={"job": job_id, "event": event_id, "bytes": file.size})
    return Accepted(job_id=job_id, status="pending", links=links(job_id, event_id))


def read_choices(fields: dict[str, str], *, region: str) -> Choices:
    """Read an upload's fields, from wherever they came; raises a 400 that names what is wrong.

    *region* is where phone numbers are from if no field says so. Empty fields count as absent, because that is how an
    HTML form sends them.
    """
    given: dict[str, Any] = {"region": region} | {name: value for name, value in fields.items() if value}
    filename = given.pop("filename", None)
    uploaded_by = given.pop("uploadedBy", None)
    try:
        for name in given.keys() & {"mapping", "values"}:
            given[name] = msgspec.json.decode(given[name], type=dict[str, str])
        if "ticketTypes" in given:
            given["ticketTypes"] = [clean for name in given["ticketTypes"].split(",") if (clean := name.strip())]
        if uploaded_by is not None:
            uploaded_by = validate_email(uploaded_by, check_deliverability=False).normalized
        options = msgspec.convert(given, ImportOptions, strict=False)
        _check_options(options)
    except EmailNotValidError as error:
        raise ClientException(f"uploadedBy is not an e-mail address: {error}") from error
    except (msgspec.DecodeError, ValueError) as error:
        raise ClientException(f"The upload's fields are not right: {str(error).rstrip('.')}. {FIELDS}") from error
    return Choices(filename=filename, uploaded_by=uploaded_by, options=options)


def _check_options(options: ImportOptions) -> None:
    """Raise ValueError, naming the option, for one that the core will not obey."""
    columns = [Column("email", "email")]
    if options.ticket_types:
        columns.append(Column(TICKET_TYPE, "choice", options.ticket_types))
    RowParser(columns, region=options.region)


def _unique(items: Iterable[tuple[str, str]]) -> dict[str, str]:
    fields: dict[str, str] = {}
    for name, value in items:
        if name in fields:
            raise ClientException(f"The field {name!r} is given twice; give it once.")
        fields[name] = value
    return fields


def _check_event(database: Database, event_id: str) -> None:
    with database.read() as conn:
        require_event(conn, event_id)


def _payload(event_id: str, file: Upload, received: Received, choices: Choices) -> ImportPayload:
    return ImportPayload(
        temp_path=str(file.path),
        mime_type=received.mime_type,
        event_id=event_id,
        options=choices.options,
        metadata=ImportMetadata(
            uploaded_by=choices.uploaded_by,
            filename=clean_filename(choices.filename or received.filename or ""),
            size=file.size,
            sha256=file.sha256,
        ),
    )


def _record(database: Database, job_id: str, payload: ImportPayload) -> None:
    with database.begin() as conn:
        imports.create_import(
            conn,
            import_id=job_id,
            event_id=payload.event_id,
            filename=payload.metadata.filename,
            size=payload.metadata.size,
            sha256=payload.metadata.sha256,
            mime_type=payload.mime_type,
            options=msgspec.to_builtins(payload.options),
            uploaded_by=payload.metadata.uploaded_by,
            now_ms=now_ms(),
        )


async def _enqueue(jobs: ImportJobs, database: Database, job_id: str, payload: ImportPayload) -> None:
    """Submit the job; if that fails the import never was, so that the client can simply try again."""
    try:
        await jobs.submit(job_id, payload)
    except BaseException:
        with CancelScope(shield=True):
            await run_sync(_forget, database, job_id)
        raise


def _forget(database: Database, job_id: str) -> None:
    with database.begin() as conn:
        imports.remove_import(conn, job_id)
