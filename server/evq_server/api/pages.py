"""The web page: plain files, read at every request by browsers that ask whether they changed."""

from importlib.resources import files
from pathlib import Path

from litestar import get
from litestar.datastructures import CacheControlHeader
from litestar.response import File
from litestar.static_files import create_static_files_router

from evq_server.auth import PUBLIC

WEB = Path(str(files("evq_server"))) / "web"
FRESH = CacheControlHeader(no_cache=True)


@get("/", opt=PUBLIC, include_in_schema=False)
async def get_page() -> File:
    """Show the page."""
    return File(
        WEB / "index.html",
        media_type="text/html",
        content_disposition_type="inline",
        headers={"Cache-Control": FRESH.to_header()},
    )


static_files = create_static_files_router(path="/static", directories=[WEB], cache_control=FRESH, opt=PUBLIC)
