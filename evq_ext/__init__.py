"""Turn the bytes of a participants file into clean columns and precise errors.

    parser = RowParser([Column("name", "name"), Column("email", "email"), None], skip_records=1)
    batch = parser.feed(chunk)          # any number of times
    batch = parser.finish()

The parser is compiled. Where it could not be built its plain-Python twin serves, with a warning;
`EVQ_EXT_IMPLEMENTATION=compiled` or `=reference` forces one.
"""

import os
import warnings
from typing import TYPE_CHECKING, Final, Literal

from evq_ext._records import read_records, sniff_delimiter
from evq_ext._rules import with_mark, without_mark
from evq_ext.headers import FIELDS, find_header, kind_of, recognise
from evq_ext.types import (
    Batch,
    Column,
    ColumnData,
    Duplicate,
    DuplicatePolicy,
    Finding,
    Kind,
    NumberBy,
    Reject,
    Warned,
)

if TYPE_CHECKING:
    from evq_ext._rows import RowParser

    IMPLEMENTATION: Literal["compiled", "reference"]

__all__ = (
    "FIELDS",
    "IMPLEMENTATION",
    "Batch",
    "Column",
    "ColumnData",
    "Duplicate",
    "DuplicatePolicy",
    "Finding",
    "Kind",
    "NumberBy",
    "Reject",
    "RowParser",
    "Warned",
    "find_header",
    "kind_of",
    "read_records",
    "recognise",
    "sniff_delimiter",
    "with_mark",
    "without_mark",
)

_FORCED: Final = os.environ.get("EVQ_EXT_IMPLEMENTATION", "")


def _choose() -> tuple[str, type]:
    if _FORCED not in {"", "compiled", "reference"}:
        raise ImportError(f"EVQ_EXT_IMPLEMENTATION is {_FORCED!r}; set it to 'compiled' or 'reference', or unset it.")
    if _FORCED != "reference":
        try:
            from evq_ext._rows import RowParser  # noqa: PLC0415  only one of the two is loaded
        except ImportError:
            if _FORCED:
                raise
            warnings.warn(
                "The compiled core of evq_ext is missing; its plain-Python twin serves, many times slower. "
                "Install a C compiler and the headers of Python, and install evq again.",
                RuntimeWarning,
                stacklevel=3,
            )
        else:
            return "compiled", RowParser
    from evq_ext import _reference  # noqa: PLC0415

    return "reference", _reference.RowParser


if not TYPE_CHECKING:
    IMPLEMENTATION, RowParser = _choose()
