import os
import struct
import zlib
from pathlib import Path
from zipfile import ZipFile

import pytest

from evq.errors import ValidationError
from evq_server.files import archive as archive_module
from evq_server.files.archive import check_archive, check_extent, sheets_of
from tests.server.workbooks import MAIN, SHEET, cells_at, crafted


def _ignore(_: float) -> None:
    pass


def _refusal(path: Path) -> str:
    with pytest.raises(ValidationError) as refused:
        _check(path)
    return str(refused.value)


def _check(path: Path) -> None:
    check_archive(path, _ignore)
    for sheet in sheets_of(path):
        check_extent(path, sheet)


@pytest.fixture
def honest(tmp_path: Path) -> Path:
    return crafted(tmp_path / "w.xlsx", cells_at(*(f"A{row}" for row in range(1, 1000))))


def test_an_honest_workbook_passes(honest: Path) -> None:
    seen: list[float] = []
    check_archive(honest, seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == 1.0
    assert [(sheet.name, sheet.visible, sheet.part) for sheet in sheets_of(honest)] == [("s", True, SHEET)]
    _check(honest)


@pytest.mark.parametrize(
    "references",
    [
        ("A1", "XFD1048576"),
        ("XFD1048576",),
        ("A1", "IW1"),
        ("A1", "ZZZZZZZ1"),
        ("A1", "A1048577"),
        ("A1", "A4294967295"),
    ],
)
def test_a_cell_beyond_the_limits_is_refused(tmp_path: Path, references: tuple[str, ...]) -> None:
    assert "reaches beyond row 1,048,576 or column IV" in _refusal(crafted(tmp_path / "w.xlsx", cells_at(*references)))


@pytest.mark.parametrize("cell", ["A1048576", "IV1", "A1000000"])
def test_a_cell_at_the_limits_passes(tmp_path: Path, cell: str) -> None:
    _check(crafted(tmp_path / "w.xlsx", cells_at("A1", cell)))


def test_a_far_cell_in_a_text_passes(tmp_path: Path) -> None:
    text = '<row r="1"><c r="A1" t="inlineStr"><is><t>row r="99999999" c r="XFD1"</t></is></c></row>'
    _check(crafted(tmp_path / "w.xlsx", f'<worksheet xmlns="{MAIN}"><sheetData>{text}</sheetData></worksheet>'))


@pytest.mark.parametrize(
    "tag", ["<x:c s='1' r='XFD1'>", '<c\n  r = "XFD1">', '<c r="xfd1">', '<row spans="1:2" r="4294967295">']
)
def test_a_far_cell_is_found_however_it_is_written(tmp_path: Path, tag: str) -> None:
    assert "reaches beyond" in _refusal(crafted(tmp_path / "w.xlsx", f"<worksheet><sheetData>{tag}"))


def test_a_far_cell_is_found_where_two_chunks_meet(tmp_path: Path) -> None:
    for padding in range(1 << 18, (1 << 18) - 120, -7):
        sheet = "<worksheet><sheetData>".ljust(padding) + '<row r="1"><c r="XFD1"><v>1</v></c></row>'
        assert "reaches beyond" in _refusal(crafted(tmp_path / "w.xlsx", sheet))


def _blanks(size: int, *, declared: int) -> bytes:
    """Return a workbook of one entry that inflates to *size* MiB of blanks and declares another size."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = packer.compress(b" " * (1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)  # it can stand any number of times
    data = block * size + packer.flush(zlib.Z_FINISH)
    name = SHEET.encode()
    sizes = struct.pack("<HHHIIIHH", 8, 0, 33, 0, len(data), declared, len(name), 0)
    directory = b"PK\x01\x02" + struct.pack("<HHH", 20, 20, 0) + sizes + struct.pack("<HHHII", 0, 0, 0, 0, 0) + name
    local = b"PK\x03\x04" + struct.pack("<HH", 20, 0) + sizes + name
    end = b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 1, 1, len(directory), len(local) + len(data), 0)
    return local + data + directory + end


@pytest.mark.parametrize("declared", [1 << 30, 1000])
def test_a_gigabyte_of_blanks_is_refused_whatever_size_it_declares(
    tmp_path: Path, declared: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "w.xlsx"
    path.write_bytes(_blanks(1024, declared=declared))
    monkeypatch.setattr(archive_module, "_check_kind", lambda names: None)  # the blanks are all there is in it
    assert "unpacks to far more than it should" in _refusal(path)


def test_a_bomb_is_refused(tmp_path: Path) -> None:
    path = crafted(tmp_path / "w.xlsx", cells_at("A1"), **{"xl/media/bomb.xml": b" " * (30 << 20)})
    assert "unpacks to far more than it should" in _refusal(path)


def test_all_parts_together_have_a_limit(honest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ZipFile(honest) as archive:
        size = sum(entry.file_size for entry in archive.infolist())
    monkeypatch.setattr(archive_module, "MAX_INFLATED", size)
    _check(honest)
    monkeypatch.setattr(archive_module, "MAX_INFLATED", size - 1)
    assert "unpacks to far more than it should" in _refusal(honest)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_doctype_is_refused(tmp_path: Path, encoding: str) -> None:
    laughs = '<!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><workbook>&b;</workbook>'
    path = crafted(tmp_path / "w.xlsx", cells_at("A1"), **{"xl/workbook.xml": laughs.encode(encoding)})
    assert "declares a DOCTYPE" in _refusal(path)


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9, 0.999])
def test_a_truncated_workbook_is_called_so(honest: Path, kept: float) -> None:
    os.truncate(honest, int(honest.stat().st_size * kept))
    assert "damaged or was cut off" in _refusal(honest)


def test_a_flipped_bit_is_found_by_the_checksum(honest: Path) -> None:
    content = bytearray(honest.read_bytes())
    content[len(content) // 2] ^= 1
    honest.write_bytes(content)
    assert "damaged or was cut off" in _refusal(honest)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("xl/workbook.bin", "a binary Excel workbook (.xlsb)"),
        ("word/document.xml", "a Word document"),
        ("ppt/presentation.xml", "a PowerPoint presentation"),
        ("content.xml", "an OpenDocument file"),
        ("holiday.jpg", "a ZIP archive"),
    ],
)
def test_an_archive_that_is_no_workbook_is_called_what_it_is(tmp_path: Path, name: str, kind: str) -> None:
    path = tmp_path / "w.xlsx"
    with ZipFile(path, "w") as archive:
        archive.writestr(name, "")
    assert f"This is {kind}, not an Excel workbook" in _refusal(path)


@pytest.mark.parametrize("name", ["/etc/passwd", "../../evil", "xl/../../evil"])
def test_entries_that_leave_the_archive_are_refused(tmp_path: Path, name: str) -> None:
    assert "no spreadsheet program writes" in _refusal(crafted(tmp_path / "w.xlsx", cells_at("A1"), **{name: "x"}))


def test_too_many_entries_are_refused(tmp_path: Path) -> None:
    path = crafted(tmp_path / "w.xlsx", cells_at("A1"), **{f"xl/{number}": "" for number in range(2_000)})
    assert "has 2,005 parts; at most 2,000" in _refusal(path)


def test_an_encrypted_entry_is_refused(honest: Path) -> None:
    content = bytearray(honest.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1  # the flags in the directory
    honest.write_bytes(content)
    assert "is encrypted. Remove its password" in _refusal(honest)


def test_a_workbook_that_does_not_say_where_its_sheets_are_is_called_damaged(tmp_path: Path) -> None:
    path = crafted(tmp_path / "w.xlsx", cells_at("A1"), **{"_rels/.rels": "<Relationships/>"})
    assert "damaged or was cut off" in _refusal(path)
