"""Domains that are most likely a slip of the fingers, and the well-known ones that were meant."""

from collections.abc import Iterator
from typing import Final

# Where most people have their mail. Where one slip leads away from two of them, the first one is suggested.
PROVIDERS: Final = (
    "gmail.com",
    "naver.com",
    "hanmail.net",
    "daum.net",
    "nate.com",
    "kakao.com",
    "hotmail.com",
    "outlook.com",
    "yahoo.com",
    "yahoo.co.kr",
    "yahoo.co.jp",
    "icloud.com",
    "googlemail.com",
    "protonmail.com",
)
# Names that others have, one slip away.
_HONEST: Final = (
    *("ante.com", "aver.com", "mail.com", "ucloud.com", "ymail.com"),
    *("hotmail.co.kr", "hotmail.net", "outlook.co.kr"),
)

_NEIGHBOURS: Final = {
    key: left + right
    for row in ("qwertyuiop", "asdfghjkl", "zxcvbnm")
    for left, key, right in zip(" " + row, row, row[1:] + " ", strict=False)
}
_ENDINGS: Final = (".com", ".net", ".co.kr")
_SHORT_NAME: Final = 4  # has too many honest neighbours
# Two words of 8 bytes tell these apart, which is how the compiled core knows them.
LENGTHS: Final = range(8, 17)


def _slips(domain: str) -> Iterator[str]:
    """Yield what comes of one key left out, struck twice or too early, or missed by one; and of another ending."""
    name, dot, ending = domain.partition(".")
    for at, key in enumerate(domain):
        before, after = domain[:at], domain[at + 1 :]
        yield before + after
        yield before + key + key + after
        yield before + after[:1] + key + after[1:]
        if len(name) > _SHORT_NAME or at > len(name):
            yield from (before + other + after for other in _NEIGHBOURS.get(key, "").strip())
    if dot + ending in _ENDINGS:
        yield from (name + other for other in _ENDINGS)


def _misspelt() -> dict[str, str]:
    meant: dict[str, str] = {}
    for domain in PROVIDERS:
        for slip in _slips(domain):
            if slip not in PROVIDERS and slip not in _HONEST and len(slip) in LENGTHS:
                meant.setdefault(slip, domain)
    return meant


MISSPELT: Final = _misspelt()
"""The well-known domain that was most likely meant, for each that was most likely not."""
