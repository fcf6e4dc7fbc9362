"""Whatever was uploaded becomes one canonical form: UTF-8, delimited, one record per source row.

What a file is, its content says; its name is never trusted.
"""

import codecs
import mmap
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from evq.errors import ValidationError
from evq_ext import Column, sniff_delimiter
from evq_server.files.columns import lay_out
from evq_server.files.decoding import as_utf8
from evq_server.files.refusals import FileError
from evq_server.files.sheets import convert

Kind = Literal["csv", "xlsx"]

_HEAD = 1 << 18  # bytes in which header and delimiter are looked for
_WORKBOOK = (b"PK\x03\x04", b"PK\x05\x06")
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"  # the container of .xls, and of workbooks with a password
_OTHER_KINDS = {
    b"%PDF": "pdf",
    b"\x89PNG": "png",
    b"\xff\xd8\xff": "jpeg",
    b"GIF8": "gif",
    b"\x1f\x8b": "gzip",
    b"7z\xbc\xaf": "7z",
    b"Rar!": "rar",
    b"{\\rtf": "rtf",
    b"SQLite format 3": "sqlite",
}
_MARKUP = {
    b"<!doctype html": "html",
    b"<html": "html",
    b"<head": "html",
    b"<table": "html",
    b"<?xml": "xml",
}


@dataclass(frozen=True, kw_only=True)
class Source:
    """An upload in canonical form.

    *path* is the upload itself where that is UTF-8 text already; *size* is in bytes; *encoding* is the upload's.
    *header* are the columns' names as the organiser sees them, *columns* what they become. *number_by* says what a row
    number means: the line of a text file, or the record, which is the sheet's own row.
    """

    kind: Kind
    path: Path
    size: int
    encoding: str
    sheet: str | None
    delimiter: bytes
    number_by: Literal["line", "record"]
    header: tuple[str, ...]
    columns: tuple[Column | None, ...]
    skip_records: int


def prepare(
    upload: Path,
    workdir: Path,
    *,
    encoding: str | None = None,
    sheet: str | None = None,
    mapping: Mapping[str, str] | None = None,
    on_progress: Callable[[float], None],
) -> Source:
    """Turn *upload* into its canonical form, in *workdir* if it must be rewritten.

    *on_progress* gets the fraction that is done, 0 to 1, and may raise to stop; nothing is left in *workdir* then.
    Raises FileError, which says what is wrong and what to do.
    """
    canonical = workdir / "canonical.csv"
    encoding = encoding.lower() if encoding else None
    kind = _kind_of(upload, encoding)
    if kind == "xlsx":
        if encoding is not None:
            raise FileError("encoding_of_workbook")
        sheet = convert(upload, canonical, sheet=sheet, on_progress=on_progress)
        path, encoding = canonical, "utf-8"
    else:
        if sheet is not None:
            raise FileError("sheet_of_text")
        path, encoding = as_utf8(upload, canonical, encoding=encoding, on_progress=on_progress)
    try:
        return _described(path, kind, encoding, sheet, mapping)
    except ValidationError:
        canonical.unlink(missing_ok=True)
        raise


def _described(path: Path, kind: Kind, encoding: str, sheet: str | None, mapping: Mapping[str, str] | None) -> Source:
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(_HEAD)
    delimiter = b"," if kind == "xlsx" else sniff_delimiter(head)
    layout = lay_out(head, delimiter=delimiter, mapping=mapping)
    return Source(
        kind=kind,
        path=path,
        size=size,
        encoding=encoding,
        sheet=sheet,
        delimiter=delimiter,
        number_by="record" if kind == "xlsx" else "line",
        header=layout.header,
        columns=layout.columns,
        skip_records=layout.skip_records,
    )


def _kind_of(upload: Path, encoding: str | None) -> Kind:
    """Say what the upload is by its first bytes; raises FileError for everything that is not a list."""
    with upload.open("rb") as file:
        head = file.read(_HEAD)
    if not head.removeprefix(codecs.BOM_UTF8).strip():
        raise FileError("empty")
    if head.startswith(_WORKBOOK):
        return "xlsx"
    if head.startswith(_OLE):
        raise FileError("workbook_locked" if _has_password(upload) else "old_workbook")
    start = head.removeprefix(codecs.BOM_UTF8).lstrip().lower()
    other = next((kind for magic, kind in _OTHER_KINDS.items() if head.startswith(magic)), None) or next(
        (kind for tag, kind in _MARKUP.items() if start.startswith(tag)), None
    )
    if other is not None:
        raise FileError("not_a_list", kind=other)
    if b"\0" in head and not head.startswith(_UTF16) and encoding != "utf-16":
        raise FileError("not_a_list", kind="binary")
    return "csv"


def _has_password(upload: Path) -> bool:
    """Tell a workbook with a password from an old one: its directory names the stream, in UTF-16."""
    with upload.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return content.find("EncryptedPackage".encode("utf-16-le")) >= 0
