"""A zip archive of many small files that cannot be compressed: written as they come, in a few microseconds each.

APPNOTE.TXT of PKWARE, 6.3.10. `zipfile` takes ten times as long, and holds an object for every entry; here the
directory waits in a file of its own.
"""

import shutil
import struct
import zlib
from typing import BinaryIO, Final

_LOCAL: Final = struct.Struct("<4s5H3I2H")  # 4.3.7
_CENTRAL: Final = struct.Struct("<4s6H3I5H2I")  # 4.3.12
_EXTRA: Final = struct.Struct("<2HQ")  # 4.5.3: the offset alone, as no entry is that large
_END64: Final = struct.Struct("<4sQ2H2I4Q")  # 4.3.14
_LOCATOR64: Final = struct.Struct("<4sIQI")  # 4.3.15
_END: Final = struct.Struct("<4s4H2IH")  # 4.3.16
_VERSION: Final = 45  # what a reader must know: zip64
_UTF8: Final = 1 << 11
_DATE: Final = 33  # 1980-01-01, the first there is: the same tickets make the same archive
_CHUNK: Final = 1 << 18  # bytes
_MOST16: Final = 0xFFFF
_MOST32: Final = 0xFFFFFFFF


class StoredZip:
    """Write an archive to *file*; `close` completes it. The directory waits in *directory*, an empty file."""

    def __init__(self, file: BinaryIO, directory: BinaryIO) -> None:
        self._file = file
        self._directory = directory
        self._count = 0
        self._offset = 0

    def add(self, name: str, data: bytes) -> None:
        """Add a file, of less than 4 GiB."""
        self._begin(name, len(data), zlib.crc32(data))
        self._file.write(data)

    def copy(self, name: str, source: BinaryIO) -> None:
        """Add what *source* holds, less than 4 GiB, from its beginning."""
        source.seek(0)
        crc = 0
        while chunk := source.read(_CHUNK):
            crc = zlib.crc32(chunk, crc)
        self._begin(name, source.tell(), crc)
        source.seek(0)
        shutil.copyfileobj(source, self._file, _CHUNK)

    def _begin(self, name: str, size: int, crc: int) -> None:
        """Write an entry's header, and its line in the directory."""
        encoded = name.encode()
        about = (_VERSION, _UTF8, 0, 0, _DATE, crc, size, size, len(encoded))
        self._file.write(_LOCAL.pack(b"PK\3\4", *about, 0) + encoded)
        extra = _EXTRA.pack(1, 8, self._offset) if self._offset >= _MOST32 else b""
        offset = min(self._offset, _MOST32)
        self._directory.write(
            _CENTRAL.pack(b"PK\1\2", _VERSION, *about, len(extra), 0, 0, 0, 0, offset) + encoded + extra
        )
        self._offset += _LOCAL.size + len(encoded) + size
        self._count += 1

    def close(self) -> None:
        """Write the directory behind the files."""
        size = self._directory.tell()
        self._directory.seek(0)
        shutil.copyfileobj(self._directory, self._file, _CHUNK)
        end = self._offset + size
        if self._count >= _MOST16 or end >= _MOST32:
            counts = (self._count, self._count, size, self._offset)
            self._file.write(_END64.pack(b"PK\6\6", _END64.size - 12, _VERSION, _VERSION, 0, 0, *counts))
            self._file.write(_LOCATOR64.pack(b"PK\6\7", 0, end, 1))
        count = min(self._count, _MOST16)
        self._file.write(_END.pack(b"PK\5\6", 0, 0, count, count, min(size, _MOST32), min(self._offset, _MOST32), 0))
