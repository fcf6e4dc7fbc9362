"""What each column of an upload means: find the header, recognise its names, apply the organiser's mapping."""

import unicodedata
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import NamedTuple

from evq_ext import EXACT, FIELDS, Column, find_header, is_address, kind_of, read_records, recognise, without_mark
from evq_server.files.refusals import FileError
from evq_server.schemas import TICKET_TYPE

# The columns that the error report adds to the upload's own. They mean nothing when a corrected report comes back.
ROW_COLUMN = "_row"
ERROR_COLUMN = "_error"

MAX_COLUMNS = 256

_HEAD_RECORDS = 1_000
_SEARCHED = 20  # records, for the one that looks most like a header


class Layout(NamedTuple):
    """The header's names, each once; what each column becomes (None: left out); the records up to the first row.

    *scores* say how surely each column is what it becomes: 100 where the mapping says so, 0 for an attribute.
    """

    header: tuple[str, ...]
    columns: tuple[Column | None, ...]
    scores: tuple[int, ...]
    skip_records: int


def lay_out(head: bytes, *, delimiter: bytes, mapping: Mapping[str, str] | None) -> Layout:
    """Find the header in the first records of a file and say what its columns mean.

    *mapping* goes from a header's text to a field or to an attribute's name (empty: leave the column out), and wins
    over recognition. Columns that nobody knows become attributes. Raises FileError when the mapping names a
    column that is not there or a target twice, and when no column holds e-mail addresses.
    """
    mapping = {_clean(text): _clean(target) for text, target in (mapping or {}).items()}
    records = [
        (line, tuple(map(without_mark, cells)))
        for line, cells in read_records(head, delimiter=delimiter, limit=_HEAD_RECORDS)
    ]
    if not any(any(map(_clean, cells)) for _, cells in records):
        raise FileError("empty")
    index = _header_index([(line, cells[: MAX_COLUMNS + 1]) for line, cells in records], mapping)
    names, index = _whole_header([cells for _, cells in records], index)
    if len(names) > MAX_COLUMNS:
        names = _without_blank_end(names)
    if len(names) > MAX_COLUMNS:
        raise FileError("too_many_columns", count=len(names), most=MAX_COLUMNS)
    header = _distinct(names)
    if unknown := [text for text in mapping if text not in header]:
        raise FileError("mapping_unknown", names=unknown, columns=header)
    rows = [cells for _, cells in records[index + 1 :]]
    columns, scores = zip(*_columns(header, rows, mapping), strict=True)
    if any(column is not None and column.name == "email" for column in columns):
        return Layout(header, columns, scores, index + 1)
    if any(map(is_address, header)):
        raise FileError("no_header", row=records[index][0])
    possible = _first_with_at_sign(header, scores, rows)
    if possible is None:
        raise FileError("no_email", columns=header, searched=_SEARCHED)
    raise FileError("no_email_column", columns=header, searched=_SEARCHED, possible=possible)


def _first_with_at_sign(header: Sequence[str], scores: Sequence[int], rows: Sequence[Sequence[str]]) -> str | None:
    """Return the first column that nobody knows and that may hold some e-mail addresses; None if there is none."""
    unknown = [place for place, score in enumerate(scores) if not score]
    return next(
        (header[place] for place in unknown if any("@" in cell for row in rows for cell in row[place : place + 1])),
        None,
    )


def _without_blank_end(cells: tuple[str, ...]) -> tuple[str, ...]:
    width = max((place for place, cell in enumerate(cells, start=1) if _clean(cell)), default=0)
    return cells[:width]


def _header_index(records: Sequence[tuple[int, tuple[str, ...]]], mapping: Mapping[str, str]) -> int:
    """Return the index of the record that is the header, or of the one that looks most like it."""
    if mapping:
        for index, (_, cells) in enumerate(records):
            if mapping.keys() <= set(_distinct(cells)):
                return index
    found = find_header(records)
    if found is not None:
        return found
    filled = [sum(map(bool, map(_clean, cells))) for _, cells in records[:_SEARCHED]]
    return filled.index(max(filled))


def _whole_header(rows: Sequence[tuple[str, ...]], index: int) -> tuple[tuple[str, ...], int]:
    """Return the header's cells, and the index of its last row: with merged cells it has two.

    The other row is the one above, if it names something where the header is empty; or else the one below, if it holds
    nothing but known names.
    """
    cells = rows[index]
    above = rows[index - 1] if index else ()
    pairs = list(zip_longest(above, cells, fillvalue=""))
    if any(recognise(["" if _clean(cell) else upper for upper, cell in pairs])):
        return tuple(cell if _clean(cell) else upper for upper, cell in pairs), index
    below = rows[index + 1] if index + 1 < len(rows) else ()
    names = [cell for cell in below if _clean(cell)]
    if names and all(recognise(names)) and not all(map(_clean, cells)):
        pairs = list(zip_longest(cells, below, fillvalue=""))
        return tuple(lower if _clean(lower) else cell for cell, lower in pairs), index + 1
    return cells, index


def _columns(
    header: Sequence[str], rows: Sequence[Sequence[str]], mapping: Mapping[str, str]
) -> list[tuple[Column | None, int]]:
    """Give every column its meaning, with a score: the mapping's, else what its name stands for, else an attribute."""
    mapped = [target for target in mapping.values() if target]
    if twice := [target for target in dict.fromkeys(mapped) if mapped.count(target) > 1]:
        raise FileError("mapping_twice", fields=twice)
    guesses = recognise(["" if text in mapping else text for text in header], rows)
    taken = {*mapped, *(guess.field for guess in guesses if guess)}
    columns: list[tuple[Column | None, int]] = []
    for text, guess in zip(header, guesses, strict=True):
        if text in {ROW_COLUMN, ERROR_COLUMN} or mapping.get(text) == "":
            columns.append((None, 0))
        elif text in mapping:
            columns.append((column_called(mapping[text]), EXACT))
        elif guess and guess.field not in mapped:
            columns.append((column_called(guess.field), guess.score))
        else:
            columns.append((Column(_free(text, taken), "text"), 0))
    return columns


def column_called(name: str) -> Column:
    """Return the column of a field, or of an attribute that is called so."""
    name = _clean(name)
    return Column(name, kind_of(name) if name in FIELDS else "text")


def with_choices(column: Column, ticket_types: tuple[str, ...]) -> Column:
    """Let the ticket type be one of those that the event has, if they are given."""
    return Column(TICKET_TYPE, "choice", ticket_types) if ticket_types and column.name == TICKET_TYPE else column


def _distinct(cells: Sequence[str]) -> tuple[str, ...]:
    """Return the header's names, cleaned; an empty one gets its place as its name, and a repeated one a number."""
    taken: set[str] = set()
    return tuple(_free(_clean(cell) or f"column {place}", taken) for place, cell in enumerate(cells, start=1))


def _free(name: str, taken: set[str]) -> str:
    """Return *name*, or its first numbered variant that is not *taken*, and take it."""
    free, number = name, 1
    while free in taken:
        number += 1
        free = f"{name} ({number})"
    taken.add(free)
    return free


def _clean(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).replace("\ufeff", "").split())
