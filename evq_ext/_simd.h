/* Many bytes at a time: with SSE2, which every x86-64 has; one by one elsewhere, to the same effect. */

#ifndef EVQ_SIMD_H
#define EVQ_SIMD_H

#include <stdint.h>

/* Return the places, bit i for text[i], of what ends a cell or begins a quoted one: the delimiter, quotes, CR, LF.
 * All 64 bytes must be readable. */
static inline uint64_t evq_marks(const uint8_t *text, uint8_t delimiter);

/* Return the places of what is not visible ASCII: of spaces, control characters, and bytes of other characters.
 * All 16 bytes must be readable. */
static inline uint32_t evq_odd(const uint8_t *text);

#define EVQ_SHORT 60

/* Tell whether a text of at most EVQ_SHORT bytes is certainly nothing but visible ASCII, lone spaces inside, ideographs
 * from U+5000 to U+8FFF, and Hangul syllables up to U+D77F. Up to 16 bytes behind it must be readable. */
static inline int evq_plain(const uint8_t *text, size_t length);

/* Turn 16 bytes lower case, and return the places of what is neither a letter nor a digit of ASCII. */
static inline uint32_t evq_lower(uint8_t *text);

/* Return the place of the lowest bit that is set; there must be one. */
static inline int evq_lowest(uint64_t bits) {
    return __builtin_ctzll(bits);
}

/* Return how many bits are set: in pairs, fours and bytes, and then all bytes together. */
static inline int evq_count(uint64_t bits) {
    bits -= bits >> 1 & 0x5555555555555555;
    bits = (bits & 0x3333333333333333) + (bits >> 2 & 0x3333333333333333);
    bits = (bits + (bits >> 4)) & 0x0F0F0F0F0F0F0F0F;
    return (int)(bits * 0x0101010101010101 >> 56);
}

/* Return the places of the bytes that are not ASCII. All 16 bytes must be readable. */
static inline uint32_t evq_high(const uint8_t *text);

/* Return the size of the whole characters that the 64 bytes begin with, and count those of several bytes; 0 if they
 * must be looked at one by one, as all must that are wrong. One byte more must be readable. */
static inline size_t evq_utf8(const uint8_t *text, size_t *characters);

/* Tell whether two texts are the same; up to 15 bytes behind them are read. */
static inline int evq_same(const uint8_t *one, const uint8_t *other, size_t length);

/* Copy 16 bytes. */
static inline void evq_copy16(uint8_t *to, const uint8_t *from);

/* Copy to where nothing overlaps; up to 15 bytes more than `length` are read and written. */
static inline void evq_copy(uint8_t *to, const uint8_t *from, size_t length) {
    for (size_t at = 0; at < length; at += 16)
        evq_copy16(to + at, from + at);
}

#ifdef __SSE2__

#include <emmintrin.h>

static inline uint64_t evq_marks(const uint8_t *text, uint8_t delimiter) {
    uint64_t places = 0;
    for (int part = 0; part < 4; part++) {
        const __m128i bytes = _mm_loadu_si128((const __m128i *)(text + 16 * part));
        const __m128i found = _mm_or_si128(
            _mm_or_si128(_mm_cmpeq_epi8(bytes, _mm_set1_epi8((char)delimiter)),
                         _mm_cmpeq_epi8(bytes, _mm_set1_epi8('"'))),
            _mm_or_si128(_mm_cmpeq_epi8(bytes, _mm_set1_epi8('\n')), _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\r'))));
        places |= (uint64_t)(uint32_t)_mm_movemask_epi8(found) << (16 * part);
    }
    return places;
}

static inline uint32_t evq_odd(const uint8_t *text) {
    const __m128i bytes = _mm_loadu_si128((const __m128i *)text);
    const __m128i low = _mm_cmplt_epi8(bytes, _mm_set1_epi8(0x21)); /* signed: what is above 0x7F is below 0 */
    return (uint32_t)_mm_movemask_epi8(_mm_or_si128(low, _mm_cmpeq_epi8(bytes, _mm_set1_epi8(0x7F))));
}

static inline __m128i evq_between(__m128i bytes, char first, char last) {
    return _mm_and_si128(_mm_cmpgt_epi8(bytes, _mm_set1_epi8((char)(first - 1))),
                         _mm_cmplt_epi8(bytes, _mm_set1_epi8((char)(last + 1))));
}

static inline int evq_plain(const uint8_t *text, size_t length) { /* compared as signed: 0x80 is the least of all */
    uint64_t visible = 0, spaces = 0, leads = 0, follow = 0;
    for (size_t at = 0; at < length; at += 16) {
        const __m128i bytes = _mm_loadu_si128((const __m128i *)(text + at));
        const __m128i next = _mm_loadu_si128((const __m128i *)(text + at + 1));
        const __m128i before = _mm_and_si128(_mm_cmpeq_epi8(bytes, _mm_set1_epi8((char)0xEA)),
                                             _mm_cmplt_epi8(next, _mm_set1_epi8((char)0xB0)));
        const __m128i behind = _mm_and_si128(_mm_cmpeq_epi8(bytes, _mm_set1_epi8((char)0xED)),
                                             _mm_cmpgt_epi8(next, _mm_set1_epi8((char)0x9D)));
        const __m128i rare = _mm_or_si128(_mm_or_si128(before, behind), _mm_cmpeq_epi8(bytes, _mm_set1_epi8((char)0xE9)));
        const __m128i lead = _mm_andnot_si128(rare, evq_between(bytes, (char)0xE5, (char)0xED));
        visible |= (uint64_t)(uint32_t)_mm_movemask_epi8(evq_between(bytes, '!', '~')) << at;
        spaces |= (uint64_t)(uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(bytes, _mm_set1_epi8(' '))) << at;
        leads |= (uint64_t)(uint32_t)_mm_movemask_epi8(lead) << at;
        follow |= (uint64_t)(uint32_t)_mm_movemask_epi8(_mm_cmplt_epi8(bytes, _mm_set1_epi8((char)0xC0))) << at;
    }
    const uint64_t within = ((uint64_t)1 << length) - 1;
    leads &= within;
    visible &= within;
    const uint64_t wanted = leads << 1 | leads << 2;
    const uint64_t lone = spaces & (visible | leads) >> 1 & ~(uint64_t)1;
    return (visible | lone | leads | wanted) == within && wanted == (follow & within);
}

static inline uint32_t evq_lower(uint8_t *text) {
    const __m128i bytes = _mm_loadu_si128((const __m128i *)text);
    const __m128i lower = _mm_or_si128(bytes, _mm_and_si128(evq_between(bytes, 'A', 'Z'), _mm_set1_epi8(0x20)));
    _mm_storeu_si128((__m128i *)text, lower);
    return 0xFFFF ^ (uint32_t)_mm_movemask_epi8(
        _mm_or_si128(evq_between(lower, 'a', 'z'), evq_between(lower, '0', '9')));
}

static inline uint32_t evq_high(const uint8_t *text) {
    return (uint32_t)_mm_movemask_epi8(_mm_loadu_si128((const __m128i *)text));
}

static inline size_t evq_utf8(const uint8_t *text, size_t *characters) {
    uint64_t high = 0, follow = 0, three = 0, rare = 0;
    *characters = 0;
    for (int part = 0; part < 4; part++)
        high |= (uint64_t)evq_high(text + 16 * part) << (16 * part);
    if (high == 0)
        return 64;
    for (int part = 0; part < 4; part++) { /* compared as signed: 0x80 is the least, and ASCII above all others */
        const __m128i bytes = _mm_loadu_si128((const __m128i *)(text + 16 * part));
        const __m128i next = _mm_loadu_si128((const __m128i *)(text + 16 * part + 1));
        const __m128i follows = _mm_cmplt_epi8(bytes, _mm_set1_epi8((char)0xC0));
        const __m128i overlong = _mm_or_si128(_mm_andnot_si128(follows, _mm_cmplt_epi8(bytes, _mm_set1_epi8((char)0xC2))),
                                              _mm_cmpeq_epi8(bytes, _mm_set1_epi8((char)0xE0)));
        const __m128i surrogate = _mm_and_si128(_mm_and_si128(_mm_cmpeq_epi8(bytes, _mm_set1_epi8((char)0xED)), next),
                                                _mm_cmpgt_epi8(next, _mm_set1_epi8((char)0x9F)));
        const __m128i four = _mm_and_si128(bytes, _mm_cmpgt_epi8(bytes, _mm_set1_epi8((char)0xEF)));
        const __m128i from_e0 = _mm_and_si128(bytes, _mm_cmpgt_epi8(bytes, _mm_set1_epi8((char)0xDF)));
        follow |= (uint64_t)(uint32_t)_mm_movemask_epi8(follows) << (16 * part);
        three |= (uint64_t)(uint32_t)_mm_movemask_epi8(from_e0) << (16 * part);
        rare |= (uint64_t)(uint32_t)_mm_movemask_epi8(_mm_or_si128(_mm_or_si128(overlong, surrogate), four));
    }
    const uint64_t leads = high & ~follow;
    if (rare || follow != (leads << 1 | three << 2))
        return 0;
    const uint64_t cut = (leads & (uint64_t)1 << 63) | (three & (uint64_t)3 << 62); /* a character that goes on behind */
    const size_t size = cut ? (size_t)evq_lowest(cut) : 64;
    *characters = (size_t)evq_count(leads & ~cut);
    return size;
}

static inline int evq_same(const uint8_t *one, const uint8_t *other, size_t length) {
    for (size_t at = 0; at < length; at += 16) {
        const __m128i same = _mm_cmpeq_epi8(_mm_loadu_si128((const __m128i *)(one + at)),
                                            _mm_loadu_si128((const __m128i *)(other + at)));
        const uint32_t differ = 0xFFFF ^ (uint32_t)_mm_movemask_epi8(same);
        if (length - at < 16 ? differ << (32 - (length - at)) : differ)
            return 0;
    }
    return 1;
}

static inline void evq_copy16(uint8_t *to, const uint8_t *from) {
    _mm_storeu_si128((__m128i *)to, _mm_loadu_si128((const __m128i *)from));
}

#else

#include <string.h>

static inline uint64_t evq_marks(const uint8_t *text, uint8_t delimiter) {
    uint64_t places = 0;
    for (int i = 0; i < 64; i++)
        if (text[i] == delimiter || text[i] == '"' || text[i] == '\n' || text[i] == '\r')
            places |= (uint64_t)1 << i;
    return places;
}

static inline uint32_t evq_odd(const uint8_t *text) {
    uint32_t places = 0;
    for (int i = 0; i < 16; i++)
        if (text[i] < 0x21 || text[i] > 0x7E)
            places |= (uint32_t)1 << i;
    return places;
}

static inline int evq_plain(const uint8_t *text, size_t length) {
    (void)text;
    (void)length;
    return 0;
}

static inline uint32_t evq_lower(uint8_t *text) {
    uint32_t places = 0;
    for (int i = 0; i < 16; i++) {
        if (text[i] >= 'A' && text[i] <= 'Z')
            text[i] |= 0x20;
        if (!((text[i] >= 'a' && text[i] <= 'z') || (text[i] >= '0' && text[i] <= '9')))
            places |= (uint32_t)1 << i;
    }
    return places;
}

static inline uint32_t evq_high(const uint8_t *text) {
    uint32_t places = 0;
    for (int i = 0; i < 16; i++)
        places |= (uint32_t)(text[i] >> 7) << i;
    return places;
}

static inline size_t evq_utf8(const uint8_t *text, size_t *characters) {
    (void)text;
    *characters = 0;
    return 0;
}

static inline int evq_same(const uint8_t *one, const uint8_t *other, size_t length) {
    return memcmp(one, other, length) == 0;
}

static inline void evq_copy16(uint8_t *to, const uint8_t *from) {
    memmove(to, from, 16);
}

#endif

/* Copy 64 bytes, and return how many of them come before the first one that is not ASCII. */
static inline size_t evq_copy_ascii(uint8_t *to, const uint8_t *text) {
    uint64_t high = 0;
    for (int part = 0; part < 4; part++) {
        high |= (uint64_t)evq_high(text + 16 * part) << (16 * part);
        evq_copy16(to + 16 * part, text + 16 * part);
    }
    return high ? (size_t)evq_lowest(high) : 64;
}

#endif
