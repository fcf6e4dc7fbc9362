"""What an organiser is told of a file that is refused as a whole."""

import re
from string import Formatter

import pytest

from evq_server.files.refusals import KINDS, TEXTS, FileError


def names_in(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}


@pytest.mark.parametrize("code", TEXTS)
def test_each_refusal_has_both_languages_with_the_same_parameters(code: str) -> None:
    english, korean = TEXTS[code]["en"], TEXTS[code]["ko"]
    assert names_in(english) == names_in(korean)
    assert re.search("[가-힣]", korean)
    assert not re.search("[가-힣]", english)


OF_AN_OPTION = {
    *("encoding_unknown", "encoding_of_workbook", "sheet_of_text", "sheet_unknown", "mapping_unknown", "mapping_twice"),
    *("value_of_email", "value_twice", "value_wrong"),
}
"""Refusals that nobody meets who gives no such option."""


@pytest.mark.parametrize("code", sorted(TEXTS.keys() - OF_AN_OPTION))
def test_what_an_option_would_mend_is_first_told_how_to_be_mended_in_the_file(code: str) -> None:
    remedies, option, _ = TEXTS[code]["en"].partition("option `")
    assert not option or "; or " in remedies
    assert ("` 옵션" in TEXTS[code]["ko"]) == bool(option)


def test_each_kind_of_file_has_both_languages() -> None:
    assert all(names.keys() == {"en", "ko"} for names in KINDS.values())


def test_a_refusal_reads_as_english_and_can_be_said_in_korean() -> None:
    error = FileError("not_a_list", kind="pdf")
    assert (
        str(error)
        == error.text("en")
        == ("This is a PDF file, not a participants list. Export it as CSV or XLSX and upload that.")
    )
    assert error.text("ko") == "참가자 명단이 아니라 PDF 파일입니다. CSV나 XLSX로 내보내서 다시 올려 주세요."


def test_numbers_are_grouped_and_braces_in_names_are_text() -> None:
    assert str(FileError("rows_rejected", count=12_345)).startswith("12,345 rows have errors")
    assert '"{x}"' in str(FileError("mapping_twice", fields=["{x}"]))


def test_of_many_names_the_first_are_shown() -> None:
    error = FileError("mapping_unknown", names=["x"], columns=[f"c{number}" for number in range(25)])
    assert str(error).endswith('"c18", "c19" and 5 more.')
    assert error.text("ko").endswith('"c18", "c19" 외 5개')
