# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, binding=True
"""Read the XML of a sheet, compiled; `_reference` is the specification."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from evq_ext.sheet._markup cimport Attribute, Scanner
from evq_ext._memory cimport PADDING, Vector, reserve
from evq_ext.sheet._values cimport Calendar
from libc.stdint cimport uint8_t, uint32_t
from libc.stdlib cimport free
from libc.string cimport memcpy, memmove, memset

from evq_ext import _tables
from evq_ext.sheet import _cells
from evq_ext.types import SheetError

CODES = {
    DAMAGED: "damaged",
    HAS_DOCTYPE: "doctype",
    SHARED_TOO_LONG: "shared_too_long",
    SHARED_MISSING: "shared_missing",
    BEYOND_SHEET: "beyond_sheet",
    TOO_WIDE: "too_wide",
    OUT_OF_ORDER: "out_of_order",
}
OF_CELLS = {SHARED_MISSING, TOO_WIDE, OUT_OF_ORDER}


cdef struct Input:          # what is fed to a scanner and not read yet
    Vector data
    bint busy


cdef int take(Input* input, Scanner* scanner, bytes data) except -1:
    """Put the data behind what is left, and the scanner before all that."""
    input.data.length -= scanner.at
    if input.data.length:
        memmove(input.data.data, input.data.data + scanner.at, input.data.length)
    scanner.at = 0
    if not reserve(&input.data, len(data)):
        raise MemoryError
    memcpy(input.data.data + input.data.length, PyBytes_AS_STRING(data), len(data))
    input.data.length += len(data)
    memset(input.data.data + input.data.length, 0, PADDING)
    scanner.text = input.data.data
    scanner.length = input.data.length
    return 0


cdef int enter_alone(Input* input) except -1:
    if input.busy:
        raise RuntimeError("Another thread is feeding this reader; feed it from one thread at a time.")
    input.busy = True
    return 0


cdef Limits limits():
    cdef Limits found
    found.cell_bytes = _tables.CELL_MAX_BYTES
    found.cell_chars = _tables.CELL_MAX_CHARS
    found.shared_bytes = _tables.SHARED_MAX_BYTES
    found.step_bytes = _tables.OUTPUT_STEP_BYTES
    found.rows = _tables.SHEET_MAX_ROWS
    found.columns = _tables.SHEET_MAX_COLUMNS
    found.read_columns = _tables.SHEET_READ_COLUMNS
    return found


cdef int begin(Content* content) except -1:
    content.limits = limits()
    content.scanner.run_bytes = _tables.RUN_MAX_BYTES
    content.scanner.tag_bytes = _tables.TAG_MAX_BYTES
    if not reserve(&content.text, 0):
        raise MemoryError
    return 0


cdef int resolve(Content* content) except -1:
    """Let the rules resolve the references of the text at hand, and take it."""
    cdef const uint8_t* start = content.scanner.text + content.scanner.start
    cdef bytes text = _cells.resolve(
        PyBytes_FromStringAndSize(<char*>start, content.scanner.end - content.scanner.start)
    )
    if append_text(content, <uint8_t*>PyBytes_AS_STRING(text), len(text)) != COMPLETE:
        raise MemoryError
    return 0


cdef bytes bytes_of(const Vector* vector):
    return PyBytes_FromStringAndSize(<char*>vector.data, vector.length)


cdef class Part:
    """Hold a part of a workbook that is fed in chunks: each kind of part has a kernel, and rules for what that leaves."""

    cdef Input input
    cdef bint done

    def __dealloc__(self):
        free(self.input.data.data)

    cdef Found read(self) noexcept nogil:
        """Let the kernel read on; each kind of part has its own."""
        return COMPLETE

    cdef Found word(self) except *:
        """Let the rules word what the kernel has found; each kind of part has its own."""
        return COMPLETE

    cdef str place(self, Found found):
        """Return the cell that an error is about."""
        return ""

    cdef int read_on(self, Content* content, bytes data) except -1:
        """Read what is there and the data until the kernel needs more, pauses or is done."""
        cdef Found found
        take(&self.input, &content.scanner, data)
        while True:
            with nogil:
                found = self.read()
            if found == TO_BE_RESOLVED:
                resolve(content)
                continue
            if found == TO_BE_WORDED:
                found = self.word()
                if found == COMPLETE:
                    continue
            break
        self.done = found == COMPLETE
        if found == NO_MEMORY:
            raise MemoryError
        if found in CODES:
            raise SheetError(CODES[found], self.place(found))
        return 0


cdef class SharedStrings(Part):
    """Hold the texts that the cells of a workbook share, as cells of CSV; without any input there are none."""

    cdef Content content
    cdef Texts texts
    cdef bint in_use            # by a reader, which points into the texts

    def __dealloc__(self):
        free(self.content.text.data)
        free(self.texts.text.data)
        free(self.texts.ends.data)

    def __len__(self):
        return self.texts.ends.length // sizeof(uint32_t)

    def feed(self, bytes data not None):
        """Read one chunk of the part.

        Raises SheetError; RuntimeError while another thread is in a call, and once a sheet is read with the texts.
        """
        if self.done:
            return
        if self.in_use:
            raise RuntimeError(_cells.IN_USE)
        enter_alone(&self.input)
        try:
            begin(&self.content)
            self.read_on(&self.content, data)
        finally:
            self.input.busy = False

    def finish(self):
        """Make sure that the part has been read to its end; raises SheetError if it has not."""
        if not self.done:
            raise SheetError("damaged")

    cdef Found read(self) noexcept nogil:
        return read_shared(&self.content, &self.texts)

    cdef Found word(self) except *:
        """Let the rules word the text at hand, and share it."""
        cdef bytes cell = _cells.text_cell(bytes_of(&self.content.text))
        if append(&self.texts.text, <uint8_t*>PyBytes_AS_STRING(cell), len(cell)) != COMPLETE:
            return NO_MEMORY
        return end_shared(&self.content, &self.texts)


cdef class SheetReader(Part):
    """Turn the XML of a sheet, fed in chunks of any size, into CSV whose record n is the sheet's row n.

    `kinds` say what each cell format of the workbook shows, one byte each (see `formats`); `epoch_1904` that days are
    counted from 1904. Nothing is sized by a coordinate: behind the last value of a row, and of the sheet, is nothing.
    """

    cdef Cells cells
    cdef SharedStrings shared   # which `cells` points into, as it does into `kinds`
    cdef bytes kinds

    def __cinit__(self, SharedStrings shared not None, bytes kinds not None = b"", *, bint epoch_1904=False):
        if shared.input.busy:
            raise RuntimeError("Another thread feeds the texts; let it end first.")
        shared.in_use = True
        self.shared = shared
        self.kinds = kinds
        begin(&self.cells.content)
        self.cells.calendar = Calendar(_tables.LAST_DAY, _tables.DAYS_1904, _tables.DAY_MILLISECONDS)
        self.cells.epoch_1904 = epoch_1904
        self.cells.kinds = <uint8_t*>PyBytes_AS_STRING(kinds)
        self.cells.kind_count = len(kinds)
        self.cells.shared = &shared.texts
        self.cells.last_row = 1

    def __dealloc__(self):
        free(self.cells.content.text.data)
        free(self.cells.output.data)

    def feed(self, bytes data not None):
        """Read one chunk of the part, and return CSV.

        It may pause when it has written a MiB: call it with b"" until it returns b"". Raises SheetError; RuntimeError
        while another thread is in a call.
        """
        if self.done:
            return b""
        enter_alone(&self.input)
        try:
            self.cells.output.length = 0
            self.read_on(&self.cells.content, data)
            return bytes_of(&self.cells.output)
        finally:
            self.input.busy = False

    def finish(self):
        """Return the end of the last record; raises SheetError if the part has not been read to its end."""
        if not self.done:
            raise SheetError("damaged")
        return b"\n" if (self.cells.last_row, self.cells.last_column) > (1, 0) else b""

    cdef Found read(self) noexcept nogil:
        return read_cells(&self.cells)

    cdef Found word(self) except *:
        """Let the rules word the cell at hand, and write it."""
        cdef Found found
        cdef bytes cell = bytes_of(&self.cells.content.text)
        if self.cells.type == TEXTS:
            cell = _cells.text_cell(cell)
        else:
            cell = cell.strip(_cells.BLANKS)
            if self.cells.type == SHARED_TEXTS and cell:
                return write_shared(&self.cells, <uint8_t*>PyBytes_AS_STRING(cell), len(cell))
            if self.cells.type == NUMBERS and cell:
                cell = _cells.number_cell(cell, self.cells.kind, epoch_1904=self.cells.epoch_1904)
            elif self.cells.type == BOOLEANS:
                cell = _cells.boolean_cell(cell)
            else:
                cell = _cells.quoted(cell)
        if not cell:
            return COMPLETE
        found = place_cell(&self.cells)
        return append(&self.cells.output, <uint8_t*>PyBytes_AS_STRING(cell), len(cell)) if found == COMPLETE else found

    cdef str place(self, Found found):
        """Return the cell that an error is about."""
        cdef const Attribute* reference = &self.cells.content.scanner.r
        if found == BEYOND_SHEET and reference.value != NULL:
            return _cells.shown(PyBytes_FromStringAndSize(<char*>reference.value, reference.length))
        if found in OF_CELLS or found == BEYOND_SHEET:
            return _cells.cell_name(self.cells.row, self.cells.column)
        return ""
