"""What a cell of a sheet says, as a cell of CSV: the rules, and the words of those cells that no kernel takes.

Numbers are those of Python's `repr`, whole ones without a point; dates and times are ISO 8601; line ends are spaces.
"""

import math
import re
from datetime import date, timedelta
from fractions import Fraction
from typing import Final

from evq_ext._tables import CELL_MAX_CHARS, DAY_MILLISECONDS, DAYS_1904, LAST_DAY
from evq_ext.sheet.formats import DURATION, NUMBER, TIME

BLANKS: Final = b" \t\r\n"  # XML 1.0, S

IN_USE: Final = "A sheet is read with these texts already; feed all of them before that."
_EXACT: Final = 2**53  # below it every integral float is the integer that was meant
_BOOLEANS: Final = {b"0": b"FALSE", b"1": b"TRUE", b"false": b"FALSE", b"true": b"TRUE"}  # XML Schema 2, 3.2.2
_REFERENCE_CHARS: Final = 20  # of a reference that an error shows
_NUMBER: Final = re.compile(rb"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_NUMBER_MAX_BYTES: Final = 400
_SERIAL: Final = re.compile(rb"([0-9]{1,7})(?:\.([0-9]{1,18}))?")
_ENTITY: Final = re.compile(rb"&(#?[0-9A-Za-z]{1,10});")
_ENTITIES: Final = {b"amp": b"&", b"lt": b"<", b"gt": b">", b"quot": b'"', b"apos": b"'"}
_ESCAPE: Final = re.compile(rb"_x([0-9A-Fa-f]{4})_")
_LINE_END: Final = re.compile(rb"\r\n|\r|\n")
_KEPT: Final = re.compile(
    rb"[\x80-\xbf]*+(?:[^\x80-\xbf][\x80-\xbf]*+){0,%d}+" % (CELL_MAX_CHARS + 1)
)  # characters of UTF-8, by their first bytes
_LEAP_1900: Final = 60  # 1900-02-29, a day that only spreadsheets know


def resolve(text: bytes) -> bytes:
    """Replace the entities and character references of XML 1.0 4.1 and 4.6; leave what is none as it is."""
    return _ENTITY.sub(lambda found: _resolved(found[1]) or found[0], text)


def _resolved(name: bytes) -> bytes | None:
    if not name.startswith(b"#"):
        return _ENTITIES.get(name)
    digits, base = (name[2:], 16) if name.startswith(b"#x") else (name[1:], 10)
    try:
        return _character(int(digits, base))
    except ValueError:
        return None


def _character(code: int) -> bytes | None:
    return None if code == 0 or 0xD800 <= code < 0xE000 or code > 0x10FFFF else chr(code).encode()


def text_cell(text: bytes) -> bytes:
    """Return a text as a cell of CSV: its escapes read (ECMA-376 part 1, 22.4.2.4), no line ends, quoted if needed.

    A text that is too long for a cell keeps one character too many, so that its row is refused.
    """
    return quoted(_ESCAPE.sub(lambda found: _character(int(found[1], 16)) or found[0], text))


def quoted(text: bytes) -> bytes:
    """Return a text without escapes as a cell of CSV."""
    text = _LINE_END.sub(b" ", text)
    if len(text) > CELL_MAX_CHARS:
        kept = _KEPT.match(text)
        text = text[: kept.end() if kept else 0]
    return b'"%s"' % text.replace(b'"', b'""') if b'"' in text or b"," in text else text


def boolean_cell(text: bytes) -> bytes:
    return _BOOLEANS.get(text) or quoted(text)


def number_cell(text: bytes, kind: int, *, epoch_1904: bool) -> bytes:
    """Return the text of a number, whose format is of this kind, as a cell of CSV."""
    if kind != NUMBER and (moment := _moment(text, kind, epoch_1904=epoch_1904)):
        return moment
    if len(text) > _NUMBER_MAX_BYTES or not _NUMBER.fullmatch(text) or not math.isfinite(value := float(text)):
        return quoted(text)
    return (str(int(value)) if value.is_integer() and abs(value) < _EXACT else repr(value)).encode()


def _moment(text: bytes, kind: int, *, epoch_1904: bool) -> bytes | None:
    """Return the date, the time of day or both that a serial number means; None if it is beyond the calendar.

    A day without a time of day is a date, unless the format shows the time: then it is midnight.
    """
    since = _milliseconds(text)
    if since is None:
        return None
    days, rest = divmod(since, DAY_MILLISECONDS)
    if days > LAST_DAY:
        return None
    if kind == DURATION:
        return _clock(since, hour_digits=1)
    if days == 0:
        return _clock(rest)
    days += DAYS_1904 if epoch_1904 else 0
    if days > LAST_DAY:
        return None
    day = _day(days)
    return day + b"T" + _clock(rest) if rest or kind == TIME else day


def _milliseconds(text: bytes) -> int | None:
    """Return a serial number of days in milliseconds, the half rounded up; None for what is no such number."""
    if serial := _SERIAL.fullmatch(text):
        digits = serial[2] or b"0"
        unit: int = 10 ** len(digits)
        return int(serial[1]) * DAY_MILLISECONDS + (2 * int(digits) * DAY_MILLISECONDS + unit) // (2 * unit)
    if len(text) > _NUMBER_MAX_BYTES or not _NUMBER.fullmatch(text) or not 0 <= (days := float(text)) <= LAST_DAY + 1:
        return None
    return math.floor(Fraction(days) * DAY_MILLISECONDS + Fraction(1, 2))


def _day(days: int) -> bytes:
    if days == _LEAP_1900:
        return b"1900-02-29"
    return (date(1899, 12, 31 if days < _LEAP_1900 else 30) + timedelta(days)).isoformat().encode()


def _clock(milliseconds: int, hour_digits: int = 2) -> bytes:
    seconds, fraction = divmod(milliseconds, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    point = b".%03d" % fraction if fraction else b""
    return b"%0*d:%02d:%02d%s" % (hour_digits, hours, minutes, seconds, point)


def cell_name(row: int, column: int) -> str:
    """Return the name of a cell, such as D14; rows and columns count from 1."""
    letters = ""
    while column:
        column, rest = divmod(column - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return f"{letters}{row}"


def shown(reference: bytes) -> str:
    """Return a reference that names no cell, as an error shows it."""
    return reference[:_REFERENCE_CHARS].decode("ascii", "replace")
