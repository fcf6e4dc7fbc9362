"""Text is checked and transcoded as Python's codecs would, whatever its bytes and wherever it is cut."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evq_ext import transcoder
from evq_ext._tables import TABLED_CODECS
from evq_ext.encoding import _reference as _encoding_reference
from tests.ext.conftest import compiled_parser

SAMPLES = {
    "cp949": "이름,이메일\n김민수,minsu@example.org\n뷁똠方覺하다,x@example.org\n",
    "cp932": "氏名,メール\n田中ﾀﾛｳ,tanaka@example.org\n髙﨑①,ソ能表@example.org\n",
    "gb18030": "姓名,邮箱\n李伟,li@example.org\n㐂é😀ḿ€,x@example.org\n",
    "cp950": "姓名,電子郵件\n陳大文,chen@example.org\n許功蓋,x@example.org\n",
    "cp1252": "Name;E-Mail\nJürgen Müller;j@example.org\n“Zoë” 5 €;x@example.org\n",
}
PIECES = [
    b"",
    b"a" * 15,
    b"a" * 70,
    *("가나다라마바사아자차카타파하".encode()[:size] for size in range(42)),
    *("é😀가".encode()[size:] for size in range(9)),
    # Overlong, surrogates, beyond Unicode, cut (Unicode, table 3-7), and the sound ones next to them.
    *(b"\x80", b"\xbf", b"\xc0\x80", b"\xc1\xbf", b"\xc2\x80", b"\xdf\xbf", b"\xe0\x80\x80", b"\xe0\x9f\xbf"),
    *(b"\xe0\xa0\x80", b"\xed\x9f\xbf", b"\xed\xa0\x80", b"\xed\xbf\xbf", b"\xee\x80\x80", b"\xef\xbf\xbf"),
    *(b"\xf0\x80\x80\x80", b"\xf0\x8f\xbf\xbf", b"\xf0\x90\x80\x80", b"\xf4\x8f\xbf\xbf", b"\xf4\x90\x80\x80"),
    *(b"\xf5\x80\x80\x80", b"\xfe", b"\xff", b"\xe0\xa0", b"\xf0\x9f\x98"),
]


def compiled_encoding() -> ModuleType:
    compiled_parser()  # skips where there is none
    from evq_ext.encoding import _encoding  # noqa: PLC0415

    return _encoding


@pytest.fixture(params=["reference", "compiled"])
def encoding(request: pytest.FixtureRequest) -> ModuleType:
    return _encoding_reference if request.param == "reference" else compiled_encoding()


def chunks(data: bytes, cuts: Sequence[int]) -> list[bytes]:
    return [data[start:end] for start, end in pairwise([0, *sorted(cuts), len(data)])]


def transcoded(encoding: ModuleType, codec: str, data: bytes, cuts: Sequence[int] = ()) -> bytes:
    reader = encoding.Transcoder(codec)
    return b"".join([*map(reader.feed, chunks(data, cuts)), reader.finish()])


def checked(encoding: ModuleType, data: bytes, cuts: Sequence[int] = ()) -> tuple[int, int, int | None]:
    check = encoding.Utf8Check()
    for chunk in chunks(data, cuts):
        check.feed(chunk)
    check.finish()
    return check.characters, check.wrong, check.first_wrong


# Transcoding


@pytest.mark.parametrize("codec", SAMPLES)
def test_text_becomes_utf8_wherever_it_is_cut(encoding: ModuleType, codec: str) -> None:
    data = SAMPLES[codec].encode(codec)
    for cut in range(len(data)):
        assert transcoded(encoding, codec, data, [cut, min(cut + 1, len(data))]).decode() == SAMPLES[codec]


@pytest.mark.parametrize("codec", TABLED_CODECS)
def test_each_byte_and_pair_of_bytes_is_what_python_says(codec: str) -> None:
    compiled, tails = compiled_encoding(), (b"", b"a", b"\n0")
    for lead in range(0x100):
        data = [bytes((lead, trail)) + tail for trail in range(0x100) for tail in tails] + [bytes((lead,))]
        for text in data if lead >= 0x80 else data[-1:]:
            assert transcoded(compiled, codec, text) == transcoded(_encoding_reference, codec, text), text


def test_each_character_of_four_bytes_is_what_python_says() -> None:
    compiled = compiled_encoding()
    everything = "".join(chr(code) for code in range(0x80, 0x110000) if not 0xD800 <= code < 0xE000)
    assert transcoded(compiled, "gb18030", everything.encode("gb18030")).decode() == everything
    for first in range(0x80, 0x100):
        # All of the edge of the last row that the first two bytes begin.
        texts = [
            bytes((first, second, third, 0x39)) for second in range(0x30, 0x3A) for third in (0x80, 0x81, 0xFE, 0xFF)
        ]
        for text in [*texts, *(text[:3] + b"\x2f" for text in texts), *(text[:3] + b"\x3a" for text in texts)]:
            assert transcoded(compiled, "gb18030", text) == transcoded(_encoding_reference, "gb18030", text), text


@pytest.mark.parametrize("codec", TABLED_CODECS)
def test_any_bytes_are_transcoded_as_python_would(codec: str) -> None:
    compiled = compiled_encoding()
    pieces = [b"a" * 20, b"\n0", b"0", *(SAMPLES[codec].encode(codec)[at : at + 3] for at in range(40))]

    @given(
        st.lists(st.binary(max_size=4) | st.sampled_from(pieces), max_size=20), st.lists(st.integers(0, 80), max_size=4)
    )
    def check(parts: list[bytes], cuts: list[int]) -> None:
        data = b"".join(parts)
        cuts = [min(cut, len(data)) for cut in cuts]
        assert transcoded(compiled, codec, data, cuts) == transcoded(_encoding_reference, codec, data)

    check()


@pytest.mark.parametrize("codec", TABLED_CODECS)
def test_a_wrong_byte_is_wrong_in_utf8_and_takes_no_line_end_with_it(encoding: ModuleType, codec: str) -> None:
    before, after = SAMPLES[codec].encode(codec).splitlines(keepends=True)[:2]
    utf8 = transcoded(encoding, codec, before.rstrip(b"\n") + b"\x81\n" + after)
    assert utf8.decode("utf-8", "ignore") == "".join(SAMPLES[codec].splitlines(keepends=True)[:2])
    with pytest.raises(UnicodeDecodeError):
        utf8.decode()


def test_a_codec_without_a_table_is_python_s() -> None:
    for codec in ("utf-16-le", "utf-16-be", "euc_jp"):
        data = SAMPLES["cp932"].replace("髙﨑①", "高").encode(codec)
        for cut in range(len(data)):
            reader = transcoder(codec)
            assert (
                (reader.feed(data[:cut]) + reader.feed(data[cut:]) + reader.finish()).decode("utf-8").startswith("氏名")
            )


def test_a_codec_that_there_is_not_is_an_error(encoding: ModuleType) -> None:
    with pytest.raises((LookupError, ValueError), match="ebcdic"):
        encoding.Transcoder("ebcdic")


# UTF-8


def test_sound_text_has_nothing_wrong(encoding: ModuleType) -> None:
    assert checked(encoding, "가é😀a".encode() * 50) == (150, 0, None)
    assert checked(encoding, b"") == (0, 0, None)


def test_the_first_wrong_byte_is_named_and_all_are_counted(encoding: ModuleType) -> None:
    text = "가나다,".encode() * 100 + b"\xff" + "라".encode() + b"\xb1\xe8"
    assert checked(encoding, text) == (301, 3, 1000)
    assert checked(encoding, text, [1000, 1001]) == (301, 3, 1000)


def test_a_character_cut_by_the_end_is_wrong(encoding: ModuleType) -> None:
    assert checked(encoding, "a가".encode()[:-1]) == (0, 2, 1)


@pytest.mark.parametrize("lead", range(0xC0, 0x100))
def test_each_second_byte_is_what_python_says(lead: int) -> None:
    compiled = compiled_encoding()
    for second in range(0x100):
        for rest in (b"", b"\x80", b"\x80\x80"):
            for data in (bytes((lead, second)) + rest, bytes((lead, second)) + rest + b"a" * 70):
                assert checked(compiled, data) == checked(_encoding_reference, data), data


@given(
    st.lists(st.sampled_from(PIECES) | st.binary(max_size=3), max_size=30), st.lists(st.integers(0, 400), max_size=4)
)
def test_any_bytes_are_checked_as_python_would(parts: list[bytes], cuts: list[int]) -> None:
    data = b"".join(parts)
    cuts = [min(cut, len(data)) for cut in cuts]
    assert checked(compiled_encoding(), data, cuts) == checked(_encoding_reference, data)


@pytest.mark.parametrize("make", [lambda module: module.Utf8Check(), lambda module: module.Transcoder("cp949")])
def test_only_bytes_are_taken(make: Callable[[ModuleType], object]) -> None:
    reader = make(compiled_encoding())
    for wrong in (None, "text", bytearray(b"x")):
        with pytest.raises(TypeError):
            reader.feed(wrong)  # type: ignore[attr-defined]
