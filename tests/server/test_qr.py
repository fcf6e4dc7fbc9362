import struct
import zlib
from xml.etree import ElementTree as ET

import pytest
import zxingcpp

from evq_server.qr import qr_png, qr_svg

TOKEN = "0123456789ABCDEFGHJKMNPQRS"
URL = f"HTTPS://EVENTS.EXAMPLE.ORG/T/{TOKEN}"
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
    width, height, depth, colour, *rest = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
    assert (depth, colour, rest) == (1, 0, [0, 0, 0])
    lines = zlib.decompress(chunks[b"IDAT"])
    stride = 1 + (width + 7) // 8
    assert len(lines) == stride * height
    assert not any(lines[::stride])
    picture = bytearray()
    for row in range(height):
        bits = "".join(f"{byte:08b}" for byte in lines[row * stride + 1 : (row + 1) * stride])
        picture += bytes(255 if bit == "1" else 0 for bit in bits[:width])
    return memoryview(picture).cast("B", (height, width))


def drawn(svg: str) -> memoryview:
    """Paint an SVG of unit squares at 4 pixels to a unit."""
    root = ET.fromstring(svg)
    side = int(root.attrib["viewBox"].split()[2])
    picture = bytearray(b"\xff" * (side * 4) ** 2)
    for square in root.findall(f"{SVG}path")[1].attrib["d"].split("M")[1:]:
        x, y = map(int, square.partition("h")[0].split(","))
        for line in range(y * 4, y * 4 + 4):
            start = line * side * 4 + x * 4
            picture[start : start + 4] = b"\0" * 4
    return memoryview(picture).cast("B", (side * 4, side * 4))


def read(picture: memoryview) -> zxingcpp.Barcode:
    (code,) = zxingcpp.read_barcodes(picture)
    return code


@pytest.mark.parametrize("text", [TOKEN, URL, "HTTPS://A.EXAMPLE:8443/T/ZZZZZZZZZZZZZZZZZZZZZZZZZZ"])
@pytest.mark.parametrize(("scale", "border"), [(8, 4), (3, 4), (5, 7)])
def test_an_independent_reader_reads_the_png(text: str, scale: int, border: int) -> None:
    assert read(pixels(qr_png(text, scale=scale, border=border))).text == text


@pytest.mark.parametrize("text", [TOKEN, URL])
def test_an_independent_reader_reads_the_svg(text: str) -> None:
    assert read(drawn(qr_svg(text))).text == text


def test_a_bare_token_is_alphanumeric_version_2_with_correction_m() -> None:
    code = read(pixels(qr_png(TOKEN)))
    assert code.format == zxingcpp.BarcodeFormat.QRCode
    assert code.ec_level == "M"
    assert pixels(qr_png(TOKEN, scale=1, border=0)).shape == (25, 25)  # modules of version 2


def test_a_url_in_capitals_stays_small() -> None:
    assert pixels(qr_png(URL, scale=1, border=0)).shape == (29, 29)  # version 3: in bytes it would be 4


def test_size_and_quiet_zone_are_as_asked() -> None:
    picture = pixels(qr_png(TOKEN, scale=2, border=3))
    side, zone = (25 + 6) * 2, 6
    assert picture.shape == (side, side)
    dark = [(x, y) for y in range(side) for x in range(side) if not picture[y, x]]
    assert min(dark) == (zone, zone)
    assert max(max(x, y) for x, y in dark) == side - zone - 1


def test_the_same_text_gives_the_same_bytes() -> None:
    assert qr_png(TOKEN) == qr_png(TOKEN)
    assert qr_svg(TOKEN) == qr_svg(TOKEN)
