"""An Excel workbook (XLSX, XLSM) becomes canonical CSV, read by the core in this process.

Nothing is sized by what the workbook declares: memory is its shared texts, at most 255 MiB, and a chunk.
"""

import posixpath
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Final

from evq_ext import SharedStrings, SheetError, SheetReader, format_kind, read_records
from evq_server.files.archive import MAX_ENTRIES, Archive
from evq_server.files.choosing import HEAD_ROWS, Chosen, Sheet, choose, fields_named, hidden_from, wanted
from evq_server.files.refusals import FileError

MAX_OUTPUT: Final = 1 << 30
"""Bytes of canonical CSV."""

_HEAD: Final = 1 << 18  # bytes of CSV in which a sheet's header is looked for
_MAX_FORMATS: Final = 1 << 16  # Excel's limit
_OF_SHEETS: Final = {
    "shared_missing": "sheet_cell_damaged",
    "beyond_sheet": "sheet_cell_beyond",
    "too_wide": "sheet_too_wide",
    "out_of_order": "sheet_unordered",
}
_OF_WORKBOOKS: Final = {
    "damaged": "workbook_damaged",
    "doctype": "workbook_doctype",
    "shared_too_long": "workbook_texts",
}


def convert(workbook: Path, out: Path, *, sheet: str | None, on_progress: Callable[[float], None]) -> Chosen:
    """Write one sheet of *workbook* to *out* as UTF-8 CSV whose record n is the sheet's row n.

    Without *sheet* it is the visible sheet whose header names the most fields. *on_progress* gets a fraction, 0 to 1,
    for each 256 KiB, and may raise to stop; nothing is left of *out* then. Raises FileError.
    """
    try:
        with Archive(workbook) as archive, out.open("wb") as file:
            return _write(Workbook(archive), file.write, sheet, on_progress)
    except BaseException:
        out.unlink(missing_ok=True)
        raise


def _write(
    workbook: "Workbook", write: Callable[[bytes], object], name: str | None, on_progress: Callable[[float], None]
) -> Chosen:
    candidates = wanted(workbook.sheets, name)
    shared = done = written = 0
    whole = max(1, workbook.shared_size() + min(map(workbook.size, candidates)))
    for size in workbook.read_shared():
        shared += size
        on_progress(min(1.0, shared / whole))

    def fields_named(sheet: Sheet) -> int:
        on_progress(min(1.0, shared / whole))  # which may raise: there may be hundreds of sheets
        return workbook.fields_named(sheet)

    sheet, others = choose(candidates, fields_named) if len(candidates) > 1 else (candidates[0], [])
    whole = max(1, shared + workbook.size(sheet))
    for done, records in workbook.read(sheet):
        written += len(records)
        if written > MAX_OUTPUT:
            raise FileError("sheet_too_long", sheet=sheet.name, gigabytes=MAX_OUTPUT >> 30)
        write(records)
        on_progress(min(1.0, (shared + done) / whole))
    return Chosen(sheet.name, hidden_from(workbook.sheets, name), others)


class Workbook:
    """Know a workbook, and read its sheets. Each method raises FileError."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._epoch_1904 = False
        self._shared = SharedStrings()
        relations = _relations(archive, "")
        book = next((part for kind, part in relations.values() if kind == "officeDocument"), "")
        relations = _relations(archive, book)
        parts = dict(relations.values())
        self._shared_part = parts.get("sharedStrings", "")
        self.sheets = self._read_book(book, relations)
        self._kinds = self._read_kinds(parts.get("styles", ""))

    def shared_size(self) -> int:
        """Return how many bytes the texts that cells share declare to have."""
        return self._archive.size(self._shared_part) if self._shared_part in self._archive else 0

    def read_shared(self) -> Iterator[int]:
        """Read the texts that cells share, before any sheet; yield how many bytes each piece had."""
        if self._shared_part in self._archive:
            with _worded(""):
                for piece in self._archive.read_xml(self._shared_part):
                    self._shared.feed(piece)
                    yield len(piece)
                self._shared.finish()

    def size(self, sheet: Sheet) -> int:
        """Return how many bytes a sheet declares to have."""
        return self._archive.size(sheet.part)

    def read(self, sheet: Sheet) -> Generator[tuple[int, bytes]]:
        """Read a sheet; yield how many of its bytes have been read, and CSV whose record n is the sheet's row n."""
        reader = SheetReader(self._shared, self._kinds, epoch_1904=self._epoch_1904)
        done = 0
        with _worded(sheet.name), closing(self._archive.read_xml(sheet.part)) as pieces:
            for piece in pieces:
                done += len(piece)
                rest = piece
                while records := reader.feed(rest):
                    yield done, records
                    rest = b""
                yield done, b""
            yield done, reader.finish()

    def fields_named(self, sheet: Sheet) -> int:
        """Count the fields that the sheet's header names; 0 without a header, or if it cannot be read."""
        head = b""
        with suppress(FileError), closing(self.read(sheet)) as reading:
            for _, records in reading:
                head += records
                if len(head) >= _HEAD or head.count(b"\n") >= HEAD_ROWS:
                    break
        return fields_named(read_records(head[:_HEAD], limit=HEAD_ROWS))

    def _read_book(self, book: str, relations: Mapping[str, tuple[str, str]]) -> list[Sheet]:
        """Read the list of sheets, in the workbook's order, and from when on days are counted."""
        sheets = []
        for name, attributes in self._archive.elements(book):
            if name == "workbookPr":  # there may be another one, an extension of Excel 2013, without the attribute
                self._epoch_1904 |= attributes.get("date1904", "0") in {"1", "true"}
            if name == "sheet":
                id_ = next((value for key, value in attributes.items() if key.endswith("}id")), "")
                kind, part = relations.get(id_, ("", ""))
                if kind == "worksheet":  # and not a chart on a sheet of its own
                    visible = attributes.get("state", "visible") == "visible"
                    sheets.append(Sheet(attributes.get("name", ""), visible, part))
            if len(sheets) > MAX_ENTRIES:
                raise FileError("workbook_parts", most=MAX_ENTRIES)
        if not sheets:
            raise FileError("workbook_damaged")
        return sheets

    def _read_kinds(self, styles: str) -> bytes:
        """Return what each cell format shows, one byte each (ECMA-376 part 1, 18.8)."""
        codes: dict[int, str] = {}
        kinds = bytearray()
        in_formats = False
        for name, attributes in self._archive.elements(styles) if styles in self._archive else ():
            if name == "numFmt":
                codes[_number(attributes.get("numFmtId"))] = attributes.get("formatCode", "")
            elif name in {"cellXfs", "cellStyleXfs", "cellStyles", "dxfs"}:
                in_formats = name == "cellXfs"
            elif name == "xf" and in_formats:
                kinds.append(format_kind(_number(attributes.get("numFmtId")), codes))
            if len(codes) > _MAX_FORMATS or len(kinds) > _MAX_FORMATS:
                raise FileError("workbook_damaged")
        return bytes(kinds)


def _relations(archive: Archive, source: str) -> dict[str, tuple[str, str]]:
    """Return the kind and the part of each relation of a part, or of the whole archive, by its id (ECMA-376 part 2).

    A kind is the last word of its type, which is the same in the transitional and in the strict workbook.
    """
    folder, _, file = source.rpartition("/")
    found = {}
    for name, attributes in archive.elements(posixpath.join(folder, "_rels", f"{file}.rels")):
        if name == "Relationship":
            kind = attributes.get("Type", "").rpartition("/")[2]
            part = posixpath.normpath(posixpath.join("/", folder, attributes.get("Target", "").replace("\\", "/")))
            found[attributes.get("Id", "")] = (kind, part)
        if len(found) > MAX_ENTRIES:
            raise FileError("workbook_parts", most=MAX_ENTRIES)
    return found


def _number(text: str | None) -> int:
    return int(text) if text and text.isdecimal() and len(text) < 10 else 0


@contextmanager
def _worded(sheet: str) -> Iterator[None]:
    """Say to the organiser why the core cannot read a sheet."""
    try:
        yield
    except SheetError as error:
        if error.code in _OF_WORKBOOKS:
            raise FileError(_OF_WORKBOOKS[error.code]) from error
        raise FileError(_OF_SHEETS[error.code], sheet=sheet, cell=error.cell) from error
