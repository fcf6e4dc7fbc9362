"""Text of any accepted encoding becomes UTF-8, one chunk at a time."""

import codecs
from collections.abc import Callable, Iterator
from pathlib import Path

from evq_server.files.refusals import FileError
from evq_server.files.whole import whole_file

# What the organiser may say, and the codec that reads it. Windows writes supersets of the standards, so those are read.
ENCODINGS = {
    "utf-8": "utf-8",
    "utf-16": "utf-16-le",  # what Windows means without a byte order mark
    "cp949": "cp949",
    "euc-kr": "cp949",
    "shift_jis": "cp932",
    "gb18030": "gb18030",
    "windows-1252": "cp1252",
}

_UTF16_MARKS = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
_CHUNK = 1 << 20  # bytes
_MARK = "evq.mark"  # the error handler below


class _DecodeError(Exception):
    def __init__(self, line: int) -> None:
        super().__init__(line)
        self.line = line


def _plain(name: str) -> str:
    return name.replace("-", "").replace("_", "")


def as_utf8(upload: Path, out: Path, *, encoding: str | None, on_progress: Callable[[float], None]) -> tuple[Path, str]:
    """Return a file with the upload's text in UTF-8, and the encoding that the upload has.

    The file is the upload itself where that is UTF-8 already, else *out*. Without *encoding* the whole upload must be
    valid in one of UTF-16 (by its byte order mark), UTF-8 and CP949, tried in this order. With it, bytes that are wrong
    in it are damaged on purpose, so that the parser rejects their rows and no others. *on_progress* gets the fraction
    that is done, 0 to 1, after each MiB, and may raise to stop. Raises FileError.
    """
    with upload.open("rb") as file:
        mark = file.read(2)
    if encoding is None and mark in _UTF16_MARKS:
        encoding = "utf-16"
    if encoding is None:
        return _detect(upload, out, on_progress)
    encoding = encoding.strip().lower()
    encoding = next((name for name in ENCODINGS if _plain(name) == _plain(encoding)), encoding)
    if encoding not in ENCODINGS:
        raise FileError("encoding_unknown", encoding=encoding, encodings=tuple(ENCODINGS))
    if encoding == "utf-8":
        return upload, encoding
    codec = _UTF16_MARKS.get(mark, ENCODINGS[encoding]) if encoding == "utf-16" else ENCODINGS[encoding]
    _transcode(upload, out, codec, _MARK, on_progress)
    return out, encoding


def _detect(upload: Path, out: Path, on_progress: Callable[[float], None]) -> tuple[Path, str]:
    checked = 0.0

    def rise(fraction: float) -> None:  # two passes over the file, one bar that never goes back
        nonlocal checked
        checked = max(checked, fraction)
        on_progress(checked)

    try:
        for _ in _decode(upload, "utf-8", "strict", rise):
            pass
    except _DecodeError as in_utf8:
        try:
            _transcode(upload, out, "cp949", "strict", rise)
        except _DecodeError as in_cp949:
            raise FileError(
                "encoding_undetected",
                utf8_line=in_utf8.line,
                cp949_line=in_cp949.line,
                encodings=tuple(ENCODINGS),
            ) from None
        return out, "cp949"
    return upload, "utf-8"


def _transcode(upload: Path, out: Path, codec: str, errors: str, on_progress: Callable[[float], None]) -> None:
    with whole_file(out) as file:
        for text in _decode(upload, codec, errors, on_progress):
            file.write(text.encode("utf-8", "surrogateescape"))


def _decode(path: Path, codec: str, errors: str, on_progress: Callable[[float], None]) -> Iterator[str]:
    """Yield the file's text in pieces; raises _DecodeError with the line of the first wrong byte."""
    decoder = codecs.getincrementaldecoder(codec)(errors)
    size, done, line = path.stat().st_size, 0, 1
    with path.open("rb") as file:
        while True:
            chunk = file.read(_CHUNK)
            try:
                text = decoder.decode(chunk, final=not chunk)
            except UnicodeDecodeError as error:
                raise _DecodeError(line + error.object.count(b"\n", 0, error.start)) from error
            yield text
            if not chunk:
                return
            line += text.count("\n")
            done += len(chunk)
            on_progress(done / size)


def _mark(error: UnicodeError) -> tuple[str, int]:
    """Turn wrong bytes into one that is wrong in UTF-8 too: `surrogateescape` writes U+DCFF as 0xFF."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return "\udcff", error.end


codecs.register_error(_MARK, _mark)
