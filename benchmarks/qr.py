"""How fast the QR code of a ticket is drawn, beside other packages that draw them."""

import time
from collections.abc import Callable, Mapping
from functools import partial
from io import BytesIO
from typing import Final

import zxingcpp
from PIL import Image

from benchmarks import qr_peers
from benchmarks.measuring import Effort, Row, agree, alternate, figures
from evq_ext import qr_matrix, qr_png
from evq_ext.qr import _reference as _qr_reference

TOKEN: Final = "7ZK3QW9M2XR5T8VYB4N6PJ1HDC"  # noqa: S105 - nobody's; 26 characters, as a ticket's token has
FAST: Final = 10_000
SLOW: Final = 50
"""Codes drawn in a round by what is compiled, and by what is not."""


def measure(effort: Effort) -> list[Row]:
    matrix: dict[str, tuple[Callable[[str], int], int]] = {
        "evq": (lambda text: len(qr_matrix(text)), FAST),
        "evq's twin": (lambda text: len(_qr_reference.qr_matrix(text)), SLOW),
        "qrcode": (qr_peers.qrcode_matrix, SLOW),
        "segno": (qr_peers.segno_matrix, SLOW),
        "qrcodegen": (qr_peers.qrcodegen_matrix, SLOW),
        "zxing-cpp": (qr_peers.zxing_matrix, FAST),
    }
    png: dict[str, tuple[Callable[[str], bytes], int]] = {
        "evq": (qr_png, FAST),
        "evq's twin": (_qr_reference.qr_png, SLOW),
        "qrcode": (qr_peers.qrcode_png, SLOW),
        "segno": (qr_peers.segno_png, SLOW),
        "qrcodegen": (qr_peers.qrcodegen_png, SLOW),
        "zxing-cpp": (qr_peers.zxing_png, FAST),
    }
    agree("matrix", {name: draw(TOKEN) for name, (draw, _) in matrix.items()})
    agree("PNG", {name: _read(draw(TOKEN)) for name, (draw, _) in png.items()})
    return [
        *_case("matrix with automatic mask", matrix, effort),
        *_case("PNG, 8 px a module", png, effort),
    ]


def _read(png: bytes) -> tuple[str, tuple[int, int]]:
    """Return what a code says, and its size in pixels."""
    image = Image.open(BytesIO(png))
    (code,) = zxingcpp.read_barcodes(image.convert("L"))
    return code.text, image.size


def _case(name: str, subjects: Mapping[str, tuple[Callable[[str], object], int]], effort: Effort) -> list[Row]:
    runs = {subject: partial(_time, draw, effort.of(count)) for subject, (draw, count) in subjects.items()}
    return figures("qr", name, alternate(runs, effort.rounds), unit="µs", better="lower")


def _time(draw: Callable[[str], object], count: int) -> float:
    start = time.perf_counter()
    for _ in range(count):
        draw(TOKEN)
    return 1e6 * (time.perf_counter() - start) / count
