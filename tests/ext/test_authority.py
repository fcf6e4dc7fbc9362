"""Where the answer is certain without asking, the libraries give the same one."""

import re
from typing import Final

import email_validator
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from evq_ext import _tables, authority

LOCALS: Final = st.from_regex(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,12}", fullmatch=True)
LABELS: Final = st.from_regex(r"[A-Za-z0-9-]{1,8}", fullmatch=True) | st.integers(60, 65).map(lambda n: "x" * n)
TLDS: Final = st.sampled_from(
    ["kr", "COM", "org", "museum", "x", "k1", "local", "Test", "onions", "xn--3e0b707e", "한국"]
)
EMAILS: Final = st.builds(
    lambda local, labels, tld: f"{local}@{'.'.join([*labels, tld])}",
    LOCALS | st.integers(180, 256).map(lambda n: "y" * n),
    st.lists(LABELS, max_size=3),
    TLDS,
)
SEPARATORS: Final = st.sampled_from(["", "-", ".", " ", "--", "/", "~"])
PHONES: Final = st.builds(
    "{}{}{}{}{}{}{}".format,
    st.sampled_from(["", "0", "+82", "82", "+82-0", "(0", "00", "+81", "tel:"]),
    SEPARATORS,
    st.sampled_from(["10", "10", "10", "11", "2", "15"]),
    SEPARATORS,
    st.from_regex(r"[0-9]{3,5}", fullmatch=True),
    SEPARATORS,
    st.from_regex(r"[0-9]{3,5}", fullmatch=True),
)


def mutated(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Change one place of a value, which is where rules break."""

    def change(value: str, at: int, new: str, cut: int) -> str:
        at %= len(value) + 1
        return value[:at] + new + value[at + cut :]

    return st.builds(
        change, values, st.integers(0, 300), st.sampled_from([*'@.-_ 0aZé가"<#;x,', ""]), st.integers(0, 1)
    )


@settings(max_examples=1_500, deadline=None)
@given(EMAILS | mutated(EMAILS))
@example("a" * 64 + "@" + ".".join(["b" * 63] * 2 + ["c" * 57, "kr"]))
@example("Postmaster@x.kr")
def test_a_certain_email_is_what_the_library_says(text: str) -> None:
    if _tables.CERTAIN_EMAIL.match(text):
        assert text.lower() == authority.ask_email(text)


@settings(max_examples=1_500, deadline=None)
@given(PHONES | mutated(PHONES))
def test_a_certain_phone_number_is_what_the_library_says(text: str) -> None:
    certain = _tables.CERTAIN_PHONE.fullmatch(text)
    if certain:
        assert authority.e164(text, "KR") == authority.ask_e164(text, "KR")


@pytest.mark.parametrize("separators", [(a, b) for a in ("", "-", ".", " ") for b in ("", "-", ".", " ")])
@pytest.mark.parametrize("prefix", ["010", "10", "+8210", "+82 10", "+82-10", "+82.10"])
def test_each_certain_range_of_phone_numbers_is_assigned(prefix: str, separators: tuple[str, str]) -> None:
    for first in range(10):
        for rest in ("000", "999"):
            text = f"{prefix}{separators[0]}{first}{rest}{separators[1]}0000"
            assert bool(_tables.CERTAIN_PHONE.fullmatch(text)) == (first != 5)
            if first != 5:
                assert authority.e164(text, "KR") == authority.ask_e164(text, "KR")


@settings(max_examples=300, deadline=None)
@given(st.from_regex(r"1[0-9]{8,9}", fullmatch=True))
def test_the_library_gives_a_korean_number_its_lost_zero_back(text: str) -> None:
    def ask(text: str) -> str:
        try:
            return authority.ask_e164(text, "KR")
        except ValueError:
            return "refused"

    assert ask(text) == ask(f"0{text}")


@given(st.text(max_size=80) | mutated(EMAILS) | mutated(PHONES))
@settings(max_examples=600, deadline=None)
def test_the_libraries_raise_nothing_but_value_errors(text: str) -> None:
    for ask in (authority.ask_email, lambda value: authority.ask_e164(value, "KR")):
        try:
            assert ask(text)
        except ValueError as error:
            assert str(error)


def test_no_text_longer_than_an_address_can_be_is_one() -> None:
    for text in (f'"Kim" <{"a" * 245}@x.kr>', f"{'a' * 250}@x.kr", f'"{"a" * 260}"@x.kr'):
        with pytest.raises(email_validator.EmailNotValidError):
            email_validator.validate_email(text, check_deliverability=False)


def test_the_tables_name_the_special_domains_of_the_library() -> None:
    assert sorted(_tables.SPECIAL_USE_TLDS) == sorted(email_validator.SPECIAL_USE_DOMAIN_NAMES)


def test_the_tables_are_bound_to_the_versions_they_were_checked_against() -> None:
    assert authority.EMAIL_TABLES_FIT
    assert authority.PHONE_TABLES_FIT
    assert not authority._tables_fit("email-validator", re.compile(r"0\.0\.0"))
