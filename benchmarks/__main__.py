"""`python -m benchmarks`: measure, show, and save."""

import argparse
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from benchmarks import imports, qr, queue
from benchmarks.measuring import FULL, QUICK, Effort, Row
from benchmarks.showing import save, show

SUITES: dict[str, Callable[[Effort], list[Row]]] = {
    "import": imports.measure,
    "qr": qr.measure,
    "queue": queue.measure,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure evq; see benchmarks/README.md.")
    parser.add_argument("suite", nargs="?", choices=SUITES, help="one suite only (default: all)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="save the figures as JSON")
    parser.add_argument("--quick", action="store_true", help="one round of a small load: to see that it works")
    options = parser.parse_args()
    if options.json and not options.json.absolute().parent.is_dir():
        parser.error(f"--json {options.json}: there is no such folder; make it first")
    rows: list[Row] = []
    for name in [options.suite] if options.suite else SUITES:
        measured = SUITES[name](QUICK if options.quick else FULL)
        show(measured, Console())
        rows += measured
    if options.json:
        save(rows, options.json)


if __name__ == "__main__":
    main()
