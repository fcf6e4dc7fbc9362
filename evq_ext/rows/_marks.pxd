"""Walk from mark to mark: the delimiters, quotes and line ends of a text, found 64 bytes at a time."""

from evq_ext._memory cimport evq_lowest, evq_marks
from libc.stdint cimport uint8_t, uint64_t


cdef struct Walk:
    const uint8_t* text
    size_t length
    uint8_t delimiter
    size_t base             # of the 64 bytes at hand
    uint64_t marks          # in them
    uint64_t ahead          # those not passed yet


cdef inline void begin_walk(Walk* walk, const uint8_t* text, size_t length) noexcept nogil:
    """Stand before the text, behind which the padding must be zeros: no marks."""
    walk.text = text
    walk.length = length
    walk.base = 0
    walk.marks = walk.ahead = evq_marks(text, walk.delimiter)


cdef inline void walk_to(Walk* walk, size_t at) noexcept nogil:
    """Let the next mark be the first one from `at` on; `at` is at most the text's length."""
    cdef size_t base = at & ~<size_t>63
    if base != walk.base:
        walk.base = base
        walk.marks = evq_marks(walk.text + base, walk.delimiter)
    walk.ahead = walk.marks & (~<uint64_t>0 << (at & 63))


cdef inline size_t next_mark(Walk* walk) noexcept nogil:
    """Pass the next mark and return its place; without one, return the length of the text, now and ever."""
    cdef size_t at
    while walk.ahead == 0:
        if walk.base + 64 >= walk.length:
            return walk.length
        walk.base += 64
        walk.marks = walk.ahead = evq_marks(walk.text + walk.base, walk.delimiter)
    at = walk.base + evq_lowest(walk.ahead)
    walk.ahead &= walk.ahead - 1
    return at
