"""The record grammar: where a record ends, and what its cells are.

Records end at LF, CRLF or CR. A cell that begins with a quote runs to the closing quote and may hold delimiters, line
ends and doubled quotes; what stands between the closing quote and the next delimiter is appended as it is. A quote
anywhere else is text.

A quote that is never closed would take the lines behind it along. So a record is given up if it outgrows the bounds of
`_tables`, or if more than blanks stand behind the quote that closes a cell of several lines: that one opens another
cell. The first line of such a record is read again with quotes as text, and reported; the next line begins a new one.
"""

import re
import sys
from collections import Counter
from functools import cache
from typing import Final, NamedTuple

from evq_ext._tables import BOM, DELIMITERS, QUOTED_MAX_BYTES, RECORD_MAX_BYTES, RECORD_MAX_LINES

UNCLOSED_QUOTE: Final = "unclosed_quote"
ROW_TOO_LONG: Final = "row_too_long"

_QUOTED: Final = re.compile(rb'[^"]*+(?:""[^"]*+)*+')
_LINE_END: Final = re.compile(rb"\r\n|\r|\n")
_SEP_LINE: Final = re.compile(rb"(?:\xef\xbb\xbf)?sep=([,;\t|])[\r\n]", re.IGNORECASE)


class Record(NamedTuple):
    """Hold one record: the line it starts on, its cells without quotes, and UNCLOSED_QUOTE, ROW_TOO_LONG or nothing."""

    line: int
    cells: list[bytes]
    fault: str


class _Extent(NamedTuple):
    cells: list[bytes]
    end: int  # in the buffer; the line end is not part of it
    lines: int  # line ends inside quotes
    fault: str


class _IncompleteError(Exception):
    """The record at hand ends beyond the buffer."""


class _UnreadableError(Exception):
    """The record at hand outgrows a bound, or makes no sense, if its quotes are quotes."""


class RecordReader:
    """Cut a stream of bytes, fed in chunks of any size, into records."""

    def __init__(self, delimiter: bytes) -> None:
        self.consumed = 0  # bytes
        self._delimiter = delimiter
        self._line = 1
        self._rest = b""  # fed, but not read yet
        self._at_start = True
        self._in_tail = False  # a record has been returned, but its line end not been passed

    def feed(self, data: bytes, *, last: bool, limit: int = sys.maxsize) -> list[Record]:
        """Return the records that are complete now, `limit` at most; with `last`, all there are."""
        buffer = self._rest + data
        at = 0
        if self._at_start and (last or not BOM.startswith(buffer) or buffer == BOM):
            self._at_start = False
            at = len(BOM) if buffer.startswith(BOM) else 0
        records: list[Record] = []
        while at < len(buffer) and not self._at_start and len(records) < limit:
            if self._in_tail:
                at = self._pass_line_end(buffer, at, last=last)
                if self._in_tail:
                    break
            elif extent := _read_record(buffer, at, self._delimiter, last=last):
                records.append(Record(self._line, extent.cells, extent.fault))
                self._line += extent.lines
                self._in_tail = True
                at = extent.end
            else:
                break
        self.consumed += at
        self._rest = buffer[at:]
        return records

    def _pass_line_end(self, buffer: bytes, at: int, *, last: bool) -> int:
        """Pass what is left of the line (nothing, but after ROW_TOO_LONG) and its end."""
        found = _LINE_END.search(buffer, at)
        if found is None:
            return len(buffer)
        if found.group() == b"\r" and found.end() == len(buffer) and not last:
            return found.start()  # an LF may follow
        self._in_tail = False
        self._line += 1
        return found.end()


def split_record(content: bytes, delimiter: bytes, fault: str) -> list[bytes]:
    """Return the cells of one record, given its bytes without the line end and the fault it was read with."""
    return content.split(delimiter) if fault else _read_quoted(content, 0, delimiter, last=True).cells


def read_records(data: bytes, *, delimiter: bytes = b",", limit: int = 1000) -> list[tuple[int, tuple[str, ...]]]:
    """Return (line, raw cells) of the first `limit` records of a file's head, blank ones included.

    Bytes that are not UTF-8 are replaced. The last record is cut short where the head is.
    """
    records = RecordReader(delimiter).feed(data, last=True, limit=limit)
    return [(record.line, tuple(cell.decode(errors="replace") for cell in record.cells)) for record in records]


def sniff_delimiter(data: bytes) -> bytes:
    """Return the delimiter that cuts a file's head into the most regular records; the comma if none cuts any.

    The line `sep=;` that Excel writes and obeys is obeyed.
    """
    named = _SEP_LINE.match(data)
    if named:
        return named[1]
    return max(DELIMITERS, key=lambda delimiter: _regularity(data, delimiter))


def _regularity(data: bytes, delimiter: bytes) -> int:
    """Return how many cells the records of one width have, among the first 50 records; 0 if nothing is cut."""
    widths = Counter(len(cells) for _, cells in read_records(data, delimiter=delimiter, limit=50))
    return max((width * count for width, count in widths.items() if width > 1), default=0)


def _read_record(buffer: bytes, start: int, delimiter: bytes, *, last: bool) -> _Extent | None:
    """Read the record at `start`, or return None if it is not complete yet.

    Each bound is checked such that more bytes can never change the answer: chunks may be cut anywhere.
    """
    try:
        return _read_quoted(buffer, start, delimiter, last=last)
    except _IncompleteError:
        return None
    except _UnreadableError:
        return _read_line(buffer, start, delimiter, last=last)


def _read_quoted(buffer: bytes, start: int, delimiter: bytes, *, last: bool) -> _Extent:
    plain = _plain(delimiter)
    cells: list[bytes] = []
    at, lines = start, 0
    while True:
        quoted, within = b"", 0
        if buffer.startswith(b'"', at):
            close = _find_close(buffer, at + 1, lines, last=last)
            quoted = buffer[at + 1 : close]
            within = _count_line_ends(quoted)
            lines += within
            at = close + 1
        end = _match_end(plain, buffer, at)
        if within and buffer[at:end].strip(b" \t"):
            raise _UnreadableError
        cells.append(quoted.replace(b'""', b'"') + buffer[at:end])
        if end - start > RECORD_MAX_BYTES:
            raise _UnreadableError
        if end == len(buffer) and not last:
            raise _IncompleteError
        if not buffer.startswith(delimiter, end):
            return _Extent(cells, end, lines, "")
        at = end + 1


def _find_close(buffer: bytes, at: int, lines: int, *, last: bool) -> int:
    """Return where the quoted text that begins at `at` is closed; `lines` are those of the record so far."""
    close = _match_end(_QUOTED, buffer, at, at + QUOTED_MAX_BYTES + 2)
    if close - at > QUOTED_MAX_BYTES or lines + _count_line_ends(buffer[at:close]) >= RECORD_MAX_LINES:
        raise _UnreadableError
    if close == len(buffer):
        raise _UnreadableError if last else _IncompleteError
    return close  # if it is the last byte it may be doubled yet; so may the cell go on, and the record is incomplete


def _read_line(buffer: bytes, start: int, delimiter: bytes, *, last: bool) -> _Extent | None:
    """Read the line at `start` with quotes as text."""
    found = _LINE_END.search(buffer, start)
    end = found.start() if found else len(buffer)
    if end - start > RECORD_MAX_BYTES:
        end = start + RECORD_MAX_BYTES
        return _Extent(buffer[start:end].split(delimiter), end, 0, ROW_TOO_LONG)
    if not found and not last:
        return None
    return _Extent(buffer[start:end].split(delimiter), end, 0, UNCLOSED_QUOTE)


@cache
def _plain(delimiter: bytes) -> re.Pattern[bytes]:
    return re.compile(rb"[^%s\r\n]*+" % re.escape(delimiter))


def _match_end(pattern: re.Pattern[bytes], buffer: bytes, start: int, stop: int = sys.maxsize) -> int:
    """Return where the match of a pattern that matches the empty string ends."""
    found = pattern.match(buffer, start, stop)
    return found.end() if found else start


def _count_line_ends(text: bytes) -> int:
    return text.count(b"\n") + text.count(b"\r") - text.count(b"\r\n")
