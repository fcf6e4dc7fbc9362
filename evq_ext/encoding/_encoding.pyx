# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, binding=True
"""Check and transcode text, compiled; `_reference` is the specification."""

from evq_ext import _tables

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from evq_ext.encoding._encoding cimport FOUR, FOURS_OF_BMP, LEAD, NOTHING, Codec, Entry, Utf8Tally, check_utf8, transcode
from evq_ext._memory cimport PADDING, Vector, reserve
from libc.stdint cimport uint8_t, uint16_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memmove, memset

cdef uint8_t WRONG = _tables.WRONG
cdef dict TABLES = {}           # by the codec's name; filled when it is first asked for


cdef class _Tables:
    """The table of one codec, filled from Python's."""

    cdef Codec* codec

    def __cinit__(self, str name):
        self.codec = <Codec*>calloc(1, sizeof(Codec))
        if self.codec == NULL:
            raise MemoryError
        for lead in range(0x80, 0x100):
            fill(&self.codec.singles[lead - 0x80], bytes((lead,)), name)
            if self.codec.singles[lead - 0x80].meaning != LEAD:
                continue
            memset(&self.codec.pairs[(lead - 0x80) << 8], NOTHING, 0x30 * sizeof(Entry))  # what follows is never lower
            for trail in range(0x30, 0x100):
                fill(&self.codec.pairs[(lead - 0x80) << 8 | trail], bytes((lead, trail)), name)
        if name == "gb18030":
            fill_fours(self.codec.fours)

    def __dealloc__(self):
        free(self.codec)


cdef int fill(Entry* entry, bytes text, str codec) except -1:
    """Note what the bytes mean to Python's codec."""
    try:
        utf8 = text.decode(codec).encode()
    except UnicodeDecodeError as error:
        if error.reason.startswith("incomplete"):
            entry.meaning = LEAD if len(text) == 1 else FOUR
        else:
            entry.meaning = NOTHING
    else:
        entry.meaning = len(utf8)
        memcpy(entry.utf8, PyBytes_AS_STRING(utf8), len(utf8))
    return 0


cdef int fill_fours(uint16_t* fours) except -1:
    """Note the characters of the BMP that have four bytes in GB 18030, in their order."""
    cdef Py_ssize_t order
    texts = (
        bytes((0x81 + order // 12600, 0x30 + order // 1260 % 10, 0x81 + order // 10 % 126, 0x30 + order % 10))
        for order in range(FOURS_OF_BMP)
    )
    characters = b"".join(texts).decode("gb18030")
    for order in range(FOURS_OF_BMP):
        fours[order] = ord(characters[order])
    return 0


cdef class Transcoder:
    """Turn text in one of TABLED_CODECS, fed in chunks of any size, into UTF-8; wrong bytes become WRONG.

    Raises ValueError if it is another codec.
    """

    cdef _Tables tables
    cdef Vector input
    cdef Vector output
    cdef bint busy

    def __cinit__(self, str codec):
        if codec not in _tables.TABLED_CODECS:
            raise ValueError(f"There is no table for {codec!r}; it is one of {', '.join(_tables.TABLED_CODECS)}.")
        if codec not in TABLES:
            TABLES[codec] = _Tables(codec)
        self.tables = TABLES[codec]

    def __dealloc__(self):
        free(self.input.data)
        free(self.output.data)

    def feed(self, bytes data not None):
        """Return the characters that are complete now."""
        return self.run(data, False)

    def finish(self):
        """Return what is left, now that no more comes."""
        return self.run(b"", True)

    cdef bytes run(self, bytes data, bint last):
        cdef const Codec* codec = self.tables.codec
        cdef size_t read
        if self.busy:
            raise RuntimeError("Another thread is feeding this transcoder; feed it from one thread at a time.")
        self.busy = True
        try:
            append(&self.input, data)
            self.output.length = 0
            if not reserve(&self.output, 3 * self.input.length):
                raise MemoryError
            with nogil:
                read = transcode(
                    codec, WRONG, self.input.data, self.input.length, last, self.output.data, &self.output.length
                )
            drop(&self.input, read)
            return PyBytes_FromStringAndSize(<char*>self.output.data, self.output.length)
        finally:
            self.busy = False


cdef class Utf8Check:
    """Look through a text, fed in chunks of any size, for what is not UTF-8.

    `characters` counts those that take several bytes, `wrong` the bytes that belong to no character, the first of which
    is at `first_wrong` in the text; None if there is none.
    """

    cdef Utf8Tally tally
    cdef Vector input
    cdef size_t passed
    cdef bint busy

    def __dealloc__(self):
        free(self.input.data)

    @property
    def characters(self):
        return self.tally.characters

    @property
    def wrong(self):
        return self.tally.wrong

    @property
    def first_wrong(self):
        return self.tally.first_wrong if self.tally.wrong else None

    def feed(self, bytes data not None):
        self.run(data, False)

    def finish(self):
        """Look at what is left, now that no more comes."""
        self.run(b"", True)

    cdef int run(self, bytes data, bint last) except -1:
        cdef size_t read
        cdef bint sound = self.tally.wrong == 0
        if self.busy:
            raise RuntimeError("Another thread is feeding this check; feed it from one thread at a time.")
        self.busy = True
        try:
            append(&self.input, data)
            with nogil:
                read = check_utf8(self.input.data, self.input.length, last, &self.tally)
            if sound and self.tally.wrong:
                self.tally.first_wrong += self.passed
            self.passed += read
            drop(&self.input, read)
            return 0
        finally:
            self.busy = False


cdef int append(Vector* input, bytes data) except -1:
    """Put the data behind what is left of the input, and the padding behind them."""
    if not reserve(input, len(data)):
        raise MemoryError
    memcpy(input.data + input.length, PyBytes_AS_STRING(data), len(data))
    input.length += len(data)
    memset(input.data + input.length, 0, PADDING)
    return 0


cdef void drop(Vector* input, size_t read) noexcept:
    """Let go of what has been read; at most three bytes are left."""
    input.length -= read
    memmove(input.data, input.data + read, input.length)
