"""How fast a participants file is read, beside polars and the programs one would write by hand."""

import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO, Final

import evq_ext
from benchmarks import import_peers
from benchmarks.measuring import Effort, Row, agree, alternate, figures, rate
from benchmarks.people import TICKETS, people_csv
from evq_ext import Batch, Column, _reference, strings
from evq_ext.encodings import transcoder

ROWS: Final = 1_000_000
SAMPLE: Final = 10_000
"""Rows of the case with the programs that are slow."""
CHUNK: Final = 256 * 1024
"""Bytes fed at a time, as an import does."""
Read = Callable[[], int]
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
        utf8, cp949, small = Path(folder, "utf8.csv"), Path(folder, "cp949.csv"), Path(folder, "small.csv")
        utf8.write_text(people_csv(rows), encoding="utf-8", newline="")
        cp949.write_text(utf8.read_text(encoding="utf-8"), encoding="cp949", errors="replace", newline="")
        with utf8.open("rb") as file:
            small.write_bytes(b"".join(islice(file, 1 + sample)))
        columns, twin = partial(to_columns, utf8), partial(to_columns, small, parser_class=_reference.RowParser)
        return [
            *_case(
                f"{rows:,} rows to columns",
                {"evq": columns, "polars": partial(import_peers.polars_columns, utf8)},
                rows,
                effort.rounds,
            ),
            *_case(
                f"{rows:,} rows to tuples of str",
                {"evq": partial(to_tuples, utf8), "polars": partial(import_peers.polars_tuples, utf8)},
                rows,
                effort.rounds,
            ),
            *_case(
                f"{rows:,} rows in CP949 to columns",
                {
                    "evq": partial(to_columns, cp949, codec="cp949"),
                    "polars": partial(import_peers.polars_columns, cp949, encoding="cp949"),
                    "evq, in UTF-8": columns,
                },
                rows,
                effort.rounds,
            ),
            *_case(
                f"{sample:,} rows, by the authorities",
                {
                    "evq": partial(to_columns, small),
                    "evq's twin": twin,
                    "by hand": partial(import_peers.by_hand, small),
                    "pydantic": partial(import_peers.pydantic_models, small),
                },
                sample,
                effort.rounds,
            ),
        ]


def _case(name: str, subjects: Mapping[str, Read], count: int, rounds: int) -> list[Row]:
    """Let all subjects read *count* rows; raise RuntimeError if they do not accept the same number of them."""
    agree(name, {subject: read() for subject, read in subjects.items()})
    taken = alternate({subject: partial(_speed, read, count) for subject, read in subjects.items()}, rounds)
    return figures("import", name, taken, unit="rows/s", better="higher")


def _speed(read: Read, count: int) -> float:
    start = time.perf_counter()
    read()
    return rate(count, start)


def to_columns(path: Path, parser_class: Parser = evq_ext.RowParser, codec: str | None = None) -> int:
    """Read a file in one thread, and keep the columns of every batch."""
    return sum(batch.count for batch in list(_batches(path, parser_class, codec)))


def to_tuples(path: Path) -> int:
    """Read a file in one thread, and make a tuple of strings of every row that is accepted."""
    rows: list[tuple[str, ...]] = []
    for batch in _batches(path, evq_ext.RowParser):
        rows += zip(*map(strings, batch.columns.values()), strict=True)
    return len(rows)


def _batches(path: Path, parser_class: Parser, codec: str | None = None) -> Iterator[Batch]:
    parser = parser_class(COLUMNS, skip_records=1)
    with path.open("rb") as file:
        for chunk in _chunks(file, codec):
            yield parser.feed(chunk)
    yield parser.finish()


def _chunks(file: BinaryIO, codec: str | None) -> Iterator[bytes]:
    """Yield a file as UTF-8, a chunk at a time."""
    to_utf8 = transcoder(codec) if codec else None
    while chunk := file.read(CHUNK):
        yield to_utf8.feed(chunk) if to_utf8 else chunk
    if to_utf8:
        yield to_utf8.finish()
