"""Text of any accepted encoding is read as UTF-8, one chunk at a time."""

import codecs
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from evq_ext import transcoder

# Each encoding, and the codec that reads it. Windows writes supersets of the standards, so those are read.
ENCODINGS: Final = {
    "utf-8": "utf-8",
    "utf-16": "utf-16-le",  # what Windows means where the text itself does not tell
    "cp949": "cp949",  # and EUC-KR
    "shift_jis": "cp932",
    "gb18030": "gb18030",
    "windows-1252": "cp1252",
    "big5": "cp950",
    "euc-jp": "euc_jp",
    "iso-2022-jp": "iso2022_jp_ext",
    "windows-1250": "cp1250",
    "windows-1251": "cp1251",
}


# Codecs of Python for what others call by another name.
_NAMES: Final = {codec: encoding for encoding, codec in ENCODINGS.items()} | {
    "utf-8-sig": "utf-8",
    "utf-16": "utf-16",
    "utf-16-be": "utf-16",
    "euc_kr": "cp949",
    "shift_jis": "shift_jis",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "big5": "big5",
    "iso2022_jp": "iso-2022-jp",
    "iso8859-1": "windows-1252",
}


def encoding_called(name: str) -> str | None:
    """Return the encoding, one of ENCODINGS, that has this name; None if there is none."""
    try:
        return _NAMES.get(codecs.lookup(name.strip()).name)
    except (LookupError, ValueError):  # ValueError: it holds a NUL
        return None


def read_text(path: Path, codec: str, size: int) -> Iterator[tuple[bytes, int]]:
    """Yield the text in UTF-8, from *size* bytes of the file at a time, with the count of those read so far.

    A byte that is wrong in *codec* is wrong in UTF-8 as well, so that the parser refuses its row and no other.
    """
    to_utf8 = None if codec == "utf-8" else transcoder(codec)
    done = 0
    with path.open("rb") as file:
        while chunk := file.read(size):
            done += len(chunk)
            yield to_utf8.feed(chunk) if to_utf8 else chunk, done
    if to_utf8:
        yield to_utf8.finish(), done
