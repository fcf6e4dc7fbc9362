from evq_ext._verdict cimport REFUSED, TAKEN, UNSURE, Verdict
from libc.stdint cimport uint8_t
from libc.string cimport memcmp, memcpy
cdef struct Plan:
    int x
cdef inline bint is_separator(uint8_t byte) noexcept nogil:
    return byte == c"-" or byte == c"." or byte == c" "
cdef inline Verdict judge_phone(const Plan* plan, uint8_t* text, size_t* length, bint* warned) noexcept nogil:
    cdef uint8_t digits[8]
    cdef size_t at = 0
    cdef size_t count = 0
    if length[0] < 10:
        return UNSURE
    if text[0] == c"0":
        at = 1
    elif memcmp(text, b"+82", 3) == 0:
        at = 3 + is_separator(text[3])
    if text[at] != c"1" or text[at + 1] != c"0":
        return UNSURE
    at += 2
    while at < length[0] and count < 8:
        if (count == 0 or count == 4) and is_separator(text[at]):
            at += 1
            if at == length[0]:
                return UNSURE
        if not c"0" <= text[at] <= c"9":
            return UNSURE
        digits[count] = text[at]
        count += 1
        at += 1
    if count < 8 or at < length[0] or digits[0] == c"5":
        return UNSURE
    memcpy(text, b"+8210", 5)
    memcpy(text + 5, digits, 8)
    length[0] = 13
    return TAKEN
