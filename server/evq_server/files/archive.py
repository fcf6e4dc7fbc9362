"""The zip archive around a workbook, judged before any spreadsheet parser sees it.

A workbook of 2 kB can ask a parser for a grid of 17 thousand million cells, or inflate to a gigabyte. So nothing that
the archive declares is believed: every entry is inflated once through a counter, and a sheet's farthest cell is looked
for in its own text.
"""

import posixpath
import re
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from xml.etree import ElementTree as ET
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from evq.errors import ValidationError

MAX_ENTRIES = 2_000
MAX_INFLATED = 1 << 30  # bytes, of all entries together
MAX_RATIO = 200  # honest sheets stay below 20, bombs begin at 300
RATIO_FROM = 10 << 20  # bytes; below it any ratio is harmless
MAX_ROWS = 1_048_576  # what a sheet can have in Excel
LAST_COLUMN = "IV"  # the 256th

_CHUNK = 1 << 18  # bytes
_OTHER_KINDS = {
    "xl/workbook.bin": "a binary Excel workbook (.xlsb)",
    "word/document.xml": "a Word document",
    "ppt/presentation.xml": "a PowerPoint presentation",
    "content.xml": "an OpenDocument file",
}
_DOCTYPE = re.compile(rb"<\0?!\0?D\0?O\0?C\0?T\0?Y\0?P\0?E")  # in UTF-8 and in UTF-16
# A cell or row whose reference has a column beyond IV (group 1) or a row number of seven digits or more (group 2).
_SUSPECT = re.compile(
    rb"""<(?:\w+:)?(?:c|row)\s[^<>]*?\br\s*=\s*["'](?:([A-Z]{3,}|[J-Z][A-Z]|I[W-Z])\d|[A-Z]*0*([1-9]\d{6,}))""",
    re.IGNORECASE,
)


class Sheet(NamedTuple):
    """One sheet of a workbook; *part* is the archive's entry that holds its cells."""

    name: str
    visible: bool
    part: str


def check_archive(path: Path, on_progress: Callable[[float], None]) -> None:
    """Refuse an archive that is not a workbook, is damaged, or inflates beyond the limits.

    *on_progress* gets the fraction that is checked, 0 to 1. Raises ValidationError.
    """
    with _opened(path) as archive:
        entries = archive.infolist()
        if len(entries) > MAX_ENTRIES:
            raise ValidationError(f"The workbook has {len(entries):,} parts; at most {MAX_ENTRIES:,} are accepted.")
        _check_kind(archive.namelist())
        packed = max(1, sum(entry.compress_size for entry in entries))
        done = inflated = 0
        for entry in entries:
            _check_entry(entry)
            inflated += _inflate(archive, entry, MAX_INFLATED - inflated)
            done += entry.compress_size
            on_progress(done / packed)


def sheets_of(path: Path) -> list[Sheet]:
    """List the sheets in the workbook's order; the archive must have been checked."""
    with _opened(path) as archive:
        (workbook,) = (part for kind, part in _relations(archive, "").values() if kind.endswith("/officeDocument"))
        relations = _relations(archive, workbook)
        sheets = []
        for element in _xml(archive, workbook).iter():
            if element.tag.endswith("}sheet"):
                kind, part = relations[next(value for key, value in element.items() if key.endswith("}id"))]
                if kind.endswith("/worksheet"):  # and not a chart on a sheet of its own
                    visible = element.get("state", "visible") == "visible"
                    sheets.append(Sheet(element.get("name", ""), visible, part))
        return sheets


def check_extent(path: Path, sheet: Sheet) -> None:
    """Refuse a sheet with something beyond row 1,048,576 or column IV; the archive must have been checked.

    Parsers size their grid by the farthest cell, so that one stray cell can end the process. Raises ValidationError.
    """
    tail = b""
    with _opened(path) as archive, archive.open(sheet.part) as cells:
        while chunk := cells.read(_CHUNK):
            window = tail + chunk
            for suspect in _SUSPECT.finditer(window):
                if suspect[1] or int(suspect[2][:8]) > MAX_ROWS:
                    raise ValidationError(
                        f'The sheet "{sheet.name}" reaches beyond row {MAX_ROWS:,} or column {LAST_COLUMN}. Delete '
                        "what lies outside the list, or choose another sheet with the option `sheet`."
                    )
            tail = window[max(window.rfind(b"<"), len(window) - _CHUNK) :]  # a tag may be cut by the chunk's end


@contextmanager
def _opened(path: Path) -> Iterator[ZipFile]:
    try:
        with ZipFile(path) as archive:
            yield archive
    except (BadZipFile, zlib.error, EOFError, LookupError, ValueError, NotImplementedError, ET.ParseError) as error:
        raise ValidationError(
            "The workbook is damaged or was cut off in transfer. Open it in your spreadsheet program, save it again "
            "and upload the new file."
        ) from error


def _check_kind(names: list[str]) -> None:
    kind = next((kind for name, kind in _OTHER_KINDS.items() if name in names), None)
    if kind is None and "[Content_Types].xml" not in names:
        kind = "a ZIP archive"
    if kind is not None:
        raise ValidationError(f"This is {kind}, not an Excel workbook. Save the list as XLSX or CSV and upload that.")


def _check_entry(entry: ZipInfo) -> None:
    if entry.flag_bits & 1:
        raise ValidationError("The workbook is encrypted. Remove its password and upload it again.")
    name = PurePosixPath(entry.filename)
    if name.is_absolute() or ".." in name.parts or entry.compress_type not in {ZIP_STORED, ZIP_DEFLATED}:
        raise ValidationError(
            "The workbook has parts that no spreadsheet program writes. Save it again and upload that."
        )


def _inflate(archive: ZipFile, entry: ZipInfo, limit: int) -> int:
    """Read an entry to its true end and return its size in bytes; raises ValidationError beyond the limits."""
    entry.file_size = limit + _CHUNK  # zipfile stops at the declared size, which may lie; this one is never reached
    size, tail = 0, b""
    has_markup = entry.filename.endswith((".xml", ".rels"))
    with archive.open(entry) as content:
        while chunk := content.read(_CHUNK):
            size += len(chunk)
            if size > limit or (size > RATIO_FROM and size > MAX_RATIO * entry.compress_size):
                raise ValidationError(
                    f"The workbook unpacks to far more than it should (at most {MAX_INFLATED >> 30} GiB, and "
                    f"{MAX_RATIO} times its own size). Save only the participants' sheet as CSV and upload that."
                )
            if has_markup and _DOCTYPE.search(tail + chunk):
                raise ValidationError("The workbook declares a DOCTYPE, which no spreadsheet program writes.")
            tail = chunk[-20:]
    return size


def _xml(archive: ZipFile, name: str) -> ET.Element:
    return ET.fromstring(archive.read(name))  # noqa: S314 - without a DOCTYPE there is nothing to expand or fetch


def _relations(archive: ZipFile, source: str) -> dict[str, tuple[str, str]]:
    """Return the type and the part of each relation of a part, or of the whole archive, by its id (ECMA-376 part 2)."""
    folder, _, name = source.rpartition("/")
    relations = _xml(archive, posixpath.join(folder, "_rels", f"{name}.rels"))
    return {
        relation.get("Id", ""): (
            relation.get("Type", ""),
            posixpath.normpath(posixpath.join("/", folder, relation.get("Target", ""))).lstrip("/"),
        )
        for relation in relations
    }
