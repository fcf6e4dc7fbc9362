"""What is fuzzed: each function takes any bytes, and raises if the compiled core and its twin do not agree on them.

The first bytes of an input choose the options, the rest is the file.
"""

import struct
from collections.abc import Callable
from functools import partial
from itertools import accumulate, pairwise
from typing import Any, Final

from evq_ext import Batch, Column, ColumnData, SheetError
from evq_ext._tables import TABLED_CODECS
from evq_ext.columns import _reference as _columns_reference
from evq_ext.columns._order import order_of as compiled_order_of
from evq_ext.columns._order import take as compiled_take
from evq_ext.columns._strings import strings as compiled_strings
from evq_ext.encoding import _encoding
from evq_ext.encoding import _reference as _encoding_reference
from evq_ext.qr import _qr
from evq_ext.qr import _reference as _qr_reference
from evq_ext.qr._tables import LETTERS
from evq_ext.rows import _reference as _rows_reference
from evq_ext.rows._rows import RowParser
from evq_ext.sheet import _reference as _sheet_reference
from evq_ext.sheet import _sheet

LAYOUTS: Final = (
    (Column("name", "name"), Column("email", "email"), Column("phone", "phone"), Column("note", "text")),
    (Column("email", "email"),),
    (None, Column("email", "email"), Column("ticket", "choice", ("VIP", "일반")), Column("second", "email")),
)


def rows(data: bytes) -> None:
    """Read a file, cut into chunks, by both parsers."""
    if len(data) < 4:
        return
    options, layout, first, second = data[:4]
    text = data[4:]
    chosen: dict[str, Any] = {
        "delimiter": (b",", b";", b"\t", b"|")[options & 3],
        "duplicates": ("skip", "update", "error")[(options >> 2) % 3],
        "number_by": "record" if options & 64 else "line",
        "skip_records": options >> 7,
        "region": "US" if layout & 128 else "KR",
    }
    cuts = sorted({0, first * len(text) // 255, second * len(text) // 255, len(text)})
    columns = LAYOUTS[(layout & 127) % len(LAYOUTS)]
    outcomes = []
    for parser_class in (RowParser, _rows_reference.RowParser):
        parser = parser_class(columns, **chosen)
        batches = [parser.feed(text[start:end]) for start, end in pairwise(cuts)]
        outcomes.append(([_plain(batch) for batch in [*batches, parser.finish()]], parser.records))
    assert outcomes[0] == outcomes[1], (chosen, text)


def sheet(data: bytes) -> None:
    """Read shared texts, which end at a NUL, and a sheet, cut into chunks, by both readers."""
    if len(data) < 3:
        return
    options, first, second = data[:3]
    shared, _, text = data[3:].partition(b"\0")
    cuts = sorted({0, first * len(text) // 255, second * len(text) // 255, len(text)})
    chunks = [text[start:end] for start, end in pairwise(cuts)]
    read = [_read_sheet(module, shared, chunks, bool(options & 1)) for module in (_sheet, _sheet_reference)]
    assert read[0] == read[1], (shared, chunks)
    assert read[0] == _read_sheet(_sheet, shared, [text], bool(options & 1)), (shared, chunks)


def _read_sheet(module: Any, shared: bytes, chunks: list[bytes], epoch_1904: bool) -> object:
    try:
        texts = module.SharedStrings()
        texts.feed(shared)
        reader = module.SheetReader(texts, bytes([0, 1, 2, 3]), epoch_1904=epoch_1904)
        records = []
        for chunk in chunks:
            rest = chunk
            while got := reader.feed(rest):
                records.append(got)
                rest = b""
        return b"".join([*records, reader.finish()])
    except SheetError as error:
        return error.code, error.cell


def strings(data: bytes) -> None:
    """Make strings of a column whose offsets may be anything."""
    size = 4 * (data[0] % 32) if data else 0
    column = ColumnData(data[1 : 1 + size], data[1 + size :])
    assert _outcome(compiled_strings, column) == _outcome(_columns_reference.strings, column), column
    column = _column(data.split(b"\n"))
    assert _outcome(compiled_strings, column) == _outcome(_columns_reference.strings, column), column


def encoding(data: bytes) -> None:
    """Check a text, cut into chunks, and transcode it."""
    if len(data) < 3:
        return
    codec, first, second = TABLED_CODECS[data[0] % len(TABLED_CODECS)], data[1], data[2]
    text = data[3:]
    cuts = sorted({0, first * len(text) // 255, second * len(text) // 255, len(text)})
    chunks = [text[start:end] for start, end in pairwise(cuts)]
    outcomes = []
    for module in (_encoding, _encoding_reference):
        check, transcoder = module.Utf8Check(), module.Transcoder(codec)
        for chunk in chunks:
            check.feed(chunk)
        check.finish()
        utf8 = b"".join([*map(transcoder.feed, chunks), transcoder.finish()])
        outcomes.append((check.characters, check.wrong, check.first_wrong, utf8))
    assert outcomes[0] == outcomes[1], (codec, cuts, text)


def order(data: bytes) -> None:
    """Put a column of two pieces in order, and take values at places that may be anything."""
    size = 4 * (data[0] % 32) if data else 0
    places = data[1 : 1 + size]
    pieces = [_column(data[1 + size :].split(b"\n")), ColumnData(places, data)]
    for part in (pieces[:1], pieces):
        assert _outcome(compiled_order_of, part) == _outcome(_columns_reference.order_of, part), part
        assert _outcome(compiled_take, part, places) == _outcome(_columns_reference.take, part, places), (part, places)
    ordered = compiled_order_of(pieces[:1])
    assert compiled_take(pieces[:1], ordered) == _columns_reference.take(pieces[:1], ordered), pieces


def _column(values: list[bytes]) -> ColumnData:
    ends = [0, *accumulate(map(len, values))]
    return ColumnData(struct.pack(f"<{len(ends)}I", *ends), b"".join(values))


def qr(data: bytes) -> None:
    """Draw a text of digits, letters or bytes in any size; the twin, which is slow, draws some of the short ones."""
    if len(data) < 4:
        return
    options, scale, border, times = data[:4]
    alphabet = (b"0123456789", LETTERS, bytes(range(256)))[(options >> 2) % 3]
    text = bytes(alphabet[byte % len(alphabet)] for byte in data[4:]).decode(errors="replace") * (1 + times % 64)
    level: Any = "LMQH"[options & 3]
    size: dict[str, Any] = {"level": level, "scale": scale % 70, "border": border % 70}
    png = _outcome(partial(_qr.qr_png, **size), text)
    if options < 32 and len(text) < 40 and size["scale"] < 10:
        assert png == _outcome(partial(_qr_reference.qr_png, **size), text), (text, size)
    matrix = _outcome(partial(_qr.qr_matrix, level=level, mask=options >> 5), text)
    if scale < 64 and len(text) < 200:
        assert matrix == _outcome(partial(_qr_reference.qr_matrix, level=level, mask=options >> 5), text), (text, level)


def _plain(batch: Batch) -> tuple[object, ...]:
    """Return a batch as it compares: every judgement made, lists as lists."""
    sequences = (list(batch.rejects), list(batch.warned), list(batch.duplicates))
    return (batch.count, batch.rows, batch.columns, *sequences, batch.warnings, batch.consumed)


def _outcome(function: Callable[..., object], *arguments: object) -> object:
    try:
        return function(*arguments)
    except ValueError as error:
        return type(error)
