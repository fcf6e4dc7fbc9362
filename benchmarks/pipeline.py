"""How fast an import is as a whole, and its save by itself."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import anyio

from benchmarks import pipeline_peers
from benchmarks.measuring import CASE_SECONDS, Effort, Row, alternate, figures
from benchmarks.people import people_csv
from benchmarks.redis_server import forget_redis
from benchmarks.saving import SaveLab
from evq_server.commands.client import Client
from evq_server.settings import Settings
from evq_server.stack import stack

SAVED: Final = 1_000_000
ROWS: Final = 100_000
SAMPLE: Final = 100
"""Rows of which the usual stack's time for all is reckoned: it takes minutes for them."""
WORKERS: Final = 2


def measure(effort: Effort) -> list[Row]:
    with TemporaryDirectory(prefix="evq-benchmark-") as folder:
        saved = _save(Path(folder), effort.of(SAVED), effort.rounds)
    with TemporaryDirectory(prefix="evq-benchmark-") as folder:
        return saved + _whole(Path(folder), effort.of(ROWS), effort.rounds)


def _save(folder: Path, count: int, rounds: int) -> list[Row]:
    lab = SaveLab(folder, count)
    case = f"save {count:,} rows into a table of {count:,}"
    taken = alternate({"evq": lab.save, "executemany": lab.executemany}, rounds)
    return [
        *figures("pipeline", case, taken, unit="rows/s", better="higher"),
        *[
            row
            for what, waits in lab.waits().items()
            for row in figures("pipeline", f"a {what} beside the save", waits, unit="ms", better="lower")
        ],
        *figures("pipeline", "the longest transaction", {"evq": lab.longest}, unit="ms", better="lower"),
    ]


def _whole(folder: Path, count: int, rounds: int) -> list[Row]:
    upload, sample = folder / "people.csv", folder / "sample.csv"
    lines = people_csv(count).splitlines(keepends=True)
    upload.write_text("".join(lines), encoding="utf-8", newline="")
    sample.write_text("".join(lines[: 1 + SAMPLE]), encoding="utf-8", newline="")
    runs = anyio.run(_run, folder / "data", upload, rounds, backend_options={"use_uvloop": True})
    start = time.perf_counter()
    pipeline_peers.usual_stack(sample, folder)
    usual = (time.perf_counter() - start) * count / min(SAMPLE, count)
    case = f"import {count:,} rows, upload to QR archive"
    steps: dict[str, list[float]] = {}
    for run in runs:
        for step, seconds in run.steps.items():  # one that was too short is not among them
            steps.setdefault(f"of which {step}", []).append(seconds)
    return [
        *figures(
            "pipeline",
            case,
            {"evq": [run.seconds for run in runs], f"the usual stack, from {SAMPLE} rows": [usual]},
            unit="s",
            better="lower",
        ),
        *[
            row
            for step, taken in steps.items()
            for row in figures("pipeline", step, {"evq": taken}, unit="s", better="lower")
        ],
        *figures("pipeline", "its progress", {"evq": [run.rate for run in runs]}, unit="reports/s", better="higher"),
        *figures("pipeline", "its longest silence", {"evq": [run.silence for run in runs]}, unit="ms", better="lower"),
    ]


@dataclass
class _Run:
    """What an organiser sees of one import: when it began, and when which report came, s."""

    start: float
    reports: list[tuple[float, str]] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        return self.reports[-1][0] - self.start

    @property
    def rate(self) -> float:
        return len(self.reports) / self.seconds

    @property
    def silence(self) -> float:
        times = [self.start, *(at for at, _ in self.reports)]
        return 1000 * max(later - earlier for earlier, later in pairwise(times))

    @property
    def steps(self) -> dict[str, float]:
        """How long each step took; the upload is what comes before the first."""
        taken = {"upload": self.reports[0][0] - self.start}
        for (earlier, step), (later, _) in pairwise(self.reports):
            taken[step] = taken.get(step, 0.0) + later - earlier
        return {step: seconds for step, seconds in taken.items() if seconds}


async def _run(data: Path, upload: Path, rounds: int) -> Sequence[_Run]:
    """Import the file into an event of its own each time, by a server with its workers; the first is the warm-up."""
    forget_redis()
    runs: list[_Run] = []
    give_up = time.monotonic() + CASE_SECONDS
    settings = Settings(data=data, port=0, workers=WORKERS)
    async with stack(settings, log_level="ERROR") as running, Client(running.url, running.key) as client:
        while len(runs) < 2 or (len(runs) <= rounds and time.monotonic() < give_up):
            event = f"event-{len(runs)}"
            await client.put_event(event, event, "en")
            runs.append(await _import(client, event, upload))
    return runs[1:]


async def _import(client: Client, event: str, upload: Path) -> _Run:
    run = _Run(time.perf_counter())
    job_id = await client.upload(event, upload, {})
    frame: dict[str, Any] = {}
    async for frame in client.follow(job_id):
        progress = frame["data"] if frame["event"] == "progress" else frame["data"]["progress"]
        run.reports.append((time.perf_counter(), progress["currentStep"] if progress else "queued"))
    if frame["event"] != "completed":
        raise RuntimeError(f"The import has not completed: {frame['data']['error']}.")
    return run
