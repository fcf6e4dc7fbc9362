"""Check that a text is UTF-8, or turn it into UTF-8."""

from typing import TYPE_CHECKING, Protocol

from evq_ext._implementation import IMPLEMENTATION
from evq_ext._tables import TABLED_CODECS
from evq_ext.encoding import _reference

if TYPE_CHECKING or IMPLEMENTATION == "compiled":
    from evq_ext.encoding._encoding import Transcoder, Utf8Check
else:
    from evq_ext.encoding._reference import Transcoder, Utf8Check

__all__ = ("Utf8Check", "transcoder")


class ToUtf8(Protocol):
    """Turn text, fed in chunks of any size, into UTF-8; bytes that are wrong become one that is wrong there too."""

    def feed(self, data: bytes) -> bytes: ...
    def finish(self) -> bytes: ...


def transcoder(codec: str) -> ToUtf8:
    """Return what turns text in one of Python's codecs into UTF-8: by table where there is one.

    Raises LookupError if Python does not know the codec.
    """
    return Transcoder(codec) if codec in TABLED_CODECS else _reference.Transcoder(codec)
