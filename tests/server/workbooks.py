"""Workbooks of our own XML, as no spreadsheet program would write them."""

import io
from pathlib import Path
from string import ascii_uppercase
from zipfile import ZIP_DEFLATED, ZipFile

SHEET = "xl/worksheets/sheet1.xml"
MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
KIND = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"


def relations(**targets: str) -> str:
    """Write relations; the id of each one is the last word of its type."""
    each = "".join(f'<Relationship Id="{id_}" Type="{KIND}/{id_}" Target="{to}"/>' for id_, to in targets.items())
    return f'<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">{each}</Relationships>'


PARTS = {
    "[Content_Types].xml": '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>',
    "_rels/.rels": relations(officeDocument="xl/workbook.xml"),
    "xl/workbook.xml": f'<workbook xmlns="{MAIN}" xmlns:r="{KIND}"><sheets>'
    '<sheet name="s" sheetId="1" r:id="worksheet"/></sheets></workbook>',
    "xl/_rels/workbook.xml.rels": relations(worksheet="worksheets/sheet1.xml"),
}


def crafted(path: Path, sheet: str | bytes, **parts: str | bytes) -> Path:
    """Write a workbook whose only sheet is this XML; *parts* are further entries, or others in place of the usual."""
    with ZipFile(path, "w", ZIP_DEFLATED) as archive:
        for name, content in {**PARTS, SHEET: sheet, **parts}.items():
            archive.writestr(name, content)
    return path


def cells_at(*references: str) -> str:
    """Return a sheet with a 1 in each of these cells, every one in a row of its own."""
    rows = "".join(f'<row r="{cell.lstrip(ascii_uppercase)}"><c r="{cell}"><v>1</v></c></row>' for cell in references)
    return f'<worksheet xmlns="{MAIN}"><sheetData>{rows}</sheetData></worksheet>'


def shared_texts(*texts: str) -> dict[str, str]:
    """Return the parts with which a crafted workbook has these shared texts."""
    items = "".join(f"<si><t>{text}</t></si>" for text in texts)
    return {
        "xl/sharedStrings.xml": f'<sst xmlns="{MAIN}">{items}</sst>',
        "xl/_rels/workbook.xml.rels": relations(worksheet="worksheets/sheet1.xml", sharedStrings="sharedStrings.xml"),
    }


def sheet_of(*rows: str) -> str:
    """Return a sheet with these rows, each the XML of its cells."""
    content = "".join(f"<row>{cells}</row>" for cells in rows)
    return f'<worksheet xmlns="{MAIN}"><sheetData>{content}</sheetData></worksheet>'


def zipped(*names: str) -> bytes:
    """Return an archive of empty files."""
    file = io.BytesIO()
    with ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, "")
    return file.getvalue()
