"""The servers that are measured, a process each: evq's, and the least that does the same; and a job that reports.

`python -m benchmarks.serving serve SUBJECT FOLDER` says where it serves, in a line of JSON, and does so until its input
ends. `python -m benchmarks.serving report REDIS COUNT` runs the import that waits there, which reports *count* times
and returns when it did.
"""

import json
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import anyio
import uvicorn
from anyio.to_thread import run_sync
from litestar import Litestar, get
from litestar.types import ASGIApp, Receive, Scope, Send

from benchmarks.peers.protocol import now
from benchmarks.redis_server import forget_redis
from evq import Context, Queue, Worker
from evq.settings import redis_url
from evq_server.jobs import QUEUE
from evq_server.settings import Settings
from evq_server.stack import stack

PAUSE: Final = 0.15
"""Between two reports of progress, s: of more than ten a second some are left out."""


@asynccontextmanager
async def evq(folder: Path) -> AsyncIterator[dict[str, str]]:
    """Serve as `evq serve` does, without workers."""
    forget_redis()
    async with stack(Settings(data=folder, port=0, workers=0), log_level="ERROR") as running:
        yield {"url": running.url, "key": running.key, "redis": redis_url()}


@asynccontextmanager
async def bare_asgi(folder: Path) -> AsyncIterator[dict[str, str]]:
    """Write each body to a file, and answer 202: no check, no hash, no sync, no record."""

    async def app(_: Scope, receive: Receive, send: Send) -> None:
        with (folder / "upload").open("wb") as file:
            more = True
            while more:
                message: Any = await receive()
                file.write(message["body"])
                more = message["more_body"]
        await send({"type": "http.response.start", "status": 202, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async with _serving(app) as url:
        yield {"url": url}


@asynccontextmanager
async def bare_litestar(_: Path) -> AsyncIterator[dict[str, str]]:
    """Answer with a JSON object of the size of a job's status, and look nothing up."""

    @get("/status")
    async def status() -> dict[str, str]:
        return {"status": "completed", "filler": 600 * "x"}

    async with _serving(Litestar([status], logging_config=None, openapi_config=None)) as url:
        yield {"url": url}


@asynccontextmanager
async def _serving(app: ASGIApp) -> AsyncIterator[str]:
    """Serve an application as evq's stack serves its own."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as sock:
        sock.bind(("127.0.0.1", 0))
        config = uvicorn.Config(app, log_config=None, access_log=False, server_header=False, lifespan="off")
        server = uvicorn.Server(config)
        async with anyio.create_task_group() as group:
            group.start_soon(server.serve, [sock])
            while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
                await anyio.sleep(0.02)
            yield f"http://127.0.0.1:{sock.getsockname()[1]}"
            server.should_exit = True


async def _serve(name: str, folder: str) -> None:
    async with SUBJECTS[name](Path(folder)) as place:
        print(json.dumps(place), flush=True)
        await run_sync(sys.stdin.read)


async def _report(url: str, count: str) -> None:
    queue = Queue(QUEUE, redis=url)

    @queue.task(name="import-participants")
    async def report(ctx: Context, **_: Any) -> list[int]:
        times = []
        for percentage in range(1, int(count) + 1):
            await anyio.sleep(PAUSE)
            times.append(now())
            await ctx.progress(percentage)
        return times

    async with queue:
        await Worker(queue).run(burst=True)


SUBJECTS: Final = {"evq": evq, "bare-asgi": bare_asgi, "bare-litestar": bare_litestar}

if __name__ == "__main__":
    role, first, second = sys.argv[1:]
    anyio.run({"serve": _serve, "report": _report}[role], first, second, backend_options={"use_uvloop": True})
