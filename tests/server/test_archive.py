"""What is read of an archive is counted, and what it declares is not believed."""

import os
import struct
import zlib
from pathlib import Path
from zipfile import ZIP_BZIP2, ZIP_LZMA, ZIP_STORED, ZipFile

import pytest

from evq_server.files import archive as archive_module
from evq_server.files.archive import Archive
from evq_server.files.refusals import FileError
from tests.server.workbooks import MAIN, SHEET, cells_at, crafted


def _read_all(path: Path) -> int:
    """Return the size of all that the archive holds."""
    with Archive(path) as archive, ZipFile(path) as names:
        archive.kind()
        return sum(len(piece) for name in names.namelist() for piece in archive.read(name))


def _refusal(path: Path) -> str:
    with pytest.raises(FileError) as refused:
        _read_all(path)
    return refused.value.code


@pytest.fixture
def honest(tmp_path: Path) -> Path:
    return crafted(tmp_path / "w.xlsx", cells_at(*(f"A{row}" for row in range(1, 1000))))


def test_an_honest_workbook_is_read_whole(honest: Path) -> None:
    with ZipFile(honest) as archive:
        assert _read_all(honest) == sum(entry.file_size for entry in archive.infolist())


def _blanks(size: int, *, declared: int, packed: int = 0) -> bytes:
    """Return an archive of one entry that inflates to *size* MiB of blanks and declares other sizes."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = packer.compress(b" " * (1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)  # it can stand any number of times
    data = block * size + packer.flush(zlib.Z_FINISH)
    name = b"[Content_Types].xml"
    sizes = struct.pack("<HHHIIIHH", 8, 0, 33, 0, packed or len(data), declared, len(name), 0)
    directory = b"PK\x01\x02" + struct.pack("<HHH", 20, 20, 0) + sizes + struct.pack("<HHHII", 0, 0, 0, 0, 0) + name
    local = b"PK\x03\x04" + struct.pack("<HH", 20, 0) + sizes + name
    end = b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 1, 1, len(directory), len(local) + len(data), 0)
    return local + data + directory + end


@pytest.mark.parametrize(
    ("declared", "packed", "code"),
    [(1 << 30, 0, "workbook_bomb"), (1 << 30, 1 << 31, "workbook_bomb"), (1000, 0, "workbook_damaged")],
)
def test_a_gigabyte_of_blanks_is_refused_whatever_sizes_it_declares(
    tmp_path: Path, declared: int, packed: int, code: str
) -> None:
    path = tmp_path / "w.xlsx"
    path.write_bytes(_blanks(1024, declared=declared, packed=packed))
    assert _refusal(path) == code


def test_all_that_is_read_has_a_limit_together(honest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    size = _read_all(honest)
    monkeypatch.setattr(archive_module, "MAX_INFLATED", size)
    _read_all(honest)
    monkeypatch.setattr(archive_module, "MAX_INFLATED", size - 1)
    assert _refusal(honest) == "workbook_bomb"


def test_a_large_part_may_not_be_much_larger_than_it_is_packed(tmp_path: Path) -> None:
    assert _refusal(crafted(tmp_path / "w.xlsx", " " * (30 << 20))) == "workbook_bomb"


@pytest.mark.parametrize("packing", [ZIP_BZIP2, ZIP_LZMA])
def test_only_packing_that_is_unpacked_piece_by_piece_is_read(tmp_path: Path, packing: int) -> None:
    path = tmp_path / "w.xlsx"
    with ZipFile(path, "w", packing) as archive:
        archive.writestr("mimetype", " " * (1 << 20))
    assert _refusal(path) == "workbook_damaged"


def test_what_nobody_reads_is_not_inflated(tmp_path: Path) -> None:
    path = crafted(tmp_path / "w.xlsx", cells_at("A1"), **{"xl/media/bomb.xml": b" " * (30 << 20)})
    with Archive(path) as archive:
        assert archive.kind() == "xlsx"
        assert b"".join(archive.read(SHEET)) == cells_at("A1").encode()
        with pytest.raises(FileError, match="unpacks to far more"):
            list(archive.check_all())


@pytest.mark.parametrize("count", [2_001, 60_000])
def test_too_many_parts_are_refused(tmp_path: Path, count: int) -> None:
    path = tmp_path / "w.xlsx"
    with ZipFile(path, "w", ZIP_STORED) as archive:
        for number in range(count):
            archive.writestr(f"xl/worksheets/sheet{number}.xml", "")
    assert _refusal(path) == "workbook_parts"


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9, 0.999])
def test_a_truncated_workbook_is_damaged(honest: Path, kept: float) -> None:
    os.truncate(honest, int(honest.stat().st_size * kept))
    assert _refusal(honest) == "workbook_damaged"


def test_a_flipped_bit_is_found_by_the_checksum(honest: Path) -> None:
    content = bytearray(honest.read_bytes())
    content[len(content) // 2] ^= 1
    honest.write_bytes(content)
    assert _refusal(honest) == "workbook_damaged"


def test_an_encrypted_part_is_locked(honest: Path) -> None:
    content = honest.read_bytes()
    directory = content.rindex(b"PK\x01\x02")
    honest.write_bytes(content[: directory + 8] + b"\x01" + content[directory + 9 :])
    assert _refusal(honest) == "workbook_locked"


def test_a_part_that_is_not_there_is_damage(honest: Path) -> None:
    with Archive(honest) as archive, pytest.raises(FileError, match="damaged"):
        list(archive.read("xl/worksheets/sheet2.xml"))


def test_part_names_are_found_whatever_their_case_and_slashes(tmp_path: Path) -> None:
    path = tmp_path / "w.xlsx"
    with ZipFile(path, "w") as file:
        file.writestr("XL\\Worksheets\\Sheet1.xml", "x")
    with Archive(path) as archive:
        assert b"".join(archive.read("/xl/worksheets/sheet1.xml")) == b"x"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_xml_may_be_utf8_or_utf16(tmp_path: Path, encoding: str) -> None:
    xml = f'<?xml version="1.0" encoding="{encoding[:6].rstrip("-")}"?><a>김민수</a>'
    path = crafted(tmp_path / "w.xlsx", xml.encode(encoding))
    with Archive(path) as archive:
        assert b"".join(archive.read_xml(SHEET)).decode().lstrip("\ufeff") == xml


def test_xml_in_another_encoding_is_refused(tmp_path: Path) -> None:
    path = crafted(tmp_path / "w.xlsx", '<?xml version="1.0" encoding="euc-kr"?><a>김</a>'.encode("euc-kr"))
    with Archive(path) as archive, pytest.raises(FileError, match="damaged"):
        list(archive.read_xml(SHEET))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_doctype_is_refused(tmp_path: Path, encoding: str) -> None:
    laughs = '<!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><workbook>&b;</workbook>'
    path = crafted(tmp_path / "w.xlsx", cells_at("A1"), **{"xl/workbook.xml": laughs.encode(encoding)})
    with Archive(path) as archive:
        with pytest.raises(FileError, match="declares a DOCTYPE"):
            list(archive.elements("xl/workbook.xml"))
        with pytest.raises(FileError, match="declares a DOCTYPE"):
            list(archive.check_all())


@pytest.mark.parametrize(
    "xml", ["", "<a>", "<a></b>", "nonsense", f'<a xmlns="{MAIN}"', "<a>" * 101, f"<{'a' * 2_000_000}/>"]
)
def test_a_small_part_that_is_no_xml_is_damage(tmp_path: Path, xml: str) -> None:
    with Archive(crafted(tmp_path / "w.xlsx", xml)) as archive, pytest.raises(FileError, match="damaged"):
        list(archive.elements(SHEET))
