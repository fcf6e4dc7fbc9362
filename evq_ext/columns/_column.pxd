# cython: language_level=3
"""A column as the kernels see it: text, and the offsets that cut it into values."""

from libc.stdint cimport uint32_t


cdef inline bint is_cut(const uint32_t* ends, Py_ssize_t count, size_t length) noexcept nogil:
    """Tell whether the offsets ascend, up to `length`."""
    cdef Py_ssize_t index
    for index in range(count):
        if ends[index] > ends[index + 1]:
            return False
    return ends[count] <= length
