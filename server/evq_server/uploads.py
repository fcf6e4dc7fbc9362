"""Receive an upload: two doors, a raw body and a multipart form, into one sink; never whole in memory."""

import hashlib
import os
import shutil
import time
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import msgspec
from anyio import CancelScope
from anyio.to_thread import run_sync
from litestar import Request
from litestar.exceptions import ClientException, HTTPException
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

BATCH = 256 * 1024  # bytes handed to the disk at once
FIELD_LIMIT = 64 * 1024
FIELDS_LIMIT = 16
FORM_LIMIT = FIELDS_LIMIT * FIELD_LIMIT + 64 * 1024  # what a form may weigh beside its file
FILENAME_LIMIT = 255
ABANDONED_SECONDS = 3600


class Upload(msgspec.Struct, frozen=True, kw_only=True):
    """A file that is safe on disk; *size* in bytes, *sha256* in lower-case hex."""

    path: Path
    size: int
    sha256: str


class Received(msgspec.Struct, frozen=True, kw_only=True):
    """What came beside the file's bytes: *filename* as the client gave it, and a form's other fields."""

    filename: str | None
    mime_type: str
    fields: dict[str, str]


class Sink:
    """Write one upload to *folder* under *name*, hashing on the way.

    Used as a context: when its body raises, for whatever reason, no file stays behind. Bytes are gathered and written
    in batches, by a thread, so the event loop never waits for the disk.
    """

    def __init__(self, folder: Path, name: str, *, limit: int) -> None:
        self._path = folder / name
        self._part = folder / f"{name}.part"
        self._limit = limit
        self._size = 0
        self._digest = hashlib.sha256()
        self._buffer = bytearray()
        self._file: BinaryIO

    async def __aenter__(self) -> Self:
        self._file = await run_sync(self._part.open, "xb")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            with CancelScope(shield=True):
                await run_sync(self._remove)

    def feed(self, data: bytes) -> None:
        """Take some bytes; raises a 413 that names the limit when there are too many."""
        self._size += len(data)
        if self._size > self._limit:
            raise too_large(self._limit)
        self._buffer += data

    async def drain(self) -> None:
        """Write what was gathered if it is worth a trip to the disk."""
        if len(self._buffer) >= BATCH:
            await run_sync(self._write)

    async def finish(self) -> Upload:
        """Make the upload durable under its final name; raises a 400 when it is empty."""
        if not self._size:
            raise ClientException("The uploaded file is empty. Choose the participants file and upload it again.")
        await run_sync(self._seal)
        return Upload(path=self._path, size=self._size, sha256=self._digest.hexdigest())

    def _write(self) -> None:
        self._digest.update(self._buffer)
        with _storing():
            self._file.write(self._buffer)
        self._buffer.clear()

    def _seal(self) -> None:
        self._write()
        with _storing():
            self._make_durable()

    def _make_durable(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._part.rename(self._path)
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)  # the rename itself must survive a power cut
        finally:
            os.close(folder)

    def _remove(self) -> None:
        with suppress(OSError):  # what it still had to write does not fit on the disk, and is not wanted any more
            self._file.close()
        self._part.unlink(missing_ok=True)
        self._path.unlink(missing_ok=True)


@contextmanager
def _storing() -> Iterator[None]:
    """Turn the disk's refusal into a 507."""
    try:
        yield
    except OSError as error:
        raise HTTPException(
            status_code=HTTPStatus.INSUFFICIENT_STORAGE,
            detail=f"The server cannot store the file ({error.strerror}). Tell the operator, and upload it again.",
        ) from error


class _Form:
    """Split a multipart form: its one file goes to the sink, its other parts become fields (RFC 7578)."""

    def __init__(self, boundary: bytes, sink: Sink) -> None:
        self.filename: str | None = None
        self.mime_type = ""
        self.fields: dict[str, str] = {}
        self._sink = sink
        self._complete = False
        self._headers: dict[bytes, bytes] = {}
        self._header = (bytearray(), bytearray())
        self._field: tuple[str, bytearray] | None = None  # None while the part is the file
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._headers.clear,
                "on_header_field": lambda data, start, end: self._header[0].extend(data[start:end]),
                "on_header_value": lambda data, start, end: self._header[1].extend(data[start:end]),
                "on_header_end": self._end_header,
                "on_headers_finished": self._begin_part,
                "on_part_data": self._take,
                "on_part_end": self._end_part,
                "on_end": self._end,
            },
        )

    def feed(self, data: bytes) -> None:
        """Parse some bytes; raises a 400 that says what is wrong with the form."""
        try:
            self._parser.write(data)
        except FormParserError as error:
            raise ClientException(f"The multipart form cannot be read: {error}.") from error

    def finish(self) -> None:
        """Check that the form came whole, with its file."""
        if not self._complete:
            raise ClientException("The multipart form ends before its last boundary; upload it again.")
        if self.filename is None:
            raise ClientException(
                'The form has no file; send it as a part with a file name, like `-F "file=@list.csv"`.'
            )

    def _end_header(self) -> None:
        name, value = self._header
        self._headers[bytes(name).lower()] = bytes(value)
        self._header = (bytearray(), bytearray())

    def _begin_part(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b"").decode("latin-1"))
        name, filename = options.get(b"name"), options.get(b"filename")
        if name is None:
            raise ClientException("A part of the form has no name.")
        if filename is None:
            self._begin_field(name.decode("utf-8", "replace"))
        elif self.filename is not None:
            raise ClientException("The form has more than one file; upload them one by one.")
        else:
            self.filename = filename.decode("utf-8", "replace")
            self.mime_type = self._headers.get(b"content-type", b"").decode("latin-1")
            self._field = None

    def _begin_field(self, name: str) -> None:
        if name in self.fields:
            raise ClientException(f"The form has the field {name!r} twice.")
        if len(self.fields) == FIELDS_LIMIT:
            raise ClientException(f"The form has more than {FIELDS_LIMIT} fields beside its file.")
        self._field = (name, bytearray())

    def _take(self, data: bytes, start: int, end: int) -> None:
        if self._field is None:
            self._sink.feed(data[start:end])
            return
        name, value = self._field
        value += data[start:end]
        if len(value) > FIELD_LIMIT:
            raise ClientException(f"The form's field {name!r} is longer than {FIELD_LIMIT} bytes.")

    def _end_part(self) -> None:
        if self._field is None:
            return
        name, value = self._field
        try:
            self.fields[name] = value.decode()
        except UnicodeDecodeError as error:
            raise ClientException(f"The form's field {name!r} is not UTF-8 text.") from error

    def _end(self) -> None:
        self._complete = True


async def receive(request: Request[Any, Any, Any], sink: Sink, *, limit: int) -> Received:
    """Stream the request's body into *sink*, whichever of the two doors it comes through.

    Raises 413 when the file is over *limit* bytes (at once, if its length is announced), 400 for a broken form.
    """
    content_type = request.headers.get("content-type", "")
    kind, options = parse_options_header(content_type)
    is_form = kind == b"multipart/form-data"
    if (request.content_length or 0) > limit + (FORM_LIMIT if is_form else 0):
        raise too_large(limit)
    if not is_form:
        await _pour(request, sink, sink.feed)
        return Received(filename=None, mime_type=_mime_type(content_type), fields={})
    if not options.get(b"boundary"):
        raise ClientException("The multipart form names no boundary in its Content-Type.")
    form = _Form(options[b"boundary"], sink)
    await _pour(request, sink, form.feed)
    form.finish()
    return Received(filename=form.filename, mime_type=_mime_type(form.mime_type), fields=form.fields)


async def _pour(request: Request[Any, Any, Any], sink: Sink, feed: Callable[[bytes], None]) -> None:
    async for chunk in request.stream():
        feed(chunk)
        await sink.drain()


def _mime_type(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()[:100] or "application/octet-stream"


def too_large(limit: int) -> HTTPException:
    """Make the 413 that states the limit (bytes)."""
    return HTTPException(
        status_code=HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        detail=f"The file is larger than the limit of {limit / 2**20:.4g} MiB ({limit} bytes). "
        "Split it, or have the operator raise EVQ_UPLOAD_LIMIT.",
    )


def clean_filename(name: str) -> str:
    """Return *name* fit for display: no folders, no control or direction characters, at most 255 characters.

    It is never used as a path: uploads are stored under their job's id.
    """
    base = unicodedata.normalize("NFC", name).replace("\\", "/").rpartition("/")[2]
    shown = "".join(" " if character.isspace() else character for character in base)
    kept = "".join(character for character in shown if not unicodedata.category(character).startswith("C"))
    return kept.strip()[:FILENAME_LIMIT] or "upload"


def remove_abandoned(folder: Path, is_wanted: Callable[[str], bool]) -> None:
    """Remove what lies in *folder* since over an hour ago and is named by no import that may still need it.

    That is what a killed server has left, or the jobs of a Redis that lost them.
    """
    oldest = time.time() - ABANDONED_SECONDS
    for path in folder.iterdir():
        with suppress(FileNotFoundError):  # a worker may be clearing up as well
            if path.stat().st_mtime < oldest and not is_wanted(path.name):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
