"""Which e-mails were seen: a keyed hash, and a table of 16 bytes a slot. Inline, so that it needs no module of its own.

96 bits of hash stand for the e-mail. The key is drawn for each parser, so no file can be made to collide; by chance, a
million rows do with a probability below 2**-56.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memcpy


cdef struct Table:          # e-mails seen: open addressing, 16 bytes a slot, at most 3/4 full
    uint32_t* slots         # 96 bits of hash, then the value + 1; 0 marks a free slot
    size_t capacity         # a power of two
    size_t used
    uint64_t key[2]


cdef inline uint64_t rotate(uint64_t word, int bits) noexcept nogil:
    return word << bits | word >> (64 - bits)


cdef inline void sip_round(uint64_t* v) noexcept nogil:
    v[0] += v[1]; v[1] = rotate(v[1], 13) ^ v[0]; v[0] = rotate(v[0], 32)
    v[2] += v[3]; v[3] = rotate(v[3], 16) ^ v[2]
    v[0] += v[3]; v[3] = rotate(v[3], 21) ^ v[0]
    v[2] += v[1]; v[1] = rotate(v[1], 17) ^ v[2]; v[2] = rotate(v[2], 32)


cdef inline void hash_email(const uint64_t* key, const uint8_t* text, size_t length, uint32_t* out) noexcept nogil:
    """Compute 96 bits of SipHash-2-4-128 (Aumasson and Bernstein, 2012)."""
    cdef uint64_t[4] v
    cdef uint64_t word = 0
    cdef size_t at = 0
    cdef int i
    v[0] = key[0] ^ 0x736F6D6570736575ULL
    v[1] = key[1] ^ 0x646F72616E646F6DULL ^ 0xEE
    v[2] = key[0] ^ 0x6C7967656E657261ULL
    v[3] = key[1] ^ 0x7465646279746573ULL
    while at <= length:
        word = 0
        if at + 8 <= length:
            memcpy(&word, text + at, 8)
        else:
            memcpy(&word, text + at, length - at)
            word |= <uint64_t>length << 56
        v[3] ^= word
        sip_round(v)
        sip_round(v)
        v[0] ^= word
        at += 8
    v[2] ^= 0xEE
    for i in range(4):
        sip_round(v)
    word = v[0] ^ v[1] ^ v[2] ^ v[3]
    out[0] = <uint32_t>word
    out[1] = <uint32_t>(word >> 32)
    v[1] ^= 0xDD
    for i in range(4):
        sip_round(v)
    out[2] = <uint32_t>(v[0] ^ v[1] ^ v[2] ^ v[3])


cdef inline uint32_t* find_slot(Table* table, const uint32_t* wanted) noexcept nogil:
    """Return the slot of the hash, or the free one where it belongs."""
    cdef size_t mask = table.capacity - 1
    cdef size_t index = (wanted[0] | <uint64_t>wanted[1] << 32) & mask
    cdef uint32_t* slot = table.slots + 4 * index
    while slot[3] != 0 and memcmp(slot, wanted, 12) != 0:
        index = (index + 1) & mask
        slot = table.slots + 4 * index
    return slot


cdef inline bint grow_table(Table* table) noexcept nogil:
    """Keep a quarter of the slots free; return False if there is no memory."""
    cdef Table larger = table[0]
    cdef uint32_t* slot
    cdef size_t index
    if (table.used + 1) * 4 <= table.capacity * 3:
        return True
    larger.capacity = table.capacity * 2 if table.capacity else 1024
    larger.slots = <uint32_t*>calloc(larger.capacity, 16)
    if larger.slots == NULL:
        return False
    for index in range(table.capacity):
        slot = table.slots + 4 * index
        if slot[3] != 0:
            memcpy(find_slot(&larger, slot), slot, 16)
    free(table.slots)
    table[0] = larger
    return True
