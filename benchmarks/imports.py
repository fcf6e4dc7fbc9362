"""How fast a participants file is read, beside polars and the programs one would write by hand."""

from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO, Final

import evq_ext
from benchmarks import import_peers, sheets
from benchmarks.measuring import Effort, Row, compare_rates
from benchmarks.people import COLUMNS, people_csv
from evq_ext import Batch, strings
from evq_ext.encoding.encodings import transcoder
from evq_ext.rows import _reference

ROWS: Final = 1_000_000
SAMPLE: Final = 10_000
"""Rows of the case with the programs that are slow."""
CHUNK: Final = 256 * 1024
"""Bytes fed at a time, as an import does."""
Parser = type[evq_ext.RowParser] | type[_reference.RowParser]


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
            *compare_rates(
                "import",
                f"{rows:,} rows to columns",
                {"evq": columns, "polars": partial(import_peers.polars_columns, utf8)},
                rows,
                effort.rounds,
            ),
            *compare_rates(
                "import",
                f"{rows:,} rows to tuples of str",
                {"evq": partial(to_tuples, utf8), "polars": partial(import_peers.polars_tuples, utf8)},
                rows,
                effort.rounds,
            ),
            *compare_rates(
                "import",
                f"{rows:,} rows in CP949 to columns",
                {
                    "evq": partial(to_columns, cp949, codec="cp949"),
                    "polars": partial(import_peers.polars_columns, cp949, encoding="cp949"),
                    "evq, in UTF-8": columns,
                },
                rows,
                effort.rounds,
            ),
            *compare_rates(
                "import",
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
            *sheets.measure(effort),
        ]


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
