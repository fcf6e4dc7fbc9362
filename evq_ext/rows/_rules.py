"""What a row must be: how its cells are cleaned, and all that can be wrong with it."""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, get_args

from evq_ext import _tables
from evq_ext.contacts import authority, refusals
from evq_ext.contacts._domains import MISSPELT
from evq_ext.rows._records import ROW_TOO_LONG
from evq_ext.types import Column, DuplicatePolicy, Finding, Kind, NumberBy

_RUN_OF_SPACES: Final = re.compile(" +")
_SCIENTIFIC: Final = re.compile(r"[0-9](?:[.,][0-9]+)?E\+?[0-9]{1,3}", re.IGNORECASE)
# A whole number as a program writes a floating-point one. More zeros may be digits of a phone number: "1588.0000".
_WITH_FRACTION: Final = re.compile(r"([0-9]+)\.00?")
_MARKED_AS_TEXT: Final = tuple(_tables.TEXT_MARK + start for start in _tables.FORMULA_STARTS)
BUSY: Final = (
    "Another call of this parser is under way in another thread, or was broken off by an error. Feed a parser from one "
    "thread at a time, and make a new one after an error."
)


class _CellError(Exception):
    """One cell is wrong: the code and parameters of its Finding."""

    def __init__(self, code: str, **params: int | str) -> None:
        super().__init__(code)
        self.code = code
        self.params = params


class Verdict(NamedTuple):
    """Hold what became of a row: the raw cells, and either a value for each kept column or errors."""

    raw: tuple[str, ...]
    values: tuple[str, ...]
    errors: tuple[Finding, ...]
    warnings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Hold the options of a parser, checked; judge its rows."""

    columns: tuple[Column | None, ...]
    delimiter: bytes
    skip_records: int
    number_by: NumberBy
    region: str
    duplicates: DuplicatePolicy

    def __post_init__(self) -> None:
        """Raise ValueError, naming the option, for one that no parser can obey."""
        names = [column.name for column in self.kept]
        if len(set(names)) < len(names):
            raise ValueError(f"columns: two columns are called the same among {names}; give each its own name.")
        for column in self.kept:
            _check_choice(f"the kind of column {column.name!r}", column.kind, get_args(Kind))
            _check_choices(column)
        if not any(column.kind == "email" for column in self.kept):
            raise ValueError("columns: none is of kind 'email', which tells the participants apart; add one.")
        _check_choice("delimiter", self.delimiter, _tables.DELIMITERS)
        _check_choice("number_by", self.number_by, get_args(NumberBy))
        _check_choice("duplicates", self.duplicates, get_args(DuplicatePolicy))
        if self.region not in authority.REGIONS:
            raise ValueError(f"region is {self.region!r}; give an ISO 3166 code that phonenumbers knows, such as 'KR'.")
        if self.skip_records < 0:
            raise ValueError(f"skip_records is {self.skip_records}; it must be 0 or more.")

    @property
    def kept(self) -> tuple[Column, ...]:
        """The columns that are not ignored, in upload order."""
        return tuple(column for column in self.columns if column is not None)

    @property
    def identity(self) -> Column:
        """The column whose value tells participants apart: the first one of kind "email"."""
        return next(column for column in self.kept if column.kind == "email")

    def judge(self, cells: Sequence[bytes], fault: str) -> Verdict | None:
        """Clean and check one record; return None for a blank one."""
        raw = tuple(cell.decode(errors="replace") for cell in cells)
        if fault:
            limit: dict[str, int | str] = {"limit": _tables.RECORD_MAX_BYTES} if fault == ROW_TOO_LONG else {}
            return Verdict(raw, (), (Finding("", -1, "", fault, limit),), ())
        if all(_is_blank(text) for text in raw):
            return None
        width = len(self.columns)
        errors: list[Finding] = []
        if not all(_is_blank(text) for text in raw[width:]):
            errors.append(Finding("", -1, "", "too_many_cells", {"cells": len(raw), "columns": width}))
        warnings: list[Finding] = []
        values: list[str] = []
        for place in range(max(width, len(raw))):
            column = self.columns[place] if place < width else None
            text = raw[place] if place < len(raw) else ""
            if "\ufffd" in text and not _is_utf8(cells[place]):
                errors.append(Finding(column.name if column else "", place, text, "bad_bytes", {}))
            elif column:
                try:
                    value = _check_cell(column, text, self.region)
                except _CellError as error:
                    errors.append(Finding(column.name, place, text, error.code, error.params))
                else:
                    values.append(value)
                    warnings += _doubts(column, place, text, value, self.region)
        return Verdict(raw, (), tuple(errors), ()) if errors else Verdict(raw, tuple(values), (), tuple(warnings))


def check_call(size: int, *, fed: int, finished: bool) -> None:
    """Raise ValueError if `size` bytes cannot be fed after the `fed` ones: too many, or the parser is finished."""
    if finished:
        raise ValueError("This parser is finished; make a new one for the next file.")
    if size > _tables.FEED_MAX_BYTES:
        raise ValueError(f"{size} bytes are too many for one call; feed at most {_tables.FEED_MAX_BYTES} at a time.")
    if fed + size > _tables.FILE_MAX_BYTES:
        raise ValueError(f"{fed + size} bytes are too many for one file; at most {_tables.FILE_MAX_BYTES} can be read.")


def duplicate_of(rules: Rules, raw: tuple[str, ...], first_row: int) -> Finding:
    """Return the error of a row whose e-mail an earlier row has."""
    place = rules.columns.index(rules.identity)
    return Finding(rules.identity.name, place, raw[place], "duplicate_in_file", {"first_row": first_row})


def with_mark(cell: str) -> str:
    """Return a cell that a spreadsheet takes for text, whatever it begins with (OWASP, CSV Injection)."""
    return _tables.TEXT_MARK + cell if cell.startswith(_tables.FORMULA_STARTS) else cell


def without_mark(raw: str) -> str:
    """Return a raw cell without the apostrophe by which a spreadsheet knows that it is text, not a formula.

    Do it before cleaning, which would remove some of the characters that make the apostrophe a mark.
    """
    return raw.removeprefix(_tables.TEXT_MARK) if raw.startswith(_MARKED_AS_TEXT) else raw


def clean(text: str) -> str:
    """Return `text` in NFC, without invisible characters, its spaces plain, single, and none at the ends.

    Characters are removed before NFC is made, so that what they kept apart composes: cleaning twice changes nothing.
    """
    composed = unicodedata.normalize("NFC", text.translate(_tables.CLEANING))
    return _RUN_OF_SPACES.sub(" ", composed).strip(" ")


def without_fraction(text: str) -> str:
    """Return a phone number as it was before a program took it for a floating-point one, as in "1012345678.0"."""
    fraction = _WITH_FRACTION.fullmatch(text)
    return fraction[1] if fraction else text


def _check_cell(column: Column, raw: str, region: str) -> str:
    """Return the value of a cell; raise _CellError if it has none."""
    cell = without_mark(raw)
    _check_length("cell_too_long", cell, _tables.CELL_MAX_CHARS)
    text = clean(cell)
    match column.kind:
        case "name":
            return _check_name(text)
        case "email":
            return _check_email(text)
        case "phone":
            return _check_phone(without_fraction(text), region)
        case "text":
            return _check_length("text_too_long", text, _tables.TEXT_MAX_CHARS)
        case "choice":
            return _find_choice(text, column.choices)


def _check_name(text: str) -> str:
    if not text:
        raise _CellError("name_missing")
    return _check_length("name_too_long", text, _tables.NAME_MAX_CHARS)


def _check_email(text: str) -> str:
    if not text:
        raise _CellError("email_missing")
    try:
        return authority.normal_email(text)
    except ValueError as error:
        raise _CellError("email_invalid", **refusals.reason_of(text, str(error))) from error


def _check_phone(text: str, region: str) -> str:
    if not text or text in _tables.NO_PHONE:
        return ""
    if _SCIENTIFIC.fullmatch(text):
        raise _CellError("phone_scientific")
    try:
        return authority.e164(text, region)
    except ValueError as error:
        raise _CellError("phone_invalid", region=region) from error


def _doubts(column: Column, place: int, raw: str, value: str, region: str) -> Iterator[Finding]:
    """Yield the warnings about a cell that has the value."""
    match column.kind:
        case "email":
            domain = value.rpartition("@")[2]
            if domain in MISSPELT:
                params: dict[str, int | str] = {"domain": domain, "suggestion": MISSPELT[domain]}
                yield Finding(column.name, place, raw, "email_misspelt", params)
        case "phone":
            if authority.is_zero_restored(without_fraction(clean(without_mark(raw))), value, region):
                restored: dict[str, int | str] = {"restored": authority.national_form(value)}
                yield Finding(column.name, place, raw, "phone_zero_restored", restored)
        case _:
            return


def _find_choice(text: str, choices: Sequence[str]) -> str:
    """Return the choice as it is spelt among `choices`, whatever the case of `text`."""
    if not text:
        return ""
    for choice in choices:
        if choice.casefold() == text.casefold():
            return choice
    raise _CellError("not_a_choice", choices=", ".join(choices))


def spellings(choices: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield the usual spellings of each choice, those as long as itself in UTF-8, and the choice that each means.

    Those that are the choice itself come first, as they do in lists.
    """
    yield from zip(choices, choices, strict=True)
    for choice in choices:
        for spelt in {choice.lower(), choice.upper(), choice.title()} - {choice}:
            if spelt.casefold() == choice.casefold() and len(spelt.encode()) == len(choice.encode()):
                yield spelt, choice


def _check_length(code: str, text: str, limit: int) -> str:
    if len(text) > limit:
        raise _CellError(code, length=len(text), limit=limit)
    return text


def _check_choices(column: Column) -> None:
    if (column.kind == "choice") != bool(column.choices):
        raise ValueError(f"columns: choices belong to kind 'choice', and to no other; see column {column.name!r}.")
    if len({choice.casefold() for choice in column.choices}) < len(column.choices):
        raise ValueError(f"columns: two choices of column {column.name!r} differ in case only; leave one of them out.")
    for choice in column.choices:
        if not choice or clean(choice) != choice or len(choice) > _tables.TEXT_MAX_CHARS:
            raise ValueError(
                f"columns: {choice!r} cannot be a choice of column {column.name!r}; no clean cell is that."
            )


def _is_blank(text: str) -> bool:
    return not text or not clean(without_mark(text))


def _is_utf8(cell: bytes) -> bool:
    try:
        cell.decode()
    except UnicodeDecodeError:
        return False
    return True


def _check_choice(option: str, value: object, choices: Sequence[object]) -> None:
    if value not in choices:
        raise ValueError(f"{option} is {value!r}; choose one of {', '.join(map(repr, choices))}.")
