"""Draw QR codes as SVG: text is made once for a page, so that plain Python is fast enough."""

import re
from collections.abc import Sequence

from evq_ext.qr._rules import check_border

_DARK = re.compile(b"\x01+")


def draw_svg(matrix: Sequence[bytes], border: int) -> str:
    """Return an SVG of one path, one unit to a module, with a quiet zone of *border* modules.

    Raises QrError for a border that cannot be.
    """
    check_border(border)
    side = len(matrix) + 2 * border
    path = "".join(
        f"M{run.start() + border},{y}h{len(run[0])}v1h-{len(run[0])}z"
        for y, row in enumerate(matrix, border)
        for run in _DARK.finditer(row)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {side} {side}" shape-rendering="crispEdges">'
        f'<path fill="#fff" d="M0,0h{side}v{side}h-{side}z"/><path d="{path}"/></svg>'
    )
