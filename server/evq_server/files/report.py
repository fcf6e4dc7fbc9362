"""The rejected rows: kept on disk while the import runs, and given back as a file in the upload's own shape."""

import csv
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from io import TextIOWrapper
from pathlib import Path
from types import TracebackType
from typing import Self

import orjson

from evq_ext import Finding, Reject, with_mark
from evq_server.files.columns import ERROR_COLUMN, ROW_COLUMN
from evq_server.files.messages import describe
from evq_server.files.whole import whole_file
from evq_server.schemas import Language


class RejectLog:
    """Keep rejected rows, one JSON array a line; it appears at *path* when it is closed, and never if the block raises.

    `reasons` counts the errors by their code; a row with two errors counts twice there and once in `count`.
    """

    def __init__(self, path: Path) -> None:
        self.count = 0
        self.reasons: Counter[str] = Counter()
        self._files = ExitStack()
        self._file = self._files.enter_context(whole_file(path))

    def append(self, rejects: Iterable[Reject]) -> None:
        for reject in rejects:
            line = (reject.row, reject.cells, [tuple(error) for error in reject.errors])
            self._file.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))
            self.count += 1
            self.reasons.update(error.code for error in reject.errors)

    def close(self) -> None:
        self._files.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._files.__exit__(kind, error, trace)


def read_rejects(path: Path) -> Iterator[Reject]:
    """Yield what a RejectLog has kept, in its order."""
    with path.open("rb") as file:
        for line in file:
            row, cells, errors = orjson.loads(line)
            yield Reject(row, tuple(cells), tuple(Finding(*error) for error in errors))


def write_errors_csv(path: Path, header: Sequence[str], rejects: Iterable[Reject], *, language: Language) -> None:
    """Write the rejected rows as they were uploaded, with their row number and what is wrong.

    The two columns stand first, so that the cells of a row that has too many are all there; those of an earlier report
    that was uploaded again give way to them. The file is UTF-8 with a byte order mark, which Excel needs. A cell that
    a spreadsheet program would take for a formula gets an apostrophe before it (OWASP, CSV Injection).
    """
    stale = {place for place, name in enumerate(header) if name in {ROW_COLUMN, ERROR_COLUMN}}

    def kept(cells: Sequence[str]) -> Iterator[str]:
        return (with_mark(cell) for place, cell in enumerate(cells) if place not in stale)

    with whole_file(path) as file:
        text = TextIOWrapper(file, encoding="utf-8-sig", newline="")
        writer = csv.writer(text)
        writer.writerow([ROW_COLUMN, ERROR_COLUMN, *kept(header)])
        for reject in rejects:
            errors = " / ".join(describe(error, language) for error in reject.errors)
            writer.writerow([reject.row, with_mark(errors), *kept(reject.cells)])
        text.flush()
        text.detach()
