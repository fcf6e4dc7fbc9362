"""Is the server alive, and can it do its work? Both are public and tell no addresses."""

from http import HTTPStatus

import sqlalchemy
from anyio import fail_after
from anyio.to_thread import run_sync
from litestar import Response, get

from evq.errors import QueueUnavailable
from evq_server.api import Given
from evq_server.auth import PUBLIC
from evq_server.jobs import ImportJobs
from evq_server.schemas import Health
from evq_server.store.database import Database

PATIENCE = 2.0  # s for each part


@get("/healthz", opt=PUBLIC)
async def healthz() -> Health:
    """Say that the process is alive."""
    return Health(status="ok")


@get("/readyz", opt=PUBLIC)
async def readyz(database: Given[Database], jobs: Given[ImportJobs]) -> Response[Health]:
    """Say whether Redis, the database and a worker are there; 503 names those that are not."""
    missing = {**await _queue(jobs), **await _database(database)}
    if missing:
        return Response(Health(status="unavailable", missing=missing), status_code=HTTPStatus.SERVICE_UNAVAILABLE)
    return Response(Health(status="ok"))


async def _queue(jobs: ImportJobs) -> dict[str, str]:
    try:
        with fail_after(PATIENCE):
            await jobs.queue.ping()
            workers = await jobs.queue.workers()
    except (QueueUnavailable, TimeoutError):
        return {"redis": "Redis does not answer; start it, or correct EVQ_REDIS_URL."}
    return {} if workers else {"workers": "No worker is running; start one with `evq worker`."}


async def _database(database: Database) -> dict[str, str]:
    try:
        with fail_after(PATIENCE):
            await run_sync(_select_one, database, abandon_on_cancel=True)
    except (sqlalchemy.exc.SQLAlchemyError, TimeoutError):
        return {"database": "The database does not answer; see EVQ_DATABASE_URL and its disk."}
    return {}


def _select_one(database: Database) -> None:
    with database.read() as conn:
        conn.execute(sqlalchemy.text("SELECT 1"))
