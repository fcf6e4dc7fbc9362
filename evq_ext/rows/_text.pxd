"""Clean text; `_rules.clean` is the specification of what this takes upon itself.

The byte behind a text is ASCII, and 16 more may be read.
"""

from evq_ext._memory cimport EVQ_SHORT, evq_copy, evq_lowest, evq_odd, evq_plain
from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memcpy

cdef enum CharClass:
    PLAIN, DROPPED, SPACE


cdef struct Chars:                  # filled from `_tables`
    uint8_t classes[128]            # a CharClass for each ASCII character
    uint8_t plain[8192]             # the BMP: one bit for each character that cleaning leaves alone
    uint8_t blocks[1024]            # 64 characters each, which differ in the last byte: whether all of them are plain


cdef inline bint clean(
    const Chars* chars, const uint8_t* raw, size_t length, uint8_t* out, size_t* out_length
) noexcept nogil:
    """Write what `_rules.clean` makes of the text; return False at a byte that is not a plain character's.

    `out` must have room for `length` and 16 bytes.
    """
    cdef size_t at = count_clean(chars, raw, length)
    evq_copy(out, raw, at)
    out_length[0] = at
    return at == length or clean_rest(chars, raw, length, out, out_length)


cdef inline size_t count_clean(const Chars* chars, const uint8_t* text, size_t length) noexcept nogil:
    """Return for how many bytes, from the first on, cleaning changes nothing."""
    cdef size_t at = count_visible(text, length)
    if at == length or (length <= EVQ_SHORT and evq_plain(text, length)):
        return length
    return count_plain(chars, text, length, at)


cdef inline size_t count_visible(const uint8_t* text, size_t length) noexcept nogil:
    """Return with how many bytes of visible ASCII the text begins."""
    cdef size_t at = 0
    cdef uint32_t odd
    while at < length:
        odd = evq_odd(text + at)
        if odd != 0:
            return min(at + evq_lowest(odd), length)
        at += 16
    return length


cdef inline size_t count_plain(const Chars* chars, const uint8_t* text, size_t length, size_t at) noexcept nogil:
    """Go on where cleaning has changed nothing for `at` bytes, and is not sure of the next one."""
    cdef size_t size
    while at < length:
        if text[at] == c" ":
            if at == 0 or at + 1 == length or text[at + 1] <= c" " or text[at + 1] == 0x7F:
                return at
            at += 1
        else:
            size = plain_size(chars, text + at)
            if size == 0:
                return at
            while size > 0:
                at += size
                size = plain_size(chars, text + at)
        at += count_visible(text + at, length - at)
    return length


cdef inline bint clean_rest(
    const Chars* chars, const uint8_t* raw, size_t length, uint8_t* out, size_t* out_length
) noexcept nogil:
    """Go on where `out_length` bytes are clean as they are."""
    cdef size_t at = out_length[0]
    cdef size_t written = at
    cdef size_t run
    cdef bint space = False
    while at < length:
        run = min(<size_t>evq_lowest(evq_odd(raw + at) | 0x10000), length - at)
        if run == 0:
            if raw[at] < 0x80:
                space = space or chars.classes[raw[at]] == SPACE
                at += 1
                continue
            run = plain_size(chars, raw + at)
            if run == 0:
                return False
        if space and written > 0:
            out[written] = c" "
            written += 1
        space = False
        evq_copy(out + written, raw + at, run)
        written += run
        at += run
    out_length[0] = written
    return True


cdef inline size_t plain_size(const Chars* chars, const uint8_t* text) noexcept nogil:
    """Return how many bytes a character beyond ASCII takes; 0 if it is not plain, or not valid UTF-8."""
    cdef uint32_t bytes, code
    memcpy(&bytes, text, 4)
    if bytes & 0xC0C0F0 == 0x8080E0:
        code = (bytes & 0x0F) << 6 | (bytes >> 8 & 0x3F)
        if chars.blocks[code]:
            return 3
        code = code << 6 | (bytes >> 16 & 0x3F)
        return 3 if code >= 0x800 and is_plain(chars, code) else 0
    if bytes & 0xC0E0 == 0x80C0:
        code = (bytes & 0x1F) << 6 | (bytes >> 8 & 0x3F)
        return 2 if code >= 0x80 and is_plain(chars, code) else 0
    return 0


cdef inline bint is_plain(const Chars* chars, uint32_t code) noexcept nogil:
    return chars.plain[code >> 3] >> (code & 7) & 1


cdef inline size_t count_chars(const uint8_t* text, size_t length) noexcept nogil:
    """Return how many characters valid UTF-8 has."""
    cdef size_t index
    cdef size_t chars = 0
    for index in range(length):
        chars += (text[index] & 0xC0) != 0x80
    return chars
