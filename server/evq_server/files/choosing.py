"""Which sheet of a workbook is the list."""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, Protocol, TypeVar

from evq_ext import find_header, recognise
from evq_server.files.refusals import FileError

HEAD_ROWS = 40
"""Rows in which a header is looked for."""
CELL_LIMIT = 32_767
"""Characters of a cell, as in Excel."""


class Sheet(NamedTuple):
    """One sheet of a workbook; *part* is the archive's entry that holds its cells, if that must be known."""

    name: str
    visible: bool
    part: str = ""


class Chosen(NamedTuple):
    """The sheet that was read, the hidden ones that were not looked at, and others that have a header of a list."""

    name: str
    hidden: list[str]
    others: list[str]


class Named(Protocol):
    """A sheet of any reader."""

    @property
    def name(self) -> str: ...


AnySheet = TypeVar("AnySheet", bound=Named)


def hidden_from(sheets: Sequence[Sheet], name: str | None) -> list[str]:
    """Return the names of the sheets that are not looked at when *name* is asked for: none if it is one of them."""
    return [sheet.name for sheet in sheets if not sheet.visible] if name is None else []


def wanted(sheets: Sequence[Sheet], name: str | None) -> list[Sheet]:
    """Return the sheets that may be the list: the one called *name*, or without it all that are visible.

    Raises FileError if there are none.
    """
    found = [sheet for sheet in sheets if (sheet.visible if name is None else sheet.name == name)]
    if found:
        return found
    names = [sheet.name for sheet in sheets]
    raise (
        FileError("sheets_hidden", sheets=names)
        if name is None
        else FileError("sheet_unknown", sheet=name, sheets=names)
    )


def choose(candidates: Iterable[AnySheet], fields_named: Callable[[AnySheet], int]) -> tuple[AnySheet, list[str]]:
    """Return the sheet whose header names the most fields, of equals the first, and the others' names that have one."""
    best, most, lists = None, -1, []
    for sheet in candidates:
        named = fields_named(sheet)
        if named:
            lists.append(sheet.name)
        if named > most:
            best, most = sheet, named
    assert best is not None  # noqa: S101 - `wanted` returns one at least; this tells the type checker
    return best, [name for name in lists if name != best.name]


def fields_named(rows: Sequence[tuple[int, tuple[str, ...]]]) -> int:
    """Count the fields that the header among the first rows of a sheet names; 0 without a header."""
    header = find_header(rows)
    return 0 if header is None else sum(field is not None for field in recognise(rows[header][1]))
