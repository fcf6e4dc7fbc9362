"""Cut the XML of a sheet into tags and texts; `_markup.py` is the specification."""

from libc.stdint cimport uint8_t
from libc.string cimport memchr, memcmp

cdef enum Token:
    NEED_MORE, TEXT, RAW_TEXT, START, EMPTY, END, BAD_TAG, DOCTYPE

cdef enum Name:
    OTHER, CELL, VALUE, TEXT_RUN, ROW, INLINE, PHONETIC, ITEM, SHARED, SHEET_DATA

cdef enum Until:            # what stands at the end of what is passed over
    NOTHING, TAG, COMMENT_END, INSTRUCTION_END, CDATA_END

cdef enum:
    MARK_BYTES = 9          # of the longest beginning, that of CDATA


cdef struct Scanner:
    size_t run_bytes        # of one piece of text, and of one tag, at most
    size_t tag_bytes
    const uint8_t* text     # the input at hand
    size_t length
    size_t at
    Until until
    bint wants_text         # else texts are passed over
    # the token at hand
    Name name
    size_t start            # of the text, or of the tag's attributes
    size_t end


cdef struct Attribute:
    const uint8_t* name
    size_t name_length
    const uint8_t* value
    size_t length


cdef inline Token next_token(Scanner* scanner) noexcept nogil:
    """Pass the next token; NEED_MORE if it is not complete, BAD_TAG and DOCTYPE if there is no going on."""
    cdef const uint8_t* text = scanner.text
    cdef size_t at
    while True:
        if scanner.until != NOTHING and not pass_over(scanner):
            return NEED_MORE
        at = scanner.at
        if at == scanner.length:
            return NEED_MORE
        if text[at] != c"<":
            if scanner.wants_text:
                return take_text(scanner, at, TAG)
            scanner.until = TAG
        elif at + 1 == scanner.length:
            return NEED_MORE
        elif text[at + 1] == c"?":
            skip(scanner, 2, INSTRUCTION_END)
        elif text[at + 1] != c"!":
            return take_tag(scanner)
        elif begins(scanner, b"<!--", 4):
            skip(scanner, 4, COMMENT_END)
        elif not begins(scanner, b"<![CDATA[", MARK_BYTES):
            return NEED_MORE if may_begin(scanner) else DOCTYPE
        elif scanner.wants_text:
            return take_text(scanner, at + MARK_BYTES, CDATA_END)
        else:
            skip(scanner, MARK_BYTES, CDATA_END)


cdef inline bint next_attribute(const uint8_t** text, const uint8_t* end, Attribute* attribute) noexcept nogil:
    """Pass the next attribute of a tag; return False at the end, and at what is not well-formed."""
    cdef const uint8_t* at = text[0]
    cdef const uint8_t* close
    while at < end and (is_blank(at[0]) or at[0] == c"/"):
        at += 1
    attribute.name = at
    while at < end and not is_blank(at[0]) and at[0] != c"/" and at[0] != c"=" and at[0] != c'"' and at[0] != c"'":
        at += 1
    attribute.name_length = at - attribute.name
    if attribute.name_length == 0:
        return False
    while at < end and is_blank(at[0]):
        at += 1
    if at == end or at[0] != c"=":
        return False
    at += 1
    while at < end and is_blank(at[0]):
        at += 1
    if at == end or (at[0] != c'"' and at[0] != c"'"):
        return False
    attribute.value = at + 1
    close = <const uint8_t*>memchr(attribute.value, at[0], end - attribute.value)
    if close == NULL:
        return False
    attribute.length = close - attribute.value
    text[0] = close + 1
    return True


cdef inline bint is_blank(uint8_t character) noexcept nogil:
    return character == c" " or character == c"\n" or character == c"\t" or character == c"\r"


# --- Texts ------------------------------------------------------------------------------------------------------------

cdef inline void skip(Scanner* scanner, size_t size, Until until) noexcept nogil:
    scanner.at += size
    scanner.until = until


cdef inline bint pass_over(Scanner* scanner) noexcept nogil:
    """Stand where something begins again: at a tag, or behind what is skipped; return False if it is not there."""
    cdef size_t size = size_of(scanner.until)
    cdef size_t found = find_until(scanner, scanner.at, scanner.until)
    if found == scanner.length:
        scanner.at = max(scanner.at, scanner.length - min(scanner.length, size - 1))
        return False
    scanner.at = found if scanner.until == TAG else found + size
    scanner.until = NOTHING
    return True


cdef inline Token take_text(Scanner* scanner, size_t start, Until until) noexcept nogil:
    """Pass the text up to `until`, or take its beginning if it is longer than any cell."""
    cdef size_t size = size_of(until)
    cdef size_t end = find_until(scanner, start, until)
    cdef bint complete = end < scanner.length
    if not complete:
        end = max(start, scanner.length - (size - 1))
    if end - start > scanner.run_bytes:
        end = start + scanner.run_bytes
        scanner.at = end
        scanner.until = until
    elif not complete:
        return NEED_MORE
    else:
        scanner.at = end if until == TAG else end + size
    scanner.start = start
    scanner.end = end
    return TEXT if until == TAG else RAW_TEXT


cdef inline size_t size_of(Until until) noexcept nogil:
    return 1 if until == TAG else 2 if until == INSTRUCTION_END else 3


cdef inline size_t find_until(const Scanner* scanner, size_t at, Until until) noexcept nogil:
    """Return where the end of what is passed over begins; without one, return the length of the text."""
    cdef const uint8_t* text = scanner.text
    cdef const uint8_t* found
    cdef size_t size = size_of(until)
    cdef const char* mark = b"<" if until == TAG else b"?>" if until == INSTRUCTION_END else b"-->"
    if until == CDATA_END:
        mark = b"]]>"
    while at + size <= scanner.length:
        found = <const uint8_t*>memchr(text + at, mark[0], scanner.length - at - (size - 1))
        if found == NULL:
            break
        if memcmp(found, mark, size) == 0:
            return found - text
        at = found - text + 1
    return scanner.length


cdef inline bint begins(const Scanner* scanner, const char* mark, size_t size) noexcept nogil:
    return scanner.length - scanner.at >= size and memcmp(scanner.text + scanner.at, mark, size) == 0


cdef inline bint may_begin(const Scanner* scanner) noexcept nogil:
    """Tell whether `<!` may yet become a comment or CDATA."""
    cdef size_t size = scanner.length - scanner.at
    cdef const uint8_t* text = scanner.text + scanner.at
    return (size < 4 and memcmp(text, b"<!--", size) == 0) or (
        size < MARK_BYTES and memcmp(text, b"<![CDATA[", size) == 0
    )


# --- Tags -------------------------------------------------------------------------------------------------------------

cdef inline Token take_tag(Scanner* scanner) noexcept nogil:
    """Pass the tag at hand, and say which element's it is."""
    cdef const uint8_t* text = scanner.text
    cdef size_t stop = min(scanner.length, scanner.at + scanner.tag_bytes)
    cdef size_t at = scanner.at + 1
    cdef size_t end = find_tag_end(text, at, stop)
    cdef size_t start
    cdef Token token = START
    if end == stop:
        return BAD_TAG if scanner.length - scanner.at >= scanner.tag_bytes else NEED_MORE
    scanner.at = end + 1
    if text[at] == c"/":
        token = END
        at += 1
    elif text[end - 1] == c"/":
        token = EMPTY
    start = at
    while at < end and not is_blank(text[at]) and text[at] != c"/":
        if text[at] == c":":
            start = at + 1
        at += 1
    scanner.name = name_of(text + start, at - start)
    scanner.start = at
    scanner.end = end
    return token


cdef inline size_t find_tag_end(const uint8_t* text, size_t at, size_t stop) noexcept nogil:
    """Return where the first `>` outside quotes is; without one, return `stop`."""
    cdef const uint8_t* close
    while at < stop:
        if text[at] == c">":
            return at
        if text[at] == c'"' or text[at] == c"'":
            close = <const uint8_t*>memchr(text + at + 1, text[at], stop - at - 1)
            if close == NULL:
                return stop
            at = close - text
        at += 1
    return stop


cdef inline Name name_of(const uint8_t* name, size_t length) noexcept nogil:
    if length == 1:
        return CELL if name[0] == c"c" else VALUE if name[0] == c"v" else TEXT_RUN if name[0] == c"t" else OTHER
    if length == 2:
        return ITEM if memcmp(name, b"si", 2) == 0 else INLINE if memcmp(name, b"is", 2) == 0 else OTHER
    if length == 3:
        if memcmp(name, b"row", 3) == 0:
            return ROW
        return PHONETIC if memcmp(name, b"rPh", 3) == 0 else SHARED if memcmp(name, b"sst", 3) == 0 else OTHER
    return SHEET_DATA if length == 9 and memcmp(name, b"sheetData", 9) == 0 else OTHER
