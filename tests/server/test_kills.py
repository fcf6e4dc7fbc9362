"""Workers are killed at every stage of imports, and everybody is there once: participant, token, mail."""

import hashlib
import os
import random
import signal
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from email import message_from_bytes, policy
from pathlib import Path
from zipfile import ZipFile

import anyio
import pytest
import sqlalchemy as sa

from evq import Job, JobStatus, Queue, WorkerPool
from evq.embedded import private_redis
from evq.ids import new_id
from evq_server.clock import now_ms
from evq_server.jobs import ImportJobs, delivery_id
from evq_server.pipeline.steps import STEPS
from evq_server.schemas import ImportMetadata, ImportOptions, ImportPayload
from evq_server.settings import Settings, load_secret
from evq_server.store import imports
from evq_server.store.database import Database, open_database, outbox, participants, tickets
from evq_server.store.events import put_event
from evq_server.store.tickets import derive_token, event_key, token_hash

pytestmark = pytest.mark.anyio

STAGES = (*STEPS, "ended", "mails")
"""`ended`: the import has completed and its hooks are under way; `mails`: its mails are being delivered."""
ROWS = 120
EVENT = "kills"


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    data = tmp_path / "data"
    data.mkdir()
    with private_redis(data) as redis:
        monkeypatch.setenv("EVQ_DATA", str(data))
        monkeypatch.setenv("EVQ_REDIS_URL", redis)
        monkeypatch.setenv("EVQ_LEASE_SECONDS", "1")
        settings = Settings.from_env()
        settings.prepare()
        load_secret(settings)
        yield settings


@pytest.fixture
async def jobs(settings: Settings) -> AsyncIterator[ImportJobs]:
    database = open_database(settings.database_url)
    database.create()
    with database.begin() as conn:
        put_event(conn, EVENT, name="Kills", language="en", now_ms=now_ms())
    jobs = ImportJobs(settings, database)
    yield jobs
    await jobs.queue.close()
    database.close()


class Killer:
    """Kills whoever runs a job, in a chosen stage, and remembers in which stage that was."""

    def __init__(self, queue: Queue, chance: random.Random) -> None:
        self._queue = queue
        self._chance = chance
        self.kills: Counter[str] = Counter()
        self._killed: set[tuple[str, int]] = set()
        """Leases, by job and fence: their worker is dead, though the record names it until the job is taken back."""

    async def kill(self, import_id: str, stage: str) -> bool:
        """Wait for the stage and kill; return False if it passed unseen."""
        while True:
            job = await self._queue.get(import_id)
            assert job is not None
            now = await self._stage(job)
            if now == stage:
                await anyio.sleep(self._chance.uniform(0, 0.005))
                lease = await self._lease(import_id, stage)
                if lease is not None and (lease.id, lease.record.fence) not in self._killed:
                    os.kill(int((lease.record.worker or "").split("-")[-2]), signal.SIGKILL)
                    self._killed.add((lease.id, lease.record.fence))
                    self.kills[stage] += 1
                    return True
            if now is not None and STAGES.index(now) >= STAGES.index(stage):
                return False

    async def _stage(self, job: Job) -> str | None:
        if job.status is JobStatus.COMPLETED:
            mails = await self._queue.get(delivery_id(job.id, job.record.fence))
            return "ended" if mails is None else "mails"
        if job.status is JobStatus.PROCESSING and job.progress is not None:
            return job.progress.current_step
        return None

    async def _lease(self, import_id: str, stage: str) -> Job | None:
        """Return the job whose worker is in that stage still, once it is known to be."""
        job = await self._queue.get(import_id)
        if job is not None and stage == "mails":
            job = await self._queue.get(delivery_id(import_id, job.record.fence))
            if job is None or job.status is not JobStatus.PROCESSING:
                return None
        elif job is None or await self._stage(job) != stage:
            return None
        return job


@pytest.mark.parametrize("kills", [30, pytest.param(60, marks=pytest.mark.slow)])
async def test_workers_killed_at_every_stage_leave_each_participant_token_and_mail_once(
    jobs: ImportJobs, settings: Settings, kills: int
) -> None:
    each = kills // 10  # of every stage, at least
    seed = int(os.environ.get("SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"seed {seed}: repeat with SEED={seed}")
    chance = random.Random(seed)
    killer = Killer(jobs.queue, chance)
    people: dict[str, set[str]] = {}
    pool = WorkerPool("evq_server.worker:queue", processes=3, log_level="ERROR")

    async with anyio.create_task_group() as group:
        await group.start(pool.run)
        with anyio.fail_after(8 * kills):
            while killer.kills.total() < kills or min(killer.kills[stage] for stage in STAGES) < each:
                import_id, emails = await submit(jobs, settings, number=len(people))
                people[import_id] = emails
                # Two in one import at the most, the rarest stages first: even a job may be unlucky too often.
                rarest = sorted(STAGES, key=lambda stage: (killer.kills[stage], chance.random()))[:2]
                for stage in sorted(rarest, key=STAGES.index):
                    await killer.kill(import_id, stage)
            await all_ended(jobs, list(people))
            await cleaned_up(settings)
        pool.stop()

    print(f"kills: {dict(killer.kills)} in {len(people)} imports")
    assert killer.kills.total() >= kills
    assert min(killer.kills[stage] for stage in STAGES) >= each
    await check(jobs, settings, people)


async def submit(jobs: ImportJobs, settings: Settings, *, number: int) -> tuple[str, set[str]]:
    """Enqueue an import of people of its own, long-winded enough that every stage takes a while."""
    import_id = new_id()
    emails = {f"p{i}.{number}@example.org" for i in range(ROWS)}
    lines = ["name,email,note", *(f"Person {email},{email},{'long ' * 300}" for email in sorted(emails)), "bad,row,"]
    upload = settings.uploads / import_id
    upload.write_text("\n".join(lines))
    payload = ImportPayload(
        temp_path=str(upload),
        mime_type="text/csv",
        event_id=EVENT,
        options=ImportOptions(send_welcome_email=True),
        metadata=ImportMetadata(
            uploaded_by="organiser@example.org", filename="list.csv", size=upload.stat().st_size, sha256="0" * 64
        ),
    )
    with jobs.database.begin() as conn:
        imports.create_import(
            conn,
            import_id=import_id,
            event_id=EVENT,
            filename="list.csv",
            size=payload.metadata.size,
            sha256=payload.metadata.sha256,
            mime_type="text/csv",
            options={"sendWelcomeEmail": True},
            uploaded_by=payload.metadata.uploaded_by,
            now_ms=now_ms(),
        )
    await jobs.submit(import_id, payload)
    return import_id, emails


async def all_ended(jobs: ImportJobs, import_ids: list[str]) -> None:
    for import_id in import_ids:
        while True:
            job = await jobs.queue.get(import_id)
            if job is not None and job.status.ended and delivered(jobs.database, import_id):
                break
            await anyio.sleep(0.05)


async def cleaned_up(settings: Settings) -> None:
    """Wait until nothing is left of any upload: hooks do it, and one whose worker was killed runs again later."""
    while list(settings.uploads.iterdir()) + list(settings.spool.iterdir()):
        await anyio.sleep(0.1)


def delivered(database: Database, import_id: str) -> bool:
    """Tell whether all mails of an import have left, its notice among them."""
    with database.read() as conn:
        states = conn.scalars(sa.select(outbox.c.state).where(outbox.c.import_id == import_id)).all()
    return len(states) == ROWS + 1 and set(states) == {"sent"}


async def check(jobs: ImportJobs, settings: Settings, people: dict[str, set[str]]) -> None:
    key = event_key(load_secret(settings), EVENT)
    with jobs.database.read() as conn:
        saved = {row.email: row.id for row in conn.execute(sa.select(participants.c.email, participants.c.id))}
        hashes = {row.participant_id: row.token_sha256 for row in conn.execute(sa.select(tickets))}
        rows = conn.scalar(sa.select(sa.func.count()).select_from(participants))
    everybody = set().union(*people.values())
    assert saved.keys() == everybody
    assert rows == len(everybody)
    assert hashes == {number: token_hash(derive_token(key, number)) for number in saved.values()}

    letters = [
        message_from_bytes(path.read_bytes(), policy=policy.default) for path in (settings.maildir / "new").iterdir()
    ]
    recipients = Counter(str(letter["To"]) for letter in letters)
    assert recipients == dict.fromkeys(everybody, 1) | {"organiser@example.org": len(people)}

    for import_id, emails in people.items():
        job = await jobs.queue.get(import_id)
        assert job is not None
        assert job.status is JobStatus.COMPLETED
        counted = {name: job.record.result[name] for name in ("processedCount", "errorCount", "tokens", "emailsSent")}
        assert counted == {"processedCount": ROWS, "errorCount": 1, "tokens": ROWS, "emailsSent": ROWS}
        with ZipFile(settings.artefacts / import_id / "qr.zip") as archive:
            codes = [archive.read(name) for name in archive.namelist() if name.endswith(".png")]
        assert len({hashlib.sha256(code).digest() for code in codes}) == len(emails)
