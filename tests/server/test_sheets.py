"""XLS, XLSB and ODS: a child process reads them, and may die of them without harm."""

import datetime as dt
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Protocol

import psutil
import pytest

from evq_server.files import sheets
from evq_server.files.refusals import FileError
from evq_server.files.sheets import Kind, convert, text_of
from tests.server.other_workbooks import Rows, ods, xls, xls_number, xlsb
from tests.server.workbooks import zipped

HEADER = ["이름", "이메일"]


def _ignore(_: float) -> None:
    pass


def _kind(workbook: Path) -> Kind:
    """Say what the file is: its content would, and here its name does."""
    return workbook.suffix[1:]  # type: ignore[return-value]


def _convert(workbook: Path, *, sheet: str | None = None) -> tuple[str, list[str]]:
    out = workbook.with_suffix(".csv")
    name = convert(workbook, out, kind=_kind(workbook), sheet=sheet, on_progress=_ignore).name
    lines = out.read_text().splitlines()
    out.unlink()
    return name, lines


def _children() -> list[psutil.Process]:
    """Return the running readers of workbooks."""
    return [child for child in psutil.Process().children() if "evq_server.files.sheets" in child.cmdline()]


def _refusal(workbook: Path, *, sheet: str | None = None) -> FileError:
    """Return why the workbook is refused, having seen that nothing is left of it."""
    before = set(workbook.parent.iterdir())
    with pytest.raises(FileError) as refused:
        convert(workbook, workbook.with_suffix(".csv"), kind=_kind(workbook), sheet=sheet, on_progress=_ignore)
    assert set(workbook.parent.iterdir()) == before
    assert not _children()
    return refused.value


class Write(Protocol):
    def __call__(self, path: Path, sheets: dict[str, Rows], *, hidden: list[str] = ...) -> Path: ...


@pytest.fixture(params=[xls, xlsb, ods], ids=["xls", "xlsb", "ods"])
def write(request: pytest.FixtureRequest) -> Write:
    """Write a workbook of one of the kinds."""

    def write_any(path: Path, *args: Any, **options: Any) -> Path:
        writer: Write = request.param
        return writer(path.with_suffix(f".{request.param.__name__}"), *args, **options)

    return write_any


def test_record_n_is_row_n_of_the_sheet(tmp_path: Path, write: Write) -> None:
    rows: Rows = [
        ["title"],
        [],
        HEADER,
        ["김민수", "a@example.org", 1012345678.0],
        [],
        ['say "hi", twice', "b@example.org"],
    ]
    name, lines = _convert(write(tmp_path / "w", {"people": rows}))
    assert name == "people"
    assert lines == [
        "title",
        "",
        "이름,이메일",
        "김민수,a@example.org,1012345678",
        "",
        '"say ""hi"", twice",b@example.org',
    ]


def test_empty_columns_before_the_first_are_kept(tmp_path: Path, write: Write) -> None:
    rows: Rows = [[], ["", "", "이메일"], ["", "", "a@example.org"]]
    assert _convert(write(tmp_path / "w", {"s": rows}))[1] == ["", ",,이메일", ",,a@example.org"]


def test_the_visible_sheet_with_the_best_header_is_read_and_others_with_one_are_named(
    tmp_path: Path, write: Write
) -> None:
    content: dict[str, Rows] = {
        "notes": [["hello"]],
        "old": [[*HEADER, "전화"]],
        "mails": [["이메일"]],
        "list": [HEADER],
    }
    path = write(tmp_path / "w", content, hidden=["old"])
    assert _convert(path) == ("list", ["이름,이메일"])
    assert _convert(path, sheet="old")[0] == "old"
    assert _refusal(path, sheet="third").code == "sheet_unknown"
    chosen = convert(path, tmp_path / "out.csv", kind=_kind(path), sheet=None, on_progress=_ignore)
    assert chosen == ("list", ["old"], ["mails"])


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
        (dt.datetime(2026, 3, 1, 9, 12, 33, 250_000), "2026-03-01T09:12:33.250"),  # noqa: DTZ001  a sheet has no zones
        (dt.timedelta(hours=30), "30:00:00"),
        (dt.timedelta(minutes=-90, milliseconds=-5), "-1:30:00.005"),
    ],
)
def test_cells_become_the_text_that_was_meant(value: Any, text: str) -> None:
    assert text_of(value) == text


def test_an_endless_cell_keeps_one_character_too_many() -> None:
    assert len(text_of("가" * 1_000_000)) == 32_768


@pytest.mark.parametrize(
    "path",
    [
        lambda folder: xls(folder / "w.xls", {"s": [HEADER]}, locked=True),
        lambda folder: ods(folder / "w.ods", {"s": [HEADER]}, manifest="<manifest:encryption-data/>"),
    ],
    ids=["xls", "ods"],
)
def test_a_workbook_with_a_password_is_locked(tmp_path: Path, path: Any) -> None:
    assert _refusal(path(tmp_path)).code == "workbook_locked"


def test_a_value_beyond_the_256th_column_is_refused(tmp_path: Path) -> None:
    error = _refusal(ods(tmp_path / "w.ods", {"wide": [["x"], ["x"] * 257]}))
    assert (error.code, error.params) == ("sheet_too_wide", {"sheet": "wide", "cell": "IW2"})


@pytest.mark.parametrize("kept", [0.2, 0.5, 0.9])
def test_a_truncated_workbook_is_damaged(tmp_path: Path, write: Write, kept: float) -> None:
    path = write(tmp_path / "w", {"s": [HEADER, *[["x", "y"]] * 500]})
    os.truncate(path, int(path.stat().st_size * kept))
    assert _refusal(path).code in {"workbook_damaged", "workbook_limits"}


@pytest.mark.parametrize(
    ("kind", "content"),
    [("xlsb", zipped("xl/workbook.bin")), ("ods", zipped("mimetype", "content.xml")), ("xls", b"\xd0\xcf\x11\xe0")],
)
def test_a_workbook_of_nothing_is_damaged(tmp_path: Path, kind: str, content: bytes) -> None:
    path = tmp_path / f"w.{kind}"
    path.write_bytes(content)
    assert _refusal(path).code == "workbook_damaged"


def test_a_bomb_is_refused_before_it_is_parsed(tmp_path: Path) -> None:
    assert _refusal(ods(tmp_path / "w.ods", {"s": " " * (30 << 20)})).code == "workbook_bomb"


REPEATED = """
<table:table-row table:number-rows-repeated="1048575"><table:table-cell table:number-columns-repeated="{before}"/>
</table:table-row><table:table-row table:number-rows-repeated="{rows}"><table:table-cell
 table:number-columns-repeated="{before}"/><table:table-cell office:value-type="float" office:value="1"
 table:number-columns-repeated="{columns}"/></table:table-row>
"""


@pytest.mark.parametrize(
    ("before", "rows", "columns"), [(1, 1_048_576, 16_384), (16_383, 1, 1), (2_000_000_000, 2_000_000_000, 1)]
)
def test_a_repeated_cell_of_an_ods_harms_nothing(tmp_path: Path, before: int, rows: int, columns: int) -> None:
    path = ods(tmp_path / "w.ods", {"s": REPEATED.format(before=before, rows=rows, columns=columns)})
    assert _refusal(path).code in {"workbook_damaged", "sheet_too_wide", "workbook_limits"}


def test_the_corners_of_an_xls_are_read_or_refused(tmp_path: Path) -> None:
    path = xls(tmp_path / "w.xls", {"s": []}, cells=xls_number(0, 0) + xls_number(65_535, 255))
    try:
        assert _convert(path)[1] == ["1", *[""] * 65_534, "," * 255 + "1"]
    except FileError as error:
        assert error.code == "workbook_limits"


def test_what_kills_the_child_is_an_error_of_the_file(tmp_path: Path) -> None:
    assert _refusal(xlsb(tmp_path / "w.xlsb", {"s": [["x"]]}, far=(1_048_575, 16_383))).code == "workbook_limits"


@pytest.fixture
def endless(tmp_path: Path) -> Path:
    """A workbook that the child never finishes to open: a pipe that nobody writes to."""
    path = tmp_path / "endless.xls"
    os.mkfifo(path)
    return path


def test_a_child_that_takes_too_long_is_killed(endless: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sheets, "TIME_LIMIT", 0.2)
    assert _refusal(endless).code == "workbook_limits"


def test_a_cancel_ends_the_child_and_leaves_nothing(endless: Path) -> None:
    class CancelError(Exception):
        pass

    def cancel(_: float) -> None:
        assert len(_children()) == 1
        raise CancelError

    with pytest.raises(CancelError):
        convert(endless, endless.with_suffix(".csv"), kind="xls", sheet=None, on_progress=cancel)
    assert not _children()
    assert list(endless.parent.iterdir()) == [endless]


def test_a_cancel_while_the_list_is_written_leaves_nothing(tmp_path: Path) -> None:
    class CancelError(Exception):
        pass

    def cancel(fraction: float) -> None:
        if fraction >= 0.5:
            assert (tmp_path / "out.csv.part").exists()
            raise CancelError

    path = ods(tmp_path / "w.ods", {"s": [HEADER]})
    with pytest.raises(CancelError):
        convert(path, tmp_path / "out.csv", kind="ods", sheet=None, on_progress=cancel)
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
    path = ods(tmp_path / "w.ods", {"s": [[f"{number}"] for number in range(30_000)]})
    convert(path, tmp_path / "out.csv", kind="ods", sheet=None, on_progress=seen.append)
    assert seen == sorted(seen)
    assert seen[-1] > 0.8
