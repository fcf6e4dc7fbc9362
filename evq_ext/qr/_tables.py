"""The constants of QR codes (ISO/IEC 18004:2015); the compiled core fills its C tables from here at import."""

from typing import Final

LEVELS: Final = "LMQH"  # of error correction; each can lose more modules than the one before, and holds less
VERSIONS: Final = range(1, 41)
MASKS: Final = range(8)

# --- Text as bits (7.4) -----------------------------------------------------------------------------------------------

NUMERIC: Final = 1  # the modes, by their indicators (table 2)
ALPHANUMERIC: Final = 2
BYTES: Final = 4
LETTERS: Final = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"  # table 5: the place is the value

# How many bits the count of characters has, in each group of versions (table 3).
COUNT_BITS: Final = {NUMERIC: (10, 12, 14), ALPHANUMERIC: (9, 11, 13), BYTES: (8, 16, 16)}


def width_group(version: int) -> int:
    """Return to which group of `COUNT_BITS` a version belongs."""
    return (version > 9) + (version > 26)


# --- Codewords: for each level, in versions 1 to 40 (table 9) ---------------------------------------------------------

BLOCKS: Final = {
    "L": (
        *(1, 1, 1, 1, 1, 2, 2, 2, 2, 4, 4, 4, 4, 4, 6, 6, 6, 6, 7, 8),
        *(8, 9, 9, 10, 12, 12, 12, 13, 14, 15, 16, 17, 18, 19, 19, 20, 21, 22, 24, 25),
    ),
    "M": (
        *(1, 1, 1, 2, 2, 4, 4, 4, 5, 5, 5, 8, 9, 9, 10, 10, 11, 13, 14, 16),
        *(17, 17, 18, 20, 21, 23, 25, 26, 28, 29, 31, 33, 35, 37, 38, 40, 43, 45, 47, 49),
    ),
    "Q": (
        *(1, 1, 2, 2, 4, 4, 6, 6, 8, 8, 8, 10, 12, 16, 12, 17, 16, 18, 21, 20),
        *(23, 23, 25, 27, 29, 34, 34, 35, 38, 40, 43, 45, 48, 51, 53, 56, 59, 62, 65, 68),
    ),
    "H": (
        *(1, 1, 2, 4, 4, 4, 5, 6, 8, 8, 11, 11, 16, 16, 18, 16, 19, 21, 25, 25),
        *(25, 34, 30, 32, 35, 37, 40, 42, 45, 48, 51, 54, 57, 60, 63, 66, 70, 74, 77, 81),
    ),
}
# Codewords for error correction in each of the blocks.
CORRECTIONS: Final = {
    "L": (
        *(7, 10, 15, 20, 26, 18, 20, 24, 30, 18, 20, 24, 26, 30, 22, 24, 28, 30, 28, 28),
        *(28, 28, 30, 30, 26, 28, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30),
    ),
    "M": (
        *(10, 16, 26, 18, 24, 16, 18, 22, 22, 26, 30, 22, 22, 24, 24, 28, 28, 26, 26, 26),
        *(26, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28),
    ),
    "Q": (
        *(13, 22, 18, 26, 18, 24, 18, 22, 20, 24, 28, 26, 24, 20, 30, 24, 28, 28, 26, 30),
        *(28, 30, 30, 30, 30, 28, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30),
    ),
    "H": (
        *(17, 28, 22, 16, 22, 28, 26, 26, 24, 28, 24, 28, 22, 24, 24, 30, 28, 28, 26, 28),
        *(30, 24, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30),
    ),
}
FIELD: Final = 0x11D  # the polynomial of the field of the error correction (7.5.2)
PADDING: Final = (0xEC, 0x11)  # codewords that follow the text, in turn (7.4.10)

# --- Function patterns ------------------------------------------------------------------------------------------------


def side_of(version: int) -> int:
    """Return how many modules a code of a version has from side to side (5.3.1)."""
    return 17 + 4 * version


def alignments_of(version: int) -> list[int]:
    """Return the rows, and columns, in which the centres of alignment patterns are (annex E).

    They are evenly spaced up from the last one, by an even number of modules; only the first gap may be smaller.
    """
    if version == 1:
        return []
    count, last = version // 7 + 2, side_of(version) - 7
    step = 26 if version == 32 else (last - 6 + 2 * count - 3) // (2 * count - 2) * 2
    return [6, *range(last - step * (count - 2), last + 1, step)]


def _with_remainder(data: int, generator: int) -> int:
    """Append to *data* what the division by *generator* leaves: a BCH code (annexes C and D)."""
    width = generator.bit_length() - 1
    remainder = data << width
    while remainder.bit_length() > width:
        remainder ^= generator << (remainder.bit_length() - width - 1)
    return data << width | remainder


# 15 bits for each level and mask (7.9.1, table 12), and 18 bits for each version from 7 on (7.10).
_LEVEL_BITS: Final = {"L": 1, "M": 0, "Q": 3, "H": 2}
FORMATS: Final = {
    level: [_with_remainder(_LEVEL_BITS[level] << 3 | mask, 0b101_0011_0111) ^ 0b101_0100_0001_0010 for mask in MASKS]
    for level in LEVELS
}
VERSION_BITS: Final = {version: _with_remainder(version, 0b1_1111_0010_0101) for version in VERSIONS[6:]}

# --- Penalty points, by which the mask is chosen (7.8.3, table 11) ----------------------------------------------------

RUN_POINTS: Final = 3  # for five modules of one colour in a line, and one point for each more
BLOCK_POINTS: Final = 3  # for four modules of one colour in a square
FINDER_POINTS: Final = 40  # for what looks like a finder in a line
BALANCE_POINTS: Final = 10  # for every 5 % that the dark modules are away from half of all

# --- How much fits ----------------------------------------------------------------------------------------------------


def codewords_of(version: int) -> int:
    """Return how many codewords a code of a version has: what the function patterns leave, in bytes (table 1)."""
    side, alignments = side_of(version), len(alignments_of(version))
    modules = side**2 - 3 * 8**2 - 2 * (side - 16) - (2 * 15 + 1) - (2 * 18 if version in VERSION_BITS else 0)
    if alignments:
        modules -= 5**2 * (alignments**2 - 3) - 2 * 5 * (alignments - 2)  # some lie on the timing patterns
    return modules // 8


DATA_CODEWORDS: Final = {
    level: [
        codewords_of(version) - BLOCKS[level][version - 1] * CORRECTIONS[level][version - 1] for version in VERSIONS
    ]
    for level in LEVELS
}
