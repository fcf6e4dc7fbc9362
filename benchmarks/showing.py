"""What is shown of the figures: a table in a terminal, plain lines where they are piped, JSON in a file."""

import datetime as dt
import os
import platform
import re
import subprocess
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import distributions, version
from pathlib import Path

import orjson
import psutil
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from benchmarks import queue
from benchmarks.environments import version_of
from benchmarks.measuring import Row, advantages, ratios
from benchmarks.redis_server import newest_server, version_of_server

PACKAGES = ("evq", "redis", "hiredis", "orjson", "anyio", "email-validator", "phonenumbers", "qrcode")
PEERS = ("pillow", "polars", "pydantic", "qrcodegen", "segno", "zxing-cpp")


def show(rows: Sequence[Row], console: Console) -> None:
    """Print the figures of one suite."""
    if console.is_terminal:
        console.print(_table(rows))
    else:
        for row, ratio in compared(rows):
            print(row.suite, row.case, *cells(row, ratio), sep="  ")


def compared(rows: Sequence[Row]) -> list[tuple[Row, float]]:
    """Pair each row with its ratio: in the suite that has many peers, of evq to each of them."""
    return advantages(rows) if rows[0].suite == "queue" else ratios(rows)


def _table(rows: Sequence[Row]) -> Table:
    table = Table("case", "subject", title=rows[0].suite, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for heading in ("median", "unit", "min - max", "", "ratio"):
        table.add_column(heading, justify="left" if heading == "unit" else "right", no_wrap=True)
    case = ""
    for row, ratio in compared(rows):
        if row.case != case:
            table.add_section()
        table.add_row(row.case if row.case != case else "", *cells(row, ratio))
        case = row.case
    return table


def cells(row: Row, ratio: float) -> tuple[str, ...]:
    """Return what is shown of a row: subject, median, unit, min - max, rounds, ratio."""
    span = f"{short(row.min)} - {short(row.max)}"
    return row.subject, short(row.median), row.unit, span, f"n={row.n}", f"{ratio:.2f}x"


def short(value: float) -> str:
    """Return a figure as it is shown."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"


def save(rows: Sequence[Row], path: Path) -> None:
    """Write what was measured, where and with what, as {"meta": ..., "rows": [...]}."""
    document = {"meta": _meta(rows), "rows": [asdict(row) for row in rows]}
    path.write_bytes(orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))


def _meta(rows: Sequence[Row]) -> dict[str, object]:
    server = newest_server()
    return {
        "machine": {
            "system": platform.platform(),
            "processor": _processor(),
            "cpus": os.cpu_count(),
            "memory_bytes": psutil.virtual_memory().total,
        },
        "versions": {
            "python": platform.python_version(),
            Path(server).name: version_of_server(server),
            **{package: version(package) for package in PACKAGES},
            **{peer: version(peer) for peer in PEERS if any(distributions(name=peer))},
            **{
                name: version_of(name.split("-")[0], peer.program)
                for name, peer in queue.PEERS.items()
                if any(row.subject == name for row in rows)
            },
        },
        "commit": _answer(["git", "--no-optional-locks", "describe", "--always", "--dirty"]),
        "date": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
    }


def _processor() -> str:
    """Return what the processor is called; nothing if nobody says."""
    cpus = Path("/proc/cpuinfo")
    name = re.search(r"^model name\s*: (.+)$", cpus.read_text(), re.MULTILINE) if cpus.exists() else None
    return name[1] if name else platform.processor()


def _answer(command: Sequence[str]) -> str:
    """Return what a program prints; nothing if it is not there or fails."""
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return answer.stdout.strip()
