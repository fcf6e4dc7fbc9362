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

/* Copy 16 bytes. */
static inline void evq_copy16(uint8_t *to, const uint8_t *from);

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

static inline void evq_copy16(uint8_t *to, const uint8_t *from) {
    memmove(to, from, 16);
}

#endif

/* Return the place of the lowest bit that is set; there must be one. */
static inline int evq_lowest(uint64_t bits) {
    return __builtin_ctzll(bits);
}

#endif
