"""Plots of figures: bars with their span, as SVG written by hand; the same figures give the same bytes."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from html import escape
from typing import Final

from benchmarks.measuring import Row
from benchmarks.showing import short

LABEL: Final = 230
BAR: Final = 430
WIDTH: Final = 760
"""Where bars begin, how long they may be, and how wide all of it is; what is left is for the numbers."""
HEAD: Final = 44
LINE: Final = 22
FOOT: Final = 26
"""Of a panel: its heading, each of its bars, and the scale below them."""
APART: Final = 30.0
"""A panel whose figures are further apart than this has a logarithmic scale: the small ones could not be told else."""
STYLE: Final = """\
text { font: 13px system-ui, sans-serif; fill: #1f2328 }
.heading { font-weight: 600 }
.side { fill: #59636e; font-size: 11px }
.bar { fill: #818b98 }
.evq { fill: #0969da }
.floor { fill: #c8cfd7 }
.span { stroke: #1f2328; stroke-width: 1.5 }
.scale { stroke: #d1d9e0 }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc }
  .side { fill: #9198a1 }
  .bar { fill: #7d8590 }
  .evq { fill: #4493f8 }
  .floor { fill: #444c56 }
  .span { stroke: #f0f6fc }
  .scale { stroke: #3d444d }
}"""

Bars = Sequence[tuple[str, Row]]
"""Rows with their labels."""


def plot(panels: Mapping[str, Bars]) -> str:
    """Draw panels of bars one below the other, each with its own scale."""
    elements: list[str] = []
    top = 0
    for heading, bars in panels.items():
        elements += _panel(heading, bars, top)
        top += HEAD + LINE * len(bars) + FOOT
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top}" role="img">',
        f"<style>\n{STYLE}\n</style>",
        *elements,
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _panel(heading: str, bars: Bars, top: int) -> Iterator[str]:
    place, ticks = _scale([row for _, row in bars])
    bottom = top + HEAD + LINE * len(bars)
    first = bars[0][1]
    yield _text(0, top + 22, heading, "heading")
    unit = f"{first.unit}, {first.better} is better{', log scale' if ticks else ''}"
    yield _text(WIDTH, top + 22, unit, "side", anchor="end")
    for tick in ticks:
        x = place(tick)
        yield f'<line class="scale" x1="{x:.1f}" x2="{x:.1f}" y1="{top + HEAD - 8}" y2="{bottom}"/>'
        yield _text(x, bottom + 14, f"{tick:,.0f}" if tick >= 1 else f"{tick:g}", "side", anchor="middle")
    for number, (label, row) in enumerate(bars):
        y = top + HEAD + LINE * number
        kind = {"evq": "bar evq", "floor": "bar floor"}.get(row.subject, "bar")
        low, median, high = place(row.min), place(row.median), place(row.max)
        yield _text(LABEL - 8, y + 10, label, anchor="end")
        yield f'<rect class="{kind}" x="{LABEL}" y="{y - 2}" width="{median - LABEL:.1f}" height="16"/>'
        yield f'<line class="span" x1="{low:.1f}" x2="{high:.1f}" y1="{y + 6}" y2="{y + 6}"/>'
        yield _text(max(median, high) + 6, y + 10, short(row.median))


def _scale(rows: Sequence[Row]) -> tuple[Callable[[float], float], list[float]]:
    """Return where a value lies, and the ticks of a logarithmic scale; a linear one needs none, as it begins at 0."""
    low, high = min(row.min for row in rows), max(row.max for row in rows)
    if high <= APART * low:
        return lambda value: LABEL + BAR * value / high, []
    first, last = math.floor(math.log10(low / 2)), math.ceil(math.log10(high))
    ticks = [10.0**power for power in range(first, last + 1)]
    return lambda value: LABEL + BAR * (math.log10(value) - first) / (last - first), ticks


def _text(x: float, y: float, text: str, kind: str = "", *, anchor: str = "start") -> str:
    side = f' class="{kind}"' if kind else ""
    return f'<text{side} x="{x:.1f}" y="{y}" text-anchor="{anchor}">{escape(text)}</text>'
