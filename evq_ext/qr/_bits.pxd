"""From a text to the codewords of a QR code: its bits, and the error correction of each block."""

from evq_ext.qr._frame cimport CODEWORDS_MAX, CORRECTIONS_MAX, Frame, Place
from evq_ext.qr._grid cimport Modules, darken
from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memcpy, memset

cdef enum:              # by the indicators of ISO/IEC 18004 table 2
    NUMERIC = 1
    ALPHANUMERIC = 2
    BYTES = 4


cdef struct Field:      # the field of 256 elements that the error correction counts in
    uint8_t[512] powers     # of the generator 2, twice around
    uint8_t[256] logarithms


cdef struct Codewords:
    uint8_t[CODEWORDS_MAX] bytes
    size_t length
    uint32_t pending        # the bits of the byte that is not full yet, and what went before
    int width               # how many bits that are


cdef inline int mode_of(const uint8_t* letters, const uint8_t* text, size_t length) noexcept nogil:
    """Return the mode in which a whole text takes the fewest bits; `letters` has 0xFF for what is no letter of it."""
    cdef size_t at
    cdef bint digits = length > 0
    for at in range(length):
        if letters[text[at]] == 0xFF:
            return BYTES
        digits = digits and letters[text[at]] < 10
    return NUMERIC if digits else ALPHANUMERIC


cdef inline size_t count_bits(int mode, size_t length) noexcept nogil:
    """Return how many bits a text takes, without its mode and length."""
    if mode == NUMERIC:
        return length // 3 * 10 + (0 if length % 3 == 0 else 3 * (length % 3) + 1)
    return length // 2 * 11 + length % 2 * 6 if mode == ALPHANUMERIC else 8 * length


cdef inline void put(Codewords* out, uint32_t value, int width) noexcept nogil:
    """Append at most 24 bits, the highest first."""
    out.pending = out.pending << width | value
    out.width += width
    while out.width >= 8:
        out.width -= 8
        out.bytes[out.length] = <uint8_t>(out.pending >> out.width)
        out.length += 1


cdef inline void put_text(Codewords* out, const uint8_t* letters, int mode, const uint8_t* text,
                          size_t length) noexcept nogil:
    """Append a text, by threes of digits, pairs of letters, or bytes (7.4.3 to 7.4.5)."""
    cdef size_t at = 0
    if mode == BYTES:
        for at in range(length):
            put(out, text[at], 8)
    elif mode == ALPHANUMERIC:
        while at + 2 <= length:
            put(out, 45 * letters[text[at]] + letters[text[at + 1]], 11)
            at += 2
        if at < length:
            put(out, letters[text[at]], 6)
    else:
        while at + 3 <= length:
            put(out, 100 * letters[text[at]] + 10 * letters[text[at + 1]] + letters[text[at + 2]], 10)
            at += 3
        if at + 2 == length:
            put(out, 10 * letters[text[at]] + letters[text[at + 1]], 7)
        elif at + 1 == length:
            put(out, letters[text[at]], 4)


cdef inline void fill_up(Codewords* out, int capacity, const uint8_t* padding) noexcept nogil:
    """End the text with up to four zeros, then bytes in turn until the data codewords are full (7.4.9, 7.4.10)."""
    cdef int turn = 0
    put(out, 0, min(4, <int>(8 * (capacity - out.length)) - out.width))
    if out.width:
        put(out, 0, 8 - out.width)
    while <int>out.length < capacity:
        put(out, padding[turn], 8)
        turn ^= 1


cdef inline void fill_generator(const Field* field, Frame* frame) noexcept nogil:
    """Multiply (x - 1) (x - 2) (x - 4) ..., one factor for each codeword of a block (annex A)."""
    cdef uint8_t[CORRECTIONS_MAX + 1] product   # the highest power first
    cdef int factor, place
    memset(product, 0, sizeof(product))
    product[0] = 1
    for factor in range(frame.corrections):
        for place in range(factor + 1, 0, -1):
            if product[place - 1]:
                product[place] ^= field.powers[field.logarithms[product[place - 1]] + factor]
    for place in range(frame.corrections):
        frame.generator[place] = field.logarithms[product[place + 1]]


cdef inline void correct(const Field* field, const Frame* frame, const uint8_t* data, int length,
                         uint8_t* corrections) noexcept nogil:
    """Divide a block of data by the generator; the remainder are its codewords for error correction (7.5.2)."""
    cdef uint8_t[CODEWORDS_MAX] rest
    cdef int at, place, factor
    memcpy(rest, data, length)
    memset(rest + length, 0, frame.corrections)
    for at in range(length):
        if rest[at]:
            factor = field.logarithms[rest[at]]
            for place in range(frame.corrections):
                rest[at + 1 + place] ^= field.powers[factor + frame.generator[place]]
    memcpy(corrections, rest + length, frame.corrections)


cdef inline void interleave(const Field* field, const Frame* frame, const uint8_t* data, uint8_t* out) noexcept nogil:
    """Write the codewords of all blocks in turn: the data, then the error correction (7.6).

    The last blocks may be longer by one codeword.
    """
    cdef uint8_t[CORRECTIONS_MAX] corrections
    cdef int block, at, length
    cdef int short_length = frame.data_codewords // frame.blocks
    cdef int long_blocks = frame.data_codewords % frame.blocks
    for block in range(frame.blocks):
        length = short_length + (block >= frame.blocks - long_blocks)
        correct(field, frame, data, length, corrections)
        for at in range(short_length):
            out[at * frame.blocks + block] = data[at]
        if length > short_length:
            out[short_length * frame.blocks + block - (frame.blocks - long_blocks)] = data[short_length]
        for at in range(frame.corrections):
            out[frame.data_codewords + at * frame.blocks + block] = corrections[at]
        data += length


cdef inline void place_bits(const Frame* frame, const uint8_t* codewords, Modules* modules) noexcept nogil:
    """Let the modules of the places be dark where a bit is 1."""
    cdef int at, bit
    cdef Place place
    for at in range(frame.codewords):
        for bit in range(7, -1, -1):
            place = frame.places[8 * at + 7 - bit]
            darken(modules, place.x, place.y, codewords[at] >> bit & 1)
