# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, binding=True
"""Parse participants, compiled. `_reference` is its specification: the same rows, errors and offsets for any bytes.

The kernels find the records, and take or refuse each row of which they are certain. Any other row (a rare script, a
doubled quote, an unusual address) is judged by the rules that the reference obeys too. So are, when somebody looks, the
rows that were refused: no error is worded in two places.
"""

import os
import sys

from evq_ext import _later, _records, _rules, _tables, authority
from evq_ext._rules import Rules, check_call
from evq_ext.types import Batch, ColumnData, Duplicate

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from evq_ext._duplicates cimport drop_twins, find_twins
from evq_ext._identity cimport Table, reserve_slots
from evq_ext._marks cimport begin_walk
from evq_ext._memory cimport PADDING, Vector, reserve
from evq_ext._phone cimport Plan
from evq_ext._reader cimport (
    CHOICE, EMAIL, IGNORED, NAME, NO_MEMORY, PHONE, ROW_TOO_LONG, SOUND, TEXT, TO_BE_JUDGED, UNCLOSED_QUOTE,
    Found, Limits, Output, Reader, Row, Spelling, Spellings, count_rows, keep_cells, read_all,
)
from evq_ext._text cimport DROPPED, PLAIN, SPACE, Chars
from libc.stdint cimport uint8_t, uint32_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memmove, memset

if sys.byteorder != "little":
    raise ImportError("The compiled core writes little-endian numbers by copying its own; this machine is big-endian.")

cdef Chars CHARS
cdef Limits LIMITS
cdef Plan PLAN
cdef dict KINDS = {"name": NAME, "email": EMAIL, "phone": PHONE, "text": TEXT, "choice": CHOICE}
cdef dict FAULTS = {SOUND: "", UNCLOSED_QUOTE: _records.UNCLOSED_QUOTE, ROW_TOO_LONG: _records.ROW_TOO_LONG}


cdef void fill_tables():
    for code in range(128):
        cleaned = _tables.CLEANING.get(code, chr(code))
        CHARS.classes[code] = DROPPED if cleaned is None else SPACE if cleaned == " " else PLAIN
    for first, last in _tables.PLAIN_RANGES:
        for code in range(first, last + 1):
            CHARS.plain[<size_t>code >> 3] |= <uint8_t>(1 << (code & 7))
    LIMITS.quoted_bytes = _tables.QUOTED_MAX_BYTES
    LIMITS.record_bytes = _tables.RECORD_MAX_BYTES
    LIMITS.record_lines = _tables.RECORD_MAX_LINES
    LIMITS.cell_chars = _tables.CELL_MAX_CHARS
    LIMITS.name_chars = _tables.NAME_MAX_CHARS
    LIMITS.text_chars = _tables.TEXT_MAX_CHARS
    LIMITS.text_mark = <uint8_t>ord(_tables.TEXT_MARK)


fill_tables()


cdef class RowParser:
    """Read delimited UTF-8, fed in chunks of any size, into clean columns and precise errors.

    Raises ValueError, naming the option, at construction.
    """

    cdef Reader reader
    cdef Table table
    cdef Vector input
    cdef object rules
    cdef list spelt                 # the bytes that the reader's spellings point into
    cdef size_t identity            # which of the kept columns it is
    cdef size_t consumed, seen
    cdef bint at_start, busy, finished

    def __cinit__(self, columns, *, delimiter=b",", skip_records=0, number_by="line", region="KR",
                  duplicates="skip"):
        cdef size_t place = 0
        self.rules = Rules(columns=tuple(columns), delimiter=delimiter, skip_records=skip_records,
                           number_by=number_by, region=region, duplicates=duplicates)
        self.identity = self.rules.kept.index(self.rules.identity)
        self.spelt = []
        self.at_start = True
        self.reader.limits = LIMITS
        self.reader.chars = &CHARS
        self.reader.plan = &PLAN if authority.PHONE_TABLES_FIT and region == "KR" else NULL
        self.reader.certain_email = authority.EMAIL_TABLES_FIT
        self.reader.walk.delimiter = delimiter[0]
        self.reader.number_by_line = number_by == "line"
        self.reader.skip = skip_records
        self.reader.line = 1
        self.reader.width = len(self.rules.columns)
        self.reader.kept = len(self.rules.kept)
        self.reader.kinds = <uint8_t*>calloc(self.reader.width, 1)
        self.reader.places = <size_t*>calloc(self.reader.width, sizeof(size_t))
        self.reader.outputs = <Output*>calloc(self.reader.kept + 1, sizeof(Output))
        self.reader.spellings = <Spellings*>calloc(self.reader.width, sizeof(Spellings))
        if self.reader.spellings == NULL or self.reader.kinds == NULL or self.reader.places == NULL or self.reader.outputs == NULL:
            raise MemoryError
        for index, column in enumerate(self.rules.columns):
            self.reader.kinds[<size_t>index] = KINDS[column.kind] if column is not None else IGNORED
            self.reader.places[<size_t>index] = place if column is not None else self.reader.kept
            place += column is not None
            if column is not None:
                self.take_spellings(&self.reader.spellings[<size_t>index], column.choices)
        key = os.urandom(16)
        memcpy(self.table.key, PyBytes_AS_STRING(key), 16)

    def __dealloc__(self):
        cdef size_t index
        for index in range(self.reader.kept + 1 if self.reader.outputs != NULL else 0):
            free(self.reader.outputs[index].text.data)
            free(self.reader.outputs[index].offsets.data)
        free(self.reader.outputs)
        for index in range(self.reader.width if self.reader.spellings != NULL else 0):
            free(self.reader.spellings[index].items)
        free(self.reader.spellings)
        free(self.reader.places)
        free(self.reader.kinds)
        free(self.reader.rows.data)
        free(self.reader.refused.data)
        free(self.table.slots)
        free(self.input.data)

    cdef int take_spellings(self, Spellings* spellings, tuple choices) except -1:
        """Let the kernels know the usual spellings; the rules know the others."""
        cdef Spelling* spelling
        pairs = [(spelt.encode(), choice.encode()) for spelt, choice in _rules.spellings(choices)]
        self.spelt.append(pairs)
        spellings.items = <Spelling*>calloc(len(pairs), sizeof(Spelling))
        if spellings.items == NULL and pairs:
            raise MemoryError
        for text, choice in pairs:
            spelling = &spellings.items[spellings.count]
            spelling.text = <uint8_t*>PyBytes_AS_STRING(text)
            spelling.choice = <uint8_t*>PyBytes_AS_STRING(choice)
            spelling.length = len(<bytes>text)
            spellings.count += 1
        return 0

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
        check_call(len(data), finished=self.finished)
        if self.busy:
            raise RuntimeError("Another thread is feeding this parser; feed it from one thread at a time.")
        self.busy = True
        try:
            self.take_input(data, last)
            return self.settle(self.read())
        finally:
            self.busy = False

    cdef int take_input(self, bytes data, bint last) except -1:
        """Put the data behind what the last call has left, and the reader before all that."""
        cdef Reader* reader = &self.reader
        cdef size_t index
        cdef Output* output
        if reader.at > 0:
            self.input.length -= reader.at
            memmove(self.input.data, self.input.data + reader.at, self.input.length)
            reader.at = 0
        if not reserve(&self.input, len(data)):
            raise MemoryError
        memcpy(self.input.data + self.input.length, PyBytes_AS_STRING(data), len(data))
        self.input.length += len(data)
        memset(self.input.data + self.input.length, 0, PADDING)
        reader.text = self.input.data
        reader.length = self.input.length
        reader.last = last
        reader.rows.length = reader.refused.length = 0
        for index in range(reader.kept + 1):
            output = &reader.outputs[index]
            output.text.length = output.offsets.length = 0
            if not reserve(&output.offsets, sizeof(uint32_t)):
                raise MemoryError
            memset(output.offsets.data, 0, sizeof(uint32_t))
            output.offsets.length = sizeof(uint32_t)
        begin_walk(&reader.walk, reader.text, reader.length)
        return 0

    cdef list read(self):
        """Let the kernels read the input, and judge the rows that they leave; return the refused ones."""
        cdef Found found
        cdef Reader* reader = &self.reader
        refused = []
        if self.at_start:
            head = PyBytes_FromStringAndSize(<char*>reader.text, min(reader.length, <size_t>3))
            if not reader.last and len(head) < len(_tables.BOM) and _tables.BOM.startswith(head):
                return refused
            self.at_start = False
            reader.at = len(_tables.BOM) if head == _tables.BOM else 0
        while True:
            with nogil:
                found = read_all(reader)
            if found == NO_MEMORY:
                raise MemoryError
            self.set_aside(&reader.refused, refused)
            self.seen += count_rows(&reader.refused)
            reader.refused.length = 0
            if found != TO_BE_JUDGED:
                break
            self.judge(refused)
        self.seen += count_rows(&reader.rows)
        self.consumed += reader.at
        return refused

    cdef object record(self, const Row* row):
        content = PyBytes_FromStringAndSize(<char*>self.input.data + row.start, row.end - row.start)
        return _later.SetAside(row.number, content, FAULTS[row.fault], row.twin)

    cdef int set_aside(self, const Vector* rows, list records) except -1:
        cdef size_t index
        for index in range(count_rows(rows)):
            records.append(self.record(<Row*>rows.data + index))
        return 0

    cdef int judge(self, list refused) except -1:
        """Let the rules judge the row at hand, and take its values if it is valid."""
        cdef Reader* reader = &self.reader
        cdef size_t index = 0
        record = self.record(&reader.row)
        verdict = self.rules.judge(_records.split_record(record.content, self.rules.delimiter, ""), "")
        if verdict is None:
            return 0
        if verdict.errors:
            self.seen += 1
            refused.append(record)
            return 0
        for value in verdict.values:
            self.put(&reader.outputs[index], value.encode())
            index += 1
        reader.row.warned = bool(verdict.warnings)
        if not keep_cells(reader):
            raise MemoryError
        return 0

    cdef int put(self, Output* output, bytes value) except -1:
        if not reserve(&output.text, len(value)):
            raise MemoryError
        memcpy(output.text.data + output.text.length, PyBytes_AS_STRING(value), len(value))
        output.text.length += len(value)
        return 0

    cdef object settle(self, list refused):
        """Apply the duplicate policy to the rows, and pack those that are accepted."""
        cdef Reader* reader = &self.reader
        cdef bint last_wins = self.rules.duplicates == "update"
        cdef size_t twins = 0
        duplicates = []
        if not reserve_slots(&self.table, count_rows(&reader.rows)):
            raise MemoryError
        with nogil:
            twins = find_twins(&self.table, reader, self.identity, last_wins)
        if twins:
            self.leave_out_twins(refused, duplicates)
        return Batch(
            count=count_rows(&reader.rows),
            rows=self.pack_numbers(),
            columns=self.pack_columns(),
            rejects=_later.rejects(self.rules, refused),
            warned=_later.warned(self.rules, self.warned_records()),
            duplicates=duplicates,
            consumed=self.consumed,
        )

    cdef int leave_out_twins(self, list refused, list duplicates) except -1:
        cdef const Row* row
        cdef size_t index
        policy = self.rules.duplicates
        for index in range(count_rows(&self.reader.rows)):
            row = <Row*>self.reader.rows.data + index
            if row.twin == 0:
                continue
            if policy == "skip":
                duplicates.append(Duplicate(row.number, row.twin))
            elif policy == "update":
                duplicates.append(Duplicate(row.twin, row.number))
            else:
                refused.append(self.record(row))
        refused.sort()  # by row number
        if policy != "update":
            drop_twins(&self.reader)
        return 0

    cdef list warned_records(self):
        cdef Row* row
        cdef size_t index
        records = []
        for index in range(count_rows(&self.reader.rows)):
            row = <Row*>self.reader.rows.data + index
            if row.warned:
                records.append(self.record(row))
        return records

    cdef bytes pack_numbers(self):
        cdef const Row* rows = <Row*>self.reader.rows.data
        cdef size_t count = count_rows(&self.reader.rows)
        cdef bytes packed = PyBytes_FromStringAndSize(NULL, count * sizeof(uint32_t))
        cdef uint32_t* numbers = <uint32_t*>PyBytes_AS_STRING(packed)
        cdef size_t index
        for index in range(count):
            numbers[index] = rows[index].number
        return packed

    cdef dict pack_columns(self):
        cdef const Output* output = self.reader.outputs
        columns = {}
        for column in self.rules.kept:
            columns[column.name] = ColumnData(pack(&output.offsets), pack(&output.text))
            output += 1
        return columns


cdef bytes pack(const Vector* vector):
    return PyBytes_FromStringAndSize(<char*>vector.data, vector.length)
