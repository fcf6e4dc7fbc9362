"""Where the answer is certain without asking, the libraries give the same one."""

import ast
import importlib
import inspect
import re
from collections.abc import Iterator
from typing import Final, NoReturn

import email_validator
import phonenumbers
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from evq_ext import _tables
from evq_ext.contacts import _dialling, authority, refusals
from evq_ext.contacts._digits import PatternError

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


@settings(max_examples=300, deadline=None)
@given(EMAILS | mutated(EMAILS))
@example("a" * 64 + "@" + ".".join(["b" * 63] * 2 + ["c" * 57, "kr"]))
@example("Postmaster@x.kr")
def test_a_certain_email_is_what_the_library_says(text: str) -> None:
    if _tables.CERTAIN_EMAIL.match(text):
        assert text.lower() == authority.ask_email(text)


@settings(max_examples=300, deadline=None)
@given(PHONES | mutated(PHONES))
def test_a_certain_phone_number_is_what_the_library_says(text: str) -> None:
    certain = _dialling.plan_of("KR").read(text)
    if certain is not None:
        assert certain == authority.ask_e164(text, "KR")


@pytest.mark.parametrize(
    "text",
    [
        *("010-1234-5678", "01012345678", "010 1234 5678", "1012345678", "+82 10-1234-5678", "+82-(0)10.1234.5678"),
        *(
            "02-312-3456",
            "(02) 312-3456",
            "02)2345-6789",
            "031-200-1234",
            "064-123-4567",
            "070-1234-5678",
            "821012345678",
        ),
        *("1588-1234", "080-123-4567", "011-123-4567", "0505-123-4567"),
    ],
)
def test_the_usual_forms_of_korean_numbers_are_certain(text: str) -> None:
    assert _dialling.plan_of("KR").read(text) == authority.ask_e164(text, "KR")


@pytest.mark.parametrize("region", ["KR", "US", "CA", "JP", "CN", "TW", "GB", "DE", "FR", "IT", "HU", "IN", "VN", "BR"])
def test_the_example_number_of_a_region_is_certain_however_it_is_dialled(region: str) -> None:
    plan = _dialling.Plan(region)
    number = phonenumbers.example_number(region)
    assert number is not None
    national = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.NATIONAL)
    e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    assert plan.read(e164) == plan.read(national) == e164


def test_a_country_of_which_many_numbers_were_met_is_known() -> None:
    plan = _dialling.Plan("KR")
    number = "+44 (0)121-496-0000"
    for _ in range(_dialling.MANY):
        assert plan.read(number) is None
        plan.meet(44)
    assert plan.read(number) == "+441214960000"
    assert plan.read("+442079460000") == "+442079460000"
    assert plan.read("+4512345678") is None


def test_where_the_metadata_cannot_be_read_the_library_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(code: int) -> NoReturn:
        raise PatternError

    monkeypatch.setattr(_dialling, "_country", refuse)
    plan = _dialling.Plan("KR")
    assert plan.read("010-1234-5678") is plan.read("+82 10-1234-5678") is plan.read("12") is None
    assert len(plan.packed) == 24 * 3 + 24  # the first states, and the one behind "+8"


def test_there_is_an_end_to_the_countries_that_are_known() -> None:
    plan = _dialling.Plan("KR")
    plan._nodes += plan._nodes[:1] * (_dialling.STATES_MAX // 2)
    for _ in range(_dialling.MANY):
        plan.meet(44)
    assert plan.read("+442079460000") is None
    assert plan.read("+821012345678") == "+821012345678"


def test_a_number_lacks_its_zero_only_where_it_is_written_with_one() -> None:
    for text, region, lacking in [
        ("1012345678", "KR", True),
        ("312001234", "KR", True),
        ("15881234", "KR", False),
        ("821012345678", "KR", False),
        ("01012345678", "KR", False),
        ("10-1234-5678", "KR", False),
        ("9012345678", "JP", True),
        ("13812345678", "CN", False),
        ("2015550123", "US", False),
        ("9876543210", "IN", False),
    ]:
        number = authority.ask_e164(text, region)
        assert authority.is_zero_restored(text, number, region) is lacking, text


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
    assert not any("." in name for name in email_validator.SPECIAL_USE_DOMAIN_NAMES)
    assert sorted(_tables.SPECIAL_USE_TLDS) == sorted(email_validator.SPECIAL_USE_DOMAIN_NAMES)


def written(node: ast.expr) -> str:
    """Return the text that an expression makes; what is put into it is an x."""
    match node:
        case ast.Constant():
            return str(node.value)
        case ast.JoinedStr():
            return "".join(map(written, node.values))
        case ast.BinOp():
            return written(node.left) + written(node.right)
        case _:
            return "x"


def sentences_of(module: str) -> Iterator[str]:
    """Yield the sentences with which a module of email-validator refuses addresses."""
    for call in ast.walk(ast.parse(inspect.getsource(importlib.import_module(module)))):
        match call:
            case ast.Call(func=ast.Name("EmailSyntaxError"), args=[sentence]) if not isinstance(sentence, ast.Call):
                yield written(sentence)
            case ast.Call(func=ast.Name("check_dot_atom"), args=[_, *forms]):
                yield from (written(form).format(mark) for form in forms for mark in ("period", "hyphen"))


def test_every_sentence_of_the_library_has_a_reason_but_those_behind_all_other_checks() -> None:
    modules = ("email_validator.syntax", "email_validator.validate_email")
    sentences = {sentence for module in modules for sentence in sentences_of(module)}
    reasons = {sentence: refusals.reason_of("", sentence).get("reason") for sentence in sentences}
    assert {*reasons.values(), "many_at", "space"} == {*refusals.REASONS, None}
    assert {sentence for sentence, reason in reasons.items() if reason is None} == {
        "After Unicode normalization: x",
        "Internationalized characters before the @-sign are not supported.",
        "The email address contains an invalid character.",
        "The email address contains invalid characters before the @-sign.",
        "The email address is not valid ASCII.",
    }


def test_an_unknown_sentence_is_no_reason() -> None:
    assert refusals.reason_of("a@x.kr", "Today is Sunday.") == {}


def test_the_tables_are_bound_to_the_versions_they_were_checked_against() -> None:
    assert authority.EMAIL_TABLES_FIT
    assert authority.PHONE_TABLES_FIT
    assert not authority._is_version("email-validator", re.compile(r"0\.0\.0"))
    assert not authority._is_code(phonenumbers.__file__, _tables.PHONENUMBERS_CODE)
    assert not authority._is_code("there/is/no/source.py", _tables.PHONENUMBERS_CODE)
