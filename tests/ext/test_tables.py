"""The tables that both implementations share hold what they promise."""

import unicodedata

from evq_ext import _tables


def plain_characters() -> set[str]:
    return {chr(code) for first, last in _tables.PLAIN_RANGES for code in range(first, last + 1)}


def test_cleaning_leaves_a_plain_character_as_it_is() -> None:
    for character in plain_characters():
        assert character.translate(_tables.CLEANING) == character
        assert unicodedata.normalize("NFC", character) == character
        assert unicodedata.combining(character) == 0


def test_what_is_judged_16_bytes_at_a_time_is_plain() -> None:
    judged = (*range(0x5000, 0x9000), *range(0xAC00, 0xD780))  # `evq_plain` in `_simd.h`
    assert set(map(chr, judged)) <= plain_characters()


def test_no_plain_character_composes_with_the_one_before_it() -> None:
    second_halves = {
        chr(int(parts[-1], 16))
        for code in range(0x110000)
        if len(parts := unicodedata.decomposition(chr(code)).split()) == 2 and not parts[0].startswith("<")
    }
    hangul_vowels_and_finals = {chr(code) for code in range(0x1161, 0x11C3)}  # composed by rule, not by table
    assert not plain_characters() & (second_halves | hangul_vowels_and_finals)


def test_every_space_and_control_character_of_unicode_is_cleaned() -> None:
    for code in range(0x110000):
        character = chr(code)
        category = unicodedata.category(character)
        if category in {"Zs", "Zl", "Zp"} and character != " ":
            assert _tables.CLEANING[code] == " "
        if category == "Cc":
            assert _tables.CLEANING[code] in {" ", None}
