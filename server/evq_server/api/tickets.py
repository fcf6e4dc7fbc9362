"""A ticket's public page and QR code: whoever has the token may see them, and they name nobody."""

from html import escape
from http import HTTPStatus
from string import Template

from anyio.to_thread import run_sync
from litestar import MediaType, Response, get
from litestar.exceptions import NotFoundException
from litestar.params import FromPath

from evq_ext import qr_png, qr_svg
from evq_server.api import Given
from evq_server.api.pages import WEB
from evq_server.auth import PUBLIC
from evq_server.settings import Settings
from evq_server.store import tickets
from evq_server.store.database import Database
from evq_server.store.events import Event, get_event

PRIVATE = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Robots-Tag": "noindex, nofollow"}
PAGE = Template((WEB / "ticket.html").read_text(encoding="utf-8"))
TEXTS = {
    "en": ("Valid ticket", "Show this code at the entrance."),
    "ko": ("유효한 티켓", "입장할 때 이 코드를 보여 주세요."),
}
UNKNOWN = ("Unknown ticket · 확인되지 않는 티켓", "Check the address, or ask the organiser. · 주소를 확인하세요.")


@get(["/t/{name:str}", "/T/{name:str}"], opt=PUBLIC, include_in_schema=False)
async def get_ticket(
    name: FromPath[str], settings: Given[Settings], database: Given[Database]
) -> Response[str] | Response[bytes]:
    """Show a ticket's page, or with `.png` or `.svg` behind its token, its QR code."""
    return await run_sync(_show, name, settings, database)


def _show(name: str, settings: Settings, database: Database) -> Response[str] | Response[bytes]:
    text, _, kind = name.partition(".")
    token = tickets.normalise_token(text)
    event = _find_event(database, token) if token else None
    if kind == "":
        return _page(token, event)
    if token is None or event is None or kind not in {"png", "svg"}:
        raise NotFoundException("There is no such ticket.", headers=PRIVATE)
    code = tickets.qr_text(token, settings.public_url)
    if kind == "png":
        return Response(qr_png(code), media_type="image/png", headers=PRIVATE)
    return Response(qr_svg(code), media_type="image/svg+xml", headers=PRIVATE)


def _find_event(database: Database, token: str) -> Event | None:
    with database.read() as conn:
        ticket = tickets.find_ticket(conn, token)
        return get_event(conn, ticket.event_id) if ticket else None


def _page(token: str | None, event: Event | None) -> Response[str]:
    language, heading = (event.language, event.name) if event else ("en", "evq")
    state, hint = TEXTS[event.language] if event else UNKNOWN
    code = f'<img class="code" src="/t/{token}.svg" alt="QR" width="240" height="240">' if event else ""
    page = PAGE.substitute(
        language=language,
        event=escape(heading),
        state=state,
        hint=hint,
        code=code,
        mark="valid" if event else "unknown",
    )
    status = HTTPStatus.OK if event else HTTPStatus.NOT_FOUND
    return Response(page, status_code=status, media_type=MediaType.HTML, headers=PRIVATE)
