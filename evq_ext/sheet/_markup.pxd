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
    NEAR_BYTES = 16         # in which a tag is looked for one by one, as most texts are short


cdef struct Attribute:      # its value; NULL if the tag does not have it
    const uint8_t* value
    size_t length


cdef struct Scanner:
    size_t run_bytes        # of one piece of text, and of one tag, at most
    size_t tag_bytes
    const uint8_t* text     # the input at hand
    size_t length
    size_t at
    Until until
    bint wants_text         # else texts are passed over
    # the token at hand: a text
    size_t start
    size_t end
    # or a tag
    Name name
    Attribute r, s, t       # of a cell or row


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
    cdef size_t near = min(at + NEAR_BYTES, scanner.length)
    cdef const char* mark = b"<" if until == TAG else b"?>" if until == INSTRUCTION_END else b"-->"
    if until == TAG:
        while at < near:
            if text[at] == c"<":
                return at
            at += 1
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
    cdef size_t start = scanner.at + 1
    cdef bint closes = start < stop and text[start] == c"/"
    cdef size_t at = start + closes
    cdef size_t end
    cdef size_t local = at
    scanner.r.value = scanner.s.value = scanner.t.value = NULL
    while at < stop and (is_letter(text[at]) or text[at] == c":"):
        if text[at] == c":":
            local = at + 1
        at += 1
    end = read_plain_attributes(scanner, at, stop)
    if end == stop:
        end = find_tag_end(text, start, stop)
        if end == stop:
            return BAD_TAG if scanner.length - scanner.at >= scanner.tag_bytes else NEED_MORE
        scanner.r.value = scanner.s.value = scanner.t.value = NULL
        while at < end and not is_blank(text[at]) and text[at] != c"/":
            if text[at] == c":":
                local = at + 1
            at += 1
        read_attributes(scanner, text + at, text + end)
    scanner.name = name_of(text + local, at - local)
    scanner.at = end + 1
    return END if closes else EMPTY if text[end - 1] == c"/" else START


cdef inline bint is_letter(uint8_t character) noexcept nogil:
    return c"a" <= (character | 0x20) <= c"z"


cdef inline size_t read_plain_attributes(Scanner* scanner, size_t at, size_t stop) noexcept nogil:
    """Read attributes that are written as most are, and return where the tag ends; else return `stop`."""
    cdef const uint8_t* text = scanner.text
    cdef size_t name, value
    while at < stop:
        if text[at] == c">":
            return at
        if text[at] == c"/" and at + 1 < stop and text[at + 1] == c">":
            return at + 1
        if text[at] != c" ":
            return stop
        name = at + 1
        at = name
        while at < stop and (is_letter(text[at]) or text[at] == c":"):
            at += 1
        if at == name or at + 1 >= stop or text[at] != c"=" or text[at + 1] != c'"':
            return stop
        value = at + 2
        if at - name == 1:
            at = value
            while at < stop and text[at] != c'"':
                at += 1
            keep_attribute(scanner, text[name], text + value, at - value)
        else:
            at = value
            while at < stop and text[at] != c'"':
                at += 1
        at += 1
    return stop


cdef inline void read_attributes(Scanner* scanner, const uint8_t* at, const uint8_t* end) noexcept nogil:
    """Read attributes, up to what is not well-formed."""
    cdef const uint8_t* name
    cdef const uint8_t* value
    cdef size_t length
    while True:
        while at < end and (is_blank(at[0]) or at[0] == c"/"):
            at += 1
        name = at
        while at < end and not is_blank(at[0]) and at[0] != c"/" and at[0] != c"=" and at[0] != c'"' and at[0] != c"'":
            at += 1
        length = at - name
        while at < end and is_blank(at[0]):
            at += 1
        if length == 0 or at == end or at[0] != c"=":
            return
        at += 1
        while at < end and is_blank(at[0]):
            at += 1
        if at == end or (at[0] != c'"' and at[0] != c"'"):
            return
        value = at + 1
        at = <const uint8_t*>memchr(value, at[0], end - value)
        if at == NULL:
            return
        if length == 1:
            keep_attribute(scanner, name[0], value, at - value)
        at += 1


cdef inline void keep_attribute(Scanner* scanner, uint8_t name, const uint8_t* value, size_t length) noexcept nogil:
    cdef Attribute* attribute
    if name == c"r":
        attribute = &scanner.r
    elif name == c"s":
        attribute = &scanner.s
    elif name == c"t":
        attribute = &scanner.t
    else:
        return
    attribute.value = value
    attribute.length = length


cdef inline size_t find_tag_end(const uint8_t* text, size_t at, size_t stop) noexcept nogil:
    """Return where the first `>` outside quotes is; without one, return `stop`."""
    cdef uint8_t quote
    while at < stop:
        if text[at] == c">":
            return at
        if text[at] == c'"' or text[at] == c"'":
            quote = text[at]
            at += 1
            while at < stop and text[at] != quote:
                at += 1
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
