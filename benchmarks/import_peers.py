"""What the import core is measured beside: the same work, as other tools do it."""

import csv
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

import phonenumbers
import polars as pl
from email_validator import validate_email
from pydantic import BaseModel, EmailStr, Field, ValidationError

from benchmarks.people import TICKETS

# What polars can say of an address or a number in one regular expression: only about what the authorities say.
_EMAIL: Final = r"^[a-z0-9._%+-]+@(?:[a-z0-9-]+\.)+[a-z]{2,}$"
_PHONE: Final = r"^(?:\+82|0)?(10\d{8}|2\d{7,8}|[3-6]\d{8,9})$"
_E164: Final = r"^\+\d{10,12}$"


def polars_columns(path: Path, encoding: str = "utf8") -> int:
    return len(_polars_table(path, encoding))


def polars_tuples(path: Path) -> int:
    return len(_polars_table(path, "utf8").rows())


def _polars_table(path: Path, encoding: str) -> pl.DataFrame:
    """Read, clean, check and de-duplicate with polars' streaming engine, on all cores.

    What is not UTF-8 polars cannot stream: that is read into memory first.
    """
    email, phone = pl.col("email"), pl.col("phone")
    if encoding == "utf8":
        rows = pl.scan_csv(path, infer_schema=False, empty_string_is_null=False)
    else:
        rows = pl.read_csv(path, infer_schema=False, empty_string_is_null=False, encoding=encoding).lazy()
    return (
        rows.with_columns(pl.all().str.strip_chars())
        .with_columns(
            email.str.to_lowercase(),
            phone.str.replace_all(r"[ .-]", "").str.replace(_PHONE, "+82${1}"),
        )
        .filter(
            pl.col("name").str.len_chars().is_between(1, 200),
            email.str.contains(_EMAIL),
            (phone == "") | phone.str.contains(_E164),
            pl.col("ticket").is_in(["", *TICKETS]),
            pl.col("organisation", "note", "registered_at").str.len_chars() <= 2000,
        )
        .unique(subset="email", keep="first", maintain_order=True)
        .collect(engine="streaming")
    )


class _Participant(BaseModel):  # type: ignore[misc]  # mypy looks at no peer
    name: str = Field(min_length=1, max_length=200)
    email: EmailStr
    organisation: str = Field(max_length=2000)
    ticket: str
    note: str = Field(max_length=2000)
    registered_at: str = Field(max_length=2000)


def pydantic_models(path: Path) -> int:
    """Read with csv.DictReader, check with pydantic, and have phonenumbers judge the numbers."""

    def make(row: dict[str, str]) -> tuple[str, object]:
        participant = _Participant.model_validate(row)
        return participant.email.lower(), (participant, _e164(row["phone"]))

    return _count_accepted(path, make)


def by_hand(path: Path) -> int:
    """Read as one would without any of these: the standard library, and the authorities on e-mail and phone."""

    def make(row: dict[str, str]) -> tuple[str, object]:
        email = validate_email(row["email"], check_deliverability=False).normalized.lower()
        if not row["name"]:
            raise ValueError("name")
        return email, row | {"email": email, "phone": _e164(row["phone"])}

    return _count_accepted(path, make)


def _count_accepted(path: Path, make: Callable[[dict[str, str]], tuple[str, object]]) -> int:
    accepted: dict[str, object] = {}
    with path.open(encoding="utf-8", newline="") as file:
        for email, participant in _made(csv.DictReader(file), make):
            accepted.setdefault(email, participant)
    return len(accepted)


def _made(
    rows: Iterable[dict[str, str]], make: Callable[[dict[str, str]], tuple[str, object]]
) -> Iterable[tuple[str, object]]:
    for row in rows:
        try:
            yield make({column: cell.strip() for column, cell in row.items()})
        except (ValidationError, ValueError, phonenumbers.NumberParseException):
            continue


def _e164(text: str) -> str:
    if not text:
        return ""
    number = phonenumbers.parse(text, "KR")
    if not phonenumbers.is_valid_number(number):
        raise ValueError(text)
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
