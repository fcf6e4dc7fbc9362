# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, binding=True
"""Parse participants, compiled. `_reference` is its specification: the same rows, errors and offsets for any bytes.

The kernels find the records, and take each row whose every cell is plain. A row with anything else in it (a rare
script, a doubled quote, an unusual address, any fault) is handed to the rules that the reference obeys too: nothing is
rejected, and no error worded, in two places.
"""

import os
import sys

from evq_ext import _records, _tables, authority
from evq_ext._rules import Rules, check_call, duplicate_error
from evq_ext.types import Batch, ColumnData, Duplicate, Reject

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from evq_ext._identity cimport Table, find_slot, grow_table, hash_email
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcmp, memcpy, strlen

if sys.byteorder != "little":
    raise ImportError("The compiled core writes little-endian numbers by copying its own; this machine is big-endian.")


# --- (a) Tables, filled from `_tables` --------------------------------------------------------------------------------

cdef enum CharClass:
    DROPPED, SPACE, PLAIN

cdef enum AddressClass:
    ATEXT = 1
    LETTER = 2
    DIGIT = 4

cdef:
    size_t QUOTED_MAX_BYTES = _tables.QUOTED_MAX_BYTES
    size_t RECORD_MAX_BYTES = _tables.RECORD_MAX_BYTES
    uint32_t RECORD_MAX_LINES = _tables.RECORD_MAX_LINES
    uint8_t TEXT_MARK = <uint8_t>ord(_tables.TEXT_MARK)
    size_t CELL_MAX_CHARS = _tables.CELL_MAX_CHARS
    size_t NAME_MAX_CHARS = _tables.NAME_MAX_CHARS
    size_t TEXT_MAX_CHARS = _tables.TEXT_MAX_CHARS
    size_t EMAIL_MAX_CHARS = _tables.EMAIL_MAX_CHARS
    size_t LABEL_MAX_CHARS = _tables.LABEL_MAX_CHARS
    uint8_t char_class[128]
    uint8_t address_class[256]
    uint8_t plain_bits[8192]           # the BMP: one bit for each character that cleaning leaves alone
    bytes SPECIAL_USE_TLDS = b"".join([tld.encode() + b"\0" for tld in _tables.SPECIAL_USE_TLDS])
    const char* special_use_tlds = SPECIAL_USE_TLDS  # words that end with 0, and at last an empty one


cdef void fill_tables():
    for code in range(128):
        cleaned = _tables.CLEANING.get(code, chr(code))
        char_class[code] = DROPPED if cleaned is None else SPACE if cleaned == " " else PLAIN
        address_class[code] = (
            (ATEXT if chr(code) in _tables.ATEXT else 0)
            | (LETTER if chr(code).isalpha() else 0)
            | (DIGIT if chr(code).isdigit() else 0)
        )
    for first, last in _tables.PLAIN_RANGES:
        for code in range(first, last + 1):
            plain_bits[<size_t>code >> 3] |= <uint8_t>(1 << (code & 7))


fill_tables()

cdef dict KINDS = {"name": NAME, "email": EMAIL, "phone": PHONE, "text": TEXT}
cdef dict FAULTS = {SOUND: "", UNCLOSED_QUOTE: _records.UNCLOSED_QUOTE, ROW_TOO_LONG: _records.ROW_TOO_LONG}


# --- (b) Kernels: memory ----------------------------------------------------------------------------------------------

cdef bint reserve(Vector* vector, size_t more) noexcept nogil:
    """Make room for `more` bytes; return False if there is no memory."""
    cdef size_t needed = vector.length + more
    cdef size_t capacity = max(vector.capacity, <size_t>4096)
    cdef void* moved
    if needed <= vector.capacity:
        return True
    while capacity < needed:
        capacity *= 2
    moved = realloc(vector.data, capacity)
    if moved == NULL:
        return False
    vector.data = <uint8_t*>moved
    vector.capacity = capacity
    return True


cdef inline void append_cell(Reader* reader, size_t length) noexcept nogil:
    """Make the next `length` bytes of the arena a cell; both vectors have room."""
    cdef Cell* cell = <Cell*>(reader.cells.data + reader.cells.length)
    cell.offset = reader.arena.length
    cell.length = length
    reader.cells.length += sizeof(Cell)
    reader.arena.length += length


# --- (b) Kernels: records; `_records` is their specification ----------------------------------------------------------

cdef Found read_all(Reader* reader) noexcept nogil:
    """Read the records that are complete; the arena has room for the whole buffer twice."""
    cdef Row* row
    cdef Found found
    while reader.at < reader.length:
        if reader.in_tail:
            pass_line_end(reader)
            if reader.in_tail:
                break
            continue
        if not reserve(&reader.rows, sizeof(Row)) or not reserve(&reader.cells, reader.kept * sizeof(Cell)):
            return NO_MEMORY
        row = <Row*>(reader.rows.data + reader.rows.length)
        found = read_record(reader, row)
        if found == INCOMPLETE:
            break
        reader.at = row.end
        reader.in_tail = True
        if row.number > 0:
            reader.rows.length += sizeof(Row)
    return COMPLETE


cdef Found read_record(Reader* reader, Row* row) noexcept nogil:
    """Read one record into `row`; its number is 0 if it is blank or skipped."""
    cdef size_t cells = reader.cells.length
    cdef size_t arena = reader.arena.length
    cdef uint32_t lines = 0
    cdef bint blank = True
    cdef Found found
    row.start = reader.at
    row.cells = cells // sizeof(Cell)
    row.fault = SOUND
    row.plain = reader.record >= reader.skip
    found = read_quoted(reader, row, &lines, &blank)
    if found == UNREADABLE:
        lines, blank = 0, False
        found = read_line(reader, row)
    if found == INCOMPLETE or blank or not row.plain:
        reader.cells.length = cells
        reader.arena.length = arena
    if found == INCOMPLETE:
        return INCOMPLETE
    reader.record += 1
    row.number = reader.line if reader.number_by_line else reader.record
    if blank or reader.record <= reader.skip:
        row.number = 0
    reader.line += lines
    return COMPLETE


cdef Found read_quoted(Reader* reader, Row* row, uint32_t* lines, bint* blank) noexcept nogil:
    """Read the record at `row.start`, taking its cells as long as they are plain."""
    cdef const uint8_t* data = reader.data
    cdef size_t at = row.start
    cdef size_t column = 0
    cdef size_t start, end, close = 0
    cdef bint doubled = False
    cdef Found found
    while True:
        if at < reader.length and data[at] == c'"':
            found = find_close(reader, at + 1, lines, &close, &doubled)
            if found != COMPLETE:
                return found
            start = at + 1
            end = find_cell_end(reader, close + 1)
            if end > close + 1 or doubled:
                row.plain = False
                blank[0] = False
            at = end
        else:
            start = at
            at = close = find_cell_end(reader, at)
        if close > start:
            blank[0] = False
        if at - row.start > RECORD_MAX_BYTES:
            return UNREADABLE
        if at == reader.length and not reader.last:
            return INCOMPLETE
        row.plain = row.plain and take_cell(reader, column, start, close)
        column += 1
        if at == reader.length or data[at] != reader.delimiter:
            break
        at += 1
    row.end = at
    while row.plain and column < reader.width:
        row.plain = take_cell(reader, column, at, at)
        column += 1
    return COMPLETE


cdef inline size_t find_cell_end(const Reader* reader, size_t at) noexcept nogil:
    cdef uint8_t byte
    while at < reader.length:
        byte = reader.data[at]
        if byte == reader.delimiter or byte == c"\n" or byte == c"\r":
            break
        at += 1
    return at


cdef Found find_close(Reader* reader, size_t start, uint32_t* lines, size_t* close, bint* doubled) noexcept nogil:
    """Find the quote that closes the text at `start`; count its line ends, and note doubled quotes."""
    cdef const uint8_t* data = reader.data
    cdef size_t at = start
    while at < reader.length:
        if at - start > QUOTED_MAX_BYTES:
            return UNREADABLE
        if data[at] == c'"':
            if at + 1 == reader.length or data[at + 1] != c'"':
                close[0] = at
                return COMPLETE
            doubled[0] = True
            at += 1
        elif data[at] == c"\r" or (data[at] == c"\n" and data[at - 1] != c"\r"):
            lines[0] += 1
            if lines[0] >= RECORD_MAX_LINES:
                return UNREADABLE
        at += 1
    return UNREADABLE if reader.last or at - start > QUOTED_MAX_BYTES else INCOMPLETE


cdef Found read_line(Reader* reader, Row* row) noexcept nogil:
    """Read the line at `row.start`, whose quotes are text, as a fault."""
    cdef size_t at = row.start
    row.plain = False
    row.fault = UNCLOSED_QUOTE
    while at < reader.length and reader.data[at] != c"\n" and reader.data[at] != c"\r":
        if at - row.start == RECORD_MAX_BYTES:
            row.fault = ROW_TOO_LONG
            break
        at += 1
    row.end = at
    return INCOMPLETE if at == reader.length and not reader.last else COMPLETE


cdef void pass_line_end(Reader* reader) noexcept nogil:
    """Pass what is left of the line (nothing, but after ROW_TOO_LONG) and its end."""
    cdef const uint8_t* data = reader.data
    cdef size_t at = reader.at
    while at < reader.length and data[at] != c"\n" and data[at] != c"\r":
        at += 1
    reader.at = at
    if at == reader.length:
        return
    if data[at] == c"\r":
        if at + 1 == reader.length and not reader.last:
            return  # an LF may follow
        if at + 1 < reader.length and data[at + 1] == c"\n":
            at += 1
    reader.at = at + 1
    reader.line += 1
    reader.in_tail = False


# --- (b) Kernels: cells; `_rules` and `authority` are their specification ---------------------------------------------

cdef bint take_cell(Reader* reader, size_t column, size_t start, size_t end) noexcept nogil:
    """Put the clean value into the arena; return False if only the rules can tell what it is."""
    cdef uint8_t* out = reader.arena.data + reader.arena.length
    cdef size_t length = 0
    cdef size_t chars = 0
    cdef uint8_t kind
    if column >= reader.width:
        return start == end
    if start < end and reader.data[start] == TEXT_MARK:
        return False  # it may be a mark or an apostrophe
    if end - start > CELL_MAX_CHARS or not clean(reader.data + start, end - start, out, &length, &chars):
        return False
    kind = reader.kinds[column]
    if kind == IGNORED:
        return True
    if kind == NAME and (chars == 0 or chars > NAME_MAX_CHARS):
        return False
    if kind == TEXT and chars > TEXT_MAX_CHARS:
        return False
    if kind == EMAIL and not (reader.certain_email and certain_email(out, length)):
        return False
    if kind == PHONE and length > 0 and not (reader.certain_phone and certain_phone(out, &length)):
        return False
    append_cell(reader, length)
    return True


cdef bint clean(const uint8_t* raw, size_t length, uint8_t* out, size_t* out_length, size_t* chars) noexcept nogil:
    """Write what `_rules.clean` makes of the text; return False at a byte that is not a plain character's."""
    cdef size_t at = 0
    cdef size_t written = 0
    cdef size_t size
    cdef bint space = False
    while at < length:
        size = plain_size(raw + at, length - at)
        if size == 0:
            return False
        if raw[at] < 0x80 and char_class[raw[at]] != PLAIN:
            space = space or char_class[raw[at]] == SPACE
        else:
            if space and written > 0:
                out[written] = c" "
                written += 1
                chars[0] += 1
            space = False
            memcpy(out + written, raw + at, size)
            written += size
            chars[0] += 1
        at += size
    out_length[0] = written
    return True


cdef inline size_t plain_size(const uint8_t* text, size_t length) noexcept nogil:
    """Return how many bytes the character takes: 1 if it is ASCII; 0 if it is neither that nor plain, valid UTF-8."""
    cdef uint32_t code
    cdef size_t size
    if text[0] < 0x80:
        return 1
    if text[0] >= 0xC2 and text[0] < 0xE0 and length >= 2 and text[1] & 0xC0 == 0x80:
        code = (<uint32_t>text[0] & 0x1F) << 6 | (text[1] & 0x3F)
        size = 2
    elif text[0] & 0xF0 == 0xE0 and length >= 3 and text[1] & 0xC0 == 0x80 and text[2] & 0xC0 == 0x80:
        code = (<uint32_t>text[0] & 0x0F) << 12 | (<uint32_t>text[1] & 0x3F) << 6 | (text[2] & 0x3F)
        if code < 0x800:
            return 0
        size = 3
    else:
        return 0
    return size if plain_bits[code >> 3] >> (code & 7) & 1 else 0


cdef bint certain_email(uint8_t* text, size_t length) noexcept nogil:
    """Tell whether `_tables.CERTAIN_EMAIL` matches; `text` is made lower case on the way."""
    cdef size_t at = 0
    cdef size_t start = 0       # of the atom or label at hand
    cdef size_t labels = 0
    cdef bint letters = True    # the label at hand has nothing else
    if length > EMAIL_MAX_CHARS:
        return False
    while at < length and text[at] != c"@":
        if text[at] == c".":
            if at == start:
                return False
            start = at + 1
        elif address_class[text[at]] & LETTER:
            text[at] |= 0x20
        elif not address_class[text[at]] & ATEXT:
            return False
        at += 1
    if at == start or at == length:
        return False
    start = at = at + 1
    while at < length:
        if text[at] == c".":
            if not is_label(text + start, at - start):
                return False
            labels += 1
            start = at + 1
            letters = True
        elif text[at] == c"-":
            if text[at - 1] == c"-":
                return False
            letters = False
        elif address_class[text[at]] & LETTER:
            text[at] |= 0x20
        elif address_class[text[at]] & DIGIT:
            letters = False
        else:
            return False
        at += 1
    if labels == 0 or not letters or length - start < 2 or not is_label(text + start, length - start):
        return False
    return not is_special_use(text + start, length - start)


cdef inline bint is_label(const uint8_t* label, size_t length) noexcept nogil:
    """Tell whether a run of letters, digits and hyphens may stand between two dots."""
    return 0 < length <= LABEL_MAX_CHARS and label[0] != c"-" and label[length - 1] != c"-"


cdef inline bint is_special_use(const uint8_t* label, size_t length) noexcept nogil:
    cdef const char* word = special_use_tlds
    while word[0] != 0:
        if strlen(word) == length and memcmp(word, label, length) == 0:
            return True
        word += strlen(word) + 1
    return False


cdef bint certain_phone(uint8_t* text, size_t* length) noexcept nogil:
    """Tell whether `_tables.CERTAIN_PHONE` matches; if it does, `text` is made the E.164 form, up to 3 bytes longer."""
    cdef uint8_t digits[8]
    cdef size_t at = 0
    cdef size_t count = 0
    if length[0] < 10:
        return False
    if text[0] == c"0":
        at = 1
    elif memcmp(text, b"+82", 3) == 0:
        at = 3 + is_separator(text[3])
    if text[at] != c"1" or text[at + 1] != c"0":
        return False
    at += 2
    while at < length[0] and count < 8:
        if (count == 0 or count == 4) and is_separator(text[at]):
            at += 1
            if at == length[0]:
                return False
        if not c"0" <= text[at] <= c"9":
            return False
        digits[count] = text[at]
        count += 1
        at += 1
    if count < 8 or at < length[0] or digits[0] == c"5":
        return False
    memcpy(text, b"+8210", 5)
    memcpy(text + 5, digits, 8)
    length[0] = 13
    return True


cdef inline bint is_separator(uint8_t byte) noexcept nogil:
    return byte == c"-" or byte == c"." or byte == c" "


# --- (c) The parser ---------------------------------------------------------------------------------------------------

cdef class RowParser:
    """Read delimited UTF-8, fed in chunks of any size, into clean columns and precise errors.

    Raises ValueError, naming the option, at construction.
    """

    cdef Reader reader
    cdef Table table
    cdef object rules
    cdef size_t identity            # which of the kept columns it is
    cdef bytes rest                 # fed, but not read yet
    cdef size_t consumed, seen
    cdef uint32_t accepted
    cdef bint keeps_ordinals        # the table holds ordinals (policy "update"), else row numbers
    cdef bint at_start, busy, finished

    def __cinit__(self, columns, *, delimiter=b",", skip_records=0, number_by="line", region="KR",
                  duplicates="skip"):
        self.rules = Rules(columns=tuple(columns), delimiter=delimiter, skip_records=skip_records,
                           number_by=number_by, region=region, duplicates=duplicates)
        self.identity = self.rules.kept.index(self.rules.identity)
        self.rest = b""
        self.at_start = True
        self.keeps_ordinals = duplicates == "update"
        self.reader.delimiter = delimiter[0]
        self.reader.skip = skip_records
        self.reader.number_by_line = number_by == "line"
        self.reader.certain_email = authority.EMAIL_TABLES_FIT
        self.reader.certain_phone = authority.PHONE_TABLES_FIT and region == _tables.CERTAIN_PHONE_REGION
        self.reader.line = 1
        self.reader.width = len(self.rules.columns)
        self.reader.kept = len(self.rules.kept)
        self.reader.kinds = <uint8_t*>malloc(self.reader.width)
        if self.reader.kinds == NULL:
            raise MemoryError
        for index, column in enumerate(self.rules.columns):
            self.reader.kinds[<size_t>index] = KINDS[column.kind] if column is not None else IGNORED
        key = os.urandom(16)
        memcpy(self.table.key, PyBytes_AS_STRING(key), 16)

    def __dealloc__(self):
        free(self.reader.kinds)
        free(self.reader.rows.data)
        free(self.reader.cells.data)
        free(self.reader.arena.data)
        free(self.table.slots)

    @property
    def records(self):
        """Data records seen so far; blank ones are not counted."""
        return self.seen

    def feed(self, bytes data not None):
        """Read one chunk, of at most 1 GiB.

        Raises ValueError for a larger one, and after `finish`; RuntimeError while another thread is in a call.
        """
        return self.parse(data, False)

    def finish(self):
        """Read what is left, now that no more comes.

        Raises ValueError if that was said before.
        """
        batch = self.parse(b"", True)
        self.finished = True
        return batch

    cdef object parse(self, bytes data, bint last):
        cdef bytes buffer
        check_call(len(data), finished=self.finished)
        if self.busy:
            raise RuntimeError("Another thread is feeding this parser; feed it from one thread at a time.")
        self.busy = True
        try:
            buffer = self.rest + data
            self.read(buffer, last)
            self.consumed += self.reader.at
            self.rest = buffer[self.reader.at:]
            return self.settle(buffer)
        finally:
            self.busy = False

    cdef int read(self, bytes buffer, bint last) except -1:
        """Run the kernels over the buffer, without the GIL."""
        cdef Found found
        cdef Reader* reader = &self.reader
        reader.rows.length = reader.cells.length = reader.arena.length = 0
        reader.data = <const uint8_t*>PyBytes_AS_STRING(buffer)
        reader.length = len(buffer)
        reader.last = last
        reader.at = 0
        if self.at_start:
            if not last and len(buffer) < len(_tables.BOM) and _tables.BOM.startswith(buffer):
                return 0
            self.at_start = False
            reader.at = len(_tables.BOM) if buffer.startswith(_tables.BOM) else 0
        if not reserve(&reader.arena, 2 * reader.length + 16):
            raise MemoryError
        with nogil:
            found = read_all(reader)
        if found == NO_MEMORY:
            raise MemoryError
        return 0

    cdef object settle(self, bytes buffer):
        """Judge the rows that are not plain, find duplicates, and pack the accepted rows."""
        cdef Row* rows = <Row*>self.reader.rows.data
        cdef size_t total = self.reader.rows.length // sizeof(Row)
        cdef size_t index, count = 0
        rejects, duplicates, superseded = [], [], []
        for index in range(total):
            if not rows[index].plain and not self.judge(buffer, &rows[index], rejects):
                continue
            if rows[index].plain:
                self.seen += 1
            if self.admit(buffer, &rows[index], rejects, duplicates, superseded):
                rows[count] = rows[index]
                count += 1
        return Batch(
            count=count,
            rows=self.pack_numbers(count),
            columns=self.pack_columns(count),
            rejects=tuple(rejects),
            duplicates=tuple(duplicates),
            superseded=tuple(superseded),
            consumed=self.consumed,
        )

    cdef object raw_cells(self, bytes buffer, const Row* row):
        return _records.split_record(buffer[row.start:row.end], self.rules.delimiter, FAULTS[row.fault])

    cdef bint judge(self, bytes buffer, Row* row, list rejects) except -1:
        """Let the rules decide; tell whether the row is valid, after putting its values into the arena."""
        verdict = self.rules.judge(self.raw_cells(buffer, row), FAULTS[row.fault])
        if verdict is None:
            return False
        self.seen += 1
        if verdict.errors:
            rejects.append(Reject(row.number, verdict.raw, verdict.errors))
            return False
        row.cells = self.reader.cells.length // sizeof(Cell)
        for value in verdict.values:
            self.store(value.encode())
        return True

    cdef int store(self, bytes value) except -1:
        cdef Reader* reader = &self.reader
        cdef size_t length = len(value)
        if not reserve(&reader.arena, length) or not reserve(&reader.cells, sizeof(Cell)):
            raise MemoryError
        memcpy(reader.arena.data + reader.arena.length, PyBytes_AS_STRING(value), length)
        append_cell(reader, length)
        return 0

    cdef bint admit(self, bytes buffer, const Row* row, list rejects, list duplicates, list superseded) except -1:
        """Apply the duplicate policy; remember the row if it is accepted."""
        cdef Cell* email = <Cell*>self.reader.cells.data + row.cells + self.identity
        cdef uint32_t[3] wanted
        cdef uint32_t* slot
        if not grow_table(&self.table):
            raise MemoryError
        hash_email(self.table.key, self.reader.arena.data + email.offset, email.length, wanted)
        slot = find_slot(&self.table, wanted)
        if slot[3] == 0:
            memcpy(slot, wanted, 12)
            self.table.used += 1
        elif self.rules.duplicates == "skip":
            duplicates.append(Duplicate(row.number, slot[3] - 1))
            return False
        elif self.rules.duplicates == "error":
            raw = tuple([cell.decode(errors="replace") for cell in self.raw_cells(buffer, row)])
            column = self.rules.identity
            error = duplicate_error(column, raw[self.rules.columns.index(column)], slot[3] - 1)
            rejects.append(Reject(row.number, raw, (error,)))
            return False
        else:
            superseded.append(slot[3] - 1)
        slot[3] = (self.accepted if self.keeps_ordinals else row.number) + 1
        self.accepted += 1
        return True

    cdef bytes pack_numbers(self, size_t count):
        cdef Row* rows = <Row*>self.reader.rows.data
        cdef bytes packed = PyBytes_FromStringAndSize(NULL, 4 * count)
        cdef uint32_t* numbers = <uint32_t*>PyBytes_AS_STRING(packed)
        cdef size_t index
        for index in range(count):
            numbers[index] = rows[index].number
        return packed

    cdef dict pack_columns(self, size_t count):
        cdef size_t which = 0
        columns = {}
        for column in self.rules.kept:
            columns[column.name] = self.pack_column(which, count)
            which += 1
        return columns

    cdef object pack_column(self, size_t which, size_t count):
        cdef Row* rows = <Row*>self.reader.rows.data
        cdef Cell* cells = <Cell*>self.reader.cells.data + which
        cdef bytes packed = PyBytes_FromStringAndSize(NULL, 4 * (count + 1))
        cdef uint32_t* offsets = <uint32_t*>PyBytes_AS_STRING(packed)
        cdef bytes data
        cdef char* out
        cdef size_t index
        offsets[0] = 0
        for index in range(count):
            offsets[index + 1] = offsets[index] + <uint32_t>cells[rows[index].cells].length
        data = PyBytes_FromStringAndSize(NULL, offsets[count])
        out = PyBytes_AS_STRING(data)
        for index in range(count):
            memcpy(out + offsets[index], self.reader.arena.data + cells[rows[index].cells].offset,
                   cells[rows[index].cells].length)
        return ColumnData(packed, data)
