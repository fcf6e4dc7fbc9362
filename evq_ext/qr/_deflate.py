"""One Huffman code for all pictures of QR codes (RFC 1951); the compiled core fills its C tables from here at import.

A picture is lines of mostly 0x00 (the filter type, and dark pixels) and 0xFF (light ones), and such lines again. With a
code that is made for that, and never changes, nothing has to be searched or counted, and at 8 pixels a module a picture
is about as small as zlib makes it. Every byte and every distance has a code, so that modules of any size can be
written; where they are not whole bytes, a picture is larger by a half.
"""

from collections.abc import Iterable, Iterator
from itertools import accumulate, groupby
from typing import Final, NamedTuple

REPEAT_MIN: Final = 3  # bytes of a repetition
REPEAT_MAX: Final = 258


class Bits(NamedTuple):
    """The *width* lowest bits of *value*; the lowest goes first."""

    value: int
    width: int


class Range(NamedTuple):
    """Values that share a symbol: which one of them it is follows its code, in *extra* bits."""

    first: int
    extra: int
    code: Bits


# How wide each symbol's code is. Lines are repeated whole, so that long repetitions have the short codes.
_LITERAL_WIDTHS: Final = [11] * 256 + [10] * 20 + [9] * 6 + [6, 6, 5, 5]
_LITERAL_WIDTHS[0xFF], _LITERAL_WIDTHS[0x00] = 1, 2
_LITERAL_WIDTHS[0x0F] = _LITERAL_WIDTHS[0xF0] = 10
_DISTANCE_WIDTHS: Final = [5] * 10 + [4] * 2 + [5] * 18
# Those widths are written at the head of the stream, in a code of their own; 16 is "the last one again, 3 to 6 times".
_AGAIN: Final = 16
_WIDTH_WIDTHS: Final = {_AGAIN: 1, 11: 2, 10: 3, 5: 5, 9: 5, 1: 6, 2: 6, 4: 6, 6: 6}
_WIDTH_ORDER: Final = (16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15)  # 3.2.7


def _codes_of(widths: dict[int, int]) -> dict[int, Bits]:
    """Return the code of each symbol by its width (3.2.2)."""
    codes: dict[int, Bits] = {}
    code = before = 0
    for width, symbol in sorted((width, symbol) for symbol, width in widths.items()):
        code <<= width - before
        codes[symbol] = Bits(int(f"{code:0{width}b}"[::-1], 2), width)  # a code goes from its highest bit on
        code += 1
        before = width
    return codes


def join(parts: Iterable[Bits]) -> Bits:
    """Return all parts as one."""
    digits = "".join(f"{value:0{width}b}" for value, width in reversed([*parts]) if width)
    return Bits(int(digits, 2), len(digits))


def _head() -> Iterator[Bits]:
    """Return the head of a stream of one block: what it is, and how wide all codes are (3.2.3, 3.2.7)."""
    yield from (Bits(1, 1), Bits(2, 2))
    yield from (Bits(len(_LITERAL_WIDTHS) - 257, 5), Bits(len(_DISTANCE_WIDTHS) - 1, 5), Bits(len(_WIDTH_ORDER) - 4, 4))
    yield from (Bits(_WIDTH_WIDTHS.get(width, 0), 3) for width in _WIDTH_ORDER)
    codes = _codes_of(_WIDTH_WIDTHS)
    for width, equal in groupby([*_LITERAL_WIDTHS, *_DISTANCE_WIDTHS]):
        yield codes[width]
        again = len(list(equal)) - 1
        while again >= 3:
            yield from (codes[_AGAIN], Bits(min(again, 6) - 3, 2))
            again -= min(again, 6)
        yield from [codes[width]] * again


def _ranges(first: int, extras: list[int], codes: list[Bits]) -> list[Range]:
    """Return ranges that follow each other from *first* on (3.2.5)."""
    firsts = accumulate((1 << extra for extra in extras), initial=first)
    return [Range(*each) for each in zip(firsts, extras, codes, strict=False)]


def in_range(ranges: list[Range], value: int) -> Bits:
    """Return a length or a distance: the code of its range, and its place there."""
    first, extra, code = next(each for each in reversed(ranges) if each.first <= value)
    return join([code, Bits(value - first, extra)])


_literal_codes = _codes_of(dict(enumerate(_LITERAL_WIDTHS)))
_distance_codes = _codes_of(dict(enumerate(_DISTANCE_WIDTHS)))
_length_ranges = [
    *_ranges(
        3,
        [0] * 8 + [extra for extra in range(1, 6) for _ in range(4)],
        [_literal_codes[symbol] for symbol in range(257, 285)],
    ),
    Range(REPEAT_MAX, 0, _literal_codes[285]),
]

HEAD: Final = join(_head())
LITERALS: Final = [_literal_codes[byte] for byte in range(256)]
END: Final = _literal_codes[256]
LENGTHS: Final = {length: in_range(_length_ranges, length) for length in range(REPEAT_MIN, REPEAT_MAX + 1)}
DISTANCES: Final = _ranges(
    1, [0, 0] + [extra for extra in range(14) for _ in range(2)], [_distance_codes[symbol] for symbol in range(30)]
)
