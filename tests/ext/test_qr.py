"""QR codes: the modules of `qrcode`, the mask of `qrcodegen`, pictures that anybody can read, and clear refusals."""

import random
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType
from typing import Any

import pytest
import qrcodegen
import zxingcpp
from hypothesis import given
from hypothesis import strategies as st
from qrcode import QRCode
from qrcode.constants import ERROR_CORRECT_H, ERROR_CORRECT_L, ERROR_CORRECT_M, ERROR_CORRECT_Q

from evq_ext import QrError
from evq_ext.qr import _reference as _qr_reference
from evq_ext.qr._rules import Level, most
from evq_ext.qr._tables import ALPHANUMERIC, BYTES, LETTERS, NUMERIC, VERSIONS, side_of
from tests.ext.conftest import compiled_parser
from tests.ext.pictures import painted, pixels, read

TOKEN = "0123456789ABCDEFGHJKMNPQRS"
URL = f"HTTPS://EVENTS.EXAMPLE.ORG/T/{TOKEN}"
LEVELS: dict[Level, int] = {"L": ERROR_CORRECT_L, "M": ERROR_CORRECT_M, "Q": ERROR_CORRECT_Q, "H": ERROR_CORRECT_H}
LETTERS_OF = {NUMERIC: "0123456789", ALPHANUMERIC: LETTERS.decode(), BYTES: "abcxyz 019,é가😀"}


def compiled_qr() -> ModuleType:
    compiled_parser()  # skips where there is none
    from evq_ext.qr import _qr  # noqa: PLC0415  where it exists

    return _qr


@pytest.fixture(params=["reference", "compiled"])
def qr(request: pytest.FixtureRequest) -> ModuleType:
    return _qr_reference if request.param == "reference" else compiled_qr()


def text_of(mode: int, length: int, chance: random.Random) -> str:
    """Invent a text that takes *length* digits, letters or bytes in a mode."""
    if mode != BYTES:
        return "".join(chance.choices(LETTERS_OF[mode], k=length))
    text = ""
    while len((more := text + chance.choice(LETTERS_OF[mode])).encode()) <= length:
        text = more
    return text.ljust(length - len(text.encode()) + len(text), "x")


def crockford(chance: random.Random) -> str:
    return "".join(chance.choices("0123456789ABCDEFGHJKMNPQRSTVWXYZ", k=26))


def drawn_by_qrcode(text: str, level: Level, mask: int) -> tuple[bytes, ...]:
    code: QRCode = QRCode(error_correction=LEVELS[level], mask_pattern=mask)
    code.add_data(text, optimize=0)
    code.make()
    return tuple(map(bytes, code.modules))


def drawn_by_qrcodegen(text: str, level: Level) -> tuple[bytes, ...]:
    ecc = dict(zip("LMQH", ("LOW", "MEDIUM", "QUARTILE", "HIGH"), strict=True))[level]
    segments = qrcodegen.QrSegment.make_segments(text)
    code = qrcodegen.QrCode.encode_segments(segments, getattr(qrcodegen.QrCode.Ecc, ecc), boostecl=False)
    side = range(code.get_size())
    return tuple(bytes(code.get_module(x, y) for x in side) for y in side)


# --- Modules ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("mode", LETTERS_OF)
def test_the_modules_are_those_of_qrcode_for_every_mask(mode: int, level: Level) -> None:
    chance = random.Random(f"{mode}{level}")
    for length in {0, 1, 2, 3, 25, 26, 100, chance.randrange(most(mode, level))}:
        text = text_of(mode, length, chance)
        for mask in range(8):
            assert compiled_qr().qr_matrix(text, level=level, mask=mask) == drawn_by_qrcode(text, level, mask)


@pytest.mark.parametrize("level", LEVELS)
def test_the_modules_are_those_of_qrcode_for_every_version(level: Level) -> None:
    """The longest text of each version; that version is the smallest that holds it, and does not hold more."""
    chance = random.Random(level)
    for version in VERSIONS:
        mode, mask = chance.choice(list(LETTERS_OF)), chance.randrange(8)
        text = text_of(mode, most(mode, level, version), chance)
        matrix = compiled_qr().qr_matrix(text, level=level, mask=mask)
        assert len(matrix) == side_of(version)
        assert matrix == drawn_by_qrcode(text, level, mask)
        if version < VERSIONS[-1]:
            longer = compiled_qr().qr_matrix(text + text[0], level=level, mask=mask)
            assert len(longer) == side_of(version + 1)


@pytest.mark.parametrize("text", ["0" * 200, "A" + "0" * 200, "\x08" + 60 * "\0"])
def test_a_block_of_zeros_can_be_drawn(qr: ModuleType, text: str) -> None:
    """Not by qrcode: it has no logarithm of 0."""
    with pytest.raises(ValueError, match="glog"):
        drawn_by_qrcode(text, "H", 0)
    assert qr.qr_matrix(text, level="H") == drawn_by_qrcodegen(text, "H")


def test_a_token_takes_version_2_and_its_url_version_3(qr: ModuleType) -> None:
    assert len(qr.qr_matrix(TOKEN)) == 25
    assert len(qr.qr_matrix(URL)) == 29  # in bytes it would be 33


# --- The mask ---------------------------------------------------------------------------------------------------------


def test_the_mask_is_the_one_that_qrcodegen_chooses(qr: ModuleType) -> None:
    chance = random.Random(1)
    texts = [crockford(chance) for _ in range(40)] + [text_of(mode, 150, chance) for mode in LETTERS_OF]
    for number, text in enumerate(texts):
        level: Level = "MLQH"[number % 4]  # type: ignore[assignment]
        assert qr.qr_matrix(text, level=level) == drawn_by_qrcodegen(text, level)


# Each gets another mask from whoever counts a pattern only where its modules are one wide, or takes three light ones
# beside it for four, or the last of the masks with the fewest points.
PARTICULAR = [
    *("05ZWK3BM2JVPRT709Z4C3PFPZ6", "CH425RSZRC5ADMT93R3PEA1EFJ", "F0BQDFAKM8WEKX036R73A7F3XG"),
    *("V00ZEDGBX06HZCWFCZCNRFD5HC", "717NP4HDQCZH7T7KNKB4EKZ2EK"),
    *("G5JDHJHXH3WQBEHCNZ1XZVENEB", "XDGE1HQX6HS68DNV9KYYTDPFGB"),
]


@pytest.mark.parametrize("text", PARTICULAR)
def test_the_mask_is_the_one_that_qrcodegen_chooses_where_it_is_close(qr: ModuleType, text: str) -> None:
    assert qr.qr_matrix(text) == drawn_by_qrcodegen(text, "M")


@pytest.mark.slow
def test_the_mask_of_ten_thousand_tokens_is_the_one_that_qrcodegen_chooses() -> None:
    chance = random.Random(2)
    for _ in range(10_000):
        token = crockford(chance)
        assert compiled_qr().qr_matrix(token) == drawn_by_qrcodegen(token, "M")


# --- Pictures ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", [TOKEN, URL, "https://events.example.org/가"])
@pytest.mark.parametrize(("scale", "border"), [(8, 4), (3, 4), (5, 7)])
def test_an_independent_reader_reads_the_png(qr: ModuleType, text: str, scale: int, border: int) -> None:
    assert read(pixels(qr.qr_png(text, scale=scale, border=border))).text == text


@pytest.mark.parametrize("text", [TOKEN, URL])
def test_an_independent_reader_reads_the_svg(qr: ModuleType, text: str) -> None:
    assert read(painted(qr.qr_svg(text))).text == text


@pytest.mark.parametrize("level", LEVELS)
def test_an_independent_reader_finds_the_level_that_was_asked_for(qr: ModuleType, level: Level) -> None:
    for picture in (pixels(qr.qr_png(TOKEN, level=level)), painted(qr.qr_svg(TOKEN, level=level))):
        code = read(picture)
        assert (code.format, code.ec_level, code.text) == (zxingcpp.BarcodeFormat.QRCode, level, TOKEN)


@pytest.mark.parametrize("scale", [1, 2, 3, 4, 7, 8, 10, 16, 33])
@pytest.mark.parametrize("border", [0, 1, 4, 9])
def test_a_png_shows_each_module_at_its_size_inside_the_quiet_zone(qr: ModuleType, scale: int, border: int) -> None:
    matrix = qr.qr_matrix(TOKEN)
    quiet = bytes(len(matrix) + 2 * border)
    rows = [quiet] * border + [bytes(border) + row + bytes(border) for row in matrix] + [quiet] * border
    expected = b"".join(bytes(255 * (1 - module) for module in row for _ in range(scale)) * scale for row in rows)
    assert pixels(qr.qr_png(TOKEN, scale=scale, border=border)).tobytes() == expected


def test_the_png_of_a_token_is_small(qr: ModuleType) -> None:
    assert len(qr.qr_png(TOKEN)) < 400


def test_pictures_drawn_in_many_threads_are_those_drawn_in_one() -> None:
    chance = random.Random(3)
    texts = [crockford(chance) for _ in range(2_000)]
    draw = compiled_qr().qr_png
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(draw, texts)) == list(map(draw, texts))


# --- Refusals ---------------------------------------------------------------------------------------------------------

REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("qr_png", {"text": "1" * 7090, "level": "L"}, "7,090 digits, and a QR code of level L holds 7,089; shorten it."),
    ("qr_png", {"text": "A" * 3392}, "3,392 characters, .* shorten it or choose level L"),
    ("qr_svg", {"text": "가" * 900}, "2,700 bytes, and a QR code of level M holds 2,331; .* choose level L .2,953"),
    ("qr_matrix", {"text": "a" * 100_000}, "100,000 bytes, .* holds 2,331; shorten it."),
    ("qr_matrix", {"text": "A", "level": "X"}, "no level 'X' of error correction; choose L, M, Q or H"),
    ("qr_matrix", {"text": "A", "level": "LM"}, "no level 'LM'"),
    ("qr_matrix", {"text": "A", "level": None}, "no level None"),
    ("qr_matrix", {"text": "A", "mask": 8}, "no mask 8; choose one from 0 to 7"),
    ("qr_matrix", {"text": "A", "mask": -1}, "no mask -1"),
    ("qr_png", {"text": "A", "scale": 0}, "Modules of 0 pixels .* give 1 to 64"),
    ("qr_png", {"text": "A", "scale": 65}, "Modules of 65 pixels"),
    ("qr_png", {"text": "A", "scale": 1 << 80}, "Modules of 1208925819614629174706176 pixels"),
    ("qr_png", {"text": "A", "scale": 8.0}, "Modules of 8.0 pixels"),
    ("qr_png", {"text": "A", "border": -(1 << 80)}, "border of -1208925819614629174706176"),
    ("qr_png", {"text": "A", "scale": "8"}, "Modules of '8' pixels"),
    ("qr_png", {"text": "A", "border": -1}, "border of -1 modules .* give 0 to 64"),
    ("qr_svg", {"text": "A", "border": 65}, "border of 65 modules"),
]


@pytest.mark.parametrize(("function", "arguments", "message"), REFUSED)
def test_what_cannot_be_drawn_is_refused_with_the_remedy(
    qr: ModuleType, function: str, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(QrError, match=message):
        getattr(qr, function)(**arguments)


def test_a_text_that_is_no_unicode_is_refused(qr: ModuleType) -> None:
    with pytest.raises(UnicodeEncodeError):
        qr.qr_matrix("\ud800")


# --- The twin ---------------------------------------------------------------------------------------------------------

TEXTS = (
    st.text(LETTERS_OF[NUMERIC], max_size=200) | st.text(LETTERS_OF[ALPHANUMERIC], max_size=120) | st.text(max_size=60)
)


@given(text=TEXTS, level=st.sampled_from(list(LEVELS)), scale=st.integers(1, 20), border=st.integers(0, 10))
def test_compiled_and_reference_draw_the_same_bytes(text: str, level: Level, scale: int, border: int) -> None:
    drawn = [
        (each.qr_svg(text, level=level), each.qr_png(text, level=level, scale=scale, border=border))
        for each in (compiled_qr(), _qr_reference)
    ]
    assert drawn[0] == drawn[1]
