"""What may be asked of a QR code, and in which mode its text is written."""

from typing import Final, Literal

from evq_ext.qr._tables import (
    ALPHANUMERIC,
    BYTES,
    COUNT_BITS,
    DATA_CODEWORDS,
    LETTERS,
    LEVELS,
    MASKS,
    NUMERIC,
    VERSIONS,
    width_group,
)

Level = Literal["L", "M", "Q", "H"]

SCALE_MAX: Final = 64  # pixels from side to side of a module
BORDER_MAX: Final = 64  # modules

_UNITS: Final = {NUMERIC: "digits", ALPHANUMERIC: "characters", BYTES: "bytes"}


class QrError(ValueError):
    """A QR code that cannot be drawn; the message says what to change."""


def mode_of(data: bytes) -> int:
    """Return the mode in which a whole text takes the fewest bits: digits, capitals and a few signs, or bytes."""
    if data.isdigit():
        return NUMERIC
    return BYTES if data.strip(LETTERS) else ALPHANUMERIC


def most(mode: int, level: str, version: int = VERSIONS[-1]) -> int:
    """Return how many digits, characters or bytes a code holds."""
    bits = 8 * DATA_CODEWORDS[level][version - 1] - 4 - COUNT_BITS[mode][width_group(version)]
    if mode == NUMERIC:
        return bits // 10 * 3 + (bits % 10 >= 4) + (bits % 10 >= 7)
    return bits // 11 * 2 + (bits % 11 >= 6) if mode == ALPHANUMERIC else bits // 8


def check_level(level: str) -> None:
    """Raise QrError unless there is such a level of error correction."""
    if level not in tuple(LEVELS):
        raise QrError(f"There is no level {level!r} of error correction; choose L, M, Q or H.")


def check_mask(mask: int | None) -> None:
    """Raise QrError unless there is such a mask; None is none in particular."""
    if mask is not None and not _is_one_of(MASKS, mask):
        raise QrError(f"There is no mask {mask!r}; choose one from 0 to 7, or leave it out.")


def check_length(data: bytes, level: str) -> None:
    """Raise QrError unless some version holds *data*, a text in UTF-8."""
    mode = mode_of(data)
    if len(data) > most(mode, level):
        other = f" or choose level L ({most(mode, 'L'):,})" if level != "L" and len(data) <= most(mode, "L") else ""
        raise QrError(
            f"The text has {len(data):,} {_UNITS[mode]}, and a QR code of level {level} holds {most(mode, level):,}; "
            f"shorten it{other}."
        )


def check_border(border: int) -> None:
    """Raise QrError unless a picture can have such a quiet zone."""
    if not _is_one_of(range(BORDER_MAX + 1), border):
        raise QrError(f"A border of {border!r} modules cannot be drawn; give 0 to {BORDER_MAX} (readers ask for 4).")


def check_scale(scale: int) -> None:
    """Raise QrError unless a picture can have such modules."""
    if not _is_one_of(range(1, SCALE_MAX + 1), scale):
        raise QrError(f"Modules of {scale!r} pixels cannot be drawn; give 1 to {SCALE_MAX}.")


def _is_one_of(numbers: range, value: object) -> bool:
    """Tell whether *value* is a whole number of a range; 8.0 is none, though it equals one."""
    return isinstance(value, int) and value in numbers
