"""What commands print: tables for people, aligned lines for pipes, JSON for programs."""

import sys
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import click
import orjson
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

WIDE: Final = 100_000
"""Columns of what is no terminal, so that a line stays a line."""

T = TypeVar("T")
Cell = str | Text


class Output:
    """Where a command says what it found."""

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json

    def show(self, wire: Any, *views: RenderableType) -> None:
        """Print *wire* as one JSON document, if that is wanted, or else the *views*, for people."""
        if self.as_json:
            indent = orjson.OPT_INDENT_2 if sys.stdout.isatty() else 0
            click.echo(orjson.dumps(wire, option=indent))
            return
        for view in views:
            click.echo(_render(view))


def _render(view: RenderableType) -> str:
    terminal = sys.stdout.isatty()
    console = Console(width=None if terminal else WIDE, markup=False, highlight=False, emoji=False)
    with console.capture() as captured:
        console.print(plain(view) if isinstance(view, str) else view)
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


def table(items: Iterable[T], columns: Mapping[str, Callable[[T], Cell]]) -> Table:
    """Make a table of *items*: a row each, whose cells the *columns* make of it."""
    grid = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for heading in columns:
        grid.add_column(heading, overflow="fold")
    for item in items:
        grid.add_row(*(_cell(make(item)) for make in columns.values()))
    return grid


def facts(told: Mapping[str, Cell | None]) -> Table:
    """Make a table of names and values; those that are None or empty are left out."""
    grid = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    grid.add_column(style="bold")
    grid.add_column(overflow="fold")
    for name, value in told.items():
        if value:
            grid.add_row(name, _cell(value))
    return grid


def _cell(value: Cell) -> Text:
    return value if isinstance(value, Text) else Text(plain(value))


def plain(text: str) -> str:
    """Return *text* without what could steer a terminal: it may come from anywhere."""
    return "".join(c if c.isprintable() or c == "\n" else " " if c == "\t" else "\ufffd" for c in text)


# Values in words

STYLES: Final = {
    "completed": "green", "failed": "red", "cancelled": "yellow", "active": "cyan", "parked": "yellow",
    "ok": "green", "pending": "yellow", "firing": "bold red", "recovering": "yellow", "paused": "bold yellow",
}  # fmt: skip


def word(state: str) -> Text:
    """Return a state in its colour."""
    return Text(state, style=STYLES.get(state, ""))


def local(at: float | datetime | None) -> str:
    """Return a moment (ms since the epoch, or with a zone) in local time."""
    return "" if at is None else _time(at).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def iso(at: float | datetime | None) -> str | None:
    """Return a moment (ms since the epoch, or with a zone) as ISO 8601 in UTC."""
    return None if at is None else _time(at).astimezone(UTC).isoformat(timespec="milliseconds")


def _time(at: float | datetime) -> datetime:
    return at if isinstance(at, datetime) else datetime.fromtimestamp(at / 1000, UTC)


def span(seconds: float | None) -> str:
    """Return a time in its two largest units."""
    if seconds is None:
        return "-"
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 24 else f"{hours // 24} d {hours % 24} h"


def share(value: float | None) -> str:
    """Return a share (0 to 1) in percent."""
    return "-" if value is None else f"{value:.1%}"


def size(count: int) -> str:
    """Return a number of bytes in MB, of 10⁶."""
    return f"{count / 1e6:.0f} MB"
