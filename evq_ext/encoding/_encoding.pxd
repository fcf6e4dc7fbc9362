"""Check UTF-8, and transcode to it by table; Python's codecs are the specification (`_reference`).

64 bytes behind a text must be readable, and none of them looks like the middle of a character.
"""

from evq_ext._memory cimport evq_copy_ascii, evq_high, evq_lowest, evq_utf8
from libc.stdint cimport uint8_t, uint16_t, uint32_t
from libc.string cimport memcpy

cdef enum Meaning:              # of the bytes at hand; below MARKS it is the size of a character in UTF-8
    MARKS = 4
    NOTHING = 4                 # the first of them is wrong
    LEAD                        # of a character of two bytes or more
    FOUR                        # the first half of a character of four bytes

cdef enum:
    FOURS_OF_BMP = 39420        # GB 18030: the characters of four bytes in the BMP, in their order
    FOURS_BEYOND = 189000       # in the same order, the first one beyond the BMP

cdef struct Entry:
    uint8_t utf8[3]
    uint8_t meaning

cdef struct Codec:
    Entry singles[128]          # by the byte, less 0x80
    Entry pairs[128 * 256]      # by both bytes, the first one less 0x80
    uint16_t fours[FOURS_OF_BMP]

cdef struct Utf8Tally:
    size_t characters           # of several bytes
    size_t wrong                # bytes that belong to no character
    size_t first_wrong          # its place, if there is one


# --- UTF-8 ------------------------------------------------------------------------------------------------------------

cdef inline size_t check_utf8(const uint8_t* text, size_t length, bint last, Utf8Tally* tally) noexcept nogil:
    """Count what is in the text; return how much of it was looked at: all, but for a character cut by its end."""
    cdef size_t at = 0
    cdef size_t block
    cdef size_t size
    cdef size_t characters
    cdef bint whole
    while at < length:
        size = evq_utf8(text + at, &characters)
        if size > 0:
            tally.characters += characters
            at += size
            continue
        block = at + 64
        while at < block and at < length:
            if text[at] < 0x80:
                at += evq_lowest(evq_high(text + at) | 0x10000)
                continue
            size = utf8_size(text + at, &whole)
            if whole:
                tally.characters += 1
            elif at + size >= length and not last:
                return at
            else:
                if tally.wrong == 0:
                    tally.first_wrong = at
                tally.wrong += size
            at += size
    return length


cdef inline size_t utf8_size(const uint8_t* text, bint* whole) noexcept nogil:
    """Return the size of the character beyond ASCII, or of as much of one as is there (Unicode, table 3-7)."""
    cdef uint8_t lead = text[0]
    cdef uint8_t low = 0x80
    cdef uint8_t high = 0xBF
    cdef size_t size = 2
    cdef size_t at
    whole[0] = False
    if lead < 0xC2 or lead > 0xF4:
        return 1
    if lead >= 0xF0:
        size = 4
        if lead == 0xF0:
            low = 0x90
        elif lead == 0xF4:
            high = 0x8F
    elif lead >= 0xE0:
        size = 3
        if lead == 0xE0:
            low = 0xA0
        elif lead == 0xED:
            high = 0x9F
    if not low <= text[1] <= high:
        return 1
    for at in range(2, size):
        if text[at] & 0xC0 != 0x80:
            return at
    whole[0] = True
    return size


# --- By table ---------------------------------------------------------------------------------------------------------

cdef inline size_t transcode(
    const Codec* codec, uint8_t wrong, const uint8_t* text, size_t length, bint last, uint8_t* out, size_t* written
) noexcept nogil:
    """Write the text in UTF-8; return how much of it was read: all, but for a character cut by its end.

    `out` must have room for three bytes for each one of the text, and for 64 more.
    """
    cdef const Entry* entry
    cdef size_t at = 0
    cdef size_t end = 0         # of what is written
    cdef size_t size
    while at < length:
        size = evq_copy_ascii(out + end, text + at)
        at += size
        end += size
        while text[at] >= 0x80:
            size = 1
            entry = &codec.singles[text[at] - 0x80]
            if entry.meaning == LEAD:
                size = 2
                entry = &codec.pairs[(<size_t>text[at] - 0x80) << 8 | text[at + 1]]
            if entry.meaning < MARKS and at + size <= length:
                memcpy(out + end, entry, sizeof(Entry))
                end += entry.meaning
                at += size
                continue
            size = 4 if entry.meaning == FOUR else size
            if at + size > length:
                if not last:
                    written[0] = end
                    return at
                size = length - at  # all of what is left of a character is wrong
            elif entry.meaning == FOUR and write_four(codec, text + at, out + end, &size):
                at += 4
                end += size
                continue
            else:
                size = 1
            out[end] = wrong
            end += 1
            at += size
    written[0] = end - (at - length)  # what was copied may have gone beyond the end
    return length


cdef inline bint write_four(const Codec* codec, const uint8_t* text, uint8_t* out, size_t* size) noexcept nogil:
    """Write a character that has four bytes in GB 18030, and return its size; return False if there is none."""
    cdef uint32_t code
    if not (0x81 <= text[0] <= 0xFE and 0x81 <= text[2] <= 0xFE and c"0" <= text[3] <= c"9"):
        return False
    code = (<uint32_t>(text[0] - 0x81) * 10 + text[1] - c"0") * 1260 + (<uint32_t>text[2] - 0x81) * 10 + text[3] - c"0"
    if code < FOURS_OF_BMP:
        size[0] = write_utf8(codec.fours[code], out)
        return True
    if not FOURS_BEYOND <= code < FOURS_BEYOND + 0x100000:
        return False
    size[0] = write_utf8(code - FOURS_BEYOND + 0x10000, out)
    return True


cdef inline size_t write_utf8(uint32_t code, uint8_t* out) noexcept nogil:
    """Write a character beyond ASCII; return its size."""
    if code < 0x800:
        out[0] = <uint8_t>(0xC0 | code >> 6)
        out[1] = <uint8_t>(0x80 | code & 0x3F)
        return 2
    if code < 0x10000:
        out[0] = <uint8_t>(0xE0 | code >> 12)
        out[1] = <uint8_t>(0x80 | code >> 6 & 0x3F)
        out[2] = <uint8_t>(0x80 | code & 0x3F)
        return 3
    out[0] = <uint8_t>(0xF0 | code >> 18)
    out[1] = <uint8_t>(0x80 | code >> 12 & 0x3F)
    out[2] = <uint8_t>(0x80 | code >> 6 & 0x3F)
    out[3] = <uint8_t>(0x80 | code & 0x3F)
    return 4
