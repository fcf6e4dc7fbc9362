"""What a kernel says of a value, or of a row."""

cdef enum Verdict:
    TAKEN       # it is clean, and what the rules would make of it
    REFUSED     # the rules would refuse it
    UNSURE      # only the rules can tell
    BLANK       # there is nothing in the row


cdef enum Warning:          # about a value that is taken: bits, in the order of `_tables.WARNINGS`
    EMAIL_MISSPELT = 1
    PHONE_ZERO_RESTORED = 2
