"""Choose the mask with the fewest penalty points (ISO/IEC 18004 7.8.3), for all columns of a plane at once.

A bit of a word is a column, and the words are the rows: what stands below a module is the same bit of the next word.
Rows are judged as the columns of the turned grid.
"""

from evq_ext.qr._frame cimport MASKS, Frame
from evq_ext.qr._grid cimport MARGIN, Grid, Modules, count_dark, count_planes, invert_modules
from libc.stdint cimport uint32_t, uint64_t


cdef struct Points:     # for each fault that a code can have
    uint32_t run
    uint32_t block
    uint32_t finder
    uint32_t balance


cdef inline uint32_t judge_runs(const Points* points, const uint64_t* rows, int side, uint64_t columns) noexcept nogil:
    """Five modules of one colour below each other, and each one more of them."""
    cdef uint64_t five, before
    cdef uint64_t same1, same2, same3, same4    # each with the one below it
    cdef uint32_t starts = 0
    cdef uint32_t fives = 0
    cdef int y
    same1 = same2 = same3 = before = 0
    for y in range(side - 1):
        same4 = ~(rows[y] ^ rows[y + 1]) & columns
        five = same1 & same2 & same3 & same4
        fives += count_dark(five)
        starts += count_dark(five & ~before)
        before = five
        same1, same2, same3 = same2, same3, same4
    return fives + (points.run - 1) * starts


cdef inline uint32_t judge_finders(const Points* points, const uint64_t* rows, int side) noexcept nogil:
    """Modules as in a finder, dark 1, light 1, dark 3, light 1, dark 1, with 4 light ones above or below.

    Outside of the code all is light.
    """
    cdef uint64_t core, wide
    cdef const uint64_t* row
    cdef uint32_t found = 0
    cdef int y
    for y in range(side - 6):
        row = rows + y
        core = (row[0] & row[2] & row[3] & row[4] & row[6]) & ~(row[-1] | row[1] | row[5] | row[7])
        if core:
            found += count_dark(core & ~(row[-2] | row[-3] | row[-4]))
            found += count_dark(core & ~(row[8] | row[9] | row[10]))
        wide = (row[0] & row[1] & row[2] & row[3] & row[4] & row[5]) & ~(row[-1] | row[-2])
        if wide:
            found += count_wide_finders(rows, side, y, wide)
    return points.finder * found


cdef inline uint32_t count_wide_finders(const uint64_t* rows, int side, int y, uint64_t columns) noexcept nogil:
    """Count the finders of which a module is two or more wide, and whose middle begins in row `y` of some columns."""
    cdef uint64_t core
    cdef uint32_t found = 0
    cdef int unit = 2
    while 2 * unit <= y <= side - 5 * unit:
        core = columns
        core &= dark_rows(rows, y, 3 * unit) & light_rows(rows, side, y + 3 * unit, unit)
        if core:
            core &= dark_rows(rows, y + 4 * unit, unit) & light_rows(rows, side, y + 5 * unit, unit)
            core &= light_rows(rows, side, y - unit, unit)
            core &= dark_rows(rows, y - 2 * unit, unit) & light_rows(rows, side, y - 3 * unit, unit)
        if core:
            found += count_dark(core & light_rows(rows, side, y - 6 * unit, 3 * unit))
            found += count_dark(core & light_rows(rows, side, y + 6 * unit, 3 * unit))
        unit += 1
    return found


cdef inline uint64_t dark_rows(const uint64_t* rows, int y, int count) noexcept nogil:
    """Return the columns in which `count` modules from row `y` on are dark."""
    cdef uint64_t dark = ~<uint64_t>0
    cdef int at
    for at in range(y, y + count):
        dark &= rows[at]
    return dark


cdef inline uint64_t light_rows(const uint64_t* rows, int side, int y, int count) noexcept nogil:
    """Return the columns in which `count` modules from row `y` on are light, or outside."""
    cdef uint64_t dark = 0
    cdef int at
    for at in range(max(y, 0), min(y + count, side)):
        dark |= rows[at]
    return ~dark


cdef inline uint32_t judge_blocks(const Points* points, const uint64_t* rows, const uint64_t* beside, int side,
                                  uint64_t columns) noexcept nogil:
    """Squares of four modules of one colour; `columns` are those that have a next one, at last in the plane beside."""
    cdef uint64_t here, right, same
    cdef uint32_t found = 0
    cdef uint64_t here_before = rows[0]
    cdef uint64_t right_before = rows[0] >> 1 | beside[0] << 63
    cdef int y
    for y in range(1, side):
        here = rows[y]
        right = here >> 1 | beside[y] << 63
        same = (here ^ right) | (here ^ here_before) | (right ^ right_before)
        found += count_dark(columns & ~same)
        here_before, right_before = here, right
    return points.block * found


cdef inline uint32_t judge_balance(const Points* points, const Grid* grid, int side) noexcept nogil:
    """Every 5 % that the dark modules are away from half of all."""
    cdef int dark = 0
    cdef int total = side * side
    cdef int plane, y
    for plane in range(count_planes(side)):
        for y in range(MARGIN, MARGIN + side):
            dark += count_dark(grid.planes[plane][y])
    return points.balance * <uint32_t>((abs(20 * dark - 10 * total) - 1) // total)


cdef inline uint64_t columns_of(int plane, int side) noexcept nogil:
    """Return which of its 64 columns a plane has."""
    cdef int count = side - 64 * plane
    return ~<uint64_t>0 if count >= 64 else (<uint64_t>1 << count) - 1


cdef inline uint32_t judge_columns(const Points* points, const Grid* grid, int side) noexcept nogil:
    cdef uint32_t found = 0
    cdef int plane
    for plane in range(count_planes(side)):
        found += judge_runs(points, grid.planes[plane] + MARGIN, side, columns_of(plane, side))
        found += judge_finders(points, grid.planes[plane] + MARGIN, side)
    return found


cdef inline uint32_t judge(const Points* points, const Modules* modules, int side) noexcept nogil:
    """Return the penalty points of a code: the fewer, the easier it is to read."""
    cdef const Grid* grid = &modules.upright
    cdef uint32_t found = judge_balance(points, grid, side)
    cdef int plane
    for plane in range(count_planes(side)):
        found += judge_blocks(points, grid.planes[plane] + MARGIN, grid.planes[plane + 1] + MARGIN, side,
                              columns_of(plane, side - 1))
    found += judge_columns(points, grid, side)
    return found + judge_columns(points, &modules.turned, side)


cdef inline int choose_mask(const Points* points, const Frame* frame, const Modules* plain,
                            Modules* masked) noexcept nogil:
    """Return the first mask with the fewest points; `masked` has margins, and gets the last one tried."""
    cdef uint32_t found
    cdef uint32_t fewest = ~<uint32_t>0
    cdef int chosen = 0
    cdef int mask
    for mask in range(MASKS):
        invert_modules(masked, plain, &frame.masks[mask], frame.side)
        found = judge(points, masked, frame.side)
        if found < fewest:
            fewest, chosen = found, mask
    return chosen
