"""Pictures of QR codes as pixels, and an independent reader of them."""

import re
import struct
import zlib
from xml.etree import ElementTree as ET

import zxingcpp

SVG = "{http://www.w3.org/2000/svg}"


def pixels(png: bytes) -> memoryview:
    """Read a 1-bit grey PNG into a picture of bytes, checking every chunk's CRC."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    at, chunks = 8, {}
    while at < len(png):
        (length,) = struct.unpack_from(">I", png, at)
        kind, data = png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        assert struct.unpack_from(">I", png, at + 8 + length) == (zlib.crc32(kind + data),)
        chunks[kind] = data
        at += 12 + length
    assert list(chunks) == [b"IHDR", b"IDAT", b"IEND"]
    width, height, depth, colour, *rest = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
    assert (depth, colour, rest) == (1, 0, [0, 0, 0])
    lines = zlib.decompress(chunks[b"IDAT"])  # checks the Adler-32
    stride = 1 + (width + 7) // 8
    assert len(lines) == stride * height
    assert not any(lines[::stride])
    bits = f"{int.from_bytes(lines):0{8 * len(lines)}b}".encode().translate(bytes.maketrans(b"01", b"\x00\xff"))
    picture = b"".join(bits[start : start + width] for start in range(8, len(bits), 8 * stride))
    return memoryview(picture).cast("B", (height, width))


def painted(svg: str) -> memoryview:
    """Paint an SVG of rectangles, one unit high, at 4 pixels to a unit."""
    root = ET.fromstring(svg)
    side = int(root.attrib["viewBox"].split()[2])
    picture = bytearray(b"\xff" * (side * 4) ** 2)
    path = root.findall(f"{SVG}path")[1].attrib["d"]
    assert re.fullmatch(r"(M\d+,\d+h(\d+)v1h-\2z)*", path)
    for part in path.split("M")[1:]:
        x, y, length = map(int, re.split("[,hv]", part)[:3])
        for line in range(y * 4, y * 4 + 4):
            start = line * side * 4 + x * 4
            picture[start : start + 4 * length] = bytes(4 * length)
    return memoryview(picture).cast("B", (side * 4, side * 4))


def read(picture: memoryview) -> zxingcpp.Barcode:
    """Return the one code that an independent reader finds."""
    (code,) = zxingcpp.read_barcodes(picture)
    return code
