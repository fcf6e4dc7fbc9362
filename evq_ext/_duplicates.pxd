"""Find the rows whose e-mail an earlier row has, and leave them out."""

from evq_ext._identity cimport AHEAD, Slot, Table, evq_prefetch, find_slot, hash_email, home_slot
from evq_ext._reader cimport Output, Reader, Row, count_rows, end_value
from libc.stdint cimport uint32_t
from libc.string cimport memmove


cdef inline size_t find_twins(Table* table, Reader* reader, size_t identity, bint last_wins) noexcept nogil:
    """Set `twin` in the rows that have one, and return how many; the table has room for all rows.

    The row that counts, the first one or the last, is the one that the table holds.
    """
    cdef Row* rows = <Row*>reader.rows.data
    cdef size_t count = count_rows(&reader.rows)
    cdef size_t start = 0
    cdef size_t found = 0
    cdef size_t index, end
    cdef const Output* emails = &reader.outputs[identity]
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


cdef inline void drop_twins(Reader* reader) noexcept nogil:
    """Take the rows that have a twin out of the rows and outputs."""
    cdef Row* rows = <Row*>reader.rows.data
    cdef size_t count = count_rows(&reader.rows)
    cdef size_t index
    for index in range(reader.kept):
        drop_values(&reader.outputs[index], rows, count)
    reader.rows.length = 0
    for index in range(count):
        if rows[index].twin == 0:
            rows[count_rows(&reader.rows)] = rows[index]
            reader.rows.length += sizeof(Row)


cdef inline void drop_values(Output* output, const Row* rows, size_t count) noexcept nogil:
    cdef const uint32_t* offsets = <uint32_t*>output.offsets.data
    cdef uint32_t start
    cdef uint32_t end = 0
    cdef size_t index
    output.text.length = 0
    output.offsets.length = sizeof(uint32_t)
    for index in range(count):
        start, end = end, offsets[index + 1]  # read before a value that is kept ends there
        if rows[index].twin == 0:
            memmove(output.text.data + output.text.length, output.text.data + start, end - start)
            output.text.length += end - start
            end_value(output)
