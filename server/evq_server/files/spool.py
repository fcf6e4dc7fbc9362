"""The spool: accepted rows in columns on disk, between validating and saving.

A file is a head and then frames. All numbers are little-endian, uint32 unless said otherwise.

    head     magic, place of the last frame (uint64), count of rows, CRC-32 of these
    frame    count of what is in it, length of its body in bytes, CRC-32 of the body, CRC-32 of these three, body

The first frame's body is the column names (a JSON array); the last one's the numbers of the superseded rows, ascending.
Each frame between them is some consecutive rows of the upload, put in the order of one column: their row numbers, and
then for every column count + 1 offsets and the UTF-8 text that they cut. An *ordinal* is the place of a row in the
spool, from 0. Nobody holds more than one frame.

The order is that of a unique index, so that rows which are saved together are neighbours in it: in the upload's order a
transaction of thousands touches thousands of its pages, and has to write each of them whole.
"""

import os
import struct
import zlib
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Final, Self

import orjson

from evq.errors import TemporaryError
from evq_ext import Batch, ColumnData, order_of, strings, take
from evq_server.files.whole import whole_file

FRAME_SIZE: Final = 16 << 20
"""Bytes of rows that are put in order together; more makes the save faster, and takes as much memory twice."""

_MAGIC = b"evqspl\x00\x02"  # the last byte is the format's version
_HEAD = struct.Struct("<8sQI")
_FRAME = struct.Struct("<III")


class SpoolCorrupt(TemporaryError):  # noqa: N818 - the state is the name
    """The spool is not what was written."""

    def __init__(self) -> None:
        super().__init__(
            "The import's working files are damaged or cut off. Run it again; if that does not help, have the "
            "operator check the server's disk."
        )


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """Rows that follow each other: the first one's ordinal, their row numbers, their columns, and the superseded ones.

    The row numbers do not ascend, but all those of a frame are above those of the frames before it.
    """

    first: int
    rows: Sequence[int]
    columns: dict[str, ColumnData]
    superseded: frozenset[int]

    @property
    def end(self) -> int:
        """The ordinal behind the last row."""
        return self.first + len(self.rows)

    def texts(self) -> dict[str, list[str]]:
        """Return all values, by column."""
        return {name: strings(column) for name, column in self.columns.items()}

    def text(self, name: str, place: int) -> str:
        """Return one column's value of the row at a place, from 0."""
        return strings(_cut(self.columns[name], place, place + 1))[0]

    def parts(self, size: Callable[[], int]) -> Iterator["Chunk"]:
        """Cut the chunk into smaller ones, each of at most *size* rows, which is asked for anew each time."""
        low = 0
        while low < len(self.rows):
            high = min(low + size(), len(self.rows))
            rows = self.rows[low:high]
            yield Chunk(
                first=self.first + low,
                rows=rows,
                columns={name: _cut(column, low, high) for name, column in self.columns.items()},
                superseded=self.superseded.intersection(rows),
            )
            low = high


class SpoolWriter:
    """Write a spool, which appears at *path* when it is closed, whole and synced, and never if the block raises.

    *order_by* names the column in whose order each frame is.
    """

    def __init__(self, path: Path, columns: Sequence[str], *, order_by: str) -> None:
        self.count = 0
        self._columns = tuple(columns)
        self._order_by = order_by
        self._batches: list[Batch] = []
        self._size = 0
        self._superseded = array("I")
        self._files = ExitStack()
        self._file = self._files.enter_context(whole_file(path))
        self._write_head(last_frame=0)
        self._write_frame(len(self._columns), [orjson.dumps(self._columns)])

    def append(self, batch: Batch) -> None:
        """Add the accepted rows of one batch, whose columns must be the spool's."""
        if batch.count:
            self._batches.append(batch)
            self._size += len(batch.rows) + sum(len(part) for column in batch.columns.values() for part in column)
            self.count += batch.count
        if self._size >= FRAME_SIZE:
            self._write_rows()

    def supersede(self, rows: Iterable[int]) -> None:
        """Mark rows that were appended as replaced by later ones."""
        self._superseded.extend(rows)

    def close(self) -> None:
        """Complete the file and put it in its place."""
        self._write_rows()
        last_frame = self._file.tell()
        self._write_frame(len(self._superseded), [_packed(sorted(self._superseded))])
        self._file.seek(0)
        self._write_head(last_frame)
        self._files.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self._files.__exit__(kind, error, trace)

    def _write_head(self, last_frame: int) -> None:
        self._write_sealed(_HEAD.pack(_MAGIC, last_frame, self.count))

    def _write_rows(self) -> None:
        """Put the rows that have been gathered in order, and write them as one frame."""
        if not self._batches:
            return
        places = order_of([batch.columns[self._order_by] for batch in self._batches])
        numbers = _unpacked(b"".join(batch.rows for batch in self._batches))
        body = [_packed([numbers[place] for place in _unpacked(places)])]
        for name in self._columns:
            body += take([batch.columns[name] for batch in self._batches], places)
        self._batches.clear()
        self._size = 0
        self._write_frame(len(numbers), body)

    def _write_frame(self, count: int, body: Sequence[bytes]) -> None:
        crc = 0
        for part in body:
            crc = zlib.crc32(part, crc)
        self._write_sealed(_FRAME.pack(count, sum(map(len, body)), crc))
        self._file.writelines(body)

    def _write_sealed(self, fields: bytes) -> None:
        self._file.write(fields + _packed([zlib.crc32(fields)]))


class SpoolReader:
    """Read a spool from any row on; raises SpoolCorrupt, at once or at the frame that is not what was written."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with path.open("rb") as file:
            magic, self._last_frame, self.count = _read_sealed(file, _HEAD)
            if magic != _MAGIC:
                raise SpoolCorrupt
            _, length, crc = _read_sealed(file, _FRAME)
            self.columns: tuple[str, ...] = tuple(orjson.loads(_read_body(file, length, crc)))
            self._first_rows = file.tell()
            file.seek(self._last_frame)
            _, length, crc = _read_sealed(file, _FRAME)
            self._superseded = array("I", _unpacked(_read_body(file, length, crc)))

    def frames(self, start: int) -> Iterator[Chunk]:
        """Yield the rows from ordinal *start* on, frame by frame."""
        first = 0
        with self._path.open("rb") as file:
            file.seek(self._first_rows)
            while file.tell() < self._last_frame:
                count, length, crc = _read_sealed(file, _FRAME)
                if first + count <= start:
                    file.seek(length, os.SEEK_CUR)
                else:
                    yield self._frame(_read_body(file, length, crc), first, count, max(start - first, 0))
                first += count

    def chunks(self, start: int, size: Callable[[], int]) -> Iterator[Chunk]:
        """Yield the rows from ordinal *start* on, at most *size* at a time (fewer at the end of a frame)."""
        for frame in self.frames(start):
            yield from frame.parts(size)

    def _frame(self, body: bytes, first: int, count: int, skip: int) -> Chunk:
        """Make a chunk of a frame's rows but the first ones."""
        columns = {}
        offsets = 4 * count  # where the column's offsets begin; its text follows them
        for name in self.columns:
            text = offsets + 4 * (count + 1)
            end = text + _unpacked(body[text - 4 : text])[0]
            columns[name] = ColumnData(body[offsets + 4 * skip : text], body[text:end])
            offsets = end
        rows = _unpacked(body[4 * skip : 4 * count])
        low, high = (bisect_left(self._superseded, edge) for edge in (min(rows), max(rows) + 1))
        return Chunk(first=first + skip, rows=rows, columns=columns, superseded=frozenset(self._superseded[low:high]))


def _cut(column: ColumnData, low: int, high: int) -> ColumnData:
    """Return the values of a column at places *low* to *high* (exclusive)."""
    return ColumnData(column.offsets[4 * low : 4 * (high + 1)], column.data)


def _packed(numbers: Sequence[int]) -> bytes:
    return struct.pack(f"<{len(numbers)}I", *numbers)


def _unpacked(numbers: bytes) -> list[int]:
    return list(struct.unpack(f"<{len(numbers) // 4}I", numbers))


def _read_sealed(file: BinaryIO, fields: struct.Struct) -> tuple[Any, ...]:
    sealed = file.read(fields.size + 4)
    if len(sealed) < fields.size + 4 or _packed([zlib.crc32(sealed[:-4])]) != sealed[-4:]:
        raise SpoolCorrupt
    return fields.unpack(sealed[:-4])


def _read_body(file: BinaryIO, length: int, crc: int) -> bytes:
    body = file.read(length)
    if len(body) < length or zlib.crc32(body) != crc:
        raise SpoolCorrupt
    return body
