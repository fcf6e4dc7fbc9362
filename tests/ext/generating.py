"""Values that come near the borders of what e-mail addresses and phone numbers are, drawn from a seed."""

import random
from collections.abc import Iterator
from typing import Final

import phonenumbers

from evq_ext import _tables
from evq_ext.contacts import _domains

ATOMS: Final = ("kim", "min.jun", "Lee_99", "a", "x+y", "o'brien", "POSTMASTER", "a.b.c", "!#$%&*/=?^`{|}~-", "김", "é")
LABELS: Final = (
    "x",
    "example",
    "mail",
    "a-b",
    "Xn",
    "k1",
    "9",
    "xn--3e0b707e",
    "ab--cd",
    "한국",
    "bücher",
    "a--b",
    "ſ",
)
ENDINGS: Final = (
    *("kr", "com", "co.kr", "ORG", "museum", "c", "k1", "1k", "한국", "xn--3e0b707e", "123"),
    *_tables.SPECIAL_USE_TLDS,
    *("Test", "ONION", "x.local", "tests", "example", "t" * 63, "t" * 64),
)
NOISE: Final = (
    *"@.-_ ,;:<>()[]\"\\'+/#~0aZ",
    *(
        "..",
        "@@",
        "--",
        "xn--",
        "가",
        "é",
        "e\u0301",
        "İ",
        "ß",
        "＠",
        "。",
        "．",
        "\u00ad",
        "\u200b",
        "\u0338",
        "\t",
        "\x7f",
    ),
    *("א", "١", "𝒂", "\ufffe", "\u3164"),
)
SEPARATORS: Final = (*("-", "-", " ", ".", "(", ")", "/"), ") ", " - ", "--", "~", "x", "\u2010", "－", "\u3000", "*")
TAILS: Final = (
    ".0",
    ".00",
    ".000",
    "",
    "",
    "",
    "",
    " x12",
    "x5",
    "#5",
    " ext. 12",
    ";ext=7",
    ",1",
    " 내선 3",
    ";isub=1",
    "/x2",
    "ABC",
    "//",
    "-",
)
WORDS: Final = (
    "없음",
    "N/A",
    "-",
    "＋",
    "+",
    "(",
    "tel:",
    "미정 ",
    "①",
    "Ⅷ",
    "½",
    "二",
    "x",
    ";phone-context=kr",
    ";phone-context=+82",
    "π",
)
DIGIT_FORMS: Final = ("０１２３４５６７８９", "٠١٢٣٤٥٦٧٨٩", "०१२३४५६७८९")


def mutate(chance: random.Random, text: str) -> str:
    """Change, leave out, double or put in something, once or twice."""
    for _ in range(chance.choice((1, 1, 2))):
        at = chance.randrange(len(text) + 1)
        cut = chance.randrange(2)
        new = chance.choice((chance.choice(NOISE), text[at : at + 1] * 2, "", text[:3]))
        text = text[:at] + new + text[at + cut :]
    return text


def emails(chance: random.Random) -> Iterator[str]:
    """Yield addresses without end; about half of them are valid."""
    slips = list(_domains.MISSPELT)
    while True:
        local = chance.choice(ATOMS) + chance.choice(("", "", str(chance.randrange(1000)), "." + chance.choice(ATOMS)))
        labels = [chance.choice(LABELS) for _ in range(chance.choice((0, 1, 1, 1, 2, 3)))]
        kind = chance.randrange(12)
        if kind == 0:
            labels.append("b" * chance.randrange(61, 66))
        elif kind == 1:
            local = "c" * chance.randrange(60, 70)
        elif kind == 2:
            local = f'"{local}"'
        domain = ".".join([*labels, chance.choice(ENDINGS)])
        if kind == 3:
            domain = chance.choice((*_domains.PROVIDERS, *slips))
        elif kind == 4:
            domain = f"[{chance.choice(('1.2.3.4', 'IPv6:::1', domain))}]"
        text = f"{local}@{domain}"
        if kind == 5:  # as long as an address may be, and a little longer
            text = "d" * (chance.randrange(252, 258) - len(text)) + text
        elif kind == 6:
            text = f"Kim <{text}>"
        elif kind == 7:
            text = text.upper()
        if kind == 8:
            text = chance.choice((*WORDS, local, domain))
        yield mutate(chance, text) if chance.random() < 0.4 else text


def _digits(chance: random.Random, region: str) -> str:
    """Return digits that are nearly a national number of the region."""
    kind = chance.choice((*range(11), 99))
    known = phonenumbers.example_number_for_type(region, kind) or phonenumbers.example_number(region)
    digits = phonenumbers.national_significant_number(known) if known else ""
    if chance.random() < 0.1:
        return "".join(chance.choices("0123456789", k=chance.randrange(19)))
    for _ in range(chance.randrange(8)):
        at = chance.randrange(len(digits) + 1)
        digits = digits[:at] + chance.choice("0123456789") + digits[at + 1 :]
    match chance.randrange(8):
        case 0:
            return digits[:-1]
        case 1:
            return digits + chance.choice("0123456789")
        case 2:
            return digits[1:]
        case _:
            return digits


def phones(chance: random.Random, home: str) -> Iterator[str]:
    """Yield numbers without end, most of them of the region `home` or nearly so."""
    everywhere = sorted(phonenumbers.SUPPORTED_REGIONS)
    while True:
        region = home if chance.random() < 0.7 else chance.choice(everywhere)
        metadata = phonenumbers.PhoneMetadata.metadata_for_region(region, None)
        assert metadata is not None
        code = str(metadata.country_code)
        prefix = metadata.national_prefix or "0"
        head = chance.choice(
            (
                *("", "", prefix, prefix, prefix, f"+{code}", f"+{code}", f"+{code}(0)", f"+{code}{prefix}", code),
                *(f"00{code}", f"001{code}", f"011{code}", f"0{prefix}", "+", "++" + code, f"({prefix}", "tel:", "+0"),
                *(f"({code})", f"+{chance.randrange(1000)}", f"＋{code}", "8", "15", "081", "08512"),
                *(f"{prefix}15", f"{prefix}21", "9041", "17911", "003768", "1831"),  # carriers
            )
        )
        text = head + _digits(chance, region) if chance.random() < 0.98 else chance.choice(WORDS)
        for _ in range(chance.choice((0, 0, 2, 2, 3, 5))):
            at = chance.randrange(len(text) + 1)
            text = text[:at] + chance.choice(SEPARATORS[:4] if chance.random() < 0.9 else SEPARATORS) + text[at:]
        if chance.random() < 0.03:
            text = text.translate(dict(zip(map(ord, "0123456789"), chance.choice(DIGIT_FORMS), strict=True)))
        text += chance.choice(TAILS) if chance.random() < 0.15 else ""
        yield mutate(chance, text) if chance.random() < 0.2 else text
