"""Word the value of a cell as CSV; `_cells` is the specification of what these take upon themselves."""

from evq_ext._memory cimport Vector, evq_lowest, evq_marks, reserve
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy

cdef enum:
    NUMBER_DIGITS = 15      # of a number that is its own shortest text, DBL_DIG
    DAY_DIGITS = 7
    FRACTION_DIGITS = 18
    MOMENT_BYTES = 32       # at most, of a date with a time

cdef enum FormatKind:       # as in `formats`
    NUMBER, DATE, TIME, DURATION

cdef struct Calendar:       # filled from `_tables`
    uint64_t last_day
    uint64_t days_1904
    uint64_t day_milliseconds


cdef inline bint is_digit(uint8_t character) noexcept nogil:
    return character >= c"0" and character <= c"9"


# --- Texts ------------------------------------------------------------------------------------------------------------

cdef inline bint has_escape(const uint8_t* text, size_t length) noexcept nogil:
    """Tell whether an escape may begin in a text, behind which the padding is readable."""
    cdef uint64_t marks
    cdef size_t base = 0
    cdef size_t at
    while base < length:
        marks = evq_marks(text + base, c"_")
        while marks:
            at = base + evq_lowest(marks)
            if at + 1 >= length:
                break
            if text[at] == c"_" and text[at + 1] == c"x":
                return True
            marks &= marks - 1
        base += 64
    return False


cdef inline bint write_quoted(Vector* out, const uint8_t* text, size_t length) noexcept nogil:
    """Write a text, behind which the padding is readable, as a cell of CSV; return False if there is no memory."""
    cdef size_t at
    cdef bint quotes = False
    cdef uint8_t* to
    if not reserve(out, 2 * length + 2):
        return False
    to = out.data + out.length
    at = find_mark(text, length)
    memcpy(to, text, at)
    if at == length:
        out.length += at
        return True
    for at in range(at, length):
        quotes = quotes or text[at] == c'"' or text[at] == c","
    if quotes:
        to[0] = c'"'
        to += 1
    for at in range(length):
        if text[at] == c"\n" and at > 0 and text[at - 1] == c"\r":
            continue
        to[0] = c" " if text[at] == c"\n" or text[at] == c"\r" else text[at]
        to += 1
        if text[at] == c'"':
            to[0] = c'"'
            to += 1
    if quotes:
        to[0] = c'"'
        to += 1
    out.length = to - out.data
    return True


cdef inline size_t find_mark(const uint8_t* text, size_t length) noexcept nogil:
    """Return where the first comma, quote or line end is; without one, return the length."""
    cdef uint64_t marks
    cdef size_t base = 0
    while base < length:
        marks = evq_marks(text + base, c",")
        if marks:
            return min(length, base + evq_lowest(marks))
        base += 64
    return length


# --- Numbers ----------------------------------------------------------------------------------------------------------

cdef inline bint is_plain_number(const uint8_t* text, size_t length) noexcept nogil:
    """Tell whether a number is written as Python would: few digits, no exponent, no zeros that say nothing."""
    cdef size_t at = 0
    cdef size_t start, point
    if length > NUMBER_DIGITS + 2:
        return False
    if at < length and text[at] == c"-":
        at += 1
    start = at
    while at < length and is_digit(text[at]):
        at += 1
    point = at
    if point == start or (text[start] == c"0" and point - start > 1):
        return False
    if point == length:
        return point - start <= NUMBER_DIGITS and (text[start] != c"0" or start == 0)
    if text[point] != c".":
        return False
    at += 1
    while at < length and is_digit(text[at]):
        at += 1
    if at < length or text[at - 1] == c"." or text[at - 1] == c"0" or at - start - 1 > NUMBER_DIGITS:
        return False
    if text[start] != c"0":
        return True
    at = point + 1
    while text[at] == c"0":
        at += 1
    return at - point <= 4


# --- Dates and times --------------------------------------------------------------------------------------------------

cdef inline size_t write_moment(
    const Calendar* calendar, const uint8_t* text, size_t length, FormatKind kind, bint epoch_1904, uint8_t* out
) noexcept nogil:
    """Write what a serial number means, in at most MOMENT_BYTES; return how many, 0 if the rules must be asked."""
    cdef uint64_t since = 0
    cdef uint64_t days, rest
    cdef uint8_t* to = out
    if not read_serial(calendar, text, length, &since):
        return 0
    days = since // calendar.day_milliseconds
    rest = since % calendar.day_milliseconds
    if days > calendar.last_day:
        return 0
    if kind == DURATION:
        return write_clock(since, 1, out) - out
    if days == 0:
        return write_clock(rest, 2, out) - out
    if epoch_1904:
        days += calendar.days_1904
    if days <= 60 or days > calendar.last_day:  # before 1900-03-01, spreadsheets count a day that never was
        return 0
    to = write_day(days, to)
    if rest or kind == TIME:
        to[0] = c"T"
        to = write_clock(rest, 2, to + 1)
    return to - out


cdef inline bint read_serial(const Calendar* calendar, const uint8_t* text, size_t length, uint64_t* since) noexcept nogil:
    """Read a number of days as milliseconds, the half rounded up; return False if it is not plainly written."""
    cdef uint64_t days = 0
    cdef uint64_t doubled = 0
    cdef size_t at = 0
    cdef size_t last
    while at < length and is_digit(text[at]):
        days = 10 * days + (text[at] - c"0") if at < DAY_DIGITS else 0
        at += 1
    if at == 0 or at > DAY_DIGITS:
        return False
    if at < length:
        if text[at] != c"." or length - at - 1 > FRACTION_DIGITS or at + 1 == length:
            return False
        last = length - 1
        while last > at:  # from the last digit on, so that nothing is rounded: floor((floor(x) + n) / 10)
            if not is_digit(text[last]):
                return False
            doubled = (doubled + (text[last] - c"0") * 2 * calendar.day_milliseconds) // 10
            last -= 1
    since[0] = days * calendar.day_milliseconds + (doubled + 1) // 2
    return True


cdef inline uint8_t* write_day(uint64_t days, uint8_t* to) noexcept nogil:
    """Write a day after 1900-02-29, counted from 1899-12-30, as the civil calendar has it."""
    cdef uint64_t day = days + 693_899  # since 0000-03-01, so that the leap day is the last of its year
    cdef uint64_t era = day // 146_097  # of 400 years
    cdef uint64_t in_era = day % 146_097
    cdef uint64_t year = (in_era - in_era // 1_460 + in_era // 36_524 - in_era // 146_096) // 365
    cdef uint64_t in_year = in_era - (365 * year + year // 4 - year // 100)
    cdef uint64_t month = (5 * in_year + 2) // 153  # from March
    day = in_year - (153 * month + 2) // 5 + 1
    year += 400 * era
    if month >= 10:
        year += 1
        month -= 9
    else:
        month += 3
    to = write_digits(year, 4, to)
    to[0] = c"-"
    to = write_digits(month, 2, to + 1)
    to[0] = c"-"
    return write_digits(day, 2, to + 1)


cdef inline uint8_t* write_clock(uint64_t milliseconds, size_t hour_digits, uint8_t* to) noexcept nogil:
    cdef uint64_t seconds = milliseconds // 1000
    to = write_digits(seconds // 3600, hour_digits, to)
    to[0] = c":"
    to = write_digits(seconds // 60 % 60, 2, to + 1)
    to[0] = c":"
    to = write_digits(seconds % 60, 2, to + 1)
    if milliseconds % 1000:
        to[0] = c"."
        to = write_digits(milliseconds % 1000, 3, to + 1)
    return to


cdef inline uint8_t* write_digits(uint64_t number, size_t least, uint8_t* to) noexcept nogil:
    """Write a number, with zeros before it up to the least count of digits."""
    cdef size_t digits = 1
    cdef uint64_t rest = number // 10
    cdef size_t at
    while rest:
        digits += 1
        rest //= 10
    digits = max(digits, least)
    for at in range(digits):
        to[digits - 1 - at] = <uint8_t>(c"0" + number % 10)
        number //= 10
    return to + digits
