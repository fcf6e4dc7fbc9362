"""Cut a text into records, and take or refuse their rows; `_records` is the specification of what a record is.

No kernel touches a Python object.
"""

from evq_ext.rows._cells cimport Cell, Column, Knowledge, judge_cells
from evq_ext.rows._marks cimport Walk, next_mark, walk_to
from evq_ext.rows._outputs cimport Outputs, Row, append_row, drop_values, keep_values, make_room
from evq_ext._verdict cimport REFUSED, TAKEN, UNSURE, Verdict
from libc.stdint cimport uint8_t, uint32_t

cdef enum Fault:
    SOUND, UNCLOSED_QUOTE, ROW_TOO_LONG


cdef enum Found:
    COMPLETE, INCOMPLETE, UNREADABLE, TO_BE_JUDGED, NO_MEMORY


cdef struct Bounds:         # beyond which a record is unreadable
    size_t quoted_bytes, record_bytes
    uint32_t record_lines   # line ends inside quotes


cdef struct Reader:
    # the layout
    Bounds bounds
    Knowledge known
    bint number_by_line
    size_t width            # columns of the upload
    Column* columns
    # where it stands in the file
    size_t skip             # leading records still to be skipped
    uint32_t line
    uint32_t record
    bint in_tail            # a record is read, but its line end not passed
    # the input at hand
    uint8_t* text
    size_t length
    size_t at
    bint last               # no more input follows
    Walk walk
    # the record at hand
    Row row
    Cell* cells             # one for each column, and a last one for all that are too many
    bint plain              # no cell has doubled quotes or text behind its quotes, and none too many has anything
    uint32_t lines          # line ends inside quotes
    # what was found in it; blank records leave nothing
    Outputs outputs


cdef inline Found read_all(Reader* reader) noexcept nogil:
    """Read the records that are complete, up to one that the rules must judge."""
    cdef Found found
    while reader.at < reader.length:
        if reader.in_tail:
            pass_line_end(reader)
            if reader.in_tail:
                break
            continue
        found = read_record(reader)
        if found != COMPLETE:
            return found
    return COMPLETE


cdef inline Found read_record(Reader* reader) noexcept nogil:
    """Read the record at hand, and take or refuse its row; TO_BE_JUDGED if only the rules can do that."""
    cdef Row* row = &reader.row
    cdef Found found
    row.start = <uint32_t>reader.at
    row.fault = SOUND
    row.twin = 0
    row.warnings = 0
    reader.lines = 0
    found = find_cells(reader)
    if found == UNREADABLE:
        found = read_line(reader)
    if found != COMPLETE:
        return found
    if not make_room(&reader.outputs, row.end - row.start):
        return NO_MEMORY
    reader.at = row.end
    reader.in_tail = True
    reader.record += 1
    row.number = reader.line if reader.number_by_line else reader.record
    reader.line += reader.lines
    if reader.record <= reader.skip or row.start == row.end:
        return COMPLETE
    return take_row(reader)


cdef inline Found take_row(Reader* reader) noexcept nogil:
    """Keep the values of the row at hand, or the row as a refused one, or nothing of it."""
    cdef Verdict verdict
    if reader.row.fault != SOUND:
        verdict = REFUSED
    elif not reader.plain:
        verdict = UNSURE
    else:
        verdict = judge_cells(&reader.known, reader.columns, reader.cells, reader.width, &reader.row.warnings)
    if verdict == TAKEN:
        keep_values(&reader.outputs, &reader.row)
        return COMPLETE
    drop_values(&reader.outputs)
    if verdict == REFUSED:
        append_row(&reader.outputs.refused, &reader.row)
    return TO_BE_JUDGED if verdict == UNSURE else COMPLETE


cdef inline Found find_cells(Reader* reader) noexcept nogil:
    """Find the cells and the end of the record at `row.start`."""
    cdef const uint8_t* text = reader.text
    cdef size_t record = reader.row.start
    cdef size_t at = record
    cdef size_t start, end
    cdef Cell* cell = reader.cells
    cdef Cell* surplus = cell + reader.width
    cdef uint32_t lines
    cdef Found found
    reader.plain = True
    walk_to(&reader.walk, at)
    while True:
        start = at
        if text[at] == c'"':
            start += 1
            lines = reader.lines
            next_mark(&reader.walk)  # the opening quote
            found = find_close(reader, start, &end)
            if found != COMPLETE:
                return found
            at = find_cell_end(reader)
            if at != end + 1:
                if reader.lines > lines and not is_blank(text + end + 1, at - end - 1):
                    return UNREADABLE
                reader.plain = False
        else:
            at = end = find_cell_end(reader)
        if at - record > reader.bounds.record_bytes:
            return UNREADABLE
        if at == reader.length and not reader.last:
            return INCOMPLETE
        cell.text = text + start
        cell.length = end - start
        if cell < surplus:
            cell += 1
        elif start < end:
            reader.plain = False
        if at == reader.length or text[at] != reader.walk.delimiter:
            break
        at += 1
    reader.row.end = <uint32_t>at
    while cell < surplus:
        cell.length = 0
        cell += 1
    return COMPLETE


cdef inline size_t find_cell_end(Reader* reader) noexcept nogil:
    """Pass the next delimiter or line end, and return its place."""
    cdef size_t at = next_mark(&reader.walk)
    while reader.text[at] == c'"':
        at = next_mark(&reader.walk)
    return at


cdef inline bint is_blank(const uint8_t* text, size_t length) noexcept nogil:
    cdef size_t at
    for at in range(length):
        if text[at] != c" " and text[at] != c"\t":
            return False
    return True


cdef inline Found find_close(Reader* reader, size_t start, size_t* close) noexcept nogil:
    """Find the quote that closes the text at `start`; count its line ends, and note doubled quotes."""
    cdef const uint8_t* text = reader.text
    cdef size_t at
    while True:
        at = next_mark(&reader.walk)
        if at - start > reader.bounds.quoted_bytes:
            return UNREADABLE
        if at == reader.length:
            return UNREADABLE if reader.last else INCOMPLETE
        if text[at] == c'"':
            if text[at + 1] != c'"':
                close[0] = at
                return COMPLETE
            reader.plain = False
            next_mark(&reader.walk)
        elif text[at] == c"\r" or (text[at] == c"\n" and text[at - 1] != c"\r"):
            reader.lines += 1
            if reader.lines >= reader.bounds.record_lines:
                return UNREADABLE


cdef inline Found read_line(Reader* reader) noexcept nogil:
    """Read the line at `row.start`, whose quotes are text, as a fault."""
    cdef size_t start = reader.row.start
    cdef size_t end = find_line_end(reader, start)
    reader.lines = 0
    reader.row.fault = UNCLOSED_QUOTE
    if end - start > reader.bounds.record_bytes:
        end = start + reader.bounds.record_bytes
        reader.row.fault = ROW_TOO_LONG
    elif end == reader.length and not reader.last:
        return INCOMPLETE
    reader.row.end = <uint32_t>end
    return COMPLETE


cdef inline size_t find_line_end(Reader* reader, size_t at) noexcept nogil:
    walk_to(&reader.walk, at)
    at = next_mark(&reader.walk)
    while at < reader.length and reader.text[at] != c"\n" and reader.text[at] != c"\r":
        at = next_mark(&reader.walk)
    return at


cdef inline void pass_line_end(Reader* reader) noexcept nogil:
    """Pass what is left of the line (nothing, but after ROW_TOO_LONG) and its end."""
    cdef size_t at = reader.at
    if reader.text[at] != c"\n" and reader.text[at] != c"\r":
        at = find_line_end(reader, at)
    reader.at = at
    if at == reader.length:
        return
    if reader.text[at] == c"\r":
        if at + 1 == reader.length and not reader.last:
            return  # an LF may follow
        if reader.text[at + 1] == c"\n":
            at += 1
    reader.at = at + 1
    reader.line += 1
    reader.in_tail = False
