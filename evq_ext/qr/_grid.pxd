"""The modules of a QR code, one bit each: 1 is dark."""

from libc.stdint cimport uint64_t
from libc.string cimport memcpy

cdef enum:
    SIDE_MAX = 177      # modules of version 40
    PLANES_MAX = 4      # of 64 columns each; the last one is always light
    MARGIN = 4          # light rows before the first one and behind the last, as wide as the light beside a finder


cdef struct Grid:       # column x of row y is bit x % 64 of planes[x / 64][MARGIN + y]
    uint64_t planes[PLANES_MAX][MARGIN + SIDE_MAX + MARGIN]


cdef struct Modules:    # twice the same, so that columns are judged as rows are
    Grid upright
    Grid turned         # its rows are the columns of the other


cdef inline int count_planes(int side) noexcept nogil:
    return (side + 63) >> 6


cdef inline uint64_t module_at(const Grid* grid, int x, int y) noexcept nogil:
    """Return 1 for a dark module, 0 for a light one."""
    return grid.planes[x >> 6][MARGIN + y] >> (x & 63) & 1


cdef inline int count_dark(uint64_t modules) noexcept nogil:
    """Count by adding neighbours: the instruction for it is none that every x86-64 has."""
    modules -= modules >> 1 & 0x5555555555555555U
    modules = (modules & 0x3333333333333333U) + (modules >> 2 & 0x3333333333333333U)
    modules = (modules + (modules >> 4)) & 0x0F0F0F0F0F0F0F0FU
    return <int>(modules * 0x0101010101010101U >> 56)


cdef inline void darken(Modules* modules, int x, int y, uint64_t dark) noexcept nogil:
    """Make a light module dark if `dark` is 1; leave it if that is 0."""
    modules.upright.planes[x >> 6][MARGIN + y] |= dark << (x & 63)
    modules.turned.planes[y >> 6][MARGIN + x] |= dark << (y & 63)


cdef inline void copy_grid(Grid* to, const Grid* source, int side) noexcept nogil:
    """Copy what a code needs: its planes and a light one beside them, with their margins."""
    cdef int plane
    for plane in range(count_planes(side) + 1):
        memcpy(to.planes[plane], source.planes[plane], (side + 2 * MARGIN) * sizeof(uint64_t))


cdef inline void copy_modules(Modules* to, const Modules* source, int side) noexcept nogil:
    copy_grid(&to.upright, &source.upright, side)
    copy_grid(&to.turned, &source.turned, side)


cdef inline void invert_grid(Grid* to, const Grid* source, const Grid* mask, int side) noexcept nogil:
    """Let `to` be `source`, inverted where `mask` is dark; its margins stay as they are."""
    cdef int plane, y
    for plane in range(count_planes(side)):
        for y in range(MARGIN, MARGIN + side):
            to.planes[plane][y] = source.planes[plane][y] ^ mask.planes[plane][y]


cdef inline void invert_modules(Modules* to, const Modules* source, const Modules* mask, int side) noexcept nogil:
    invert_grid(&to.upright, &source.upright, &mask.upright, side)
    invert_grid(&to.turned, &source.turned, &mask.turned, side)
