"""Draw QR codes in plain Python: the specification of `_qr.pyx`, and its stand-in where no compiler is.

`qrcode` draws the modules for a given mask. Which mask has the fewest penalty points is counted here: the counting of
`qrcode` differs from the standard's.
"""

import re
import struct
import zlib
from collections.abc import Iterator
from itertools import chain, cycle, islice, pairwise, zip_longest

from qrcode import QRCode
from qrcode.base import rs_blocks
from qrcode.constants import ERROR_CORRECT_H, ERROR_CORRECT_L, ERROR_CORRECT_M, ERROR_CORRECT_Q
from qrcode.util import BitBuffer, QRData, create_bytes, length_in_bits

from evq_ext.qr._deflate import (
    DISTANCES,
    END,
    HEAD,
    LENGTHS,
    LITERALS,
    REPEAT_MAX,
    REPEAT_MIN,
    Bits,
    in_range,
    join,
)
from evq_ext.qr._rules import Level, check_border, check_length, check_level, check_mask, check_scale
from evq_ext.qr._svg import draw_svg
from evq_ext.qr._tables import BALANCE_POINTS, BLOCK_POINTS, FINDER_POINTS, MASKS, PADDING, RUN_POINTS

_LEVELS = {"L": ERROR_CORRECT_L, "M": ERROR_CORRECT_M, "Q": ERROR_CORRECT_Q, "H": ERROR_CORRECT_H}
_LONG_RUN = re.compile("0{5,}|1{5,}")
_RUN = re.compile("0+|1+")


def qr_matrix(text: str, *, level: Level = "M", mask: int | None = None) -> tuple[bytes, ...]:
    """Return the modules of a code row by row, 1 for each dark one; the version is the smallest that holds *text*.

    The mask is the one with the fewest penalty points, unless one is given. Raises QrError.
    """
    data = text.encode()
    check_level(level)
    check_mask(mask)
    check_length(data, level)
    code: QRCode = QRCode(error_correction=_LEVELS[level])
    code.add_data(data, optimize=0)
    code.data_cache = _codewords(code.best_fit(), _LEVELS[level], code.data_list[0])
    if mask is not None:
        return _draw(code, mask)
    return min((_draw(code, mask) for mask in MASKS), key=penalty)


def _codewords(version: int, level: int, data: QRData) -> list[int]:
    """Return the codewords, each block divided by `qrcode`: but for those of zeros alone, on which it fails."""
    blocks = rs_blocks(version, level)
    capacity = 8 * sum(block.data_count for block in blocks)
    bits = BitBuffer()
    bits.put(data.mode, 4)
    bits.put(len(data), length_in_bits(data.mode, version))
    data.write(bits)
    bits.put(0, min(4, capacity - len(bits)))
    bits.put(0, -len(bits) % 8)
    for padding in islice(cycle(PADDING), (capacity - len(bits)) // 8):
        bits.put(padding, 8)
    words = iter(bits.buffer)
    texts, corrections = [], []
    for block in blocks:
        part = BitBuffer()
        part.buffer = list(islice(words, block.data_count))
        texts.append(part.buffer)
        divided = create_bytes(part, [block]) if any(part.buffer) else [0] * block.total_count
        corrections.append(divided[block.data_count :])
    turns = chain(zip_longest(*texts), zip_longest(*corrections))
    return [word for turn in turns for word in turn if word is not None]


def _draw(code: QRCode, mask: int) -> tuple[bytes, ...]:
    code.mask_pattern = mask
    code.make()
    return tuple(map(bytes, code.modules))


def penalty(matrix: tuple[bytes, ...]) -> int:
    """Return the penalty points of a code (ISO/IEC 18004 7.8.3): the fewer, the easier it is to read."""
    rows = ["".join(map(str, row)) for row in matrix]
    columns = ["".join(column) for column in zip(*rows, strict=True)]
    points = 0
    for line in rows + columns:
        points += sum(len(run) - 5 + RUN_POINTS for run in _LONG_RUN.findall(line))
        points += FINDER_POINTS * _count_finders(line)
    for upper, lower in pairwise(rows):
        squares = pairwise(zip(upper, lower, strict=True))
        points += BLOCK_POINTS * sum(len({*left, *right}) == 1 for left, right in squares)
    total = len(rows) ** 2
    away = abs(20 * sum(row.count("1") for row in rows) - 10 * total)  # from half, in twentieths of a module
    return points + BALANCE_POINTS * ((away - 1) // total)


def _count_finders(line: str) -> int:
    """Count what looks like a finder: dark, light, dark, light, dark as 1:1:3:1:1, with 4 light on one of the sides.

    Outside of the code all is light.
    """
    outside = "0" * len(line)
    runs = [len(run) for run in _RUN.findall(outside + line + outside)]
    found = 0
    for light in range(0, len(runs) - 6, 2):
        before, *core, after = runs[light : light + 7]
        unit = core[0]
        if core == [unit, unit, 3 * unit, unit, unit]:
            found += (before >= 4 * unit and after >= unit) + (after >= 4 * unit and before >= unit)
    return found


def qr_svg(text: str, *, border: int = 4, level: Level = "M") -> str:
    """Draw *text* as an SVG of one path, one unit to a module, with a quiet zone of *border* modules.

    Raises QrError.
    """
    return draw_svg(qr_matrix(text, level=level), border)


def qr_png(text: str, *, scale: int = 8, border: int = 4, level: Level = "M") -> bytes:
    """Draw *text* as a PNG (1-bit grey) with *scale* pixels to a module and a quiet zone of *border* modules.

    Raises QrError.
    """
    check_scale(scale)
    check_border(border)
    matrix = qr_matrix(text, level=level)
    side = (len(matrix) + 2 * border) * scale
    light = _line(b"", side)
    lines = [(_line(bytes(border) + row, side, scale), scale) for row in matrix]
    lines = [(light, border * scale), *lines, (light, border * scale)]
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + _png_chunk(b"IHDR", header)
        + _png_chunk(b"IDAT", _zlib(lines))
        + _png_chunk(b"IEND", b"")
    )


def _png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _line(modules: bytes, side: int, scale: int = 1) -> bytes:
    """Return a line of pixels: filter type 0 (none), and a bit for each, 1 where it is light."""
    width = (side + 7) // 8
    pixels = "".join(("0" if dark else "1") * scale for dark in modules).ljust(8 * width, "1")
    return b"\0" + int(pixels, 2).to_bytes(width)


def _zlib(lines: list[tuple[bytes, int]]) -> bytes:
    """Write each line as often as it says (RFC 1950, with the one code of `_deflate`)."""
    bits = [HEAD]
    for line, times in lines:
        if times:
            bits += [LITERALS[byte] for byte in line]
            bits += _repeat(len(line) * (times - 1), len(line))
    stream, width = join([*bits, END])
    checksum = zlib.adler32(b"".join(line * times for line, times in lines))
    return b"\x78\x01" + stream.to_bytes((width + 7) // 8, "little") + struct.pack(">I", checksum)


def _repeat(length: int, distance: int) -> Iterator[Bits]:
    """Repeat the bytes that are *distance* back until there are *length* more."""
    while length:
        part = min(length, REPEAT_MAX)
        if 0 < length - part < REPEAT_MIN:
            part -= REPEAT_MIN
        yield LENGTHS[part]
        yield in_range(DISTANCES, distance)
        length -= part
