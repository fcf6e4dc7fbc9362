"""Clean text; `_rules.clean` is the specification of what this takes upon itself."""

from evq_ext._memory cimport evq_copy16, evq_lowest, evq_odd
from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memcpy

cdef enum CharClass:
    PLAIN, DROPPED, SPACE


cdef struct Chars:                  # filled from `_tables`
    uint8_t classes[128]            # a CharClass for each ASCII character
    uint8_t plain[8192]             # the BMP: one bit for each character that cleaning leaves alone


cdef inline bint clean(
    const Chars* chars, const uint8_t* raw, size_t length, uint8_t* out, size_t* out_length, size_t* out_chars
) noexcept nogil:
    """Write what `_rules.clean` makes of the text; return False at a byte that is not a plain character's.

    16 bytes behind either text may be touched; `out` must have room for `length` and those.
    """
    cdef size_t at = 0
    cdef size_t written = 0
    cdef size_t counted = 0
    cdef size_t run
    cdef bint space = False
    while at < length:
        run = min(<size_t>evq_lowest(evq_odd(raw + at) | 0x10000), length - at)
        if run == 0:
            if raw[at] < 0x80:
                space = space or chars.classes[raw[at]] == SPACE
                at += 1
                continue
            run = plain_size(chars, raw + at, length - at)
            if run == 0:
                return False
            counted += 1
        else:
            counted += run
        if space and written > 0:
            out[written] = c" "
            written += 1
            counted += 1
        space = False
        evq_copy16(out + written, raw + at)
        written += run
        at += run
    out_length[0] = written
    out_chars[0] = counted
    return True


cdef inline size_t plain_size(const Chars* chars, const uint8_t* text, size_t length) noexcept nogil:
    """Return how many bytes a character beyond ASCII takes; 0 if it is not plain, or not valid UTF-8."""
    cdef uint32_t code
    cdef size_t size
    if text[0] & 0xF0 == 0xE0 and length >= 3 and text[1] & 0xC0 == 0x80 and text[2] & 0xC0 == 0x80:
        code = (<uint32_t>text[0] & 0x0F) << 12 | (<uint32_t>text[1] & 0x3F) << 6 | (text[2] & 0x3F)
        if code < 0x800:
            return 0
        size = 3
    elif text[0] >= 0xC2 and text[0] < 0xE0 and length >= 2 and text[1] & 0xC0 == 0x80:
        code = (<uint32_t>text[0] & 0x1F) << 6 | (text[1] & 0x3F)
        size = 2
    else:
        return 0
    return size if chars.plain[code >> 3] >> (code & 7) & 1 else 0
