"""Turn the bytes of a participants file into clean columns and precise errors, and the text of a ticket into a QR code.

parser = RowParser([Column("name", "name"), Column("email", "email"), None], skip_records=1)
batch = parser.feed(chunk)          # any number of times
batch = parser.finish()
names = strings(batch.columns["name"])

picture = qr_png("0123456789ABCDEFGHJKMNPQRS")
"""

from typing import TYPE_CHECKING

from evq_ext._cells import cell_name
from evq_ext._implementation import IMPLEMENTATION
from evq_ext._qr_rules import QrError
from evq_ext._records import read_records, sniff_delimiter
from evq_ext._rules import with_mark, without_mark
from evq_ext._tables import SHEET_READ_COLUMNS
from evq_ext.authority import REGIONS
from evq_ext.encodings import Utf8Check, transcoder
from evq_ext.formats import format_kind
from evq_ext.headers import EXACT, FIELDS, find_header, kind_of, recognise
from evq_ext.types import (
    Batch,
    Column,
    ColumnData,
    Duplicate,
    DuplicatePolicy,
    Finding,
    Guess,
    Kind,
    NumberBy,
    Reject,
    SheetError,
    Warned,
)

if TYPE_CHECKING or IMPLEMENTATION == "compiled":
    from evq_ext._order import order_of, take
    from evq_ext._qr import qr_matrix, qr_png, qr_svg
    from evq_ext._rows import RowParser
    from evq_ext._sheet import SharedStrings, SheetReader
    from evq_ext._strings import strings
else:
    from evq_ext._qr_reference import qr_matrix, qr_png, qr_svg
    from evq_ext._reference import RowParser, order_of, strings, take
    from evq_ext._sheet_reference import SharedStrings, SheetReader

__all__ = (
    "EXACT",
    "FIELDS",
    "IMPLEMENTATION",
    "REGIONS",
    "SHEET_READ_COLUMNS",
    "Batch",
    "Column",
    "ColumnData",
    "Duplicate",
    "DuplicatePolicy",
    "Finding",
    "Guess",
    "Kind",
    "NumberBy",
    "QrError",
    "Reject",
    "RowParser",
    "SharedStrings",
    "SheetError",
    "SheetReader",
    "Utf8Check",
    "Warned",
    "cell_name",
    "find_header",
    "format_kind",
    "kind_of",
    "order_of",
    "qr_matrix",
    "qr_png",
    "qr_svg",
    "read_records",
    "recognise",
    "sniff_delimiter",
    "strings",
    "take",
    "transcoder",
    "with_mark",
    "without_mark",
)
