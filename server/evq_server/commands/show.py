"""What the commands show of an import: a live bar in a terminal, plain lines where there is none."""

from collections.abc import AsyncIterator
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

STEPS = {
    "waiting": "waiting for a worker",
    "parse": "reading the file",
    "validate": "checking the rows",
    "save": "saving participants",
    "tokens": "tickets and QR codes",
    "emails": "scheduling e-mails",
}


async def show_progress(console: Console, frames: AsyncIterator[dict[str, Any]]) -> dict[str, Any]:
    """Show a job's progress until its end; return the last frame."""
    return await (_bar(console, frames) if console.is_terminal else _lines(console, frames))


def nobody_imported(result: dict[str, Any]) -> str:
    """Say that every row has errors; empty if not so, as whoever is skipped is in the event already."""
    if result["processedCount"] or result["skippedCount"] or not result["errorCount"]:
        return ""
    return f"Nobody was imported; every row has errors ({result['errorCount']:,})."


async def _bar(console: Console, frames: AsyncIterator[dict[str, Any]]) -> dict[str, Any]:
    columns = (TextColumn("{task.description:24}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    frame: dict[str, Any] = {}
    with Progress(*columns, TextColumn("{task.fields[left]}"), console=console) as bar:
        task = bar.add_task(STEPS["waiting"], total=100, left="")
        async for frame in frames:
            if progress := _progress(frame):
                left = progress["estimatedTimeRemaining"]
                bar.update(
                    task,
                    completed=progress["percentage"],
                    description=STEPS.get(progress["currentStep"], progress["currentStep"]),
                    left=f"about {left:.0f} s left" if left and left >= 1 else "",
                )
    return frame


async def _lines(console: Console, frames: AsyncIterator[dict[str, Any]]) -> dict[str, Any]:
    frame: dict[str, Any] = {}
    shown = None
    async for frame in frames:
        if progress := _progress(frame):
            now = (progress["currentStep"], progress["percentage"] // 10)
            if now != shown:
                shown = now
                console.print(f"{progress['percentage']:5.1f} %  {STEPS.get(now[0], now[0])}", highlight=False)
    return frame


def _progress(frame: dict[str, Any]) -> dict[str, Any] | None:
    data: dict[str, Any] = frame["data"]
    return data if frame["event"] == "progress" else data["progress"]
