"""The HTTP contract: who may come in, what is answered, and how errors look."""

import json
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anyio
import pytest

from evq import Context, Queue
from evq_server.settings import Settings, load_secret
from evq_server.store.database import Database
from evq_server.store.imports import record_outcome
from evq_server.store.participants import Row, list_participants, save_chunk
from evq_server.store.tickets import issue_tickets
from tests.server.api_fixtures import Server, serve, until

pytestmark = pytest.mark.anyio


@pytest.fixture
async def server(settings: Settings, database: Database, queue: Queue) -> AsyncIterator[Server]:
    async with serve(settings, database, queue) as server:
        await server.put_event()
        yield server


def save(server: Server, import_id: str, count: int) -> list[str]:
    """Save participants with tickets; return their tokens."""
    rows = [
        Row(row=n, email=f"p{n}@example.org", name=f"P{n}", phone=None, attributes={"소속": "한빛"})
        for n in range(count)
    ]
    with server.database.begin() as connection:
        save_chunk(
            connection,
            import_id=import_id,
            event_id="gala",
            fence=1,
            first=0,
            end=count,
            rows=rows,
            duplicates="skip",
            now_ms=1,
        )
        ids = [person.id for person in list_participants(connection, "gala", limit=count)]
        tokens = issue_tickets(
            connection,
            import_id=import_id,
            fence=1,
            secret=load_secret(server.settings),
            event_id="gala",
            participant_ids=ids,
            now_ms=1,
        )
    return [tokens[participant_id] for participant_id in ids]


def assert_problem(answer: Any, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert body.keys() == {"type", "title", "status", "detail"}
    assert body["status"] == status
    return body


# The door


CLOSED = [
    ("GET", "/api/events/gala"),
    ("PUT", "/api/events/gala"),
    ("POST", "/api/events/gala/imports"),
    ("GET", "/api/events/gala/participants"),
    ("GET", "/api/jobs/x"),
    ("DELETE", "/api/jobs/x"),
    ("POST", "/api/jobs/x/replay"),
    ("GET", "/api/jobs/x/progress"),
    ("GET", "/api/jobs/x/errors.csv"),
    ("GET", "/api/jobs/x/warnings.csv"),
    ("GET", "/api/jobs/x/qr.zip"),
    ("GET", "/schema/openapi.json"),
]
OPEN = ["/", "/static/app.js", "/healthz"]


async def test_without_the_key_everything_but_health_tickets_and_the_page_is_401(server: Server) -> None:
    for header in ("", "Bearer wrong", f"Basic {server.key}", server.key, "Bearer", "Bearer ключ"):
        for method, path in CLOSED:
            answer = await server.client.request(method, path, headers={b"Authorization": header.encode()})
            assert_problem(answer, 401)
            assert answer.headers["www-authenticate"] == "Bearer"
    for path in OPEN:
        assert (await server.client.get(path, headers={"Authorization": ""})).status_code == 200


async def test_every_closed_route_is_in_the_list_above(server: Server) -> None:
    schema = (await server.client.get("/schema/openapi.json")).json()
    documented = {(method.upper(), path) for path, methods in schema["paths"].items() for method in methods}
    listed = {
        (method, path.replace("gala", "{event_id}").replace("/x", "/{job_id}"))
        for method, path in CLOSED
        if "schema" not in path
    }
    assert documented == listed | {("GET", "/healthz"), ("GET", "/readyz")}


async def test_the_key_is_checked_without_a_thread(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError

    monkeypatch.setattr(ThreadPoolExecutor, "submit", refuse)
    assert (await server.client.get("/api/jobs/unknown")).status_code == 404


async def test_every_answer_has_the_security_headers(server: Server) -> None:
    for path in ("/", "/static/app.js", "/healthz", "/api/events/gala", "/api/jobs/x", "/nowhere", "/t/x"):
        headers = (await server.client.get(path)).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"


async def test_an_unknown_path_and_a_wrong_method_are_problems(server: Server) -> None:
    assert_problem(await server.client.get("/nowhere"), 404)
    assert_problem(await server.client.delete("/api/events/gala"), 405)
    assert_problem(await server.client.get("/static/../app.py"), 404)
    assert_problem(await server.client.get("/static/%2e%2e/app.py"), 404)


async def test_a_mistake_of_the_server_is_a_problem_without_a_traceback(
    server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    job_id = await server.upload()

    async def broken(_: str) -> None:
        raise RuntimeError(job_id)

    monkeypatch.setattr(server.jobs.queue, "get", broken)
    answer = await server.client.get(f"/api/jobs/{job_id}")
    assert_problem(answer, 500)
    assert job_id not in answer.text
    (record,) = [record for record in caplog.records if record.name == "evq_server.errors"]
    assert record.__dict__["error"] == "RuntimeError"
    assert "in broken" in record.__dict__["at"]
    assert job_id not in str(record.__dict__)


# Events


async def test_an_event_is_created_shown_and_changed(server: Server) -> None:
    body = {"name": "봄 갈라", "language": "ko", "mailSubject": "$event 티켓", "mailBody": "$name 님"}
    put = await server.client.put("/api/events/spring", json=body)
    assert put.status_code == 200
    assert put.json() == {"id": "spring", **body}
    assert (await server.client.get("/api/events/spring")).json() == put.json()
    changed = await server.client.put("/api/events/spring", json={"name": "Spring", "language": "en"})
    assert changed.json() == {"id": "spring", "name": "Spring", "language": "en", "mailSubject": None, "mailBody": None}


@pytest.mark.parametrize(
    ("event_id", "body", "named"),
    [
        ("Gala!", {"name": "a", "language": "ko"}, "event id"),
        ("gala", {"name": "", "language": "ko"}, "name"),
        ("gala", {"name": "a", "language": "fr"}, "language"),
        ("gala", {"name": "a", "language": "en", "colour": "red"}, "colour"),
        ("gala", {"language": "en"}, "name"),
        ("gala", {"name": "a", "language": "en", "mailBody": "$nobody"}, "nobody"),
    ],
)
async def test_a_wrong_event_is_a_400_that_names_the_fault(
    server: Server, event_id: str, body: dict[str, str], named: str
) -> None:
    answer = await server.client.put(f"/api/events/{event_id}", json=body)
    assert named in assert_problem(answer, 400)["detail"]


@pytest.mark.parametrize("path", ["", "/participants"])
async def test_an_unknown_event_is_a_404_that_says_how_to_create_it(server: Server, path: str) -> None:
    answer = await server.client.get(f"/api/events/nope{path}")
    assert "PUT /api/events/nope" in assert_problem(answer, 404)["detail"]


# Jobs


async def test_an_upload_answers_with_links_that_lead_somewhere(server: Server) -> None:
    answer = await server.client.post("/api/events/gala/imports?filename=a.csv", content=b"email\n")
    body = answer.json()
    assert answer.status_code == 202
    assert body["status"] == "pending"
    assert body["links"].keys() == {"self", "progress", "errors", "warnings", "qr", "participants"}
    assert (await server.client.get(body["links"]["self"])).json()["links"] == body["links"]
    assert (await server.client.get(body["links"]["progress"])).json()["currentStep"] == "waiting"
    assert (await server.client.get(body["links"]["participants"])).json() == {"items": [], "next": None}
    for made in ("errors", "qr"):
        assert "pending" in assert_problem(await server.client.get(body["links"][made]), 404)["detail"]


async def test_a_job_shows_its_progress_and_then_its_result(server: Server) -> None:
    job_id = await server.upload(filename="명단.csv")
    saved, done = anyio.Event(), anyio.Event()

    async def script(ctx: Context) -> dict[str, Any]:
        await ctx.progress(75, step="save", total_steps=5, completed_steps=3)
        saved.set()
        await done.wait()
        return {"success": True, "processedCount": 1}

    async with server.worker(script):
        await saved.wait()
        now = (await server.client.get(f"/api/jobs/{job_id}")).json()
        assert (now["status"], now["eventId"], now["filename"]) == ("processing", "gala", "명단.csv")
        assert now["progress"]["percentage"] == 75
        assert now["createdAt"].endswith("+00:00")
        assert (await server.client.get(f"/api/jobs/{job_id}/progress")).json() == now["progress"]
        done.set()
        await server.jobs.queue.result(job_id, timeout=5)
    ended = (await server.client.get(f"/api/jobs/{job_id}")).json()
    assert (ended["status"], ended["error"]) == ("completed", None)
    assert ended["result"] == {"success": True, "processedCount": 1}


@pytest.mark.parametrize(
    ("status", "outcome", "result", "error"),
    [
        ("completed", {"success": True}, {"success": True}, None),
        ("failed", {"type": "ValidationError", "message": "m"}, None, {"type": "ValidationError", "message": "m"}),
        ("cancelled", {"type": "JobCancelled", "message": "m"}, None, None),
    ],
)
async def test_an_import_that_the_queue_has_forgotten_still_shows_its_outcome(
    server: Server, status: Any, outcome: Any, result: Any, error: Any
) -> None:
    job_id = await server.upload()
    with server.database.begin() as connection:
        record_outcome(connection, job_id, 0, status, outcome, now_ms=1)
    async with Queue("forgetful", redis=server.jobs.queue.url) as server.jobs.queue:
        answer = (await server.client.get(f"/api/jobs/{job_id}")).json()
        assert (answer["status"], answer["result"], answer["error"]) == (status, result, error)
        assert answer["progress"] is None
        assert_problem(await server.client.get(f"/api/jobs/{job_id}/progress"), 404)


async def test_a_status_that_is_asked_for_again_needs_no_database(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Database) -> None:
        raise AssertionError

    job_id = await server.upload(filename="list.csv")
    first = (await server.client.get(f"/api/jobs/{job_id}")).json()
    monkeypatch.setattr(Database, "read", refuse)
    await server.jobs.queue.cancel(job_id)
    assert (await server.client.get(f"/api/jobs/{job_id}")).json() == first | {"status": "cancelled", "progress": None}


async def test_an_import_that_was_looked_at_shows_its_outcome_once_the_queue_has_forgotten_it(server: Server) -> None:
    job_id = await server.upload()
    assert await server.status(job_id) == "pending"
    with server.database.begin() as connection:
        record_outcome(connection, job_id, 0, "completed", {"success": True}, now_ms=1)
    async with Queue("forgetful", redis=server.jobs.queue.url) as server.jobs.queue:
        assert await server.status(job_id) == "completed"


async def test_only_so_many_rows_are_kept_in_memory(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evq_server.api.jobs.ROWS", 2)
    for job_id in [await server.upload() for _ in range(3)]:
        assert await server.status(job_id) == "pending"
    assert len(server.jobs.rows) == 2


async def test_an_import_that_the_queue_never_heard_of_is_pending(server: Server) -> None:
    job_id = await server.upload()
    async with Queue("forgetful", redis=server.jobs.queue.url) as server.jobs.queue:
        assert (await server.client.get(f"/api/jobs/{job_id}")).json()["status"] == "pending"


async def test_cancel_is_200_while_waiting_202_while_running_409_after_the_end(server: Server) -> None:
    waiting, running = await server.upload(), None
    answer = await server.client.delete(f"/api/jobs/{waiting}")
    assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
    assert "cancelled" in assert_problem(await server.client.delete(f"/api/jobs/{waiting}"), 409)["detail"]

    started = anyio.Event()

    async def script(_: Context) -> None:
        started.set()
        await anyio.sleep_forever()

    async with server.worker(script):
        running = await server.upload()
        await started.wait()
        answer = await server.client.delete(f"/api/jobs/{running}")
        assert answer.status_code == 202
        assert answer.json() == {"jobId": running, "status": "processing", "requested": True}


async def test_a_failed_import_runs_again_while_its_upload_is_kept(server: Server) -> None:
    async def fail(_: Context) -> None:
        raise ValueError("no")

    job_id = await server.upload()
    assert_problem(await server.client.post(f"/api/jobs/{job_id}/replay"), 409)
    async with server.worker(fail):

        async def failed() -> bool:
            return await server.status(job_id) == "failed"

        await until(failed)
    answer = await server.client.post(f"/api/jobs/{job_id}/replay")
    assert (answer.status_code, answer.json()["status"]) == (202, "pending")

    await server.client.delete(f"/api/jobs/{job_id}")
    (server.settings.uploads / job_id).unlink()
    answer = await server.client.post(f"/api/jobs/{job_id}/replay")
    assert "Upload the file again" in assert_problem(answer, 410)["detail"]


@pytest.mark.parametrize(
    ("name", "kind"), [("errors.csv", "text/csv"), ("warnings.csv", "text/csv"), ("qr.zip", "application/zip")]
)
async def test_what_an_import_made_is_downloaded_as_an_attachment(server: Server, name: str, kind: str) -> None:
    job_id = await server.upload()
    assert "yet" in assert_problem(await server.client.get(f"/api/jobs/{job_id}/{name}"), 404)["detail"]
    folder = server.settings.artefacts / job_id
    folder.mkdir()
    (folder / name).write_bytes(b"\xef\xbb\xbfrow\n" * 1000)
    answer = await server.client.get(f"/api/jobs/{job_id}/{name}")
    await server.client.get("/healthz")  # on the same connection: the file is closed before this is answered
    assert answer.content == b"\xef\xbb\xbfrow\n" * 1000
    assert answer.headers["content-type"].startswith(kind)
    assert answer.headers["content-disposition"].startswith("attachment")
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("job_id", ["x", "..", "%2e%2e%2fapi-key", "01M852GSGVEZXMC2AAMZR00000"])
async def test_an_unknown_import_is_a_404_everywhere(server: Server, job_id: str) -> None:
    for method, path in (
        ("GET", ""),
        ("DELETE", ""),
        ("GET", "/progress"),
        ("GET", "/errors.csv"),
        ("GET", "/warnings.csv"),
        ("POST", "/replay"),
    ):
        assert_problem(await server.client.request(method, f"/api/jobs/{job_id}{path}"), 404)


# Participants and tickets


async def test_participants_come_in_pages_each_once(server: Server) -> None:
    tokens = save(server, await server.upload(), 5)
    url = "/api/events/gala/participants"
    found: list[dict[str, Any]] = []
    after: int | None = 0
    while after is not None:
        page = (await server.client.get(url, params={"after": after, "limit": 2})).json()
        found += page["items"]
        after = page["next"]
    assert [person["email"] for person in found] == [f"p{n}@example.org" for n in range(5)]
    assert [person["ticket"] for person in found] == [f"/t/{token}" for token in tokens]
    assert found[0]["attributes"] == {"소속": "한빛"}
    for wrong in ({"limit": 0}, {"limit": 1001}, {"after": -1}, {"limit": "many"}):
        assert_problem(await server.client.get(url, params=wrong), 400)


async def test_a_tickets_page_names_the_event_and_nobody(server: Server) -> None:
    (token,) = save(server, await server.upload(), 1)
    for path in (f"/t/{token}", f"/T/{token}", f"/t/{token.lower()}"):
        answer = await server.client.get(path, headers={"Authorization": ""})
        assert answer.status_code == 200
        assert "Gala &lt;2026&gt;" in answer.text
        assert "Valid ticket" in answer.text
        assert "example.org" not in answer.text
        assert "P0" not in answer.text
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-robots-tag"].startswith("noindex")
    png = await server.client.get(f"/t/{token}.png")
    assert (png.headers["content-type"], png.content[:4]) == ("image/png", b"\x89PNG")
    svg = await server.client.get(f"/t/{token}.svg")
    assert svg.headers["content-type"].startswith("image/svg+xml")
    assert svg.text.startswith("<svg")


async def test_unknown_tickets_all_look_the_same(server: Server) -> None:
    pages = [await server.client.get(f"/t/{token}") for token in ("x", "0" * 26, "%3Cscript%3E", "U" * 26)]
    assert {answer.status_code for answer in pages} == {404}
    assert len({answer.text for answer in pages}) == 1
    for name in ("x.png", "0" * 26 + ".svg", "0" * 26 + ".exe"):
        assert_problem(await server.client.get(f"/t/{name}"), 404)


# Health


async def test_ready_means_that_redis_the_database_and_a_worker_are_there(server: Server) -> None:
    async def script(_: Context) -> None: ...

    lonely = await server.client.get("/readyz", headers={"Authorization": ""})
    assert (lonely.status_code, lonely.json()["missing"].keys()) == (503, {"workers"})
    async with server.worker(script):

        async def ready() -> bool:
            return (await server.client.get("/readyz")).status_code == 200

        await until(ready)
    async with Queue("down", redis="unix:///nowhere/redis.sock") as server.jobs.queue:
        down = await server.client.get("/readyz")
        assert (down.status_code, down.json()["missing"].keys()) == (503, {"redis"})
        assert "nowhere" not in down.text
        assert (await server.client.get("/healthz")).json() == {"status": "ok"}


async def test_the_openapi_document_needs_no_other_host(server: Server) -> None:
    schema = await server.client.get("/schema/openapi.json")
    assert schema.json()["openapi"].startswith("3.")
    assert "jsdelivr" not in json.dumps(schema.json())
