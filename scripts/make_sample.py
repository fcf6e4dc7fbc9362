"""Make the sample that the demo imports: an organiser's workbook with its usual faults, and the truth about it.

Everybody in it is invented. The same seed gives the same people, the same faults and the same bytes; the truth comes
from what was put in, not from reading it back.
"""

import argparse
import datetime as dt
import hashlib
import json
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import xlsxwriter

SEED = 20260301
ROWS = 2_000
DUPLICATES = 12
FIRST_DAY = dt.datetime(2026, 1, 5)  # noqa: DTZ001 - a sheet knows no time zones
TITLE = "2026 열린 데이터 콘퍼런스 참가 신청자 명단"
HEADER = ("번호", "성명", "이메일 주소", "휴대폰 번호", "소속", "부서", "직급", "참가 유형", "신청 일시", "비고")
SAMPLE = Path(__file__).resolve().parent.parent / "server" / "evq_server" / "sample"

FAMILY = [("김", "kim"), ("이", "lee"), ("박", "park"), ("최", "choi"), ("정", "jung"), ("강", "kang"), ("조", "cho"),
          ("윤", "yoon"), ("장", "jang"), ("임", "lim"), ("한", "han"), ("오", "oh"), ("남궁", "namgung")]  # fmt: skip
GIVEN = [("민준", "minjun"), ("서연", "seoyeon"), ("도윤", "doyoon"), ("하은", "haeun"), ("지호", "jiho"),
         ("수빈", "subin"), ("현우", "hyunwoo"), ("예린", "yerin"), ("준서", "junseo"), ("유진", "yujin"),
         ("태경", "taekyung"), ("다인", "dain"), ("선우", "sunwoo"), ("보라", "bora"), ("결", "gyeol")]  # fmt: skip
FOREIGN = ["Anna Schmidt", "James O'Neill", "Maria García", "Chen Wei", "Yuki Tanaka", "Linh Nguyen", "Olivier Petit",
           "Priya Nair", "Tom Becker", "Sara Lindqvist"]  # fmt: skip
DOMAINS = ["example.org", "example.com", "example.net"]
ORGANISATIONS = ["한빛데이터", "(주)푸른소프트", "새길대학교", "열린도서관", "Northwind Labs", "미래시청", "가온병원",
                 "Acme Korea, Ltd.", "들꽃출판사", ""]  # fmt: skip
DEPARTMENTS = ["개발팀", "기획팀", "마케팅팀", "연구소", "총무과", "R&D", ""]
TITLES = ["사원", "대리", "과장", "차장", "부장", "교수", "학생", "Engineer", ""]
TICKETS = ["일반", "일반", "일반", "학생", "초청", "VIP"]
NOTES = [*[""] * 5, "채식 식단 요청", "주차 필요", "오후부터 참석", '"명찰은 영문으로"', "- 동반 1인", "=문의 중"]
NO_EMAILS = ["없음", "minjun.example.org", "seoyeon@", "jiho@@example.com", "yujin@example", "bora@example..net",
             "dain @example.org", "hangyeol@example.com,", "@example.org"]  # fmt: skip
NO_PHONES = ["010-123", "미정", "9999", "010-0000-000000", "02-1-2", "연락처 추후 회신"]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row of the sheet; *faults* are the codes with which an import must reject it."""

    name: str
    email: str
    phone: str | int
    organisation: str
    department: str
    title: str
    ticket: str
    registered: dt.datetime
    note: str
    faults: tuple[str, ...] = ()


Fault = Callable[[random.Random, Row], Row]


def _bad_email(chance: random.Random, row: Row) -> Row:
    return replace(row, email=chance.choice(NO_EMAILS), faults=(*row.faults, "email_invalid"))


def _bad_phone(chance: random.Random, row: Row) -> Row:
    return replace(row, phone=chance.choice(NO_PHONES), faults=(*row.faults, "phone_invalid"))


def _no_email(_: random.Random, row: Row) -> Row:
    return replace(row, email="", faults=("email_missing",))


def _no_name(chance: random.Random, row: Row) -> Row:
    return replace(row, name=chance.choice(["", " "]), faults=("name_missing",))


def _endless_note(_: random.Random, row: Row) -> Row:
    return replace(row, note="자기소개를 함께 보냅니다. " * 160, faults=("text_too_long",))


def _bad_email_and_phone(chance: random.Random, row: Row) -> Row:
    return _bad_phone(chance, _bad_email(chance, row))


FAULTS: list[tuple[Fault, int]] = [
    (_bad_email, 22),
    (_bad_phone, 14),
    (_no_name, 11),
    (_no_email, 7),
    (_bad_email_and_phone, 4),
    (_endless_note, 2),
]


def make_rows(seed: int) -> list[Row]:
    """Invent everybody, then spoil some rows and let some people register twice."""
    chance = random.Random(seed)
    rows = [_person(chance, number) for number in range(1, ROWS + 1)]
    faults = [fault for fault, times in FAULTS for _ in range(times)]
    spoiled = chance.sample(range(20, ROWS), len(faults) + DUPLICATES)
    for place, fault in zip(spoiled, faults, strict=False):
        rows[place] = fault(chance, rows[place])
    for place in spoiled[len(faults) :]:
        rows[place] = replace(rows[place], email=rows[chance.randrange(20)].email.upper())
    return rows


def _person(chance: random.Random, number: int) -> Row:
    if chance.random() < 0.12:
        name = chance.choice(FOREIGN)
        account = f"{name.split()[0].lower()}.{number}"
    else:
        (family, family_latin), (given, given_latin) = chance.choice(FAMILY), chance.choice(GIVEN)
        name = family + given
        account = f"{given_latin}.{family_latin}{number}"
    email = f"{account}@{chance.choice(DOMAINS)}"
    return Row(
        name=name,
        email=chance.choice([email, email, email, email.title(), f" {email} "]),
        phone=_phone(chance),
        organisation=chance.choice(ORGANISATIONS),
        department=chance.choice(DEPARTMENTS),
        title=chance.choice(TITLES),
        ticket=chance.choice(TICKETS),
        registered=FIRST_DAY + dt.timedelta(minutes=chance.randrange(60 * 24 * 40)),
        note=chance.choice(NOTES),
    )


def _phone(chance: random.Random) -> str | int:
    """Write a number as people do; one that Excel took for a number has lost its zero."""
    block, line = chance.randrange(2000, 5000), chance.randrange(10_000)
    forms = (
        f"010-{block}-{line:04}",
        f"010-{block}-{line:04}",
        f"010{block}{line:04}",
        f"010.{block}.{line:04}",
        f"+82 10-{block}-{line:04}",
        f"02-{block}-{line:04}",
        int(f"10{block}{line:04}"),
        "",
    )
    return chance.choice(forms)


def truth_of(rows: Sequence[Row]) -> dict[str, object]:
    """Say what an import of these rows must find.

    `emails_sha256` is over the accepted e-mail addresses: lower case, sorted, joined with LF.
    """
    accepted = [row.email.strip().lower() for row in rows if not row.faults]
    identities = sorted(set(accepted))
    return {
        "rows": len(rows),
        "valid": len(identities),
        "rejected": len(rows) - len(accepted),
        "duplicates": len(accepted) - len(identities),
        "reasons": dict(Counter(fault for row in rows for fault in row.faults).most_common()),
        "emails_sha256": hashlib.sha256("\n".join(identities).encode()).hexdigest(),
    }


def write_workbook(path: Path, rows: Sequence[Row]) -> None:
    """Write the rows as an organiser would have them: a sheet of notes, a title, an empty row, then the list."""
    with xlsxwriter.Workbook(
        path, {"in_memory": True}
    ) as workbook:  # in memory the archive's own dates are constant too
        workbook.set_properties({"created": FIRST_DAY, "title": TITLE})
        notes = workbook.add_worksheet("안내")
        notes.write_column(0, 0, ["신청자 명단은 다음 시트에 있습니다.", "문의: 콘퍼런스 사무국"])
        sheet = workbook.add_worksheet("신청자")
        moment = workbook.add_format({"num_format": "yyyy-mm-dd hh:mm"})
        sheet.merge_range(0, 0, 0, len(HEADER) - 1, TITLE, workbook.add_format({"bold": True, "font_size": 14}))
        sheet.write_row(2, 0, HEADER, workbook.add_format({"bold": True, "bg_color": "#DDE7F3", "border": 1}))
        sheet.set_column(1, len(HEADER) - 1, 18)
        sheet.freeze_panes(3, 0)
        for number, row in enumerate(rows, start=1):
            _write_row(sheet, 2 + number, number, row, moment)


def _write_row(sheet: xlsxwriter.worksheet.Worksheet, at: int, number: int, row: Row, moment: object) -> None:
    sheet.write_number(at, 0, number)
    sheet.write_string(at, 1, row.name)
    sheet.write_string(at, 2, row.email)
    (sheet.write_number if isinstance(row.phone, int) else sheet.write_string)(at, 3, row.phone)
    for column, text in enumerate((row.organisation, row.department, row.title, row.ticket), start=4):
        sheet.write_string(at, column, text)
    sheet.write_datetime(at, 8, row.registered, moment)
    sheet.write_string(at, 9, row.note)


def write_sample(folder: Path) -> None:
    """Write participants.xlsx and truth.json into *folder*."""
    rows = make_rows(SEED)
    folder.mkdir(parents=True, exist_ok=True)
    write_workbook(folder / "participants.xlsx", rows)
    (folder / "truth.json").write_text(json.dumps(truth_of(rows), indent=2) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the demo's sample workbook and its truth.")
    parser.add_argument("folder", nargs="?", type=Path, default=SAMPLE, help="where to write (default: %(default)s)")
    folder: Path = parser.parse_args().folder
    write_sample(folder)
    print(f"Wrote {folder / 'participants.xlsx'} and truth.json.")


if __name__ == "__main__":
    main()
