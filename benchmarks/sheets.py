"""How fast an Excel workbook becomes validated columns, beside the readers that only read it."""

import csv
import io
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import fastexcel
import openpyxl
import xlsxwriter
from python_calamine import CalamineWorkbook

from benchmarks.measuring import Effort, Row, compare_rates
from benchmarks.people import COLUMNS, people_csv
from evq_ext import RowParser
from evq_server.files.archive import Archive
from evq_server.files.workbook import Workbook, convert

ROWS: Final = 100_000
SAMPLE: Final = 5_000
"""Rows of the case with the program that is slow."""


def measure(effort: Effort) -> list[Row]:
    rows, sample = effort.of(ROWS), effort.of(SAMPLE)
    with TemporaryDirectory(prefix="evq-benchmark-") as folder:
        large = write_workbook(Path(folder, "large.xlsx"), rows)
        small = write_workbook(Path(folder, "small.xlsx"), sample)
        return [
            *compare_rates(
                "import",
                f"{rows:,} rows of XLSX",
                {
                    "evq": partial(to_columns, large),
                    "evq, by a file": partial(by_a_file, large),
                    "calamine, rows": partial(calamine_rows, large),
                    "calamine, lists": partial(calamine_lists, large),
                    "fastexcel": partial(fastexcel_arrow, large),
                },
                rows,
                effort.rounds,
            ),
            *compare_rates(
                "import",
                f"{sample:,} rows of XLSX",
                {"evq": partial(to_columns, small), "openpyxl": partial(openpyxl_rows, small)},
                sample,
                effort.rounds,
            ),
        ]


def write_workbook(path: Path, count: int) -> Path:
    """Write a workbook of invented participants, whose texts are shared as Excel shares them."""
    with xlsxwriter.Workbook(path) as book:
        sheet = book.add_worksheet("participants")
        for number, row in enumerate(csv.reader(io.StringIO(people_csv(count)))):
            sheet.write_row(number, 0, row)
    return path


def to_columns(path: Path) -> int:
    """Read, clean, validate and de-duplicate, chunk by chunk, and keep the columns."""
    parser = RowParser(COLUMNS, skip_records=1, number_by="record")
    with Archive(path) as archive:
        workbook = Workbook(archive)
        for _ in workbook.read_shared():
            pass
        batches = [parser.feed(records) for _, records in workbook.read(workbook.sheets[0])]
    batches.append(parser.finish())
    return 1 + parser.records


def by_a_file(path: Path) -> int:
    """Do the same as an import does it: by way of a file, so that the header can be found first."""
    parser = RowParser(COLUMNS, skip_records=1, number_by="record")
    canonical = path.with_suffix(".csv")
    convert(path, canonical, sheet=None, on_progress=lambda _: None)
    with canonical.open("rb") as file:
        batches = [parser.feed(chunk) for chunk in iter(partial(file.read, 1 << 18), b"")]
    batches.append(parser.finish())
    return 1 + parser.records


def fastexcel_arrow(path: Path) -> int:
    table = fastexcel.read_excel(path).load_sheet(0).to_arrow()
    return 1 + int(table.num_rows)


def calamine_rows(path: Path) -> int:
    return sum(1 for _ in CalamineWorkbook.from_path(path).get_sheet_by_index(0).iter_rows())


def calamine_lists(path: Path) -> int:
    return len(CalamineWorkbook.from_path(path).get_sheet_by_index(0).to_python())


def openpyxl_rows(path: Path) -> int:
    book = openpyxl.load_workbook(path, read_only=True)
    try:
        return sum(1 for _ in book.active.iter_rows(values_only=True))
    finally:
        book.close()
