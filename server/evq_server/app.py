"""The server, assembled: routes, the key, the headers of every answer, and the hub that runs beside them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from anyio.to_thread import run_sync
from litestar import Litestar
from litestar.datastructures import MutableScopeHeaders
from litestar.di import Provide
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme
from litestar.types import ControllerRouterHandler, Message, Scope

from evq_server.api import events, health, imports, pages, participants, tickets
from evq_server.api import jobs as job_routes
from evq_server.auth import KeyGuard
from evq_server.clock import now_ms
from evq_server.errors import EXCEPTION_HANDLERS, log_unexpected
from evq_server.hub import Hub
from evq_server.jobs import ImportJobs
from evq_server.settings import Settings, load_api_key, load_secret
from evq_server.store.database import Database
from evq_server.store.imports import get_import
from evq_server.uploads import remove_abandoned

BODY_LIMIT = 256 * 1024  # bytes; uploads have their own limit
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
ROUTES: list[ControllerRouterHandler] = [
    events.get_event,
    events.put_event,
    imports.upload,
    participants.list_participants,
    job_routes.get_job,
    job_routes.get_progress,
    job_routes.watch,
    job_routes.cancel,
    job_routes.replay,
    job_routes.get_errors,
    job_routes.get_warnings,
    job_routes.get_qr,
    tickets.get_ticket,
    health.healthz,
    health.readyz,
    pages.get_page,
    pages.static_files,
]


def create_app(settings: Settings, *, database: Database, jobs: ImportJobs) -> Litestar:
    """Assemble the server on an open database and queue; whoever opened them closes them."""
    secret = load_secret(settings)
    hub = Hub(lambda: job_routes.hints(jobs), job_routes.reader(jobs))

    @asynccontextmanager
    async def beside(_: Litestar) -> AsyncIterator[None]:
        await run_sync(_tidy, settings, database)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(hub.run)
            yield
            tasks.cancel_scope.cancel()

    return Litestar(
        ROUTES,
        lifespan=[beside],
        guards=[KeyGuard(load_api_key(settings), settings.public_url)],
        dependencies={
            "settings": Provide(lambda: settings, sync_to_thread=False),
            "database": Provide(lambda: database, sync_to_thread=False),
            "secret": Provide(lambda: secret, sync_to_thread=False),
            "jobs": Provide(lambda: jobs, sync_to_thread=False),
            "hub": Provide(lambda: hub, sync_to_thread=False),
        },
        exception_handlers=EXCEPTION_HANDLERS,
        after_exception=[log_unexpected],
        before_send=[_add_headers],
        request_max_body_size=BODY_LIMIT,
        logging_config=None,  # the process that serves configures logging
        openapi_config=OpenAPIConfig(
            title="evq",
            version="1.0.0",  # of this API
            use_handler_docstrings=True,
            render_plugins=[JsonRenderPlugin()],
            components=Components(security_schemes={"key": SecurityScheme(type="http", scheme="bearer")}),
            security=[{"key": []}],
        ),
    )


async def _add_headers(message: Message, _: Scope) -> None:
    if message["type"] == "http.response.start":
        headers = MutableScopeHeaders.from_message(message)
        for name, value in HEADERS.items():
            headers.setdefault(name, value)


def _tidy(settings: Settings, database: Database) -> None:
    """Remove the files of imports that will not be run again."""
    oldest_ms = now_ms() - settings.keep_failed_seconds * 1000

    def is_wanted(name: str) -> bool:
        row = get_import(conn, name)
        return row is not None and (row.status is None or (row.status == "failed" and (row.ended_ms or 0) > oldest_ms))

    with database.read() as conn:
        remove_abandoned(settings.uploads, is_wanted)
        remove_abandoned(settings.spool, is_wanted)
