"""The spool: accepted rows in columns on disk, between validating and saving.

A file is a head, the column names, frames, and the superseded ordinals. All numbers are little-endian.

    head         magic, place of the superseded ordinals (uint64); how many rows, superseded ordinals and bytes of names
                 there are (uint32 each); CRC-32 of all these
    names        JSON, an array of strings
    frame        count of rows, length of the body in bytes, CRC-32 of the body (uint32 each), body
      body       row numbers (uint32 each), then per column:
        column   count + 1 offsets into the data (uint32 each), data (UTF-8)
    superseded   ordinals in ascending order (uint32 each)

An *ordinal* is the place of a row among the accepted ones, from 0. One batch of the core is one frame, and no reader or
writer holds more than one.
"""

import os
import struct
import zlib
from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import orjson

from evq_ext import Batch
from evq_server.files import whole_file

_MAGIC = b"evqspl\x00\x01"  # the last byte is the format's version
_HEAD = struct.Struct("<8sQIII")
_CRC = struct.Struct("<I")
_FRAME = struct.Struct("<III")


class SpoolCorrupt(Exception):  # noqa: N818 - the state is the name
    """The spool is not what was written; remove it and run the import again."""


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """Consecutive rows: the first one's ordinal, their row numbers, their columns, the superseded ordinals in them."""

    first: int
    rows: list[int]
    columns: dict[str, list[str]]
    superseded: frozenset[int]


class SpoolWriter:
    """Write a spool, which appears at *path* when it is closed, whole and synced, and never if the block raises."""

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self.count = 0
        self._columns = tuple(columns)
        self._names = orjson.dumps(self._columns)
        self._superseded = array("I")
        self._files = ExitStack()
        self._file = self._files.enter_context(whole_file(path))
        self._file.write(bytes(_HEAD.size + _CRC.size))
        self._file.write(self._names)

    def append(self, batch: Batch) -> None:
        """Add the accepted rows of one batch, whose columns must be the spool's."""
        self._superseded.extend(batch.superseded)
        if batch.count:
            columns = (part for name in self._columns for part in batch.columns[name])
            body = b"".join((batch.rows, *columns))
            self._file.write(_FRAME.pack(batch.count, len(body), zlib.crc32(body)))
            self._file.write(body)
            self.count += batch.count

    def close(self) -> None:
        """Complete the file and put it in its place."""
        end = self._file.tell()
        self._file.write(_uint32s(sorted(self._superseded)))
        head = _HEAD.pack(_MAGIC, end, self.count, len(self._superseded), len(self._names))
        self._file.seek(0)
        self._file.write(head + _CRC.pack(zlib.crc32(head)))
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


class SpoolReader:
    """Read a spool from any row on; raises SpoolCorrupt, now or later, if it is not what was written."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with path.open("rb") as file:
            head = _read(file, _HEAD.size, path)
            magic, self._end, self.count, superseded, names = _HEAD.unpack(head)
            if magic != _MAGIC or _CRC.unpack(_read(file, _CRC.size, path)) != (zlib.crc32(head),):
                raise SpoolCorrupt(_says(path))
            self.columns: tuple[str, ...] = tuple(orjson.loads(_read(file, names, path)))
            self._frames = file.tell()
            file.seek(self._end)
            self._superseded = array("I", _numbers(_read(file, 4 * superseded, path)))

    def chunks(self, start: int, size: int) -> Iterator[Chunk]:
        """Yield the rows from ordinal *start* on, at most *size* at a time (fewer at the end of a frame)."""
        first = 0
        with self._path.open("rb") as file:
            file.seek(self._frames)
            while file.tell() < self._end:
                count, length, crc = _FRAME.unpack(_read(file, _FRAME.size, self._path))
                if first + count <= start:
                    file.seek(length, os.SEEK_CUR)
                else:
                    body = _read(file, length, self._path)
                    if zlib.crc32(body) != crc:
                        raise SpoolCorrupt(_says(self._path))
                    for low in range(max(start - first, 0), count, size):
                        yield self._chunk(body, first, count, slice(low, min(low + size, count)))
                first += count

    def _chunk(self, body: bytes, first: int, count: int, part: slice) -> Chunk:
        """Cut some rows out of a frame."""
        columns = {}
        at = 4 * count
        for name in self.columns:
            offsets = _numbers(body[at + 4 * part.start : at + 4 * (part.stop + 1)])
            data = at + 4 * (count + 1)
            columns[name] = [body[data + low : data + high].decode() for low, high in pairwise(offsets)]
            at = data + _numbers(body[data - 4 : data])[0]
        low, high = (bisect_left(self._superseded, first + edge) for edge in (part.start, part.stop))
        return Chunk(
            first=first + part.start,
            rows=_numbers(body[4 * part.start : 4 * part.stop]),
            columns=columns,
            superseded=frozenset(self._superseded[low:high]),
        )


def _uint32s(numbers: Sequence[int]) -> bytes:
    return struct.pack(f"<{len(numbers)}I", *numbers)


def _numbers(uint32s: bytes) -> list[int]:
    return list(struct.unpack(f"<{len(uint32s) // 4}I", uint32s))


def _read(file: BinaryIO, length: int, path: Path) -> bytes:
    data = file.read(length)
    if len(data) < length:
        raise SpoolCorrupt(_says(path))
    return data


def _says(path: Path) -> str:
    return f"The spool {path.name} is damaged or cut off; run the import again."
