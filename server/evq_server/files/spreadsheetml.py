"""XML Spreadsheet 2003 (namespace `urn:schemas-microsoft-com:office:spreadsheet`), which is mostly called .xls."""

from typing import Final
from xml.parsers import expat

from evq_server.files.columns import MAX_COLUMNS
from evq_server.files.refusals import FileError
from evq_server.files.tables import Cell, Table, TableWriter

NAMESPACE: Final = "urn:schemas-microsoft-com:office:spreadsheet"
MAX_ROWS: Final = 1_048_576  # what a sheet can have in Excel
MAX_DEPTH: Final = 100  # of elements, each of which the parser remembers
MAX_UNREAD: Final = 1 << 20  # bytes of one tag

_SHEET, _ROW, _CELL, _DATA, _COMMENT = (
    f"{NAMESPACE} {name}" for name in ("Worksheet", "Row", "Cell", "Data", "Comment")
)
_BOOLEANS: Final = {"0": "FALSE", "1": "TRUE"}
_EXACT: Final = 2**53  # below it every integral float is the integer that was meant
_NAME, _INDEX, _TYPE, _ACROSS = (f"{NAMESPACE} {name}" for name in ("Name", "Index", "Type", "MergeAcross"))


class SpreadsheetMlReader:
    """Read the sheets of a workbook, given as UTF-8 in pieces of any size, into a TableWriter.

    With *sheet* only the one that is called so is read. Raises FileError.
    """

    def __init__(self, writer: TableWriter, sheet: str | None) -> None:
        self._writer = writer
        self._sheet = sheet
        self._names: list[str] = []
        self._table: Table | None = None
        self._rows = 0  # of the table so far
        self._row: list[Cell | None] | None = None
        self._cell: Cell | None = None
        self._data: Cell | None = None  # the value of the cell, and
        self._type = ""  # of which type it is
        self._fed = 0
        self._depth = 0
        self._parser = expat.ParserCreate("utf-8", " ")
        self._parser.StartDoctypeDeclHandler = self._refuse
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._text

    def read(self, data: bytes) -> None:
        self._parse(data, last=False)
        self._fed += len(data)
        if self._fed - self._parser.CurrentByteIndex > MAX_UNREAD:
            raise FileError("markup_damaged")

    def finish(self) -> None:
        self._parse(b"", last=True)
        if self._sheet is not None and self._sheet not in self._names:
            raise FileError("sheet_unknown", sheet=self._sheet, sheets=self._names)

    def _parse(self, data: bytes, *, last: bool) -> None:
        try:
            self._parser.Parse(data, last)
        except expat.ExpatError as error:
            raise FileError("markup_damaged") from error

    def _refuse(self, *_: object) -> None:
        raise FileError("markup_damaged")

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise FileError("markup_damaged")
        if tag == _SHEET:
            name = attributes.get(_NAME, "")
            self._names.append(name)
            if self._sheet in {None, name}:
                self._table, self._rows = Table(name), 0
        elif self._table is None:
            return
        elif tag == _ROW:
            self._pass_rows(self._table, _number(attributes.get(_INDEX), self._rows + 1))
            self._row = []
        elif tag == _CELL and self._row is not None:
            self._begin_cell(self._row, attributes)
        elif tag == _COMMENT:  # which has Data of its own
            self._cell = None
        elif tag == _DATA:
            self._data, self._type = Cell(), attributes.get(_TYPE, "String")

    def _end(self, tag: str) -> None:
        self._depth -= 1
        if self._table is None:
            return
        if tag == _SHEET:
            self._writer.judge(self._table)
            self._table = None
        elif tag == _ROW and self._row is not None:
            self._writer.row(self._table, self._row)
            self._row = None
        elif tag == _CELL:
            self._cell = None
        elif tag == _DATA and self._data:
            if self._cell:
                self._cell.add(_shown(self._data.text(), self._type))
            self._data = None

    def _text(self, text: str) -> None:
        if self._data:
            self._data.add(text)

    def _pass_rows(self, table: Table, number: int) -> None:
        """Leave out the rows before row *number*, which have no cells."""
        if not self._rows < number <= MAX_ROWS:
            raise FileError("markup_damaged")
        if self._writer.wants(table):
            for _ in range(self._rows + 1, number):
                self._writer.row(table, [])
        self._rows = number

    def _begin_cell(self, row: list[Cell | None], attributes: dict[str, str]) -> None:
        column = _number(attributes.get(_INDEX), len(row) + 1)
        row += [None] * (min(column, MAX_COLUMNS + 1) - 1 - len(row))
        self._cell = Cell()
        if len(row) <= MAX_COLUMNS:  # else one too many is there already
            across = min(_number(attributes.get(_ACROSS), 0), MAX_COLUMNS)
            row += [self._cell, *[None] * across]


def _shown(text: str, kind: str) -> str:
    """Return a value as the cell of any other workbook has it."""
    match kind:
        case "DateTime":
            return text.removesuffix(".000")
        case "Number" if (whole := _whole(text)) is not None:
            return str(whole)
        case "Boolean":
            return _BOOLEANS.get(text, text)
        case _:
            return text


def _whole(text: str) -> int | None:
    """Return the whole number that the text means, however it is written; None if it means none."""
    try:
        value = float(text)
    except ValueError:
        return None
    return int(value) if value.is_integer() and abs(value) < _EXACT else None


def _number(text: str | None, default: int) -> int:
    if text is None:
        return default
    if not text.isdecimal() or len(text) > 9:
        raise FileError("markup_damaged")
    return int(text)
