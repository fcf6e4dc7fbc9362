"""Read the XML of a sheet in plain Python: the specification of `_sheet.pyx`, and its stand-in where no compiler is.

Names and attributes are those of ECMA-376 part 1: 18.3.1 (sheet), 18.4 (shared strings).
"""

import re
from typing import Final

from evq_ext._tables import (
    CELL_MAX_BYTES,
    OUTPUT_STEP_BYTES,
    SHARED_MAX_BYTES,
    SHEET_MAX_COLUMNS,
    SHEET_MAX_ROWS,
    SHEET_READ_COLUMNS,
)
from evq_ext.sheet._cells import BLANKS, IN_USE, boolean_cell, cell_name, number_cell, quoted, shown, text_cell
from evq_ext.sheet._markup import Kind, Scanner, Token, attributes_of
from evq_ext.sheet.formats import NUMBER
from evq_ext.types import SheetError

_ROW: Final = re.compile(rb"[0-9]{1,7}")
_CELL: Final = re.compile(rb"([A-Za-z]{1,3})([0-9]{1,7})")
_INDEX: Final = re.compile(rb"[0-9]{1,9}")
_WITH_TEXT: Final = frozenset({b"v", b"t"})
_TEXT_TYPES: Final = frozenset({b"str", b"inlineStr"})


class _Text:
    """Gather the text of a cell, of a shared one or of a sheet's: that of its elements, the phonetic one left out."""

    def __init__(self, scanner: Scanner) -> None:
        self._scanner = scanner
        self._in_phonetic = False
        self._pieces: list[bytes] = []
        self._size = 0

    def begin(self) -> None:
        self._pieces = []
        self._size = 0
        self._in_phonetic = False
        self._scanner.wants_text = False

    def take(self, token: Token) -> None:
        piece = token.content[: CELL_MAX_BYTES - self._size]
        self._pieces.append(piece)
        self._size += len(piece)

    def enter(self, name: bytes) -> None:
        """Pass the start of an element inside the cell."""
        if name == b"rPh":
            self._in_phonetic = True
        elif name in _WITH_TEXT and not self._in_phonetic:
            self._scanner.wants_text = True

    def leave(self, name: bytes) -> None:
        if name == b"rPh":
            self._in_phonetic = False
        elif name in _WITH_TEXT:
            self._scanner.wants_text = False

    def end(self) -> bytes:
        self._scanner.wants_text = False
        return b"".join(self._pieces)


class SharedStrings:
    """Hold the texts that the cells of a workbook share, as cells of CSV; without any input there are none."""

    def __init__(self) -> None:
        self._scanner = Scanner()
        self._text = _Text(self._scanner)
        self._in_item = False
        self._done = False
        self._size = 0  # bytes, with 4 for each text
        self._cells: list[bytes] = []
        self.in_use = False  # by a reader

    def __len__(self) -> int:
        return len(self._cells)

    def feed(self, data: bytes) -> None:
        """Read one chunk of the part. Raises SheetError; RuntimeError once a sheet is read with the texts."""
        if self._done:
            return
        if self.in_use:
            raise RuntimeError(IN_USE)
        self._scanner.feed(data)
        while not self._done and (token := self._scanner.next_token()):
            if token.kind is Kind.TEXT:
                self._text.take(token)
            if token.kind in {Kind.START, Kind.EMPTY}:
                self._start(token.name)
            if token.kind in {Kind.END, Kind.EMPTY}:
                self._end(token.name)

    def finish(self) -> None:
        """Make sure that the part has been read to its end; raises SheetError if it has not."""
        if not self._done:
            raise SheetError("damaged")

    def _start(self, name: bytes) -> None:
        if name == b"si":
            self._in_item = True
            self._text.begin()
        elif self._in_item:
            self._text.enter(name)

    def _end(self, name: bytes) -> None:
        if name == b"sst":
            self._done = True
        elif not self._in_item:
            pass
        elif name == b"si":
            self._in_item = False
            cell = text_cell(self._text.end())
            self._size += len(cell) + 4
            if self._size > SHARED_MAX_BYTES:
                raise SheetError("shared_too_long")
            self._cells.append(cell)
        else:
            self._text.leave(name)

    def _cell(self, index: int) -> bytes | None:
        return self._cells[index] if index < len(self._cells) else None


class SheetReader:
    """Turn the XML of a sheet, fed in chunks of any size, into CSV whose record n is the sheet's row n.

    `kinds` say what each cell format of the workbook shows, one byte each (see `formats`); `epoch_1904` that days are
    counted from 1904. Nothing is sized by a coordinate: behind the last value of a row, and of the sheet, is nothing.
    """

    def __init__(self, shared: SharedStrings, kinds: bytes = b"", *, epoch_1904: bool = False) -> None:
        shared.in_use = True
        self._shared = shared
        self._kinds = kinds
        self._epoch_1904 = epoch_1904
        self._scanner = Scanner()
        self._text = _Text(self._scanner)
        self._in_data = False
        self._done = False
        self._in_cell = False
        self._row = self._column = 0
        self._type = b""
        self._kind = NUMBER
        self._output = bytearray()
        self._last_row, self._last_column = 1, 0  # where the output ends

    def feed(self, data: bytes) -> bytes:
        """Read one chunk of the part, and return CSV.

        It may pause when it has written a MiB: call it with b"" until it returns b"". Raises SheetError.
        """
        if self._done:
            return b""
        self._scanner.feed(data)
        while not self._done and len(self._output) < OUTPUT_STEP_BYTES and (token := self._scanner.next_token()):
            if token.kind is Kind.TEXT:
                self._text.take(token)
            if token.kind in {Kind.START, Kind.EMPTY}:
                self._start(token)
            if token.kind in {Kind.END, Kind.EMPTY}:
                self._end(token.name)
        output = bytes(self._output)
        self._output.clear()
        return output

    def finish(self) -> bytes:
        """Return the end of the last record; raises SheetError if the part has not been read to its end."""
        if not self._done:
            raise SheetError("damaged")
        return b"\n" if (self._last_row, self._last_column) > (1, 0) else b""

    def _start(self, token: Token) -> None:
        name = token.name
        if not self._in_data:
            self._in_data = name == b"sheetData"
        elif name == b"row":
            self._begin_row(attributes_of(token.content))
        elif name == b"c":
            self._begin_cell(attributes_of(token.content))
        elif not self._in_cell:
            pass
        elif name == b"is":
            self._type = b"inlineStr"
        else:
            self._text.enter(name)

    def _end(self, name: bytes) -> None:
        if not self._in_data:
            pass
        elif name == b"sheetData":
            self._done = True
        elif not self._in_cell:
            pass
        elif name == b"c":
            self._in_cell = False
            self._put(self._cell(self._text.end()))
        else:
            self._text.leave(name)

    def _begin_row(self, attributes: dict[bytes, bytes]) -> None:
        self._in_cell = False
        self._scanner.wants_text = False
        self._column = 0
        reference = attributes.get(b"r")
        if reference is None:
            self._row += 1
        else:
            self._row = int(reference) if _ROW.fullmatch(reference) else 0
        if not 1 <= self._row <= SHEET_MAX_ROWS:
            raise self._beyond(reference)

    def _begin_cell(self, attributes: dict[bytes, bytes]) -> None:
        self._in_cell = True
        self._text.begin()
        self._type = attributes.get(b"t", b"n")
        style = attributes.get(b"s", b"0")
        index = int(style) if _INDEX.fullmatch(style) else 0
        self._kind = self._kinds[index] if index < len(self._kinds) else NUMBER
        reference = attributes.get(b"r")
        if reference is None:
            self._column += 1
        elif found := _CELL.fullmatch(reference):
            self._column, self._row = _column(found[1]), int(found[2])
        else:
            raise self._beyond(reference)
        if self._column > SHEET_MAX_COLUMNS or not 1 <= self._row <= SHEET_MAX_ROWS:
            raise self._beyond(reference)

    def _cell(self, text: bytes) -> bytes:
        if self._type in _TEXT_TYPES:
            return text_cell(text)
        text = text.strip(BLANKS)
        if not text:
            return b""
        if self._type == b"n":
            return number_cell(text, self._kind, epoch_1904=self._epoch_1904)
        if self._type == b"b":
            return boolean_cell(text)
        if self._type != b"s":
            return quoted(text)
        cell = self._shared._cell(int(text)) if _INDEX.fullmatch(text) else None  # noqa: SLF001  a friend
        if cell is None:
            raise SheetError("shared_missing", self._name())
        return cell

    def _put(self, cell: bytes) -> None:
        """Write a cell, behind as many empty ones and blank records as there are before it."""
        if not cell:
            return
        if self._column > SHEET_READ_COLUMNS:
            raise SheetError("too_wide", self._name())
        if (self._row, self._column) <= (self._last_row, self._last_column):
            raise SheetError("out_of_order", self._name())
        if self._row > self._last_row:
            self._output += b"\n" * (self._row - self._last_row)
            self._last_column = 0
        self._output += b"," * (self._column - max(self._last_column, 1))
        self._output += cell
        self._last_row, self._last_column = self._row, self._column

    def _name(self) -> str:
        return cell_name(self._row, self._column)

    def _beyond(self, reference: bytes | None) -> SheetError:
        return SheetError("beyond_sheet", self._name() if reference is None else shown(reference))


def _column(letters: bytes) -> int:
    number = 0
    for letter in letters.upper():
        number = 26 * number + letter - ord("A") + 1
    return number
