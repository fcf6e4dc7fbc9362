"""The zip archive around a workbook, of which nothing is believed that it declares.

A workbook of 2 kB can inflate to a gigabyte. So what is read of it is inflated through a counter, in small pieces, and
what nobody needs is not inflated at all.
"""

import codecs
import io
import re
import zlib
from collections.abc import Generator, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, Self
from xml.parsers import expat
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from evq_server.files.refusals import FileError

MAX_ENTRIES: Final = 2_000
MAX_DIRECTORY: Final = 1 << 20  # bytes, of the list of entries
MAX_INFLATED: Final = 1 << 30  # bytes, of all that is read
MAX_RATIO: Final = 200  # honest sheets stay below 20, bombs begin at 300
RATIO_FROM: Final = 10 << 20  # bytes; below it any ratio is harmless
MAX_DEPTH: Final = 100  # of elements, each of which the parser remembers
MAX_UNREAD: Final = 1 << 20  # bytes of one tag, which the parser holds and reads anew with each piece

Kind = Literal["xlsx", "xlsb", "ods"]

_CHUNK: Final = 1 << 18  # bytes
_OTHER_KINDS: Final = {
    "word/document.xml": "word",
    "ppt/presentation.xml": "powerpoint",
    "Index/Document.iwa": "iwork",
}
_DAMAGE: Final = (BadZipFile, zlib.error, EOFError, LookupError, ValueError, NotImplementedError, OSError)
_UTF16: Final = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16", b"<\0": "utf-16-le", b"\0<": "utf-16-be"}
_ENCODING: Final = re.compile(rb"""\s*<\?xml[^>]*?\sencoding\s*=\s*["']([^"'>]*)""")
_DOCTYPE: Final = re.compile(rb"<\0?!\0?D\0?O\0?C\0?T\0?Y\0?P\0?E")  # in UTF-8 and in UTF-16


class _Upload(io.BufferedReader):
    """Refuse to be read in one piece that is larger than an honest archive's directory, which zipfile reads so."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > MAX_DIRECTORY:
            raise FileError("workbook_parts", most=MAX_ENTRIES)
        return super().read(size)


class Archive:
    """Open an archive, and count what is read of it. Each method raises FileError."""

    def __init__(self, path: Path) -> None:
        self._file = _Upload(io.FileIO(path))
        self._size = path.stat().st_size
        self._inflated = 0
        try:
            self._zip = ZipFile(self._file)
        except _DAMAGE as error:
            self._file.close()
            raise FileError("workbook_damaged") from error
        except BaseException:
            self._file.close()
            raise
        # Part names are compared without case (ECMA-376 part 2, 6.2.2.3), and some programs write backslashes.
        self._entries = {_plain(entry.filename): entry for entry in self._zip.infolist()}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._zip.close()
        self._file.close()

    def __contains__(self, part: str) -> bool:
        return _plain(part) in self._entries

    def kind(self) -> Kind:
        """Say what kind of workbook this is."""
        if len(self._zip.infolist()) > MAX_ENTRIES:
            raise FileError("workbook_parts", most=MAX_ENTRIES)
        if "xl/workbook.bin" in self:
            return "xlsb"
        if "mimetype" in self:
            if next(self.read("mimetype"), b"").startswith(b"application/vnd.oasis.opendocument.spreadsheet"):
                return "ods"
            raise FileError("not_a_list", kind="opendocument")
        other = next((kind for part, kind in _OTHER_KINDS.items() if part in self), None)
        if other is not None:
            raise FileError("not_a_list", kind=other)
        if "[Content_Types].xml" not in self:
            raise FileError("packed", kind="zip")
        return "xlsx"

    def size(self, part: str) -> int:
        """Return how large a part declares to be, in bytes: good for a progress bar only."""
        return self._entry(part).file_size

    def read(self, part: str) -> Generator[bytes]:
        """Yield a part in pieces of at most 256 KiB; its checksum has been verified at the end."""
        entry = self._entry(part)
        packed = min(entry.compress_size, self._size)
        size = 0
        try:
            content = self._zip.open(entry)
        except _DAMAGE as error:
            raise FileError("workbook_damaged") from error
        with content:
            while True:
                try:
                    piece = content.read(_CHUNK)
                except _DAMAGE as error:
                    raise FileError("workbook_damaged") from error
                if not piece:
                    return
                size += len(piece)
                self._inflated += len(piece)
                if self._inflated > MAX_INFLATED or (size > RATIO_FROM and size > MAX_RATIO * packed):
                    raise FileError("workbook_bomb", gigabytes=MAX_INFLATED >> 30, ratio=MAX_RATIO)
                yield piece

    def read_xml(self, part: str) -> Generator[bytes]:
        """Yield an XML part in UTF-8. An archive of this kind may have UTF-16 too (ECMA-376 part 2, 6.1.1)."""
        pieces = self.read(part)
        first = next(pieces, b"")
        codec = _UTF16.get(first[:2])
        declared = _ENCODING.match(first.removeprefix(codecs.BOM_UTF8)[:200])
        if codec is None and declared and declared[1].lower() not in {b"utf-8", b"utf8", b"us-ascii", b"ascii"}:
            raise FileError("workbook_damaged")
        if codec is None:
            yield first
            yield from pieces
            return
        decoder = codecs.getincrementaldecoder(codec)("replace")
        yield decoder.decode(first).encode("utf-8", "replace")
        for piece in pieces:
            yield decoder.decode(piece).encode("utf-8", "replace")

    def elements(self, part: str) -> Iterator[tuple[str, Mapping[str, str]]]:
        """Yield the local name and the attributes of each element of a small XML part, without making a tree."""
        found: list[tuple[str, Mapping[str, str]]] = []
        depth = fed = 0

        def start(name: str, attributes: dict[str, str]) -> None:
            nonlocal depth
            depth += 1
            if depth > MAX_DEPTH:
                raise FileError("workbook_damaged")
            found.append((name.rpartition("}")[2], attributes))

        def end(_: str) -> None:
            nonlocal depth
            depth -= 1

        def refuse(*_: object) -> None:
            raise FileError("workbook_doctype")

        parser = expat.ParserCreate(namespace_separator="}")
        parser.StartElementHandler = start
        parser.EndElementHandler = end
        parser.StartDoctypeDeclHandler = refuse
        try:
            for piece in self.read(part):
                parser.Parse(piece)
                fed += len(piece)
                if fed - parser.CurrentByteIndex > MAX_UNREAD:
                    raise FileError("workbook_damaged")
                yield from found
                found.clear()
            parser.Parse(b"", True)
        except (expat.ExpatError, LookupError, ValueError) as error:  # the last two of an encoding that it cannot read
            raise FileError("workbook_damaged") from error

    def check_all(self) -> Iterator[int]:
        """Inflate each entry once, for a parser that counts nothing; yield how many bytes of the archive are done."""
        done = 0
        for name, entry in self._entries.items():
            entry.file_size = MAX_INFLATED + _CHUNK  # zipfile stops at the declared size, which may lie
            tail = b""
            for piece in self.read(name):
                if name.endswith((".xml", ".rels")) and _DOCTYPE.search(tail + piece):
                    raise FileError("workbook_doctype")
                tail = piece[-20:]
            done += entry.compress_size
            yield done

    def _entry(self, part: str) -> ZipInfo:
        entry = self._entries.get(_plain(part))
        if entry is None:
            raise FileError("workbook_damaged")
        if entry.flag_bits & 1:
            raise FileError("workbook_locked")
        if entry.compress_type not in {ZIP_STORED, ZIP_DEFLATED}:  # ECMA-376 part 2, B.4; zipfile bounds no other one
            raise FileError("workbook_damaged")
        return entry


def _plain(part: str) -> str:
    return part.replace("\\", "/").lstrip("/").casefold()
