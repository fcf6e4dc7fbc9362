"""Tell the encoding of a text: by its marks, by its header, and by which characters its bytes would be."""

import codecs
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Final

from evq_ext import Utf8Check, recognise
from evq_server.files.decoding import ENCODINGS

_CHUNK: Final = 1 << 20  # bytes
_HEAD: Final = 1 << 16  # bytes in which marks and the header are looked for
_SAMPLE: Final = 1 << 16  # bytes whose characters are judged
_HEADER_LINES: Final = 40
_ENOUGH: Final = 4096  # bytes that are wrong in UTF-8, if more than its characters: it is something else
_NUL_SHARE: Final = 0.25  # of the code units of UTF-16 are ASCII, as a list holds e-mail addresses
_LEAST_SCORE: Final = 0.5  # of the characters must be likely
_FOREIGN_SHARE: Final = 0.1  # of the rows, if more are wrong in UTF-8: it is something else, and not damaged
_JAPANESE: Final = re.compile(rb"\x1b\$[@B]")  # begins double bytes in ISO-2022-JP, which is ASCII otherwise

_CELL_END: Final = re.compile(r'[,;\t|"]+')
# A letter of Western Europe where a word may have one, among small letters or first; an apostrophe within a word.
_WESTERN: Final = re.compile(
    r"(?<![^\x00-\x7f])(?:"
    r"(?<=[A-Za-z])[\xdf-\xf6\xf8-\xfc\u0153\u0161\u017e]"
    r"|[\xe0-\xf6\xf8-\xfc\u0153\u0161\u017e](?=[A-Za-z])"
    r"|(?<![a-z])[\xc0-\xd6\xd8-\xdc\u0152\u0160\u017d](?=[A-Za-z])"
    r"|(?<=[A-Za-z])\u2019(?=[A-Za-z])"
    r")(?![^\x00-\x7f])"
)
# For each encoding the rows of its character set in which nearly all of a list's characters are: the set's codec, and
# the rows' first bytes. Of encodings whose characters are equally likely, the first one is taken.
_LIKELY_ROWS: Final = {
    "cp949": ("euc_kr", range(0xB0, 0xC9)),  # Hangul
    "shift_jis": ("euc_jp", (0xA4, 0xA5, *range(0xB0, 0xD0))),  # kana, kanji of level 1
    "gb18030": ("gb2312", range(0xB0, 0xD8)),  # hanzi of level 1
    "euc-jp": ("euc_jp", (0xA4, 0xA5, *range(0xB0, 0xD0))),
    "big5": ("big5", range(0xA4, 0xC7)),  # hanzi of level 1
}
_UNLIKELY: Final = {"cp949": 0.5}  # what any other character counts for; Korean lists hold some Chinese characters


def detect(upload: Path, on_progress: Callable[[float], None]) -> str | None:
    """Return the encoding of the text, one of ENCODINGS; None if it is written in none that is recognised.

    A byte order mark decides; then the NULs of UTF-16; then whether the text is UTF-8, but for some wrong bytes; then
    in which encoding the header names something; then the likelihood of the characters. Where nothing fits, it is UTF-8
    if only few rows have wrong bytes. *on_progress* gets the fraction that is looked at, 0 to 1, and may raise to stop.
    """
    with upload.open("rb") as file:
        head = file.read(_HEAD)
    if head.startswith(codecs.BOM_UTF8):
        return "utf-8"
    if utf16_codec(head):
        return "utf-16"
    check = _checked(upload, on_progress)
    if check.first_wrong is None and not check.characters and _JAPANESE.search(head):
        return "iso-2022-jp"
    if check.first_wrong is None or check.characters >= check.wrong:
        return "utf-8"
    found = _by_header(head) or _by_characters(_sample(upload, check.first_wrong))
    return found or (None if _is_foreign(upload, check.first_wrong) else "utf-8")


def utf16_codec(head: bytes) -> str | None:
    """Return Python's name for the UTF-16 that a text begins with; None if it is something else."""
    if head.startswith(codecs.BOM_UTF16_LE):
        return "utf-16-le"
    if head.startswith(codecs.BOM_UTF16_BE):
        return "utf-16-be"
    even, odd = head[::2].count(0), head[1::2].count(0)
    if max(even, odd) < _NUL_SHARE * len(head) / 2 or min(even, odd) * 10 > max(even, odd):
        return None
    return "utf-16-le" if odd > even else "utf-16-be"


def _checked(upload: Path, on_progress: Callable[[float], None]) -> Utf8Check:
    """Look through the upload until it is certain whether it is UTF-8."""
    check, done, size = Utf8Check(), 0, upload.stat().st_size
    with upload.open("rb") as file:
        while (chunk := file.read(_CHUNK)) and not check.wrong > max(_ENOUGH, check.characters):
            check.feed(chunk)
            done += len(chunk)
            on_progress(done / size)
    check.finish()
    return check


def _by_header(head: bytes) -> str | None:
    """Return the encoding in which a line of the head names the most fields, in other letters than ASCII's."""
    found = {encoding: _named_fields(head.decode(codec, "replace")) for encoding, codec in ENCODINGS.items()}
    best = max(found, key=found.__getitem__)
    return best if found[best] > found["utf-8"] else None  # which it is not: what it names, it names by ASCII letters


def _named_fields(text: str) -> int:
    lines = [line for line in text.splitlines() if line.strip()][:_HEADER_LINES]
    return max((_fields_of(_CELL_END.split(line)) for line in lines if not line.isascii()), default=0)


def _fields_of(cells: list[str]) -> int:
    return sum(guess is not None and not cell.isascii() for cell, guess in zip(cells, recognise(cells), strict=True))


def _sample(upload: Path, first_wrong: int) -> bytes:
    """Return some text from the line on in which UTF-8 ends."""
    start = max(0, first_wrong - _SAMPLE)
    with upload.open("rb") as file:
        file.seek(start)
        before = file.read(first_wrong - start)
        line = max(before.rfind(b"\n"), before.rfind(b"\r")) + 1
        return before[line:] + file.read(_SAMPLE)


def _is_foreign(upload: Path, first_wrong: int) -> bool:
    """Tell whether the rows around the first wrong byte are written in another encoding, and not damaged one by one."""
    with upload.open("rb") as file:
        file.seek(max(0, first_wrong - _SAMPLE))
        rows = file.read(2 * _SAMPLE).splitlines()
    high = [row for row in rows if not row.isascii()]
    wrong = sum(row.decode(errors="ignore").encode() != row for row in high)
    return wrong > max(1, len(high) / 2, len(rows) * _FOREIGN_SHARE)


def _by_characters(sample: bytes) -> str | None:
    """Return the encoding in which most of the sample's characters are likely."""
    scores = {encoding: _score(sample, encoding) for encoding in ("windows-1252", *_LIKELY_ROWS)}
    best = max(scores, key=scores.__getitem__)
    return best if scores[best] > _LEAST_SCORE else None


def _score(sample: bytes, encoding: str) -> float:
    """Return the share of likely characters among those beyond ASCII, less that of wrong bytes."""
    text = sample.decode(ENCODINGS[encoding], "replace")
    high = [character for character in text if not character.isascii()]
    wrong = high.count("\ufffd")
    if encoding == "windows-1252":
        likely = len(_WESTERN.findall(text))
    else:
        likely = sum(map(_likely(encoding).__contains__, high))
    return (likely + _UNLIKELY.get(encoding, 0) * (len(high) - likely - wrong) - wrong) / max(1, len(high))


@cache
def _likely(encoding: str) -> frozenset[str]:
    codec, rows = _LIKELY_ROWS[encoding]
    pairs = (bytes((row, cell)) for row in rows for cell in range(0x40, 0xFF))
    return frozenset(character for pair in pairs if len(character := pair.decode(codec, "ignore")) == 1) - set(
        map(chr, range(128))
    )
