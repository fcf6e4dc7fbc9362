"""Every item S1 to S11 of the user's specification, by its own names and defaults, against the running whole."""

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import anyio
import httpx
import orjson
import pytest
import redis
from anyio.to_thread import run_sync
from redis.backoff import ConstantBackoff
from redis.retry import Retry
from websockets.asyncio.client import connect

from evq import (
    AttemptTimeout,
    Job,
    JobProgress,
    JobStatus,
    NetworkError,
    Queue,
    RetryPolicy,
    SyncContext,
    TemporaryError,
    ValidationError,
    Worker,
)
from evq.embedded import find_server
from evq.ids import new_id
from evq.job import ReservedJob
from evq.settings import redis_url, worker_count
from evq_server.clock import now_ms
from evq_server.commands.client import Client, ServerError
from evq_server.jobs import ImportJobs, delivery_id
from evq_server.pipeline.attempt import Attempt
from evq_server.schemas import ImportMetadata, ImportOptions, ImportPayload
from evq_server.settings import Settings
from evq_server.store import imports
from evq_server.store.database import open_database
from evq_server.store.events import put_event
from tests.spec.conftest import Served

pytestmark = pytest.mark.anyio

FINAL = {"completed", "failed", "cancelled"}


def write_csv(folder: Path, rows: int = 5, *, bad: int = 0, filler: int = 0) -> Path:
    """Write a participants file of people that no other test has."""
    tag = uuid4().hex[:8]
    lines = ["이름,이메일,전화번호,비고"]
    lines += [f"참가자{i},p{i}.{tag}@example.org,010-1234-{i:04d},{'x' * filler}" for i in range(rows)]
    lines += [f"오류{i},not-an-address,," for i in range(bad)]
    path = folder / f"{tag}.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


async def ended(client: Client, job_id: str) -> dict[str, Any]:
    with anyio.fail_after(30):
        while True:
            job = await client.job(job_id)
            if job["status"] in FINAL:
                return job
            await anyio.sleep(0.02)


async def delivered(queue: Queue, job_id: str) -> None:
    """Wait until nothing more is to be sent for an import that has ended."""
    job = await queue.get(job_id)
    assert job is not None
    with anyio.fail_after(20):
        while (delivery := await queue.get(delivery_id(job_id, job.record.fence))) is None or not delivery.status.ended:
            await anyio.sleep(0.02)


async def eventually(condition: Callable[[], object]) -> None:
    with anyio.fail_after(20):
        while not condition():
            await anyio.sleep(0.05)


@pytest.fixture
def redis_on_tcp(tmp_path: Path) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    command = [find_server(), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        with redis.Redis(port=port, retry=Retry(ConstantBackoff(0.1), 100)) as plain:
            plain.ping()
        yield port
    finally:
        process.terminate()
        process.wait(10)


# S1


async def test_s01_the_queue_is_file_processing_on_redis_host_and_port_with_worker_count_workers_of_concurrency_one(
    redis_on_tcp: int, tmp_path: Path
) -> None:
    assert redis_url({}) == "redis://127.0.0.1:6379/0"
    assert redis_url({"REDIS_HOST": "redis.example.org"}) == "redis://redis.example.org:6379/0"
    assert redis_url({"REDIS_HOST": "h", "REDIS_PORT": "6380"}) == "redis://h:6380/0"
    assert worker_count({}) == 4

    environ = {name: value for name, value in os.environ.items() if not name.startswith("EVQ_")}
    environ |= {
        "REDIS_HOST": "127.0.0.1",
        "REDIS_PORT": str(redis_on_tcp),
        "WORKER_COUNT": "3",
        "EVQ_DATA": str(tmp_path),
    }
    pool = subprocess.Popen([sys.executable, "-m", "evq", "worker", "evq_server.worker:queue"], env=environ)
    try:
        async with Queue("file-processing", redis=f"redis://127.0.0.1:{redis_on_tcp}/0") as queue:
            with anyio.fail_after(30):
                while len(await queue.workers()) < 3:
                    await anyio.sleep(0.1)
            jobs = ImportJobs(Settings.from_env(environ), open_database("sqlite://"), redis=queue.url)
            assert jobs.queue.name == "file-processing"
            assert Worker(jobs.queue).concurrency == 1
    finally:
        pool.terminate()
        assert pool.wait(30) == 0


# S2


async def test_s02_the_payload_has_the_specified_names(
    client: Client, served: Served, served_queue: Queue, tmp_path: Path
) -> None:
    upload = write_csv(tmp_path)
    options = {"sendWelcomeEmail": "true", "uploadedBy": "organiser@example.org"}
    job_id = await client.upload("spec", upload, options)
    job = await served_queue.get(job_id)

    assert job is not None
    payload = job.payload
    assert payload.keys() == {"tempPath", "mimeType", "eventId", "options", "metadata"}
    assert payload["tempPath"] == str(served.data / "uploads" / job_id)
    assert payload["eventId"] == "spec"
    assert payload["options"]["sendWelcomeEmail"] is True
    assert payload["metadata"]["uploadedBy"] == "organiser@example.org"
    assert ImportPayload.from_wire(payload).temp_path == payload["tempPath"]
    await ended(client, job_id)


# S3


async def test_s03_the_pipeline_reports_0_25_50_75_90_100_in_this_order(tmp_path: Path) -> None:
    seen = await run_recorded(tmp_path, write_csv(tmp_path, 20))
    milestones = [progress for progress in seen if progress.percentage in (0, 25, 50, 75, 90, 100)]

    assert list(dict.fromkeys(progress.percentage for progress in milestones)) == [0, 25, 50, 75, 90, 100]
    reached = {
        progress.percentage: (progress.current_step, progress.completed_steps) for progress in reversed(milestones)
    }
    assert reached == {
        0: ("parse", 0),
        25: ("parse", 1),
        50: ("validate", 2),
        75: ("save", 3),
        90: ("tokens", 4),
        100: ("emails", 5),
    }


async def test_s03_progress_within_a_step_is_finer_than_its_milestones(tmp_path: Path) -> None:
    seen = await run_recorded(tmp_path, write_csv(tmp_path, 10_000))

    assert [progress for progress in seen if progress.percentage not in (0, 25, 50, 75, 90, 100)]


async def test_s03_the_milestones_are_seen_live_on_the_websocket(client: Client, tmp_path: Path) -> None:
    job_id = await client.upload("spec", write_csv(tmp_path, 1000, filler=1000), {})
    seen = [frame["data"]["percentage"] async for frame in client.follow(job_id) if frame["event"] == "progress"]

    milestones = (25, 50, 75, 90, 100)  # 0 may be over before the socket is open
    assert [percentage for percentage in milestones if percentage >= min(seen)] == sorted({*milestones} & {*seen})
    assert {75, 90, 100} <= {*seen}


async def run_recorded(folder: Path, upload: Path) -> list[JobProgress]:
    """Run the real pipeline on a real database, and record what it reports."""
    settings = Settings.from_env({"EVQ_DATA": str(folder / "data")})
    settings.prepare()
    database = open_database(settings.database_url)
    database.create()
    import_id, seen = new_id(), []
    temp_path = upload.rename(settings.uploads / import_id)
    payload = ImportPayload(
        temp_path=str(temp_path),
        mime_type="text/csv",
        event_id="recorded",
        options=ImportOptions(),
        metadata=ImportMetadata(uploaded_by=None, filename="list.csv", size=temp_path.stat().st_size, sha256="0" * 64),
    )
    with database.begin() as conn:
        put_event(conn, "recorded", name="Recorded", language="en", now_ms=now_ms())
        imports.create_import(
            conn,
            import_id=import_id,
            event_id="recorded",
            filename="list.csv",
            size=payload.metadata.size,
            sha256=payload.metadata.sha256,
            mime_type="text/csv",
            options={},
            uploaded_by=None,
            now_ms=now_ms(),
        )

    async def record(progress: Any) -> None:
        seen.append(progress)

    job = ReservedJob(import_id, "import-participants", b"{}", 1, 0, now_ms(), None)
    context = SyncContext(job, record)
    attempt = Attempt(settings=settings, database=database, secret=b"s" * 32, payload=payload, context=context)
    await run_sync(attempt.run)
    database.close()
    return seen


# S4


async def test_s04_the_result_has_the_specified_fields(client: Client, tmp_path: Path) -> None:
    job_id = await client.upload("spec", write_csv(tmp_path, 7, bad=2), {"sendWelcomeEmail": "true"})
    job = await ended(client, job_id)

    specified = {"success": True, "processedCount": 7, "errorCount": 2, "tokens": 7, "emailsSent": 7}
    assert {name: job["result"][name] for name in specified} == specified


async def test_s04_no_mail_is_sent_unless_asked_for(client: Client, tmp_path: Path) -> None:
    job = await ended(client, await client.upload("spec", write_csv(tmp_path, 3), {}))

    assert job["result"]["emailsSent"] == 0


# S5


async def test_s05_the_upload_is_removed_when_the_import_is_completed(
    client: Client, served: Served, tmp_path: Path
) -> None:
    job_id = await client.upload("spec", write_csv(tmp_path), {})
    await ended(client, job_id)

    await eventually(lambda: not (served.data / "uploads" / job_id).exists())
    assert not (served.data / "spool" / job_id).exists()


async def test_s05_the_upload_is_removed_when_the_import_is_cancelled(
    client: Client, served: Served, tmp_path: Path
) -> None:
    job_id = await client.upload("spec", write_csv(tmp_path, 2000), {})
    await client.cancel(job_id)
    job = await ended(client, job_id)

    assert job["status"] == "cancelled"
    await eventually(lambda: not (served.data / "uploads" / job_id).exists())


async def test_s05_the_upload_of_a_failed_import_is_kept_for_a_replay_and_then_removed(
    client: Client, served: Served, tmp_path: Path
) -> None:
    upload = tmp_path / "empty.csv"
    upload.write_text("이름,이메일\n")
    job_id = await client.upload("spec", upload, {})
    assert (await ended(client, job_id))["status"] == "failed"
    kept = served.data / "uploads" / job_id
    assert kept.exists()

    async with httpx.AsyncClient(base_url=served.url, headers={"Authorization": f"Bearer {served.key}"}) as http:
        assert (await http.post(f"/api/jobs/{job_id}/replay")).status_code == 202
        assert (await ended(client, job_id))["status"] == "failed"
        await eventually(lambda: not kept.exists())
        answer = await http.post(f"/api/jobs/{job_id}/replay")
    assert answer.status_code == 410
    assert "upload" in answer.json()["detail"].lower()


# S6


async def test_s06_the_uploader_is_told_of_a_completed_import_once(
    client: Client, served: Served, served_queue: Queue, tmp_path: Path
) -> None:
    before = (await served_queue.counts())["completed"]
    uploader = f"{uuid4().hex[:8]}@example.org"
    job_id = await client.upload("spec", write_csv(tmp_path, 4, bad=1), {"uploadedBy": uploader})
    await ended(client, job_id)
    await delivered(served_queue, job_id)

    (letter,) = served.letters_to(uploader)
    assert "completed" in letter["Subject"]
    text = letter.get_body(("plain",)).get_content()  # type: ignore[union-attr]  # it has one, or fails here
    assert "processed: 4" in text
    assert "errors: 1" in text
    assert (await served_queue.counts())["completed"] > before  # the metric


async def test_s06_the_uploader_is_told_of_a_failed_import_once_and_why(
    client: Client, served: Served, served_queue: Queue, tmp_path: Path
) -> None:
    before = (await served_queue.counts())["failed"]
    uploader = f"{uuid4().hex[:8]}@example.org"
    upload = tmp_path / "names.csv"
    upload.write_text("이름,소속\n김,evq\n")
    job_id = await client.upload("spec", upload, {"uploadedBy": uploader})
    job = await ended(client, job_id)
    await delivered(served_queue, job_id)

    (letter,) = served.letters_to(uploader)
    assert "failed" in letter["Subject"]
    text = letter.get_body(("plain",)).get_content()  # type: ignore[union-attr]  # it has one, or fails here
    assert " ".join(job["error"]["message"].split()) in " ".join(text.split())
    assert (await served_queue.counts())["failed"] > before  # the metric


async def test_s06_every_participant_gets_one_welcome_mail_with_a_ticket(
    client: Client, served: Served, served_queue: Queue, tmp_path: Path
) -> None:
    upload = write_csv(tmp_path, 3)
    job_id = await client.upload("spec", upload, {"sendWelcomeEmail": "true"})
    await ended(client, job_id)
    people = [line.split(",")[1] for line in upload.read_text().splitlines()[1:]]
    await delivered(served_queue, job_id)

    assert [len(served.letters_to(person)) for person in people] == [1, 1, 1]
    assert "https://tickets.example.org/t/" in served.letters_to(people[0])[0].as_string()


# S7


async def test_s07_a_job_is_pending_processing_completed_failed_or_cancelled_and_nothing_else(queue: Queue) -> None:
    assert [status.value for status in JobStatus] == ["pending", "processing", "completed", "failed", "cancelled"]
    gate = asyncio.Event()

    @queue.task
    async def work(fail: bool) -> None:
        await gate.wait()
        if fail:
            raise ValidationError("no")

    async def status_of(job: Job) -> JobStatus:
        return (await job.refresh()).status

    good, bad = await work.enqueue(fail=False), await work.enqueue(fail=True)
    delayed, dropped = await work.using(delay=60).enqueue(fail=False), await work.using(delay=60).enqueue(fail=False)
    await dropped.cancel()
    assert await status_of(good) is JobStatus.PENDING
    assert await status_of(delayed) is JobStatus.PENDING
    assert await status_of(dropped) is JobStatus.CANCELLED

    worker = Worker(queue, concurrency=2)
    async with anyio.create_task_group() as group:
        group.start_soon(worker.run)
        with anyio.fail_after(10):
            while await status_of(bad) is not JobStatus.PROCESSING:
                await anyio.sleep(0.01)
            gate.set()
            while await status_of(bad) is JobStatus.PROCESSING or await status_of(good) is JobStatus.PROCESSING:
                await anyio.sleep(0.01)
        worker.stop()
    assert await status_of(good) is JobStatus.COMPLETED
    assert await status_of(bad) is JobStatus.FAILED


# S8


async def test_s08_progress_has_the_specified_fields_and_never_goes_back(client: Client, tmp_path: Path) -> None:
    job_id = await client.upload("spec", write_csv(tmp_path, 1500), {})
    seen = [frame["data"] async for frame in client.follow(job_id) if frame["event"] == "progress"]

    names = {"percentage", "currentStep", "totalSteps", "completedSteps", "estimatedTimeRemaining"}
    assert all(progress.keys() == names for progress in seen)
    assert all(progress["totalSteps"] == 5 for progress in seen)
    for name in ("percentage", "completedSteps"):
        values = [progress[name] for progress in seen]
        assert values == sorted(values)
    measured = [progress for progress in seen if progress["estimatedTimeRemaining"] is not None]
    assert measured
    for step in {progress["currentStep"] for progress in measured}:  # each has its own pace
        remaining = [p["estimatedTimeRemaining"] for p in measured if p["currentStep"] == step]
        assert remaining == sorted(remaining, reverse=True)


# S9


async def test_s09_progress_is_kept_in_redis_under_its_key_for_an_hour_after_the_end(
    client: Client, served: Served, tmp_path: Path
) -> None:
    job_id = await client.upload("spec", write_csv(tmp_path), {})
    await ended(client, job_id)

    with redis.Redis.from_url(served.redis) as plain:
        key = f"evq:{{file-processing}}:progress:{job_id}"
        stored = orjson.loads(plain.get(key))
        assert 3590 <= plain.ttl(key) <= 3600
    assert stored["percentage"] == 100
    assert stored["totalSteps"] == stored["completedSteps"] == 5
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {served.key}"}) as http:
        assert (await http.get(f"{served.url}/api/jobs/{job_id}/progress")).json() == stored


async def test_s09_a_job_has_a_websocket_with_frames_event_job_seq_data(
    client: Client, served: Served, tmp_path: Path
) -> None:
    job_id = await client.upload("spec", write_csv(tmp_path, 1000), {})
    address = f"{served.url.replace('http', 'ws')}/api/jobs/{job_id}/progress"
    async with connect(address, additional_headers={"Authorization": f"Bearer {served.key}"}, proxy=None) as socket:
        frames = [orjson.loads(message) async for message in socket]

    assert all(frame.keys() >= {"event", "job", "seq", "data"} for frame in frames)
    assert {frame["job"] for frame in frames} == {job_id}
    assert {frame["event"] for frame in frames[:-1]} == {"progress"}
    assert frames[-1]["event"] == "completed"
    numbers = [frame["seq"] for frame in frames]
    assert numbers == sorted(set(numbers))


async def test_s09_a_websocket_resumes_after_the_last_frame_that_was_seen(
    client: Client, served: Served, tmp_path: Path
) -> None:
    job_id = await client.upload("spec", write_csv(tmp_path, 1000), {})
    address = f"{served.url.replace('http', 'ws')}/api/jobs/{job_id}/progress"
    headers = {"Authorization": f"Bearer {served.key}"}
    async with connect(address, additional_headers=headers, proxy=None) as socket:
        first = orjson.loads(await socket.recv())
    async with connect(f"{address}?after={first['seq']}", additional_headers=headers, proxy=None) as socket:
        rest = [orjson.loads(message) async for message in socket]

    assert all(frame["seq"] > first["seq"] for frame in rest)
    assert rest[-1]["event"] == "completed"


# S10


def test_s10_a_job_is_tried_three_times_with_exponential_backoff_from_two_seconds() -> None:
    policy = RetryPolicy()

    assert (policy.attempts, policy.backoff, policy.delay) == (3, "exponential", 2.0)
    delays = [policy.next_delay(TemporaryError(), attempt, uniform=lambda low, _: low) for attempt in (1, 2, 3)]
    assert delays == [2.0, 4.0, None]


async def test_s10_the_delays_pass_in_real_time_and_are_never_shorter(queue: Queue) -> None:
    started: list[float] = []

    @queue.task(retry=RetryPolicy(delay=0.3))
    async def flaky() -> None:
        started.append(time.monotonic())
        raise TemporaryError("not now")

    job = await flaky.enqueue()
    worker = Worker(queue)
    async with anyio.create_task_group() as group:
        group.start_soon(worker.run)
        with anyio.fail_after(10):
            while not (await job.refresh()).status.ended:
                await anyio.sleep(0.02)
        worker.stop()

    assert job.status is JobStatus.FAILED
    assert len(started) == 3
    assert started[1] - started[0] >= 0.3
    assert started[2] - started[1] >= 0.6


# S11


@pytest.mark.parametrize(
    ("error", "delay"),
    [
        (ValidationError("v"), None),
        (NetworkError("n"), 5.0),
        (TemporaryError("t"), 2.0),
        (ConnectionResetError(), 5.0),
        (TimeoutError(), 5.0),
        (AttemptTimeout("a"), 2.0),
        (ValueError(), None),
        (KeyError(), None),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
def test_s11_errors_are_retried_by_their_class(error: Exception, delay: float | None) -> None:
    policy = RetryPolicy()

    assert policy.next_delay(error, 1, uniform=lambda low, _: low) == delay
    if delay is not None:
        assert policy.next_delay(error, 2, uniform=lambda low, _: low) == 2 * delay
        longest = policy.next_delay(error, 1, uniform=lambda _, high: high)
        assert longest == pytest.approx(1.1 * delay)


async def test_s11_a_file_at_fault_is_not_tried_again(client: Client, tmp_path: Path, served_queue: Queue) -> None:
    upload = tmp_path / "picture.csv"
    upload.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    job_id = await client.upload("spec", upload, {})
    job = await ended(client, job_id)
    record = await served_queue.get(job_id)

    assert job["status"] == "failed"
    assert job["error"]["type"] == "ValidationError"
    assert "PNG" in job["error"]["message"]
    assert record is not None
    assert record.record.failures == 1


async def test_s11_an_unknown_event_is_refused_with_the_remedy(client: Client, tmp_path: Path) -> None:
    with pytest.raises(ServerError, match=r"404.*PUT /api/events/"):
        await client.upload("nowhere", write_csv(tmp_path), {})
