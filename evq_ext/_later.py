"""Rows whose fate the compiled core knows, and whose findings are worded by the rules when somebody looks."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple, TypeVar, overload

from evq_ext._records import split_record
from evq_ext._rules import Rules, duplicate_of
from evq_ext.types import Reject, Warned

Judged = TypeVar("Judged")


class SetAside(NamedTuple):
    """Hold a record: its bytes without the line end, the fault it was read with, and whose duplicate it is (or 0)."""

    row: int
    content: bytes
    fault: str
    first_row: int


class Later(Sequence[Judged]):
    """Hold what becomes of rows that were set aside, found out anew at each look."""

    def __init__(self, judge: Callable[[SetAside], Judged], records: Sequence[SetAside]) -> None:
        self._judge = judge
        self._records = records

    def __len__(self) -> int:
        return len(self._records)

    @overload
    def __getitem__(self, index: int) -> Judged: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Judged]: ...
    def __getitem__(self, index: int | slice) -> Judged | Sequence[Judged]:
        if isinstance(index, slice):
            return Later(self._judge, self._records[index])
        return self._judge(self._records[index])


def rejects(rules: Rules, records: Sequence[SetAside]) -> Sequence[Reject]:
    """Return the rejects that the refused rows will be."""
    return Later(partial(_reject, rules), records)


def warned(rules: Rules, records: Sequence[SetAside]) -> Sequence[Warned]:
    """Return the warnings that the accepted rows will have."""
    return Later(partial(_warned, rules), records)


def _reject(rules: Rules, record: SetAside) -> Reject:
    verdict = rules.judge(split_record(record.content, rules.delimiter, record.fault), record.fault)
    assert verdict is not None, "a blank record is not set aside"  # noqa: S101  the kernels have seen to it
    errors = (duplicate_of(rules, verdict.raw, record.first_row),) if record.first_row else verdict.errors
    return Reject(record.row, verdict.raw, errors)


def _warned(rules: Rules, record: SetAside) -> Warned:
    verdict = rules.judge(split_record(record.content, rules.delimiter, record.fault), record.fault)
    assert verdict is not None, "a blank record is not set aside"  # noqa: S101  the kernels have seen to it
    return Warned(record.row, verdict.warnings)
