from evq_ext._verdict cimport REFUSED, TAKEN, UNSURE, Verdict
from libc.stdint cimport uint8_t
cdef inline Verdict judge_email(uint8_t* text, size_t length, bint* warned) noexcept nogil:
    cdef size_t at = 0
    cdef size_t start = 0
    cdef size_t labels = 0
    cdef bint letters = True
    cdef uint8_t b
    while at < length and text[at] != c"@":
        b = text[at]
        if b == c".":
            if at == start:
                return UNSURE
            start = at + 1
        elif c"A" <= b <= c"Z":
            text[at] |= 0x20
        elif not (c"a" <= b <= c"z" or c"0" <= b <= c"9" or b == c"_" or b == c"-" or b == c"+"):
            return UNSURE
        at += 1
    if at == length:
        return REFUSED
    if at == start or length > 254:
        return UNSURE
    start = at = at + 1
    while at < length:
        b = text[at]
        if b == c".":
            if at == start or text[start] == c"-" or text[at - 1] == c"-" or at - start > 63:
                return UNSURE
            labels += 1
            start = at + 1
            letters = True
        elif b == c"-":
            if text[at - 1] == c"-":
                return UNSURE
            letters = False
        elif c"A" <= b <= c"Z":
            text[at] |= 0x20
        elif c"a" <= b <= c"z":
            pass
        elif c"0" <= b <= c"9":
            letters = False
        else:
            return UNSURE
        at += 1
    if labels == 0:
        return UNSURE
    if at == start or text[start] == c"-" or text[at - 1] == c"-" or at - start > 63 or not letters or at - start < 2:
        return UNSURE
    if length - start == 4 and text[start] == c"t":
        return UNSURE
    if length - start == 5 and text[start] == c"l":
        return UNSURE
    return TAKEN
