"""`python -m benchmarks`: measure, show, and save."""

import argparse
import sys
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Final

from rich.console import Console

from benchmarks import queue
from benchmarks.measuring import FULL, QUICK, Effort, Row
from benchmarks.showing import save, show

SUITES: Final = {
    "queue": "benchmarks.queue",
    "import": "benchmarks.imports",
    "qr": "benchmarks.qr",
    "server": "benchmarks.server",
    "pipeline": "benchmarks.pipeline",
    "scaling": "benchmarks.scaling",
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure evq; see benchmarks/README.md.")
    parser.add_argument("suite", nargs="?", choices=SUITES, help="one suite only (default: all)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="save the figures as JSON")
    parser.add_argument("--quick", action="store_true", help="one round of a small load: to see that it works")
    parser.add_argument("--peers", default="all", metavar="all|none|NAME,...", help="beside what the queue is measured")
    parser.add_argument("--huge", action="store_true", help="evq with 5 million jobs waiting, too, which takes 3 GB")
    options = parser.parse_args()
    try:
        peers = queue.chosen(options.peers)
    except ValueError as error:
        parser.error(f"--peers: {error}")
    if options.json and not options.json.absolute().parent.is_dir():
        parser.error(f"--json {options.json}: there is no such folder; make it first")
    rows: list[Row] = []
    load = partial(_load, peers=peers, huge=options.huge)
    for measure in [load(name) for name in ([options.suite] if options.suite else SUITES)]:
        measured = measure(QUICK if options.quick else FULL)
        show(measured, Console())
        rows += measured
        if options.json:
            save(rows, options.json)  # what has been measured is kept, whatever comes of the rest


def _load(suite: str, *, peers: Sequence[str], huge: bool) -> Callable[[Effort], list[Row]]:
    if suite == "queue":
        return partial(queue.measure, peers=peers, huge=huge)
    try:
        measure: Callable[[Effort], list[Row]] = import_module(SUITES[suite]).measure
    except ModuleNotFoundError as missing:
        sys.exit(
            f"{missing.name} is not installed, beside which evq is measured; `make bench` installs all such peers."
        )
    return measure


if __name__ == "__main__":
    main()
