"""The page of the figures says what the figures say."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import orjson
import pytest

from benchmarks.measuring import Row
from benchmarks.page import write
from benchmarks.plots import plot

ROOT = Path(__file__).resolve().parent.parent
META = {
    "machine": {"system": "Linux-6", "processor": "A <fast> one", "cpus": 2, "memory_bytes": 8 << 30},
    "versions": {"python": "3.11.7", "redis-server": "7.0.15", "evq": "0.1.0", "arq": "0.28.0"},
    "commit": "abc1234",
    "date": "2026-11-28T14:38:39+00:00",
}


def row(
    suite: str, case: str, subject: str, median: float, unit: str = "jobs/s", better: str = "higher"
) -> dict[str, Any]:
    return {
        "suite": suite,
        "case": case,
        "subject": subject,
        "unit": unit,
        "better": better,
        "median": median,
        "min": 0.8 * median,
        "max": 1.2 * median,
        "n": 3,
    }


FIGURES = orjson.dumps(
    {
        "meta": META,
        "rows": [
            row("queue", "drain-best", "evq", 30_000),
            row("queue", "drain-best", "arq", 10_000),
            row("queue", "drain-best", "floor", 90_000),
            row("queue", "drain-best@10k", "evq", 31_000),
            row("queue", "drain-best@10k", "arq", 9_000),
            row("queue", "drain-best@1M", "evq", 29_000),
            row("queue", "latency-idle-p50", "evq", 0.8, "ms", "lower"),
            row("queue", "latency-idle-p50", "arq", 3.2, "ms", "lower"),
            row("qr", "matrix", "evq", 5.0, "µs", "lower"),
            row("qr", "matrix", "segno & co", 500.0, "µs", "lower"),
        ],
    }
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(FIGURES, tmp_path)
    return tmp_path


def test_the_page_says_on_what_machine_of_what_and_when(folder: Path) -> None:
    page = (folder / "README.md").read_text()
    for said in ("2026-11-28", "`abc1234`", "A <fast> one, 2 cores", "8 GiB", "redis-server 7.0.15", "arq 0.28.0"):
        assert said in page


def test_the_page_says_how_each_queue_that_was_measured_is_set_up(folder: Path) -> None:
    page = (folder / "README.md").read_text()
    assert "| arq | 0.28.0 | uvloop, hiredis, 100 jobs, poll_delay 5 ms |" in page
    assert "| floor |  | bare Lua" in page
    assert "dramatiq" not in page


def test_the_page_has_each_figure_with_its_span_and_ratio(folder: Path) -> None:
    page = (folder / "README.md").read_text()
    assert "| drain-best | evq | 30,000 | jobs/s | 24,000 - 36,000 | n=3 | 1.00x |" in page
    assert "|  | arq | 10,000 | jobs/s | 8,000 - 12,000 | n=3 | 3.00x |" in page
    assert "|  | arq | 3.20 | ms | 2.56 - 3.84 | n=3 | 4.00x |" in page  # how many times better evq is
    assert "| matrix | evq | 5.00 | µs | 4.00 - 6.00 | n=3 | 0.01x |" in page  # of the last subject's


def test_the_page_shows_the_plots_there_are_and_keeps_the_figures(folder: Path) -> None:
    shown = re.findall(r"!\[.*?\]\((.*?)\)", (folder / "README.md").read_text())
    assert shown == ["throughput.svg", "latency.svg", "backlog.svg", "qr.svg"]
    assert {path.name for path in folder.iterdir()} == {*shown, "README.md", "figures.json"}
    assert (folder / "figures.json").read_bytes() == FIGURES


def test_the_same_figures_make_the_same_page(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    again = tmp_path_factory.mktemp("again")
    command = [sys.executable, "-m", "benchmarks.page", str(folder / "figures.json"), str(again)]
    subprocess.run(command, cwd=ROOT, check=True)
    assert {path.name: path.read_bytes() for path in again.iterdir()} == {
        path.name: path.read_bytes() for path in folder.iterdir()
    }


def test_a_plot_is_svg_whose_text_is_text_in_light_and_dark(folder: Path) -> None:
    for path in folder.glob("*.svg"):
        assert "prefers-color-scheme: dark" in path.read_text()
    heading = ["matrix", "µs, lower is better, log scale"]
    assert texts(folder / "qr.svg") == [*heading, "1", "10", "100", "1,000", "evq", "5.00", "segno & co", "500"]


def test_cases_that_differ_only_in_how_many_wait_share_a_panel(folder: Path) -> None:
    assert texts(folder / "backlog.svg") == [
        "drain-best",
        "jobs/s, higher is better",
        "evq, 10k waiting",
        "31,000",
        "evq, 1M waiting",
        "29,000",
        "arq, 10k waiting",
        "9,000",
    ]


def test_a_bar_is_as_long_as_its_figure() -> None:
    evq, arq, floor = lengths(30_000, 10_000, 90_000)
    assert evq / arq == pytest.approx(3, abs=0.02)
    assert floor / arq == pytest.approx(9, abs=0.02)


def test_a_bar_is_as_long_as_its_figure_has_digits_if_some_are_far_larger() -> None:
    first, second, third = lengths(1, 10, 100)
    assert second - first == pytest.approx(third - second, abs=0.2)
    assert first > 0


def texts(path: Path) -> list[str]:
    return [element.text or "" for element in ET.parse(path).iter("{http://www.w3.org/2000/svg}text")]


def lengths(*medians: float) -> list[float]:
    bars = [(str(median), Row(**row("queue", "drain-best", "evq", median))) for median in medians]
    return [
        float(element.attrib["width"])
        for element in ET.fromstring(plot({"a panel": bars})).iter("{http://www.w3.org/2000/svg}rect")
    ]
