"""Whatever was uploaded becomes one canonical form: UTF-8, delimited, one record per source row.

What a file is, its content says; its name is never trusted.
"""

import codecs
import mmap
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from evq_ext import Column, sniff_delimiter
from evq_server.files import sheets, workbook
from evq_server.files.archive import Archive
from evq_server.files.columns import lay_out
from evq_server.files.decoding import ENCODINGS, encoding_called, read_text
from evq_server.files.detecting import detect, utf16_codec
from evq_server.files.markup import Markup, convert_markup, declared_charset, markup_kind
from evq_server.files.refusals import FileError

Kind = Literal["csv", "html", "xml", "xlsx", "xlsb", "xls", "ods"]

_HEAD = 1 << 18  # bytes in which header and delimiter are looked for
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"  # the container of .xls, and of workbooks with a password
_OTHER_KINDS = {
    b"%PDF": "pdf",
    b"\x89PNG": "png",
    b"\xff\xd8\xff": "jpeg",
    b"GIF8": "gif",
    b"{\\rtf": "rtf",
    b"SQLite format 3": "sqlite",
}
_PACKED_KINDS = {b"\x1f\x8b": "gzip", b"7z\xbc\xaf": "7z", b"Rar!": "rar"}
_TEXT_KINDS = {
    "json": re.compile(r'(?:\[\s*)?\{\s*"'),
    "vcard": re.compile(r"BEGIN:VCARD\s", re.IGNORECASE),
    "mhtml": re.compile(r"MIME-Version:", re.IGNORECASE),
    "sylk": re.compile(r"ID;P[A-Z0-9]*(?:;[NE])*[\r\n]+[A-Z]{1,2};"),  # with a record: ID;Phone may be headings
}
_CONTROLS = bytes({*range(0x20)} - {*b"\t\n\v\f\r\x1a\x1b"})
_CONTROL_SHARE = 0.05  # of the head; no text has as many


@dataclass(frozen=True, kw_only=True)
class Source:
    """An upload in canonical form.

    *path* is the upload itself where that is delimited text already; *size* is in bytes; *codec* reads it. *encoding*
    is the upload's. *header* are the columns' names as the organiser sees them, *columns* what they become, *scores*
    how surely. *hidden_sheets* were not looked at, as no sheet was asked for, and *other_sheets* not read, though they
    have a header. *number_by* says what a row number means: the line of a text file, or the record, which is the
    table's own row.
    """

    kind: Kind
    path: Path
    size: int
    codec: str
    encoding: str
    sheet: str | None
    hidden_sheets: tuple[str, ...] = ()
    other_sheets: tuple[str, ...] = ()
    delimiter: bytes
    number_by: Literal["line", "record"]
    header: tuple[str, ...]
    columns: tuple[Column | None, ...]
    scores: tuple[int, ...]
    skip_records: int

    def read(self, size: int) -> Iterator[tuple[bytes, float]]:
        """Yield the text in UTF-8, from *size* bytes at a time, with the fraction of it that has been read, 0 to 1."""
        for text, done in read_text(self.path, self.codec, size):
            yield text, done / self.size


def prepare(
    upload: Path,
    workdir: Path,
    *,
    encoding: str | None = None,
    sheet: str | None = None,
    mapping: Mapping[str, str] | None = None,
    on_progress: Callable[[float], None],
) -> Source:
    """Find out what *upload* is, and turn it into its canonical form, in *workdir* if it must be rewritten.

    *on_progress* gets the fraction that is done, 0 to 1, and may raise to stop; nothing is left in *workdir* then.
    Raises FileError, which says what is wrong and what to do.
    """
    canonical = workdir / "canonical.csv"
    with upload.open("rb") as file:
        head = file.read(_HEAD)
    kind = _kind_of(upload, head)
    hidden: list[str] = []
    others: list[str] = []
    if kind == "xlsx" or kind == "xlsb" or kind == "xls" or kind == "ods":  # noqa: PLR1714  mypy follows this
        if encoding is not None:
            raise FileError("encoding_of_workbook")
        if kind == "xlsx":
            sheet, hidden, others = workbook.convert(upload, canonical, sheet=sheet, on_progress=on_progress)
        else:
            sheet, hidden, others = sheets.convert(upload, canonical, kind=kind, sheet=sheet, on_progress=on_progress)
        path, codec, encoding = canonical, "utf-8", "utf-8"
    else:
        if sheet is not None and kind != "xml":
            raise FileError("sheet_of_text")
        encoding = _chosen(encoding) if encoding else _detected(upload, head, kind, on_progress)
        path, codec = upload, _codec_of(encoding, head)
        if kind != "csv":
            sheet = convert_markup(upload, canonical, kind=kind, codec=codec, sheet=sheet, on_progress=on_progress)
            path, codec = canonical, "utf-8"
    try:
        source = _described(path, kind, codec, encoding, sheet, mapping)
        return replace(source, hidden_sheets=tuple(hidden), other_sheets=tuple(others))
    except FileError:
        canonical.unlink(missing_ok=True)
        raise


def _described(
    path: Path, kind: Kind, codec: str, encoding: str, sheet: str | None, mapping: Mapping[str, str] | None
) -> Source:
    head, _ = next(read_text(path, codec, _HEAD), (b"", 0))
    delimiter = sniff_delimiter(head) if kind == "csv" else b","
    try:
        layout = lay_out(head, delimiter=delimiter, mapping=mapping)
    except FileError as error:
        if error.code in {"no_email", "no_email_column"} and kind == "csv" and _is_binary(head):
            raise FileError("not_a_list", kind="binary") from error
        raise
    return Source(
        kind=kind,
        path=path,
        size=path.stat().st_size,
        codec=codec,
        encoding=encoding,
        sheet=sheet,
        delimiter=delimiter,
        number_by="line" if kind == "csv" else "record",
        header=layout.header,
        columns=layout.columns,
        scores=layout.scores,
        skip_records=layout.skip_records,
    )


def _kind_of(upload: Path, head: bytes) -> Kind:
    """Say what the upload is by its first bytes; raises FileError for everything that is not a list."""
    if not head.removeprefix(codecs.BOM_UTF8).strip():
        raise FileError("empty")
    if head.startswith(_ZIP):
        with Archive(upload) as archive:
            return archive.kind()
    if head.startswith(_OLE):
        _check_ole(upload)
        return "xls"
    for code, kinds in (("not_a_list", _OTHER_KINDS), ("packed", _PACKED_KINDS)):
        if kind := next((kind for magic, kind in kinds.items() if head.startswith(magic)), None):
            raise FileError(code, kind=kind)
    start = head.decode(utf16_codec(head) or "utf-8", "replace").lstrip("\ufeff \t\r\n")
    if kind := next((kind for kind, begin in _TEXT_KINDS.items() if begin.match(start)), None):
        raise FileError("not_a_list", kind=kind)
    if not start.startswith("<"):
        return "csv"
    markup = markup_kind(start)
    if markup is None and start.startswith("<?xml"):
        raise FileError("not_a_list", kind="xml")
    return markup or "csv"


def _chosen(name: str) -> str:
    encoding = encoding_called(name)
    if encoding is None:
        raise FileError("encoding_unknown", encoding=name, encodings=tuple(ENCODINGS))
    return encoding


def _detected(upload: Path, head: bytes, kind: Literal["csv"] | Markup, on_progress: Callable[[float], None]) -> str:
    """Return the encoding of a text: what it says itself counts only where its bytes do not tell."""
    detected = detect(upload, on_progress)
    declared = encoding_called(declared_charset(head)) if kind != "csv" else None
    unicode = {"utf-8", "utf-16"}
    encoding = detected if declared is None or unicode & {detected, declared} else declared
    if encoding is None:
        raise FileError("not_a_list", kind="binary") if _is_binary(head) else FileError("encoding_unrecognised")
    return encoding


def _codec_of(encoding: str, head: bytes) -> str:
    """Return Python's name for the encoding; UTF-16 has two, and the text tells which."""
    return (utf16_codec(head) if encoding == "utf-16" else None) or ENCODINGS[encoding]


def _is_binary(head: bytes) -> bool:
    return len(head) - len(head.translate(None, _CONTROLS)) > _CONTROL_SHARE * len(head)


def _check_ole(upload: Path) -> None:
    """Refuse what is no old workbook: its directory names the streams, in UTF-16."""
    with upload.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        if content.find("EncryptedPackage".encode("utf-16-le")) >= 0:
            raise FileError("workbook_locked")
        if all(content.find(f"{name}\0".encode("utf-16-le")) < 0 for name in ("Workbook", "Book")):
            raise FileError("not_a_list", kind="office")
