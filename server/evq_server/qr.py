"""QR codes as PNG and SVG, without an imaging library.

The matrix comes from `qrcode`: error correction M, the smallest version that holds the text, and the mask with the
fewest penalty points, as ISO/IEC 18004 asks. Text of capitals, digits and ` $%*+-./:` is written alphanumerically.
"""

import struct
import zlib

from qrcode import QRCode
from qrcode.constants import ERROR_CORRECT_M


def qr_png(text: str, *, scale: int = 8, border: int = 4) -> bytes:
    """Draw *text* as a PNG (1-bit grey) with *scale* pixels to a module and a quiet zone of *border* modules."""
    matrix = _matrix(text)
    side = (len(matrix) + 2 * border) * scale
    stride = (side + 7) // 8
    blank = b"\xff" * stride
    lines = [blank] * (border * scale)
    for modules in matrix:
        bits = "1" * (border * scale) + "".join(("0" if dark else "1") * scale for dark in modules)
        lines += [int(bits.ljust(stride * 8, "1"), 2).to_bytes(stride)] * scale
    lines += [blank] * (border * scale)
    pixels = b"".join(b"\x00" + line for line in lines)  # every line with filter type 0: none
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + _png_chunk(b"IHDR", header)
        + _png_chunk(b"IDAT", zlib.compress(pixels))
        + _png_chunk(b"IEND", b"")
    )


def qr_svg(text: str, *, border: int = 4) -> str:
    """Draw *text* as an SVG of one path, one unit to a module, with a quiet zone of *border* modules."""
    matrix = _matrix(text)
    side = len(matrix) + 2 * border
    path = "".join(
        f"M{x + border},{y + border}h1v1h-1z" for y, row in enumerate(matrix) for x, dark in enumerate(row) if dark
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {side} {side}" shape-rendering="crispEdges">'
        f'<path fill="#fff" d="M0,0h{side}v{side}h-{side}z"/><path d="{path}"/></svg>'
    )


def _matrix(text: str) -> list[list[bool]]:
    code: QRCode = QRCode(error_correction=ERROR_CORRECT_M, border=0)
    code.add_data(text, optimize=0)
    code.make()
    return [[bool(dark) for dark in row] for row in code.modules]


def _png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
