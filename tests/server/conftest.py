from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest

from evq_server.settings import Settings
from evq_server.store.database import Database, open_database
from evq_server.store.events import put_event
from evq_server.store.imports import begin_attempt, create_import


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = Settings(data=tmp_path / "data", secret="a secret for the tests")
    settings.prepare()
    return settings


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    database = open_database(settings.database_url)
    database.create()
    yield database
    database.close()


class StartImport(Protocol):
    def __call__(self, import_id: str, fence: int = 1, event_id: str = "spring") -> None: ...


@pytest.fixture
def start_import(database: Database) -> StartImport:
    """Return a function that creates an import, its event as well, and begins its attempt *fence* (0: none)."""

    def start(import_id: str, fence: int = 1, event_id: str = "spring") -> None:
        with database.begin() as conn:
            put_event(conn, event_id, name="Spring <Festival>", language="en", now_ms=1)
            create_import(
                conn,
                import_id=import_id,
                event_id=event_id,
                filename="guests.csv",
                size=10,
                sha256="00" * 32,
                mime_type="text/csv",
                options={"duplicates": "skip"},
                uploaded_by="organiser@example.org",
                now_ms=1_700_000_000_000,
            )
            if fence:
                begin_attempt(conn, import_id, fence)

    return start
