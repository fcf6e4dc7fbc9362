import multiprocessing
import sqlite3
import threading
import time
from pathlib import Path

import pytest
import sqlalchemy as sa

from evq_server.store.database import (
    PARAMETERS,
    SCHEMA_VERSION,
    Database,
    DatabaseError,
    Inserted,
    events,
    insert_or_ignore,
    open_database,
)
from evq_server.store.database import schema_version as schema

EVENT = {"id": "spring", "name": "Spring", "language": "en", "created_ms": 1}


def create_and_write(url: str, event_id: str) -> None:
    database = open_database(url)
    database.create()
    with database.begin() as conn:
        conn.execute(events.insert().values(EVENT | {"id": event_id}))
    database.close()


def test_sqlite_runs_with_wal_full_sync_and_foreign_keys(database: Database) -> None:
    with database.read() as conn:
        assert conn.scalar(sa.text("PRAGMA journal_mode")) == "wal"
        assert conn.scalar(sa.text("PRAGMA synchronous")) == 2
        assert conn.scalar(sa.text("PRAGMA foreign_keys")) == 1


def test_a_block_that_raises_leaves_nothing(database: Database) -> None:
    with pytest.raises(RuntimeError), database.begin() as conn:
        conn.execute(events.insert().values(EVENT))
        raise RuntimeError
    with database.read() as conn:
        assert conn.scalar(sa.select(sa.func.count()).select_from(events)) == 0


def test_a_write_transaction_holds_the_lock_from_its_beginning(database: Database) -> None:
    with database.begin() as conn:
        file = conn.engine.url.database
        assert file
        other = sqlite3.connect(file, timeout=0, isolation_level=None)
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("BEGIN IMMEDIATE")
        other.close()


def test_a_read_transaction_sees_one_state_and_blocks_no_writer(database: Database) -> None:
    count = sa.select(sa.func.count()).select_from(events)
    with database.read() as reader:
        assert reader.scalar(count) == 0
        with database.begin() as writer:
            writer.execute(events.insert().values(EVENT))
        assert reader.scalar(count) == 0
    with database.read() as reader:
        assert reader.scalar(count) == 1


def test_writers_in_many_threads_wait_for_each_other(database: Database) -> None:
    with database.begin() as conn:
        conn.execute(events.insert().values(EVENT | {"name": "0"}))

    def count_up() -> None:
        for _ in range(10):
            with database.begin() as conn:
                name = conn.scalar(sa.select(events.c.name))
                conn.execute(events.update().values(name=str(int(name or 0) + 1)))

    threads = [threading.Thread(target=count_up) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.read() as conn:
        assert conn.scalar(sa.select(events.c.name)) == "40"


def test_a_writer_gets_its_turn_between_the_transactions_of_one_that_writes_without_end(database: Database) -> None:
    """SQLite's own way of waiting let a check-in wait for seconds beside an import."""
    begun = 0
    stop = threading.Event()

    def write_without_end() -> None:
        nonlocal begun
        while not stop.is_set():
            with database.begin() as conn:
                begun += 1
                conn.execute(events.update().values(name="without end"))
                time.sleep(0.1)
            time.sleep(0.02)

    with database.begin() as conn:
        conn.execute(events.insert().values(EVENT))
    thread = threading.Thread(target=write_without_end)
    thread.start()
    waited = []
    for _ in range(5):
        time.sleep(0.05)
        before = begun
        with database.begin() as conn:
            waited.append(begun - before)
    stop.set()
    thread.join()
    assert sorted(waited)[2] <= 2  # of transactions; the scheduler may now and then be slower than the moment between


def test_a_lock_that_is_never_given_back_is_an_error_in_the_end(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evq_server.store.database.BUSY_TIMEOUT_MS", 20)
    with database.begin(), pytest.raises(sa.exc.OperationalError, match="locked"), database.begin():
        pass
    with database.begin() as conn:
        conn.execute(events.insert().values(EVENT))


def test_several_processes_may_create_the_database_at_once(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'evq.db'}"
    spawn = multiprocessing.get_context("spawn")
    processes = [spawn.Process(target=create_and_write, args=(url, f"event-{number}")) for number in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    database = open_database(url)
    with database.read() as conn:
        assert conn.scalar(sa.select(sa.func.count()).select_from(events)) == 3
        assert conn.scalars(sa.select(schema.c.version)).all() == [SCHEMA_VERSION]
    database.close()


def test_creating_again_keeps_everything(database: Database) -> None:
    with database.begin() as conn:
        conn.execute(events.insert().values(EVENT))
    database.create()
    with database.read() as conn:
        assert conn.scalar(sa.select(events.c.name)) == "Spring"


def test_the_database_of_a_newer_evq_is_refused(database: Database) -> None:
    with database.begin() as conn:
        conn.execute(schema.update().values(version=SCHEMA_VERSION + 1))
    with pytest.raises(DatabaseError, match=f"has schema {SCHEMA_VERSION + 1}.*EVQ_DATABASE_URL"):
        database.create()


def test_insert_or_ignore_counts_what_is_new_and_says_where_some_was_not(database: Database) -> None:
    columns = ("id", "name", "language", "created_ms")
    size = PARAMETERS // len(columns)
    rows = [(f"event-{number}", "Spring", "en", 1) for number in range(2 * size + 1)]

    def insert(some: list[tuple[str, str, str, int]]) -> Inserted:
        with database.begin() as conn:
            return insert_or_ignore(conn, events, columns, some, unique=("id",))

    assert insert([]) == Inserted(0, [])
    assert insert(rows[size : size + 2]) == Inserted(2, [])
    assert insert(rows) == Inserted(2 * size - 1, [range(size, 2 * size)])
    assert insert(rows) == Inserted(0, [range(size), range(size, 2 * size), range(2 * size, 2 * size + 1)])


def test_an_error_shows_no_values(database: Database) -> None:
    with pytest.raises(sa.exc.IntegrityError) as caught, database.begin() as conn:
        conn.execute(events.insert().values(EVENT | {"name": "홍길동", "language": "xx"}))
    assert "홍길동" not in str(caught.value)
