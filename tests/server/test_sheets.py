import datetime as dt
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest
import xlsxwriter

from evq.errors import ValidationError
from evq_server.files import sheets
from evq_server.files.sheets import convert, text_of
from tests.server.workbooks import MAIN, cells_at, crafted, relations

HEADER = ["이름", "이메일"]


def _ignore(_: float) -> None:
    pass


def _workbook(path: Path, **content: list[Any]) -> Path:
    with xlsxwriter.Workbook(path, {"remove_timezone": True, "default_date_format": "yyyy-mm-dd"}) as workbook:
        for name, rows in content.items():
            sheet = workbook.add_worksheet(name)
            for number, row in enumerate(rows):
                sheet.write_row(number, 0, row)
    return path


def _convert(workbook: Path, *, sheet: str | None = None) -> tuple[str, list[str]]:
    out = workbook.with_suffix(".csv")
    name = convert(workbook, out, sheet=sheet, on_progress=_ignore)
    return name, out.read_text().splitlines()


def _children() -> list[psutil.Process]:
    """Return the running readers of workbooks."""
    return [child for child in psutil.Process().children() if "evq_server.files.sheets" in child.cmdline()]


def _refusal(workbook: Path, *, sheet: str | None = None) -> str:
    """Return why the workbook is refused, having seen that nothing is left of it."""
    before = set(workbook.parent.iterdir())
    with pytest.raises(ValidationError) as refused:
        convert(workbook, workbook.with_suffix(".csv"), sheet=sheet, on_progress=_ignore)
    assert set(workbook.parent.iterdir()) == before
    assert not _children()
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


def test_a_chart_on_a_sheet_of_its_own_is_no_list(tmp_path: Path) -> None:
    path = tmp_path / "w.xlsx"
    with xlsxwriter.Workbook(path) as workbook:
        charts = workbook.add_chartsheet("chart")
        workbook.add_worksheet("list").write_column(0, 0, ["x", 1])
        chart = workbook.add_chart({"type": "bar"})
        chart.add_series({"values": "=list!$A$2:$A$2"})
        charts.set_chart(chart)
    assert _convert(path) == ("list", ["x", "1"])


def test_an_unknown_sheet_is_refused_with_the_names_of_those_there_are(tmp_path: Path) -> None:
    path = _workbook(tmp_path / "w.xlsx", first=[["x"]], second=[["y"]])
    assert _refusal(path, sheet="third") == 'The workbook has no sheet "third"; it has "first", "second".'


def test_a_far_cell_on_another_sheet_harms_nothing(tmp_path: Path) -> None:
    path = _workbook(tmp_path / "w.xlsx", good=[HEADER], wide=[["x"] * 300])
    assert 'The sheet "wide" reaches beyond' in _refusal(path)
    assert _convert(path, sheet="good")[1] == ["이름,이메일"]


@pytest.mark.parametrize("xml", ["<worksheet", "nonsense", ""])
def test_a_sheet_that_is_not_xml_is_called_damaged_or_is_empty(tmp_path: Path, xml: str) -> None:
    path = crafted(tmp_path / "w.xlsx", xml)
    try:
        assert _convert(path)[1] == []
    except ValidationError as refused:
        assert "damaged" in str(refused)


def test_a_bomb_is_refused_before_it_is_parsed(tmp_path: Path) -> None:
    path = crafted(tmp_path / "w.xlsx", cells_at("A1"), **{"xl/media/bomb.xml": b" " * (30 << 20)})
    assert "unpacks to far more than it should" in _refusal(path)


def test_a_grid_that_exceeds_the_memory_kills_the_child_only(tmp_path: Path) -> None:
    assert "within the limits (1 GiB of memory" in _refusal(crafted(tmp_path / "w.xlsx", cells_at("A1", "IV1048576")))


def test_one_huge_text_shared_by_many_cells_kills_the_child_only(tmp_path: Path) -> None:
    cells = "".join(f'<row r="{row}"><c r="A{row}" t="s"><v>0</v></c></row>' for row in range(1, 20_001))
    texts = f'<sst xmlns="{MAIN}"><si><t>{"x" * (1 << 20)}</t></si></sst>'
    path = crafted(
        tmp_path / "w.xlsx",
        f'<worksheet xmlns="{MAIN}"><sheetData>{cells}</sheetData></worksheet>',
        **{
            "xl/sharedStrings.xml": texts,
            "xl/_rels/workbook.xml.rels": relations(
                worksheet="worksheets/sheet1.xml", sharedStrings="sharedStrings.xml"
            ),
        },
    )
    assert "within the limits (1 GiB of memory" in _refusal(path)


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
        assert len(_children()) == 1
        raise CancelError

    with pytest.raises(CancelError):
        convert(endless, endless.with_suffix(".csv"), sheet=None, on_progress=cancel)
    assert not _children()
    assert list(endless.parent.iterdir()) == [endless]


def test_a_cancel_while_the_list_is_written_leaves_nothing(tmp_path: Path) -> None:
    class CancelError(Exception):
        pass

    def cancel(fraction: float) -> None:
        if fraction >= 0.5:
            assert (tmp_path / "out.csv.part").exists()
            raise CancelError

    path = _workbook(tmp_path / "w.xlsx", s=[HEADER])
    with pytest.raises(CancelError):
        convert(path, tmp_path / "out.csv", sheet=None, on_progress=cancel)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a child with its parent")
def test_the_child_dies_with_its_parent() -> None:
    child = (
        "import os, sys; from evq_server.files.sheets import _limit_this_process;"
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
