"""Read the shared texts and the cells of a sheet; `_reference` is the specification.

No kernel touches a Python object. A kernel takes what is plain; everything else it leaves to `_cells`.
"""

from evq_ext.sheet._markup cimport (
    BAD_TAG, CELL, DOCTYPE, EMPTY, END, INLINE, ITEM, NEED_MORE, PHONETIC, RAW_TEXT, ROW, SHARED, SHEET_DATA, START, TEXT,
    TEXT_RUN, VALUE, Attribute, Name, Scanner, Token, next_token, is_blank,
)
from evq_ext._memory cimport Vector, reserve
from evq_ext.sheet._values cimport (
    MOMENT_BYTES, NUMBER, Calendar, FormatKind, has_escape, is_digit, is_plain_number, write_moment, write_quoted,
)
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memchr, memcmp, memcpy, memset

cdef enum CellType:
    NUMBERS, BOOLEANS, SHARED_TEXTS, TEXTS, VERBATIM

cdef enum Found:
    EXHAUSTED, PAUSED, COMPLETE
    TO_BE_RESOLVED, TO_BE_WORDED            # by the rules
    NO_MEMORY, DAMAGED, HAS_DOCTYPE, SHARED_TOO_LONG, SHARED_MISSING, BEYOND_SHEET, TOO_WIDE, OUT_OF_ORDER

cdef struct Limits:
    size_t cell_bytes, cell_chars, shared_bytes, step_bytes
    uint32_t rows, columns, read_columns

cdef struct Texts:          # shared ones, as cells of CSV: text i is text[ends[i - 1]:ends[i]]
    Vector text
    Vector ends             # uint32

cdef struct Content:        # of the cell, or shared text, at hand
    Scanner scanner
    Limits limits
    Vector text
    bint entered
    bint in_phonetic

cdef struct Cells:
    Content content
    Calendar calendar
    bint epoch_1904
    const uint8_t* kinds    # a FormatKind for each cell format
    size_t kind_count
    const Texts* shared
    bint in_data
    # the cell at hand
    uint32_t row
    uint32_t column
    CellType type
    uint8_t kind
    # what is written
    Vector output
    uint32_t last_row
    uint32_t last_column


cdef inline Found found_by(Token token) noexcept nogil:
    """Say why no token follows."""
    return EXHAUSTED if token == NEED_MORE else HAS_DOCTYPE if token == DOCTYPE else DAMAGED


# --- The content of a cell --------------------------------------------------------------------------------------------

cdef inline void enter(Content* content) noexcept nogil:
    content.entered = True
    content.in_phonetic = False
    content.scanner.wants_text = False
    content.text.length = 0


cdef inline void leave(Content* content) noexcept nogil:
    content.entered = False
    content.scanner.wants_text = False


cdef inline Found take_text(Content* content, Token token) noexcept nogil:
    """Take the text at hand; TO_BE_RESOLVED if it holds references."""
    cdef const uint8_t* text = content.scanner.text + content.scanner.start
    cdef size_t length = content.scanner.end - content.scanner.start
    if token == TEXT and memchr(text, c"&", length) != NULL:
        return TO_BE_RESOLVED
    return append_text(content, text, length)


cdef inline Found append_text(Content* content, const uint8_t* text, size_t length) noexcept nogil:
    length = min(length, content.limits.cell_bytes - content.text.length)
    if not reserve(&content.text, length):
        return NO_MEMORY
    memcpy(content.text.data + content.text.length, text, length)
    content.text.length += length
    return COMPLETE


cdef inline void pass_tag(Content* content, Token token) noexcept nogil:
    """Pass a tag inside the cell, and see whether a text follows that counts."""
    cdef Name name = content.scanner.name
    if token != END:
        if name == PHONETIC:
            content.in_phonetic = True
        elif (name == VALUE or name == TEXT_RUN) and not content.in_phonetic:
            content.scanner.wants_text = True
    if token != START:
        if name == PHONETIC:
            content.in_phonetic = False
        elif name == VALUE or name == TEXT_RUN:
            content.scanner.wants_text = False


# --- Shared texts -----------------------------------------------------------------------------------------------------

cdef inline Found read_shared(Content* content, Texts* shared) noexcept nogil:
    """Read the shared texts that are complete, up to one that the rules must word; COMPLETE at the part's end."""
    cdef Token token
    cdef Found found
    while True:
        token = next_token(&content.scanner)
        if token == TEXT or token == RAW_TEXT:
            found = take_text(content, token)
            if found != COMPLETE:
                return found
        elif token == START or token == EMPTY or token == END:
            if content.scanner.name == ITEM:
                if token != END:
                    enter(content)
                if token != START and content.entered:
                    leave(content)
                    found = share(content, shared)
                    if found != COMPLETE:
                        return found
            elif content.scanner.name == SHARED and token != START:
                return COMPLETE
            elif content.entered:
                pass_tag(content, token)
        else:
            return found_by(token)


cdef inline Found share(Content* content, Texts* shared) noexcept nogil:
    """Make the text at hand a shared one."""
    if content.text.length > content.limits.cell_chars or has_escape(content.text.data, content.text.length):
        return TO_BE_WORDED
    if not write_quoted(&shared.text, content.text.data, content.text.length):
        return NO_MEMORY
    return end_shared(content, shared)


cdef inline Found end_shared(Content* content, Texts* shared) noexcept nogil:
    """Let a shared text end where the texts do."""
    if shared.text.length + shared.ends.length + sizeof(uint32_t) > content.limits.shared_bytes:
        return SHARED_TOO_LONG
    if not reserve(&shared.ends, sizeof(uint32_t)):
        return NO_MEMORY
    (<uint32_t*>(shared.ends.data + shared.ends.length))[0] = <uint32_t>shared.text.length
    shared.ends.length += sizeof(uint32_t)
    return COMPLETE


# --- Cells ------------------------------------------------------------------------------------------------------------

cdef inline Found read_cells(Cells* cells) noexcept nogil:
    """Read the cells that are complete, up to one that the rules must word; COMPLETE at the end of the data."""
    cdef Content* content = &cells.content
    cdef Token token
    cdef Found found = COMPLETE
    while cells.output.length < content.limits.step_bytes:
        token = next_token(&content.scanner)
        if token == TEXT or token == RAW_TEXT:
            found = take_text(content, token)
        elif token != START and token != EMPTY and token != END:
            return found_by(token)
        elif not cells.in_data:
            cells.in_data = token != END and content.scanner.name == SHEET_DATA
            if cells.in_data and token == EMPTY:
                return COMPLETE
        elif content.scanner.name == CELL:
            if token != END:
                found = begin_cell(cells)
            if token != START and content.entered and found == COMPLETE:
                leave(content)
                found = end_cell(cells)
        elif content.scanner.name == ROW:
            if token != END:
                found = begin_row(cells)
        elif content.scanner.name == SHEET_DATA:
            if token != START:
                return COMPLETE
        elif content.entered:
            if token != END and content.scanner.name == INLINE:
                cells.type = TEXTS
            pass_tag(content, token)
        if found != COMPLETE:
            return found
    return PAUSED


cdef inline Found begin_row(Cells* cells) noexcept nogil:
    cdef const Attribute* reference = &cells.content.scanner.r
    leave(&cells.content)
    cells.column = 0
    cells.row = cells.row + 1 if reference.value == NULL else read_number(reference.value, reference.length, 7)
    return COMPLETE if 1 <= cells.row <= cells.content.limits.rows else BEYOND_SHEET


cdef inline Found begin_cell(Cells* cells) noexcept nogil:
    cdef const Scanner* scanner = &cells.content.scanner
    cdef uint32_t style = 0
    enter(&cells.content)
    cells.type = NUMBERS if scanner.t.value == NULL else type_of(scanner.t.value, scanner.t.length)
    if scanner.s.value != NULL:
        style = read_number(scanner.s.value, scanner.s.length, 9)
    cells.kind = cells.kinds[style] if style < cells.kind_count else NUMBER
    if scanner.r.value == NULL:
        cells.column += 1
    elif not read_reference(cells, scanner.r.value, scanner.r.length):
        return BEYOND_SHEET
    if cells.column > cells.content.limits.columns or not 1 <= cells.row <= cells.content.limits.rows:
        return BEYOND_SHEET
    return COMPLETE


cdef inline CellType type_of(const uint8_t* text, size_t length) noexcept nogil:
    if length == 1:
        return (
            NUMBERS if text[0] == c"n" else SHARED_TEXTS if text[0] == c"s" else BOOLEANS if text[0] == c"b" else VERBATIM
        )
    if (length == 3 and memcmp(text, b"str", 3) == 0) or (length == 9 and memcmp(text, b"inlineStr", 9) == 0):
        return TEXTS
    return VERBATIM


cdef inline uint32_t read_number(const uint8_t* text, size_t length, size_t most) noexcept nogil:
    """Read a number of at most so many digits; return 0 for anything else."""
    cdef uint32_t number = 0
    cdef size_t at
    if length > most:
        return 0
    for at in range(length):
        if not is_digit(text[at]):
            return 0
        number = 10 * number + (text[at] - c"0")
    return number


cdef inline bint are_zeros(const uint8_t* text, size_t length) noexcept nogil:
    """Tell whether a number that has been read as 0 is one."""
    cdef size_t at
    for at in range(length):
        if text[at] != c"0":
            return False
    return length <= 9


cdef inline bint read_reference(Cells* cells, const uint8_t* text, size_t length) noexcept nogil:
    """Read where the cell is, such as D14; return False if it is nowhere."""
    cdef size_t at = 0
    cdef uint32_t column = 0
    while at < length and at < 3 and c"a" <= (text[at] | 0x20) <= c"z":
        column = 26 * column + ((text[at] | 0x20) - c"a") + 1
        at += 1
    if at == 0:
        return False
    cells.column = column
    cells.row = read_number(text + at, length - at, 7)
    return True


cdef inline Found end_cell(Cells* cells) noexcept nogil:
    """Write the cell at hand, unless it is empty."""
    cdef Vector* text = &cells.content.text
    cdef const uint8_t* value = text.data
    cdef size_t length = text.length
    cdef uint8_t[MOMENT_BYTES] moment
    cdef Found found
    if length == 0:
        return COMPLETE
    if cells.type == TEXTS:
        if length > cells.content.limits.cell_chars or has_escape(value, length):
            return TO_BE_WORDED
        found = place_cell(cells)
        if found != COMPLETE:
            return found
        return COMPLETE if write_quoted(&cells.output, value, length) else NO_MEMORY
    if is_blank(value[0]) or is_blank(value[length - 1]):
        return TO_BE_WORDED
    if cells.type == SHARED_TEXTS:
        return write_shared(cells, value, length)
    if cells.type == NUMBERS and cells.kind != NUMBER:
        length = write_moment(&cells.calendar, value, length, <FormatKind>cells.kind, cells.epoch_1904, moment)
        value = moment
        if length == 0:
            return TO_BE_WORDED
    elif cells.type != NUMBERS or not is_plain_number(value, length):
        return TO_BE_WORDED
    found = place_cell(cells)
    return append(&cells.output, value, length) if found == COMPLETE else found


cdef inline Found write_shared(Cells* cells, const uint8_t* value, size_t length) noexcept nogil:
    cdef const uint32_t* ends = <uint32_t*>cells.shared.ends.data
    cdef size_t index = read_number(value, length, 9)
    cdef size_t start
    cdef Found found
    if index >= cells.shared.ends.length // sizeof(uint32_t) or (index == 0 and not are_zeros(value, length)):
        return SHARED_MISSING
    start = ends[index - 1] if index > 0 else 0
    if ends[index] == start:
        return COMPLETE
    found = place_cell(cells)
    return append(&cells.output, cells.shared.text.data + start, ends[index] - start) if found == COMPLETE else found


cdef inline Found append(Vector* out, const uint8_t* text, size_t length) noexcept nogil:
    if not reserve(out, length):
        return NO_MEMORY
    memcpy(out.data + out.length, text, length)
    out.length += length
    return COMPLETE


cdef inline Found place_cell(Cells* cells) noexcept nogil:
    """Write as many empty cells and blank records as there are before the cell at hand."""
    cdef Vector* out = &cells.output
    cdef size_t records = 0
    cdef size_t empty
    if cells.column > cells.content.limits.read_columns:
        return TOO_WIDE
    if cells.row < cells.last_row or (cells.row == cells.last_row and cells.column <= cells.last_column):
        return OUT_OF_ORDER
    if cells.row == cells.last_row and cells.column == cells.last_column + 1 and cells.column > 1:
        if not reserve(out, 1):
            return NO_MEMORY
        out.data[out.length] = c","
        out.length += 1
        cells.last_column = cells.column
        return COMPLETE
    if cells.row > cells.last_row:
        records = cells.row - cells.last_row
        cells.last_column = 0
    empty = cells.column - max(cells.last_column, <uint32_t>1)
    if not reserve(out, records + empty):
        return NO_MEMORY
    memset(out.data + out.length, c"\n", records)
    memset(out.data + out.length + records, c",", empty)
    out.length += records + empty
    cells.last_row = cells.row
    cells.last_column = cells.column
    return COMPLETE
