"""What the number format of a cell shows: a number, a date, a time, or a duration (ECMA-376 part 1, 18.8.30-31)."""

import re
from typing import Final

NUMBER: Final = 0
DATE: Final = 1
TIME: Final = 2  # of the day, with or without a date
DURATION: Final = 3

# The built-in formats, which have no code in the workbook. Some of those from 27 on are dates or times by language.
_BUILT_IN: Final = {
    **dict.fromkeys([*range(14, 18), 27, 28, 29, 30, 31, 34, 35, 36, *range(50, 59)], DATE),
    **dict.fromkeys([18, 19, 20, 21, 22, 32, 33, 45, 47], TIME),
    46: DURATION,
}
_LITERAL: Final = re.compile(r'"[^"]*"?|\\.|[_*].', re.DOTALL)
_ELAPSED: Final = re.compile(r"\[(?:h+|m+|s+)\]", re.IGNORECASE)
_BRACKETED: Final = re.compile(r"\[[^\]]*\]?")


def format_kind(number: int, codes: dict[int, str]) -> int:
    """Return what the format with this number shows: NUMBER, DATE, TIME or DURATION; *codes* are the workbook's own."""
    code = codes.get(number)
    return _BUILT_IN.get(number, NUMBER) if code is None else _shown(code)


def _shown(code: str) -> int:
    code = _LITERAL.sub("", code).partition(";")[0]
    if _ELAPSED.search(code):
        return DURATION
    code = _BRACKETED.sub("", code).lower()
    if "general" in code or (any(digit in code for digit in "0#?") and not any(part in code for part in "ydhs")):
        return NUMBER
    if any(part in code for part in "hs"):
        return TIME
    return DATE if any(part in code for part in "ymdeg") else NUMBER
