"""The automaton finds what regular expressions find."""

import random
import re

import phonenumbers
import pytest

from evq_ext.contacts._digits import PatternError, Patterns, States

PATTERNS = [
    *(r"[13-6]\d{2}", r"(?:0|90)(?:(1[245]|2)\d{1,2})?", r"0(8(?:[1-46-8]|5\d\d))?", "7", "", r"1{2,3}|(2|3)?4"),
    *(
        desc.national_number_pattern
        for region in ("KR", "GB", "CN", "BR")
        if (metadata := phonenumbers.PhoneMetadata.metadata_for_region(region, None))
        for desc in (metadata.general_desc, metadata.fixed_line, metadata.mobile)
        if desc and desc.national_number_pattern
    ),
]


def digits(chance: random.Random, pattern: str) -> str:
    """Return digits that go some way along the pattern."""
    patterns, found = Patterns(), ""
    states = patterns.whole(pattern, -1)
    for _ in range(chance.randrange(13)):
        ways = [digit for digit in range(10) if patterns.step(states, digit)] or list(range(10))
        found += str(chance.choice(ways if chance.random() < 0.95 else range(10)))
        states = patterns.step(states, int(found[-1]))
    return found


def after(patterns: Patterns, states: States, text: str) -> States:
    for digit in text:
        states = patterns.step(states, int(digit))
    return states


@pytest.mark.parametrize("pattern", PATTERNS)
def test_the_automaton_finds_what_the_expression_finds(pattern: str) -> None:
    chance = random.Random(pattern)
    patterns = Patterns()
    states = patterns.whole(pattern, -1) | patterns.beginning(pattern, -2) | patterns.whole(r"\d{13}", -3)
    matched = 0
    for _ in range(300):
        text = digits(chance, pattern)
        found = after(patterns, states, text)
        assert (-1 in found) == bool(re.fullmatch(pattern, text)), text
        assert (-2 in found) == any(re.fullmatch(pattern, text[:end]) for end in range(len(text) + 1)), text
        matched += -1 in found
    assert matched


def test_where_no_whole_can_be_found_any_more_there_is_nothing_left() -> None:
    patterns = Patterns()
    states = patterns.whole("12", -1) | patterns.beginning("1", -2)
    assert after(patterns, states, "12") >= {-1, -2}
    assert not after(patterns, states, "123")


@pytest.mark.parametrize("pattern", ["1+", "[^1]", "1*", r"\D", "(?=1)", "a", "1{,2}"])
def test_a_pattern_written_otherwise_is_refused_not_misread(pattern: str) -> None:
    with pytest.raises(PatternError, match="not a pattern of digits"):
        Patterns().whole(pattern, -1)
