"""Which encoding a list has is found from its bytes alone."""

from collections.abc import Callable
from pathlib import Path

import pytest

from evq_server.files.detecting import detect
from tests.server.lists import make_list

Detect = Callable[[bytes], str | None]

# The language of the rows, that of the header, the codec that writes them, and what is to be found.
CASES = [
    ("Korean", "Korean", "utf-8", "utf-8"),
    ("Korean", "Korean", "utf-8-sig", "utf-8"),
    ("Korean", "Korean", "utf-16", "utf-16"),
    ("Chinese", "Chinese", "utf-16-le", "utf-16"),
    ("Japanese", "Japanese", "utf-16-be", "utf-16"),
    ("Korean", "Korean", "cp949", "cp949"),
    ("English", "Korean", "cp949", "cp949"),
    ("Japanese", "Japanese", "cp932", "shift_jis"),
    ("Japanese", "Japanese", "euc_jp", "euc-jp"),
    ("Japanese", "Japanese", "iso2022_jp", "iso-2022-jp"),
    ("Chinese", "Chinese", "gb18030", "gb18030"),
    ("Taiwanese", "Taiwanese", "cp950", "big5"),
    ("German", "German", "cp1252", "windows-1252"),
]


@pytest.fixture
def found(tmp_path: Path) -> Detect:
    def run(content: bytes) -> str | None:
        upload = tmp_path / "upload"
        upload.write_bytes(content)
        return detect(upload, lambda _: None)

    return run


@pytest.mark.parametrize("rows", [3, 20, 2_000])
@pytest.mark.parametrize(("language", "header", "codec", "encoding"), CASES)
def test_each_encoding_is_found(
    found: Detect, language: str, header: str, codec: str, encoding: str, rows: int
) -> None:
    assert found(make_list(language, rows, header=header).encode(codec)) == encoding


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize(
    ("language", "codec", "encoding"), [(case[0], *case[2:]) for case in CASES if case[0] == case[1]]
)
def test_each_encoding_is_found_below_an_english_header(
    found: Detect, language: str, codec: str, encoding: str, seed: int
) -> None:
    assert found(make_list(language, 5, header="English", seed=seed).encode(codec)) == encoding


@pytest.mark.parametrize("bad", [b"\xff", b"\x80", b"\xb1\xff", b"\xc3("])
@pytest.mark.parametrize(
    ("language", "codec", "encoding"),
    [
        ("Korean", "utf-8", "utf-8"),
        ("English", "utf-8", "utf-8"),
        ("Korean", "cp949", "cp949"),
        ("Japanese", "cp932", "shift_jis"),
        ("Chinese", "gb18030", "gb18030"),
    ],
)
@pytest.mark.parametrize("header", [None, "English"])
def test_a_bad_byte_makes_no_other_encoding(
    found: Detect, language: str, codec: str, encoding: str, header: str | None, bad: bytes
) -> None:
    lines = make_list(language, 50, header=header).encode(codec).split(b"\r\n")
    lines[40] += bad
    assert found(b"\r\n".join(lines)) == encoding


@pytest.mark.parametrize("rows", [2, 20, 5_000])
@pytest.mark.parametrize(
    ("codec", "text"),
    [
        ("cp1251", "Щербаков Юрий"),
        ("cp1250", "Łukasz Żak"),
        ("cp1253", "Μαρία Νικολάου"),
        ("cp1255", "משה כהן"),
        ("iso8859_11", "สมชาย ใจดี"),
    ],
)
def test_of_an_encoding_that_is_not_known_nothing_is_found(found: Detect, codec: str, text: str, rows: int) -> None:
    assert found(f"name,email\n{f'{text},a@example.org{chr(10)}' * rows}".encode(codec)) is None


@pytest.mark.parametrize("row", [0, 1, 79_999])
def test_rows_that_are_damaged_one_by_one_make_no_unknown_encoding(found: Detect, row: int) -> None:
    lines = make_list("English", 80_000).encode().split(b"\r\n")
    for damaged in (row, min(row + 1, 79_999), row // 2):
        lines[damaged] += b"\xff\x81"
    assert found(b"\r\n".join(lines)) == "utf-8"


def test_an_encoding_that_shows_only_after_80_000_rows_is_found(found: Detect) -> None:
    ascii_rows = make_list("English", 80_000).encode()
    assert found(ascii_rows + "김민수,minsu@example.org,한빛전자\r\n".encode("cp949")) == "cp949"
    assert found(ascii_rows + "김민수,minsu@example.org,한빛전자\r\n".encode()) == "utf-8"
    assert found(ascii_rows + b"User\xff,user@example.org,x\r\n") == "utf-8"
    assert found(ascii_rows + "O\u2019Brien,obrien@example.org,x\r\n".encode("cp1252")) == "windows-1252"
    assert found(ascii_rows + "José,jose@example.org,x\r\n".encode("cp1252")) == "windows-1252"


def test_title_lines_above_the_header_hide_nothing(found: Detect) -> None:
    title = "2026 Spring\r\n\r\n" + make_list("English", 3, header="Korean")
    assert found(title.encode("cp949")) == "cp949"


def test_text_with_some_nuls_is_not_utf_16(found: Detect) -> None:
    assert found("이름,이메일\n김\0민\0수\0,minsu@example.org\n".encode()) == "utf-8"


def test_plain_ascii_is_utf_8(found: Detect) -> None:
    assert found(b"name,email\nA,a@example.org\n") == "utf-8"
