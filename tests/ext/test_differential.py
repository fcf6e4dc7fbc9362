"""The libraries against the core: whatever a value is, both implementations make of it what the library does.

`SEED=n` repeats a run; the seed is printed. The slow tests draw a million values each.
"""

import csv
import io
import os
import random
from collections.abc import Callable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Final

import pytest

from evq_ext import Column, _tables
from evq_ext.contacts import _domains, authority
from evq_ext.rows import _rules
from evq_ext.rows._reference import RowParser as ReferenceParser
from tests.ext import generating

if TYPE_CHECKING:
    from evq_ext import RowParser
    from tests.ext.conftest import Parser

SEED: Final = int(os.environ.get("SEED", "0")) or random.randrange(1 << 32)
MILLION: Final = 1_000_000
CHUNK: Final = 20_000
REGIONS: Final = ("KR", "US", "JP", "CN", "GB", "DE", "CA", "IT", "RU", "AR", "BR", "AU", "VA", "KZ", "MX", "SG")


def columns_of(kind: str) -> tuple[Column, Column]:
    return Column("row", "email"), Column("value", "phone" if kind == "phone" else "email")


def read_values(parser_class: "Parser", kind: str, values: list[str], region: str) -> tuple[dict[int, str], set[int]]:
    """Return what the parser has made of each value that it took, by its place, and the places that it warned of."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows((f"n{i}@x.kr", value) for i, value in enumerate(values, start=1))
    parser = parser_class(columns_of(kind), number_by="record", region=region)
    taken: dict[int, str] = {}
    warned: set[int] = set()
    for batch in (parser.feed(text.getvalue().encode(errors="replace")), parser.finish()):
        offsets, data = batch.columns["value"]
        ends = memoryview(offsets).cast("I").tolist()
        for index, row in enumerate(memoryview(batch.rows).cast("I").tolist()):
            taken[row] = data[ends[index] : ends[index + 1]].decode()
        warned.update(found.row for found in batch.warned)
        assert sum(batch.warnings.values()) == len(batch.warned)
    return taken, warned


def expect(values: list[str], ask: Callable[[str], str]) -> dict[int, str]:
    """Return what the library makes of each value that it takes, by its place."""
    expected: dict[int, str] = {}
    for place, value in enumerate(values, start=1):
        text = _rules.clean(_rules.without_mark(value.encode(errors="replace").decode()))
        try:
            expected[place] = ask(text)
        except ValueError:
            continue
    return expected


def compare(
    parser_class: "Parser", kind: str, values: Iterator[str], count: int, region: str, ask: Callable[[str], str]
) -> None:
    while count > 0:
        drawn = list(islice(values, min(count, CHUNK)))
        count -= len(drawn)
        taken, warned = read_values(parser_class, kind, drawn, region)
        expected = expect(drawn, ask)
        different = {p: (drawn[p - 1], taken.get(p), expected.get(p)) for p in taken.keys() | expected.keys()}
        different = {place: found for place, found in different.items() if found[1] != found[2]}
        assert not different, f"SEED={SEED} region={region}: {list(different.values())[:10]}"
        if kind == "phone":
            assert warned == {p for p, number in taken.items() if lost_its_zero(drawn[p - 1], number, region)}
        else:
            assert warned == {p for p, email in taken.items() if email.rpartition("@")[2] in _domains.MISSPELT}


def lost_its_zero(value: str, number: str, region: str) -> bool:
    text = _rules.without_fraction(_rules.clean(_rules.without_mark(value)))
    return authority.is_zero_restored(text, number, region)


def ask_phone(region: str) -> Callable[[str], str]:
    return lambda text: (
        "" if text in {"", *_tables.NO_PHONE} else authority.ask_e164(_rules.without_fraction(text), region)
    )


def compare_emails(compiled: "type[RowParser]", count: int) -> None:
    print(f"\nSEED={SEED}")
    compare(compiled, "email", generating.emails(random.Random(SEED)), count, "KR", authority.ask_email)
    compare(ReferenceParser, "email", generating.emails(random.Random(SEED + 1)), count // 4, "KR", authority.ask_email)


def compare_phones(compiled: "type[RowParser]", count: int, region: str) -> None:
    print(f"\nSEED={SEED}")
    ask = ask_phone(region)
    compare(compiled, "phone", generating.phones(random.Random(SEED), region), count, region, ask)
    compare(ReferenceParser, "phone", generating.phones(random.Random(SEED + 1), region), count // 4, region, ask)


def test_an_email_is_what_the_library_says(compiled: "type[RowParser]") -> None:
    compare_emails(compiled, 2_000)


@pytest.mark.parametrize("region", ["KR", "US", "BR", "DE"])
def test_a_phone_number_is_what_the_library_says(compiled: "type[RowParser]", region: str) -> None:
    compare_phones(compiled, 2_000, region)


@pytest.mark.slow
def test_a_million_emails_are_what_the_library_says(compiled: "type[RowParser]") -> None:
    compare_emails(compiled, MILLION)


@pytest.mark.slow
@pytest.mark.parametrize("region", REGIONS)
def test_a_million_phone_numbers_are_what_the_library_says(compiled: "type[RowParser]", region: str) -> None:
    compare_phones(compiled, MILLION // len(REGIONS), region)
