"""Columns become Python strings: the same ones, compiled and in Python, and an error for what is no column."""

import struct
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evq_ext import ColumnData
from evq_ext.columns import _reference
from tests.ext.conftest import compiled_parser

Strings = Callable[[ColumnData], list[str]]


def compiled_strings() -> Strings:
    compiled_parser()  # skips where there is none
    from evq_ext.columns._strings import strings  # noqa: PLC0415

    return strings


@pytest.fixture(params=["reference", "compiled"])
def strings(request: pytest.FixtureRequest) -> Strings:
    return _reference.strings if request.param == "reference" else compiled_strings()


def column(values: list[bytes]) -> ColumnData:
    ends = [sum(map(len, values[:count])) for count in range(len(values) + 1)]
    return ColumnData(struct.pack(f"<{len(ends)}I", *ends), b"".join(values))


def outcome(function: Strings, data: ColumnData) -> list[str] | type[Exception]:
    try:
        return function(data)
    except ValueError as error:
        return type(error)


TEXTS = ["", "a", "é", "가", "홍길동", "😀", "x" * 300, "guest@example.org", "guest@example.com", "Ünï", "aé가😀"]


def test_each_value_becomes_its_string(strings: Strings) -> None:
    assert strings(column([text.encode() for text in TEXTS * 40])) == TEXTS * 40


def test_no_values_are_no_strings(strings: Strings) -> None:
    assert strings(column([])) == []


def test_a_slice_of_the_offsets_gives_the_values_in_it(strings: Strings) -> None:
    offsets, data = column([b"a", "나".encode(), b"c"])
    assert strings(ColumnData(offsets[4:12], data)) == ["나"]


@pytest.mark.parametrize("ends", [(), (0, 4), (0, 2, 1), (2, 1, 3), (4_000_000_000, 4_000_000_000)])
def test_offsets_that_do_not_cut_the_data_are_refused(strings: Strings, ends: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="do not cut its data"):
        strings(ColumnData(struct.pack(f"<{len(ends)}I", *ends), b"abc"))


def test_offsets_of_half_a_number_are_refused(strings: Strings) -> None:
    with pytest.raises(ValueError, match="do not cut its data"):
        strings(ColumnData(bytes(6), b""))


BAD = [b"\x80", b"\xc0\xaf", b"\xea\xb0", b"\xed\xa0\x80", b"\xe0\x80\xa9", b"\xf4\x90\x80\x80", b"\xc4", b"\xff"]


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("beside", [b"", b"a", "가".encode(), "😀".encode()])
def test_what_is_not_utf8_is_an_error(strings: Strings, bad: bytes, beside: bytes) -> None:
    for value in (bad, beside + bad, bad + beside):
        with pytest.raises(UnicodeDecodeError):
            strings(column([b"sound", value]))


@given(st.lists(st.sampled_from([text.encode() for text in TEXTS] + BAD) | st.text().map(str.encode) | st.binary()))
def test_compiled_and_reference_make_the_same_strings(values: Any) -> None:
    assert outcome(compiled_strings(), column(values)) == outcome(_reference.strings, column(values))
