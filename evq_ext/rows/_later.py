"""Rows whose fate the compiled core knows, and whose findings are worded by the rules when somebody looks."""

from collections.abc import Callable, Sequence
from functools import partial
from struct import Struct
from typing import ClassVar, NamedTuple, TypeVar, overload

from evq_ext.rows._records import ROW_TOO_LONG, UNCLOSED_QUOTE, split_record
from evq_ext.rows._rules import Rules, duplicate_of
from evq_ext.types import Reject, Warned

Judged = TypeVar("Judged")


class Record(NamedTuple):
    """Hold a record: its bytes without the line end, the fault it was read with, and whose duplicate it is (or 0)."""

    row: int
    content: bytes
    fault: str
    first_row: int


class Records:
    """Hold records as the kernels do: rows (see `Row` in `_outputs.pxd`), and the bytes into which they cut."""

    _ROW: ClassVar = Struct("<IIIIBxxx")
    _FAULTS: ClassVar = ("", UNCLOSED_QUOTE, ROW_TOO_LONG)  # in the order of `Fault` in `_reader.pxd`

    def __init__(self, rows: bytes, contents: bytes) -> None:
        self._rows = rows
        self._contents = contents

    def __len__(self) -> int:
        return len(self._rows) // self._ROW.size

    def __getitem__(self, index: int) -> Record:
        start, end, row, first_row, fault = self._ROW.unpack_from(self._rows, index * self._ROW.size)
        return Record(row, self._contents[start:end], self._FAULTS[fault], first_row)


class Later(Sequence[Judged]):
    """Hold what becomes of rows that were set aside, found out anew at each look."""

    def __init__(self, judge: Callable[[Record], Judged], records: Records) -> None:
        self._judge = judge
        self._records = records

    def __len__(self) -> int:
        return len(self._records)

    @overload
    def __getitem__(self, index: int) -> Judged: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Judged]: ...
    def __getitem__(self, index: int | slice) -> Judged | Sequence[Judged]:
        places = range(len(self))[index]
        if isinstance(places, range):
            return [self[place] for place in places]
        return self._judge(self._records[places])


def rejects(rules: Rules, records: Records) -> Sequence[Reject]:
    """Return the rejects that the refused rows will be."""
    return Later(partial(_reject, rules), records)


def warned(rules: Rules, records: Records) -> Sequence[Warned]:
    """Return the warnings that the accepted rows will have."""
    return Later(partial(_warned, rules), records)


def _reject(rules: Rules, record: Record) -> Reject:
    verdict = rules.judge(split_record(record.content, rules.delimiter, record.fault), record.fault)
    assert verdict is not None, "a blank record is not set aside"  # noqa: S101  the kernels have seen to it
    errors = (duplicate_of(rules, verdict.raw, record.first_row),) if record.first_row else verdict.errors
    return Reject(record.row, verdict.raw, errors)


def _warned(rules: Rules, record: Record) -> Warned:
    verdict = rules.judge(split_record(record.content, rules.delimiter, record.fault), record.fault)
    assert verdict is not None, "a blank record is not set aside"  # noqa: S101  the kernels have seen to it
    return Warned(record.row, verdict.warnings)
