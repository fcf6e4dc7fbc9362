# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, binding=True
"""Make Python strings of a column, compiled; `_reference.strings` is the specification."""

from cpython.bytes cimport PyBytes_AS_STRING
from cpython.list cimport PyList_New, PyList_SET_ITEM
from cpython.ref cimport Py_INCREF, PyObject
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy, memset

from evq_ext.columns._column cimport is_cut

cdef extern from "Python.h":
    str PyUnicode_New(Py_ssize_t size, Py_UCS4 maxchar)
    uint8_t* PyUnicode_1BYTE_DATA(object text)
    uint16_t* PyUnicode_2BYTE_DATA(object text)

cdef enum:
    REMEMBERED = 256        # values, so that a column of few different ones makes few strings


cdef struct Remembered:
    const uint8_t* value
    size_t length
    PyObject* string        # borrowed from the list; NULL if nothing is remembered


def strings(column):
    """Return the values of a column, a ColumnData, as a list of str.

    Raises ValueError if the offsets do not cut the data, UnicodeDecodeError if a value is not UTF-8.
    """
    cdef bytes offsets = column.offsets
    cdef bytes data = column.data
    cdef const uint32_t* ends = <uint32_t*>PyBytes_AS_STRING(offsets)
    cdef const uint8_t* text = <uint8_t*>PyBytes_AS_STRING(data)
    cdef Py_ssize_t count = len(offsets) // 4 - 1
    cdef Py_ssize_t index
    cdef Remembered[REMEMBERED] memory
    memset(memory, 0, sizeof(memory))
    if len(offsets) % 4 or count < 0 or not is_cut(ends, count, len(data)):
        raise ValueError("The offsets of the column do not cut its data; they must ascend, and end with it.")
    values = PyList_New(count)
    for index in range(count):
        value = find_string(memory, text + ends[index], ends[index + 1] - ends[index])
        Py_INCREF(value)
        PyList_SET_ITEM(values, index, value)
    return values


cdef inline str find_string(Remembered* memory, const uint8_t* value, size_t length):
    """Return the string of a value, the same one as lately if it is remembered."""
    cdef Remembered* known = &memory[place_of(value, length)]
    cdef str string
    if known.string != NULL and known.length == length and memcmp(known.value, value, length) == 0:
        return <str>known.string
    string = decode(value, length)
    known.value = value
    known.length = length
    known.string = <PyObject*>string
    return string


cdef inline size_t place_of(const uint8_t* value, size_t length) noexcept nogil:
    """Return where a value is remembered: the same place for equal ones."""
    cdef uint64_t first = 0
    cdef uint64_t last = 0
    if length >= 8:
        memcpy(&first, value, 8)
        memcpy(&last, value + length - 8, 8)
    else:
        memcpy(&first, value, length)
    return ((first ^ (last << 1 | last >> 63) ^ length) * 0x9E3779B97F4A7C15ULL) >> 56


cdef inline str decode(const uint8_t* value, size_t length):
    """Decode UTF-8; ASCII and text of the BMP beyond Latin-1 here, the rest as Python does."""
    cdef size_t at = 0
    cdef size_t chars = 0
    cdef uint8_t most = 0
    cdef str string
    for at in range(length):
        chars += (value[at] & 0xC0) != 0x80
        most = max(most, value[at])
    if most < 0x80:
        string = PyUnicode_New(length, 0x7F)
        memcpy(PyUnicode_1BYTE_DATA(string), value, length)
        return string
    if 0xC4 <= most < 0xF0:
        string = PyUnicode_New(chars, 0xFFFF)
        if decode_bmp(value, length, PyUnicode_2BYTE_DATA(string)):
            return string
    return PyUnicode_DecodeUTF8(<char*>value, length, NULL)


cdef inline bint decode_bmp(const uint8_t* value, size_t length, uint16_t* out) noexcept nogil:
    """Write the characters of UTF-8 without 4-byte sequences, one for each lead byte; return False if it is not that."""
    cdef size_t at = 0
    cdef uint32_t code
    while at < length:
        code = value[at]
        if code < 0x80:
            at += 1
        elif code >= 0xE0:
            if length - at < 3 or value[at + 1] & 0xC0 != 0x80 or value[at + 2] & 0xC0 != 0x80:
                return False
            code = (code & 0x0F) << 12 | (<uint32_t>value[at + 1] & 0x3F) << 6 | (value[at + 2] & 0x3F)
            if code < 0x800 or 0xD800 <= code < 0xE000:
                return False
            at += 3
        else:
            if length - at < 2 or code < 0xC2 or value[at + 1] & 0xC0 != 0x80:
                return False
            code = (code & 0x1F) << 6 | (value[at + 1] & 0x3F)
            at += 2
        out[0] = <uint16_t>code
        out += 1
    return True
