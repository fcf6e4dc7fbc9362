"""The second pass: from the spool of accepted rows into the event, in transactions that keep nobody waiting."""

import re
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import repeat
from typing import Final

import msgspec
import sqlalchemy as sa

from evq_server.clock import now_ms
from evq_server.files.spool import Chunk, SpoolReader
from evq_server.pipeline.pace import Pace
from evq_server.pipeline.steps import OnProgress
from evq_server.schemas import Duplicates
from evq_server.store import participants as people
from evq_server.store.database import Database
from evq_server.store.participants import ChunkResult, Rejection, Row

PREVIEWED: Final = 1_000
"""Rows looked up at a time where nothing is written."""

_NAMES: Final = frozenset({"name", "family_name", "given_name"})
# Of Hangul, kana and Han: there the family name stands first, and no blank behind it.
_FAMILY_FIRST: Final = re.compile(
    r"[ \u1100-\u11ff\u3005-\u3007\u3041-\u30ff\u3131-\u318e\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    r"\uac00-\ud7a3\uf900-\ufaff\uff66-\uff9f\U00020000-\U000323af]*"
)


class Saved(msgspec.Struct, frozen=True, kw_only=True):
    """How many rows the save has inserted, updated, skipped and rejected."""

    inserted: int
    updated: int
    skipped: int
    rejected: int


@dataclass(frozen=True, kw_only=True)
class Saving:
    """The save of one import's rows by one of its attempts."""

    database: Database
    spool: SpoolReader
    import_id: str
    event_id: str
    fence: int
    duplicates: Duplicates

    @property
    def nameless(self) -> bool:
        """Whether nothing says what the participants are called."""
        return _NAMES.isdisjoint(self.spool.columns)

    def save(self, checkpoint: int, on_progress: OnProgress) -> None:
        """Save the rows from ordinal *checkpoint* on, one chunk after the other; what is saved stays saved."""
        pace = Pace()
        for chunk in self._told(self.spool.chunks(checkpoint, pace.next), on_progress):
            rows = rows_of(chunk)
            with self.database.begin() as conn:
                start = time.monotonic()
                self._save_chunk(conn, chunk, rows)
            pace.took(len(chunk.rows), time.monotonic() - start)

    def save_all(self, checkpoint: int, on_progress: OnProgress) -> Saved:
        """Save the rows from ordinal *checkpoint* on in one transaction, or none of them if the event refuses one."""
        with self.database.begin() as conn:
            chunks = self._told(self.spool.chunks(checkpoint, lambda: PREVIEWED), on_progress)
            saved = _sum(self._save_chunk(conn, chunk, rows_of(chunk)) for chunk in chunks)
            if saved.rejected:
                conn.rollback()
        return saved

    def preview(self, on_progress: OnProgress) -> Saved:
        """Tell what saving all rows would do, and write nothing."""
        return _sum(map(self._preview, self._told(self.spool.chunks(0, lambda: PREVIEWED), on_progress)))

    def rejections(self, frame: Chunk, *, written: bool, check: Callable[[], None]) -> Iterator[Rejection]:
        """Yield those of a frame's rows that the event refuses: as they were *written*, or as they would be.

        *check* is called now and then, and may raise to stop.
        """
        if not written:
            for part in frame.parts(lambda: PREVIEWED):
                check()
                yield from self._preview(part).rejections
            return
        numbers = sorted(frame.rows)
        for low in range(0, len(numbers), PREVIEWED):
            check()
            some = numbers[low : low + PREVIEWED]
            with self.database.read() as conn:
                found = people.rejections_of_import(conn, self.import_id, some[0], some[-1])
            yield from found

    def _told(self, chunks: Iterable[Chunk], on_progress: OnProgress) -> Iterator[Chunk]:
        """Report each chunk once the caller is done with it."""
        for chunk in chunks:
            yield chunk
            on_progress(chunk.end / self.spool.count)

    def _save_chunk(self, conn: sa.Connection, chunk: Chunk, rows: list[Row]) -> ChunkResult:
        return people.save_chunk(
            conn,
            import_id=self.import_id,
            event_id=self.event_id,
            fence=self.fence,
            first=chunk.first,
            end=chunk.end,
            rows=rows,
            duplicates=self.duplicates,
            now_ms=now_ms(),
        )

    def _preview(self, chunk: Chunk) -> ChunkResult:
        with self.database.read() as conn:
            return people.preview_chunk(
                conn,
                import_id=self.import_id,
                event_id=self.event_id,
                rows=rows_of(chunk),
                duplicates=self.duplicates,
            )


def rows_of(chunk: Chunk) -> list[Row]:
    """Turn a chunk's columns into participants; rows that a later one replaces are left out."""
    columns = chunk.texts()
    emails = columns.pop("email")
    blank = [""] * len(emails)
    phones = columns.pop("phone", blank)
    names = columns.pop("name", None) or map(
        _full_name, columns.get("family_name", blank), columns.get("given_name", blank)
    )
    fields = tuple(columns)
    cells = zip(*columns.values(), strict=True) if columns else repeat(())
    return [
        Row(
            row=number,
            email=email,
            name=name,
            phone=phone or None,
            attributes={field: cell for field, cell in zip(fields, attributes, strict=True) if cell},
        )
        for number, email, name, phone, attributes in zip(chunk.rows, emails, names, phones, cells, strict=False)
        if number not in chunk.superseded
    ]


def _full_name(family: str, given: str) -> str:
    """Join the parts of a name, in the order of the script that they are written in."""
    return family + given if _FAMILY_FIRST.fullmatch(family + given) else f"{given} {family}".strip()


def _sum(results: Iterable[ChunkResult]) -> Saved:
    inserted = updated = skipped = rejected = 0
    for result in results:
        inserted += result.inserted
        updated += result.updated
        skipped += result.skipped
        rejected += len(result.rejections)
    return Saved(inserted=inserted, updated=updated, skipped=skipped, rejected=rejected)
