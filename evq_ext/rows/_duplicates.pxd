"""Find the rows whose e-mail an earlier row has, and leave them out."""

from evq_ext.rows._identity cimport AHEAD, Slot, Table, evq_prefetch, find_slot, hash_email, home_slot
from evq_ext.rows._outputs cimport Output, Outputs, Row, count_rows
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
    cdef const Row* rows = <Row*>outputs.rows.data
    cdef size_t count = count_rows(&outputs.rows)
    cdef size_t kept = 0
    cdef size_t first = 0
    cdef size_t last, index
    while first < count:
        last = first
        while last < count and rows[last].twin == 0:
            last += 1
        if first > kept:
            move_run(outputs, kept, first, last)
        kept += last - first
        first = last + 1
    outputs.rows.length = kept * sizeof(Row)
    for index in range(outputs.kept):
        outputs.columns[index].offsets.length = (kept + 1) * sizeof(uint32_t)
        outputs.columns[index].text.length = (<uint32_t*>outputs.columns[index].offsets.data)[kept]


cdef inline void move_run(Outputs* outputs, size_t kept, size_t first, size_t last) noexcept nogil:
    """Move the rows from `first` up to `last` to behind those that are kept."""
    cdef Row* rows = <Row*>outputs.rows.data
    cdef size_t index
    memmove(rows + kept, rows + first, (last - first) * sizeof(Row))
    for index in range(outputs.kept):
        move_values(&outputs.columns[index], kept, first, last)


cdef inline void move_values(Output* output, size_t kept, size_t first, size_t last) noexcept nogil:
    cdef uint32_t* offsets = <uint32_t*>output.offsets.data
    cdef uint32_t start = offsets[first]
    cdef uint32_t shift = start - offsets[kept]
    memmove(output.text.data + offsets[kept], output.text.data + start, offsets[last] - start)
    while first < last:
        kept += 1
        first += 1
        offsets[kept] = offsets[first] - shift
