"""Read records and take their cells; `_records`, `_rules` and `authority` are the specification.

No kernel touches a Python object. A kernel takes what is plain and refuses what is certainly wrong; everything else it
leaves to `_rules`.
"""

from evq_ext._email cimport judge_email
from evq_ext._marks cimport Walk, next_mark, walk_to
from evq_ext._memory cimport Vector, reserve
from evq_ext._phone cimport Plan, judge_phone
from evq_ext._text cimport Chars, clean
from evq_ext._verdict cimport REFUSED, TAKEN, UNSURE, Verdict
from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memcmp, memcpy

cdef enum Kind:
    IGNORED, NAME, EMAIL, PHONE, TEXT, CHOICE

cdef enum Fault:
    SOUND, UNCLOSED_QUOTE, ROW_TOO_LONG

cdef enum Found:
    COMPLETE, INCOMPLETE, UNREADABLE, TO_BE_JUDGED, NO_MEMORY

cdef struct Limits:
    size_t quoted_bytes, record_bytes, cell_chars, name_chars, text_chars
    uint32_t record_lines
    uint8_t text_mark

cdef struct Row:
    size_t start            # the record's bytes in the input, without the line end
    size_t end
    uint32_t number
    uint32_t lines          # line ends inside quotes
    uint32_t twin           # the number of the accepted row before it that has the same e-mail; 0 without one
    uint8_t fault           # a Fault
    bint warned

cdef struct Spelling:       # of a choice; as long as the choice itself
    const uint8_t* text
    const uint8_t* choice
    size_t length

cdef struct Spellings:
    Spelling* items
    size_t count

cdef struct Output:         # one kept column: value i is text[offsets[i]:offsets[i + 1]]
    Vector text
    Vector offsets          # uint32

cdef struct Reader:
    # the layout
    Limits limits
    const Chars* chars
    const Plan* plan        # how phone numbers are written; NULL if phonenumbers must be asked each time
    bint certain_email      # the tables fit the installed email-validator
    bint number_by_line
    size_t width            # columns of the upload
    uint8_t* kinds          # a Kind for each column of the upload
    Spellings* spellings    # of the choices, for each column of the upload
    size_t kept             # those not ignored
    size_t* places          # of the output of each column of the upload
    Output* outputs         # one for each column kept, and a last one for what is not
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
    # what was found in it; blank records leave nothing
    Vector rows             # of Row: those whose values are in the outputs
    Vector refused          # of Row: those that are certainly wrong
    Row row                 # the one at hand
    bint out_of_memory


cdef inline size_t count_rows(const Vector* rows) noexcept nogil:
    return rows.length // sizeof(Row)


# --- Records ----------------------------------------------------------------------------------------------------------

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
    cdef Verdict verdict = TAKEN
    cdef bint solid = False
    cdef Found found
    row.start = reader.at
    row.lines = 0
    row.fault = SOUND
    row.twin = 0
    row.warned = False
    if not reserve(&reader.rows, sizeof(Row)) or not reserve(&reader.refused, sizeof(Row)):
        return NO_MEMORY
    found = read_cells(reader, row, &verdict, &solid)
    if reader.out_of_memory:
        return NO_MEMORY
    if found == UNREADABLE:
        found = read_line(reader, row)
        verdict, solid = REFUSED, True
    if found != COMPLETE:
        drop_cells(reader)
        return found
    reader.at = row.end
    reader.in_tail = True
    reader.record += 1
    row.number = reader.line if reader.number_by_line else reader.record
    reader.line += row.lines
    if reader.record <= reader.skip:
        verdict, solid = REFUSED, False
    if verdict == TAKEN:
        return COMPLETE if keep_cells(reader) else NO_MEMORY
    drop_cells(reader)
    if verdict == UNSURE:
        return TO_BE_JUDGED
    if solid:  # else nothing but the cells that must not be empty is wrong: the record is blank
        append_row(&reader.refused, row)
    return COMPLETE


cdef inline Found read_cells(Reader* reader, Row* row, Verdict* verdict, bint* solid) noexcept nogil:
    """Read the record at `row.start`; take its cells until one is beyond the kernels."""
    cdef const uint8_t* text = reader.text
    cdef size_t at = row.start
    cdef size_t column = 0
    cdef size_t start, end
    cdef bint whole
    cdef Found found
    walk_to(&reader.walk, at)
    while True:
        start = at
        whole = True
        if text[at] == c'"' and at < reader.length:
            start += 1
            next_mark(&reader.walk)  # the opening quote
            found = find_close(reader, start, &row.lines, &end, &whole)
            if found != COMPLETE:
                return found
            at = find_cell_end(reader)
            whole = whole and at == end + 1
        else:
            at = end = find_cell_end(reader)
        if at - row.start > reader.limits.record_bytes:
            return UNREADABLE
        if at == reader.length and not reader.last:
            return INCOMPLETE
        if not whole:
            verdict[0] = UNSURE
        take_cell(reader, column, start, end, verdict, solid)
        column += 1
        if at == reader.length or text[at] != reader.walk.delimiter:
            break
        at += 1
    row.end = at
    while column < reader.width:
        take_cell(reader, column, at, at, verdict, solid)
        column += 1
    return COMPLETE


cdef inline size_t find_cell_end(Reader* reader) noexcept nogil:
    """Pass the next delimiter or line end, and return its place."""
    cdef size_t at = next_mark(&reader.walk)
    while at < reader.length and reader.text[at] == c'"':
        at = next_mark(&reader.walk)
    return at


cdef inline Found find_close(Reader* reader, size_t start, uint32_t* lines, size_t* close, bint* whole) noexcept nogil:
    """Find the quote that closes the text at `start`; count its line ends, and note doubled quotes."""
    cdef const uint8_t* text = reader.text
    cdef size_t at
    while True:
        at = next_mark(&reader.walk)
        if at - start > reader.limits.quoted_bytes:
            return UNREADABLE
        if at == reader.length:
            return UNREADABLE if reader.last else INCOMPLETE
        if text[at] == c'"':
            if at + 1 == reader.length or text[at + 1] != c'"':
                close[0] = at
                return COMPLETE
            whole[0] = False
            next_mark(&reader.walk)
        elif text[at] == c"\r" or (text[at] == c"\n" and text[at - 1] != c"\r"):
            lines[0] += 1
            if lines[0] >= reader.limits.record_lines:
                return UNREADABLE


cdef inline Found read_line(Reader* reader, Row* row) noexcept nogil:
    """Read the line at `row.start`, whose quotes are text, as a fault."""
    cdef size_t end = find_line_end(reader, row.start)
    row.lines = 0
    row.fault = UNCLOSED_QUOTE
    if end - row.start > reader.limits.record_bytes:
        end = row.start + reader.limits.record_bytes
        row.fault = ROW_TOO_LONG
    elif end == reader.length and not reader.last:
        return INCOMPLETE
    row.end = end
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
        if at + 1 < reader.length and reader.text[at + 1] == c"\n":
            at += 1
    reader.at = at + 1
    reader.line += 1
    reader.in_tail = False


# --- Rows -------------------------------------------------------------------------------------------------------------

cdef inline void append_row(Vector* rows, const Row* row) noexcept nogil:
    """Append a row; the vector has room."""
    (<Row*>(rows.data + rows.length))[0] = row[0]
    rows.length += sizeof(Row)


cdef inline bint keep_cells(Reader* reader) noexcept nogil:
    """Make the cells taken last a row of the outputs; return False if there is no memory."""
    cdef size_t index
    cdef Output* output
    for index in range(reader.kept):
        output = &reader.outputs[index]
        if not reserve(&output.offsets, sizeof(uint32_t)):
            return False
        end_value(output)
    append_row(&reader.rows, &reader.row)
    return True


cdef inline void end_value(Output* output) noexcept nogil:
    """Let a value end where the text does; the offsets have room."""
    (<uint32_t*>(output.offsets.data + output.offsets.length))[0] = <uint32_t>output.text.length
    output.offsets.length += sizeof(uint32_t)


cdef inline void drop_cells(Reader* reader) noexcept nogil:
    """Take back the cells that no row of the outputs has."""
    cdef size_t index
    cdef Output* output
    for index in range(reader.kept):
        output = &reader.outputs[index]
        output.text.length = (<uint32_t*>(output.offsets.data + output.offsets.length))[-1]


# --- Cells ------------------------------------------------------------------------------------------------------------
cdef inline void take_cell(
    Reader* reader, size_t column, size_t start, size_t end, Verdict* verdict, bint* solid
) noexcept nogil:
    """Put the clean value into its output, and lower the verdict on the row if the cell has none.

    `solid` is set by a cell that is certainly not blank.
    """
    cdef Verdict cell
    if verdict[0] == UNSURE or (verdict[0] == REFUSED and solid[0]):
        return  # nothing that follows can change what becomes of the row
    if column >= reader.width:
        cell = TAKEN if start == end else UNSURE
    elif end - start > reader.limits.cell_chars or (start < end and reader.text[start] == reader.limits.text_mark):
        cell = UNSURE  # the apostrophe may be a mark, or a character
    else:
        cell = judge_cell(reader, column, start, end, solid)
    if cell != TAKEN:
        verdict[0] = cell


cdef inline Verdict judge_cell(Reader* reader, size_t column, size_t start, size_t end, bint* solid) noexcept nogil:
    cdef uint8_t kind = reader.kinds[column]
    cdef Output* output = &reader.outputs[reader.places[column]]
    cdef uint8_t* value
    cdef size_t length, chars
    cdef Verdict verdict = TAKEN
    if not reserve(&output.text, end - start):
        reader.out_of_memory = True
        return UNSURE
    value = output.text.data + output.text.length
    if not clean(reader.chars, reader.text + start, end - start, value, &length, &chars):
        return UNSURE
    if length > 0:
        solid[0] = True
    if kind == NAME:
        verdict = TAKEN if 0 < chars <= reader.limits.name_chars else REFUSED
    elif kind == TEXT:
        verdict = TAKEN if chars <= reader.limits.text_chars else REFUSED
    elif kind == EMAIL:
        verdict = (
            REFUSED if length == 0 else judge_email(value, length, &reader.row.warned) if reader.certain_email else UNSURE
        )
    elif kind == PHONE and length > 0:
        verdict = judge_phone(reader.plan, value, &length, &reader.row.warned) if reader.plan != NULL else UNSURE
    elif kind == CHOICE and length > 0:
        verdict = find_choice(&reader.spellings[column], value, length)
    if kind != IGNORED:
        output.text.length += length
    return verdict


cdef inline Verdict find_choice(const Spellings* spellings, uint8_t* value, size_t length) noexcept nogil:
    """Spell the value as the choice that it is."""
    cdef size_t index
    cdef const Spelling* spelling
    for index in range(spellings.count):
        spelling = &spellings.items[index]
        if spelling.length == length and memcmp(spelling.text, value, length) == 0:
            memcpy(value, spelling.choice, length)
            return TAKEN
    return UNSURE
