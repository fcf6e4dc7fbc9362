"""Web pages that are called workbooks, as the back offices of many sites export them."""

import codecs
from html.parser import HTMLParser
from typing import Final

from evq_server.files.columns import MAX_COLUMNS
from evq_server.files.refusals import FileError
from evq_server.files.tables import Cell, Table, TableWriter

MAX_DEPTH: Final = 50  # of tables within tables
MAX_UNREAD: Final = 1 << 18  # characters of one tag, comment, script or style sheet
MAX_SPAN: Final = 65_534  # rows (WHATWG HTML, 4.9.11)

_SPACED: Final = frozenset({"br", "p", "div", "li", "hr"})
_ROW_GROUPS: Final = frozenset({"thead", "tbody", "tfoot"})
_NO_TEXT: Final = frozenset({"script", "style"})


class _Open:
    """A table whose end has not come."""

    def __init__(self) -> None:
        self.table = Table("")
        self.row: list[Cell | None] | None = None
        self.cell: Cell | None = None
        self.reaching: dict[int, int] = {}  # for each column how many rows, from this one on, a cell takes there


class HtmlReader(HTMLParser):
    """Read the tables of a page, given as UTF-8 in pieces of any size, into a TableWriter (WHATWG HTML, 4.9).

    A cell over several columns or rows is where it begins, and empty in the others; a table within a cell is one of its
    own. Raises FileError for what no program writes.
    """

    def __init__(self, writer: TableWriter) -> None:
        super().__init__(convert_charrefs=True)
        self._writer = writer
        self._decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self._open: list[_Open] = []
        self._in_no_text = False

    def read(self, data: bytes) -> None:
        try:
            self.feed(self._decoder.decode(data))
        except AssertionError as error:  # of a `<![` that the parser does not know
            raise FileError("markup_damaged") from error
        if len(self.rawdata) > MAX_UNREAD:
            raise FileError("markup_damaged")

    def finish(self) -> None:
        """End the tables that the page has left open; what is not a whole tag is dropped."""
        while self._open:
            self._end_table()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._in_no_text = tag in _NO_TEXT
        if tag == "table":
            if len(self._open) == MAX_DEPTH:
                raise FileError("markup_damaged")
            self._open.append(_Open())
        elif not self._open:
            return
        elif tag == "tr":
            self._end_row()
            self._open[-1].row = []
        elif tag in _ROW_GROUPS:
            self._end_group()
        elif tag in {"td", "th"}:
            self._begin_cell(dict(attrs))
        elif tag in _SPACED:
            self.handle_data(" ")

    def handle_endtag(self, tag: str) -> None:
        self._in_no_text = False
        if not self._open:
            return
        if tag == "table":
            self._end_table()
        elif tag == "tr":
            self._end_row()
        elif tag in _ROW_GROUPS:
            self._end_group()
        elif tag in {"td", "th"}:
            self._open[-1].cell = None
        elif tag in _SPACED:
            self.handle_data(" ")

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1].cell and not self._in_no_text:
            self._open[-1].cell.add(data)

    def _begin_cell(self, attributes: dict[str, str | None]) -> None:
        opened = self._open[-1]
        row = opened.row = opened.row or []
        opened.cell = Cell()
        while len(row) in opened.reaching:
            row.append(None)
        columns = _span(attributes.get("colspan"), MAX_COLUMNS)
        rows = _span(attributes.get("rowspan"), MAX_SPAN)
        if len(row) > MAX_COLUMNS:
            return  # one too many is there already
        opened.reaching |= dict.fromkeys(range(len(row), len(row) + columns), rows)
        row += [opened.cell, *[None] * (columns - 1)]

    def _end_row(self) -> None:
        opened = self._open[-1]
        if opened.row is None:
            return
        self._writer.row(opened.table, opened.row)
        opened.row = opened.cell = None
        opened.reaching = {column: rows - 1 for column, rows in opened.reaching.items() if rows > 1}

    def _end_group(self) -> None:
        """End the rows of a group, and with them the cells that would reach beyond it."""
        self._end_row()
        self._open[-1].reaching.clear()

    def _end_table(self) -> None:
        self._end_row()
        self._writer.judge(self._open.pop().table)


def _span(text: str | None, most: int) -> int:
    """Read how many columns or rows a cell takes; nonsense is one, and 0 all that there are."""
    text = (text or "1").strip()
    if not text.isdecimal() or len(text) > 9:
        return 1
    return min(int(text), most) or most
