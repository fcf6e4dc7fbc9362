"""What all QR codes of one version and level have in common, drawn once and kept."""

from evq_ext.qr._grid cimport Modules, darken, module_at
from libc.stdint cimport uint8_t, uint16_t, uint32_t

cdef enum:
    MASKS = 8
    CODEWORDS_MAX = 3706
    CORRECTIONS_MAX = 30    # codewords in a block
    ALIGNMENTS_MAX = 7      # in a row


cdef struct Place:          # of a module
    uint8_t x
    uint8_t y


cdef struct Frame:
    int version
    int side                            # modules
    int blocks
    int corrections                     # codewords for error correction in each block
    int data_codewords                  # in all blocks together
    int codewords
    uint16_t[MASKS] formats
    uint32_t version_bits               # 0 below version 7
    int[ALIGNMENTS_MAX] alignments
    int alignment_count
    uint8_t[CORRECTIONS_MAX] generator  # logarithms of its coefficients, the highest power first
    Modules pattern                     # the function patterns, without the format
    Modules[MASKS] masks                # the modules for data that a mask inverts, and its format
    Place[8 * CODEWORDS_MAX] places     # of the bits of the codewords, in turn


cdef inline bint is_inverted(int mask, int x, int y) noexcept nogil:
    """Tell whether a mask inverts a module (ISO/IEC 18004 7.8.2, table 10)."""
    if mask == 0:
        return (x + y) % 2 == 0
    if mask == 1:
        return y % 2 == 0
    if mask == 2:
        return x % 3 == 0
    if mask == 3:
        return (x + y) % 3 == 0
    if mask == 4:
        return (y // 2 + x // 3) % 2 == 0
    if mask == 5:
        return x * y % 2 + x * y % 3 == 0
    if mask == 6:
        return (x * y % 2 + x * y % 3) % 2 == 0
    return ((x + y) % 2 + x * y % 3) % 2 == 0


cdef inline void draw_square(Frame* frame, Modules* taken, int x, int y, int size, uint32_t rings) noexcept nogil:
    """Draw rings around a centre, `size` modules outwards; bit n of `rings` says whether ring n is dark."""
    cdef int column, row
    for row in range(max(y - size, 0), min(y + size + 1, frame.side)):
        for column in range(max(x - size, 0), min(x + size + 1, frame.side)):
            darken(&frame.pattern, column, row, rings >> max(abs(column - x), abs(row - y)) & 1)
            darken(taken, column, row, 1)


cdef inline void draw_timing(Frame* frame, Modules* taken) noexcept nogil:
    cdef int at
    for at in range(8, frame.side - 8):
        darken(&frame.pattern, at, 6, at % 2 == 0)
        darken(&frame.pattern, 6, at, at % 2 == 0)
        darken(taken, at, 6, 1)
        darken(taken, 6, at, 1)


cdef inline void draw_version(Frame* frame, Modules* taken) noexcept nogil:
    cdef int bit, along, across
    for bit in range(18):
        along = bit // 3
        across = frame.side - 11 + bit % 3
        darken(&frame.pattern, along, across, frame.version_bits >> bit & 1)
        darken(&frame.pattern, across, along, frame.version_bits >> bit & 1)
        darken(taken, along, across, 1)
        darken(taken, across, along, 1)


cdef inline void draw_format(Modules* modules, int side, uint32_t bits) noexcept nogil:
    """Draw the 15 bits of the format twice: around the upper left finder, and beside the two others."""
    cdef int bit
    for bit in range(15):
        darken(modules, 8, bit + (bit >= 6) if bit < 8 else side - 15 + bit, bits >> bit & 1)
        darken(modules, side - 1 - bit if bit < 8 else 14 - bit + (bit == 8), 8, bits >> bit & 1)


cdef inline void find_places(Frame* frame, const Modules* taken) noexcept nogil:
    """Go through the pairs of columns from the right to the left, up and down in turn (7.7.3)."""
    cdef int right, step, half, x, y
    cdef int bits = 8 * frame.codewords
    cdef int found = 0
    cdef bint upwards = True
    right = frame.side - 1
    while right > 0:
        if right == 6:      # the column of the timing pattern belongs to no pair
            right = 5
        for step in range(frame.side):
            y = frame.side - 1 - step if upwards else step
            for half in range(2):
                x = right - half
                if module_at(&taken.upright, x, y) == 0 and found < bits:
                    frame.places[found].x = x
                    frame.places[found].y = y
                    found += 1
        upwards = not upwards
        right -= 2


cdef inline void draw_alignments(Frame* frame, Modules* taken) noexcept nogil:
    """Draw them where their rows and columns cross, but for the three corners of the finders."""
    cdef int row, column
    cdef int last = frame.alignment_count - 1
    for row in range(frame.alignment_count):
        for column in range(frame.alignment_count):
            if (row > 0 or 0 < column < last) and (row < last or column > 0):
                draw_square(frame, taken, frame.alignments[column], frame.alignments[row], 2, 0b101)


cdef inline void draw_frame(Frame* frame, Modules* taken) noexcept nogil:
    """Draw a frame whose numbers are filled in; `taken` is empty, and gets all modules that are not for data."""
    cdef int mask, x, y
    cdef int last = frame.side - 4
    draw_square(frame, taken, 3, 3, 4, 0b01011)
    draw_square(frame, taken, last, 3, 4, 0b01011)
    draw_square(frame, taken, 3, last, 4, 0b01011)
    draw_alignments(frame, taken)
    draw_timing(frame, taken)
    darken(&frame.pattern, 8, frame.side - 8, 1)
    darken(taken, 8, frame.side - 8, 1)
    draw_format(taken, frame.side, 0x7FFF)
    if frame.version_bits:
        draw_version(frame, taken)
    find_places(frame, taken)
    for mask in range(MASKS):
        for y in range(frame.side):
            for x in range(frame.side):
                if not module_at(&taken.upright, x, y):
                    darken(&frame.masks[mask], x, y, is_inverted(mask, x, y))
        draw_format(&frame.masks[mask], frame.side, frame.formats[mask])
