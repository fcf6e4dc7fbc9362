"""Judge e-mail addresses of ASCII characters, and turn them lower case.

Of those, email-validator takes the ones of `_tables.CERTAIN_EMAIL` and no other. What is not ASCII, and a "--" in the
domain, may be IDNA: the library must be asked.
"""

from evq_ext._verdict cimport EMAIL_MISSPELT, REFUSED, TAKEN, UNSURE, Verdict
from libc.stdint cimport uint8_t, uint64_t
from libc.string cimport memchr, memcmp, memcpy

cdef enum:
    SPECIAL = 8             # special-use top-level domains, at most
    SLOTS = 2048            # a power of two

cdef struct Word:
    const uint8_t* text
    size_t length

cdef struct Slip:           # a misspelt domain of 8 to 16 bytes: its first and last 8
    uint64_t first
    uint64_t last
    uint64_t length         # 0 in a free slot

cdef struct Addresses:      # filled from `_tables` and `_domains`
    uint8_t local[256]      # the lower case of what may stand before the "@", the full stop too; 0 for the rest
    uint8_t domain[256]     # the same of the part behind it
    size_t longest, longest_label
    Word special[SPECIAL]
    Slip slips[SLOTS]       # open addressing


cdef inline Verdict judge_email(
    const Addresses* known, uint8_t* text, size_t length, uint8_t* warnings
) noexcept nogil:
    """Judge the address, in place; `text` may be changed whatever the verdict."""
    cdef size_t at = 0
    cdef size_t domain, label
    cdef uint8_t byte
    if length > known.longest:
        return REFUSED
    while at < length and known.local[text[at]] != 0:
        text[at] = known.local[text[at]]
        if text[at] == c"." and (at == 0 or text[at - 1] == c"."):
            return REFUSED
        at += 1
    if at == length:
        return REFUSED  # there is no "@"
    if text[at] != c"@":
        return UNSURE if text[at] >= 0x80 and memchr(text + at, c"@", length - at) != NULL else REFUSED
    if at == 0 or text[at - 1] == c".":
        return REFUSED
    at += 1
    domain = label = at
    while at < length:
        byte = known.domain[text[at]]
        if byte == 0:
            return UNSURE if text[at] >= 0x80 else REFUSED
        text[at] = byte
        if byte == c".":
            if at == label or at - label > known.longest_label or text[at - 1] == c"-":
                return REFUSED
            label = at + 1
        elif byte == c"-":
            if at == label:
                return REFUSED
            if text[at - 1] == c"-":
                return UNSURE
        at += 1
    if label == domain or at - label > known.longest_label or not c"a" <= text[at - 1] <= c"z":
        return REFUSED
    if is_special(known, text + label, at - label):
        return REFUSED
    if is_misspelt(known, text + domain, at - domain):
        warnings[0] |= EMAIL_MISSPELT
    return TAKEN


cdef inline bint is_special(const Addresses* known, const uint8_t* label, size_t length) noexcept nogil:
    cdef size_t index
    for index in range(SPECIAL):
        if known.special[index].length == length and memcmp(known.special[index].text, label, length) == 0:
            return True
    return False


cdef inline bint is_misspelt(const Addresses* known, const uint8_t* domain, size_t length) noexcept nogil:
    cdef Slip wanted
    if length < 8 or length > 16:
        return False
    wanted = slip_of(domain, length)
    return known.slips[find_slip(known, &wanted)].length != 0


cdef inline Slip slip_of(const uint8_t* domain, size_t length) noexcept nogil:
    cdef Slip slip
    memcpy(&slip.first, domain, 8)
    memcpy(&slip.last, domain + length - 8, 8)
    slip.length = length
    return slip


cdef inline size_t find_slip(const Addresses* known, const Slip* wanted) noexcept nogil:
    """Return the slot of the domain, or the free one where it belongs."""
    cdef size_t at = (wanted.first * 0x9E3779B97F4A7C15ULL ^ wanted.last * 0xC2B2AE3D27D4EB4FULL) >> 53
    while known.slips[at].length != 0 and memcmp(&known.slips[at], wanted, sizeof(Slip)) != 0:
        at = (at + 1) & (SLOTS - 1)
    return at
