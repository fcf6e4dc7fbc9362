"""Turn the bytes of a participants file into clean columns and precise errors, and the text of a ticket into a QR code.

parser = RowParser([Column("name", "name"), Column("email", "email"), None], skip_records=1)
batch = parser.feed(chunk)          # any number of times
batch = parser.finish()
names = strings(batch.columns["name"])

picture = qr_png("0123456789ABCDEFGHJKMNPQRS")
"""

from typing import TYPE_CHECKING

from evq_ext._implementation import IMPLEMENTATION
from evq_ext._tables import SHEET_READ_COLUMNS
from evq_ext.contacts.authority import REGIONS
from evq_ext.encoding.encodings import Utf8Check, transcoder
from evq_ext.headers import EXACT, FIELDS, find_header, is_address, kind_of, recognise
from evq_ext.qr._rules import QrError
from evq_ext.rows._records import read_records, sniff_delimiter
from evq_ext.rows._rules import with_mark, without_mark
from evq_ext.sheet._cells import cell_name
from evq_ext.sheet.formats import format_kind
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
    from evq_ext.columns._order import order_of, take
    from evq_ext.columns._strings import strings
    from evq_ext.qr._qr import qr_matrix, qr_png, qr_svg
    from evq_ext.rows._rows import RowParser
    from evq_ext.sheet._sheet import SharedStrings, SheetReader
else:
    from evq_ext.columns._reference import order_of, strings, take
    from evq_ext.qr._reference import qr_matrix, qr_png, qr_svg
    from evq_ext.rows._reference import RowParser
    from evq_ext.sheet._reference import SharedStrings, SheetReader

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
    "is_address",
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
