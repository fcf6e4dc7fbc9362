"""The table of contents of the compiled core: its structs and its kernels. No kernel touches a Python object."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t


cdef enum Kind:
    IGNORED, NAME, EMAIL, PHONE, TEXT

cdef enum Fault:
    SOUND, UNCLOSED_QUOTE, ROW_TOO_LONG

cdef enum Found:
    COMPLETE, INCOMPLETE, UNREADABLE, NO_MEMORY

cdef struct Vector:         # a growing array
    uint8_t* data
    size_t length           # bytes in use
    size_t capacity         # bytes

cdef struct Cell:           # one clean value
    size_t offset           # into the arena
    size_t length

cdef struct Row:
    size_t start            # the record's bytes in the buffer, without the line end
    size_t end
    size_t cells            # index of its first Cell; a row has one for each kept column
    uint32_t number
    uint8_t fault           # a Fault
    bint plain              # every cell is clean and certain; any other row is judged by `_rules`

cdef struct Reader:
    # the layout
    uint8_t delimiter
    bint number_by_line
    bint certain_email      # the tables fit the installed libraries
    bint certain_phone
    size_t width            # columns of the upload
    size_t kept             # those not ignored
    uint8_t* kinds          # a Kind for each column of the upload
    # where it stands in the file
    size_t skip             # leading records still to be skipped
    uint32_t line
    uint32_t record
    bint in_tail            # a record is read, but its line end not passed
    # the buffer at hand
    const uint8_t* data
    size_t length
    size_t at
    bint last               # no more input follows
    # what was found in it
    Vector rows             # of Row; blank records leave none
    Vector cells            # of Cell
    Vector arena            # the bytes of the cells

# Memory
cdef bint reserve(Vector* vector, size_t more) noexcept nogil

# Records
cdef Found read_all(Reader* reader) noexcept nogil
cdef Found read_record(Reader* reader, Row* row) noexcept nogil
cdef Found read_quoted(Reader* reader, Row* row, uint32_t* lines, bint* blank) noexcept nogil
cdef Found read_line(Reader* reader, Row* row) noexcept nogil
cdef Found find_close(Reader* reader, size_t start, uint32_t* lines, size_t* close, bint* doubled) noexcept nogil
cdef void pass_line_end(Reader* reader) noexcept nogil

# Cells: each returns False where only `_rules` can tell
cdef bint take_cell(Reader* reader, size_t column, size_t start, size_t end) noexcept nogil
cdef bint clean(const uint8_t* raw, size_t length, uint8_t* out, size_t* out_length, size_t* chars) noexcept nogil
cdef bint certain_email(uint8_t* text, size_t length) noexcept nogil
cdef bint certain_phone(uint8_t* text, size_t* length) noexcept nogil
