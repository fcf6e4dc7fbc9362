"""Every error answer is a problem document: `type, title, status, detail` (RFC 9457), never a traceback."""

import logging
import traceback
from http import HTTPStatus
from typing import Any

from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException, WebSocketException
from litestar.types import ExceptionHandlersMap, Scope
from sqlalchemy.exc import OperationalError

from evq.errors import EvqError, QueueFull, QueueUnavailable, ValidationError

log = logging.getLogger(__name__)

_RETRY_AFTER = {"Retry-After": "5"}


def problem(status: int, detail: str, headers: dict[str, str] | None = None) -> Response[dict[str, Any]]:
    """Make the answer for an error of this *status*; *detail* says what is wrong and what to do."""
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    if status == HTTPStatus.UNAUTHORIZED:
        headers = {**(headers or {}), "WWW-Authenticate": "Bearer"}
    return Response(body, status_code=status, media_type="application/problem+json", headers=headers)


def _refused(_: Request[Any, Any, Any], error: HTTPException) -> Response[dict[str, Any]]:
    return problem(error.status_code, error.detail, error.headers)


def _invalid(_: Request[Any, Any, Any], error: ValidationException) -> Response[dict[str, Any]]:
    faults = error.extra if isinstance(error.extra, list) else []
    named = [f"{fault.get('key', 'body')}: {fault['message']}" for fault in faults if "message" in fault]
    return problem(HTTPStatus.BAD_REQUEST, "; ".join(named) or error.detail)


def _wrong_input(_: Request[Any, Any, Any], error: ValidationError) -> Response[dict[str, Any]]:
    return problem(HTTPStatus.BAD_REQUEST, str(error))


def _queue_down(_: Request[Any, Any, Any], error: QueueUnavailable | QueueFull) -> Response[dict[str, Any]]:
    state = "full" if isinstance(error, QueueFull) else "out of reach"
    detail = f"The queue's Redis is {state}; nothing was changed. Try again, or let the operator see /readyz."
    return problem(HTTPStatus.SERVICE_UNAVAILABLE, detail, _RETRY_AFTER)


def _database_busy(_: Request[Any, Any, Any], __: OperationalError) -> Response[dict[str, Any]]:
    return problem(
        HTTPStatus.SERVICE_UNAVAILABLE, "The database is busy, full or out of reach; try again.", _RETRY_AFTER
    )


def _unexpected(_: Request[Any, Any, Any], __: Exception) -> Response[dict[str, Any]]:
    return problem(
        HTTPStatus.INTERNAL_SERVER_ERROR, "The server made a mistake; its log has the details. Try again later."
    )


async def log_unexpected(error: Exception, scope: Scope) -> None:
    """Log what nobody foresaw, over HTTP or WebSocket, without its message: that may quote personal data."""
    if isinstance(error, HTTPException | WebSocketException | EvqError):
        return
    place = "".join(traceback.format_tb(error.__traceback__))
    log.error(
        "request failed unexpectedly",
        extra={"route": scope["path_template"], "error": type(error).__name__, "at": place},
    )


EXCEPTION_HANDLERS: ExceptionHandlersMap = {
    HTTPException: _refused,
    ValidationException: _invalid,
    ValidationError: _wrong_input,
    QueueUnavailable: _queue_down,
    QueueFull: _queue_down,
    OperationalError: _database_busy,
    Exception: _unexpected,
}
