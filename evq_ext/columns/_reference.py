"""Make strings of columns, and put them in order, in plain Python: the specification of what is compiled here."""

import struct
from collections.abc import Sequence
from itertools import accumulate, pairwise

from evq_ext.types import ColumnData

_MOST = 0xFFFFFFFF  # bytes in a column: its offsets are uint32


def strings(column: ColumnData) -> list[str]:
    """Return the values of a column as a list of str.

    Raises ValueError if the offsets do not cut the data, UnicodeDecodeError if a value is not UTF-8.
    """
    return [value.decode() for value in _values([column])]


def order_of(pieces: Sequence[ColumnData]) -> bytes:
    """Return the places of a column's values in the order of their bytes; equal ones stay as they stand.

    The column is in *pieces*, one after the other; places are little-endian uint32. Raises ValueError if the offsets
    do not cut the data.
    """
    values = _values(pieces)
    return struct.pack(f"<{len(values)}I", *sorted(range(len(values)), key=values.__getitem__))


def take(pieces: Sequence[ColumnData], places: bytes) -> ColumnData:
    """Return the values at *places* of a column that is in *pieces*; see `order_of`.

    Raises ValueError if the offsets do not cut the data, if a place is beyond the column, or if the values are more
    than one column holds (4 GiB).
    """
    values = _values(pieces)
    count, rest = divmod(len(places), 4)
    chosen = [] if rest else list(struct.unpack(f"<{count}I", places))
    if rest or (chosen and max(chosen) >= len(values)):
        raise ValueError("The places are not of this column; they must be uint32, below its count of values.")
    ends = [0, *accumulate(len(values[place]) for place in chosen)]
    if ends[-1] > _MOST:
        raise ValueError("The values are more than one column holds, 4 GiB; take fewer of them.")
    return ColumnData(struct.pack(f"<{len(ends)}I", *ends), b"".join(values[place] for place in chosen))


def _values(pieces: Sequence[ColumnData]) -> list[bytes]:
    """Cut the values out of the pieces of a column."""
    values = []
    for offsets, data in pieces:
        count, rest = divmod(len(offsets), 4)
        ends = [] if rest else list(struct.unpack(f"<{count}I", offsets))
        if not ends or ends != sorted(ends) or ends[-1] > len(data):
            raise ValueError("The offsets of the column do not cut its data; they must ascend, and end with it.")
        values += [data[start:end] for start, end in pairwise(ends)]
    return values
