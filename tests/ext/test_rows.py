"""How cells are cleaned and checked, and how rows are rejected."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evq_ext import Column, Finding, Reject, Warned
from evq_ext.rows._rules import clean

if TYPE_CHECKING:
    from evq_ext import RowParser
    from tests.ext.conftest import Read

ALL_KINDS = (
    Column("name", "name"),
    Column("email", "email"),
    Column("phone", "phone"),
    None,
    Column("note", "text"),
)


UNKNOWN_KIND: Any = Column("x", cast("Any", "date"))


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        ("  홍 \u3000 길동\u00a0", "홍 길동"),
        ("\u1112\u1169\u11bc", "홍"),  # decomposed, as macOS writes it
        ("e\u0301", "é"),
        ("e\u200b\u0301", "é"),  # what is removed must not keep characters apart
        ("Kim\t\v\f Min", "Kim Min"),
        ("K\x00i\x7fm\x1c\x85M\ufeff", "Kim M"),
        ("S\u00ado\u2060n", "Son"),
        ("\u202eevil\u202c", "evil"),
        ("\u3164김", "김"),
        ("null", "null"),
        ("😀 王", "😀 王"),
    ],
)
def test_cells_are_cleaned(read: Read, raw: str, value: str) -> None:
    assert read(f"{raw},a@x.kr").columns["name"] == [value]


def test_every_character_is_cleaned_at_the_beginning_between_spaces_and_at_the_end(read: Read) -> None:
    characters = [chr(code) for code in range(0x80, 0x10000) if not 0xD800 <= code < 0xE000]
    cells = [f"{character}한 {character} 글{character}" for character in characters]
    columns = (Column("name", "name"), Column("email", "email"))
    result = read("".join(f"{cell},{at}@x.kr\n" for at, cell in enumerate(cells)), columns)
    assert result.columns["name"] == [clean(cell) for cell in cells]


def test_line_ends_inside_a_cell_become_one_space(read: Read) -> None:
    assert read('"Kim\r\n\r\nMin",a@x.kr').columns["name"] == ["Kim Min"]


FORMULA_STARTS = list("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")


@pytest.mark.parametrize("start", FORMULA_STARTS)
def test_an_apostrophe_before_a_formula_start_is_no_part_of_the_value(read: Read, start: str) -> None:
    for cell in (f"{start}x", start, f"{start}\u200b\u0301x"):  # plain, blank perhaps, and one that the rules clean
        marked = read(f'"\'{cell}",a@x.kr,,,"\'{cell}"', ALL_KINDS)
        bare = read(f'"{cell}",a@x.kr,,,"{cell}"', ALL_KINDS)
        assert (marked.columns, marked.codes) == (bare.columns, bare.codes)


@pytest.mark.parametrize("text", ["'", "'90", "''=x", "a'=x", "'가", " '=x", "'\u200b=x"])
def test_any_other_apostrophe_is_part_of_the_value(read: Read, text: str) -> None:
    assert read(f"a,a@x.kr,,,{text}", ALL_KINDS).columns["note"] == [clean(text)]


def test_a_marked_email_and_phone_number_are_what_they_are_without_the_mark(read: Read) -> None:
    reading = read("a,'+tag@x.kr,'+82 10-2345-6789,,\na,'tag@x.kr,,,", ALL_KINDS)
    assert reading.columns["email"] == ["+tag@x.kr", "'tag@x.kr"]
    assert reading.columns["phone"] == ["+821023456789", ""]


def test_a_marked_blank_cell_is_blank(read: Read) -> None:
    reading = read("'\t,'\t,,,\na,a@x.kr,,,,'\t", ALL_KINDS)
    assert (reading.rows, reading.rejects, reading.records) == ([2], [], 1)


def test_a_mark_does_not_count_against_the_length_of_a_cell(read: Read) -> None:
    assert read(f"'={' ' * 32_766},a@x.kr").columns["name"] == ["="]
    (error,) = read(f"'={' ' * 32_767},a@x.kr").rejects[0].errors
    assert (error.code, error.params) == ("cell_too_long", {"length": 32_768, "limit": 32_767})


def test_a_reject_keeps_the_mark_of_its_raw_cells(read: Read) -> None:
    (reject,) = read("a,'@x.kr,'+82 10").rejects
    assert reject.cells == ("a", "'@x.kr", "'+82 10")
    assert reject.errors[-1].value == "'@x.kr"


@given(st.text())
def test_cleaning_twice_changes_nothing(text: str) -> None:
    assert clean(clean(text)) == clean(text)


def test_all_errors_of_a_row_are_reported_at_once_in_column_order(read: Read) -> None:
    reading = read(",no mail,12,,ok,extra", ALL_KINDS)
    (reject,) = reading.rejects
    assert reject.cells == ("", "no mail", "12", "", "ok", "extra")
    assert [(error.column, error.value, error.code) for error in reject.errors] == [
        ("", "", "too_many_cells"),
        ("name", "", "name_missing"),
        ("email", "no mail", "email_invalid"),
        ("phone", "12", "phone_invalid"),
    ]
    assert reject.errors[0].params == {"cells": 6, "columns": 5}
    assert reject.errors[2].params == {"reason": "no_at"}


def test_the_raw_cell_is_reported_not_the_cleaned_one(read: Read) -> None:
    assert read("a,  b@ ").rejects == [
        Reject(
            1,
            ("a", "  b@ "),
            (Finding("email", 1, "  b@ ", "email_invalid", {"reason": "nothing_after"}),),
        )
    ]


def test_missing_cells_are_empty_and_empty_extra_cells_are_nothing(read: Read) -> None:
    reading = read("a,a@x.kr\nb,b@x.kr,,,,, \nc", ALL_KINDS)
    assert reading.columns["note"] == ["", ""]
    assert reading.codes == [(3, ["email_missing"])]


def test_a_cell_that_is_not_utf8_is_reported_with_replacements(read: Read) -> None:
    reading = read(b"\xc0\xcc,a@x.kr\nb,b@x.kr\n\xef\xbf\xbd,c@x.kr")
    assert reading.codes == [(1, ["bad_bytes"])]
    assert reading.rejects[0].errors[0].column == "name"
    assert reading.rejects[0].cells == ("\ufffd\ufffd", "a@x.kr")
    assert reading.columns["name"] == ["b", "\ufffd"]


@pytest.mark.parametrize(
    "bad", [b"\xc0\xaf", b"\xc1\xa9", b"\xe0\x80\xa9", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xea\xb0", b"\xb0"]
)
def test_overlong_surrogate_and_cut_sequences_are_not_utf8(read: Read, bad: bytes) -> None:
    assert read(b"a" + bad + b",a@x.kr").codes == [(1, ["bad_bytes"])]


def test_bad_bytes_reject_the_row_even_in_an_ignored_column(read: Read) -> None:
    reading = read(b"a,a@x.kr,,\xff,", ALL_KINDS)
    assert reading.rejects[0].errors == (Finding("", 3, "\ufffd", "bad_bytes", {}),)


@pytest.mark.parametrize(
    ("column", "limit", "code"), [("name", 200, "name_too_long"), ("note", 2_000, "text_too_long")]
)
def test_length_limits_count_characters_after_cleaning(read: Read, column: str, limit: int, code: str) -> None:
    def rows(text: str) -> str:
        return f"{text},a@x.kr,,,\n" if column == "name" else f"a,a@x.kr,,,{text}\n"

    assert read(rows("  " + "가" * limit), ALL_KINDS).columns[column] == ["가" * limit]
    (error,) = read(rows("가" * (limit + 1)), ALL_KINDS).rejects[0].errors
    assert (error.code, error.params) == (code, {"length": limit + 1, "limit": limit})


def test_no_cell_is_longer_than_a_workbook_allows(read: Read) -> None:
    assert read(f"a{' ' * 32_766},a@x.kr").columns["name"] == ["a"]
    (error,) = read(f"a{' ' * 32_767},a@x.kr").rejects[0].errors
    assert (error.code, error.params) == ("cell_too_long", {"length": 32_768, "limit": 32_767})


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        ("Kim@Example.COM", "kim@example.com"),
        (" kim@한국.kr ", "kim@한국.kr"),
        ("kim@xn--3e0b707e.kr", "kim@한국.kr"),
        ("김@x.kr", "김@x.kr"),
        ("ｋｉｍ．ｍｉｎ@x．kr", "kim.min@x.kr"),  # noqa: RUF001
        ("Ｋｉｍ＿１@x.kr", "kim_1@x.kr"),  # noqa: RUF001
    ],
)
def test_an_email_is_normalised_and_lower_case(read: Read, raw: str, value: str) -> None:
    assert read(f"a,{raw}").columns["email"] == [value]


@pytest.mark.parametrize(
    "raw", ["a@b", "a@b.test", "a..b@x.kr", "a@-b.kr", "a b@x.kr", "a@x.kr;b@x.kr", "@", "a" * 9_000]
)
def test_what_the_authority_refuses_is_no_email(read: Read, raw: str) -> None:
    assert read(f"a,{raw}").codes == [(1, ["email_invalid"])]


@pytest.mark.parametrize(
    ("raw", "params"),
    [
        ("a@x.kr, b@x.kr", {"reason": "many_at"}),
        ("a@x.kr;b@x.kr", {"reason": "many_at"}),
        ("a@@x.kr", {"reason": "many_at"}),
        ("a.x.kr", {"reason": "no_at"}),
        ("a\uff20x.kr", {"reason": "odd_at"}),
        ("@x.kr", {"reason": "nothing_before"}),
        ("a@", {"reason": "nothing_after"}),
        ("Kim <a@x.kr>", {"reason": "with_name"}),
        ("김 <a@x.kr", {"reason": "with_name"}),
        ('"a b"@x.kr', {"reason": "quoted"}),
        ('a"b@x.kr', {"reason": "quoted"}),
        ("a@[127.0.0.1]", {"reason": "bracketed"}),
        (".a@x.kr", {"reason": "dot"}),
        ("a.@x.kr", {"reason": "dot"}),
        ("a..b@x.kr", {"reason": "dot"}),
        ("a@.x.kr", {"reason": "dot"}),
        ("a@x.kr.", {"reason": "dot"}),
        ("a@-x.kr", {"reason": "hyphen"}),
        ("a@x.kr-", {"reason": "hyphen"}),
        ("a@ab--c.kr", {"reason": "hyphen"}),
        ("a" * 9_000, {"reason": "too_long"}),
        (f"a@{'x' * 64}.kr", {"reason": "too_long"}),
        ("a@x", {"reason": "no_dot"}),
        ("a@x.1", {"reason": "no_top_level"}),
        ("a@x.local", {"reason": "reserved"}),
        ("a b@x.kr", {"reason": "space"}),
        ("a@x.kr b", {"reason": "space"}),
        ("a@x,kr", {"reason": "character", "characters": ","}),
        ("a\uff0cb@x.kr", {"reason": "character", "characters": ","}),
        ("ａ" * 84 + "@x.kr", {"reason": "too_long"}),  # noqa: RUF001
        ("a'b,;c\\@x.kr", {"reason": "character", "characters": "\\ , ;"}),
        ("a@o'x.kr", {"reason": "character", "characters": "'"}),
        ("a@x\u0378.kr", {"reason": "character", "characters": "U+0378"}),
        ("a@xn--0.kr", {"reason": "no_domain"}),
    ],
)
def test_the_reason_of_a_refused_email_is_told(read: Read, raw: str, params: dict[str, int | str]) -> None:
    quoted = raw.replace('"', '""')
    assert read(f'a,"{quoted}"').rejects[0].errors == (Finding("email", 1, raw, "email_invalid", params),)


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        ("", ""),
        ("010-1234-5678", "+821012345678"),
        ("01012345678", "+821012345678"),
        ("1012345678", "+821012345678"),  # a spreadsheet dropped the zero
        ("111234567", "+82111234567"),
        ("+82 (0)10 1234 5678", "+821012345678"),
        ("02-312-3456", "+8223123456"),
        ("+1 650-253-0000", "+16502530000"),
    ],
)
def test_a_phone_number_becomes_e164(read: Read, raw: str, value: str) -> None:
    assert read(f"a,a@x.kr,{raw}", ALL_KINDS).columns["phone"] == [value]


@pytest.mark.parametrize("raw", ["-", " 없음 ", "N/A", "해당 없음", "なし"])
def test_a_word_that_says_that_there_is_no_number_is_an_empty_cell(read: Read, raw: str) -> None:
    assert read(f"a,a@x.kr,{raw}", ALL_KINDS).columns["phone"] == [""]


@pytest.mark.parametrize(
    ("raw", "value", "codes"),
    [
        ("1012345678.0", "+821012345678", ["phone_zero_restored"]),
        ("21234567.0", "+8221234567", ["phone_zero_restored"]),
        ("311234567.00", "+82311234567", ["phone_zero_restored"]),
        ("821012345678.0", "+821012345678", []),
        ("02.312.3450", "+8223123450", []),
        ("1588.0000", "+8215880000", []),
    ],
)
def test_a_phone_number_has_no_fraction(read: Read, raw: str, value: str, codes: list[str]) -> None:
    result = read(f"a,a@x.kr,{raw}", ALL_KINDS)
    assert result.columns["phone"] == [value]
    assert [warning.code for warned in result.warned for warning in warned.warnings] == codes


@pytest.mark.parametrize("raw", ["010-123-456", "미정", "(-)", "+82 10 5999 1234", "0" * 300])
def test_what_the_authority_refuses_is_no_phone_number(read: Read, raw: str) -> None:
    assert read(f"a,a@x.kr,{raw}", ALL_KINDS).rejects[0].errors == (
        Finding("phone", 2, raw, "phone_invalid", {"region": "KR"}),
    )


@pytest.mark.parametrize(
    "raw",
    [
        *("010-1234-567O", "010-1234-S678", "010-I234-5678", "+82 1O 1234 5678", "010-1234-56B8", "010-12x4-5678"),
        *("010-1234-567x", "010-1234-XXXX", "010 1234 XXXX", "1588-ABCD", "０１０-１２３４-５６７O"),  # noqa: RUF001
    ],
)
def test_a_number_with_a_letter_among_its_digits_is_refused(read: Read, raw: str) -> None:
    assert read(f"a,a@x.kr,{raw}", ALL_KINDS).codes == [(1, ["phone_invalid"])]


@pytest.mark.parametrize(
    "raw",
    [
        *("Tel. 02-312-3456", "tel:02-312-3456", "H.P 02-312-3456", "M) 02-312-3456", "HP02-312-3456"),
        *("02-312-3456 (M)", "02-312-3456 H.P.", "KR +82 2 312 3456"),
        *("02-312-3456 x5", "02-312-3456X5", "02-312-3456 ext. 5", "02-312-3456;ext=5", "02-312-3456 extension 5#"),
    ],
)
def test_letters_may_stand_before_and_behind_a_number_and_mark_an_extension(read: Read, raw: str) -> None:
    assert read(f"a,a@x.kr,{raw}", ALL_KINDS).columns["phone"] == ["+8223123456"]


@pytest.mark.parametrize(
    "raw",
    ["NA", "N/A", "null", "None", "NaN", "nan", "TRUE", "-", "0", "007", "1.0", "1E5", "2026-03-01", "#N/A", "1,5"],
)
def test_a_name_is_a_name_whatever_else_it_could_be(read: Read, raw: str) -> None:
    reading = read(f'"{raw}",a@x.kr,,,"{raw}"', ALL_KINDS)
    assert (reading.columns["name"], reading.columns["note"]) == ([raw], [raw])


@pytest.mark.parametrize("raw", ["1.01E+10", "1.01235E+10", "8.21012E+11", "1,01235e+10", "1E+10"])
def test_a_number_that_a_spreadsheet_shortened_is_told_from_others(read: Read, raw: str) -> None:
    assert read(f'a,a@x.kr,"{raw}"', ALL_KINDS).rejects[0].errors == (Finding("phone", 2, raw, "phone_scientific", {}),)


@pytest.mark.parametrize(
    ("raw", "value", "restored"),
    [
        ("1012345678", "+821012345678", "010-1234-5678"),
        ("312001234", "+82312001234", "031-200-1234"),
        ("23123456", "+8223123456", "02-312-3456"),
    ],
)
def test_a_phone_number_that_lost_its_zero_gets_it_back_with_a_warning(
    read: Read, raw: str, value: str, restored: str
) -> None:
    reading = read(f"a,a@x.kr,{raw}\nb,b@x.kr,010-1234-5678", ALL_KINDS)
    assert reading.columns["phone"] == [value, "+821012345678"]
    assert reading.warned == [Warned(1, (Finding("phone", 2, raw, "phone_zero_restored", {"restored": restored}),))]
    assert reading.warnings == {"phone_zero_restored": 1}


@pytest.mark.parametrize(
    ("domain", "meant"),
    [
        *(
            ("gmial.com", "gmail.com"),
            ("GMAIL.CON", "gmail.com"),
            ("gnail.com", "gmail.com"),
            ("gmail.co", "gmail.com"),
        ),
        *(
            ("navr.com", "naver.com"),
            ("naver.co.kr", "naver.com"),
            ("hanmail.com", "hanmail.net"),
            ("daum.com", "daum.net"),
        ),
    ],
)
def test_a_domain_that_is_one_slip_from_a_known_one_is_taken_with_a_warning(
    read: Read, domain: str, meant: str
) -> None:
    reading = read(f"a,a@{domain}")
    assert reading.columns["email"] == [f"a@{domain.lower()}"]
    params: dict[str, int | str] = {"domain": domain.lower(), "suggestion": meant}
    assert reading.warned == [Warned(1, (Finding("email", 1, f"a@{domain}", "email_misspelt", params),))]


@pytest.mark.parametrize(
    "domain", ["gmail.com", "mail.com", "ymail.com", "yahoo.co.kr", "love.com", "gmial.example.org"]
)
def test_a_domain_that_others_have_is_nothing_to_warn_of(read: Read, domain: str) -> None:
    assert read(f"a,a@{domain}").warned == []


def test_all_warnings_of_a_row_are_given_at_once_and_none_of_a_row_that_is_refused_or_left_out(read: Read) -> None:
    data = "a,a@gmial.com,1012345678\n,b@gmial.com,\na,a@gmial.com,\na,c@gmial.com,031-200-1234"
    reading = read(data, ALL_KINDS)
    assert [(row, [warning.code for warning in warnings]) for row, warnings in reading.warned] == [
        (1, ["email_misspelt", "phone_zero_restored"]),
        (4, ["email_misspelt"]),
    ]
    assert reading.warnings == {"email_misspelt": 2, "phone_zero_restored": 1}


@pytest.mark.parametrize("column", ["email", "phone"])
def test_a_warning_of_two_cells_of_a_row_counts_once(read: Read, column: Literal["email", "phone"]) -> None:
    columns = (Column("id", "email"), Column("one", column), Column("two", column))
    value = {"email": "a@gmial.com", "phone": "1012345678"}[column]
    reading = read(f"a@x.kr,{value},{value}", columns)
    assert len(reading.warned[0].warnings) == 2
    assert list(reading.warnings.values()) == [1]


def test_the_region_is_that_of_numbers_without_a_country_code(read: Read) -> None:
    assert read("a,a@x.kr,(650) 253-0000", ALL_KINDS, region="US").columns["phone"] == ["+16502530000"]


TICKETS = (Column("email", "email"), Column("ticket", "choice", ("일반", "VIP", "Early Bird")))


@pytest.mark.parametrize(
    ("raw", "value"),
    [("일반", "일반"), ("vip", "VIP"), ("Vip", "VIP"), (" vIP ", "VIP"), ("early \u3000bird", "Early Bird"), ("", "")],
)
def test_a_choice_is_spelt_as_it_was_given(read: Read, raw: str, value: str) -> None:
    assert read(f"a@x.kr,{raw}", TICKETS).columns["ticket"] == [value]


def test_what_is_no_choice_is_refused_with_the_choices(read: Read) -> None:
    (error,) = read("a@x.kr,일반석", TICKETS).rejects[0].errors
    assert error == Finding("ticket", 1, "일반석", "not_a_choice", {"choices": "일반, VIP, Early Bird"})


def test_a_row_may_have_no_name_column_and_several_emails(read: Read) -> None:
    columns = (Column("email", "email"), Column("second", "email"))
    reading = read("a@x.kr,B@x.kr\nc@x.kr,no", columns)
    assert reading.columns == {"email": ["a@x.kr"], "second": ["b@x.kr"]}
    assert reading.rejects[0].errors[0].column == "second"


def test_a_duplicate_is_skipped_and_names_the_first_row(read: Read) -> None:
    reading = read("a,a@x.kr\nb,b@x.kr\nc,A@X.kr\nd,a@x.kr")
    assert reading.rows == [1, 2]
    assert reading.duplicates == [(3, 1), (4, 1)]
    assert reading.records == 4


def test_on_update_the_later_row_counts_and_the_earlier_one_is_the_duplicate(read: Read) -> None:
    data = "x,bad\na,a@x.kr\nb,b@x.kr\nc,a@x.kr\nd,a@x.kr"
    for cuts in ([], [30]):
        reading = read(data, duplicates="update", cuts=cuts)
        assert reading.rows == [2, 3, 4, 5]
        assert reading.duplicates == [(2, 4), (4, 5)]


def test_on_error_a_duplicate_is_rejected_with_the_first_row(read: Read) -> None:
    reading = read("a,a@x.kr\nb, A@x.kr", duplicates="error")
    assert reading.rejects == [
        Reject(2, ("b", " A@x.kr"), (Finding("email", 1, " A@x.kr", "duplicate_in_file", {"first_row": 1}),))
    ]


@pytest.mark.parametrize("duplicates", ["skip", "update", "error"])
def test_a_rejected_row_is_never_the_first_of_a_duplicate(read: Read, duplicates: str) -> None:
    reading = read(",a@x.kr\nb,a@x.kr", duplicates=duplicates)
    assert (reading.rows, reading.duplicates) == ([2], [])


def test_many_emails_are_told_apart(read: Read) -> None:
    data = "".join(f"a,u{i}@x.kr\n" for i in range(5_000))
    reading = read(data + data)
    assert len(reading.rows) == 5_000
    assert reading.duplicates == [(5_000 + row, row) for row in range(1, 5_001)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"columns": [Column("name", "name"), None]}, "none is of kind 'email'"),
        ({"columns": [Column("email", "email"), Column("email", "text")]}, "called the same"),
        ({"columns": [Column("email", "email"), UNKNOWN_KIND]}, "kind of column 'x'"),
        ({"columns": [Column("email", "email"), Column("t", "choice")]}, "column 't'"),
        ({"columns": [Column("email", "email", ("a",))]}, "column 'email'"),
        ({"columns": [Column("email", "email"), Column("t", "choice", ("a", " b"))]}, "' b' cannot be a choice"),
        ({"columns": [Column("email", "email"), Column("t", "choice", ("a", "A"))]}, "differ in case only"),
        ({"delimiter": b"x"}, "delimiter"),
        ({"delimiter": b""}, "delimiter"),
        ({"number_by": "page"}, "number_by"),
        ({"duplicates": "maybe"}, "duplicates"),
        ({"region": "Korea"}, "region"),
        ({"skip_records": -1}, "skip_records"),
    ],
)
def test_an_impossible_option_is_refused_by_its_name(
    impl: type[RowParser], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        impl(**({"columns": [Column("email", "email")]} | options))


def test_nothing_can_be_fed_after_the_end(impl: type[RowParser]) -> None:
    parser = impl([Column("email", "email")])
    parser.finish()
    with pytest.raises(ValueError, match="finished"):
        parser.feed(b"a@x.kr")
    with pytest.raises(ValueError, match="finished"):
        parser.finish()
