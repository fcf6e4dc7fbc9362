"""Who may come in: one bearer key, asked of every route that is not marked public."""

import hmac
from typing import Any
from urllib.parse import urlsplit

from litestar.connection import ASGIConnection, WebSocket
from litestar.exceptions import NotAuthorizedException, PermissionDeniedException
from litestar.handlers import BaseRouteHandler

Connection = ASGIConnection[Any, Any, Any, Any]

PUBLIC = {"public": True}  # a route's `opt`; without it a route is closed
PROGRESS_PROTOCOL = "evq.progress"
KEY_PROTOCOL = "bearer."


class KeyGuard:
    """Refuse connections without the key, and WebSockets that a page of another site opened.

    It waits for nothing, and is a coroutine because Litestar would run a plain function in a thread.
    """

    def __init__(self, key: str, public_url: str | None) -> None:
        self._key = key.encode()
        self._public_host = urlsplit(public_url).netloc.lower() if public_url else None

    async def __call__(self, connection: Connection, handler: BaseRouteHandler) -> None:
        """Let the connection pass, or raise `NotAuthorizedException` or `PermissionDeniedException`."""
        if handler.opt.get("public"):
            return
        if isinstance(connection, WebSocket):
            self._check_origin(connection)
        key = _presented_key(connection)
        if key is None or not hmac.compare_digest(key.encode(), self._key):
            raise NotAuthorizedException(
                "This needs the header `Authorization: Bearer <API key>` with the server's key."
            )

    def _check_origin(self, connection: Connection) -> None:
        origin = connection.headers.get("origin")
        if origin is None:
            return  # not a browser
        host = urlsplit(origin).netloc.lower()
        if host not in {connection.headers.get("host", "").lower(), self._public_host}:
            raise PermissionDeniedException("This page's origin is neither this server's nor EVQ_PUBLIC_URL.")


def _presented_key(connection: Connection) -> str | None:
    scheme, _, key = connection.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return key.strip()
    # A browser cannot set a header on a WebSocket; a key in the URL would end in logs; a subprotocol does neither.
    offered: list[str] = connection.scope.get("subprotocols", [])  # type: ignore[assignment]
    return next((name.removeprefix(KEY_PROTOCOL) for name in offered if name.startswith(KEY_PROTOCOL)), None)
