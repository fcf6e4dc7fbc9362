"""`python -m benchmarks.page FIGURES FOLDER`: make a page of the figures that a run has saved, with plots."""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import orjson

from benchmarks import queue
from benchmarks.measuring import Row
from benchmarks.plots import Bars, plot
from benchmarks.showing import cells, compared

SECTIONS: Final = {
    "throughput": ("The queue: jobs a second", "Enqueueing in three ways, and draining one job at a time and many."),
    "latency": ("The queue: how soon a job begins", "On an idle worker, and after a delay of a second."),
    "memory": ("The queue: memory of Redis", "With a payload of 150 bytes; what is kept of a completed job differs."),
    "backlog": (
        "The queue: behind many waiting jobs",
        "Bars of one case that are equally long mean that a backlog costs nothing. The scripts are evq's own.",
    ),
    "import": ("Reading a participants file", "Parsed, cleaned, validated and de-duplicated."),
    "qr": ("QR codes", "Of a ticket's token, at the same level."),
    "server": ("The server", "Beside the least that does the same: nothing checked, hashed, synced or looked up."),
    "pipeline": ("The whole import", "From the upload to the QR archive; and its save by itself."),
}
"""Of the page, in its order: title, and what is to be seen."""
READING: Final = """\
Read the ratios first: absolute figures belong to this machine at that moment. Each figure is the median of the rounds;
*min - max* are the smallest and the largest of them, the thin line in a plot. Where they lie far apart, something else
was running. A blue bar is evq, a light one the floor, which promises nothing. For the queue the ratio is how many times
better evq is than that subject, whichever way is better; elsewhere it is the median divided by that of the case's last
subject. [How everything is measured](../../benchmarks/README.md) says what each case is, and what the subjects do not
promise alike."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.page", description=__doc__)
    parser.add_argument("figures", type=Path, help="what `python -m benchmarks --json` has saved")
    parser.add_argument("folder", type=Path, help="where README.md and the plots go")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    write(options.figures.read_bytes(), options.folder)


def write(figures: bytes, folder: Path) -> None:
    """Write the page, a plot for each of its sections that has figures, and the figures themselves."""
    document = orjson.loads(figures)
    rows = [Row(**row) for row in document["rows"]]
    sections = {name: [row for row in rows if _section(row) == name] for name in SECTIONS}
    sections = {name: some for name, some in sections.items() if some}
    for name, some in sections.items():
        (folder / f"{name}.svg").write_text(plot(_panels(some)), encoding="utf-8")
    (folder / "README.md").write_text("\n".join(_page(document["meta"], sections)) + "\n", encoding="utf-8")
    (folder / "figures.json").write_bytes(figures)


def _section(row: Row) -> str:
    if row.suite != "queue":
        return row.suite
    return "backlog" if "@" in row.case else {"ms": "latency", "bytes/job": "memory"}.get(row.unit, "throughput")


def _panels(rows: Sequence[Row]) -> dict[str, Bars]:
    """Give each case a panel; those that differ only in how many jobs are waiting share one."""
    panels: dict[str, list[tuple[str, Row]]] = {}
    for row in rows:
        case, _, waiting = row.case.partition("@")
        panels.setdefault(case, []).append((f"{row.subject}, {waiting} waiting" if waiting else row.subject, row))
    return {case: sorted(bars, key=lambda bar: bar[1].subject != "evq") for case, bars in panels.items()}


def _page(meta: Mapping[str, Any], sections: Mapping[str, Sequence[Row]]) -> Iterator[str]:
    machine, versions = meta["machine"], meta["versions"]
    yield "# The figures\n"
    yield f"Measured on {meta['date'][:10]} at commit `{meta['commit']}`; written by `python -m benchmarks.page`"
    yield "from [the run's JSON](figures.json).\n"
    yield f"{READING}\n"
    yield "| machine | |\n|---|---|"
    yield f"| processor | {machine['processor']}, {machine['cpus']} cores |"
    yield f"| memory | {machine['memory_bytes'] / 2**30:.0f} GiB |"
    yield f"| system | {machine['system']} |"
    yield f"| versions | {', '.join(f'{name} {version}' for name, version in versions.items())} |"
    measured = {row.subject for rows in sections.values() for row in rows if row.suite == "queue"}
    if measured:
        yield "\n| queue | version | setting |\n|---|---|---|"
    for name, subject in {"evq": queue.EVQ, **queue.PEERS, "floor": queue.FLOOR}.items():
        if name in measured:
            yield f"| {name} | {versions.get(name, '')} | {subject.setting} |"
    for name, rows in sections.items():
        title, what = SECTIONS[name]
        yield f"\n## {title}\n\n{what}\n\n![{title}]({name}.svg)\n"
        yield "| case | subject | median | | min - max | rounds | ratio |\n|---|---|--:|---|--:|--:|--:|"
        for case, some in groupby(compared(rows), key=lambda pair: pair[0].case):
            shown = case
            for row, ratio in some:
                yield f"| {' | '.join((shown, *cells(row, ratio)))} |"
                shown = ""


if __name__ == "__main__":
    main()
