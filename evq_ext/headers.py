"""Recognise the header of a participants file: its row, and what each of its columns holds."""

import re
import unicodedata
from collections.abc import Sequence
from typing import Final, NamedTuple

from evq_ext._tables import EMAIL_MAX_CHARS
from evq_ext.types import Guess, Kind

EXACT: Final = 100  # the score of a field's most telling name
_LEAST: Final = 70  # that of its least telling one
_OF_ROLE: Final = 69  # that of one behind the most telling of _ROLES
_ENDING: Final = 50  # that of a longer name which ends with one of _ENDINGS, and the most of one in doubt
_CONTENT: Final = 40  # that of a column which holds e-mail addresses under a name that says nothing
_CONTENT_SHARE: Final = 0.8  # of its cells are addresses

# Each field's names in Korean, English, Japanese and Chinese, the most telling ones of each language first.
_SYNONYMS: Final = {
    "name": (
        "이름 성명 성함 한글이름 국문이름 본명",
        "name fullname firstandlastname",
        "氏名 お名前 名前",
        "姓名 名字 真实姓名",
    ),
    "family_name": ("성 성씨 영문성", "lastname familyname surname nachname familienname nom", "姓", ""),
    "given_name": ("영문이름", "firstname givenname forename vorname prénom prenom", "名", ""),
    "email": (
        "이메일 이메일주소 전자우편 전자우편주소 전자메일 e메일 email주소 메일주소 메일",
        "email emailaddress emailadresse mailaddress mail",
        "メールアドレス eメール メール",
        "电子邮件 电子邮箱 电子邮箱地址 電子郵件 電子信箱 邮箱 邮箱地址 邮件",
    ),
    "phone": (
        "휴대폰번호 휴대폰 휴대전화 휴대전화번호 핸드폰 핸드폰번호 모바일 모바일번호 hp번호 전화번호 연락처 전화",
        (
            "mobile mobilephone mobilephonenumber mobilenumber mobileno cellphone cellphonenumber cell phone "
            "phonenumber phoneno telephone telephonenumber telefon tel hp h/p cp contactnumber contactno contact"
        ),
        "携帯電話 携帯電話番号 携帯番号 携帯 電話番号 お電話番号 電話 連絡先",
        "手机号码 手机号 手机 手機號碼 手機 移动电话 電話號碼 电话号码 联系电话 聯絡電話 电话 联系方式",
    ),
    "organisation": (
        "소속 소속기관 소속기관명 회사명 회사 기관명 기관 단체명 단체 학교명 학교 직장 업체명 기업명",
        (
            "organisation organization organisationname organizationname company companyname affiliation institution "
            "school university"
        ),
        "所属 会社名 勤務先 会社 学校名",
        "公司 公司名称 工作单位 单位 单位名称",
    ),
    "department": ("부서 부서명 학과", "department division", "部署 部署名", "部门"),
    "title": ("직급 직책 직위", "jobtitle title position", "役職", "职位 职务"),
    "ticket_type": (
        "티켓종류 티켓유형 티켓명 티켓 권종 등록유형 참가유형 참가구분 등록구분 등급 구분 옵션명 상품명 그룹명",
        "tickettype ticketclass ticket ticketname registrationtype category tier",
        "チケット チケット種別",
        "票种",
    ),
    "external_id": (
        "접수번호 등록번호 예약번호 주문번호 신청번호 사번 학번 번호",
        "externalid registrationid registrationno reference referenceno orderid orderno id",
        "受付番号",
        "编号",
    ),
    "consent": (
        "개인정보동의 개인정보수집동의 개인정보수집이용동의 마케팅동의",
        "consent optin",
        "同意 個人情報同意",
        "",
    ),
    "note": ("비고 메모 요청사항", "note notes memo remarks remark comment comments", "備考", "备注 備註"),
}
_KINDS: Final[dict[str, Kind]] = {"name": "name", "email": "email", "phone": "phone"}
FIELDS: Final = tuple(_SYNONYMS)


# Whose the column is, in the same languages, those first who surely come themselves. A field's name may stand behind.
_ROLES: Final = (
    "본인 참가자 참석자 참여자 수강생 교육생 학생 응답자 신청자 신청인 예약자 회원 고객 구매자 담당자",
    (
        "attendee participant delegate guest registrant applicant respondent student member customer buyer "
        "contactperson contact"
    ),
    "参加者 出席者 受講者 申込者 お客様 担当者",
    "参会人 参会者 与会者 学生 报名人 报名者 联系人",
)
_NO_NAMES: Final = frozenset(  # where these stand alone, they may be a yes or no; the other roles mean the name
    {"본인", "학생", "회원", "고객", "구매자", "お客様", "student", "member", "customer", "buyer", "contact", "学生"}
)
_NAMES_OF_ROLES: Final = frozenset({"명", "名"})  # which end a word: "참가자명", "参加者名"
_HAD_BY_ROLES: Final = frozenset({"name", "email", "phone", "organisation", "department", "title"})

# Other people than the participant, and a second column for the same address.
_OTHERS: Final = re.compile(
    "보호자|부모|추천|소개자|입금자|결제자|동반|동행|비상|긴급|대리인|계산서|"
    "guardian|parent|mother|father|referr|referee|payer|companion|spouse|emergency|緊急|保護者|紧急|监护人|推荐人"
)
_REPEATS: Final = re.compile("확인|재입력|confirm|verify|retype|re-?enter|確認|再入力|确认|再次|再输入")


def _scores(languages: Sequence[str], most: int, least: int) -> dict[str, int]:
    """Score the names of each language, which come in order, from *most* down to *least*."""
    ranks = [(name, rank / len(names.split())) for names in languages for rank, name in enumerate(names.split())]
    return {name: most - int((most - least) * rank) for name, rank in ranks}


_SCORES: Final = {field: _scores(languages, EXACT, _LEAST) for field, languages in _SYNONYMS.items()}
_ROLE_SCORES: Final = _scores(_ROLES, _OF_ROLE, _ENDING)
_ROLE: Final = re.compile("|".join(_ROLE_SCORES))
_GIVEN_BESIDE_FAMILY: Final = frozenset(
    {"이름", "name"}
)  # the whole name, but for a column "성" or "surname" beside it

# What a longer name may end with and still mean the field, as in "참가자 이메일". Words that nothing else ends with:
# "회사 이름" is no participant's name, and "비상 연락처" not the participant's number.
_ENDINGS: Final = {
    "name": ("성명", "성함", "fullname", "氏名"),
    "family_name": ("lastname", "familyname", "surname"),
    "given_name": ("firstname", "givenname"),
    "email": ("이메일", "이메일주소", "메일주소", "email", "emailaddress", "メールアドレス", "邮箱", "電子郵件"),
    "phone": (
        "휴대폰",
        "휴대폰번호",
        "핸드폰",
        "핸드폰번호",
        "휴대전화",
        "mobilephone",
        "mobilenumber",
        "携帯電話",
        "手机号码",
    ),
}
_ADDRESS: Final = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]{2,}")
_COUNTERS: Final = frozenset({"번호", "id", "编号"})  # often a plain row counter

_HINT: Final = re.compile(
    r"\([^()]*\)|\[[^\[\]]*\]|【[^【】]*】|<[^<>]*>|(?<!\w)(?:ex|e\.g|예|예시|例)\s*[.:)].*|※.*", re.DOTALL
)
_NUMBERING: Final = re.compile(r"\s*q?\d+(?:-\d+)*[.):]\s*(?=\D)")
_NOISE: Final = re.compile(r"(?:['\u2019]s\b|[\s_\-.*:?!#'\u2019()\[\]\u200b\ufeff])+")
_REQUEST: Final = re.compile(  # what a form's question adds to the name, as it reads without spaces
    r"^(?:what(?:is)?your|please(?:enter|provide|write|fillin)(?:your)?|(?:enter)?your|귀하의|ご|您的|你的)"
    r"|^请(?:输入|填写)(?:您的|你的)?"
    r"|[을를]?(?:꼭|반드시|정확히)?(?:(?:입력|기재|기입|작성|선택)해|적어|남겨|써|알려)(?:주세요|주십시오|주시기바랍니다)$"
    r"|[을를]?(?:입력|기재|기입|작성|선택)하세요$"
    r"|[은는이가]?(?:무엇인가요|어떻게되(?:시나요|세요|십니까))$"
    r"|を?ご?(?:入力|記入)(?:して)?(?:ください|下さい)$"
)

_PART: Final = re.compile(r"[^\x00-\x7f/|]+|[\x00-.0-{}-\x7f]+")  # of one script

_SEARCHED_RECORDS: Final = 20


class _Heading(NamedTuple):
    """A column's name in normal form; whether a hint was cut from it, and whether it may be of somebody else."""

    name: str
    hinted: bool
    doubted: bool


def kind_of(field: str) -> Kind:
    """Return the kind of a field's column; raise ValueError for one that is not in FIELDS."""
    if field not in FIELDS:
        raise ValueError(f"There is no field {field!r}; choose one of {', '.join(FIELDS)}.")
    return _KINDS.get(field, "text")


def recognise(header: Sequence[str], rows: Sequence[Sequence[str]] = ()) -> list[Guess | None]:
    """Return the field that each column holds, as told by its name; None where nothing is known.

    No field is given to two columns: the name with the best score has it, of equals one without a hint such as "(2)",
    or the first. `rows`, the first ones below the header, tell a plain row counter from a participant's number, and
    which column holds e-mail addresses if no name does.
    """
    headings = [_heading(cell) for cell in header]
    names = [heading.name for heading in headings]
    guesses: list[Guess | None] = [None] * len(names)
    beside_family = _given_name_beside_family_name(names)
    if beside_family is not None:
        guesses[beside_family] = Guess("given_name", EXACT)
    for field in FIELDS:
        ranks = {
            place: (_score(field, heading), not heading.doubted, not heading.hinted)
            for place, heading in enumerate(headings)
            if guesses[place] is None
        }
        best = max(ranks, key=ranks.__getitem__, default=None)
        if best is not None and ranks[best][0] and not (names[best] in _COUNTERS and _counts_rows(rows, best)):
            guesses[best] = Guess(field, ranks[best][0])
    if not any(guess and guess.field == "email" for guess in guesses):
        holding = _column_of_addresses(header, rows)
        if holding is not None:
            guesses[holding] = Guess("email", _CONTENT)
    return guesses


def find_header(records: Sequence[tuple[int, tuple[str, ...]]]) -> int | None:
    """Return the index in `records` of the header: among the first 20 that are not empty, the best known one.

    Title lines may stand above it. One that names no e-mail column is the header only if no other does, if it names two
    fields, and if the first e-mail address stands below it. None if there is no such record.
    """
    best, most, addressed = None, (False, 1), False
    searched = [index for index, (_, cells) in enumerate(records) if any(cell.strip() for cell in cells)]
    for index in searched[:_SEARCHED_RECORDS]:
        cells = records[index][1]
        fields = [guess.field for guess in recognise(cells) if guess]
        addressed = addressed or any(map(is_address, cells))
        known = ("email" in fields, len(fields))
        if known > most and ("email" in fields or not addressed):
            best, most = index, known
    names_email, _ = most
    return best if names_email or addressed else None


def is_address(cell: str) -> bool:
    """Tell whether a cell looks like an e-mail address."""
    cell = cell.strip()
    return len(cell) <= EMAIL_MAX_CHARS and _ADDRESS.fullmatch(cell) is not None


def _heading(cell: str) -> _Heading:
    text = unicodedata.normalize("NFKC", cell).casefold()
    doubted = _OTHERS.search(text) or _REPEATS.search(text)
    return _Heading(_normal_form(text), _HINT.search(text) is not None, doubted is not None)


def _normal_form(text: str) -> str:
    """Return a column's name without its number, spaces, punctuation, hints such as "(필수)", and a form's requests."""
    name = text[found.end() :] if (found := _NUMBERING.match(text)) else text
    name = _NOISE.sub("", _HINT.sub("", name)) or _NOISE.sub("", name)
    return _REQUEST.sub("", name) or name


def _score(field: str, heading: _Heading) -> int:
    """Return how surely a heading means the field, 1 to 100; 0 if it does not."""
    name = heading.name
    parts = _PART.findall(name)  # in two languages, as "성명 / Name"
    score = _score_of_word(field, name) or min((_score_of_word(field, part) for part in parts), default=0)
    if score:
        return min(score, _ENDING) if heading.doubted else score
    return _ENDING if name.endswith(_ENDINGS.get(field, ())) and not _OTHERS.search(name) else 0


def _score_of_word(field: str, name: str) -> int:
    """Return how surely a name means the field by itself, or with the word before it that says whose it is."""
    scores = _SCORES[field]
    if name in scores or field not in _HAD_BY_ROLES or not (found := _ROLE.match(name)):
        return scores.get(name, 0)
    role, rest = found[0], name[found.end() :]
    named = field == "name" and (rest in _NAMES_OF_ROLES if rest else role not in _NO_NAMES)
    return _ROLE_SCORES[role] if named or rest in scores else 0


def _counts_rows(rows: Sequence[Sequence[str]], place: int) -> bool:
    """Tell whether the column holds 1, 2, 3 and so on."""
    numbers = [row[place].strip() for row in rows if any(cell.strip() for cell in row) and place < len(row)]
    return len(numbers) > 1 and numbers == [str(number) for number in range(1, len(numbers) + 1)]


def _column_of_addresses(header: Sequence[str], rows: Sequence[Sequence[str]]) -> int | None:
    """Return the column whose cells are e-mail addresses; none if the header is no header, but holds one itself."""
    if any(map(is_address, header)):
        return None
    best, most = None, 0
    for place in range(len(header)):
        cells = [row[place] for row in rows if place < len(row) and row[place].strip()]
        addresses = sum(map(is_address, cells))
        if addresses > most and addresses >= _CONTENT_SHARE * len(cells):
            best, most = place, addresses
    return best


def _given_name_beside_family_name(names: Sequence[str]) -> int | None:
    """Return the column "이름" that is only the given name, as "성" stands beside it."""
    if not any(name in _SCORES["family_name"] for name in names):
        return None
    if any(name in _SCORES["given_name"] for name in names):
        return None
    return next((index for index, name in enumerate(names) if name in _GIVEN_BESIDE_FAMILY), None)
