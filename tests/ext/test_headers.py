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
        (["국문 이름", "H/P", "E-Mail-Adresse", "업체명"], ["name", "phone", "email", "organisation"]),
        (["真实姓名", "联系方式", "邮箱地址", "单位名称"], ["name", "phone", "email", "organisation"]),
        (["Contact No.", "Ticket Class", "Organization Name"], ["phone", "ticket_type", "organisation"]),
        (["Mobile Phone Number", "옵션명", "전자메일"], ["phone", "ticket_type", "email"]),
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
        (["Vorname", "Nachname"], ["given_name", "family_name"]),
        (["Prénom", "Nom"], ["given_name", "family_name"]),
        (["Attendee first name", "Attendee last name"], ["given_name", "family_name"]),
        (["First and last name"], ["name"]),
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
        ("회사 이메일", "email"),
        ("Work e-mail address", "email"),
        ("대표 성명", "name"),
        ("행사 휴대폰 번호", "phone"),
        ("Passport first name", "given_name"),
        ("회사 이름", None),
        ("School name", None),
        ("비상 연락처", None),
        ("이메일 수신", None),
        ("회사 이메일 도메인", None),
    ],
)
def test_a_longer_name_is_a_guess_only_where_it_ends_with_a_sure_word(name: str, field: str | None) -> None:
    assert recognise([name]) == [Guess(field, 50) if field else None]


def test_an_exact_name_is_preferred_to_a_longer_one() -> None:
    assert fields_of(["참가자 이메일", "메일"]) == [None, "email"]


@pytest.mark.parametrize(
    ("headings", "field"),
    [
        (
            "참가자명/응답자 이름/응답자명/참여자/참여자명/신청인/예약자/구매자명/학생명/수강생명/담당자명/담당자",
            "name",
        ),
        (
            "Guest name/Participant's full name/Contact person/Contact name/参加者名/申込者名/お客様氏名/参会人姓名",
            "name",
        ),
        (
            "참가자 연락처/신청자 연락처/담당자 연락처/참가자 전화번호/회원 휴대폰/Customer phone #/申込者 電話番号",
            "phone",
        ),
        ("참가자 메일/담당자 전자우편/Contact email/Student mail", "email"),
        ("신청자 소속/Attendee company", "organisation"),
        ("회원 등급/학생/본인/Member/고객번호/참가자 수/Customer id/학생회 이름/회원사명/본인 확인", None),
    ],
)
def test_a_field_s_name_behind_a_participant_s_role_means_the_field(headings: str, field: str | None) -> None:
    for heading in headings.split("/"):
        assert fields_of([heading]) == [field], heading


@pytest.mark.parametrize(
    ("less", "more"),
    [
        ("담당자명", "참가자"),
        ("예약자", "참석자 이름"),
        ("신청자 연락처", "참가자 연락처"),
        ("담당자 이메일", "회원 이메일"),
        ("Contact name", "Attendee"),
        ("Contact person", "Guest"),
        ("대표 성명", "구매자명"),
    ],
)
def test_of_two_roles_the_one_that_comes_itself_has_the_field(less: str, more: str) -> None:
    first, second = recognise([less, more])
    assert first is None
    assert second is not None


@pytest.mark.parametrize(
    "heading",
    [
        "보호자 연락처",
        "보호자 휴대폰번호",
        "비상연락처",
        "비상 연락 휴대폰",
        "Emergency contact",
        "Emergency contact mobile number",
        "추천인 이름",
        "추천인 성명",
        "추천인 이메일",
        "입금자명",
        "입금자 성함",
        "동반인 성함",
        "세금계산서 이메일",
        "Parent's full name",
        "Mother's last name",
        "紧急联系人姓名",
    ],
)
def test_other_people_than_the_participant_are_not_taken_for_him(heading: str) -> None:
    assert fields_of([heading]) == [None]


@pytest.mark.parametrize(
    ("header", "fields"),
    [
        (["이메일(재입력)", "이메일"], [None, "email"]),
        (["メールアドレス(確認用)", "メールアドレス"], [None, "email"]),
        (["メールアドレス\uff08再入力\uff09", "メールアドレス"], [None, "email"]),
        (["이메일(확인)", "참가자 메일"], [None, "email"]),
        (["Confirm e-mail", "Work e-mail"], [None, "email"]),
        (["이메일 (선택)", "이메일"], [None, "email"]),
        (["연락처(비상)", "참가자 연락처"], [None, "phone"]),
        (["이름(보호자)", "학생명"], [None, "name"]),
        (["이메일 (확인 필수)"], ["email"]),
        (["이메일(1)", "이메일(2)"], ["email", None]),
    ],
)
def test_a_column_that_repeats_a_field_or_holds_somebody_else_s_yields_to_the_plain_one(
    header: list[str], fields: list[str | None]
) -> None:
    assert fields_of(header) == fields


@pytest.mark.parametrize(
    ("heading", "field"),
    [
        ("1. 성함을 적어주세요", "name"),
        ("2. 연락처를 남겨주세요 (010-0000-0000)", "phone"),
        ("3. 이메일을 입력해 주세요", "email"),
        ("4-1. 소속을 기재해 주시기 바랍니다.", "organisation"),
        ("Q5: 참가 구분을 선택해 주십시오 *", "ticket_type"),
        ("이메일 주소를 정확히 기재해 주세요", "email"),
        ("성함이 어떻게 되시나요?", "name"),
        ("귀하의 성명", "name"),
        ("What is your full name?", "name"),
        ("What\u2019s your e-mail?", "email"),
        ("Your Name", "name"),
        ("Your e-mail address", "email"),
        ("Please enter your phone number", "phone"),
        ("您的姓名", "name"),
        ("请输入您的手机号码", "phone"),
        ("お名前をご記入ください", "name"),
        ("ご連絡先", "phone"),
        ("휴대폰 ex) 010-0000-0000", "phone"),
        ("이메일 예: hong@example.com", "email"),
        ("이메일 ※ 티켓을 받을 주소", "email"),
        ("연락처를 남기지 않는 이유", None),
        ("Your comments on the speaker", None),
        ("어떻게 되시나요?", None),
    ],
)
def test_a_form_s_question_means_what_it_asks_for(heading: str, field: str | None) -> None:
    assert fields_of([heading]) == [field]


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


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("명단\n번호,이름,,휴대폰\n1,김민수,b@x.kr,010\n", 1),
        ("번호,이름,,휴대폰\n1,김민수,,담당자\n2,이수,b@x.kr,\n", 0),
        ("번호,이름,,휴대폰\n1,김민수,b@x.kr,이메일\n", 1),
        ("번호,이름,,휴대폰\n1,김민수,,010\n", None),
        ("김민수,담당자,\n이수,대리,b@x.kr\n", None),
        ("김민수,b@x.kr,회사\n이수,c@x.kr,학교\n", None),
    ],
)
def test_a_header_without_an_email_column_is_the_best_known_one_above_the_first_address(
    text: str, found: int | None
) -> None:
    assert find_header(read_records(text.encode())) == found


def test_no_header_is_found_without_an_email_column_or_an_address() -> None:
    assert find_header(read_records("이름,연락처\n홍길동,010-1234-5678\n".encode())) is None
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
