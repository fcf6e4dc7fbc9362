"""An upload comes in whole and hashed, by either door, or leaves nothing behind."""

import errno
import hashlib
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import httpx
import pytest

from evq import Queue
from evq_server.api.imports import read_choices
from evq_server.settings import Settings
from evq_server.store.database import Database
from evq_server.store.imports import get_import, unfinished_imports
from evq_server.uploads import FIELD_LIMIT, clean_filename, remove_abandoned
from tests.server.api_fixtures import Server, serve, until

pytestmark = pytest.mark.anyio

LIMIT = 600_000
IMPORTS = "/api/events/gala/imports"


@pytest.fixture
async def server(settings: Settings, database: Database, queue: Queue) -> AsyncIterator[Server]:
    small = Settings(data=settings.data, secret=settings.secret, upload_limit=LIMIT)
    async with serve(small, database, queue) as server:
        await server.put_event()
        yield server


def imports_of(server: Server) -> int:
    with server.database.read() as connection:
        return len(unfinished_imports(connection))


async def test_a_raw_body_is_kept_under_its_jobs_id_with_its_hash_and_reaches_the_queue(server: Server) -> None:
    body = os.urandom(500_000)
    job_id = await server.upload(body, filename="명단.csv", uploadedBy="Kim@example.org", dryRun="true")
    assert server.files() == [job_id]
    assert (server.settings.uploads / job_id).read_bytes() == body
    job = await server.jobs.queue.get(job_id)
    assert job is not None
    assert job.payload["metadata"] == {
        "uploadedBy": "Kim@example.org",
        "filename": "명단.csv",
        "size": 500_000,
        "sha256": hashlib.sha256(body).hexdigest(),
    }
    assert job.payload["options"]["dryRun"] is True
    assert job.payload["tempPath"] == str(server.settings.uploads / job_id)
    with server.database.read() as connection:
        row = get_import(connection, job_id)
    assert row is not None
    assert (row.size, row.filename, row.status) == (500_000, "명단.csv", None)


async def test_a_multipart_form_brings_the_same_file_and_its_fields(server: Server) -> None:
    body = os.urandom(400_000) + b"\r\n--almost a boundary\r\n"
    answer = await server.client.post(
        IMPORTS,
        files={"file": ("참가자.xlsx", body, "application/x-test")},
        data={"duplicates": "update", "mapping": '{"메일": "email"}', "sheet": "", "ticketTypes": "VIP, 일반 ,"},
    )
    assert answer.status_code == 202, answer.text
    job_id = answer.json()["jobId"]
    assert (server.settings.uploads / job_id).read_bytes() == body
    job = await server.jobs.queue.get(job_id)
    assert job is not None
    assert job.payload["mimeType"] == "application/x-test"
    assert job.payload["metadata"]["filename"] == "참가자.xlsx"
    assert job.payload["options"]["duplicates"] == "update"
    assert job.payload["options"]["mapping"] == {"메일": "email"}
    assert job.payload["options"]["sheet"] is None
    assert job.payload["options"]["ticketTypes"] == ["VIP", "일반"]
    assert job.payload["options"]["region"] == "KR"


@pytest.mark.parametrize("announced", [True, False])
@pytest.mark.parametrize("form", [True, False])
async def test_a_file_over_the_limit_is_a_413_that_states_the_limit(
    server: Server, announced: bool, form: bool
) -> None:
    size = LIMIT + 1 if not announced else LIMIT * 10
    if form:
        request = server.client.build_request("POST", IMPORTS, files={"file": ("a.csv", b"x" * size)})
        headers = {"Content-Type": request.headers["content-type"]}
        body = request.read()
    else:
        body, headers = b"x" * size, {}

    async def streamed() -> AsyncIterator[bytes]:
        yield body

    answer = await server.client.post(IMPORTS, content=body if announced else streamed(), headers=headers)
    assert answer.status_code == 413
    assert str(LIMIT) in answer.json()["detail"]
    assert server.files() == []
    assert imports_of(server) == 0


async def test_a_file_of_exactly_the_limit_is_taken(server: Server) -> None:
    await server.upload(b"x" * LIMIT)


async def test_an_empty_body_is_refused(server: Server) -> None:
    answer = await server.client.post(IMPORTS, content=b"")
    assert answer.status_code == 400
    assert "empty" in answer.json()["detail"]
    assert server.files() == []


async def test_a_client_that_hangs_up_leaves_nothing(server: Server) -> None:
    stream = await anyio.connect_tcp("127.0.0.1", server.port)
    head = f"POST {IMPORTS} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {server.key}\r\nContent-Length: 500000\r\n\r\n"
    await stream.send(head.encode() + b"x" * 300_000)

    async def begun() -> bool:
        return bool(server.files())

    async def gone() -> bool:
        return not server.files()

    await until(begun)
    await stream.aclose()
    await until(gone)
    assert imports_of(server) == 0


async def test_a_queue_that_is_down_is_a_503_and_leaves_nothing(settings: Settings, database: Database) -> None:
    async with (
        Queue("down", redis="unix:///nowhere/redis.sock") as queue,
        serve(settings, database, queue) as server,
    ):
        await server.put_event()
        with anyio.fail_after(30):
            answer = await server.client.post(IMPORTS, content=b"email\n", timeout=30)
        assert answer.status_code == 503
        assert answer.headers["retry-after"]
        assert "Try again" in answer.json()["detail"]
        assert server.files() == []
        assert imports_of(server) == 0


def test_the_region_is_the_operator_s_unless_the_upload_says_otherwise() -> None:
    assert read_choices({"region": ""}, region="JP").options.region == "JP"
    assert read_choices({"region": "US"}, region="JP").options.region == "US"


@pytest.mark.parametrize(
    ("params", "named"),
    [
        ({"colour": "red"}, "colour"),
        ({"duplicates": "maybe"}, "duplicates"),
        ({"mapping": "[1]"}, "object"),
        ({"uploadedBy": "nobody"}, "uploadedBy"),
        ({"dryRun": "perhaps"}, "dryRun"),
        ({"region": "XX"}, "region is 'XX'"),
        ({"ticketTypes": "VIP,vip"}, "ticket_type"),
    ],
)
async def test_wrong_options_are_refused_by_name(server: Server, params: dict[str, str], named: str) -> None:
    for sent in ({"params": params, "content": b"email\n"}, {"data": params, "files": {"file": ("a.csv", b"email\n")}}):
        answer = await server.client.post(IMPORTS, **sent)
        assert answer.status_code == 400
        assert named in answer.json()["detail"]
    assert server.files() == []


async def test_a_field_given_twice_is_refused(server: Server) -> None:
    answer = await server.client.post(f"{IMPORTS}?sheet=a", data={"sheet": "b"}, files={"file": ("a.csv", b"x")})
    assert answer.status_code == 400
    assert "'sheet'" in answer.json()["detail"]


async def post_form(server: Server, body: bytes) -> httpx.Response:
    return await server.client.post(
        IMPORTS, content=body, headers={"Content-Type": "multipart/form-data; boundary=limit"}
    )


def part(name: str, value: bytes, more: str = "") -> bytes:
    return b'--limit\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n' % (
        name.encode(),
        more.encode(),
        value,
    )


FILE = part("file", b"email\n", '; filename="a.csv"')
END = b"--limit--\r\n"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (FILE + FILE + END, "more than one file"),
        (part("sheet", b"a") + END, "no file"),
        (part("sheet", b"a") + part("sheet", b"b") + FILE + END, "twice"),
        (FILE, "before its last boundary"),
        (b"nonsense", "cannot be read"),
        (part("sheet", b"x" * (FIELD_LIMIT + 1)) + FILE + END, "longer than"),
        (b"".join(part(f"f{n}", b"") for n in range(17)) + FILE + END, "more than 16 fields"),
        (part("sheet", b"\xff") + FILE + END, "not UTF-8"),
        (b"--limit\r\nX-Long: " + b"x" * 100_000, "cannot be read"),
    ],
)
async def test_a_broken_form_is_a_400_that_says_how(server: Server, body: bytes, reason: str) -> None:
    answer = await post_form(server, body)
    assert answer.status_code == 400
    assert reason in answer.json()["detail"]
    assert server.files() == []


async def test_a_full_disk_is_a_507_that_leaves_nothing(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    await server.put_event()
    monkeypatch.setattr("evq_server.uploads.os.fsync", full)
    answer = await server.client.post("/api/events/gala/imports", content=b"email\n")
    assert answer.status_code == 507
    assert "No space left" in answer.json()["detail"]
    assert server.files() == []


async def test_an_unknown_event_is_refused_before_the_file_has_travelled(server: Server) -> None:
    head = f"POST /api/events/nope/imports HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {server.key}\r\n"
    async with await anyio.connect_tcp("127.0.0.1", server.port) as stream:
        await stream.send(head.encode() + b"Content-Length: 500000\r\n\r\n")
        with anyio.fail_after(5):
            answer = await stream.receive()
    assert answer.startswith(b"HTTP/1.1 404")
    assert b"PUT /api/events/nope" in answer


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\lists\\guests.csv", "guests.csv"),
        ("a\0b\r\n.csv", "ab  .csv"),
        ("evil\u202ecsv.exe", "evilcsv.exe"),
        ("", "upload"),
        ("/", "upload"),
        ("x" * 300, "x" * 255),
        ("\u1112\u1161\u11ab.csv", "\ud55c.csv"),
    ],
)
def test_a_file_name_is_made_fit_for_display(given: str, shown: str) -> None:
    assert clean_filename(given) == shown


def test_only_what_a_killed_server_left_long_ago_is_removed(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "1").mkdir()
    os.utime(tmp_path / "folder", (time.time() - 7200,) * 2)
    for name, age in [("old.part", 7200), ("new.part", 10), ("orphan", 7200), ("known", 7200)]:
        (tmp_path / name).write_bytes(b"x")
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    remove_abandoned(tmp_path, lambda name: name == "known")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["known", "new.part"]
