"""The import, from an uploaded file to tickets and mails: five steps, each of which may be run again.

What a step does twice it does once: the save resumes at its checkpoint, tokens are derived, mails are unique. What was
validated is kept until the import ends, so that an attempt after a crash saves the very rows that the first one began
to save.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from heapq import merge
from itertools import chain
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from evq import SyncContext, ValidationError
from evq_ext import Reject, RowError
from evq_server.clock import now_ms
from evq_server.files.report import read_rejects, write_errors_csv
from evq_server.files.spool import Chunk, SpoolReader
from evq_server.pipeline.qr_archive import qr_archive
from evq_server.pipeline.steps import step
from evq_server.pipeline.validating import Validated, fresh_workdir, validated
from evq_server.schemas import ImportPayload, ImportResult
from evq_server.settings import Settings
from evq_server.store import participants as people
from evq_server.store.database import Database
from evq_server.store.events import Event, get_event
from evq_server.store.imports import begin_attempt, get_import, hold
from evq_server.store.outbox import NewMail, counts, queue_mail
from evq_server.store.participants import ChunkResult, Participant, Rejection, Row
from evq_server.store.tickets import issue_tickets, qr_text

CHUNK: Final = 500
"""Rows saved, or participants ticketed, in one transaction."""


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

    def run(self) -> ImportResult:
        """Run what earlier attempts have left to do.

        Raises `ValidationError` if the file is at fault, `LeaseLost` if a newer attempt has begun, and whatever the
        context raises when the import should stop.
        """
        upload, event = self._begin()
        folder = self.settings.spool / self.id
        workdir = fresh_workdir(folder, self.fence)
        found = validated(folder, workdir, upload, self.payload, self.context)
        saved = self._save(found, SpoolReader(folder / "validated" / "rows"))
        self._report(found, event, folder / "validated" / "rejects", saved.rejections, workdir)
        if self.payload.options.mode == "all-or-nothing" and (rejected := found.rejected + len(saved.rejections)):
            raise ValidationError(
                f"{rejected} rows have errors, so nothing was saved, as you asked. Download the error report, correct "
                "the rows and upload the file again; or leave out the option `mode`."
            )
        tokens = self._issue_tickets(workdir)
        return ImportResult(
            success=True,
            processed_count=saved.inserted + saved.updated,
            error_count=found.rejected + len(saved.rejections),
            tokens=tokens,
            emails_sent=self._schedule_mails(),
            inserted_count=saved.inserted,
            updated_count=saved.updated,
            skipped_count=saved.skipped + found.repeated,
            dry_run=self.payload.options.dry_run,
            reasons=found.reasons | Counter(it.code for it in saved.rejections),
            encoding=found.encoding,
            sheet=found.sheet,
        )

    def _begin(self) -> tuple[Path, Event]:
        upload = Path(self.payload.temp_path)
        if upload.parent != self.settings.uploads or not upload.is_file():
            raise ValidationError("The uploaded file is no longer on the server. Upload it again.")
        with self.database.begin() as conn:
            event = get_event(conn, self.payload.event_id)
            if event is None or get_import(conn, self.id) is None:
                raise ValidationError("The server does not know this import or its event. Upload the file again.")
            begin_attempt(conn, self.id, self.fence)
        return upload, event

    # Save

    def _save(self, found: Validated, spool: SpoolReader) -> ChunkResult:
        """Save the spool by the chosen mode, and say what became of its rows in all attempts."""
        options = self.payload.options
        with step(self.context, "save") as on_progress:

            def chunks(start: int) -> Iterator[Chunk]:
                for chunk in spool.chunks(start, CHUNK):
                    yield chunk
                    on_progress((chunk.first + len(chunk.rows)) / spool.count)

            if options.dry_run:
                with self.database.read() as conn:
                    return _sum([self._preview(conn, chunk) for chunk in chunks(0)])
            if options.mode == "all-or-nothing":
                return self._save_all(found, chunks)
            with self.database.read() as conn:
                start = _checkpoint(conn, self.id)
            for chunk in chunks(start):
                with self.database.begin() as conn:
                    self._save_chunk(conn, chunk)
        with self.database.read() as conn:
            return _saved(conn, self.id)

    def _save_all(self, found: Validated, chunks: Callable[[int], Iterator[Chunk]]) -> ChunkResult:
        """Save everything in one transaction, or nothing if a row has errors."""
        if found.rejected:
            return ChunkResult()
        with self.database.begin() as conn:
            result = _sum([self._save_chunk(conn, chunk) for chunk in chunks(_checkpoint(conn, self.id))])
            if result.rejections:
                conn.rollback()
                return ChunkResult(rejections=result.rejections)
            return _saved(conn, self.id)

    def _save_chunk(self, conn: sa.Connection, chunk: Chunk) -> ChunkResult:
        return people.save_chunk(
            conn,
            import_id=self.id,
            event_id=self.payload.event_id,
            fence=self.fence,
            first=chunk.first,
            end=chunk.first + len(chunk.rows),
            rows=_rows(chunk),
            duplicates=self.payload.options.duplicates,
            now_ms=now_ms(),
        )

    def _preview(self, conn: sa.Connection, chunk: Chunk) -> ChunkResult:
        return people.preview_chunk(
            conn,
            import_id=self.id,
            event_id=self.payload.event_id,
            rows=_rows(chunk),
            duplicates=self.payload.options.duplicates,
        )

    # Report, tickets, mails

    def _report(
        self, found: Validated, event: Event, rejects: Path, rejections: Sequence[Rejection], workdir: Path
    ) -> None:
        """Write the error report, if there is anything to report."""
        if not found.rejected and not rejections:
            return
        lost = {rejection.row: rejection for rejection in rejections}
        spool = SpoolReader(rejects.with_name("rows")) if lost else None
        refused = _refused(spool, found.fields, lost) if spool else iter(())
        rows = merge(read_rejects(rejects), refused, key=lambda reject: reject.row)
        write_errors_csv(workdir / "errors.csv", found.header, rows, language=event.language)
        self._publish(workdir / "errors.csv")

    def _issue_tickets(self, workdir: Path) -> int:
        """Issue a ticket to everybody whom the import has saved, and draw the codes; return how many."""
        with step(self.context, "tokens") as on_progress:
            with self.database.read() as conn:
                total = people.count_participants_of_import(conn, self.id)
            if self.payload.options.dry_run or not total:
                return 0
            done = 0
            with qr_archive(workdir / "qr.zip") as draw:
                for page in self._saved_people():
                    with self.database.begin() as conn:
                        tokens = issue_tickets(
                            conn,
                            import_id=self.id,
                            fence=self.fence,
                            secret=self.secret,
                            event_id=self.payload.event_id,
                            participant_ids=[person.id for person in page],
                            now_ms=now_ms(),
                        )
                    for person in page:
                        draw(person, qr_text(tokens[person.id], self.settings.public_url))
                        done += 1
                        on_progress(done / total)
            self._publish(workdir / "qr.zip")
            return done

    def _schedule_mails(self) -> int:
        """Put a welcome mail for everybody whom the import has saved into the outbox, if asked to; return how many."""
        options = self.payload.options
        with step(self.context, "emails") as on_progress:
            if not options.send_welcome_email or options.dry_run:
                return 0
            for page in self._saved_people():
                on_progress(0)
                with self.database.begin() as conn:
                    hold(conn, self.id, self.fence)
                    queue_mail(conn, [_welcome(person, self.id) for person in page], now_ms=now_ms())
            with self.database.read() as conn:
                return sum(counts(conn, self.id, "welcome").values())

    def _saved_people(self) -> Iterator[list[Participant]]:
        after_id = 0
        while True:
            with self.database.read() as conn:
                page = people.participants_of_import(conn, self.id, after_id, CHUNK)
            if not page:
                return
            yield page
            after_id = page[-1].id

    def _publish(self, path: Path) -> None:
        """Put a finished file where it can be downloaded."""
        folder = self.settings.artefacts / self.id
        folder.mkdir(mode=0o700, exist_ok=True)
        path.replace(folder / path.name)


def _rows(chunk: Chunk) -> list[Row]:
    """Turn a chunk's columns into participants; rows that a later one replaces are left out."""
    columns = dict(chunk.columns)
    emails = columns.pop("email")
    blank = [""] * len(emails)
    phones = columns.pop("phone", blank)
    names = columns.pop("name", None) or _full_names(columns, blank)
    rows = []
    for i, number in enumerate(chunk.rows):
        if chunk.first + i not in chunk.superseded:
            attributes = {name: values[i] for name, values in columns.items() if values[i]}
            rows.append(Row(row=number, email=emails[i], name=names[i], phone=phones[i] or None, attributes=attributes))
    return rows


def _full_names(columns: dict[str, list[str]], blank: list[str]) -> list[str]:
    """Join family and given names, in the order of the script that they are written in."""
    pairs = zip(columns.get("family_name", blank), columns.get("given_name", blank), strict=True)
    return [
        (f"{given} {family}" if f"{given}{family}".isascii() else f"{family}{given}").strip() for family, given in pairs
    ]


def _refused(spool: SpoolReader, fields: Sequence[str | None], lost: dict[int, Rejection]) -> Iterator[Reject]:
    """Give the rows that were rejected while saving, in the shape of the upload."""
    for chunk in spool.chunks(0, CHUNK):
        for i, number in enumerate(chunk.rows):
            if rejection := lost.get(number):
                cells = tuple(chunk.columns[field][i] if field else "" for field in fields)
                error = RowError(rejection.column, rejection.value, rejection.code, rejection.params)
                yield Reject(number, cells, (error,))


def _welcome(person: Participant, import_id: str) -> NewMail:
    return NewMail(kind="welcome", subject_key=str(person.id), import_id=import_id, recipient=person.email)


def _checkpoint(conn: sa.Connection, import_id: str) -> int:
    found = get_import(conn, import_id)
    return found.checkpoint if found else 0


def _saved(conn: sa.Connection, import_id: str) -> ChunkResult:
    """Say what all attempts of the import have saved."""
    row = get_import(conn, import_id)
    if row is None:
        return ChunkResult()
    return ChunkResult(
        inserted=row.inserted,
        updated=row.updated,
        skipped=row.skipped,
        rejections=tuple(people.rejections_of_import(conn, import_id)),
    )


def _sum(results: Sequence[ChunkResult]) -> ChunkResult:
    return ChunkResult(
        inserted=sum(it.inserted for it in results),
        updated=sum(it.updated for it in results),
        skipped=sum(it.skipped for it in results),
        rejections=tuple(chain.from_iterable(it.rejections for it in results)),
    )
