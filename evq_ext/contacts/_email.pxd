"""Judge e-mail addresses of ASCII characters, and turn them lower case.

Of those, email-validator takes the ones of `_tables.CERTAIN_EMAIL` and no other. What is not ASCII, and a "--" in the
domain, may be IDNA: the library must be asked.
"""

from evq_ext._memory cimport evq_lower, evq_lowest
from evq_ext._verdict cimport EMAIL_MISSPELT, REFUSED, TAKEN, UNSURE, Verdict
from libc.stdint cimport uint8_t, uint32_t, uint64_t
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
    uint8_t local[256]      # whether the byte may stand before the "@"
    size_t longest, longest_label
    size_t shortest_special
    Word special[SPECIAL]
    Slip slips[SLOTS]       # open addressing


cdef inline Verdict judge_email(
    const Addresses* known, uint8_t* text, size_t length, uint8_t* warnings
) noexcept nogil:
    """Judge the address, in place; `text` may be changed whatever the verdict, and 15 bytes behind it."""
    cdef size_t base = 0
    cdef size_t label = 0       # where the part behind the last full stop or "@" begins
    cdef size_t domain = 0      # 0 as long as no "@" was seen
    cdef size_t at
    cdef uint32_t odd
    if length > known.longest:
        return REFUSED
    while base < length:
        odd = evq_lower(text + base)
        if length - base < 16:
            odd &= (<uint32_t>1 << (length - base)) - 1
        while odd != 0:
            at = base + evq_lowest(odd)
            odd &= odd - 1
            if text[at] == c".":
                if at == label or (domain > 0 and not is_label_end(known, text, label, at)):
                    return REFUSED
                label = at + 1
            elif domain == 0:
                if text[at] == c"@" and at > label:
                    domain = label = at + 1
                elif not known.local[text[at]]:
                    return UNSURE if text[at] >= 0x80 and memchr(text + at, c"@", length - at) != NULL else REFUSED
            elif text[at] != c"-" or at == label:
                return UNSURE if text[at] >= 0x80 else REFUSED
            elif text[at - 1] == c"-":
                return UNSURE
        base += 16
    if domain == 0 or label == domain or length - label > known.longest_label:
        return REFUSED
    if not c"a" <= text[length - 1] <= c"z" or is_special(known, text + label, length - label):
        return REFUSED
    if is_misspelt(known, text + domain, length - domain):
        warnings[0] |= EMAIL_MISSPELT
    return TAKEN


cdef inline bint is_label_end(const Addresses* known, const uint8_t* text, size_t label, size_t at) noexcept nogil:
    """Tell whether a label of the domain that is not empty may end where it does."""
    return at - label <= known.longest_label and text[at - 1] != c"-"


cdef inline bint is_special(const Addresses* known, const uint8_t* label, size_t length) noexcept nogil:
    cdef size_t index
    for index in range(SPECIAL if length >= known.shortest_special else 0):
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


cdef inline bint is_same(const Slip* one, const Slip* other) noexcept nogil:
    return one.first == other.first and one.last == other.last and one.length == other.length


cdef inline size_t find_slip(const Addresses* known, const Slip* wanted) noexcept nogil:
    """Return the slot of the domain, or the free one where it belongs."""
    cdef size_t at = (wanted.first * 0x9E3779B97F4A7C15ULL ^ wanted.last * 0xC2B2AE3D27D4EB4FULL) >> 53
    while known.slips[at].length != 0 and not is_same(&known.slips[at], wanted):
        at = (at + 1) & (SLOTS - 1)
    return at
