"""Cell by cell, what the core reads of a workbook is what calamine reads, but for the differences that are meant."""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import xlsxwriter
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from python_calamine import CalamineWorkbook

from evq_ext import read_records
from evq_server.files.sheets import text_of
from evq_server.files.workbook import convert

Grid = list[list[str]]

TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=12)
MOMENTS = st.datetimes(dt.datetime(1900, 3, 2), dt.datetime(9999, 12, 30)).map(  # noqa: DTZ001  a sheet has no zones
    lambda moment: moment.replace(microsecond=moment.microsecond // 1000 * 1000)
)
VALUES = st.one_of(
    st.none(),
    TEXTS,
    st.sampled_from(
        ["a,b", 'say "hi"', "two\nlines", "_x000D_", "=1+1", " padded ", "010-1234-5678", "\u00a0", "\u200b"]
    ),
    st.integers(-(10**15), 10**15),
    st.floats(-1e300, 1e300),
    st.booleans(),
    MOMENTS,
)
GRIDS = st.lists(st.lists(VALUES, max_size=8), max_size=12)


def by_the_core(path: Path) -> Grid:
    out = path.with_suffix(".csv")
    convert(path, out, sheet=None, on_progress=lambda _: None)
    return _trimmed([list(cells) for _, cells in read_records(out.read_bytes(), limit=1 << 20)])


def by_calamine(path: Path) -> Grid:
    sheet = CalamineWorkbook.from_path(path).get_sheet_by_index(0)
    return _trimmed([[text_of(value) for value in row] for row in sheet.to_python(skip_empty_area=False)])


def _trimmed(grid: Grid) -> Grid:
    """Return a grid without empty cells at the end of a row, and without empty rows at the end."""
    rows = [row[: max((place for place, cell in enumerate(row, start=1) if cell), default=0)] for row in grid]
    return rows[: max((number for number, row in enumerate(rows, start=1) if row), default=0)]


def differences(path: Path) -> Iterator[tuple[str, str]]:
    """Yield what the core and calamine read of a cell, where that is not the same."""
    ours, theirs = by_the_core(path), by_calamine(path)
    for number in range(max(len(ours), len(theirs))):
        row = ours[number] if number < len(ours) else []
        other = theirs[number] if number < len(theirs) else []
        for place in range(max(len(row), len(other))):
            pair = (row[place] if place < len(row) else "", other[place] if place < len(other) else "")
            if pair[0] != pair[1]:
                yield pair


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=GRIDS, shared=st.booleans())
def test_both_read_the_same_of_what_xlsxwriter_writes(tmp_path: Path, rows: list[list[Any]], shared: bool) -> None:
    options = {
        "default_date_format": "yyyy-mm-dd hh:mm:ss",
        "strings_to_formulas": False,
        "strings_to_urls": False,
        "constant_memory": not shared,
    }
    path = tmp_path / "w.xlsx"
    with xlsxwriter.Workbook(path, options) as book:
        sheet = book.add_worksheet()
        for number, row in enumerate(rows):
            sheet.write_row(number, 0, row)
    for ours, theirs in differences(path):
        assert ours == f"{theirs}T00:00:00", "but a midnight, of which calamine tells the date alone"
