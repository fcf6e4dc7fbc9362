"""Workbooks in the other formats, made by hand: XLS ([MS-XLS]), XLSB ([MS-XLSB]), ODS (OpenDocument 1.3)."""

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.sax.saxutils import escape
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile

from tests.server.workbooks import KIND, relations

Value = str | float
Rows = Sequence[Sequence[Value]]

# --- ODS --------------------------------------------------------------------------------------------------------------

_ODF = "urn:oasis:names:tc:opendocument:xmlns"
_MIMETYPE = "application/vnd.oasis.opendocument.spreadsheet"


def ods(path: Path, sheets: Mapping[str, Rows | str], *, hidden: Sequence[str] = (), manifest: str = "") -> Path:
    """Write an ODS; a sheet may be given as the XML of its rows."""
    tables = "".join(
        f'<table:table table:name="{name}" table:style-name="{"off" if name in hidden else "on"}">'
        f"{rows if isinstance(rows, str) else ''.join(map(_ods_row, rows))}</table:table>"
        for name, rows in sheets.items()
    )
    styles = "".join(
        f'<style:style style:name="{name}" style:family="table"><style:table-properties table:display="{display}"/>'
        "</style:style>"
        for name, display in {"on": "true", "off": "false"}.items()
    )
    spaces = " ".join(f'xmlns:{name}="{_ODF}:{name}:1.0"' for name in ("office", "table", "text", "style"))
    content = (
        f"<office:document-content {spaces}><office:automatic-styles>{styles}</office:automatic-styles><office:body>"
        f"<office:spreadsheet>{tables}</office:spreadsheet></office:body></office:document-content>"
    )
    with ZipFile(path, "w", ZIP_DEFLATED) as archive:
        archive.writestr("mimetype", _MIMETYPE, ZIP_STORED)
        archive.writestr("content.xml", content)
        archive.writestr(
            "META-INF/manifest.xml",
            f'<manifest:manifest xmlns:manifest="{_ODF}:manifest:1.0">'
            f'<manifest:file-entry manifest:full-path="/" manifest:media-type="{_MIMETYPE}"/>'
            f'<manifest:file-entry manifest:full-path="content.xml" manifest:media-type="text/xml">{manifest}'
            "</manifest:file-entry></manifest:manifest>",
        )
    return path


def _ods_row(row: Sequence[Value]) -> str:
    cells = (
        "<table:table-cell/>"
        if value == ""
        else f'<table:table-cell office:value-type="string"><text:p>{escape(value)}</text:p></table:table-cell>'
        if isinstance(value, str)
        else f'<table:table-cell office:value-type="float" office:value="{value}"/>'
        for value in row
    )
    return f"<table:table-row>{''.join(cells)}</table:table-row>"


# --- XLS --------------------------------------------------------------------------------------------------------------

_SECTOR = 512
_END, _FAT, _FREE = 0xFFFFFFFE, 0xFFFFFFFD, 0xFFFFFFFF


def xls(
    path: Path, sheets: Mapping[str, Rows], *, hidden: Sequence[str] = (), locked: bool = False, cells: bytes = b""
) -> Path:
    """Write a BIFF8 workbook; *cells* are further records of each sheet."""
    bodies = [
        _biff(0x809, struct.pack("<HHHHII", 0x600, 0x10, 0, 0, 0, 0))
        + b"".join(
            _xls_cell(row, col, value) for row, line in enumerate(rows) for col, value in enumerate(line) if value != ""
        )
        + cells
        + _biff(0x0A)
        for rows in sheets.values()
    ]
    start = _biff(0x809, struct.pack("<HHHHII", 0x600, 0x05, 0, 0, 0, 0))
    if locked:
        start += _biff(0x2F, struct.pack("<HHHH", 1, 1, 1, 0))  # FILEPASS, RC4
    start += _biff(0x42, struct.pack("<H", 1200))
    names = [_biff_name(name) for name in sheets]
    at = len(start) + sum(4 + 6 + len(name) for name in names) + 4
    for name, packed, body in zip(sheets, names, bodies, strict=True):
        start += _biff(0x85, struct.pack("<IBB", at, name in hidden, 0) + packed)
        at += len(body)
    path.write_bytes(_compound("Workbook", start + _biff(0x0A) + b"".join(bodies)))
    return path


def xls_number(row: int, column: int) -> bytes:
    """Return the record of a cell with a 1."""
    return _xls_cell(row, column, 1.0)


def _xls_cell(row: int, column: int, value: Value) -> bytes:
    if isinstance(value, str):
        text = value.encode("utf-16-le")
        return _biff(0x204, struct.pack("<HHHHB", row, column, 0, len(text) // 2, 1) + text)
    return _biff(0x203, struct.pack("<HHHd", row, column, 0, value))


def _biff(number: int, content: bytes = b"") -> bytes:
    return struct.pack("<HH", number, len(content)) + content


def _biff_name(name: str) -> bytes:
    text = name.encode("utf-16-le")
    return struct.pack("<BB", len(text) // 2, 1) + text


def _compound(name: str, stream: bytes) -> bytes:
    """Return a compound file ([MS-CFB]) with one stream, which is long enough not to be put among the small ones."""
    stream = stream.ljust(4096, b"\0")
    count = -(-len(stream) // _SECTOR)
    fat_count = 1
    while fat_count * (_SECTOR // 4) < count + 1 + fat_count:
        fat_count += 1
    table = [*range(1, count), _END, _END, *[_FAT] * fat_count]
    table += [_FREE] * (fat_count * (_SECTOR // 4) - len(table))
    head = struct.pack("<8s16xHHHHH6xIIIIIIIII", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", 0x3E, 3, 0xFFFE, 9, 6,
                       0, fat_count, count, 0, 4096, _END, 0, _END, 0)  # fmt: skip
    places = [count + 1 + number for number in range(fat_count)]
    head += struct.pack("<109I", *places, *[_FREE] * (109 - fat_count))
    directory = _entry("Root Entry", 5, _END, 0, child=1) + _entry(name, 2, 0, len(stream)) + bytes(256)
    body = stream.ljust(count * _SECTOR, b"\0") + directory + struct.pack(f"<{len(table)}I", *table)
    return head + body


def _entry(name: str, kind: int, start: int, size: int, child: int = _FREE) -> bytes:
    text = name.encode("utf-16-le")
    return struct.pack(
        "<64sHBBIII36xIQ", text, len(text) + 2, kind, 1, _FREE, _FREE, child, start if kind == 2 else _END, size
    )


# --- XLSB -------------------------------------------------------------------------------------------------------------


def xlsb(
    path: Path, sheets: Mapping[str, Rows], *, hidden: Sequence[str] = (), far: tuple[int, int] | None = None
) -> Path:
    """Write a binary workbook; *far* is the row and the column of one more cell, counted from 0."""
    listed = b"".join(
        _brt(156, struct.pack("<II", name in hidden, number) + _brt_text(f"rId{number}") + _brt_text(name))
        for number, name in enumerate(sheets, start=1)
    )
    with ZipFile(path, "w", ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("_rels/.rels", relations(officeDocument="xl/workbook.bin"))
        archive.writestr("xl/workbook.bin", _brt(131) + _brt(143) + listed + _brt(144) + _brt(132))
        targets = "".join(
            f'<Relationship Id="rId{number}" Type="{KIND}/worksheet" Target="worksheets/sheet{number}.bin"/>'
            for number, _ in enumerate(sheets, start=1)
        )
        archive.writestr("xl/_rels/workbook.bin.rels", f"<Relationships>{targets}</Relationships>")
        for number, rows in enumerate(sheets.values(), start=1):
            archive.writestr(f"xl/worksheets/sheet{number}.bin", _xlsb_sheet(rows, far))
    return path


def _xlsb_sheet(rows: Rows, far: tuple[int, int] | None) -> bytes:
    content = b""
    for row, line in enumerate(rows):
        content += _brt(0, struct.pack("<I", row) + bytes(21))
        for column, value in enumerate(line):
            place = struct.pack("<II", column, 0)
            if value == "":
                continue
            if isinstance(value, str):
                content += _brt(6, place + _brt_text(value))
            else:
                content += _brt(5, place + struct.pack("<d", value))
    if far:
        content += _brt(0, struct.pack("<I", far[0]) + bytes(21)) + _brt(5, struct.pack("<IId", far[1], 0, 1.0))
    size = struct.pack("<IIII", 0, max(0, len(rows) - 1), 0, max(map(len, rows), default=1) - 1)
    return _brt(129) + _brt(148, size) + _brt(145) + content + _brt(146) + _brt(130)


def _brt(number: int, content: bytes = b"") -> bytes:
    kind = struct.pack("<B", number) if number < 128 else struct.pack("<BB", number & 0x7F | 0x80, number >> 7)
    size, length = b"", len(content)
    while True:
        size += bytes([length & 0x7F | (0x80 if length > 0x7F else 0)])
        length >>= 7
        if not length:
            return kind + size + content


def _brt_text(text: str) -> bytes:
    packed = text.encode("utf-16-le")
    return struct.pack("<I", len(packed) // 2) + packed
