"""Find the rows whose e-mail an earlier row has, and leave them out."""

from evq_ext.rows._identity cimport AHEAD, Slot, Table, evq_prefetch, find_slot, hash_email, home_slot
from evq_ext.rows._outputs cimport Output, Outputs, Row, count_rows
from libc.stdint cimport uint32_t
from libc.string cimport memmove


cdef inline size_t find_twins(
    Table* table, Slot* wanted, Outputs* outputs, const Output* emails, bint last_wins
) noexcept nogil:
    """Set `twin` in the rows that have one, and return how many; the table and `wanted` have room for all rows.

    The row that counts, the first one or the last, is the one that the table holds.
    """
    cdef Row* rows = <Row*>outputs.rows.data
    cdef size_t count = count_rows(&outputs.rows)
    cdef size_t found = 0
    cdef size_t index
    cdef Slot* slot
    hash_emails(table, wanted, outputs, emails)
    for index in range(count):
        evq_prefetch(home_slot(table, &wanted[min(index + AHEAD, count - 1)]))
        slot = find_slot(table, &wanted[index])
        if slot.row == 0:
            table.used += 1
            slot[0] = wanted[index]
            continue
        found += 1
        rows[index].twin = slot.row
        if last_wins:
            slot.row = rows[index].number
    return found


cdef inline void hash_emails(
    const Table* table, Slot* wanted, const Outputs* outputs, const Output* emails
) noexcept nogil:
    """Write what the table shall hold for each row."""
    cdef const Row* rows = <Row*>outputs.rows.data
    cdef const uint32_t* ends = <uint32_t*>emails.offsets.data
    cdef size_t index
    for index in range(count_rows(&outputs.rows)):
        hash_email(table.key, emails.text.data + ends[index], ends[index + 1] - ends[index], wanted[index].hash)
        wanted[index].row = rows[index].number


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
