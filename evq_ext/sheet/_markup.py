"""Cut the XML of a sheet into tags and texts: the specification of `_markup.pxd`.

It is XML 1.0 read leniently, in UTF-8. A tag ends at the first `>` outside quotes. Names are compared without their
prefix. Comments and processing instructions are passed over; a document type is refused, so that there are no entities
but the five of XML. Whether tags are balanced nobody checks.
"""

import re
from collections.abc import Callable
from enum import Enum, auto
from typing import Final, NamedTuple

from evq_ext._tables import RUN_MAX_BYTES, TAG_MAX_BYTES
from evq_ext.sheet._cells import resolve
from evq_ext.types import SheetError

_COMMENT: Final = b"<!--"
_CDATA: Final = b"<![CDATA["
_TAG: Final = re.compile(rb"""<((?:[^>"']++|"[^"]*+"|'[^']*+')*+)>""")
_NAME: Final = re.compile(rb"[^ \t\r\n/]*")
_ATTRIBUTE: Final = re.compile(rb"""[ \t\r\n/]*+([^ \t\r\n/="']++)[ \t\r\n]*+=[ \t\r\n]*+(?:"([^"]*+)"|'([^']*+)')""")


class Kind(Enum):
    START = auto()
    EMPTY = auto()  # a start and an end
    END = auto()
    TEXT = auto()


class Token(NamedTuple):
    """Hold a tag, with its local name and the bytes of its attributes, or a text."""

    kind: Kind
    name: bytes
    content: bytes


class Scanner:
    """Cut a stream of bytes, fed in chunks of any size, into tokens."""

    def __init__(self) -> None:
        self.wants_text = False  # else texts are passed over
        self._buffer = b""
        self._at = 0
        self._until = b""  # everything before it is passed over

    def feed(self, data: bytes) -> None:
        self._buffer = self._buffer[self._at :] + data
        self._at = 0

    def next_token(self) -> Token | None:
        """Return the next token; None if it is not complete yet. Raises SheetError."""
        while True:
            if self._until and not self._pass_over():
                return None
            buffer, at = self._buffer, self._at
            if at == len(buffer):
                return None
            is_text = not buffer.startswith(b"<", at)
            is_data = buffer.startswith(_CDATA, at)
            if is_text and self.wants_text:
                return self._text(at, b"<", resolve)
            if is_data and self.wants_text:
                return self._text(at + len(_CDATA), b"]]>", bytes)
            if is_text:
                self._skip(0, b"<")
            elif is_data:
                self._skip(len(_CDATA), b"]]>")
            elif buffer.startswith(_COMMENT, at):
                self._skip(len(_COMMENT), b"-->")
            elif buffer.startswith(b"<?", at):
                self._skip(2, b"?>")
            else:
                return self._tag()

    def _skip(self, size: int, until: bytes) -> None:
        self._at += size
        self._until = until

    def _pass_over(self) -> bool:
        """Stand where something begins again: at a tag, or behind what is skipped; return False if it is not there."""
        found = self._buffer.find(self._until, self._at)
        if found < 0:
            self._at = max(self._at, len(self._buffer) - len(self._until) + 1)
            return False
        self._at = found if self._until == b"<" else found + len(self._until)
        self._until = b""
        return True

    def _text(self, start: int, until: bytes, read: Callable[[bytes], bytes]) -> Token | None:
        """Return the text up to `until`, or its beginning if it is longer than any cell."""
        buffer = self._buffer
        end = buffer.find(until, start)
        if (end if end >= 0 else len(buffer) - len(until) + 1) - start > RUN_MAX_BYTES:
            end = start + RUN_MAX_BYTES
            self._at = end
            self._until = until
        elif end < 0:
            return None
        else:
            self._at = end if until == b"<" else end + len(until)
        return Token(Kind.TEXT, b"", read(buffer[start:end]))

    def _tag(self) -> Token | None:
        if self._buffer.startswith(b"<!", self._at):
            start = self._buffer[self._at : self._at + len(_CDATA)]
            if any(whole.startswith(start) for whole in (_COMMENT, _CDATA)):
                return None
            raise SheetError("doctype")
        found = _TAG.match(self._buffer, self._at, self._at + TAG_MAX_BYTES)
        if found is None:
            if len(self._buffer) - self._at >= TAG_MAX_BYTES:
                raise SheetError("damaged")
            return None
        self._at = found.end()
        body = found[1]
        kind = Kind.END if body.startswith(b"/") else Kind.EMPTY if body.endswith(b"/") else Kind.START
        name = _match(_NAME, body, int(kind is Kind.END))
        return Token(kind, name[0].rpartition(b":")[2], body[name.end() :])


def attributes_of(content: bytes) -> dict[bytes, bytes]:
    """Return the attributes of a tag, as far as they are well-formed; of a name that is there twice, the last one."""
    found = {}
    at = 0
    while attribute := _ATTRIBUTE.match(content, at):
        found[attribute[1]] = attribute[2] if attribute[2] is not None else attribute[3]
        at = attribute.end()
    return found


def _match(pattern: re.Pattern[bytes], text: bytes, start: int) -> re.Match[bytes]:
    found = pattern.match(text, start)
    if found is None:
        raise AssertionError(pattern)
    return found
