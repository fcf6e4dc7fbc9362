"""The values that go in and out of the core; both implementations share them."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

Kind = Literal["name", "email", "phone", "text"]
NumberBy = Literal["line", "record"]
DuplicatePolicy = Literal["skip", "update", "error"]


class Column(NamedTuple):
    """Say what one column of the upload holds; `name` is the output column."""

    name: str
    kind: Kind


class RowError(NamedTuple):
    """Say what is wrong with one cell (`value` is the raw one), or with the whole row (`column` is empty)."""

    column: str
    value: str
    code: str
    params: dict[str, int | str]


class Reject(NamedTuple):
    """Hold a row that is not accepted: its raw cells in upload order, and everything that is wrong with it."""

    row: int
    cells: tuple[str, ...]
    errors: tuple[RowError, ...]


class Duplicate(NamedTuple):
    """Name a row that was skipped because the accepted row `first_row` has its e-mail."""

    row: int
    first_row: int


class ColumnData(NamedTuple):
    """Hold one column: value `i` is the UTF-8 in `data[offsets[i]:offsets[i + 1]]`.

    `offsets` are count + 1 little-endian uint32.
    """

    offsets: bytes
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Hold what one call of `feed` or `finish` yielded."""

    count: int  # accepted rows in this batch
    rows: bytes  # their row numbers: `count` little-endian uint32
    columns: dict[str, ColumnData]  # one for each column that is not ignored, in upload order
    rejects: tuple[Reject, ...]  # in row order
    duplicates: tuple[Duplicate, ...]  # policy "skip": in row order
    superseded: tuple[int, ...]  # policy "update": 0-based ordinals, over all accepted rows of the file, now replaced
    consumed: int  # bytes of input read so far, in all batches; a record that is not complete yet is not counted
