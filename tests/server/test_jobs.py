"""The jobs around an import, on a real queue: what is done when it ends, and what the organiser is told."""

from collections.abc import AsyncIterator
from dataclasses import replace
from itertools import count

import pytest
import sqlalchemy as sa

from evq import Job, JobStatus, Queue, Worker
from evq.ids import new_id
from evq_server.clock import now_ms
from evq_server.jobs import ImportJobs
from evq_server.pipeline.attempt import Attempt
from evq_server.schemas import ImportMetadata, ImportOptions, ImportPayload, ImportResult
from evq_server.settings import Settings
from evq_server.store.database import Database, outbox
from evq_server.store.events import put_event
from evq_server.store.imports import begin_attempt, create_import, get_import

pytestmark = pytest.mark.anyio

_names = count(1)


@pytest.fixture
async def jobs(
    settings: Settings, database: Database, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[ImportJobs]:
    monkeypatch.setattr("evq_server.jobs.QUEUE", f"jobs-{next(_names)}")
    jobs = ImportJobs(settings, database, redis=redis_url)
    async with jobs.queue:
        yield jobs


async def submit(jobs: ImportJobs, settings: Settings, text: str) -> str:
    import_id = new_id()
    upload = settings.uploads / import_id
    upload.write_text(text)
    metadata = ImportMetadata(uploaded_by="organiser@example.org", filename="list.csv", size=9, sha256="0" * 64)
    with jobs.database.begin() as conn:
        put_event(conn, "gala", name="Gala", language="en", now_ms=1)
        create_import(
            conn,
            import_id=import_id,
            event_id="gala",
            filename=metadata.filename,
            size=metadata.size,
            sha256=metadata.sha256,
            mime_type="text/csv",
            options={},
            uploaded_by=metadata.uploaded_by,
            now_ms=now_ms(),
        )
    payload = ImportPayload(
        temp_path=str(upload), mime_type="text/csv", event_id="gala", options=ImportOptions(), metadata=metadata
    )
    await jobs.submit(import_id, payload)
    return import_id


async def work(queue: Queue) -> None:
    """Run what is to be run, and the hooks of what has ended."""
    await Worker(queue).run(burst=True)


async def ended(jobs: ImportJobs, import_id: str) -> Job:
    await work(jobs.queue)
    job = await jobs.queue.get(import_id)
    assert job
    assert job.status.ended
    return job


def notices(database: Database) -> list[str]:
    with database.read() as conn:
        return list(conn.scalars(sa.select(outbox.c.kind)))


async def test_a_failed_import_keeps_its_files_for_a_replay_and_a_completed_one_none(
    jobs: ImportJobs, settings: Settings
) -> None:
    bad, good = await submit(jobs, settings, "name\nKim\n"), await submit(jobs, settings, "email\nkim@example.org\n")
    assert (await ended(jobs, bad)).status is JobStatus.FAILED
    assert (await ended(jobs, good)).status is JobStatus.COMPLETED
    assert [path.name for path in settings.uploads.iterdir()] == [bad]
    assert [path.name for path in settings.spool.iterdir()] == [bad]


@pytest.mark.parametrize(
    ("error", "kind", "told"),
    [
        (KeyError("kim@example.org"), "ServerFault", "The server made a mistake"),
        (OSError(28, "No space left on device", "/data/kim.csv"), "TemporaryError", "No space left on device"),
        (sa.exc.OperationalError("INSERT", {}, Exception("kim@example.org")), "TemporaryError", "database is busy"),
    ],
)
async def test_an_error_that_nobody_foresaw_tells_the_organiser_what_to_do_and_no_data(
    jobs: ImportJobs,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
    kind: str,
    told: str,
) -> None:
    def fail(_: Attempt) -> ImportResult:
        raise error

    monkeypatch.setattr(Attempt, "run", fail)
    import_id = await submit(jobs, settings, "email\nkim@example.org\n")
    await work(jobs.queue)
    job = await jobs.queue.get(import_id)
    assert job
    assert job.error
    assert job.error.type == kind
    assert told in job.error.message
    assert "kim" not in job.error.message
    assert "kim" not in caplog.text
    assert any(getattr(record, "error", None) == type(error).__name__ for record in caplog.records)


async def test_an_end_that_is_recorded_already_is_not_told_again_as_another(
    jobs: ImportJobs, settings: Settings, database: Database
) -> None:
    job = await ended(jobs, await submit(jobs, settings, "email\nkim@example.org\n"))
    assert notices(database) == ["import-completed"]
    later = replace(job, _record=replace(job.record, state=type(job.record.state).FAILED, fence=9))
    await jobs._ended(later)
    assert notices(database) == ["import-completed"]
    with database.read() as conn:
        row = get_import(conn, job.id)
    assert row
    assert row.status == "completed"


async def test_a_late_hook_leaves_an_import_that_runs_again_alone(
    jobs: ImportJobs, settings: Settings, database: Database
) -> None:
    import_id = await submit(jobs, settings, "email\nkim@example.org\n")
    await jobs.queue.cancel(import_id)
    job = await jobs.queue.get(import_id)
    assert job
    with database.begin() as conn:
        begin_attempt(conn, import_id, job.record.fence + 1)
    await jobs._ended(job)
    assert (settings.uploads / import_id).exists()
    assert notices(database) == []


async def test_the_upload_is_kept_anew_by_an_import_that_fails_again(jobs: ImportJobs, settings: Settings) -> None:
    import_id = await submit(jobs, settings, "name\nKim\n")
    first = (await ended(jobs, import_id)).record.fence
    await jobs.queue.replay(import_id)
    second = (await ended(jobs, import_id)).record.fence
    assert not await jobs.remove_upload(importId=import_id, fence=first)
    assert (settings.uploads / import_id).exists()
    assert await jobs.remove_upload(importId=import_id, fence=second)
    assert not (settings.uploads / import_id).exists()
    assert not (settings.spool / import_id).exists()
