"""Which implementation serves: the compiled one, or where it could not be built its plain-Python twin, with a warning.

`EVQ_EXT_IMPLEMENTATION=compiled` or `=reference` forces one.
"""

import os
import warnings
from importlib import import_module
from typing import Final, Literal

COMPILED: Final = (
    "columns._order",
    "columns._strings",
    "encoding._encoding",
    "qr._qr",
    "rows._rows",
    "sheet._sheet",
)


def _choose() -> Literal["compiled", "reference"]:
    forced = os.environ.get("EVQ_EXT_IMPLEMENTATION", "")
    if forced not in {"", "compiled", "reference"}:
        raise ImportError(f"EVQ_EXT_IMPLEMENTATION is {forced!r}; set it to 'compiled' or 'reference', or unset it.")
    if forced == "reference":
        return "reference"
    try:
        for name in COMPILED:
            import_module(f"evq_ext.{name}")
    except ImportError:
        if forced:
            raise
        warnings.warn(
            "The compiled core of evq_ext is missing; its plain-Python twin serves, many times slower. "
            "Install a C compiler and the headers of Python, and install evq again.",
            RuntimeWarning,
            stacklevel=2,
        )
        return "reference"
    return "compiled"


IMPLEMENTATION: Final = _choose()
