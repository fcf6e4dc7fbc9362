"""The values that go in and out of the core; both implementations share them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

Kind = Literal["name", "email", "phone", "text", "choice"]
NumberBy = Literal["line", "record"]
DuplicatePolicy = Literal["skip", "update", "error"]


class Column(NamedTuple):
    """Say what one column of the upload holds; `name` is the output column, `choices` what a "choice" may be."""

    name: str
    kind: Kind
    choices: tuple[str, ...] = ()


class Guess(NamedTuple):
    """Say which field a column holds, going by its name, and how surely: 1 to 100."""

    field: str
    score: int


class Finding(NamedTuple):
    """Say what was found in one cell (`value` is the raw one), or in the whole row (`column` is empty, `place` -1).

    `place` counts the row's cells from 0. An error has the row refused, a warning does not.
    """

    column: str
    place: int
    value: str
    code: str
    params: dict[str, int | str]


class Reject(NamedTuple):
    """Hold a row that is not accepted: its raw cells in upload order, and everything that is wrong with it."""

    row: int
    cells: tuple[str, ...]
    errors: tuple[Finding, ...]


class Warned(NamedTuple):
    """Name a row that is accepted, and what should be looked at in it."""

    row: int
    warnings: tuple[Finding, ...]


class Duplicate(NamedTuple):
    """Name a row that is left out because the row `kept` has its e-mail and counts instead."""

    row: int
    kept: int


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
    rejects: Sequence[Reject]  # in row order; each is judged in full when it is looked at
    warned: Sequence[Warned]  # likewise
    warnings: dict[str, int]  # by code: the rows that have it
    duplicates: Sequence[Duplicate]  # of the policies "skip" and "update", in the order in which they were met
    consumed: int  # bytes of input read so far, in all batches; a record that is not complete yet is not counted


class SheetError(ValueError):
    """The XML of a sheet cannot be read: `code` says why, `cell` where, such as D14, if it is about a cell.

    damaged: it is no XML, or cut off; doctype: it has a document type; shared_too_long: its shared texts do not fit
    into memory; shared_missing: a cell shares a text that is not there; beyond_sheet: a reference to what no sheet has;
    too_wide: a value beyond column IV; out_of_order: a cell after one that it stands before.
    """

    def __init__(self, code: str, cell: str = "") -> None:
        super().__init__(f"{code} {cell}".rstrip())
        self.code = code
        self.cell = cell
