"""How fast a validated spool is saved, beside plain `executemany`, and how long anybody else waits meanwhile."""

import multiprocessing
import random
import shutil
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from evq_ext import Column, RowParser
from evq_server.files.spool import SpoolReader, SpoolWriter
from evq_server.pipeline.saving import Saving
from evq_server.store.database import Database, as_json, open_database, participants
from evq_server.store.events import put_event
from evq_server.store.imports import begin_attempt, create_import

EVENT: Final = "gala"
OLD: Final = "earlier"
NEW: Final = "new"
COLUMNS: Final = ("email", "name", "phone", "organisation", "note")
INSERT: Final = (
    "INSERT INTO participants (event_id, email, name, phone, attributes, import_id, created_ms, updated_ms) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)
REST: Final = 0.02
"""Between two check-ins, s."""
ALONE: Final = 1.0
"""How long check-ins are measured where nothing else runs, s."""

_FIRST: Final = ("minjun", "seoyeon", "doyun", "haeun", "anna", "wei", "maria", "james", "yuki", "olena", "lars")
_LAST: Final = ("kim", "lee", "park", "choi", "schmidt", "garcia", "tanaka")
_DOMAINS: Final = ("example.org", "example.com", "mail.example.net")


class SaveLab:
    """An event that has *count* participants, and an upload of *count* others: saved into a fresh copy each time."""

    def __init__(self, folder: Path, count: int) -> None:
        self.count = count
        self.longest: list[float] = []
        """The longest transaction of each save, ms."""
        self._base, self._copy, self._spool = folder / "base.db", folder / "copy.db", folder / "rows"
        numbers = list(range(2 * count))
        random.Random(20260301).shuffle(numbers)  # in no order, as lists are that nobody has sorted
        people = [_person(number) for number in numbers]
        self._values = [_values(person, NEW) for person in people[count:]]
        self._create([_values(person, OLD) for person in sorted(people[:count])])
        self._validate(people[count:])

    def save(self) -> float:
        """Save the spool as an import does; return rows/s."""
        return self._save(self._fresh())

    def executemany(self) -> float:
        """Insert the same people, who are tuples already, in one plain transaction; return rows/s."""
        with _connected(self._fresh()) as conn:
            start = time.perf_counter()
            conn.execute("BEGIN IMMEDIATE")
            conn.executemany(INSERT, self._values)
            conn.execute("COMMIT")
            seconds = time.perf_counter() - start
        self._check()
        return self.count / seconds

    def waits(self) -> dict[str, dict[str, list[float]]]:
        """Check people in from another process, beside a save and then alone.

        Return how long each took, ms: the check-ins and the look-ups, by what ran beside them.
        """
        path = self._fresh()
        with _checking_in(path) as beside:
            self._save(path)
        path = self._fresh()
        with _checking_in(path) as alone:
            time.sleep(ALONE)
        return {what: {"evq": beside[what], "nothing else running": alone[what]} for what in beside}

    def _save(self, path: Path) -> float:
        database = _Timed(path)
        saving = Saving(
            database=database,
            spool=SpoolReader(self._spool),
            import_id=NEW,
            event_id=EVENT,
            fence=1,
            duplicates="skip",
        )
        start = time.perf_counter()
        saving.save(0, lambda _: None)
        seconds = time.perf_counter() - start
        database.close()
        self._check()
        self.longest.append(database.longest)
        return self.count / seconds

    def _create(self, rows: Sequence[tuple[object, ...]]) -> None:
        database = open_database(f"sqlite:///{self._base}")
        database.create()
        with database.begin() as conn:
            put_event(conn, EVENT, name="Gala", language="en", now_ms=1)
            for import_id in (OLD, NEW):
                create_import(
                    conn,
                    import_id=import_id,
                    event_id=EVENT,
                    filename="list.csv",
                    size=1,
                    sha256="0" * 64,
                    mime_type="text/csv",
                    options={},
                    uploaded_by=None,
                    now_ms=1,
                )
                begin_attempt(conn, import_id, 1)
        database.close()
        with _connected(self._base) as conn:
            conn.execute("BEGIN")
            conn.executemany(INSERT, rows)
            conn.execute("COMMIT")

    def _validate(self, people: Sequence[tuple[str, ...]]) -> None:
        """Write the spool as the validation of an upload does."""
        parser = RowParser(
            [Column(name, name if name in {"email", "name", "phone"} else "text") for name in COLUMNS]  # type: ignore[arg-type]  # each is a Kind
        )
        with SpoolWriter(self._spool, COLUMNS, order_by="email") as spool:
            for low in range(0, len(people), 2_500):
                spool.append(
                    parser.feed("".join(f"{','.join(person)}\n" for person in people[low : low + 2_500]).encode())
                )
            spool.append(parser.finish())

    def _fresh(self) -> Path:
        for suffix in ("", "-wal", "-shm"):
            self._copy.with_name(self._copy.name + suffix).unlink(missing_ok=True)
        return Path(shutil.copy(self._base, self._copy))

    def _check(self) -> None:
        """Raise RuntimeError if not everybody is there."""
        with _connected(self._copy) as conn:
            (found,) = conn.execute("SELECT count(*) FROM participants").fetchone()
        if found != 2 * self.count:
            raise RuntimeError(f"There are {found} participants, not {2 * self.count}.")


class _Timed(Database):
    """A database that knows its longest transaction: from the moment when it holds the lock to the commit, ms."""

    def __init__(self, path: Path) -> None:
        super().__init__(open_database(f"sqlite:///{path}")._reader)  # noqa: SLF001 - the same, but timed
        self.longest = 0.0

    @contextmanager
    def begin(self) -> Iterator[sa.Connection]:
        with super().begin() as conn:
            start = time.perf_counter()
            yield conn
        self.longest = max(self.longest, 1000 * (time.perf_counter() - start))


def _person(number: int) -> tuple[str, ...]:
    """Invent somebody, in the order of COLUMNS; each number is somebody else."""
    email = f"{_FIRST[number % 11]}.{_LAST[number % 7]}{number}@{_DOMAINS[number % 3]}"
    return email, "김민준", f"+8210{20_000_000 + number:08}", f"Example Labs {number % 50}", "채식 식단 요청"


def _values(person: tuple[str, ...], import_id: str) -> tuple[object, ...]:
    email, name, phone, organisation, note = person
    attributes = as_json({"organisation": organisation, "note": note})
    return EVENT, email, name, phone, attributes, import_id, 1, 1


@contextmanager
def _connected(path: Path) -> Iterator[sqlite3.Connection]:
    """Connect as one does without evq, with the pragmas of `evq_server.store.database`."""
    with closing(sqlite3.connect(path, isolation_level=None)) as conn:
        conn.execute("PRAGMA journal_mode = WAL")
        conn.execute("PRAGMA synchronous = FULL")
        conn.execute("PRAGMA foreign_keys = ON")
        yield conn


@contextmanager
def _checking_in(path: Path) -> Iterator[dict[str, list[float]]]:
    """Have another process check people in while the block runs; the waits, in ms, are there when it ends."""
    waits: dict[str, list[float]] = {}
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_check_in, args=(path, theirs), daemon=True)
    process.start()
    theirs.close()  # so that its end is seen here
    ours.recv()  # it is ready
    yield waits
    ours.send(None)
    waits |= ours.recv()
    process.join()


def _check_in(path: Path, pipe: Connection) -> None:
    database = open_database(f"sqlite:///{path}")
    with database.read() as conn:
        emails = conn.scalars(sa.select(participants.c.email).limit(1_000)).all()
    waits: dict[str, list[float]] = {"check-in": [], "look-up": []}
    pipe.send(None)
    while not pipe.poll(REST):
        email = random.choice(emails)
        who = sa.and_(participants.c.event_id == EVENT, participants.c.email == email)
        start = time.perf_counter()
        with database.read() as conn:
            conn.execute(sa.select(participants.c.id).where(who)).one()
        looked_up = time.perf_counter()
        with database.begin() as conn:
            conn.execute(participants.update().where(who).values(updated_ms=2))
        waits["look-up"].append(1000 * (looked_up - start))
        waits["check-in"].append(1000 * (time.perf_counter() - looked_up))
    pipe.send(waits)
