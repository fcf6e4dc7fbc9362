"""The first pass: from the upload to a spool of accepted rows and a log of rejected ones."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from evq import SyncContext
from evq_ext import Batch, RowParser
from evq_server.files.columns import with_choices
from evq_server.files.refusals import FileError
from evq_server.files.report import RejectLog, WarningLog
from evq_server.files.source import Source, prepare
from evq_server.files.spool import SpoolWriter
from evq_server.files.values import given_values, with_values
from evq_server.files.whole import whole_file
from evq_server.pipeline.steps import step
from evq_server.schemas import ImportPayload

VALIDATED: Final = "validated"
"""The folder of an import in which the pass leaves its files, all at once."""
ROWS: Final = "rows"
REJECTS: Final = "rejects"
WARNED: Final = "warned"
SUMMARY: Final = "summary.json"

READ_SIZE: Final = 256 * 1024
"""Bytes given to the core at a time."""


class Validated(msgspec.Struct, frozen=True, kw_only=True):
    """What the first pass has found."""

    header: tuple[str, ...]
    fields: tuple[str | None, ...]
    """What each column of the upload became."""
    scores: tuple[int, ...]
    """How surely."""
    encoding: str
    sheet: str | None
    hidden_sheets: tuple[str, ...] = ()
    """Those that were not looked at, being hidden."""
    other_sheets: tuple[str, ...] = ()
    """Those that were not read, though they have a header."""
    rejected: int
    reasons: dict[str, int]
    """Errors by code."""
    warnings: dict[str, int]
    """Rows by the code of a warning about them: accepted ones, and those left out for another row of the file."""


def validated(folder: Path, workdir: Path, upload: Path, payload: ImportPayload, context: SyncContext) -> Validated:
    """Parse and validate *upload*, or find that an earlier attempt has; `folder/VALIDATED` holds the files then.

    Raises `FileError` if the file is at fault.
    """
    done = folder / VALIDATED
    if not done.exists():
        with step(context, "parse") as on_progress:
            source = prepare(
                upload,
                workdir,
                encoding=payload.options.encoding,
                sheet=payload.options.sheet,
                mapping=payload.options.mapping,
                on_progress=on_progress,
            )
        draft = workdir / VALIDATED
        draft.mkdir()
        _validate(source, draft, payload, context)
        try:
            draft.rename(done)
        except OSError:
            if not done.exists():  # and an earlier attempt, whose lease was lost, has not put it there meanwhile
                raise
    return msgspec.json.decode((done / SUMMARY).read_bytes(), type=Validated)


def _validate(source: Source, folder: Path, payload: ImportPayload, context: SyncContext) -> None:
    options = payload.options
    columns = [column and with_choices(column, options.ticket_types) for column in source.columns]
    kept = [column.name for column in columns if column is not None]
    values = given_values(options.values or {}, source, region=options.region, ticket_types=options.ticket_types)
    parser = RowParser(
        columns,
        delimiter=source.delimiter,
        skip_records=source.skip_records,
        number_by=source.number_by,
        region=options.region,
        duplicates=options.duplicates,
    )
    with (
        step(context, "validate") as on_progress,
        SpoolWriter(folder / ROWS, [*kept, *values], order_by="email") as spool,
        RejectLog(folder / REJECTS) as rejects,
        WarningLog(folder / WARNED) as warned,
    ):

        def keep(batch: Batch) -> None:
            spool.append(with_values(batch, values))
            if options.duplicates == "update":
                spool.supersede(duplicate.row for duplicate in batch.duplicates)
            rejects.append(batch.rejects)
            warned.append(batch)

        for text, done in source.read(READ_SIZE):
            keep(parser.feed(text))
            on_progress(done)
        keep(parser.finish())
    if not parser.records:
        raise FileError("no_rows")
    summary = Validated(
        header=source.header,
        fields=tuple(column.name if column else None for column in source.columns),
        scores=source.scores,
        encoding=source.encoding,
        sheet=source.sheet,
        hidden_sheets=source.hidden_sheets,
        other_sheets=source.other_sheets,
        rejected=rejects.count,
        reasons=dict(rejects.reasons),
        warnings=dict(warned.counts),
    )
    with whole_file(folder / SUMMARY) as out:
        out.write(msgspec.json.encode(summary))


@contextmanager
def working_folder(folder: Path, fence: int) -> Iterator[Path]:
    """Make the folder in which only this attempt writes, and remove those of earlier ones; it goes with the attempt."""
    folder.mkdir(mode=0o700, exist_ok=True)
    for earlier in folder.iterdir():
        if earlier.name.isdecimal() and int(earlier.name) <= fence:
            shutil.rmtree(earlier, ignore_errors=True)
    workdir = folder / str(fence)
    workdir.mkdir()
    try:
        yield workdir
    finally:
        shutil.rmtree(workdir, ignore_errors=True)
