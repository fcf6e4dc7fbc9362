"""The import, from an uploaded file to tickets and mails: five steps, each of which may be run again.

What a step does twice it does once: the save resumes at its checkpoint, tokens are derived, mails are unique. What was
validated is kept as long as the upload is, so that an attempt after a crash, or a replay, saves the very rows that the
first one began to save.
"""

import logging
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from heapq import merge
from pathlib import Path

import msgspec

from evq import SyncContext, ValidationError
from evq_ext import Finding, Reject, Warned
from evq_server.clock import now_ms
from evq_server.files.refusals import FileError
from evq_server.files.report import LEFT_OUT, read_rejects, read_warned, write_errors_csv, write_warnings_csv
from evq_server.files.spool import SpoolCorrupt, SpoolReader
from evq_server.pipeline.pace import Pace
from evq_server.pipeline.qr_archive import qr_archive
from evq_server.pipeline.saving import Saved, Saving
from evq_server.pipeline.steps import OnProgress, step
from evq_server.pipeline.validating import REJECTS, ROWS, VALIDATED, WARNED, Validated, validated, working_folder
from evq_server.schemas import ColumnFound, ImportPayload, ImportResult, Language
from evq_server.settings import Settings
from evq_server.store import participants as people
from evq_server.store.database import Database
from evq_server.store.events import Event, get_event
from evq_server.store.imports import Import, begin_attempt, get_import, hold
from evq_server.store.outbox import NewMail, counts, queue_mail
from evq_server.store.participants import DUPLICATE, Contact
from evq_server.store.tickets import issue_tickets, qr_text

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One attempt of one import, with all that its steps need."""

    settings: Settings
    database: Database
    secret: bytes
    payload: ImportPayload
    context: SyncContext

    @property
    def id(self) -> str:
        return self.context.job_id

    @property
    def fence(self) -> int:
        return self.context.fence

    @property
    def folder(self) -> Path:
        """Where the import's working files lie."""
        return self.settings.spool / self.id

    def run(self) -> ImportResult:
        """Run what earlier attempts have left to do.

        Raises `ValidationError`, in the event's language, if the file is at fault; `LeaseLost` if a newer attempt has
        begun; and whatever the context raises when the import should stop.
        """
        row = self._import()
        if row.status == "completed":  # the queue has lost that, as it may when the power is cut
            return msgspec.convert(row.outcome, ImportResult)
        event = self._begin()
        with working_folder(self.folder, self.fence) as workdir:
            try:
                return self._run_steps(event, workdir)
            except SpoolCorrupt:
                shutil.rmtree(self.folder / VALIDATED)  # the next attempt makes it anew
                raise
            except FileError as error:
                log.info("the file is refused", extra={"job": self.id, "code": error.code})
                raise ValidationError(error.text(event.language)) from error

    def _run_steps(self, event: Event, workdir: Path) -> ImportResult:
        found = validated(self.folder, workdir, self._upload(), self.payload, self.context)
        with step(self.context, "save") as on_progress:
            saving = self._saving()
            accepted = saving.spool.count
            share = accepted / (accepted + found.rejected)  # of the step: what is left is for the report
            saved = self._save(found, saving, lambda fraction: on_progress(share * fraction))
            self._report(
                found, saved, event.language, workdir, lambda fraction: on_progress(share + (1 - share) * fraction)
            )
        rejected = found.rejected + saved.rejected
        if rejected and self.payload.options.mode == "all-or-nothing":
            raise FileError("rows_rejected", count=rejected)
        tokens = self._issue_tickets(workdir)
        return ImportResult(
            success=True,
            processed_count=saved.inserted + saved.updated,
            error_count=rejected,
            tokens=tokens,
            emails_sent=self._schedule_mails(tokens),
            inserted_count=saved.inserted,
            updated_count=saved.updated,
            skipped_count=saved.skipped + found.warnings.get(LEFT_OUT, 0),
            dry_run=self.payload.options.dry_run,
            reasons=found.reasons | ({DUPLICATE: saved.rejected} if saved.rejected else {}),
            warnings=found.warnings,
            encoding=found.encoding,
            sheet=found.sheet,
            hidden_sheets=list(found.hidden_sheets),
            other_sheets=list(found.other_sheets),
            nameless=saving.nameless,
            columns=[
                ColumnFound(header=header, field=field, score=score)
                for header, field, score in zip(found.header, found.fields, found.scores, strict=True)
            ],
        )

    def _import(self) -> Import:
        with self.database.read() as conn:
            row = get_import(conn, self.id)
        if row is None:
            raise ValidationError("The server does not know this import. Upload the file again.")
        return row

    def _begin(self) -> Event:
        with self.database.begin() as conn:
            event = get_event(conn, self.payload.event_id)
            if event is None:
                raise ValidationError(
                    "The server does not know the import's event. Create it and upload the file again."
                )
            begin_attempt(conn, self.id, self.fence)
        return event

    def _upload(self) -> Path:
        upload = Path(self.payload.temp_path)
        if upload.parent != self.settings.uploads or not upload.is_file():
            raise FileError("upload_gone")
        return upload

    def _save(self, found: Validated, saving: Saving, on_progress: OnProgress) -> Saved:
        """Save the accepted rows by the chosen mode, and count what became of them in all attempts."""
        options = self.payload.options
        if options.dry_run:
            return saving.preview(on_progress)
        checkpoint = self._import().checkpoint
        if options.mode == "partial":
            saving.save(checkpoint, on_progress)
        elif not found.rejected and (saved := saving.save_all(checkpoint, on_progress)).rejected:
            return saved
        row = self._import()
        return Saved(inserted=row.inserted, updated=row.updated, skipped=row.skipped, rejected=row.rejected)

    def _saving(self) -> Saving:
        return Saving(
            database=self.database,
            spool=SpoolReader(self.folder / VALIDATED / ROWS),
            import_id=self.id,
            event_id=self.payload.event_id,
            fence=self.fence,
            duplicates=self.payload.options.duplicates,
        )

    # Report, tickets, mails

    def _report(
        self, found: Validated, saved: Saved, language: Language, workdir: Path, on_progress: OnProgress
    ) -> None:
        """Write what is wrong with the rows; of what an earlier attempt has reported, nothing else stays."""
        errors, warnings = workdir / "errors.csv", workdir / "warnings.csv"
        of_sheet = found.sheet is not None
        if total := found.rejected + saved.rejected:

            def rows() -> Iterator[Reject]:
                refused = self._refused(found.fields) if saved.rejected else ()
                logged = read_rejects(self.folder / VALIDATED / REJECTS)
                for number, reject in enumerate(merge(logged, refused, key=lambda reject: reject.row)):
                    yield reject
                    on_progress(number / total)

            write_errors_csv(errors, found.header, rows(), language=language, of_sheet=of_sheet)
        if found.warnings:

            def warned() -> Iterator[Warned]:
                for warned in read_warned(self.folder / VALIDATED / WARNED):
                    yield warned
                    self.context.check()

            write_warnings_csv(warnings, warned(), language=language, of_sheet=of_sheet)
        for report in (errors, warnings):
            if report.exists():
                self._publish(report)
            else:
                self._published(report.name).unlink(missing_ok=True)

    def _refused(self, fields: Sequence[str | None]) -> Iterator[Reject]:
        """Give the rows that the save has rejected, in the shape and in the order of the upload."""
        saving, options = self._saving(), self.payload.options
        written = not options.dry_run and options.mode == "partial"
        for frame in saving.spool.frames(0):
            places = {number: place for place, number in enumerate(frame.rows)}
            rejections = saving.rejections(frame, written=written, check=self.context.check)
            for rejection in sorted(rejections, key=lambda rejection: rejection.row):
                place = places[rejection.row]
                cells = tuple(frame.text(field, place) if field else "" for field in fields)
                column = fields.index(rejection.column)
                error = Finding(rejection.column, column, rejection.value, rejection.code, rejection.params)
                yield Reject(rejection.row, cells, (error,))

    def _issue_tickets(self, workdir: Path) -> int:
        """Issue a ticket to everybody whom the import has saved, and draw the codes; return how many."""
        with step(self.context, "tokens") as on_progress:
            with self.database.read() as conn:
                total = people.count_participants_of_import(conn, self.id)
            if self.payload.options.dry_run or not total:
                return 0
            done = 0
            pace = Pace()
            with qr_archive(workdir / "qr.zip") as draw:
                for page in self._saved_people(pace.next):
                    with self.database.begin() as conn:
                        start = time.monotonic()
                        tokens = issue_tickets(
                            conn,
                            import_id=self.id,
                            fence=self.fence,
                            secret=self.secret,
                            event_id=self.payload.event_id,
                            participant_ids=[person.id for person in page],
                            now_ms=now_ms(),
                        )
                    pace.took(len(page), time.monotonic() - start)
                    texts = {id_: qr_text(token, self.settings.public_url) for id_, token in tokens.items()}
                    for drawn in draw(page, texts):
                        done += drawn
                        on_progress(done / total)
            self._publish(workdir / "qr.zip")
            return done

    def _schedule_mails(self, total: int) -> int:
        """Put a welcome mail for all *total* people of the import into the outbox, if asked to; return how many."""
        options = self.payload.options
        with step(self.context, "emails") as on_progress:
            if not options.send_welcome_email or options.dry_run:
                return 0
            done = 0
            pace = Pace()
            for page in self._saved_people(pace.next):
                with self.database.begin() as conn:
                    start = time.monotonic()
                    hold(conn, self.id, self.fence)
                    queue_mail(conn, [_welcome(person, self.id) for person in page], now_ms=now_ms())
                pace.took(len(page), time.monotonic() - start)
                done += len(page)
                on_progress(done / total)
            with self.database.read() as conn:
                return sum(counts(conn, self.id, "welcome").values())

    def _saved_people(self, size: Callable[[], int]) -> Iterator[list[Contact]]:
        """Yield those whom the import has saved in pages, whose *size* is asked for anew each time."""
        after_id = 0
        while True:
            with self.database.read() as conn:
                page = people.participants_of_import(conn, self.id, after_id, size())
            if not page:
                return
            yield page
            after_id = page[-1].id

    def _publish(self, path: Path) -> None:
        """Put a finished file where it can be downloaded."""
        published = self._published(path.name)
        published.parent.mkdir(mode=0o700, exist_ok=True)
        path.replace(published)

    def _published(self, name: str) -> Path:
        return self.settings.artefacts / self.id / name


def _welcome(person: Contact, import_id: str) -> NewMail:
    return NewMail(kind="welcome", subject_key=str(person.id), import_id=import_id, recipient=person.email)
