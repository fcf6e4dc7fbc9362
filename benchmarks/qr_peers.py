"""What the QR encoder is measured beside: the same code, as other packages draw it."""

import struct
import zlib
from io import BytesIO

import qrcodegen
import segno
import zxingcpp
from qrcode import QRCode
from qrcode.constants import ERROR_CORRECT_M


def _qrcode(text: str) -> QRCode:
    code: QRCode = QRCode(error_correction=ERROR_CORRECT_M, box_size=8, border=4)
    code.add_data(text, optimize=0)
    code.make()
    return code


def _segno(text: str) -> segno.QRCode:
    return segno.make(text, error="m", micro=False, boost_error=False)


def _qrcodegen(text: str) -> qrcodegen.QrCode:
    segments = qrcodegen.QrSegment.make_segments(text)
    return qrcodegen.QrCode.encode_segments(segments, qrcodegen.QrCode.Ecc.MEDIUM, boostecl=False)


def qrcode_matrix(text: str) -> int:
    return len(_qrcode(text).modules)


def segno_matrix(text: str) -> int:
    return len(_segno(text).matrix)


def qrcodegen_matrix(text: str) -> int:
    side: int = _qrcodegen(text).get_size()
    return side


def zxing_matrix(text: str) -> int:
    return len(_zxing_rows(text, quiet_zones=False))


def qrcode_png(text: str) -> bytes:
    out = BytesIO()
    _qrcode(text).make_image().save(out, "PNG")
    return out.getvalue()


def segno_png(text: str) -> bytes:
    out = BytesIO()
    _segno(text).save(out, kind="png", scale=8, border=4)
    return out.getvalue()


def qrcodegen_png(text: str) -> bytes:
    code = _qrcodegen(text)
    side = range(-4, code.get_size() + 4)
    return _png([bytes(0 if code.get_module(x, y) else 255 for x in side) for y in side])


def zxing_png(text: str) -> bytes:
    return _png(_zxing_rows(text, quiet_zones=True))


def _zxing_rows(text: str, *, quiet_zones: bool) -> list[bytes]:
    """Return the modules row by row, 255 for each light one."""
    code = zxingcpp.create_barcode(text, zxingcpp.BarcodeFormat.QRCode, ec_level="M")
    pixels = memoryview(code.to_image(scale=1, add_quiet_zones=quiet_zones))  # type: ignore[arg-type]  # it is a buffer
    side = pixels.shape[0]  # type: ignore[index]  # it has two dimensions
    flat = pixels.tobytes()
    return [flat[start : start + side] for start in range(0, len(flat), side)]


def _png(rows: list[bytes]) -> bytes:
    """Write modules at 8 pixels, of which a byte holds as many: the fastest way for a package that writes no PNG."""
    header = struct.pack(">IIBBBBB", 8 * len(rows), 8 * len(rows), 1, 0, 0, 0, 0)
    pixels = zlib.compress(b"".join((b"\0" + row) * 8 for row in rows), 1)
    chunks = ((b"IHDR", header), (b"IDAT", pixels), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
