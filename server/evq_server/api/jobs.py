"""An import's job: how it stands, live and at rest; cancel, replay, and what it made."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from http import HTTPStatus
from typing import Any

import anyio
from anyio import CancelScope
from anyio.to_thread import run_sync
from litestar import Response, WebSocket, delete, get, post, websocket
from litestar.exceptions import HTTPException, NotFoundException, WebSocketDisconnect
from litestar.params import FromPath, FromQuery
from litestar.response import File

from evq import Reply
from evq_server.api import Given
from evq_server.api.answers import Standing, job_answer, live, message, recorded, require_import
from evq_server.auth import PROGRESS_PROTOCOL
from evq_server.hub import Hint, Hub, Message, Seat
from evq_server.jobs import ImportJobs
from evq_server.schemas import JobAnswer, JobStatusAnswer
from evq_server.settings import Settings
from evq_server.store import imports

UPLOAD_AGAIN = "The uploaded file is not kept any more, so the import cannot run again. Upload the file again."
UNKNOWN_JOB = 4404  # a WebSocket close code of our own, after HTTP's 404
SAYS_TOO_MUCH = 1008
ROWS = 1000  # of imports, kept in memory


async def look(jobs: ImportJobs, job_id: str) -> tuple[imports.Import, Standing]:
    """Return an import's row and how it stands; raises a 404 when there is none.

    While the queue knows the job, the row tells only what was uploaded. That never changes, so it is read once.
    """

    def read() -> imports.Import:
        with jobs.database.read() as conn:
            return require_import(conn, job_id)

    row = jobs.rows.get(job_id)
    if row is None:
        row = await run_sync(read)
    job = await jobs.queue.get(job_id)
    if job:
        jobs.rows[job_id] = row
        if len(jobs.rows) > ROWS:
            del jobs.rows[next(iter(jobs.rows))]
        return row, live(job)
    if jobs.rows.pop(job_id, None):
        row = await run_sync(read)
    return row, recorded(row)


async def hints(jobs: ImportJobs) -> AsyncIterator[Hint]:
    """Yield what the hub is to know of the queue's events."""
    async for event in jobs.queue.events():
        if event.progress is None:
            yield Hint(jobs=event.jobs)
        else:
            now = Standing(status="processing", seq=event.seq or 0, progress=event.progress.to_wire())
            yield Hint(jobs=event.jobs, message=message(event.jobs[0], now))


def reader(jobs: ImportJobs) -> Callable[[str], Awaitable[Message | None]]:
    """Return how the hub reads an import: its message now, or None when there is no such import."""

    async def read(job_id: str) -> Message | None:
        job = await jobs.queue.get(job_id)
        if job:
            return message(job_id, live(job))
        try:
            _, now = await look(jobs, job_id)
        except NotFoundException:
            return None
        return message(job_id, now)

    return read


@get("/api/jobs/{job_id:str}")
async def get_job(job_id: FromPath[str], jobs: Given[ImportJobs]) -> JobAnswer:
    """Show how an import stands."""
    return job_answer(*await look(jobs, job_id))


@get("/api/jobs/{job_id:str}/progress")
async def get_progress(job_id: FromPath[str], jobs: Given[ImportJobs]) -> dict[str, Any]:
    """Show an import's progress; a 404 when it is over and the queue has forgotten it."""
    _, now = await look(jobs, job_id)
    if now.progress is None:
        raise NotFoundException(f"The progress of import {job_id} is not kept any more; it has {now.status}.")
    return now.progress


@delete("/api/jobs/{job_id:str}", status_code=HTTPStatus.OK)
async def cancel(job_id: FromPath[str], jobs: Given[ImportJobs]) -> Response[JobStatusAnswer]:
    """Cancel an import: at once while it waits, soon when it runs (202)."""
    _, now = await look(jobs, job_id)
    match await jobs.queue.cancel(job_id):
        case Reply.CANCELLED:
            return Response(JobStatusAnswer(job_id=job_id, status="cancelled"))
        case Reply.REQUESTED:
            answer = JobStatusAnswer(job_id=job_id, status="processing", requested=True)
            return Response(answer, status_code=HTTPStatus.ACCEPTED)
        case _:
            raise HTTPException(
                status_code=HTTPStatus.CONFLICT, detail=f"Import {job_id} is over: {now.status}. Nothing was cancelled."
            )


@post("/api/jobs/{job_id:str}/replay", status_code=HTTPStatus.ACCEPTED)
async def replay(job_id: FromPath[str], settings: Given[Settings], jobs: Given[ImportJobs]) -> JobStatusAnswer:
    """Run a failed import again."""
    _, now = await look(jobs, job_id)
    if now.ended and not await anyio.Path(settings.uploads / job_id).exists():
        raise HTTPException(status_code=HTTPStatus.GONE, detail=UPLOAD_AGAIN)
    match await jobs.queue.replay(job_id):
        case Reply.OK:
            return JobStatusAnswer(job_id=job_id, status="pending")
        case Reply.NOT_FOUND:
            raise HTTPException(status_code=HTTPStatus.GONE, detail=UPLOAD_AGAIN)
        case _:
            raise HTTPException(
                status_code=HTTPStatus.CONFLICT,
                detail=f"Import {job_id} is {now.status}; only a failed one can run again.",
            )


@get("/api/jobs/{job_id:str}/errors.csv")
async def get_errors(job_id: FromPath[str], settings: Given[Settings], jobs: Given[ImportJobs]) -> File:
    """Download the rejected rows, each with its reason."""
    _, now = await look(jobs, job_id)
    return await _artefact(settings, job_id, now, "errors.csv", "No row was rejected.")


@get("/api/jobs/{job_id:str}/warnings.csv")
async def get_warnings(job_id: FromPath[str], settings: Given[Settings], jobs: Given[ImportJobs]) -> File:
    """Download what should be looked at in rows that were accepted."""
    _, now = await look(jobs, job_id)
    return await _artefact(settings, job_id, now, "warnings.csv", "No row had a warning.")


@get("/api/jobs/{job_id:str}/qr.zip")
async def get_qr(job_id: FromPath[str], settings: Given[Settings], jobs: Given[ImportJobs]) -> File:
    """Download the QR codes of all tickets of this import."""
    _, now = await look(jobs, job_id)
    return await _artefact(settings, job_id, now, "qr.zip", "The import made no tickets.")


async def _artefact(settings: Settings, job_id: str, now: Standing, name: str, none: str) -> File:
    path = anyio.Path(settings.artefacts / job_id / name)
    if not await path.is_file():
        reason = none if now.status == "completed" else f"The import has ended: {now.status}."
        raise NotFoundException(f"There is no {name} for import {job_id}{'' if now.ended else ' yet'}. {reason}")
    return File(
        path,
        filename=f"{job_id}-{name}",
        content_disposition_type="attachment",
        headers={"Cache-Control": "no-store"},
    )


@websocket("/api/jobs/{job_id:str}/progress")
async def watch(
    socket: WebSocket[Any, Any, Any],
    job_id: FromPath[str],
    hub: Given[Hub],
    after: FromQuery[int] = -1,
) -> None:
    """Show an import live: a snapshot, every change after it, and a final frame.

    A client that comes back says `?after=<seq>` with the last it has seen, and is spared what it knows.
    """
    offered = socket.scope["subprotocols"]
    await socket.accept(subprotocols=PROGRESS_PROTOCOL if PROGRESS_PROTOCOL in offered else None)
    with hub.seat(job_id, after=after) as seat:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_until_gone, socket, tasks.cancel_scope)
            await _send(socket, seat)
            tasks.cancel_scope.cancel()


async def _send(socket: WebSocket[Any, Any, Any], seat: Seat) -> None:
    """Send what the seat is offered; a client that has left is noticed by `_until_gone`."""
    final = False
    with suppress(WebSocketDisconnect, OSError):
        async for shown in seat.messages():
            await socket.send_text(shown.text)
            final = shown.final
        if final:
            await socket.close()
        else:
            await socket.close(UNKNOWN_JOB, "There is no such import.")


async def _until_gone(socket: WebSocket[Any, Any, Any], scope: CancelScope) -> None:
    """End the watching when the client leaves, or when it talks: this socket has nothing to hear."""
    event = await socket.receive()
    if event["type"] == "websocket.receive":
        await socket.close(SAYS_TOO_MUCH, "This socket only sends.")
    scope.cancel()
