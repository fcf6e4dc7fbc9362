"""Tables in HTML or XML become canonical CSV, one piece of the text at a time."""

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal

from evq_server.files.decoding import read_text
from evq_server.files.html import HtmlReader
from evq_server.files.refusals import FileError
from evq_server.files.spreadsheetml import NAMESPACE, SpreadsheetMlReader
from evq_server.files.tables import TableWriter
from evq_server.files.whole import whole_file

Markup = Literal["html", "xml"]

TIME_LIMIT: Final = 120.0  # s
CHUNK: Final = 1 << 16  # bytes, so that a cancel is heard soon

_PAGE: Final = re.compile(r"<(?:!doctype html|html|head|table)[\s>]")
_CHARSET: Final = re.compile(
    rb"charset\s*=\s*+[\"']?\s*+([\w.:-]+)|<\?xml[^<>]*?\sencoding\s*=\s*[\"']([\w.:-]+)", re.IGNORECASE
)


def markup_kind(start: str) -> Markup | None:
    """Tell what tables a text that begins with a tag holds; None if there are none."""
    start = start.lower()
    if _PAGE.match(start):
        return "html"
    if NAMESPACE in start:
        return "xml"
    return "html" if _PAGE.search(start) else None


def declared_charset(head: bytes) -> str:
    """Return the name of the encoding that the text says it has; empty if it says nothing."""
    found = _CHARSET.search(head)
    return (found[1] or found[2]).decode() if found else ""


def convert_markup(
    upload: Path, out: Path, *, kind: Markup, codec: str, sheet: str | None, on_progress: Callable[[float], None]
) -> str | None:
    """Write the table that is the list to *out*, as UTF-8 CSV whose record n is its row n; return its sheet's name.

    *on_progress* gets the fraction that is done, 0 to 1, and may raise to stop. Raises FileError.
    """
    size, deadline = upload.stat().st_size, time.monotonic() + TIME_LIMIT
    with whole_file(out) as file:
        writer = TableWriter(file)
        try:
            reader = SpreadsheetMlReader(writer, sheet) if kind == "xml" else HtmlReader(writer)
            for text, done in read_text(upload, codec, CHUNK):
                reader.read(text)
                on_progress(done / size)
                if time.monotonic() > deadline:
                    raise FileError("too_slow", seconds=int(TIME_LIMIT))
            reader.finish()
        finally:
            table = writer.finish()
        if table is None:
            raise FileError("not_a_list", kind=kind) if kind == "html" else FileError("empty")
    return table.name if kind == "xml" else None
