"""Columns are put in order: the same one, compiled and in Python, and an error for what is no column or no place."""

import struct
from collections.abc import Sequence
from itertools import accumulate
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evq_ext import ColumnData
from evq_ext.columns import _reference
from tests.ext.conftest import compiled_parser


def compiled() -> ModuleType:
    compiled_parser()  # skips where there is none
    from evq_ext.columns import _order  # noqa: PLC0415

    return _order


@pytest.fixture(params=["reference", "compiled"])
def module(request: pytest.FixtureRequest) -> ModuleType:
    return _reference if request.param == "reference" else compiled()


def packed(numbers: Sequence[int]) -> bytes:
    return struct.pack(f"<{len(numbers)}I", *numbers)


def column(*values: bytes) -> ColumnData:
    return ColumnData(packed([0, *accumulate(map(len, values))]), b"".join(values))


def test_values_are_ordered_by_their_bytes_a_shorter_one_before_its_longer(module: ModuleType) -> None:
    values = [b"guest12@b", b"guest1@b", b"", b"guest1@a", b"\xff", b"guest12@b\0", b"a\0", b"a"]
    places = struct.unpack("<8I", module.order_of([column(*values)]))
    assert [values[place] for place in places] == sorted(values)


def test_equal_values_stay_as_they_stand(module: ModuleType) -> None:
    assert module.order_of([column(b"same", b"less", b"same"), column(b"same")]) == packed([1, 0, 2, 3])


def test_values_are_taken_from_all_pieces_as_often_as_they_are_named(module: ModuleType) -> None:
    pieces = [column(b"a", "나".encode()), column(), column(b"", b"ddd")]
    assert module.take(pieces, packed([3, 0, 1, 3, 2])) == column(b"ddd", b"a", "나".encode(), b"ddd", b"")
    assert module.take(iter(pieces), b"") == column()


def test_a_slice_of_the_offsets_is_a_piece(module: ModuleType) -> None:
    offsets, data = column(b"c", b"b", b"a")
    piece = ColumnData(offsets[4:], data)
    assert module.order_of([piece]) == packed([1, 0])
    assert module.take([piece], packed([1])) == column(b"a")


@pytest.mark.parametrize("offsets", [b"", bytes(6), packed([0, 4]), packed([2, 1]), packed([4_000_000_000] * 2)])
def test_offsets_that_do_not_cut_the_data_are_refused(module: ModuleType, offsets: bytes) -> None:
    pieces = [column(b"a"), ColumnData(offsets, b"abc")]
    with pytest.raises(ValueError, match="do not cut its data"):
        module.order_of(pieces)
    with pytest.raises(ValueError, match="do not cut its data"):
        module.take(pieces, b"")


@pytest.mark.parametrize("places", [packed([0, 2]), packed([4_294_967_295]), bytes(3)])
def test_places_beyond_the_column_are_refused(module: ModuleType, places: bytes) -> None:
    with pytest.raises(ValueError, match="not of this column"):
        module.take([column(b"a"), column(b"b")], places)


def test_more_than_a_column_holds_is_refused_before_it_is_copied(module: ModuleType) -> None:
    with pytest.raises(ValueError, match="4 GiB"):
        module.take([column(bytes(1 << 20))], bytes(4 << 12))


@given(st.lists(st.lists(st.binary(max_size=12) | st.sampled_from([b"guest1", b"guest12", b""]))), st.data())
def test_compiled_and_reference_order_and_take_the_same(pieces: list[list[bytes]], data: Any) -> None:
    columns = [column(*values) for values in pieces]
    places = compiled().order_of(columns)
    assert places == _reference.order_of(columns)
    assert compiled().take(columns, places) == _reference.take(columns, places)
    count = len(places) // 4
    some = packed(data.draw(st.lists(st.integers(0, count - 1)))) if count else b""
    assert compiled().take(columns, some) == _reference.take(columns, some)
