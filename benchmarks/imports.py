"""How fast a participants file is read: the compiled core, its twin, and the program one would write by hand."""

import csv
import io
import random
import time
from collections.abc import Callable
from functools import partial
from typing import Final

import phonenumbers
from email_validator import validate_email

import evq_ext
from benchmarks.measuring import Effort, Row, alternate, figures, rate
from evq_ext import Column, _reference

ROWS: Final = 100_000
SAMPLE: Final = 2_000
"""Rows of the case with the hand-written program, which is slow."""
CHUNK: Final = 256 * 1024
"""Bytes fed at a time, as an import does."""
Read = Callable[[bytes], int]
"""Read a file, and say how many of its rows are accepted."""
Parser = type[evq_ext.RowParser] | type[_reference.RowParser]
# Where the core could not be compiled these are one and the same.
PARSERS: Final[dict[str, Parser]] = {evq_ext.IMPLEMENTATION: evq_ext.RowParser, "reference": _reference.RowParser}
COLUMNS: Final = (Column("name", "name"), Column("email", "email"), Column("phone", "phone"), Column("note", "text"))

NAMES: Final = ["김민준", "이서연", "박도윤", "남궁 하은", "Anna Schmidt", "Chen Wei", "María García"]
NOTES: Final = ["", "", "", "채식 식단 요청", '"오후부터, 늦게 참석"', "R&D"]
BAD_EMAILS: Final = ["없음", "minjun.example.org", "jiho@@example.com"]
# As people write them, with how many of a hundred do; the land lines are what the core hands to the library.
PHONES: Final = {"010-{}-{}": 58, "010{}{}": 15, "+82 10-{}-{}": 10, "": 14, "02-{}-{}": 3}


def measure(effort: Effort) -> list[Row]:
    parsers: dict[str, Read] = {name: partial(_parse, parser) for name, parser in PARSERS.items()}
    by_hand: dict[str, Read] = {"by hand": parse_by_hand}
    return [
        *_case(effort.of(ROWS), parsers, effort.rounds),
        *_case(effort.of(SAMPLE), parsers | by_hand, effort.rounds),
    ]


def _case(count: int, subjects: dict[str, Read], rounds: int) -> list[Row]:
    """Let all subjects read the same file; raise RuntimeError if they do not accept the same number of rows."""
    data = people_csv(count)
    accepted = {name: read(data) for name, read in subjects.items()}
    if len(set(accepted.values())) > 1:
        raise RuntimeError(f"The subjects do not do the same work: of {count} rows they accept {accepted}.")
    taken = alternate({name: partial(_speed, read, data, count) for name, read in subjects.items()}, rounds)
    return figures("import", f"{count:,} rows", taken, unit="rows/s", better="higher")


def _speed(read: Read, data: bytes, count: int) -> float:
    start = time.perf_counter()
    read(data)
    return rate(count, start)


def people_csv(count: int) -> bytes:
    """Invent a file of *count* people, about 3 % of whom have a wrong e-mail address; always the same."""
    chance = random.Random(20260301)
    forms = chance.choices(list(PHONES), list(PHONES.values()), k=count)
    lines = ["name,email,phone,note"]
    for number, form in enumerate(forms):
        email = chance.choice(BAD_EMAILS) if chance.random() < 0.03 else f"guest.{number}@example.org"
        phone = form.format(chance.randrange(2000, 5000), chance.randrange(1000, 10_000))
        lines.append(f"{chance.choice(NAMES)},{email},{phone},{chance.choice(NOTES)}")
    return "\n".join(lines).encode()


def _parse(parser_class: Parser, data: bytes) -> int:
    parser = parser_class(COLUMNS, skip_records=1)
    batches = [parser.feed(data[start : start + CHUNK]) for start in range(0, len(data), CHUNK)]
    return sum(batch.count for batch in [*batches, parser.finish()])


def parse_by_hand(data: bytes) -> int:
    """Read the file as one would without evq_ext: the standard library, and the authorities on e-mail and phone."""
    accepted: dict[str, dict[str, str]] = {}
    for row in csv.DictReader(io.StringIO(data.decode())):
        try:
            email = validate_email(row["email"].strip(), check_deliverability=False).normalized.lower()
            phone = _e164(row["phone"].strip())
        except (ValueError, phonenumbers.NumberParseException):
            continue
        name = row["name"].strip()
        if name and email not in accepted:
            accepted[email] = {"name": name, "email": email, "phone": phone, "note": row["note"].strip()}
    return len(accepted)


def _e164(text: str) -> str:
    if not text:
        return ""
    number = phonenumbers.parse(text, "KR")
    if not phonenumbers.is_valid_number(number):
        raise ValueError(text)
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
