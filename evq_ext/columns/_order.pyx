# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, binding=True
"""Put the values of a column in order, compiled; `_reference` is the specification."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport qsort
from libc.string cimport memcmp, memcpy

from evq_ext.columns._column cimport is_cut

from evq_ext.types import ColumnData

cdef enum:
    PREFIX = 8              # bytes that are compared at once

cdef uint64_t MOST = 0xFFFFFFFF


cdef struct Value:
    const uint8_t* text     # borrowed from the piece
    uint32_t length


cdef struct Key:
    uint64_t prefix         # the first bytes as a big-endian number, zeros behind a shorter value
    Value value
    uint32_t place


def order_of(pieces):
    """Return the places of a column's values in the order of their bytes; equal ones stay as they stand.

    The column is in `pieces`, one after the other; places are little-endian uint32. Raises ValueError if the offsets
    do not cut the data.
    """
    cdef list held = list(pieces)
    cdef bytes cut = values_of(held)
    cdef const Value* values = <Value*>PyBytes_AS_STRING(cut)
    cdef Py_ssize_t count = len(cut) // sizeof(Value)
    cdef bytes keys = PyBytes_FromStringAndSize(NULL, count * sizeof(Key))
    cdef bytes places = PyBytes_FromStringAndSize(NULL, 4 * count)
    cdef Key* key = <Key*>PyBytes_AS_STRING(keys)
    cdef uint32_t* place = <uint32_t*>PyBytes_AS_STRING(places)
    cdef Py_ssize_t index
    with nogil:
        for index in range(count):
            key[index].prefix = prefix_of(&values[index])
            key[index].value = values[index]
            key[index].place = <uint32_t>index
        qsort(key, count, sizeof(Key), compare)
        for index in range(count):
            place[index] = key[index].place
    return places


def take(pieces, bytes places):
    """Return the values at `places` of a column that is in `pieces`; see `order_of`.

    Raises ValueError if the offsets do not cut the data, if a place is beyond the column, or if the values are more
    than one column holds (4 GiB).
    """
    cdef list held = list(pieces)
    cdef bytes cut = values_of(held)
    cdef const Value* values = <Value*>PyBytes_AS_STRING(cut)
    cdef Py_ssize_t count = len(cut) // sizeof(Value)
    cdef const uint32_t* place = <uint32_t*>PyBytes_AS_STRING(places)
    cdef Py_ssize_t chosen = len(places) // 4
    cdef bytes offsets, data
    cdef uint32_t* ends
    cdef uint8_t* text
    cdef uint64_t size
    if len(places) % 4 or not are_within(place, chosen, count):
        raise ValueError("The places are not of this column; they must be uint32, below its count of values.")
    size = size_of(values, place, chosen)
    if size > MOST:
        raise ValueError("The values are more than one column holds, 4 GiB; take fewer of them.")
    offsets = PyBytes_FromStringAndSize(NULL, 4 * (chosen + 1))
    data = PyBytes_FromStringAndSize(NULL, size)
    ends = <uint32_t*>PyBytes_AS_STRING(offsets)
    text = <uint8_t*>PyBytes_AS_STRING(data)
    with nogil:
        copy(values, place, chosen, ends, text)
    return ColumnData(offsets, data)


cdef bytes values_of(list pieces):
    """Cut the pieces of a column: return an array of Value, to be used no longer than the pieces live."""
    cdef bytes offsets, data, cut
    cdef const uint32_t* ends
    cdef const uint8_t* text
    cdef Value* value
    cdef Py_ssize_t index, count
    cdef Py_ssize_t total = 0
    for offsets, data in pieces:
        count = len(offsets) // 4 - 1
        if len(offsets) % 4 or count < 0 or not is_cut(<uint32_t*>PyBytes_AS_STRING(offsets), count, len(data)):
            raise ValueError("The offsets of the column do not cut its data; they must ascend, and end with it.")
        total += count
    cut = PyBytes_FromStringAndSize(NULL, total * sizeof(Value))
    value = <Value*>PyBytes_AS_STRING(cut)
    for offsets, data in pieces:
        ends = <uint32_t*>PyBytes_AS_STRING(offsets)
        text = <uint8_t*>PyBytes_AS_STRING(data)
        for index in range(len(offsets) // 4 - 1):
            value[0].text = text + ends[index]
            value[0].length = ends[index + 1] - ends[index]
            value += 1
    return cut


cdef inline uint64_t prefix_of(const Value* value) noexcept nogil:
    """Return the first bytes of a value as a number that compares as they do."""
    cdef uint64_t prefix = 0
    cdef Py_ssize_t index
    for index in range(PREFIX):
        prefix = prefix << 8 | (value.text[index] if index < value.length else 0)
    return prefix


cdef int compare(const void* one, const void* other) noexcept nogil:
    """Compare two keys by their bytes, and then by their places, as `qsort` wants it."""
    cdef const Key* a = <const Key*>one
    cdef const Key* b = <const Key*>other
    cdef int difference
    if a.prefix != b.prefix:
        return -1 if a.prefix < b.prefix else 1
    difference = memcmp(a.value.text, b.value.text, min(a.value.length, b.value.length))
    if difference:
        return difference
    if a.value.length != b.value.length:
        return -1 if a.value.length < b.value.length else 1
    return -1 if a.place < b.place else 1


cdef bint are_within(const uint32_t* places, Py_ssize_t count, Py_ssize_t limit) noexcept nogil:
    """Tell whether all places are below `limit`."""
    cdef Py_ssize_t index
    for index in range(count):
        if places[index] >= limit:
            return False
    return True


cdef uint64_t size_of(const Value* values, const uint32_t* places, Py_ssize_t count) noexcept nogil:
    """Return how many bytes the values at some places have together."""
    cdef uint64_t size = 0
    cdef Py_ssize_t index
    for index in range(count):
        size += values[places[index]].length
    return size


cdef void copy(
    const Value* values, const uint32_t* places, Py_ssize_t count, uint32_t* ends, uint8_t* text
) noexcept nogil:
    """Write the values at some places, one behind the other, and the offsets that cut them."""
    cdef Py_ssize_t index
    cdef uint32_t end = 0
    cdef const Value* value
    ends[0] = 0
    for index in range(count):
        value = &values[places[index]]
        memcpy(text + end, value.text, value.length)
        end += value.length
        ends[index + 1] = end
