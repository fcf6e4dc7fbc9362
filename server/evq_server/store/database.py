"""The database: its tables, and how transactions are opened.

SQLAlchemy Core on SQLite. Whatever is special to SQLite stands here, so that another database can follow.
"""

import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from itertools import chain
from typing import Any, Final, NamedTuple

import orjson
import sqlalchemy as sa
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

from evq.errors import EvqError

SCHEMA_VERSION: Final = 1

BUSY_TIMEOUT_MS: Final = 30_000
"""How long a write waits for another process's write."""

PARAMETERS: Final = 900
"""Values given to one statement: databases limit them."""
TURN_MS: Final = 3
"""How long SQLite itself waits for a write lock; then it is asked again, so that it looks every 2 ms at least."""

CACHE_KIB: Final = 16 * 1024
"""Memory for pages, of each connection."""

CHECKPOINT_PAGES: Final = 4_000
"""Pages in the write-ahead log (16 MiB) from which on they are written into the database."""

LOOKUP_SIZE: Final = 500
"""Keys looked up in one statement."""

metadata = sa.MetaData()

schema_version = sa.Table("schema_version", metadata, sa.Column("version", sa.Integer, primary_key=True))

events = sa.Table(
    "events",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("language", sa.Text, sa.CheckConstraint("language IN ('ko', 'en')"), nullable=False),
    sa.Column("mail_subject", sa.Text),
    sa.Column("mail_body", sa.Text),
    sa.Column("created_ms", sa.BigInteger, nullable=False),
)

imports = sa.Table(
    "imports",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),  # its job's id
    sa.Column("event_id", sa.ForeignKey("events.id"), nullable=False, index=True),
    sa.Column("filename", sa.Text, nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("sha256", sa.Text, nullable=False),
    sa.Column("mime_type", sa.Text, nullable=False),
    sa.Column("options", sa.JSON, nullable=False),
    sa.Column("uploaded_by", sa.Text),
    sa.Column("created_ms", sa.BigInteger, nullable=False),
    sa.Column("fence", sa.BigInteger, nullable=False, server_default="0"),  # the newest attempt seen here
    sa.Column("checkpoint", sa.Integer, nullable=False, server_default="0"),  # ordinals of the spool already saved
    sa.Column("inserted", sa.Integer, nullable=False, server_default="0"),
    sa.Column("updated", sa.Integer, nullable=False, server_default="0"),
    sa.Column("skipped", sa.Integer, nullable=False, server_default="0"),
    sa.Column("rejected", sa.Integer, nullable=False, server_default="0"),
    sa.Column("status", sa.Text, sa.CheckConstraint("status IN ('completed', 'failed', 'cancelled')")),
    sa.Column("outcome", sa.JSON(none_as_null=True)),  # the final result or error
    sa.Column("ended_ms", sa.BigInteger),
)

participants = sa.Table(
    "participants",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("event_id", sa.ForeignKey("events.id"), nullable=False),
    sa.Column("email", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("phone", sa.Text),
    sa.Column("attributes", sa.JSON, nullable=False),
    sa.Column("import_id", sa.ForeignKey("imports.id"), nullable=False),  # which created it, or finishes it
    sa.Column("created_ms", sa.BigInteger, nullable=False),
    sa.Column("updated_ms", sa.BigInteger, nullable=False),
    sa.UniqueConstraint("event_id", "email"),
    sa.Index("participants_by_event", "event_id", "id"),
    sa.Index("participants_by_import", "import_id", "id"),
    sqlite_autoincrement=True,  # tokens are derived from the id, so no id may ever come again
)

before_images = sa.Table(
    "before_images",
    metadata,
    sa.Column("import_id", sa.ForeignKey("imports.id"), primary_key=True),
    sa.Column("participant_id", sa.ForeignKey("participants.id"), primary_key=True),
    sa.Column("image", sa.JSON, nullable=False),
)

rejections = sa.Table(
    "rejections",
    metadata,
    sa.Column("import_id", sa.ForeignKey("imports.id"), primary_key=True),
    sa.Column("row", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("column", sa.Text, nullable=False),
    sa.Column("value", sa.Text, nullable=False),
    sa.Column("code", sa.Text, nullable=False),
    sa.Column("params", sa.JSON, nullable=False),
)

tickets = sa.Table(
    "tickets",
    metadata,
    sa.Column("participant_id", sa.ForeignKey("participants.id"), primary_key=True),
    sa.Column("issue", sa.Integer, nullable=False),
    sa.Column("key_version", sa.Integer, nullable=False),
    sa.Column("token_sha256", sa.LargeBinary(32), nullable=False, unique=True),
    sa.Column("issued_ms", sa.BigInteger, nullable=False),
)

deliveries = sa.Table(
    "deliveries",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),  # its job's id
    sa.Column("fence", sa.BigInteger, nullable=False),
)

outbox = sa.Table(
    "outbox",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("subject_key", sa.Text, nullable=False),  # whom or what it is about: a participant's or an import's id
    sa.Column("import_id", sa.ForeignKey("imports.id"), nullable=False),
    sa.Column("recipient", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False, server_default="queued"),
    sa.Column("delivery_id", sa.ForeignKey("deliveries.id")),  # who claimed it last,
    sa.Column("delivery_fence", sa.BigInteger),  # and in which attempt
    sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
    sa.Column("error", sa.Text),
    sa.Column("created_ms", sa.BigInteger, nullable=False),
    sa.Column("sent_ms", sa.BigInteger),
    sa.UniqueConstraint("kind", "subject_key"),
    sa.CheckConstraint("state IN ('queued', 'sending', 'sent', 'failed', 'unsure')"),
    sa.Index("outbox_by_state", "state", "id"),
    sa.Index("outbox_by_import", "import_id", "state", "id"),
    sqlite_autoincrement=True,
)


class DatabaseError(EvqError):
    """The database cannot be used; the message says why and what to do."""


class Database:
    """An open database. Safe to use from several threads and processes; each transaction belongs to one thread."""

    def __init__(self, engine: sa.Engine) -> None:
        self._reader = engine
        self._writer = engine.execution_options(begin="BEGIN IMMEDIATE")

    @contextmanager
    def begin(self) -> Iterator[sa.Connection]:
        """Open a transaction that may write: committed when the block ends, rolled back when it raises."""
        with self._writer.begin() as conn:
            yield conn

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """Open a transaction that only reads, and sees one state of the database throughout."""
        with self._reader.begin() as conn:
            yield conn

    def create(self) -> None:
        """Create what is missing; raises `DatabaseError` if that cannot be, or if a newer evq has made the tables."""
        try:
            with self.begin() as conn:
                metadata.create_all(conn)
                found = conn.scalar(sa.select(sa.func.max(schema_version.c.version)))
                if found is None:
                    conn.execute(schema_version.insert().values(version=SCHEMA_VERSION))
        except sa.exc.DatabaseError as error:
            raise DatabaseError(
                f"the database {self._reader.url.database} cannot be used ({error.orig}): check its folder, its disk "
                "and EVQ_DATABASE_URL"
            ) from error
        if found is not None and found > SCHEMA_VERSION:
            raise DatabaseError(
                f"the database has schema {found}, this evq knows up to {SCHEMA_VERSION}: "
                "start a newer evq, or name another database with EVQ_DATABASE_URL"
            )

    def close(self) -> None:
        """Close every idle connection."""
        self._reader.dispose()


def open_database(url: str) -> Database:
    """Open the database at *url*, as in `sqlite:////var/lib/evq/evq.db`; connects at first use."""
    engine = sa.create_engine(
        url,
        json_serializer=as_json,
        json_deserializer=orjson.loads,
        hide_parameters=True,  # an error's text must not carry a participant's data into a log
    )
    sa.event.listen(engine, "connect", _configure)
    sa.event.listen(engine, "begin", _begin)
    return Database(engine)


class Inserted(NamedTuple):
    """What became of rows that were to be inserted: how many were new, and in which ranges of them some were not."""

    new: int
    met: list[range]


def insert_or_ignore(
    conn: sa.Connection,
    table: sa.Table,
    columns: Sequence[str],
    rows: Sequence[tuple[Any, ...]],
    *,
    unique: Sequence[str],
) -> Inserted:
    """Insert *rows*, leaving out those whose *unique* columns exist already.

    A row holds the values of *columns* as the driver takes them: JSON as text (`as_json`). Many rows make one
    statement, which costs half of what a statement a row does.
    """
    size = PARAMETERS // len(columns)
    new, met = 0, []
    for low in range(0, len(rows), size):
        part = rows[low : low + size]
        result = conn.exec_driver_sql(
            _insert_sql(table, tuple(columns), len(part), tuple(unique), conn.dialect.paramstyle),
            tuple(chain.from_iterable(part)),
            execution_options={"preserve_rowcount": True},
        )
        new += result.rowcount
        if result.rowcount < len(part):
            met.append(range(low, low + len(part)))
    return Inserted(new, met)


def as_json(value: object) -> str:
    """Write a value as the database's JSON columns hold it."""
    return orjson.dumps(value).decode()


@lru_cache
def _insert_sql(table: sa.Table, columns: tuple[str, ...], count: int, unique: tuple[str, ...], paramstyle: str) -> str:
    """Write the statement that inserts *count* rows and leaves out those that are there."""
    row = "(" + ", ".join(["?" if paramstyle == "qmark" else "%s"] * len(columns)) + ")"
    return (
        f"INSERT INTO {table.name} ({', '.join(columns)}) VALUES {', '.join([row] * count)} "  # noqa: S608 - our names
        f"ON CONFLICT ({', '.join(unique)}) DO NOTHING"
    )


def _configure(conn: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    conn.isolation_level = None  # SQLAlchemy's `begin` event opens the transactions, not the driver
    cursor = conn.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = FULL")  # "this mail is being sent" must survive a power cut
    cursor.execute("PRAGMA foreign_keys = ON")
    # An import's transaction touches thousands of pages of an index, and the next one most of them again: they stay in
    # memory, and go from the log into the database once for many transactions.
    cursor.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
    cursor.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
    cursor.close()


def _begin(conn: sa.Connection) -> None:
    # A writer takes the lock at once: a reader that turned writer half-way could be refused without waiting.
    begin = conn.get_execution_options().get("begin", "BEGIN")
    if begin == "BEGIN":
        conn.exec_driver_sql(begin)
    else:
        _begin_writing(conn, begin)


def _begin_writing(conn: sa.Connection, begin: str) -> None:
    """Open a transaction as soon as the writer before it is done.

    SQLite by itself looks again ever more rarely, every 100 ms in the end, and so misses the moments between the
    transactions of an import that saves one after the other.
    """
    patience = time.monotonic() + BUSY_TIMEOUT_MS / 1000
    conn.exec_driver_sql(f"PRAGMA busy_timeout = {TURN_MS}")
    try:
        while not _began(conn, begin):
            if time.monotonic() > patience:
                conn.exec_driver_sql(begin)  # which raises, or begins at last
                break
    finally:
        conn.exec_driver_sql(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")


def _began(conn: sa.Connection, begin: str) -> bool:
    """Try to open a transaction; return False if another holds the lock."""
    try:
        conn.exec_driver_sql(begin)
    except sa.exc.OperationalError as error:
        if getattr(error.orig, "sqlite_errorcode", None) != sqlite3.SQLITE_BUSY:
            raise
        return False
    return True
