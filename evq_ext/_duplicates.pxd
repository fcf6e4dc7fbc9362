"""Find the rows whose e-mail an earlier row has, and leave them out."""

from evq_ext._identity cimport AHEAD, Slot, Table, evq_prefetch, find_slot, hash_email, home_slot
from evq_ext._outputs cimport Output, Outputs, Row, append_row, count_rows
from libc.stdint cimport uint32_t
from libc.string cimport memmove


cdef inline size_t find_twins(Table* table, Outputs* outputs, const Output* emails, bint last_wins) noexcept nogil:
    """Set `twin` in the rows that have one, and return how many; the table has room for all rows.

    The row that counts, the first one or the last, is the one that the table holds.
    """
    cdef Row* rows = <Row*>outputs.rows.data
    cdef size_t count = count_rows(&outputs.rows)
    cdef size_t start = 0
    cdef size_t found = 0
    cdef size_t index, end
    cdef const uint32_t* offsets = <uint32_t*>emails.offsets.data
    cdef Slot[AHEAD] wanted
    cdef Slot* slot
    while start < count:
        end = min(start + AHEAD, count)
        for index in range(start, end):
            slot = &wanted[index - start]
            hash_email(table.key, emails.text.data + offsets[index], offsets[index + 1] - offsets[index], slot.hash)
            slot.row = rows[index].number
            evq_prefetch(home_slot(table, slot))
        for index in range(start, end):
            slot = find_slot(table, &wanted[index - start])
            if slot.row == 0:
                table.used += 1
                slot[0] = wanted[index - start]
                continue
            found += 1
            rows[index].twin = slot.row
            if last_wins:
                slot.row = rows[index].number
        start = end
    return found


cdef inline void drop_twins(Outputs* outputs) noexcept nogil:
    """Take the rows that have a twin out of the rows and columns."""
    cdef Row* rows = <Row*>outputs.rows.data
    cdef size_t count = count_rows(&outputs.rows)
    cdef size_t index
    for index in range(outputs.kept):
        drop_values_of_twins(&outputs.columns[index], rows, count)
    outputs.rows.length = 0
    for index in range(count):
        if rows[index].twin == 0:
            append_row(&outputs.rows, &rows[index])


cdef inline void drop_values_of_twins(Output* output, const Row* rows, size_t count) noexcept nogil:
    """Move each run of values between two twins to where the last one ends."""
    cdef uint32_t* offsets = <uint32_t*>output.offsets.data
    cdef size_t kept = 0
    cdef size_t first = 0
    cdef size_t last
    cdef uint32_t start, shift
    while first < count:
        last = first
        while last < count and rows[last].twin == 0:
            last += 1
        start = offsets[first]
        shift = start - offsets[kept]
        memmove(output.text.data + offsets[kept], output.text.data + start, offsets[last] - start)
        while first < last:
            kept += 1
            first += 1
            offsets[kept] = offsets[first] - shift
        first = last + 1
    output.text.length = offsets[kept]
    output.offsets.length = (kept + 1) * sizeof(uint32_t)
