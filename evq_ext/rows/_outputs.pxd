"""What has been read: the rows, and a growing text for each column."""

from evq_ext._memory cimport Vector, reserve
from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memset

cdef enum:
    GROWTH = 16             # bytes by which a value may be longer than its cell
    SPARE_BYTES = 1 << 14   # of text, and
    SPARE_ROWS = 1 << 8     # for which room is made at a time


cdef struct Row:            # `_later` unpacks it
    uint32_t start          # the record's bytes in the input, without the line end
    uint32_t end
    uint32_t number
    uint32_t twin           # the number of the accepted row before it that has the same e-mail; 0 without one
    uint8_t fault           # a Fault
    uint8_t warnings        # a Warning for each bit


cdef struct Output:         # one column: value i is text[offsets[i]:offsets[i + 1]]
    Vector text
    Vector offsets          # uint32


cdef struct Outputs:
    Output* columns         # one for each column kept, and a last one for what is not
    size_t kept
    Vector rows             # of Row: those whose values are in the columns
    Vector refused          # of Row: those that are wrong
    size_t spare_bytes      # for which every text has room, and
    size_t spare_rows       # for which all else has


cdef inline size_t count_rows(const Vector* rows) noexcept nogil:
    return rows.length // sizeof(Row)


cdef inline bint clear(Outputs* outputs) noexcept nogil:
    """Forget what was read; return False if there is no memory."""
    cdef size_t index
    cdef Output* output
    outputs.rows.length = outputs.refused.length = 0
    for index in range(outputs.kept + 1):
        output = &outputs.columns[index]
        output.text.length = output.offsets.length = 0
        if not reserve(&output.offsets, sizeof(uint32_t)):
            return False
        memset(output.offsets.data, 0, sizeof(uint32_t))
        output.offsets.length = sizeof(uint32_t)
    return True


cdef inline bint make_room(Outputs* outputs, size_t size) noexcept nogil:
    """Make room for one more row, whose record is `size` bytes long; return False if there is no memory."""
    if size + GROWTH > outputs.spare_bytes or outputs.spare_rows == 0:
        if not make_more_room(outputs, size):
            return False
    outputs.spare_bytes -= size + GROWTH
    outputs.spare_rows -= 1
    return True


cdef inline bint make_more_room(Outputs* outputs, size_t size) noexcept nogil:
    cdef size_t index
    cdef Output* output
    for index in range(outputs.kept + 1):
        output = &outputs.columns[index]
        if not reserve(&output.text, size + GROWTH + SPARE_BYTES) or not reserve(&output.offsets, SPARE_ROWS * 4):
            return False
    outputs.spare_bytes = size + GROWTH + SPARE_BYTES
    outputs.spare_rows = SPARE_ROWS
    return reserve(&outputs.rows, SPARE_ROWS * sizeof(Row)) and reserve(&outputs.refused, SPARE_ROWS * sizeof(Row))


cdef inline void append_row(Vector* rows, const Row* row) noexcept nogil:
    """Append a row; the vector has room."""
    (<Row*>(rows.data + rows.length))[0] = row[0]
    rows.length += sizeof(Row)


cdef inline void keep_values(Outputs* outputs, const Row* row) noexcept nogil:
    """Make the values written last a row of the outputs, which have room."""
    cdef size_t index
    for index in range(outputs.kept):
        end_value(&outputs.columns[index])
    append_row(&outputs.rows, row)


cdef inline void end_value(Output* output) noexcept nogil:
    """Let a value end where the text does; the offsets have room."""
    (<uint32_t*>(output.offsets.data + output.offsets.length))[0] = <uint32_t>output.text.length
    output.offsets.length += sizeof(uint32_t)


cdef inline void drop_values(Outputs* outputs) noexcept nogil:
    """Take back the values that no row of the outputs has."""
    cdef size_t index
    cdef Output* output
    for index in range(outputs.kept):
        output = &outputs.columns[index]
        output.text.length = (<uint32_t*>(output.offsets.data + output.offsets.length))[-1]
