"""How fast a participants file is read, beside polars and the programs one would write by hand."""

import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import evq_ext
from benchmarks import import_peers
from benchmarks.measuring import Effort, Row, agree, alternate, figures, rate
from benchmarks.people import TICKETS, people_csv
from evq_ext import Batch, Column, _reference, strings

ROWS: Final = 1_000_000
SAMPLE: Final = 10_000
"""Rows of the case with the programs that are slow."""
CHUNK: Final = 256 * 1024
"""Bytes fed at a time, as an import does."""
Read = Callable[[Path], int]
"""Read a file, and say how many of its rows are accepted."""
Parser = type[evq_ext.RowParser] | type[_reference.RowParser]
COLUMNS: Final = (
    Column("name", "name"),
    Column("email", "email"),
    Column("phone", "phone"),
    Column("organisation", "text"),
    Column("ticket", "choice", TICKETS),
    Column("note", "text"),
    Column("registered_at", "text"),
)


def measure(effort: Effort) -> list[Row]:
    rows, sample = effort.of(ROWS), effort.of(SAMPLE)
    with TemporaryDirectory(prefix="evq-benchmark-") as folder:
        large, small = Path(folder, "large.csv"), Path(folder, "small.csv")
        large.write_text(people_csv(rows), encoding="utf-8", newline="")
        with large.open("rb") as file:
            small.write_bytes(b"".join(islice(file, 1 + sample)))
        return [
            *_case(
                f"{rows:,} rows to columns",
                {"evq": to_columns, "polars": import_peers.polars_columns},
                large,
                rows,
                effort.rounds,
            ),
            *_case(
                f"{rows:,} rows to tuples of str",
                {"evq": to_tuples, "polars": import_peers.polars_tuples},
                large,
                rows,
                effort.rounds,
            ),
            *_case(
                f"{sample:,} rows, by the authorities",
                {
                    "evq": to_columns,
                    "evq's twin": partial(to_columns, parser_class=_reference.RowParser),
                    "by hand": import_peers.by_hand,
                    "pydantic": import_peers.pydantic_models,
                },
                small,
                sample,
                effort.rounds,
            ),
        ]


def _case(name: str, subjects: Mapping[str, Read], path: Path, count: int, rounds: int) -> list[Row]:
    """Let all subjects read the same file; raise RuntimeError if they do not accept the same number of rows."""
    agree(name, {subject: read(path) for subject, read in subjects.items()})
    taken = alternate({subject: partial(_speed, read, path, count) for subject, read in subjects.items()}, rounds)
    return figures("import", name, taken, unit="rows/s", better="higher")


def _speed(read: Read, path: Path, count: int) -> float:
    start = time.perf_counter()
    read(path)
    return rate(count, start)


def to_columns(path: Path, parser_class: Parser = evq_ext.RowParser) -> int:
    """Read a file in one thread, and keep the columns of every batch."""
    return sum(batch.count for batch in list(_batches(path, parser_class)))


def to_tuples(path: Path) -> int:
    """Read a file in one thread, and make a tuple of strings of every row that is accepted."""
    rows: list[tuple[str, ...]] = []
    for batch in _batches(path, evq_ext.RowParser):
        rows += zip(*map(strings, batch.columns.values()), strict=True)
    return len(rows)


def _batches(path: Path, parser_class: Parser) -> Iterator[Batch]:
    parser = parser_class(COLUMNS, skip_records=1)
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield parser.feed(chunk)
    yield parser.finish()
