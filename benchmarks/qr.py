"""How fast the QR code of a ticket is drawn, beside the library's part of it: the matrix of modules alone."""

import time
from functools import partial
from typing import Final

from qrcode import QRCode
from qrcode.constants import ERROR_CORRECT_M

from benchmarks.measuring import Effort, Row, alternate, figures, rate
from evq_ext import qr_png

CODES: Final = 50
TOKEN: Final = "0123456789ABCDEFGHJKMNPQRS"  # noqa: S105 - nobody's; 26 characters, as a ticket's token has


def measure(effort: Effort) -> list[Row]:
    count = effort.of(CODES)
    subjects = {"qr_png": partial(_draw, count), "qrcode's matrix": partial(_make_matrix, count)}
    taken = alternate(subjects, effort.rounds)
    return figures("qr", "26-character token", taken, unit="codes/s", better="higher")


def _draw(count: int) -> float:
    start = time.perf_counter()
    for _ in range(count):
        qr_png(TOKEN)
    return rate(count, start)


def _make_matrix(count: int) -> float:
    start = time.perf_counter()
    for _ in range(count):
        code: QRCode = QRCode(error_correction=ERROR_CORRECT_M, border=0)
        code.add_data(TOKEN, optimize=0)
        code.make()
    return rate(count, start)
