"""The jobs of the application, on the queue `file-processing`: where the queue and the import meet.

`import-participants` does the import. When it has ended, whatever the end, a hook records how, writes to the uploader,
has the mails delivered and clears up; hooks run at least once, and each of these may be done twice.
"""

import logging
import shutil
from collections.abc import Mapping
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from anyio.to_thread import run_sync

from evq import Job, JobStatus, Queue, RetryPolicy, SyncContext, ValidationError
from evq_server.clock import now_ms
from evq_server.mail.delivery import deliver
from evq_server.mail.letters import LetterWriter
from evq_server.mail.transports import MaildirTransport, SmtpTransport, Transport
from evq_server.pipeline.attempt import Attempt
from evq_server.pipeline.faults import told_plainly
from evq_server.schemas import ImportMetadata, ImportOptions, ImportPayload
from evq_server.settings import Settings, load_secret
from evq_server.store.database import Database
from evq_server.store.imports import FinalStatus, Import, get_import, record_outcome, reopen, unfinished_imports
from evq_server.store.outbox import Kind, NewMail, abandon_deliveries, drop_queued, queue_mail, unsent_imports
from evq_server.store.tickets import derive_token

log = logging.getLogger(__name__)

QUEUE: Final = "file-processing"
MAIL_PRIORITY: Final = 3000
"""Mails come after imports, whose users are watching."""
KEEP: Final = 86_400.0
"""How long an ended job can be looked at, s; a failed one at least as long as its upload is kept for a replay."""
BUSY_DATABASE: Final[Mapping[type[BaseException], float]] = {sa.exc.OperationalError: 2.0}


class ImportJobs:
    """The queue with its tasks, for one server or worker. Nothing is opened before a job needs it."""

    def __init__(self, settings: Settings, database: Database, *, redis: str | None = None) -> None:
        self._settings = settings
        self.database = database
        self.rows: dict[str, Import] = {}  # as they were read, of imports whose jobs the queue knew
        self.queue = Queue(
            QUEUE, redis=redis, lease=settings.lease_seconds, keep=max(KEEP, settings.keep_failed_seconds)
        )
        retry = RetryPolicy(attempts=3, backoff="exponential", delay=2.0)
        self._import = self.queue.task(name="import-participants", retry=retry)(self.import_participants)
        self._import.on_completed(self._ended)
        self._import.on_failed(self._ended)
        self._import.on_cancelled(self._ended)
        # Patient, since a mail server may be away for a day.
        patient = RetryPolicy(attempts=20, delay=5.0, on=BUSY_DATABASE)
        self._deliver = self.queue.task(name="deliver-mail", retry=patient)(self.deliver_mail)
        self._deliver.on_failed(self._delivery_failed)
        self._remove = self.queue.task(name="remove-upload", retry=retry)(self.remove_upload)

    async def submit(self, import_id: str, payload: ImportPayload) -> None:
        """Enqueue an import; doing it twice makes one job."""
        await self._import.using(id=import_id).enqueue(**payload.to_wire())

    async def resubmit_lost(self) -> None:
        """Enqueue what the database knows and the queue has lost, as after a crash of both: imports, and mails."""
        for row in await run_sync(self._unfinished):
            if await self.queue.get(row.id) is None:
                log.warning("an import without a job is enqueued again", extra={"job": row.id})
                await run_sync(self._reopen, row.id)
                await self.submit(row.id, self._payload(row))
        for import_id, fence in await run_sync(self._undelivered):
            delivery = await self.queue.get(delivery_id(import_id, fence))
            if delivery is None or delivery.status.ended:
                log.warning("mails without a job are enqueued again", extra={"job": import_id})
                await run_sync(self._abandon_deliveries, import_id)
                await self._deliver.using(priority=MAIL_PRIORITY).enqueue(importId=import_id)

    # The tasks

    def import_participants(self, ctx: SyncContext, **payload: Any) -> dict[str, Any]:
        """Import the participants of an uploaded file into an event."""
        try:
            wire = ImportPayload.from_wire(payload)
        except msgspec.ValidationError as error:
            raise ValidationError(f"this is no payload of an import: {error}") from error
        log.info("import started", extra={"job": ctx.job_id, "event": wire.event_id, "attempt": ctx.attempt})
        with told_plainly(ctx.job_id):
            attempt = Attempt(
                settings=self._settings,
                database=self.database,
                secret=load_secret(self._settings),
                payload=wire,
                context=ctx,
            )
            result: dict[str, Any] = msgspec.to_builtins(attempt.run())
        return result

    def deliver_mail(self, ctx: SyncContext, importId: str) -> dict[str, int]:  # noqa: N803 - the name on the wire
        """Deliver the queued mails of an import."""
        delivered = deliver(
            self.database,
            self._transport(),
            LetterWriter(
                secret=load_secret(self._settings),
                mail_from=self._settings.mail_from,
                public_url=self._settings.public_url,
            ),
            delivery_id=ctx.job_id,
            fence=ctx.fence,
            import_id=importId,
            check=ctx.check,
        )
        return msgspec.structs.asdict(delivered)

    async def remove_upload(self, importId: str, fence: int) -> bool:  # noqa: N803 - the name on the wire
        """Remove the upload of an import that failed long ago in attempt *fence*, unless it has been run again."""
        job = await self.queue.get(importId)
        if job is not None and not (job.status.ended and job.record.fence == fence):
            return False
        await run_sync(self._clear, importId)
        return True

    # The end of an import

    async def _ended(self, job: Job) -> None:
        if not await run_sync(self._record_end, job):
            return
        fence = job.record.fence
        delivery = self._deliver.using(id=delivery_id(job.id, fence), priority=MAIL_PRIORITY)
        await delivery.enqueue(importId=job.id)
        if job.status is JobStatus.FAILED:
            later = self._remove.using(
                id=_id_beside(job.id, f"remove:{fence}"), delay=float(self._settings.keep_failed_seconds)
            )
            await later.enqueue(importId=job.id, fence=fence)
        else:
            await run_sync(self._clear, job.id)

    async def _delivery_failed(self, job: Job) -> None:
        await run_sync(self._abandon_deliveries, job.payload["importId"])

    def _record_end(self, job: Job) -> bool:
        """Record how the import ended, and queue the notice of it; return False if it is being run again already."""
        record, status = job.record, job.status
        outcome = record.result if status is JobStatus.COMPLETED else _fault(job)
        final, kind = _ENDS[status]
        with self.database.begin() as conn:
            news = record_outcome(conn, job.id, record.fence, final, outcome, now_ms=now_ms())
            row = get_import(conn, job.id)
            if row is None or not news:
                return row is not None and row.status is not None
            if status is JobStatus.CANCELLED:
                drop_queued(conn, job.id)
            if row.uploaded_by and not row.options.get("dryRun"):
                notice = NewMail(kind=kind, subject_key=job.id, import_id=job.id, recipient=row.uploaded_by)
                queue_mail(conn, [notice], now_ms=now_ms())
        took_ms = (record.ended_ms or 0) - (record.started_ms or record.ended_ms or 0)
        waited_ms = (record.started_ms or record.ended_ms or 0) - record.created_ms
        counts = {name: value for name, value in outcome.items() if isinstance(value, int)}
        log.info(
            "import ended",
            extra={"job": job.id, "status": status.value, "took_ms": took_ms, "waited_ms": waited_ms, **counts},
        )
        return True

    def _clear(self, import_id: str) -> None:
        """Remove the upload of an import that will not be run again, and its working files."""
        shutil.rmtree(self._settings.spool / import_id, ignore_errors=True)
        (self._settings.uploads / import_id).unlink(missing_ok=True)

    # Helpers

    def _transport(self) -> Transport:
        if self._settings.smtp_url:
            return SmtpTransport(self._settings.smtp_url)
        return MaildirTransport(self._settings.maildir)

    def _unfinished(self) -> list[Import]:
        with self.database.read() as conn:
            return unfinished_imports(conn)

    def _undelivered(self) -> list[tuple[str, int]]:
        with self.database.read() as conn:
            rows = [get_import(conn, import_id) for import_id in unsent_imports(conn)]
        return [(row.id, row.fence) for row in rows if row]

    def _abandon_deliveries(self, import_id: str) -> None:
        with self.database.begin() as conn:
            abandon_deliveries(conn, import_id, repeatable=self._transport().repeatable)

    def _reopen(self, import_id: str) -> None:
        with self.database.begin() as conn:
            reopen(conn, import_id)

    def _payload(self, row: Import) -> ImportPayload:
        return ImportPayload(
            temp_path=str(self._settings.uploads / row.id),
            mime_type=row.mime_type,
            event_id=row.event_id,
            options=msgspec.convert(row.options, ImportOptions),
            metadata=ImportMetadata(
                uploaded_by=row.uploaded_by, filename=row.filename, size=row.size, sha256=row.sha256
            ),
        )


_ENDS: Final[Mapping[JobStatus, tuple[FinalStatus, Kind]]] = {
    JobStatus.COMPLETED: ("completed", "import-completed"),
    JobStatus.FAILED: ("failed", "import-failed"),
    JobStatus.CANCELLED: ("cancelled", "import-cancelled"),
}


def _fault(job: Job) -> dict[str, str]:
    error = job.error
    if job.status is JobStatus.CANCELLED or error is None:
        return {"type": "JobCancelled", "message": "The import was cancelled."}
    return {"type": error.type, "message": error.message}


def delivery_id(import_id: str, fence: int) -> str:
    """Return the id of the job that delivers the mails of an import that has ended with attempt *fence*."""
    return _id_beside(import_id, f"deliver:{fence}")


def _id_beside(import_id: str, purpose: str) -> str:
    """Derive the id of a job that belongs to an import, so that enqueuing it twice makes one."""
    return import_id[:10] + derive_token(f"{import_id}:{purpose}".encode(), 0)[:16]
