"""Write the modules of a QR code as a PNG (ISO/IEC 15948), 1-bit grey: each line once, and then again as a whole."""

from evq_ext.qr._grid cimport Grid, module_at
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

cdef enum:
    CHUNK_HEAD = 8          # bytes of a chunk before its data: their number, and what they are
    CHUNK_TAIL = 4          # and behind them: their CRC
    HEADER_AT = 8           # behind the signature
    HEADER = 13             # bytes
    REPEAT_MIN = 3          # bytes of a repetition
    REPEAT_MAX = 258
    ADLER = 65521           # the modulus of an Adler-32


cdef struct Bits:           # the lowest goes first
    uint32_t value
    int width


cdef struct Range:          # distances that share a code, and differ in the bits that follow it
    uint32_t first
    int extra
    Bits code


cdef struct Deflate:        # the one Huffman code of all pictures
    uint8_t[64] head        # of a stream: whole bytes
    size_t head_length
    Bits head_end           # and the bits behind them
    Bits[256] literals
    Bits[REPEAT_MAX + 1] lengths
    Range[30] distances
    Bits end
    uint32_t[256] crcs      # of single bytes


cdef struct Picture:
    const Grid* grid
    int side                # modules
    int border              # modules
    int scale               # pixels
    size_t line             # bytes of a line: a filter type, and pixels


cdef struct Writer:
    const Deflate* code
    uint8_t* out
    size_t length           # bytes
    uint64_t pending        # bits that fill no byte yet
    int width               # how many
    uint64_t sum            # the two halves of the Adler-32 (RFC 1950)
    uint64_t sum_of_sums


cdef inline Picture plan_picture(const Grid* grid, int side, int scale, int border) noexcept nogil:
    cdef Picture picture
    picture.grid = grid
    picture.side = side
    picture.border = border
    picture.scale = scale
    picture.line = 1 + ((side + 2 * border) * scale + 7) // 8
    return picture


cdef inline size_t most_bytes(const Picture* picture) noexcept nogil:
    """Return how large a PNG may become: a byte has a code of two at most, a repetition one of five."""
    cdef size_t lines = picture.side + 2
    cdef size_t repeated = (picture.side + 2 * picture.border) * picture.scale * picture.line
    return 256 + 2 * lines * picture.line + 5 * (lines + repeated // (REPEAT_MAX - REPEAT_MIN))


cdef inline void put(Writer* writer, Bits bits) noexcept nogil:
    """Append at most 32 bits."""
    writer.pending |= <uint64_t>bits.value << writer.width
    writer.width += bits.width
    if writer.width >= 32:
        memcpy(writer.out + writer.length, &writer.pending, 4)
        writer.length += 4
        writer.pending >>= 32
        writer.width -= 32


cdef inline Bits find_distance(const Deflate* code, uint32_t distance) noexcept nogil:
    cdef int symbol = 29
    cdef const Range* found
    cdef Bits bits
    while code.distances[symbol].first > distance:
        symbol -= 1
    found = &code.distances[symbol]
    bits.value = found.code.value | (distance - found.first) << found.code.width
    bits.width = found.code.width + found.extra
    return bits


cdef inline void put_again(Writer* writer, size_t length, Bits distance) noexcept nogil:
    """Repeat what is at a distance, up to `length` bytes of it."""
    cdef size_t part
    while length:
        part = min(length, <size_t>REPEAT_MAX)
        if 0 < length - part < REPEAT_MIN:
            part -= REPEAT_MIN
        put(writer, writer.code.lengths[part])
        put(writer, distance)
        length -= part


cdef inline void add_sums(Writer* writer, const uint8_t* line, uint64_t length, uint64_t times) noexcept nogil:
    """Let the Adler-32 go over a line as often as it stands there."""
    cdef uint64_t sum = 0
    cdef uint64_t sum_of_sums = 0
    cdef uint64_t at
    for at in range(length):
        sum += line[at]
        sum_of_sums += sum
    writer.sum_of_sums += times * (length * writer.sum + sum_of_sums) + times * (times - 1) // 2 * length * sum
    writer.sum += times * sum
    writer.sum_of_sums %= ADLER
    writer.sum %= ADLER


cdef inline void put_line(Writer* writer, const Picture* picture, const uint8_t* line, size_t times,
                          Bits distance) noexcept nogil:
    cdef size_t at
    if times == 0:
        return
    for at in range(picture.line):
        put(writer, writer.code.literals[line[at]])
    put_again(writer, picture.line * (times - 1), distance)
    add_sums(writer, line, picture.line, times)


cdef inline void darken_pixels(uint8_t* pixels, int start, int count) noexcept nogil:
    cdef int bit, part
    while count:
        bit = start & 7
        part = min(8 - bit, count)
        pixels[start >> 3] &= ~(0xFF >> bit) | 0xFF >> (bit + part)
        start += part
        count -= part


cdef inline void draw_line(uint8_t* line, const Picture* picture, int y) noexcept nogil:
    """Draw the modules of a row, or with a `y` below 0 of the quiet zone."""
    cdef int x
    memset(line, 0xFF, picture.line)
    line[0] = 0     # the filter type: none
    if y >= 0:
        for x in range(picture.side):
            if module_at(picture.grid, x, y):
                darken_pixels(line + 1, (picture.border + x) * picture.scale, picture.scale)


cdef inline void put_lines(Writer* writer, const Picture* picture, uint8_t* line) noexcept nogil:
    cdef Bits distance = find_distance(writer.code, picture.line)
    cdef int y
    draw_line(line, picture, -1)
    put_line(writer, picture, line, picture.border * picture.scale, distance)
    for y in range(picture.side):
        draw_line(line, picture, y)
        put_line(writer, picture, line, picture.scale, distance)
    draw_line(line, picture, -1)
    put_line(writer, picture, line, picture.border * picture.scale, distance)


cdef inline void put_number(uint8_t* out, uint32_t number) noexcept nogil:
    """Write a number as PNG does, the highest byte first."""
    out[0] = <uint8_t>(number >> 24)
    out[1] = <uint8_t>(number >> 16)
    out[2] = <uint8_t>(number >> 8)
    out[3] = <uint8_t>number


cdef inline uint8_t* close_chunk(const Deflate* code, uint8_t* chunk, const char* kind, size_t length) noexcept nogil:
    """Write what is around the data of a chunk, and return what is behind it."""
    cdef uint32_t crc = ~<uint32_t>0
    cdef size_t at
    put_number(chunk, length)
    memcpy(chunk + 4, kind, 4)
    for at in range(4, CHUNK_HEAD + length):
        crc = code.crcs[(crc ^ chunk[at]) & 0xFF] ^ crc >> 8
    put_number(chunk + CHUNK_HEAD + length, ~crc)
    return chunk + CHUNK_HEAD + length + CHUNK_TAIL


cdef inline size_t compress(const Deflate* code, const Picture* picture, uint8_t* line, uint8_t* out) noexcept nogil:
    """Write the lines as a zlib stream (RFC 1950), and return how long it is; `line` has room for one."""
    cdef Writer writer
    writer.code = code
    writer.out = out
    memcpy(out, b"\x78\x01", 2)
    memcpy(out + 2, code.head, code.head_length)
    writer.length = 2 + code.head_length
    writer.pending = code.head_end.value
    writer.width = code.head_end.width
    writer.sum = 1
    writer.sum_of_sums = 0
    put_lines(&writer, picture, line)
    put(&writer, code.end)
    memcpy(out + writer.length, &writer.pending, 4)
    writer.length += (writer.width + 7) // 8
    put_number(out + writer.length, <uint32_t>(writer.sum_of_sums << 16 | writer.sum))
    return writer.length + 4


cdef inline size_t write_png(const Deflate* code, const Picture* picture, uint8_t* line, uint8_t* out) noexcept nogil:
    """Write a PNG and return how long it is; `line` has room for one, and `out` for `most_bytes`."""
    cdef uint8_t* header = out + HEADER_AT + CHUNK_HEAD
    cdef uint32_t side = (picture.side + 2 * picture.border) * picture.scale
    cdef uint8_t* end
    memcpy(out, b"\x89PNG\r\n\x1a\n", 8)
    put_number(header, side)
    put_number(header + 4, side)
    memcpy(header + 8, b"\x01\0\0\0\0", 5)  # 1 bit, grey; the methods that there are; not interlaced
    end = close_chunk(code, out + HEADER_AT, b"IHDR", HEADER)
    end = close_chunk(code, end, b"IDAT", compress(code, picture, line, end + CHUNK_HEAD))
    return close_chunk(code, end, b"IEND", 0) - out
