"""The spool: accepted rows in columns on disk, between validating and saving.

A file is a head and then frames. All numbers are little-endian, uint32 unless said otherwise.

    head     magic, place of the last frame (uint64), count of rows, CRC-32 of these
    frame    count of what is in it, length of its body in bytes, CRC-32 of the body, CRC-32 of these three, body

The first frame's body is the column names (a JSON array); the last one's the numbers of the superseded rows, ascending.
Each frame between them is one batch of the core: its row numbers, and then for every column count + 1 offsets and the
UTF-8 text that they cut. An *ordinal* is the place of a row among the accepted ones, from 0. Nobody holds more than one
frame.
"""

import os
import struct
import zlib
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import orjson

from evq.errors import TemporaryError
from evq_ext import Batch
from evq_server.files.whole import whole_file

_MAGIC = b"evqspl\x00\x01"  # the last byte is the format's version
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
    """Consecutive rows: the first one's ordinal, their row numbers, their columns, and which of them are superseded."""

    first: int
    rows: list[int]
    columns: dict[str, list[str]]
    superseded: frozenset[int]


class SpoolWriter:
    """Write a spool, which appears at *path* when it is closed, whole and synced, and never if the block raises."""

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self.count = 0
        self._columns = tuple(columns)
        self._superseded = array("I")
        self._files = ExitStack()
        self._file = self._files.enter_context(whole_file(path))
        self._write_head(last_frame=0)
        self._write_frame(len(self._columns), orjson.dumps(self._columns))

    def append(self, batch: Batch) -> None:
        """Add the accepted rows of one batch, whose columns must be the spool's."""
        if batch.count:
            columns = (part for name in self._columns for part in batch.columns[name])
            self._write_frame(batch.count, b"".join((batch.rows, *columns)))
            self.count += batch.count

    def supersede(self, rows: Iterable[int]) -> None:
        """Mark rows that were appended as replaced by later ones."""
        self._superseded.extend(rows)

    def close(self) -> None:
        """Complete the file and put it in its place."""
        last_frame = self._file.tell()
        self._write_frame(len(self._superseded), _packed(sorted(self._superseded)))
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

    def _write_frame(self, count: int, body: bytes) -> None:
        self._write_sealed(_FRAME.pack(count, len(body), zlib.crc32(body)))
        self._file.write(body)

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

    def chunks(self, start: int, size: int) -> Iterator[Chunk]:
        """Yield the rows from ordinal *start* on, at most *size* at a time (fewer at the end of a frame)."""
        first = 0
        with self._path.open("rb") as file:
            file.seek(self._first_rows)
            while file.tell() < self._last_frame:
                count, length, crc = _read_sealed(file, _FRAME)
                if first + count <= start:
                    file.seek(length, os.SEEK_CUR)
                else:
                    body = _read_body(file, length, crc)
                    for low in range(max(start - first, 0), count, size):
                        yield self._chunk(body, first, count, slice(low, min(low + size, count)))
                first += count

    def _chunk(self, body: bytes, first: int, count: int, part: slice) -> Chunk:
        """Cut some rows out of a frame."""
        columns = {}
        offsets = 4 * count  # where the column's offsets begin; its text follows them
        for name in self.columns:
            text = offsets + 4 * (count + 1)
            ends = _unpacked(body[offsets + 4 * part.start : offsets + 4 * (part.stop + 1)])
            columns[name] = [body[text + low : text + high].decode() for low, high in pairwise(ends)]
            offsets = text + _unpacked(body[text - 4 : text])[0]
        rows = _unpacked(body[4 * part.start : 4 * part.stop])
        low, high = (bisect_left(self._superseded, edge) for edge in (rows[0], rows[-1] + 1))
        return Chunk(
            first=first + part.start,
            rows=rows,
            columns=columns,
            superseded=frozenset(self._superseded[low:high]),
        )


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
