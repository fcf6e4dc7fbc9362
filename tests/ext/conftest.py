"""Both implementations of the parser, and a way to read a whole file with one of them."""

import os
import struct
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Protocol

import pytest

from evq_ext import Batch, Column, Duplicate, Reject, RowParser, Warned
from evq_ext.rows._reference import RowParser as ReferenceParser

NAME_AND_EMAIL = (Column("name", "name"), Column("email", "email"))


@dataclass(kw_only=True)
class Reading:
    """Hold all batches of one file, unpacked."""

    rows: list[int] = field(default_factory=list)
    columns: dict[str, list[str]] = field(default_factory=dict)
    rejects: list[Reject] = field(default_factory=list)
    duplicates: list[Duplicate] = field(default_factory=list)
    warned: list[Warned] = field(default_factory=list)
    warnings: Counter[str] = field(default_factory=Counter)
    consumed: int = 0
    records: int = 0

    def add(self, batch: Batch) -> None:
        self.rows += struct.unpack(f"<{batch.count}I", batch.rows)
        for name, (packed, data) in batch.columns.items():
            offsets = struct.unpack(f"<{batch.count + 1}I", packed)
            assert (offsets[0], offsets[-1]) == (0, len(data))
            values = [data[offsets[i] : offsets[i + 1]].decode() for i in range(batch.count)]
            self.columns.setdefault(name, []).extend(values)
        self.rejects += batch.rejects
        self.duplicates += batch.duplicates
        self.warned += batch.warned
        self.warnings.update(batch.warnings)
        self.consumed = batch.consumed

    @property
    def codes(self) -> list[tuple[int, list[str]]]:
        """The rejected rows, each with the codes of its errors."""
        return [(reject.row, [error.code for error in reject.errors]) for reject in self.rejects]


Parser = type[RowParser] | type[ReferenceParser]


def read_with(
    parser_class: Parser,
    data: bytes,
    columns: Sequence[Column | None] = NAME_AND_EMAIL,
    *,
    cuts: Sequence[int] = (),
    **options: Any,
) -> Reading:
    """Read `data`, cut into chunks at the positions `cuts`."""
    parser = parser_class(columns, **options)
    reading = Reading()
    edges = [0, *sorted(cuts), len(data)]
    for start, end in pairwise(edges):
        reading.add(parser.feed(data[start:end]))
    reading.add(parser.finish())
    reading.records = parser.records
    return reading


class ReadWith(Protocol):
    def __call__(
        self,
        parser_class: Parser,
        data: bytes,
        columns: Sequence[Column | None] = ...,
        *,
        cuts: Sequence[int] = ...,
        **options: Any,
    ) -> Reading: ...


class Read(Protocol):
    def __call__(
        self, data: bytes | str, columns: Sequence[Column | None] = ..., *, cuts: Sequence[int] = ..., **options: Any
    ) -> Reading: ...


def compiled_parser() -> type[RowParser]:
    """Return the compiled parser; skip where the reference is forced, as there may be no compiler."""
    if os.environ.get("EVQ_EXT_IMPLEMENTATION") == "reference":
        pytest.skip("the reference is forced: this installation may have no compiled core")
    from evq_ext.rows._rows import RowParser as CompiledParser  # noqa: PLC0415  where it exists

    return CompiledParser


@pytest.fixture(params=["reference", "compiled"])
def impl(request: pytest.FixtureRequest) -> Parser:
    return ReferenceParser if request.param == "reference" else compiled_parser()


@pytest.fixture(scope="session")
def compiled() -> type[RowParser]:
    return compiled_parser()


@pytest.fixture(scope="session", name="read_with")
def read_with_fixture() -> ReadWith:
    return read_with


@pytest.fixture
def read(impl: Parser) -> Read:
    def read_either(data: bytes | str, *args: Any, **options: Any) -> Reading:
        return read_with(impl, data if isinstance(data, bytes) else data.encode(), *args, **options)

    return read_either
