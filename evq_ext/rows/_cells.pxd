"""Judge the cells of a row, and write their values; `_rules` is the specification.

A kernel takes what is plain and refuses what is certainly wrong; everything else it leaves to `_rules`.
"""

from evq_ext.contacts._email cimport Addresses, judge_email
from evq_ext.rows._outputs cimport Output
from evq_ext.contacts._phone cimport Plan, judge_phone
from evq_ext.rows._text cimport Chars, clean, count_chars
from evq_ext._memory cimport evq_copy, evq_same
from evq_ext._verdict cimport BLANK, REFUSED, TAKEN, UNSURE, Verdict
from libc.stdint cimport uint8_t

cdef enum Kind:
    IGNORED, NAME, EMAIL, PHONE, TEXT, CHOICE


cdef struct Knowledge:      # by which values are judged, filled from `_tables` and `authority`
    size_t cell_chars, name_chars, text_chars   # at most
    uint8_t text_mark
    const Chars* chars
    const Plan* plan        # how phone numbers are written; NULL if phonenumbers must be asked each time
    const Addresses* addresses  # how e-mail addresses are; NULL if email-validator must be asked each time


cdef struct Spelling:       # of a choice; as long as the choice itself, and both with padding
    const uint8_t* text
    const uint8_t* choice
    size_t length


cdef struct Column:         # of the upload
    uint8_t kind            # a Kind
    Output* output
    Spelling* spellings     # of the choices
    size_t spelling_count


cdef struct Cell:           # its bytes in the input, without quotes
    const uint8_t* text
    size_t length


cdef inline Verdict judge_cells(
    const Knowledge* known, const Column* columns, const Cell* cells, size_t width, uint8_t* warnings
) noexcept nogil:
    """Write the values of a row to their outputs, and judge the row; BLANK if it has none.

    The row behind a verdict other than TAKEN may have left some values.
    """
    cdef Verdict row = TAKEN
    cdef Verdict cell
    cdef bint blank = True
    cdef size_t index
    for index in range(width):
        cell = judge_cell(known, &columns[index], &cells[index], &blank, warnings)
        if cell == UNSURE:
            return UNSURE
        if cell == REFUSED:
            row = REFUSED
        if row == REFUSED and not blank:
            return REFUSED  # the rules word all that is wrong when somebody looks
    return BLANK if blank else row


cdef inline Verdict judge_cell(
    const Knowledge* known, const Column* column, const Cell* cell, bint* blank, uint8_t* warnings
) noexcept nogil:
    """Write the value of a cell to its output, which has room; `blank` is taken back by a cell that is not."""
    cdef uint8_t* value = column.output.text.data + column.output.text.length
    cdef size_t length = 0
    cdef Verdict verdict
    if cell.length > 0:
        if cell.length > known.cell_chars or cell.text[0] == known.text_mark:
            return UNSURE  # the apostrophe may be a mark, or a character
        if not clean(known.chars, cell.text, cell.length, value, &length):
            return UNSURE
    if length == 0:
        return REFUSED if column.kind == NAME or column.kind == EMAIL else TAKEN
    blank[0] = False
    if column.kind == IGNORED:
        return TAKEN
    verdict = judge_value(known, column, value, &length, warnings)
    column.output.text.length += length
    return verdict


cdef inline Verdict judge_value(
    const Knowledge* known, const Column* column, uint8_t* value, size_t* length, uint8_t* warnings
) noexcept nogil:
    """Judge a clean text that is not empty, and bring it into its final form."""
    if column.kind == TEXT:
        return judge_length(value, length[0], known.text_chars)
    if column.kind == NAME:
        return judge_length(value, length[0], known.name_chars)
    if column.kind == EMAIL:
        return judge_email(known.addresses, value, length[0], warnings) if known.addresses != NULL else UNSURE
    if column.kind == PHONE:
        return judge_phone(known.plan, value, length, warnings) if known.plan != NULL else UNSURE
    return find_choice(column, value, length[0])


cdef inline Verdict judge_length(const uint8_t* value, size_t length, size_t limit) noexcept nogil:
    return TAKEN if length <= limit or count_chars(value, length) <= limit else REFUSED


cdef inline Verdict find_choice(const Column* column, uint8_t* value, size_t length) noexcept nogil:
    """Spell the value as the choice that it is."""
    cdef size_t index
    cdef const Spelling* spelling
    for index in range(column.spelling_count):
        spelling = &column.spellings[index]
        if spelling.length == length and evq_same(spelling.text, value, length):
            evq_copy(value, spelling.choice, length)
            return TAKEN
    return UNSURE
