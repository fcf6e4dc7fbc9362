import datetime as dt
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

import psutil  # type: ignore[import-untyped] # it carries no types
import pytest
import xlsxwriter  # type: ignore[import-untyped] # it carries no types

from evq.errors import ValidationError
from evq_server import sheets
from evq_server.archive import check_archive, check_extent, sheets_of
from evq_server.sheets import convert, text_of

HEADER = ["이름", "이메일"]
SHEET = "xl/worksheets/sheet1.xml"
MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
KIND = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"


def _relations(**targets: str) -> str:
    """Write relations; the id of each one is the last word of its type."""
    relations = "".join(f'<Relationship Id="{id_}" Type="{KIND}/{id_}" Target="{to}"/>' for id_, to in targets.items())
    return f'<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">{relations}</Relationships>'


PARTS = {
    "[Content_Types].xml": '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>',
    "_rels/.rels": _relations(officeDocument="xl/workbook.xml"),
    "xl/workbook.xml": f'<workbook xmlns="{MAIN}" xmlns:r="{KIND}"><sheets>'
    '<sheet name="s" sheetId="1" r:id="worksheet"/></sheets></workbook>',
    "xl/_rels/workbook.xml.rels": _relations(worksheet="worksheets/sheet1.xml"),
}


def _ignore(_: float) -> None:
    pass


def _workbook(path: Path, **content: list[Any]) -> Path:
    with xlsxwriter.Workbook(path, {"remove_timezone": True, "default_date_format": "yyyy-mm-dd"}) as workbook:
        for name, rows in content.items():
            sheet = workbook.add_worksheet(name)
            for number, row in enumerate(rows):
                sheet.write_row(number, 0, row)
    return path


def _crafted(path: Path, sheet: str | bytes, **parts: str | bytes) -> Path:
    """Write a workbook of our own XML, as no spreadsheet program would."""
    with ZipFile(path, "w", ZIP_DEFLATED) as archive:
        for name, content in {**PARTS, SHEET: sheet, **parts}.items():
            archive.writestr(name, content)
    return path


def _cells(*references: str) -> str:
    cells = "".join(
        f'<row r="{r.lstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZ")}"><c r="{r}"><v>1</v></c></row>' for r in references
    )
    return f'<worksheet xmlns="{MAIN}"><sheetData>{cells}</sheetData></worksheet>'


def _convert(workbook: Path, *, sheet: str | None = None) -> tuple[str, list[str]]:
    out = workbook.with_suffix(".csv")
    name = convert(workbook, out, sheet=sheet, on_progress=_ignore)
    return name, out.read_text().splitlines()


def _refusal(workbook: Path, *, sheet: str | None = None) -> str:
    """Return why the workbook is refused, having seen that nothing is left of it."""
    before = set(workbook.parent.iterdir())
    with pytest.raises(ValidationError) as refused:
        convert(workbook, workbook.with_suffix(".csv"), sheet=sheet, on_progress=_ignore)
    assert set(workbook.parent.iterdir()) == before
    assert not psutil.Process().children()
    return str(refused.value)


def test_record_n_is_row_n_of_the_sheet(tmp_path: Path) -> None:
    rows = [[], ["title"], [], HEADER, ["김\n민수", "a@example.org"], [], ['say "hi", twice', "b@example.org"]]
    name, lines = _convert(_workbook(tmp_path / "w.xlsx", people=rows))
    assert name == "people"
    assert lines == [
        ",",
        "title,",
        ",",
        "이름,이메일",
        "김 민수,a@example.org",
        ",",
        '"say ""hi"", twice",b@example.org',
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1012345678.0, "1012345678"),
        (-3.0, "-3"),
        (1.5, "1.5"),
        (2.0**53, "9007199254740992.0"),
        (True, "TRUE"),
        (False, "FALSE"),
        ("", ""),
        ("a\r\nb\u2028c", "a b c"),
        (dt.date(2026, 3, 1), "2026-03-01"),
        (dt.datetime.fromisoformat("2026-03-01T09:12:33"), "2026-03-01T09:12:33"),
        (dt.time(9, 30), "09:30:00"),
        (dt.timedelta(hours=30), "1 day, 6:00:00"),
    ],
)
def test_cells_become_the_text_that_was_meant(value: Any, text: str) -> None:
    assert text_of(value) == text


def test_an_endless_cell_keeps_one_character_too_many() -> None:
    assert len(text_of("가" * 1_000_000)) == 32_768


def test_dates_and_numbers_survive_the_way_through_a_workbook(tmp_path: Path) -> None:
    midnight, evening = map(dt.datetime.fromisoformat, ("2026-03-01", "2026-03-01T18:30"))
    rows = [HEADER, [1012345678, midnight], [True, evening]]
    assert _convert(_workbook(tmp_path / "w.xlsx", s=rows))[1][1:] == [
        "1012345678,2026-03-01",
        "TRUE,2026-03-01T18:30:00",
    ]


def test_the_visible_sheet_with_the_best_header_is_read(tmp_path: Path) -> None:
    path = tmp_path / "w.xlsx"
    with xlsxwriter.Workbook(path) as workbook:
        for name, header in {"notes": ["hello"], "old": [*HEADER, "전화"], "mails": ["이메일"], "list": HEADER}.items():
            workbook.add_worksheet(name).write_row(0, 0, header)
        workbook.get_worksheet_by_name("old").hide()
    assert _convert(path) == ("list", ["이름,이메일"])
    assert _convert(path, sheet="old")[0] == "old"


def test_without_any_header_the_first_visible_sheet_is_read(tmp_path: Path) -> None:
    assert _convert(_workbook(tmp_path / "w.xlsx", a=[["x"]], b=[["y"]])) == ("a", ["x"])


def test_an_unknown_sheet_is_refused_with_the_names_of_those_there_are(tmp_path: Path) -> None:
    path = _workbook(tmp_path / "w.xlsx", first=[["x"]], second=[["y"]])
    assert _refusal(path, sheet="third") == 'The workbook has no sheet "third"; it has "first", "second".'


def test_a_far_cell_on_another_sheet_harms_nothing(tmp_path: Path) -> None:
    path = _workbook(tmp_path / "w.xlsx", good=[HEADER], wide=[["x"] * 300])
    assert 'The sheet "wide" reaches beyond' in _refusal(path)
    assert _convert(path, sheet="good")[1] == ["이름,이메일"]


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
    assert "reaches beyond row 1,048,576 or column IV" in _refusal(_crafted(tmp_path / "w.xlsx", _cells(*references)))


def test_cells_at_the_limits_are_read(tmp_path: Path) -> None:
    assert len(_convert(_crafted(tmp_path / "w.xlsx", _cells("A1", "A1048576")))[1]) == 1_048_576
    assert _convert(_crafted(tmp_path / "w.xlsx", _cells("A1", "IV1")))[1] == ["1" + "," * 254 + ",1"]


def test_a_far_cell_is_found_where_two_chunks_meet(tmp_path: Path) -> None:
    for padding in range(1 << 18, (1 << 18) - 120, -7):
        start = f'<worksheet xmlns="{MAIN}"><sheetData>'
        sheet = (
            start + " " * (padding - len(start)) + '<row r="1"><c r="XFD1"><v>1</v></c></row></sheetData></worksheet>'
        )
        path = _crafted(tmp_path / "w.xlsx", sheet)
        with pytest.raises(ValidationError, match="reaches beyond"):
            check_extent(path, sheets_of(path)[0])


def test_a_grid_that_exceeds_the_memory_kills_the_child_only(tmp_path: Path) -> None:
    assert "within the limits (1 GiB of memory" in _refusal(_crafted(tmp_path / "w.xlsx", _cells("A1", "IV1048576")))


def test_one_huge_text_shared_by_many_cells_kills_the_child_only(tmp_path: Path) -> None:
    cells = "".join(f'<row r="{row}"><c r="A{row}" t="s"><v>0</v></c></row>' for row in range(1, 20_001))
    texts = f'<sst xmlns="{MAIN}"><si><t>{"x" * (1 << 20)}</t></si></sst>'
    path = _crafted(
        tmp_path / "w.xlsx",
        f'<worksheet xmlns="{MAIN}"><sheetData>{cells}</sheetData></worksheet>',
        **{
            "xl/sharedStrings.xml": texts,
            "xl/_rels/workbook.xml.rels": _relations(
                worksheet="worksheets/sheet1.xml", sharedStrings="sharedStrings.xml"
            ),
        },
    )
    assert "within the limits (1 GiB of memory" in _refusal(path)


def _blanks(size: int, *, declared: int) -> bytes:
    """Return a workbook of one entry that inflates to *size* MiB of blanks and declares another size."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = packer.compress(b" " * (1 << 20)) + packer.flush(
        zlib.Z_FULL_FLUSH
    )  # after it, the same bytes mean the same
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
    monkeypatch.setattr("evq_server.archive._check_kind", lambda names: None)  # the blanks are all there is in it
    with pytest.raises(ValidationError, match="unpacks to far more than it should"):
        check_archive(path, _ignore)


def test_a_bomb_is_refused(tmp_path: Path) -> None:
    path = _crafted(tmp_path / "w.xlsx", _cells("A1"), **{"xl/media/bomb.xml": b" " * (30 << 20)})
    assert "unpacks to far more than it should" in _refusal(path)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_doctype_is_refused(tmp_path: Path, encoding: str) -> None:
    laughs = '<!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><workbook>&b;</workbook>'
    path = _crafted(tmp_path / "w.xlsx", _cells("A1"), **{"xl/workbook.xml": laughs.encode(encoding)})
    assert "declares a DOCTYPE" in _refusal(path)


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9, 0.999])
def test_a_truncated_workbook_is_called_so(tmp_path: Path, kept: float) -> None:
    path = _workbook(tmp_path / "w.xlsx", s=[HEADER] * 1000)
    os.truncate(path, int(path.stat().st_size * kept))
    assert "damaged or was cut off" in _refusal(path)


def test_a_flipped_bit_is_found_by_the_checksum(tmp_path: Path) -> None:
    path = _workbook(tmp_path / "w.xlsx", s=[HEADER] * 1000)
    content = bytearray(path.read_bytes())
    content[len(content) // 4] ^= 1
    path.write_bytes(content)
    assert "damaged" in _refusal(path)


@pytest.mark.parametrize("xml", ["<worksheet", "nonsense", ""])
def test_a_sheet_that_is_not_xml_is_called_damaged_or_is_empty(tmp_path: Path, xml: str) -> None:
    path = _crafted(tmp_path / "w.xlsx", xml)
    try:
        assert _convert(path)[1] == []
    except ValidationError as refused:
        assert "damaged" in str(refused)


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
    assert "no spreadsheet program writes" in _refusal(_crafted(tmp_path / "w.xlsx", _cells("A1"), **{name: "x"}))


def test_too_many_entries_are_refused(tmp_path: Path) -> None:
    path = _crafted(tmp_path / "w.xlsx", _cells("A1"), **{f"xl/{number}": "" for number in range(2_000)})
    assert "has 2,005 parts; at most 2,000" in _refusal(path)


def test_an_encrypted_entry_is_refused(tmp_path: Path) -> None:
    path = _crafted(tmp_path / "w.xlsx", _cells("A1"))
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1  # the flags in the directory
    path.write_bytes(content)
    assert "is encrypted. Remove its password" in _refusal(path)


@pytest.fixture
def endless(tmp_path: Path) -> Path:
    """A workbook that the child never finishes to open: a pipe that nobody writes to."""
    path = tmp_path / "endless.xlsx"
    os.mkfifo(path)
    return path


def test_a_child_that_takes_too_long_is_killed(endless: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sheets, "TIME_LIMIT", 0.2)
    assert "could not be read within the limits" in _refusal(endless)


def test_a_cancel_ends_the_child_and_leaves_nothing(endless: Path) -> None:
    class CancelError(Exception):
        pass

    def cancel(_: float) -> None:
        assert len(psutil.Process().children()) == 1
        raise CancelError

    with pytest.raises(CancelError):
        convert(endless, endless.with_suffix(".csv"), sheet=None, on_progress=cancel)
    assert not psutil.Process().children()
    assert list(endless.parent.iterdir()) == [endless]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a child with its parent")
def test_the_child_dies_with_its_parent() -> None:
    child = (
        "import os, sys; from evq_server.sheets import _limit_this_process;"
        "_limit_this_process(os.getppid()); print(os.getpid(), flush=True); sys.stdin.read()"
    )
    parent = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]])"
    with subprocess.Popen(
        [sys.executable, "-c", parent, child], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        orphan = psutil.Process(int(process.stdout.readline()))
        process.kill()
        assert psutil.wait_procs([orphan], timeout=10)[1] == []


def test_progress_rises_to_the_end(tmp_path: Path) -> None:
    seen: list[float] = []
    path = _workbook(tmp_path / "w.xlsx", s=[[f"{number}"] for number in range(30_000)])
    convert(path, tmp_path / "out.csv", sheet=None, on_progress=seen.append)
    assert seen == sorted(seen)
    assert seen[-1] > 0.8
