"""Check and transcode text in plain Python, whose codecs are the specification of `_encoding.pyx`."""

import codecs
import re
from typing import Final

from evq_ext._tables import WRONG

_MARK: Final = "evq.mark"  # the error handler below
_ESCAPED: Final = re.compile("[\udc80-\udcff]")


class Utf8Check:
    """Look through a text, fed in chunks of any size, for what is not UTF-8.

    `characters` counts those that take several bytes, `wrong` the bytes that belong to no character, the first of which
    is at `first_wrong` in the text; None if there is none.
    """

    def __init__(self) -> None:
        self.characters = 0
        self.wrong = 0
        self.first_wrong: int | None = None
        self._decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self._passed = 0  # bytes

    def feed(self, data: bytes) -> None:
        self._look_at(self._decoder.decode(data))

    def finish(self) -> None:
        """Look at what is left, now that no more comes."""
        self._look_at(self._decoder.decode(b"", final=True))

    def _look_at(self, text: str) -> None:
        wrong = _ESCAPED.search(text)
        if wrong and self.first_wrong is None:
            self.first_wrong = self._passed + len(text[: wrong.start()].encode())
        escaped = len(_ESCAPED.findall(text))
        self.wrong += escaped
        self.characters += sum(not character.isascii() for character in text) - escaped
        self._passed += len(text.encode("utf-8", "surrogateescape"))


class Transcoder:
    """Turn text in one of Python's codecs, fed in chunks of any size, into UTF-8; wrong bytes become WRONG.

    Raises LookupError if Python does not know the codec.
    """

    def __init__(self, codec: str) -> None:
        self._decoder = codecs.getincrementaldecoder(codec)(_MARK)

    def feed(self, data: bytes) -> bytes:
        """Return the characters that are complete now."""
        return self._decoder.decode(data).encode("utf-8", "surrogateescape")

    def finish(self) -> bytes:
        """Return what is left, now that no more comes."""
        return self._decoder.decode(b"", final=True).encode("utf-8", "surrogateescape")


def _mark(error: UnicodeError) -> tuple[str, int]:
    """Replace wrong bytes by what `surrogateescape` writes as WRONG."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return chr(0xDC00 + WRONG), error.end


codecs.register_error(_MARK, _mark)
