"""Parse participants in plain Python: the specification of `_rows.pyx`, and its stand-in where no compiler is.

What a record is says `_records`; what a row must be says `_rules`; this module numbers the rows and finds duplicates.
"""

import struct
from collections import Counter
from collections.abc import Sequence

from evq_ext.rows._records import Record, RecordReader
from evq_ext.rows._rules import BUSY, Rules, Verdict, check_call, duplicate_of
from evq_ext.types import Batch, Column, ColumnData, Duplicate, DuplicatePolicy, NumberBy, Reject, Warned


class RowParser:
    """Read delimited UTF-8, fed in chunks of any size, into clean columns and precise errors.

    Raises ValueError, naming the option, at construction.
    """

    def __init__(
        self,
        columns: Sequence[Column | None],
        *,
        delimiter: bytes = b",",
        skip_records: int = 0,
        number_by: NumberBy = "line",
        region: str = "KR",
        duplicates: DuplicatePolicy = "skip",
    ) -> None:
        self._rules = Rules(
            columns=tuple(columns),
            delimiter=delimiter,
            skip_records=skip_records,
            number_by=number_by,
            region=region,
            duplicates=duplicates,
        )
        self._reader = RecordReader(delimiter)
        self._identity = self._rules.kept.index(self._rules.identity)
        self._seen: dict[str, int] = {}  # e-mail of an accepted row: its number
        self._read = 0  # records, of any kind
        self._records = 0
        self._fed = 0  # bytes
        self._finished = False
        self._busy = False

    @property
    def records(self) -> int:
        """Data records seen so far; blank ones are not counted."""
        return self._records

    def feed(self, data: bytes) -> Batch:
        """Read one chunk, of at most 1 GiB; what a call takes in memory is in proportion to it.

        Raises ValueError for a larger one, for more than 4 GiB in all, and after `finish`; RuntimeError while another
        call is under way, and after one that was broken off.
        """
        return self._parse(data, last=False)

    def finish(self) -> Batch:
        """Read what is left, now that no more comes.

        Raises ValueError if that was said before; RuntimeError as `feed` does.
        """
        batch = self._parse(b"", last=True)
        self._finished = True
        return batch

    def _parse(self, data: bytes, *, last: bool) -> Batch:
        check_call(len(data), fed=self._fed, finished=self._finished)
        if self._busy:
            raise RuntimeError(BUSY)
        self._busy = True
        self._fed += len(data)
        draft = _Draft(len(self._rules.kept))
        for record in self._reader.feed(data, last=last):
            self._read += 1
            if self._read > self._rules.skip_records:
                self._take(record, draft)
        batch = draft.batch(self._rules, self._reader.consumed)
        self._busy = False  # not so where something was raised: then nobody knows what was read
        return batch

    def _take(self, record: Record, draft: "_Draft") -> None:
        verdict = self._rules.judge(record.cells, record.fault)
        if verdict is None:
            return
        self._records += 1
        row = record.line if self._rules.number_by == "line" else self._read
        if verdict.errors:
            draft.rejects.append(Reject(row, verdict.raw, verdict.errors))
        elif self._is_accepted(row, verdict, draft):
            draft.rows.append(row)
            for column, value in zip(draft.columns, verdict.values, strict=True):
                column.append(value.encode())
            if verdict.warnings:
                draft.warned.append(Warned(row, verdict.warnings))
                draft.warnings.update({warning.code for warning in verdict.warnings})

    def _is_accepted(self, row: int, verdict: Verdict, draft: "_Draft") -> bool:
        """Apply the duplicate policy; remember the row if it is accepted."""
        email = verdict.values[self._identity]
        twin = self._seen.get(email)
        if twin is not None:
            match self._rules.duplicates:
                case "skip":
                    draft.duplicates.append(Duplicate(row, twin))
                    return False
                case "error":
                    draft.rejects.append(Reject(row, verdict.raw, (duplicate_of(self._rules, verdict.raw, twin),)))
                    return False
                case "update":
                    draft.duplicates.append(Duplicate(twin, row))
        self._seen[email] = row
        return True


class _Draft:
    """A batch in the making."""

    def __init__(self, width: int) -> None:
        self.rows: list[int] = []
        self.columns: list[list[bytes]] = [[] for _ in range(width)]
        self.rejects: list[Reject] = []
        self.warned: list[Warned] = []
        self.warnings: Counter[str] = Counter()
        self.duplicates: list[Duplicate] = []

    def batch(self, rules: Rules, consumed: int) -> Batch:
        names = [column.name for column in rules.kept]
        return Batch(
            count=len(self.rows),
            rows=_pack(self.rows),
            columns=dict(zip(names, map(_column_data, self.columns), strict=True)),
            rejects=tuple(self.rejects),
            warned=tuple(self.warned),
            warnings=dict(self.warnings),
            duplicates=tuple(self.duplicates),
            consumed=consumed,
        )


def _column_data(values: list[bytes]) -> ColumnData:
    offsets = [0]
    for value in values:
        offsets.append(offsets[-1] + len(value))
    return ColumnData(_pack(offsets), b"".join(values))


def _pack(numbers: list[int]) -> bytes:
    return struct.pack(f"<{len(numbers)}I", *numbers)
