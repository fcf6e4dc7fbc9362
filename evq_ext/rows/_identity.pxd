"""Which e-mails were seen: a keyed hash, and a table of 16 bytes a slot.

96 bits of hash stand for the e-mail. The key is drawn for each parser, so no file can be made to collide; by chance, a
million rows do with a probability below 2**-56.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free
from libc.string cimport memcpy

cdef enum:
    AHEAD = 16              # slots to be fetched while one is looked at: memory is slower


cdef extern from *:
    """
    #define evq_prefetch(place) __builtin_prefetch((place), 1)
    """
    void evq_prefetch(const void* place) noexcept nogil


cdef extern from "_pages.h" nogil:
    void* evq_zeros(size_t size)


cdef struct Slot:
    uint32_t hash[3]
    uint32_t row            # the number of the row that has the e-mail; 0 marks a free slot


cdef struct Table:          # open addressing, at most 3/4 full
    Slot* slots
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
    """Compute 96 bits of SipHash-1-3-128 (Aumasson and Bernstein, 2012); 8 bytes behind the text are read too."""
    cdef uint64_t[4] v
    cdef uint64_t word
    cdef size_t at = 0
    cdef int i
    v[0] = key[0] ^ 0x736F6D6570736575ULL
    v[1] = key[1] ^ 0x646F72616E646F6DULL ^ 0xEE
    v[2] = key[0] ^ 0x6C7967656E657261ULL
    v[3] = key[1] ^ 0x7465646279746573ULL
    while at <= length:
        memcpy(&word, text + at, 8)
        if length - at < 8:
            word = word & ((<uint64_t>1 << 8 * (length - at)) - 1) | <uint64_t>length << 56
        v[3] ^= word
        sip_round(v)
        v[0] ^= word
        at += 8
    v[2] ^= 0xEE
    for i in range(3):
        sip_round(v)
    word = v[0] ^ v[1] ^ v[2] ^ v[3]
    out[0] = <uint32_t>word
    out[1] = <uint32_t>(word >> 32)
    v[1] ^= 0xDD
    for i in range(3):
        sip_round(v)
    out[2] = <uint32_t>(v[0] ^ v[1] ^ v[2] ^ v[3])


cdef inline Slot* home_slot(const Table* table, const Slot* wanted) noexcept nogil:
    return table.slots + ((wanted.hash[0] | <uint64_t>wanted.hash[1] << 32) & (table.capacity - 1))


cdef inline Slot* find_slot(const Table* table, const Slot* wanted) noexcept nogil:
    """Return the slot of the hash, or the free one where it belongs."""
    cdef Slot* slot = home_slot(table, wanted)
    while slot.row != 0 and not is_same(slot.hash, wanted.hash):
        slot += 1
        if slot == table.slots + table.capacity:
            slot = table.slots
    return slot


cdef inline bint is_same(const uint32_t* one, const uint32_t* other) noexcept nogil:
    return one[0] == other[0] and one[1] == other[1] and one[2] == other[2]


cdef inline bint reserve_slots(Table* table, size_t more) noexcept nogil:
    """Make room for `more` e-mails; return False if there is no memory."""
    cdef Table larger = table[0]
    cdef size_t index
    if (table.used + more) * 4 <= table.capacity * 3:
        return True
    larger.capacity = max(table.capacity, <size_t>1024)
    while (table.used + more) * 4 > larger.capacity * 3:
        larger.capacity *= 2
    larger.slots = <Slot*>evq_zeros(larger.capacity * sizeof(Slot))
    if larger.slots == NULL:
        return False
    for index in range(table.capacity):
        if table.slots[index].row != 0:
            find_slot(&larger, &table.slots[index])[0] = table.slots[index]
    free(table.slots)
    table[0] = larger
    return True
