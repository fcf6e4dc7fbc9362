"""What is wrong with the rows: kept on disk while the import runs, and given back as files.

Rejected rows come back in the upload's own shape, to be corrected and uploaded again; warnings as a list.
"""

import csv
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from io import TextIOWrapper
from operator import attrgetter
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import orjson

from evq_ext import Batch, Duplicate, Finding, Reject, Warned, cell_name, with_mark
from evq_server.files.columns import ERROR_COLUMN, ROW_COLUMN
from evq_server.files.messages import describe
from evq_server.files.whole import whole_file
from evq_server.schemas import Language

WARNED_KEPT: Final = 10_000
"""Accepted rows with warnings that are told one by one; of the others, the warnings are counted."""
LEFT_OUT: Final = "duplicate_left_out"
"""The warning about a row that does not count, as another row of the file has its e-mail; each one is told."""


class _Log:
    """A file of JSON arrays, one a line; it appears at *path* when it is closed, and never if the block raises."""

    def __init__(self, path: Path) -> None:
        self._files = ExitStack()
        self._file = self._files.enter_context(whole_file(path))

    def write(self, *line: Any) -> None:
        self._file.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))

    def close(self) -> None:
        self._files.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._files.__exit__(kind, error, trace)


class RejectLog(_Log):
    """Keep rejected rows.

    `reasons` counts the errors by their code; a row with two errors counts twice there and once in `count`.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.count = 0
        self.reasons: Counter[str] = Counter()

    def append(self, rejects: Iterable[Reject]) -> None:
        for reject in rejects:
            self.write(reject.row, reject.cells, [tuple(error) for error in reject.errors])
            self.count += 1
            self.reasons.update(error.code for error in reject.errors)


class WarningLog(_Log):
    """Keep the warnings about the first WARNED_KEPT rows that have some, and all rows left out for another one.

    `counts` are rows by code. Batch by batch, what is kept is in the order of the rows.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.counts: Counter[str] = Counter()
        self._kept = 0

    def append(self, batch: Batch) -> None:
        self.counts.update(batch.warnings)
        self.counts.update(LEFT_OUT for _ in batch.duplicates)
        told = batch.warned[: WARNED_KEPT - self._kept]
        self._kept += len(told)
        for warned in sorted([*told, *map(_left_out, batch.duplicates)], key=attrgetter("row")):
            self.write(warned.row, [tuple(warning) for warning in warned.warnings])


def read_rejects(path: Path) -> Iterator[Reject]:
    """Yield what a RejectLog has kept, in its order."""
    with path.open("rb") as file:
        for line in file:
            row, cells, errors = orjson.loads(line)
            yield Reject(row, tuple(cells), tuple(Finding(*error) for error in errors))


def read_warned(path: Path) -> Iterator[Warned]:
    """Yield what a WarningLog has kept, in its order."""
    with path.open("rb") as file:
        for line in file:
            row, warnings = orjson.loads(line)
            yield Warned(row, tuple(Finding(*warning) for warning in warnings))


def write_errors_csv(
    path: Path, header: Sequence[str], rejects: Iterable[Reject], *, language: Language, of_sheet: bool
) -> None:
    """Write the rejected rows as they were uploaded, with their row number and what is wrong.

    The two columns stand first, so that the cells of a row that has too many are all there; those of an earlier report
    that was uploaded again give way to them. Errors in the rows *of_sheet*s name their cells.
    """
    stale = {place for place, name in enumerate(header) if name in {ROW_COLUMN, ERROR_COLUMN}}

    def kept(cells: Sequence[str]) -> Iterator[str]:
        return (cell for place, cell in enumerate(cells) if place not in stale)

    with _sheet(path, (ROW_COLUMN, ERROR_COLUMN, *kept(header))) as write:
        for reject in rejects:
            errors = " / ".join(_describe(error, reject.row, language, of_sheet) for error in reject.errors)
            write((reject.row, with_mark(errors), *map(with_mark, kept(reject.cells))))


def write_warnings_csv(path: Path, warned: Iterable[Warned], *, language: Language, of_sheet: bool) -> None:
    """Write the warnings, each with the number of its row and the value that it is about."""
    with _sheet(path, ("row", "warning", "value")) as write:
        for row, warnings in warned:
            for warning in warnings:
                text = _describe(warning, row, language, of_sheet)
                write((row, with_mark(text), with_mark(warning.value)))


def _left_out(duplicate: Duplicate) -> Warned:
    return Warned(duplicate.row, (Finding("", -1, "", LEFT_OUT, {"row": duplicate.kept}),))


def _describe(finding: Finding, row: int, language: Language, of_sheet: bool) -> str:
    if of_sheet and finding.code == "too_many_cells":  # a sheet has no commas to put in quotes
        finding = Finding("", -1, "", "cells_beyond_headings", {"cell": cell_name(row, int(finding.params["columns"]))})
    named = of_sheet and finding.place >= 0
    return describe(finding, language, cell=cell_name(row, finding.place + 1) if named else "")


@contextmanager
def _sheet(path: Path, header: Iterable[str]) -> Iterator[Callable[[Iterable[object]], object]]:
    """Begin a CSV file in UTF-8, with the byte order mark that Excel needs, and its header; yield how to write a row.

    A cell that a spreadsheet program would take for a formula must have a mark before it (OWASP, CSV Injection).
    """
    with whole_file(path) as file:
        text = TextIOWrapper(file, encoding="utf-8-sig", newline="")
        writer = csv.writer(text)
        writer.writerow(map(with_mark, header))
        yield writer.writerow
        text.flush()
        text.detach()
