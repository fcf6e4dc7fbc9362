"""A real server on a real queue, for the tests of the HTTP side; only the import itself is scripted by each test."""

import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anyio
import httpx
import uvicorn

from evq import Context, Queue, Worker
from evq.job import NewJob, dump_payload
from evq_server.app import create_app
from evq_server.jobs import ImportJobs
from evq_server.schemas import ImportPayload
from evq_server.settings import Settings, load_api_key
from evq_server.store.database import Database

TASK = "import_participants"
Script = Callable[[Context], Awaitable[Any]]


class ScriptedJobs(ImportJobs):
    """Import jobs on a real queue whose handler is whatever the test last put into *script*."""

    def __init__(self, database: Database, queue: Queue) -> None:  # the real ones are not wanted here
        self.database = database
        self.rows = {}
        self.queue = queue
        self.script: Script = _nothing

        @queue.task(name=TASK)
        async def run(ctx: Context, **_: Any) -> Any:
            return await self.script(ctx)

    async def submit(self, import_id: str, payload: ImportPayload) -> None:
        job = NewJob(task=TASK, payload=dump_payload(TASK, payload.to_wire()), id=import_id)
        await self.queue.enqueue_many([job])


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait until the condition holds, at most 5 s."""
    with anyio.fail_after(5):
        while not await condition():
            await anyio.sleep(0.01)


async def _nothing(_: Context) -> dict[str, bool]:
    return {"success": True}


@dataclass
class Server:
    settings: Settings
    database: Database
    jobs: ScriptedJobs
    client: httpx.AsyncClient
    port: int
    key: str

    @property
    def ws(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    @property
    def auth(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}

    async def put_event(self, event_id: str = "gala") -> None:
        answer = await self.client.put(f"/api/events/{event_id}", json={"name": "Gala <2026>", "language": "en"})
        assert answer.status_code == 200, answer.text

    async def upload(self, body: bytes = b"email\nkim@example.org\n", **params: str) -> str:
        answer = await self.client.post("/api/events/gala/imports", params=params, content=body)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["jobId"])

    async def status(self, job_id: str) -> str:
        return str((await self.client.get(f"/api/jobs/{job_id}")).json()["status"])

    def files(self) -> list[str]:
        return sorted(path.name for path in self.settings.uploads.iterdir())

    @asynccontextmanager
    async def worker(self, script: Script) -> AsyncIterator[None]:
        self.jobs.script = script
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(Worker(self.jobs.queue, concurrency=4).run)
            yield
            tasks.cancel_scope.cancel()


@asynccontextmanager
async def serve(settings: Settings, database: Database, queue: Queue) -> AsyncIterator[Server]:
    """Run the app under uvicorn on a free port of 127.0.0.1."""
    jobs = ScriptedJobs(database, queue)
    app = create_app(settings, database=database, jobs=jobs)
    config = uvicorn.Config(app, log_config=None, ws="websockets-sansio", lifespan="on")
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    # asyncio switches Nagle's delays off only where the protocol is named
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        # `Server.serve` does the same, with waits of 0.1 s
        await server.startup([listener])
        try:
            key = load_api_key(settings)
            url, headers = f"http://127.0.0.1:{port}", {"Authorization": f"Bearer {key}"}
            async with httpx.AsyncClient(base_url=url, headers=headers, timeout=10) as client:
                yield Server(settings, database, jobs, client, port, key)
        finally:
            for acceptor in server.servers:
                acceptor.close()
            await server.lifespan.shutdown()
