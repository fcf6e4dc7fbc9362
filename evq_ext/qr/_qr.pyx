# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, binding=True
"""Draw QR codes, compiled. `_reference` is its specification: the same modules, bytes and errors for any text."""

import sys

from evq_ext.qr import _deflate, _rules, _tables
from evq_ext.qr._svg import draw_svg

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.long cimport PyLong_AsLongAndOverflow
from evq_ext.qr._png cimport Bits, Deflate, Picture, most_bytes, plan_picture, write_png
from evq_ext.qr._bits cimport (
    BYTES, Codewords, Field, count_bits, fill_generator, fill_up, interleave, mode_of, place_bits, put, put_text,
)
from evq_ext.qr._frame cimport CODEWORDS_MAX, Frame, draw_frame
from evq_ext.qr._grid cimport Modules, copy_modules, invert_modules, module_at
from evq_ext.qr._mask cimport Points, choose_mask
from libc.stdint cimport uint8_t, uint32_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memset

if sys.byteorder != "little":
    raise ImportError("The compiled core writes little-endian numbers by copying its own; this machine is big-endian.")

cdef enum:
    LEVELS = 4
    VERSIONS = 40

cdef struct Tables:
    uint8_t[256] letters            # the value of a letter in a text, 0xFF if it has none
    uint8_t[2] padding
    int count_bits[BYTES + 1][VERSIONS + 1]
    Field field
    Points points
    Deflate deflate

cdef Tables TABLES
cdef size_t CAPACITIES[LEVELS][VERSIONS]        # codewords
cdef Frame* FRAMES[LEVELS][VERSIONS]            # those that were needed
cdef int SCALE_MAX = _rules.SCALE_MAX
cdef int BORDER_MAX = _rules.BORDER_MAX
cdef dict LEVEL_NUMBERS = {level: number for number, level in enumerate(_tables.LEVELS)}


cdef Bits bits_of(bits):
    cdef Bits out
    out.value, out.width = bits
    return out


cdef void fill_tables():
    cdef int number, value
    memset(TABLES.letters, 0xFF, sizeof(TABLES.letters))
    for number, letter in enumerate(_tables.LETTERS):
        TABLES.letters[<uint8_t>letter] = number
    for number, value in enumerate(_tables.PADDING):
        TABLES.padding[number] = value
    for mode, widths in _tables.COUNT_BITS.items():
        for version in _tables.VERSIONS:
            TABLES.count_bits[<int>mode][<int>version] = widths[_tables.width_group(version)]
    value = 1
    for number in range(255):
        TABLES.field.powers[number] = TABLES.field.powers[number + 255] = value
        TABLES.field.logarithms[value] = number
        value = value << 1 ^ (<int>_tables.FIELD if value >= 128 else 0)
    TABLES.points.run = _tables.RUN_POINTS
    TABLES.points.block = _tables.BLOCK_POINTS
    TABLES.points.finder = _tables.FINDER_POINTS
    TABLES.points.balance = _tables.BALANCE_POINTS
    for level, number in LEVEL_NUMBERS.items():
        for value, capacity in enumerate(_tables.DATA_CODEWORDS[level]):
            CAPACITIES[number][value] = capacity


cdef void fill_deflate(Deflate* code):
    cdef int number, bit
    cdef uint32_t crc
    value, width = _deflate.HEAD
    whole = width // 8
    head = (value & (1 << 8 * whole) - 1).to_bytes(whole, "little")
    memcpy(code.head, PyBytes_AS_STRING(head), whole)
    code.head_length = whole
    code.head_end = bits_of((value >> 8 * whole, width % 8))
    code.end = bits_of(_deflate.END)
    for number in range(256):
        code.literals[number] = bits_of(_deflate.LITERALS[number])
        crc = number
        for bit in range(8):
            crc = crc >> 1 ^ (0xEDB88320U if crc & 1 else 0U)   # ISO/IEC 15948 annex D
        code.crcs[number] = crc
    for length, bits in _deflate.LENGTHS.items():
        code.lengths[<int>length] = bits_of(bits)
    for number, (first, extra, bits) in enumerate(_deflate.DISTANCES):
        code.distances[number].first = first
        code.distances[number].extra = extra
        code.distances[number].code = bits_of(bits)


fill_tables()
fill_deflate(&TABLES.deflate)


cdef const Frame* find_frame(bytes data, int mode, level) except NULL:
    """Return the frame of the smallest version that holds a text; raise QrError if none does."""
    cdef int number = LEVEL_NUMBERS.get(level, -1)
    cdef size_t bits = count_bits(mode, len(data)) + 4
    cdef int version
    if number < 0:
        _rules.check_level(level)
    for version in range(1, VERSIONS + 1):
        if bits + TABLES.count_bits[mode][version] <= 8 * CAPACITIES[number][version - 1]:
            if FRAMES[number][version - 1] == NULL:
                FRAMES[number][version - 1] = new_frame(version, number)
            return FRAMES[number][version - 1]
    _rules.check_length(data, level)
    raise AssertionError("the rules take a text that the tables do not hold")


cdef Frame* new_frame(int version, int level) except NULL:
    cdef int number
    cdef Modules taken
    cdef Frame* frame = <Frame*>calloc(1, sizeof(Frame))
    if frame == NULL:
        raise MemoryError
    name = _tables.LEVELS[level]
    frame.version = version
    frame.side = _tables.side_of(version)
    frame.blocks = _tables.BLOCKS[name][version - 1]
    frame.corrections = _tables.CORRECTIONS[name][version - 1]
    frame.data_codewords = CAPACITIES[level][version - 1]
    frame.codewords = _tables.codewords_of(version)
    frame.version_bits = _tables.VERSION_BITS.get(version, 0)
    for number, bits in enumerate(_tables.FORMATS[name]):
        frame.formats[number] = bits
    for number, place in enumerate(_tables.alignments_of(version)):
        frame.alignments[number] = place
        frame.alignment_count = number + 1
    memset(&taken, 0, sizeof(taken))
    fill_generator(&TABLES.field, frame)
    draw_frame(frame, &taken)
    return frame


cdef void draw_modules(const Frame* frame, int mode, const uint8_t* text, size_t length, int mask,
                       Modules* drawn) noexcept nogil:
    """Draw the modules of a text that fits; with a `mask` below 0 choose one."""
    cdef Codewords data
    cdef uint8_t[CODEWORDS_MAX] codewords
    cdef Modules plain
    data.length = data.pending = data.width = 0
    put(&data, mode, 4)
    put(&data, length, TABLES.count_bits[mode][frame.version])
    put_text(&data, TABLES.letters, mode, text, length)
    fill_up(&data, frame.data_codewords, TABLES.padding)
    interleave(&TABLES.field, frame, data.bytes, codewords)
    copy_modules(&plain, &frame.pattern, frame.side)
    place_bits(frame, codewords, &plain)
    copy_modules(drawn, &frame.pattern, frame.side)
    if mask < 0:
        mask = choose_mask(&TABLES.points, frame, &plain, drawn)
    invert_modules(drawn, &plain, &frame.masks[mask], frame.side)


cdef inline int take_number(value, int least, int most, check) except -1:
    """Return a number between bounds; leave any other value to the rule, which words the refusal."""
    cdef int overflow = 0
    cdef long number
    if type(value) is int:
        number = PyLong_AsLongAndOverflow(value, &overflow)
        if least <= number <= most and not overflow:
            return number
    check(value)
    return value


def qr_matrix(str text not None, *, level="M", mask=None):
    """Return the modules of a code row by row, 1 for each dark one; the version is the smallest that holds *text*.

    The mask is the one with the fewest penalty points, unless one is given. Raises QrError.
    """
    cdef bytes data = text.encode()
    cdef const uint8_t* letters = <uint8_t*>PyBytes_AS_STRING(data)
    cdef size_t length = len(data)
    cdef int mode = mode_of(TABLES.letters, letters, length)
    cdef const Frame* frame = find_frame(data, mode, level)
    cdef int chosen = -1
    cdef Modules drawn
    cdef uint8_t* row
    cdef int x, y
    if mask is not None:
        _rules.check_mask(mask)
        chosen = mask
    with nogil:
        draw_modules(frame, mode, letters, length, chosen, &drawn)
    rows = []
    for y in range(frame.side):
        line = PyBytes_FromStringAndSize(NULL, frame.side)
        row = <uint8_t*>PyBytes_AS_STRING(line)
        for x in range(frame.side):
            row[x] = <uint8_t>module_at(&drawn.upright, x, y)
        rows.append(line)
    return tuple(rows)


def qr_svg(str text not None, *, border=4, level="M"):
    """Draw *text* as an SVG of one path, one unit to a module, with a quiet zone of *border* modules.

    Raises QrError.
    """
    return draw_svg(qr_matrix(text, level=level), border)


def qr_png(str text not None, *, scale=8, border=4, level="M"):
    """Draw *text* as a PNG (1-bit grey) with *scale* pixels to a module and a quiet zone of *border* modules.

    Raises QrError.
    """
    cdef bytes data = text.encode()
    cdef const uint8_t* letters = <uint8_t*>PyBytes_AS_STRING(data)
    cdef size_t length = len(data)
    cdef int mode = mode_of(TABLES.letters, letters, length)
    cdef const Frame* frame
    cdef Modules drawn
    cdef Picture picture
    cdef uint8_t* out
    cdef int pixels = take_number(scale, 1, SCALE_MAX, _rules.check_scale)
    cdef int quiet = take_number(border, 0, BORDER_MAX, _rules.check_border)
    frame = find_frame(data, mode, level)
    picture = plan_picture(&drawn.upright, frame.side, pixels, quiet)
    out = <uint8_t*>malloc(most_bytes(&picture) + picture.line)
    if out == NULL:
        raise MemoryError
    with nogil:
        draw_modules(frame, mode, letters, length, -1, &drawn)
        length = write_png(&TABLES.deflate, &picture, out, out + picture.line)
    try:
        return out[picture.line:picture.line + length]
    finally:
        free(out)
