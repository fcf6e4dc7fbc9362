"""Workbooks of other kinds (XLS, XLSB, ODS) become canonical CSV in a child process that may die without harm.

Their parser is native code that sizes its grid by the farthest cell: on a hostile workbook it can exhaust memory, abort
or run for minutes, and none of these can be caught. So it runs in a child with hard limits, and whatever ends the child
is an ordinary error of the file.

The child writes one JSON object a line to its stdout: `{"progress": 0.4}` as it goes, and at the end either
`{"sheet": "...", "hidden": [...], "others": [...]}` or `{"refused": "...", "params": {...}}`.
"""

import csv
import ctypes
import datetime as dt
import json
import os
import resource
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Literal

from python_calamine import (
    CalamineSheet,
    CalamineWorkbook,
    PasswordError,
    SheetTypeEnum,
    SheetVisibleEnum,
)

from evq_ext import SHEET_READ_COLUMNS, cell_name
from evq_server.files.archive import Archive
from evq_server.files.choosing import CELL_LIMIT, HEAD_ROWS, Chosen, Sheet, choose, fields_named, hidden_from, wanted
from evq_server.files.refusals import FileError

MEMORY_LIMIT = 1 << 30  # bytes of address space
CPU_LIMIT = 60  # s
TIME_LIMIT = 120.0  # s, by the wall clock
OUTPUT_LIMIT = 1 << 30  # bytes of canonical CSV

_POLL = 0.05  # s between two looks at the child
_PR_SET_PDEATHSIG = 1
_EXACT = 2**53  # below it every integral float is the integer that was meant

Kind = Literal["xls", "xlsb", "ods"]
Value = str | float | bool | dt.date | dt.time | dt.timedelta


def convert(
    workbook: Path, out: Path, *, kind: Kind, sheet: str | None, on_progress: Callable[[float], None]
) -> Chosen:
    """Write one sheet of *workbook* to *out* as UTF-8 CSV whose record n is the sheet's row n.

    Without *sheet* it is the visible sheet whose header names the most fields. *on_progress* gets a fraction, 0 to 1,
    at least every 50 ms, and may raise to stop. Raises FileError if the workbook cannot be read.
    """
    part = out.with_name(f"{out.name}.part")
    named = out.with_name(f"{out.name}.{kind}")  # the parser goes by the name
    command = [sys.executable, "-m", "evq_server.files.sheets", str(os.getpid()), str(named), str(part)]
    if sheet is not None:
        command.append(sheet)
    try:
        named.symlink_to(workbook.absolute())
        # stderr is dropped: a panic of the parser quotes cells there
        with subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as child:
            try:
                chosen = _follow(child, on_progress)
            finally:
                child.kill()
        part.replace(out)
    finally:
        part.unlink(missing_ok=True)
        named.unlink(missing_ok=True)
    return chosen


def _follow(child: "subprocess.Popen[bytes]", on_progress: Callable[[float], None]) -> Chosen:
    """Read the child's lines until it says which sheet it has written."""
    fraction = 0.0
    for line in _lines(child, deadline=time.monotonic() + TIME_LIMIT):
        said = json.loads(line) if line else {}
        if "refused" in said:
            raise FileError(said["refused"], **said["params"])
        if "sheet" in said:
            return Chosen(said["sheet"], said["hidden"], said["others"])
        fraction = said.get("progress", fraction)
        on_progress(fraction)
    raise FileError("workbook_limits", gigabytes=MEMORY_LIMIT >> 30, seconds=CPU_LIMIT)


def _lines(child: "subprocess.Popen[bytes]", *, deadline: float) -> Iterator[bytes]:
    """Yield the lines of the child's stdout, and an empty one after 50 ms of silence, until it or the time ends."""
    assert child.stdout is not None  # noqa: S101 - a pipe was asked for; this tells the type checker
    output, rest = child.stdout.fileno(), b""
    with selectors.DefaultSelector() as selector:
        selector.register(output, selectors.EVENT_READ)
        while time.monotonic() < deadline:
            if not selector.select(_POLL):
                yield b""
                continue
            received = os.read(output, 65536)
            if not received:
                return
            *lines, rest = (rest + received).split(b"\n")
            yield from lines


# The child


def main(parent: str, workbook: str, out: str, sheet: str | None = None) -> None:
    """Run in the child: limit this process, convert, and report on stdout."""
    _limit_this_process(int(parent))
    path = Path(workbook)
    try:
        if path.suffix != ".xls":
            _check_archive(path)
        chosen, hidden, others = _choose(path, sheet)
        _write(chosen, Path(out))
    except FileError as error:
        _say(refused=error.code, params=error.params)
    except PasswordError:
        _say(refused="workbook_locked", params={})
    except MemoryError:
        sys.exit(1)  # which the parent takes for what it is
    except BaseException:  # noqa: BLE001  the parser's errors have no common ancestor, and its panics are no Exception
        _say(refused="workbook_damaged", params={})
    else:
        _say(sheet=chosen.name, hidden=hidden, others=others)


def _check_archive(path: Path) -> None:
    with Archive(path) as archive:
        for done in archive.check_all():
            _say(progress=0.3 * min(1.0, done / path.stat().st_size))


def _limit_this_process(parent: int) -> None:
    """Bound memory, time and output, write no core dump, and die with the parent (Linux)."""
    for limit, value in (
        (resource.RLIMIT_AS, MEMORY_LIMIT),
        (resource.RLIMIT_CPU, CPU_LIMIT),
        (resource.RLIMIT_FSIZE, OUTPUT_LIMIT),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(limit, (value, value))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the line above
        sys.exit(1)


def _choose(path: Path, name: str | None) -> tuple[CalamineSheet, list[str], list[str]]:
    """Load the sheet called *name*, or the visible one whose header names the most fields, or the first visible one.

    Return it, and the names of the hidden ones that were not looked at, and of others that have a header.
    """
    workbook = CalamineWorkbook.from_path(path)
    sheets = [
        Sheet(sheet.name, sheet.visible == SheetVisibleEnum.Visible)
        for sheet in workbook.sheets_metadata
        if sheet.typ == SheetTypeEnum.WorkSheet
    ]
    candidates = (workbook.get_sheet_by_name(sheet.name) for sheet in wanted(sheets, name))
    sheet, others = choose(candidates, _fields_named)
    return sheet, hidden_from(sheets, name), others


def _fields_named(sheet: CalamineSheet) -> int:
    head = islice(sheet.iter_rows(), HEAD_ROWS)
    return fields_named([(number, tuple(map(text_of, row))) for number, row in enumerate(head, start=1)])


def _write(sheet: CalamineSheet, out: Path) -> None:
    with out.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        indent = [""] * (sheet.start[1] if sheet.start else 0)  # the parser leaves out empty columns before the first
        for number, row in enumerate(sheet.iter_rows(), start=1):
            cells = [*indent, *map(text_of, row)]
            while cells and not cells[-1]:
                cells.pop()
            if len(cells) > SHEET_READ_COLUMNS:
                raise FileError("sheet_too_wide", sheet=sheet.name, cell=cell_name(number, len(cells)))
            writer.writerow(cells)
            if number % 10_000 == 1:
                _say(progress=0.5 + 0.5 * number / (sheet.total_height + 1))


def text_of(value: Value) -> str:
    """Return a cell as text: whole numbers without a point, dates in ISO 8601, no line ends, no endless text.

    A line end inside a cell means nothing to a name or an address; without them every record is one line. A cell that
    is too long keeps one character too many, so that the row is rejected for it.
    """
    match value:
        case bool():
            return "TRUE" if value else "FALSE"
        case float() if value.is_integer() and abs(value) < _EXACT:
            return str(int(value))
        case dt.date() | dt.time():
            return _moment(value)
        case dt.timedelta():
            return _duration(value)
        case _:
            return " ".join(str(value)[: CELL_LIMIT + 1].splitlines())


def _moment(value: dt.date | dt.time) -> str:
    if isinstance(value, dt.datetime | dt.time):
        return value.isoformat(timespec="milliseconds" if value.microsecond else "seconds")
    return value.isoformat()


def _duration(value: dt.timedelta) -> str:
    """Return a duration in hours, as a spreadsheet shows it."""
    milliseconds = value // dt.timedelta(milliseconds=1)
    sign, milliseconds = ("-", -milliseconds) if milliseconds < 0 else ("", milliseconds)
    minutes, rest = divmod(milliseconds, 60_000)
    seconds, fraction = divmod(rest, 1_000)
    return f"{sign}{minutes // 60}:{minutes % 60:02}:{seconds:02}" + (f".{fraction:03}" if fraction else "")


def _say(**what: object) -> None:
    sys.stdout.write(f"{json.dumps(what)}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
