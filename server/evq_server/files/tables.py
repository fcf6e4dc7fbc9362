"""The tables of a marked-up file: the one that is the list becomes canonical CSV, while all of them go by."""

import csv
from collections.abc import Sequence
from io import TextIOWrapper
from typing import BinaryIO, Final

from evq_server.files.choosing import CELL_LIMIT, HEAD_ROWS, fields_named
from evq_server.files.columns import MAX_COLUMNS

_ROOM: Final = 4 * CELL_LIMIT  # characters that are kept of a cell, as many may be blanks


class Cell:
    """The text of one cell, in the making."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._room = _ROOM

    def add(self, text: str) -> None:
        self._parts.append(text[: self._room])
        self._room -= len(self._parts[-1])

    def text(self) -> str:
        """Return the text, with one space for each run of blanks and line ends.

        If it is too long it keeps one character too many, so that its row is refused for it.
        """
        return " ".join("".join(self._parts).split())[: CELL_LIMIT + 1]


class Table:
    """One table that goes by, and its first rows until they have told what its header names."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.head: list[list[str]] | None = []


class TableWriter:
    """Write the table whose header names the most fields, of equals the first; its record n is the table's row n."""

    def __init__(self, out: BinaryIO) -> None:
        self.chosen: Table | None = None
        self._most = -1
        self._text = TextIOWrapper(out, "utf-8", "surrogateescape", newline="", write_through=True)
        self._csv = csv.writer(self._text, lineterminator="\n")

    def row(self, table: Table, cells: Sequence[Cell | None]) -> None:
        """Take a row; None is an empty cell, and of more than the possible columns one too many is kept."""
        if not self.wants(table):
            return
        texts = [cell.text() if cell else "" for cell in cells[: MAX_COLUMNS + 1]]
        if table.head is None:
            self._csv.writerow(texts)
            return
        table.head.append(texts)
        if len(table.head) == HEAD_ROWS:
            self.judge(table)

    def wants(self, table: Table) -> bool:
        """Tell whether the rows of the table may still be those of the list."""
        return table.head is not None or table is self.chosen

    def judge(self, table: Table) -> None:
        """Choose the table, or not, by its first rows; more may follow."""
        head, table.head = table.head, None
        if not head:
            return
        named = fields_named([(number, tuple(cells)) for number, cells in enumerate(head, start=1)])
        if named <= self._most:
            return
        self._most, self.chosen = named, table
        self._text.seek(0)
        self._text.truncate()
        self._csv.writerows(head)

    def finish(self) -> Table | None:
        """Leave the file to its owner; return the table that is in it, None if there was none."""
        self._text.detach()
        return self.chosen
