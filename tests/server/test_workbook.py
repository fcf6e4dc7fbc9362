"""XLSX: one sheet becomes CSV whose record n is the sheet's row n, and nothing in the file can harm the process."""

import contextlib
import csv
import datetime as dt
import io
import random
import subprocess
import sys
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

import pytest
import xlsxwriter

from benchmarks.people import people_csv
from evq_server.files import workbook as workbook_module
from evq_server.files.refusals import FileError
from evq_server.files.workbook import convert
from tests.server.workbooks import KIND, MAIN, PARTS, SHEET, cells_at, crafted, relations, shared_texts, sheet_of

HEADER = ["이름", "이메일"]


def _ignore(_: float) -> None:
    pass


def _workbook(path: Path, **content: list[Any]) -> Path:
    with xlsxwriter.Workbook(path, {"remove_timezone": True, "default_date_format": "yyyy-mm-dd hh:mm"}) as workbook:
        for name, rows in content.items():
            sheet = workbook.add_worksheet(name)
            for number, row in enumerate(rows):
                sheet.write_row(number, 0, row)
    return path


def _convert(workbook: Path, *, sheet: str | None = None) -> tuple[str, list[str]]:
    out = workbook.with_suffix(".csv")
    name = convert(workbook, out, sheet=sheet, on_progress=_ignore).name
    lines = out.read_text().splitlines()
    out.unlink()
    return name, lines


def _refusal(workbook: Path, *, sheet: str | None = None) -> FileError:
    """Return why the workbook is refused, having seen that nothing is left of it."""
    before = set(workbook.parent.iterdir())
    with pytest.raises(FileError) as refused:
        convert(workbook, workbook.with_suffix(".csv"), sheet=sheet, on_progress=_ignore)
    assert set(workbook.parent.iterdir()) == before
    return refused.value


def test_record_n_is_row_n_of_the_sheet(tmp_path: Path) -> None:
    rows = [[], ["title"], [], HEADER, ["김\n민수", "a@example.org"], [], ['say "hi", twice', "b@example.org"]]
    name, lines = _convert(_workbook(tmp_path / "w.xlsx", people=rows))
    assert name == "people"
    assert lines == ["", "title", "", "이름,이메일", "김 민수,a@example.org", "", '"say ""hi"", twice",b@example.org']


def test_dates_and_numbers_survive_the_way_through_a_workbook(tmp_path: Path) -> None:
    midnight, evening = map(dt.datetime.fromisoformat, ("2026-03-01", "2026-03-01T18:30"))
    rows = [HEADER, [1012345678, midnight], [True, evening], [0.1, 8210123456789012]]
    assert _convert(_workbook(tmp_path / "w.xlsx", s=rows))[1][1:] == [
        "1012345678,2026-03-01T00:00:00",
        "TRUE,2026-03-01T18:30:00",
        "0.1,8210123456789012",
    ]


def test_days_may_be_counted_from_1904(tmp_path: Path) -> None:
    path = tmp_path / "w.xlsx"
    with xlsxwriter.Workbook(path, {"date_1904": True, "default_date_format": "d.m.yy"}) as workbook:
        workbook.add_worksheet().write_datetime(0, 0, dt.date(2026, 3, 1))
    assert _convert(path)[1] == ["2026-03-01"]


def test_an_extension_does_not_change_from_when_days_are_counted(tmp_path: Path) -> None:
    xml = f"""<workbook xmlns="{MAIN}" xmlns:r="x" xmlns:x15="y"><workbookPr date1904="1"/>
        <sheets><sheet name="s" r:id="worksheet"/></sheets>
        <extLst><ext><x15:workbookPr chartTrackingRefBase="1"/></ext></extLst></workbook>"""
    parts = {
        "xl/workbook.xml": xml,
        "xl/styles.xml": '<styleSheet><cellXfs><xf numFmtId="0"/><xf numFmtId="14"/></cellXfs></styleSheet>',
        "xl/_rels/workbook.xml.rels": relations(worksheet="worksheets/sheet1.xml", styles="styles.xml"),
    }
    path = crafted(tmp_path / "w.xlsx", sheet_of('<c s="1"><v>44620</v></c>'), **parts)
    assert _convert(path)[1] == ["2026-03-01"]


def test_the_visible_sheet_with_the_best_header_is_read_and_others_with_one_are_named(tmp_path: Path) -> None:
    path = tmp_path / "w.xlsx"
    with xlsxwriter.Workbook(path) as workbook:
        for name, header in {"notes": ["hello"], "old": [*HEADER, "전화"], "mails": ["이메일"], "list": HEADER}.items():
            workbook.add_worksheet(name).write_row(0, 0, header)
        workbook.get_worksheet_by_name("old").hide()
    assert _convert(path) == ("list", ["이름,이메일"])
    assert _convert(path, sheet="old")[0] == "old"
    for sheet, chosen in {None: ("list", ["old"], ["mails"]), "mails": ("mails", [], [])}.items():
        assert convert(path, tmp_path / "out.csv", sheet=sheet, on_progress=_ignore) == chosen


def test_a_very_hidden_sheet_is_read_only_if_it_is_named(tmp_path: Path) -> None:
    path = tmp_path / "w.xlsx"
    with xlsxwriter.Workbook(path) as workbook:
        workbook.add_worksheet("notes").write(0, 0, "hello")
        secret = workbook.add_worksheet("secret")
        secret.write_row(0, 0, HEADER)
        secret.very_hidden()
    assert _convert(path) == ("notes", ["hello"])
    assert _convert(path, sheet="secret") == ("secret", ["이름,이메일"])


def test_without_any_header_the_first_visible_sheet_is_read(tmp_path: Path) -> None:
    assert _convert(_workbook(tmp_path / "w.xlsx", a=[["x"]], b=[["y"]])) == ("a", ["x"])


def test_a_merged_cell_has_its_value_in_the_first_only(tmp_path: Path) -> None:
    path = tmp_path / "w.xlsx"
    with xlsxwriter.Workbook(path) as workbook:
        sheet = workbook.add_worksheet()
        sheet.merge_range("A1:B2", "both")
        sheet.write("C2", "beside")
    assert _convert(path)[1] == ["both", ",,beside"]


def test_a_chart_on_a_sheet_of_its_own_is_no_list(tmp_path: Path) -> None:
    path = tmp_path / "w.xlsx"
    with xlsxwriter.Workbook(path) as workbook:
        charts = workbook.add_chartsheet("chart")
        workbook.add_worksheet("list").write_column(0, 0, ["x", 1])
        chart = workbook.add_chart({"type": "bar"})
        chart.add_series({"values": "=list!$A$2:$A$2"})
        charts.set_chart(chart)
    assert _convert(path) == ("list", ["x", "1"])


def test_a_header_is_looked_for_in_the_first_rows_however_large_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_at: list[int] = []

    def fields_named(records: list[Any]) -> int:
        looked_at.append(sum(len("".join(cells)) for _, cells in records))
        return 0

    monkeypatch.setattr(workbook_module, "fields_named", fields_named)
    fat = sheet_of(*['<c t="s"><v>0</v></c>' * 256] * 20)
    parts = shared_texts("x" * 32_767)
    parts["xl/workbook.xml"] = (
        f'<workbook xmlns="{MAIN}" xmlns:r="{KIND}"><sheets><sheet name="a" r:id="worksheet"/>'
        '<sheet name="b" r:id="worksheet"/></sheets></workbook>'
    )
    assert _convert(crafted(tmp_path / "w.xlsx", fat, **parts))[0] == "a"
    assert max(looked_at) <= 1 << 18


def test_the_book_may_be_named_with_the_slashes_of_windows(tmp_path: Path) -> None:
    rels = relations(officeDocument="xl/workbook.xml").replace("xl/", "xl\\")
    assert _convert(crafted(tmp_path / "w.xlsx", cells_at("A1"), **{"_rels/.rels": rels}))[1] == ["1"]


def test_an_unknown_sheet_is_refused_with_the_names_of_those_there_are(tmp_path: Path) -> None:
    path = _workbook(tmp_path / "w.xlsx", first=[["x"]], second=[["y"]])
    assert str(_refusal(path, sheet="third")) == 'The workbook has no sheet "third"; it has "first", "second".'


def test_if_all_sheets_are_hidden_one_must_be_named(tmp_path: Path) -> None:
    sheet = '<sheet name="s" state="hidden" r:id="worksheet"/>'
    book = f'<workbook xmlns="{MAIN}" xmlns:r="x"><sheets>{sheet}</sheets></workbook>'
    path = crafted(tmp_path / "w.xlsx", cells_at("A1"), **{"xl/workbook.xml": book})
    assert _refusal(path).code == "sheets_hidden"
    assert _convert(path, sheet="s")[1] == ["1"]


def test_the_strict_workbook_of_iso_29500_is_read(tmp_path: Path) -> None:
    strict = {
        part: content.replace(
            "http://schemas.openxmlformats.org/officeDocument/2006/relationships",
            "http://purl.oclc.org/ooxml/officeDocument/relationships",
        )
        for part, content in {
            "_rels/.rels": relations(officeDocument="/xl/workbook.xml"),
            "xl/_rels/workbook.xml.rels": relations(worksheet="/xl/worksheets/sheet1.xml"),
        }.items()
    }
    assert _convert(crafted(tmp_path / "w.xlsx", cells_at("A1"), **strict))[1] == ["1"]


def test_a_sheet_in_utf16_is_read(tmp_path: Path) -> None:
    xml = sheet_of('<c t="inlineStr"><is><t>김민수</t></is></c>')
    assert _convert(crafted(tmp_path / "w.xlsx", xml.encode("utf-16")))[1] == ["김민수"]


def test_styled_cells_without_a_value_are_nothing(tmp_path: Path) -> None:
    xml = '<worksheet><sheetData><row r="1"><c r="A1"><v>1</v></c><c r="XFD1" s="1"/></row><row r="1048576" s="1"/>'
    assert _convert(crafted(tmp_path / "w.xlsx", f"{xml}</sheetData></worksheet>"))[1] == ["1"]


def test_a_far_cell_on_another_sheet_harms_nothing(tmp_path: Path) -> None:
    path = _workbook(tmp_path / "w.xlsx", good=[HEADER], wide=[["x"] * 300])
    assert _convert(path) == ("good", ["이름,이메일"])
    error = _refusal(path, sheet="wide")
    assert (error.code, error.params) == ("sheet_too_wide", {"sheet": "wide", "cell": "IW1"})


@pytest.mark.parametrize("xml", ["<worksheet", "nonsense", "", "<worksheet><sheetData><row/>"])
def test_a_sheet_that_is_not_whole_is_damaged(tmp_path: Path, xml: str) -> None:
    assert _refusal(crafted(tmp_path / "w.xlsx", xml)).code == "workbook_damaged"


def test_a_cancel_leaves_nothing(tmp_path: Path) -> None:
    class CancelError(Exception):
        pass

    def cancel(_: float) -> None:
        assert (tmp_path / "out.csv").exists()
        raise CancelError

    path = _workbook(tmp_path / "w.xlsx", s=[HEADER])
    with pytest.raises(CancelError):
        convert(path, tmp_path / "out.csv", sheet=None, on_progress=cancel)
    assert list(tmp_path.iterdir()) == [path]


def test_progress_rises_to_the_end(tmp_path: Path) -> None:
    seen: list[float] = []
    path = _workbook(tmp_path / "w.xlsx", s=[[f"{number}", "x" * 20] for number in range(30_000)])
    convert(path, tmp_path / "out.csv", sheet=None, on_progress=seen.append)
    assert len(set(seen)) > 5
    assert seen == sorted(seen)
    assert seen[-1] == 1.0


# Hostile files: each is refused for what it is, or read, in little memory


def _cell_at(row: str, cell: str) -> str:
    return f'<worksheet><sheetData><row r="{row}"><c r="{cell}"><v>1</v></c></row></sheetData></worksheet>'


@pytest.mark.parametrize(
    ("sheet", "code"),
    [
        (cells_at("A1", "XFD1048576"), "sheet_too_wide"),
        (cells_at("XFD1048576"), "sheet_too_wide"),
        (_cell_at("4294967295", "A4294967295"), "sheet_cell_beyond"),
        (_cell_at("1", "ZZZZZZZ1"), "sheet_cell_beyond"),
        (_cell_at("1", "XFE1"), "sheet_cell_beyond"),
        (_cell_at("1048577", "A1048577"), "sheet_cell_beyond"),
        (sheet_of(*['<c r="A1"><v>1</v></c><c r="XFD1"><v>1</v></c>'] * 5_000), "sheet_too_wide"),
        (cells_at("A3", "A1", "A2"), "sheet_unordered"),
        (sheet_of('<c t="s"><v>0</v></c>'), "sheet_cell_damaged"),
        ('<!DOCTYPE x [<!ENTITY a "ha">]><worksheet><sheetData>&a;</sheetData></worksheet>', "workbook_doctype"),
        ('<!DOCTYPE x SYSTEM "file:///etc/passwd"><worksheet/>', "workbook_doctype"),
    ],
)
def test_what_cannot_be_a_list_is_refused(tmp_path: Path, sheet: str, code: str) -> None:
    assert _refusal(crafted(tmp_path / "w.xlsx", sheet)).code == code


@pytest.mark.parametrize("encoding", ["no-such", "euc-kr", "utf-7"])
@pytest.mark.parametrize("part", ["xl/workbook.xml", "xl/_rels/workbook.xml.rels", SHEET])
def test_a_part_in_an_encoding_that_no_workbook_has_is_damage(tmp_path: Path, part: str, encoding: str) -> None:
    content = PARTS.get(part, cells_at("A1"))
    path = crafted(
        tmp_path / "w.xlsx", cells_at("A1"), **{part: f'<?xml version="1.0" encoding="{encoding}"?>{content}'}
    )
    assert _refusal(path).code == "workbook_damaged"


@pytest.mark.parametrize("broken", ["bytes", "lengths", "parts"])
def test_a_workbook_in_which_anything_was_changed_is_read_or_refused(tmp_path: Path, broken: str) -> None:
    rows = [
        ["이름", "이메일", "가입일"],
        *[["김하늘", f"a{n}@example.org", dt.datetime(2026, 3, n + 1, tzinfo=dt.UTC)] for n in range(9)],
    ]
    whole = _workbook(tmp_path / "whole.xlsx", s=rows).read_bytes()
    chance, path = random.Random(broken), tmp_path / "w.xlsx"
    for _ in range(300):
        path.write_bytes(_broken(whole, broken, chance))
        with contextlib.suppress(FileError):
            convert(path, tmp_path / "w.csv", sheet=None, on_progress=_ignore)


def _broken(whole: bytes, broken: str, chance: random.Random) -> bytes:
    if broken == "lengths":
        at = chance.randrange(len(whole))
        return whole[:at] + whole[at + chance.randrange(200) :]
    if broken == "bytes":
        return _changed(whole, chance)
    out = io.BytesIO()
    with ZipFile(io.BytesIO(whole)) as archive, ZipFile(out, "w", ZIP_DEFLATED) as changed:
        names = archive.namelist()
        for name in names:
            content = archive.read(name)
            changed.writestr(name, _changed(content, chance) if chance.random() < 2 / len(names) else content)
    return out.getvalue()


def _changed(content: bytes, chance: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(chance.randint(1, 6)):
        at = chance.randrange(len(changed))
        changed[at : at + chance.randint(0, 3)] = bytes(chance.choices(b'<>/="&;x0\x00\xff ', k=chance.randint(0, 4)))
    return bytes(changed)


@pytest.mark.parametrize("dimension", ["A1", "A1:XFD1048576", "nonsense"])
def test_a_declared_dimension_means_nothing(tmp_path: Path, dimension: str) -> None:
    xml = cells_at("A1", "B2").replace("<sheetData>", f'<dimension ref="{dimension}"/><sheetData>')
    assert _convert(crafted(tmp_path / "w.xlsx", xml))[1] == ["1", ",1"]


def test_the_last_row_of_all_is_a_row(tmp_path: Path) -> None:
    lines = _convert(crafted(tmp_path / "w.xlsx", cells_at("A1", "IV1048576")))[1]
    assert len(lines) == 1_048_576
    assert lines[-1] == "," * 255 + "1"


def test_what_is_written_has_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workbook_module, "MAX_OUTPUT", 1000)
    assert _refusal(_workbook(tmp_path / "w.xlsx", s=[["x" * 100]] * 10)).code == "sheet_too_long"


def _convert_in_little_memory(workbook: Path) -> str:
    """Convert in a process that may have 400 MB of address space; return the first line, or the code of the refusal."""
    program = (
        "import resource, sys; from pathlib import Path; from evq_server.files.workbook import convert\n"
        "from evq_server.files.refusals import FileError\n"
        "resource.setrlimit(resource.RLIMIT_AS, (400 << 20, 400 << 20))\n"
        "try: convert(Path(sys.argv[1]), Path(sys.argv[2]), sheet=None, on_progress=lambda _: None)\n"
        "except FileError as error: print(error.code)\n"
        "else: print(Path(sys.argv[2]).stat().st_size)\n"
    )
    command = [sys.executable, "-c", program, str(workbook), str(workbook.with_suffix(".csv"))]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_one_huge_text_that_many_cells_share_is_cut(tmp_path: Path) -> None:
    cells = sheet_of(*['<c t="s"><v>0</v></c>'] * 20_000)
    path = crafted(tmp_path / "w.xlsx", cells, **shared_texts("x" * (1 << 20)))
    assert _convert_in_little_memory(path) == str(20_000 * (32_768 + 1))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sheet", "code"),
    [
        ("<worksheet><sheetData>" + "<row><c><v>1</v></c></row>" * 40_000_000, "sheet_cell_beyond"),
        ("<worksheet>" + " " * (1 << 30), "workbook_bomb"),
        ("<worksheet><sheetData><row><c><v>" + " " * (1 << 30), "workbook_bomb"),
    ],
    ids=["rows", "blanks", "blanks in a cell"],
)
def test_a_gigabyte_of_anything_is_refused_in_little_memory(tmp_path: Path, sheet: str, code: str) -> None:
    assert _convert_in_little_memory(crafted(tmp_path / "w.xlsx", sheet)) == code


@pytest.mark.slow
def test_a_gigabyte_of_shared_texts_is_refused_in_little_memory(tmp_path: Path) -> None:
    path = crafted(tmp_path / "w.xlsx", cells_at("A1"), **shared_texts(*["x" * 1000] * 1_000_000))
    assert _convert_in_little_memory(path) == "workbook_texts"


READ = """
import sys
from pathlib import Path
from evq_ext import RowParser
from evq_server.files.source import prepare

source = prepare(Path(sys.argv[1]), Path(sys.argv[2]), on_progress=lambda _: None)
parser = RowParser(source.columns, skip_records=source.skip_records, number_by=source.number_by)
accepted = 0
with source.path.open("rb") as file:
    while chunk := file.read(256 * 1024):
        accepted += parser.feed(chunk).count
accepted += parser.finish().count
status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
print(accepted, parser.records, status["VmHWM"].split()[0])
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")
def test_a_million_rows_of_a_workbook_take_less_than_250_megabytes(tmp_path: Path) -> None:
    """The whole process that prepares and parses it, interpreter and libraries included."""
    path, count = tmp_path / "large.xlsx", 1_000_000
    with xlsxwriter.Workbook(path) as book:
        sheet = book.add_worksheet()
        for number, row in enumerate(csv.reader(io.StringIO(people_csv(count)))):
            sheet.write_row(number, 0, row)
    run = subprocess.run([sys.executable, "-c", READ, path, tmp_path], capture_output=True, text=True, check=True)
    accepted, records, peak = map(int, run.stdout.split())
    print(f"\n{count:,} rows, {path.stat().st_size / 1e6:.0f} MB: {accepted:,} accepted, peak {peak / 1024:.0f} MiB")
    assert (records, accepted > 0.9 * count) == (count, True)
    assert peak * 1024 < 250_000_000
