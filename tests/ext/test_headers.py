"""How the header of a file is found, and its columns recognised."""

import pytest

from evq_ext import FIELDS, Guess, find_header, headers, kind_of, read_records, recognise


def fields_of(header: list[str]) -> list[str | None]:
    return [guess and guess.field for guess in recognise(header)]


@pytest.mark.parametrize(
    ("header", "fields"),
    [
        (["이름", "이메일", "휴대폰", "소속"], ["name", "email", "phone", "organisation"]),
        (["No", "Full Name", "E-Mail *", "Tel.", "비고"], [None, "name", "email", "phone", "note"]),
        (["성명(필수)", "이메일 [필수]", "H.P", "직급"], ["name", "email", "phone", "title"]),
        (["氏名", "メールアドレス", "電話番号", "部署"], ["name", "email", "phone", "department"]),
        (["姓名", "邮箱", "手机", "公司"], ["name", "email", "phone", "organisation"]),
        (["\uff25\uff0dMail", "N\uff41me"], ["email", "name"]),
        (["[이메일]", "개인정보 동의", "티켓종류", "접수번호"], ["email", "consent", "ticket_type", "external_id"]),
        (["", "  ", "???"], [None, None, None]),
    ],
)
def test_columns_are_recognised_by_name(header: list[str], fields: list[str | None]) -> None:
    assert fields_of(header) == fields


@pytest.mark.parametrize(
    ("header", "fields"),
    [
        (["이름"], ["name"]),
        (["성", "이름"], ["family_name", "given_name"]),
        (["Surname", "Name"], ["family_name", "given_name"]),
        (["Last name", "First name"], ["family_name", "given_name"]),
        (["姓", "名"], ["family_name", "given_name"]),
        (["이름", "영문성", "영문이름"], ["name", "family_name", "given_name"]),
        (["성명", "성", "이름"], ["name", "family_name", "given_name"]),
    ],
)
def test_a_name_is_whole_unless_the_family_name_stands_beside_it(header: list[str], fields: list[str]) -> None:
    assert fields_of(header) == fields


def test_a_field_is_claimed_once_by_the_more_telling_name_or_the_first() -> None:
    assert fields_of(["구분", "티켓종류", "메일", "이메일", "이메일"]) == [None, "ticket_type", None, "email", None]


@pytest.mark.parametrize("name", ["이메일", "email", "メールアドレス", "电子邮件"])
def test_a_field_s_most_telling_name_of_each_language_has_the_best_score(name: str) -> None:
    assert recognise([name]) == [Guess("email", 100)]


def test_every_name_of_a_field_means_it_more_or_less_surely() -> None:
    for field, languages in headers._SYNONYMS.items():
        for name in " ".join(languages).split():
            (guess,) = recognise([name])
            assert guess is not None
            assert guess.field == field
            assert 70 <= guess.score <= 100


@pytest.mark.parametrize(
    ("heading", "field"),
    [
        ("성명 / Name", "name"),
        ("이름Name", "name"),
        ("E-mail (이메일)", "email"),
        ("Email | メール", "email"),
        ("휴대폰/Mobile No.", "phone"),
        ("1. 이메일 주소", "email"),
        ("Q3) 연락처", "phone"),
        ("소속/직위", None),
        ("이메일 2", None),
        ("2026", None),
    ],
)
def test_a_heading_in_two_languages_or_with_a_number_means_what_its_parts_mean(heading: str, field: str | None) -> None:
    assert fields_of([heading]) == [field]


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("참가자 이메일", "email"),
        ("Attendee e-mail address", "email"),
        ("신청자 성명", "name"),
        ("본인 휴대폰 번호", "phone"),
        ("회사 이름", None),
        ("School name", None),
        ("비상 연락처", None),
        ("이메일 수신", None),
    ],
)
def test_a_longer_name_is_a_guess_only_where_it_ends_with_a_sure_word(name: str, field: str | None) -> None:
    assert recognise([name]) == [Guess(field, 50) if field else None]


def test_an_exact_name_is_preferred_to_a_longer_one() -> None:
    assert fields_of(["참가자 이메일", "메일"]) == [None, "email"]


@pytest.mark.parametrize("name", ["번호", "ID"])
def test_a_column_that_counts_the_rows_is_no_participant_s_number(name: str) -> None:
    counted = [["1", "a@x.kr"], ["", ""], ["2", "b@x.kr"]]
    assert recognise([name, "이메일"], counted)[0] is None
    assert fields_of([name]) == ["external_id"]
    assert recognise([name], [["17"], ["18"]]) == recognise([name])
    assert recognise([name], [["1"]]) == recognise([name])
    assert recognise(["접수번호"], [["1"], ["2"]]) == recognise(["접수번호"])


def test_a_column_of_addresses_is_the_e_mail_column_if_no_name_says_so() -> None:
    rows = [["kim@x.kr", "kim@x.kr", "a@x.kr"], ["lee@x.kr", "", "none"], ["", "", "none"]]
    assert recognise(["아이디", "?", "기타"], rows) == [Guess("email", 40), None, None]
    assert fields_of(["아이디", "?", "기타"]) == [None, None, None]
    assert recognise(["아이디", "메일"], rows)[0] is None
    assert recognise(["park@x.kr", "lee@x.kr"], rows) == [None, None]  # a row, and no header


def test_the_header_is_found_below_title_lines() -> None:
    text = "2026 참가자 명단,,\n\n작성자: 홍길동,,\n이름,이메일,연락처\n이메일,a@x.kr,\n"
    assert find_header(read_records(text.encode())) == 3


def test_of_two_equally_known_records_the_first_is_the_header() -> None:
    assert find_header(read_records(b"name,email\nname,email\n")) == 0


def test_no_header_is_found_without_an_email_column() -> None:
    assert find_header(read_records("이름,연락처\n홍길동,a@x.kr\n".encode())) is None
    assert find_header([]) is None


@pytest.mark.parametrize(("above", "found"), [(19, 38), (20, None)])
def test_a_header_is_searched_in_the_first_twenty_records_that_are_not_empty(above: int, found: int | None) -> None:
    assert find_header(read_records(("title\n\n" * above + "name,email\n").encode())) == found


def test_each_field_has_a_kind() -> None:
    assert {field: kind_of(field) for field in FIELDS if kind_of(field) != "text"} == {
        "name": "name",
        "email": "email",
        "phone": "phone",
    }
    with pytest.raises(ValueError, match="no field 'shoe_size'"):
        kind_of("shoe_size")


def test_each_synonym_is_written_as_it_is_compared_and_belongs_to_one_field() -> None:
    names = [name for languages in headers._SYNONYMS.values() for name in " ".join(languages).split()]
    assert [name for name in names if headers._normal_form(name) != name] == []
    assert len(set(names)) == len(names)
