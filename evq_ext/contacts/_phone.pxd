"""Judge phone numbers, and write them in E.164 form; `_dialling` is the specification, and makes the states.

Digits lead from state to state. Separators lead nowhere. Of anything else this is unsure, but where no number can begin
there is none.
"""

from evq_ext._memory cimport PADDING, evq_copy
from evq_ext._verdict cimport PHONE_ZERO_RESTORED, REFUSED, TAKEN, UNSURE, Verdict
from libc.stdint cimport uint8_t, uint16_t
from libc.string cimport memcmp, memcpy

cdef enum:
    NATIONAL = 0            # the state before the first digit
    ABROAD = 1              # and that behind a plus sign
    DIGITS_MAX = 24         # more than any number has, with prefix and country code
    WORDS = 32              # that say that there is no number, at most, and
    WORD_SIZE = 16          # bytes of each, with zeros behind it

cdef struct State:          # as `_dialling._Node.pack` has it
    uint16_t after[10]      # the state after each digit
    uint8_t verdict         # what becomes of a number that ends here
    uint8_t kept            # digits of the country code that it begins with
    uint8_t skipped         # those behind them that are left out
    uint8_t bare_zero       # it lacks its zero

cdef struct Plan:
    const State* states
    uint8_t code[4]         # "+" and the country code of numbers without one
    size_t code_length
    size_t longest          # text that the library reads
    uint8_t separators[256]
    uint8_t starts[256]     # bytes with which a digit of any script, or a plus sign, begins
    uint8_t words[WORDS][WORD_SIZE]


cdef inline Verdict judge_phone(
    const Plan* plan, uint8_t* text, size_t* length, uint8_t* warnings
) noexcept nogil:
    """Judge the number, and write it into `text`, which must have room for four bytes more."""
    cdef uint8_t digits[DIGITS_MAX + PADDING]
    cdef const State* state = plan.states + NATIONAL
    cdef size_t count = 0
    cdef size_t written = 0
    cdef size_t at
    cdef bint plus = False
    if length[0] > plan.longest:
        return UNSURE
    length[0] = without_fraction(text, length[0])
    for at in range(length[0]):
        if c"0" <= text[at] <= c"9":
            state = plan.states + state.after[text[at] - c"0"]
            if count < DIGITS_MAX:
                digits[count] = text[at]
            count += 1
        elif text[at] == c"+" and count == 0 and not plus:
            state = plan.states + ABROAD
            plus = True
        elif not plan.separators[text[at]]:
            return judge_words(plan, text, length)
    if count == 0:
        return judge_words(plan, text, length)
    if state.verdict != TAKEN:
        return <Verdict>state.verdict
    if state.bare_zero and count == length[0] and digits[0] != c"0":
        warnings[0] |= PHONE_ZERO_RESTORED
    if plus:
        text[0] = c"+"
        written = 1
    else:
        memcpy(text, plan.code, sizeof(plan.code))
        written = plan.code_length
    evq_copy(text + written, digits, state.kept)
    written += state.kept
    count -= state.kept + state.skipped
    evq_copy(text + written, digits + state.kept + state.skipped, count)
    length[0] = written + count
    return TAKEN


cdef inline size_t without_fraction(const uint8_t* text, size_t length) noexcept nogil:
    """Return the length without the ".0" or ".00" behind digits alone, as a program writes a floating-point number."""
    cdef size_t zeros = 0
    cdef size_t at
    while zeros < min(length, <size_t>2) and text[length - zeros - 1] == c"0":
        zeros += 1
    if zeros == 0 or length < zeros + 2 or text[length - zeros - 1] != c".":
        return length
    for at in range(length - zeros - 1):
        if not c"0" <= text[at] <= c"9":
            return length
    return length - zeros - 1


cdef inline Verdict judge_words(const Plan* plan, const uint8_t* text, size_t* length) noexcept nogil:
    """Judge a text that is no number as it stands: leave nothing of words that say so."""
    cdef size_t index
    if has_start(plan, text, length[0]):
        return UNSURE
    for index in range(WORDS if length[0] < WORD_SIZE else 0):
        if plan.words[index][length[0]] == 0 and memcmp(plan.words[index], text, length[0]) == 0:
            length[0] = 0
            return TAKEN
    return REFUSED


cdef inline bint has_start(const Plan* plan, const uint8_t* text, size_t length) noexcept nogil:
    """Tell whether the library may find a number in the text: it begins at a digit or a plus sign."""
    cdef size_t at
    for at in range(length):
        if plan.starts[text[at]]:
            return True
    return False
