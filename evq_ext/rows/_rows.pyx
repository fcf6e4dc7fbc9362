# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, binding=True
"""Parse participants, compiled. `_reference` is its specification: the same rows, errors and offsets for any bytes.

The kernels find the records, and take or refuse each row of which they are certain. Any other row (a rare script, a
doubled quote, an unusual address) is judged by the rules that the reference obeys too. So are, when somebody looks, the
rows that were refused: no error is worded in two places.
"""

import os
import sys

from evq_ext import _tables
from evq_ext.contacts import _dialling, _domains, authority
from evq_ext.rows import _later, _records, _rules
from evq_ext.rows._rules import Rules, check_call
from evq_ext.types import Batch, ColumnData, Duplicate

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from evq_ext.rows._cells cimport CHOICE, EMAIL, IGNORED, NAME, PHONE, TEXT, Cell, Column, Knowledge, Spelling
from evq_ext.rows._duplicates cimport drop_twins, find_twins
from evq_ext.contacts._email cimport SLOTS, SPECIAL, Addresses, Slip, find_slip, slip_of
from evq_ext.rows._identity cimport Slot, Table, reserve_slots
from evq_ext.rows._marks cimport begin_walk
from evq_ext._memory cimport PADDING, Vector, reserve
from evq_ext.rows._outputs cimport Output, Outputs, Row, append_row, clear, count_rows, keep_values
from evq_ext.contacts._phone cimport WORDS, WORD_SIZE, Plan, State
from evq_ext.rows._reader cimport NO_MEMORY, TO_BE_JUDGED, Bounds, Found, Reader, read_all
from evq_ext.rows._text cimport DROPPED, PLAIN, SPACE, Chars
from libc.stdint cimport uint8_t, uint32_t
from libc.stdlib cimport calloc, free, qsort
from libc.string cimport memcpy, memmove, memset

if sys.byteorder != "little":
    raise ImportError("The compiled core writes little-endian numbers by copying its own; this machine is big-endian.")

cdef Chars CHARS
cdef Bounds BOUNDS
cdef Knowledge KNOWN
cdef Addresses ADDRESSES
cdef list SPECIAL_USE = [name.encode() for name in _tables.SPECIAL_USE_TLDS]
cdef dict KINDS = {"name": NAME, "email": EMAIL, "phone": PHONE, "text": TEXT, "choice": CHOICE}


cdef void fill_tables():
    for code in range(128):
        cleaned = _tables.CLEANING.get(code, chr(code))
        CHARS.classes[code] = DROPPED if cleaned is None else SPACE if cleaned == " " else PLAIN
    for first, last in _tables.PLAIN_RANGES:
        for code in range(first, last + 1):
            CHARS.plain[<size_t>code >> 3] |= <uint8_t>(1 << (code & 7))
    for block in range(0x800 // 64, 1024):  # those that three bytes may stand for
        CHARS.blocks[block] = all([CHARS.plain[8 * block + part] == 0xFF for part in range(8)])
    KNOWN.chars = &CHARS
    KNOWN.cell_chars = _tables.CELL_MAX_CHARS
    KNOWN.name_chars = _tables.NAME_MAX_CHARS
    KNOWN.text_chars = _tables.TEXT_MAX_CHARS
    KNOWN.text_mark = <uint8_t>ord(_tables.TEXT_MARK)
    BOUNDS.quoted_bytes = _tables.QUOTED_MAX_BYTES
    BOUNDS.record_bytes = _tables.RECORD_MAX_BYTES
    BOUNDS.record_lines = _tables.RECORD_MAX_LINES


cdef int fill_addresses() except -1:
    cdef size_t index = 0
    cdef Slip slip
    for character in _tables.ATEXT:
        ADDRESSES.local[<size_t>ord(character)] = True
    ADDRESSES.longest = _tables.EMAIL_MAX_CHARS
    ADDRESSES.longest_label = _tables.LABEL_MAX_CHARS
    if len(SPECIAL_USE) > SPECIAL or len(_domains.MISSPELT) > SLOTS // 2:
        raise ImportError("The tables of _email.pxd are too small for those of _tables and _domains; enlarge them.")
    ADDRESSES.shortest_special = min(map(len, SPECIAL_USE))
    for name in SPECIAL_USE:
        ADDRESSES.special[index].text = <uint8_t*>PyBytes_AS_STRING(name)
        ADDRESSES.special[index].length = len(<bytes>name)
        index += 1
    for domain in map(str.encode, _domains.MISSPELT):
        slip = slip_of(<uint8_t*>PyBytes_AS_STRING(domain), len(<bytes>domain))
        ADDRESSES.slips[find_slip(&ADDRESSES, &slip)] = slip
    return 0


fill_tables()
fill_addresses()


cdef class RowParser:
    """Read delimited UTF-8, fed in chunks of any size, into clean columns and precise errors.

    Raises ValueError, naming the option, at construction.
    """

    cdef Reader reader
    cdef Table table
    cdef Vector wanted              # of Slot: what the table shall hold for each row of a call
    cdef Vector input
    cdef object rules
    cdef object dialling            # how phone numbers are; None if phonenumbers must be asked each time
    cdef Plan plan                  # the same for the kernels, which points into
    cdef bytes states
    cdef list spelt                 # the bytes that the reader's spellings point into
    cdef Output* emails             # of the column that tells the participants apart
    cdef size_t consumed, fed, seen
    cdef bint at_start, busy, finished

    def __cinit__(self, columns, *, delimiter=b",", skip_records=0, number_by="line", region="KR",
                  duplicates="skip"):
        cdef Outputs* outputs = &self.reader.outputs
        cdef Column* column
        self.rules = Rules(columns=tuple(columns), delimiter=delimiter, skip_records=skip_records,
                           number_by=number_by, region=region, duplicates=duplicates)
        self.spelt = []
        self.at_start = True
        self.reader.bounds = BOUNDS
        self.reader.known = KNOWN
        self.reader.known.addresses = &ADDRESSES if authority.EMAIL_TABLES_FIT else NULL
        if authority.PHONE_TABLES_FIT and any(column.kind == "phone" for column in self.rules.kept):
            self.dialling = _dialling.plan_of(region)
            self.take_plan()
        self.reader.walk.delimiter = delimiter[0]
        self.reader.number_by_line = number_by == "line"
        self.reader.skip = skip_records
        self.reader.line = 1
        self.reader.width = len(self.rules.columns)
        self.reader.columns = <Column*>calloc(self.reader.width, sizeof(Column))
        self.reader.cells = <Cell*>calloc(self.reader.width + 1, sizeof(Cell))
        outputs.kept = len(self.rules.kept)
        outputs.columns = <Output*>calloc(outputs.kept + 1, sizeof(Output))
        if self.reader.columns == NULL or self.reader.cells == NULL or outputs.columns == NULL:
            raise MemoryError
        self.emails = outputs.columns + <size_t>self.rules.kept.index(self.rules.identity)
        output = outputs.columns
        column = self.reader.columns
        for named in self.rules.columns:
            if named is None:
                column.kind = IGNORED
                column.output = outputs.columns + outputs.kept
            else:
                column.kind = KINDS[named.kind]
                column.output = output
                self.take_spellings(column, named.choices)
                output += 1
            column += 1
        key = os.urandom(16)
        memcpy(self.table.key, PyBytes_AS_STRING(key), 16)

    def __dealloc__(self):
        cdef Outputs* outputs = &self.reader.outputs
        cdef size_t index
        for index in range(outputs.kept + 1 if outputs.columns != NULL else 0):
            free(outputs.columns[index].text.data)
            free(outputs.columns[index].offsets.data)
        free(outputs.columns)
        free(outputs.rows.data)
        free(outputs.refused.data)
        for index in range(self.reader.width if self.reader.columns != NULL else 0):
            free(self.reader.columns[index].spellings)
        free(self.reader.columns)
        free(self.reader.cells)
        free(self.table.slots)
        free(self.wanted.data)
        free(self.input.data)

    cdef int take_spellings(self, Column* column, tuple choices) except -1:
        """Let the kernels know the usual spellings; the rules know the others."""
        cdef Spelling* spelling
        padding = bytes(PADDING)
        pairs = [(spelt.encode() + padding, choice.encode() + padding) for spelt, choice in _rules.spellings(choices)]
        self.spelt.append(pairs)
        column.spellings = <Spelling*>calloc(len(pairs), sizeof(Spelling))
        if column.spellings == NULL and pairs:
            raise MemoryError
        for text, choice in pairs:
            spelling = &column.spellings[column.spelling_count]
            spelling.text = <uint8_t*>PyBytes_AS_STRING(text)
            spelling.choice = <uint8_t*>PyBytes_AS_STRING(choice)
            spelling.length = len(<bytes>text) - PADDING
            column.spelling_count += 1
        return 0

    cdef int take_plan(self) except -1:
        """Let the kernels know how the region's numbers are dialled, and those of the countries that are known."""
        cdef bytes code = f"+{self.dialling.code}".encode()
        self.states = self.dialling.packed
        self.plan.states = <State*>PyBytes_AS_STRING(self.states)
        self.plan.code_length = len(code)
        memcpy(self.plan.code, PyBytes_AS_STRING(code), len(code))
        self.plan.longest = _dialling.LENGTH_MAX
        for separator in _tables.PHONE_SEPARATORS:
            self.plan.separators[<size_t>ord(separator)] = True
        for start in _dialling.STARTS:
            self.plan.starts[<size_t>start] = True
        for index, word in enumerate(map(str.encode, _tables.NO_PHONE)):
            if index >= WORDS or len(word) >= WORD_SIZE:
                raise ImportError("The words of _phone.pxd are too few, or too short, for those of _tables; enlarge them.")
            memcpy(self.plan.words[<size_t>index], PyBytes_AS_STRING(word), len(word))
        self.reader.known.plan = &self.plan
        return 0

    @property
    def records(self):
        """Data records seen so far; blank ones are not counted."""
        return self.seen

    def feed(self, bytes data not None):
        """Read one chunk, of at most 1 GiB; what a call takes in memory is in proportion to it.

        Raises ValueError for a larger one, for more than 4 GiB in all, and after `finish`; RuntimeError while another
        call is under way, and after one that was broken off.
        """
        return self.parse(data, False)

    def finish(self):
        """Read what is left, now that no more comes.

        Raises ValueError if that was said before; RuntimeError as `feed` does.
        """
        batch = self.parse(b"", True)
        self.finished = True
        return batch

    cdef object parse(self, bytes data, bint last):
        check_call(len(data), fed=self.fed, finished=self.finished)
        if self.busy:
            raise RuntimeError(_rules.BUSY)
        self.busy = True  # no other thread can run between the question and this
        self.take_input(data, last)
        self.read()
        batch = self.settle()
        self.busy = False  # not so where something was raised: then nobody knows what was read
        return batch

    cdef int take_input(self, bytes data, bint last) except -1:
        """Put the data behind what the last call has left, and the reader before all that."""
        cdef Reader* reader = &self.reader
        self.fed += len(data)
        if reader.at > 0:
            self.input.length -= reader.at
            memmove(self.input.data, self.input.data + reader.at, self.input.length)
            reader.at = 0
        if not reserve(&self.input, len(data)) or not clear(&reader.outputs):
            raise MemoryError
        memcpy(self.input.data + self.input.length, PyBytes_AS_STRING(data), len(data))
        self.input.length += len(data)
        memset(self.input.data + self.input.length, 0, PADDING)
        reader.text = self.input.data
        reader.length = self.input.length
        reader.last = last
        begin_walk(&reader.walk, reader.text, reader.length)
        return 0

    cdef int read(self) except -1:
        """Let the kernels read the input, and judge the rows that they leave."""
        cdef Found found
        cdef Reader* reader = &self.reader
        if self.at_start:
            head = PyBytes_FromStringAndSize(<char*>reader.text, min(reader.length, <size_t>3))
            if not reader.last and len(head) < len(_tables.BOM) and _tables.BOM.startswith(head):
                return 0
            self.at_start = False
            reader.at = len(_tables.BOM) if head == _tables.BOM else 0
        while True:
            with nogil:
                found = read_all(reader)
            if found == NO_MEMORY:
                raise MemoryError
            if found != TO_BE_JUDGED:
                break
            self.judge()
        self.seen += count_rows(&reader.outputs.rows) + count_rows(&reader.outputs.refused)
        self.consumed += reader.at
        return 0

    cdef int judge(self) except -1:
        """Let the rules judge the row at hand, and take its values if it is valid."""
        cdef Outputs* outputs = &self.reader.outputs
        cdef Row* row = &self.reader.row
        cdef size_t index = 0
        content = PyBytes_FromStringAndSize(<char*>self.input.data + row.start, row.end - row.start)
        verdict = self.rules.judge(_records.split_record(content, self.rules.delimiter, ""), "")
        if self.dialling is not None and self.dialling.packed is not self.states:
            self.take_plan()
        if verdict is None:
            return 0
        if verdict.errors:
            append_row(&outputs.refused, row)
            return 0
        for value in verdict.values:
            self.put(&outputs.columns[index], value.encode())
            index += 1
        outputs.spare_bytes = 0  # the values may be longer than their cells by any amount
        row.warnings = 0
        for warning in verdict.warnings:
            row.warnings |= <uint8_t>(1 << _tables.WARNINGS.index(warning.code))
        keep_values(outputs, row)
        return 0

    cdef int put(self, Output* output, bytes value) except -1:
        if not reserve(&output.text, len(value)):
            raise MemoryError
        memcpy(output.text.data + output.text.length, PyBytes_AS_STRING(value), len(value))
        output.text.length += len(value)
        return 0

    cdef object settle(self):
        """Apply the duplicate policy to the rows, and pack those that are accepted."""
        cdef Outputs* outputs = &self.reader.outputs
        cdef bint last_wins = self.rules.duplicates == "update"
        cdef size_t count = count_rows(&outputs.rows)
        cdef size_t twins
        duplicates = []
        if not reserve_slots(&self.table, count) or not reserve(&self.wanted, count * sizeof(Slot)):
            raise MemoryError
        with nogil:
            twins = find_twins(&self.table, <Slot*>self.wanted.data, outputs, self.emails, last_wins)
        if twins:
            self.leave_out_twins(duplicates)
        return Batch(
            count=count_rows(&outputs.rows),
            rows=self.pack_numbers(),
            columns=self.pack_columns(),
            rejects=_later.rejects(self.rules, self.pack_records(&outputs.refused, False)),
            warned=_later.warned(self.rules, self.pack_records(&outputs.rows, True)),
            warnings=self.count_warnings(),
            duplicates=duplicates,
            consumed=self.consumed,
        )

    cdef int leave_out_twins(self, list duplicates) except -1:
        cdef Outputs* outputs = &self.reader.outputs
        cdef const Row* row
        cdef size_t index
        policy = self.rules.duplicates
        for index in range(count_rows(&outputs.rows)):
            row = <Row*>outputs.rows.data + index
            if row.twin == 0:
                continue
            if policy == "skip":
                duplicates.append(Duplicate(row.number, row.twin))
            elif policy == "update":
                duplicates.append(Duplicate(row.twin, row.number))
            elif reserve(&outputs.refused, sizeof(Row)):
                append_row(&outputs.refused, row)
            else:
                raise MemoryError
        if policy == "error":
            qsort(outputs.refused.data, count_rows(&outputs.refused), sizeof(Row), compare_rows)
        if policy != "update":
            drop_twins(outputs)
        return 0

    cdef object pack_records(self, const Vector* rows, bint warned):
        """Return the records of the rows, or of those with a warning, for `_later`."""
        cdef const Row* row
        cdef size_t index
        cdef Vector chosen = Vector(NULL, 0, 0)
        cdef Vector contents = Vector(NULL, 0, 0)
        try:
            for index in range(count_rows(rows)):
                row = <Row*>rows.data + index
                if row.warnings or not warned:
                    self.copy_record(row, &chosen, &contents)
            return _later.Records(pack(&chosen), pack(&contents))
        finally:
            free(chosen.data)
            free(contents.data)

    cdef int copy_record(self, const Row* row, Vector* rows, Vector* contents) except -1:
        """Append a row, and its record; the row's place is the one among the contents then."""
        cdef size_t length = row.end - row.start
        cdef Row* copied
        if not reserve(rows, sizeof(Row)) or not reserve(contents, length):
            raise MemoryError
        append_row(rows, row)
        copied = <Row*>(rows.data + rows.length) - 1
        copied.start = <uint32_t>contents.length
        copied.end = <uint32_t>(contents.length + length)
        memcpy(contents.data + contents.length, self.input.data + row.start, length)
        contents.length += length
        return 0

    cdef dict count_warnings(self):
        cdef const Row* rows = <Row*>self.reader.outputs.rows.data
        cdef size_t[8] counts
        cdef size_t index, bit
        memset(counts, 0, sizeof(counts))
        for index in range(count_rows(&self.reader.outputs.rows)):
            if rows[index].warnings:
                for bit in range(8):
                    counts[bit] += rows[index].warnings >> bit & 1
        return {code: counts[<size_t>bit] for bit, code in enumerate(_tables.WARNINGS) if counts[<size_t>bit]}

    cdef bytes pack_numbers(self):
        cdef const Row* rows = <Row*>self.reader.outputs.rows.data
        cdef size_t count = count_rows(&self.reader.outputs.rows)
        cdef bytes packed = PyBytes_FromStringAndSize(NULL, count * sizeof(uint32_t))
        cdef uint32_t* numbers = <uint32_t*>PyBytes_AS_STRING(packed)
        cdef size_t index
        for index in range(count):
            numbers[index] = rows[index].number
        return packed

    cdef dict pack_columns(self):
        cdef const Output* output = self.reader.outputs.columns
        columns = {}
        for column in self.rules.kept:
            columns[column.name] = ColumnData(pack(&output.offsets), pack(&output.text))
            output += 1
        return columns


cdef bytes pack(const Vector* vector):
    return PyBytes_FromStringAndSize(<char*>vector.data, vector.length)


cdef int compare_rows(const void* first, const void* second) noexcept nogil:
    """Order rows by their places in the input, for qsort."""
    cdef uint32_t one = (<const Row*>first).start
    cdef uint32_t other = (<const Row*>second).start
    return (one > other) - (one < other)
