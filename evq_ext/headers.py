"""Recognise the header of a participants file: its row, and what each of its columns holds."""

import re
import unicodedata
from collections.abc import Sequence
from typing import Final

from evq_ext._tables import EMAIL_MAX_CHARS
from evq_ext.types import Guess, Kind

EXACT: Final = 100  # the score of a field's most telling name
_LEAST: Final = 70  # that of its least telling one
_ENDING: Final = 50  # that of a longer name which ends with one of _ENDINGS
_CONTENT: Final = 40  # that of a column which holds e-mail addresses under a name that says nothing
_CONTENT_SHARE: Final = 0.8  # of its cells are addresses

# Each field's names in Korean, English, Japanese and Chinese, the most telling ones of each language first.
_SYNONYMS: Final = {
    "name": (
        "이름 성명 성함 참가자명 참석자명 신청자명 회원명 참가자이름 신청자이름 한글이름 고객명 참가자 신청자 참석자",
        "name fullname attendeename participantname guestname attendee participant registrant guest",
        "氏名 お名前 参加者名 名前",
        "姓名 名字",
    ),
    "family_name": ("성 성씨 영문성", "lastname familyname surname", "姓", ""),
    "given_name": ("영문이름", "firstname givenname forename", "名", ""),
    "email": (
        "이메일 이메일주소 전자우편 전자우편주소 e메일 email주소 메일주소 메일",
        "email emailaddress mailaddress mail",
        "メールアドレス eメール メール",
        "电子邮件 电子邮箱 电子邮箱地址 電子郵件 電子信箱 邮箱 邮件",
    ),
    "phone": (
        "휴대폰번호 휴대폰 휴대전화 휴대전화번호 핸드폰 핸드폰번호 모바일 전화번호 연락처 전화",
        "mobile mobilephone mobilenumber mobileno cellphone cell phone phonenumber phoneno telephone tel hp contact",
        "携帯電話 携帯電話番号 携帯番号 携帯 電話番号 電話",
        "手机号码 手机号 手机 電話號碼 电话号码 联系电话 聯絡電話 电话",
    ),
    "organisation": (
        "소속 소속기관 회사명 회사 기관명 기관 단체명 단체 학교명 학교 직장",
        "organisation organization company companyname affiliation institution school university",
        "所属 会社名 勤務先 会社 学校名",
        "公司 公司名称 工作单位 单位",
    ),
    "department": ("부서 부서명 학과", "department division", "部署 部署名", "部门"),
    "title": ("직급 직책 직위", "jobtitle title position", "役職", "职位 职务"),
    "ticket_type": (
        "티켓종류 티켓유형 티켓 등록유형 참가유형 참가구분 등록구분 등급 구분",
        "tickettype ticket ticketname registrationtype category tier",
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


def _scores(names: str) -> dict[str, int]:
    """Score a language's names for a field, from EXACT down to _LEAST."""
    ranked = names.split()
    return {name: EXACT - (EXACT - _LEAST) * rank // len(ranked) for rank, name in enumerate(ranked)}


_SCORES: Final = {
    field: {name: score for names in languages for name, score in _scores(names).items()}
    for field, languages in _SYNONYMS.items()
}
_GIVEN_BESIDE_FAMILY: Final = frozenset(
    {"이름", "name"}
)  # the whole name, but for a column "성" or "surname" beside it

# What a longer name may end with and still mean the field, as in "참가자 이메일". Words that nothing else ends with:
# "회사 이름" is no participant's name, and "비상 연락처" not the participant's number.
_ENDINGS: Final = {
    "name": ("성명", "성함", "fullname", "氏名"),
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

_HINT: Final = re.compile(r"\([^()]*\)|\[[^\[\]]*\]|【[^【】]*】|<[^<>]*>")
_NUMBERING: Final = re.compile(r"\s*q?\d+[.)]\s*(?=\D)")
_NOISE: Final = re.compile(r"[\s_\-.*:()\[\]\u200b\ufeff]+")

_PART: Final = re.compile(r"[^\x00-\x7f/|]+|[\x00-.0-{}-\x7f]+")  # of one script

_SEARCHED_RECORDS: Final = 20


def kind_of(field: str) -> Kind:
    """Return the kind of a field's column; raise ValueError for one that is not in FIELDS."""
    if field not in FIELDS:
        raise ValueError(f"There is no field {field!r}; choose one of {', '.join(FIELDS)}.")
    return _KINDS.get(field, "text")


def recognise(header: Sequence[str], rows: Sequence[Sequence[str]] = ()) -> list[Guess | None]:
    """Return the field that each column holds, as told by its name; None where nothing is known.

    No field is given to two columns: the name with the best score has it, or the first of equals. `rows`, the first
    ones below the header, tell a plain row counter from a participant's number, and which column holds e-mail addresses
    if no name does.
    """
    names = [_normal_form(cell) for cell in header]
    guesses: list[Guess | None] = [None] * len(names)
    beside_family = _given_name_beside_family_name(names)
    if beside_family is not None:
        guesses[beside_family] = Guess("given_name", EXACT)
    for field in FIELDS:
        scores = {place: _score(field, name) for place, name in enumerate(names) if guesses[place] is None}
        best = max(scores, key=scores.__getitem__, default=None)
        if best is not None and scores[best] and not (names[best] in _COUNTERS and _counts_rows(rows, best)):
            guesses[best] = Guess(field, scores[best])
    if not any(guess and guess.field == "email" for guess in guesses):
        holding = _column_of_addresses(header, rows)
        if holding is not None:
            guesses[holding] = Guess("email", _CONTENT)
    return guesses


def find_header(records: Sequence[tuple[int, tuple[str, ...]]]) -> int | None:
    """Return the index in `records` of the header: among the first 20 that are not empty, the best known one.

    Title lines may stand above it. None if no record names an e-mail column.
    """
    best, most = None, 0
    searched = [index for index, (_, cells) in enumerate(records) if any(cell.strip() for cell in cells)]
    for index in searched[:_SEARCHED_RECORDS]:
        fields = [guess.field for guess in recognise(records[index][1]) if guess]
        known = len(fields)
        if "email" in fields and known > most:
            best, most = index, known
    return best


def _normal_form(cell: str) -> str:
    """Return a column's name without its number, case, spaces, punctuation, and hints such as "(필수)"."""
    name = unicodedata.normalize("NFKC", cell).casefold()
    name = name[found.end() :] if (found := _NUMBERING.match(name)) else name
    return _NOISE.sub("", _HINT.sub("", name)) or _NOISE.sub("", name)


def _score(field: str, name: str) -> int:
    """Return how surely a name means the field, 1 to 100; 0 if it does not."""
    scores = _SCORES[field]
    if name in scores:
        return scores[name]
    parts = _PART.findall(name)
    if parts and all(part in scores for part in parts):  # in two languages, as "성명 / Name"
        return min(scores[part] for part in parts)
    return _ENDING if name.endswith(_ENDINGS.get(field, ())) else 0


def _counts_rows(rows: Sequence[Sequence[str]], place: int) -> bool:
    """Tell whether the column holds 1, 2, 3 and so on."""
    numbers = [row[place].strip() for row in rows if any(cell.strip() for cell in row) and place < len(row)]
    return len(numbers) > 1 and numbers == [str(number) for number in range(1, len(numbers) + 1)]


def _column_of_addresses(header: Sequence[str], rows: Sequence[Sequence[str]]) -> int | None:
    """Return the column whose cells are e-mail addresses; none if the header is no header, but holds one itself."""
    if any(map(_is_address, header)):
        return None
    best, most = None, 0
    for place in range(len(header)):
        cells = [row[place] for row in rows if place < len(row) and row[place].strip()]
        addresses = sum(map(_is_address, cells))
        if addresses > most and addresses >= _CONTENT_SHARE * len(cells):
            best, most = place, addresses
    return best


def _is_address(cell: str) -> bool:
    cell = cell.strip()
    return len(cell) <= EMAIL_MAX_CHARS and _ADDRESS.fullmatch(cell) is not None


def _given_name_beside_family_name(names: Sequence[str]) -> int | None:
    """Return the column "이름" that is only the given name, as "성" stands beside it."""
    if not any(name in _SCORES["family_name"] for name in names):
        return None
    if any(name in _SCORES["given_name"] for name in names):
        return None
    return next((index for index, name in enumerate(names) if name in _GIVEN_BESIDE_FAMILY), None)
