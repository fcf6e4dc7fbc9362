"""The participants that the import suite reads: invented, and the same each time."""

import random
from typing import Final

from evq_ext import Column

HEADER: Final = "name,email,phone,organisation,ticket,note,registered_at"
TICKETS: Final = ("General", "VIP", "Student", "초청")

COLUMNS: Final = (
    Column("name", "name"),
    Column("email", "email"),
    Column("phone", "phone"),
    Column("organisation", "text"),
    Column("ticket", "choice", TICKETS),
    Column("note", "text"),
    Column("registered_at", "text"),
)

_SURNAMES: Final = ("김", "이", "박", "최", "정", "강", "조", "윤", "장", "임", "남궁", "황보")
_SYLLABLES: Final = "민서준도윤하은지우현수아예진유채원연태호영재성경희정미선주혜인나라"
_KOREAN: Final = tuple(family + first + second for family in _SURNAMES for first in _SYLLABLES for second in _SYLLABLES)
_FIRST: Final = ("Anna", "Chen", "María", "James", "Yuki", "Olena", "Tomás", "Priya", "Lars", "Amélie")
_LAST: Final = ("Schmidt", "Wei", "García", "O'Brien", "Tanaka", "Kovalenko", "Novák", "Raman", "Lindqvist", "Durand")
_FOREIGN: Final = tuple(f"{first} {last}" for first in _FIRST for last in _LAST)
_MAILBOXES: Final = ("guest.{}", "minjun_{}", "Seoyeon{}", "j.doe+{}")
_DOMAINS: Final = ("example.org", "example.com", "mail.example.net", "Example.co.kr")
_ORGANISATIONS: Final = (
    "한빛소프트 주식회사",
    "서울시립대학교 컴퓨터과학부",
    "Example Labs",
    "주식회사 가온",
    "Blue Harbour GmbH",
    "",
)
_NOTES: Final = ("", "", "", "", "채식 식단을 부탁드립니다", '"오후 2시 이후, 늦게 참석"', "Wheelchair access", "R&D")
# As people write them, with how many of a hundred do.
_PHONES: Final = {"010-{}-{}": 60, "010{}{}": 17, "+82 10-{}-{}": 10, "02-{}-{}": 3, "": 10}
_BAD_EMAILS: Final = ("없음", "guest{}.example.org", "guest{}@@example.com", "guest{}@example", "@example.org")
_BAD_PHONES: Final = ("010-123", "연락 요망", "010-1234-56789")


def people_csv(count: int) -> str:
    """Invent a file of *count* participants, 60 % of them with Korean names, 3 % of them wrong in one cell.

    A hundredth has a wrong e-mail address, a hundredth a wrong phone number; the others that are wrong have no name, or
    the e-mail address of the row before.
    """
    chance = random.Random(20260301)
    emails = [
        f"{mailbox.format(number)}@{domain}"
        for number, (mailbox, domain) in enumerate(
            zip(chance.choices(_MAILBOXES, k=count), chance.choices(_DOMAINS, k=count), strict=True)
        )
    ]
    phones = [
        form.format(2000 + number % 3000, 1000 + number % 8999)
        for number, form in enumerate(chance.choices(list(_PHONES), list(_PHONES.values()), k=count))
    ]
    columns = [
        chance.choices(_KOREAN, k=count),
        emails,
        phones,
        chance.choices(_ORGANISATIONS, k=count),
        chance.choices(TICKETS, k=count),
        chance.choices(_NOTES, k=count),
        [f"2026-{1 + number % 9:02}-{1 + number % 28:02} {number % 24:02}:30:00" for number in range(count)],
    ]
    names = columns[0]
    for number in chance.sample(range(count), k=count * 40 // 100):
        names[number] = chance.choice(_FOREIGN)
    for number in chance.sample(range(count), k=count * 3 // 100):
        match number % 6:
            case 0 | 1:
                emails[number] = chance.choice(_BAD_EMAILS).format(number)
            case 2 | 3:
                phones[number] = chance.choice(_BAD_PHONES)
            case 4:
                names[number] = ""
            case _:
                emails[number] = emails[number - 1]
    return "\n".join([HEADER, *map(",".join, zip(*columns, strict=True)), ""])
