"""Growing arrays, and bytes looked at many at a time."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport realloc

cdef enum:
    PADDING = 64    # bytes behind a text that may be read, or written, without meaning


cdef extern from "_simd.h" nogil:
    uint64_t evq_marks(const uint8_t* text, uint8_t delimiter)
    uint32_t evq_odd(const uint8_t* text)
    enum: EVQ_SHORT
    bint evq_plain(const uint8_t* text, size_t length)
    uint32_t evq_lower(uint8_t* text)
    uint32_t evq_high(const uint8_t* text)
    size_t evq_copy_ascii(uint8_t* to, const uint8_t* text)
    size_t evq_utf8(const uint8_t* text, size_t* characters)
    void evq_copy16(uint8_t* to, const uint8_t* source)
    void evq_copy(uint8_t* to, const uint8_t* source, size_t length)
    bint evq_same(const uint8_t* one, const uint8_t* other, size_t length)
    int evq_lowest(uint64_t bits)


cdef struct Vector:         # a growing array
    uint8_t* data
    size_t length           # bytes in use
    size_t capacity         # bytes


cdef inline bint reserve(Vector* vector, size_t more) noexcept nogil:
    """Make room for `more` bytes and the padding; return False if there is no memory."""
    cdef size_t needed = vector.length + more + PADDING
    cdef size_t capacity
    cdef void* moved
    if needed <= vector.capacity:
        return True
    capacity = max(vector.capacity, <size_t>4096)
    while capacity < needed:
        capacity *= 2
    moved = realloc(vector.data, capacity)
    if moved == NULL:
        return False
    vector.data = <uint8_t*>moved
    vector.capacity = capacity
    return True
