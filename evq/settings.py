"""What the environment says to the queue, in one place."""

import os
from collections.abc import Mapping
from urllib.parse import urlsplit

from evq.errors import UsageError

NAMES = frozenset({"EVQ_REDIS_URL", "EVQ_POOL_PID", "EVQ_EXT_IMPLEMENTATION"})
"""The `EVQ_*` variables that the framework knows."""

SCHEMES = ("redis", "rediss", "unix")


def redis_url(environ: Mapping[str, str] = os.environ) -> str:
    """Return where Redis is: `EVQ_REDIS_URL`, else `REDIS_HOST` (127.0.0.1) and `REDIS_PORT` (6379)."""
    if url := environ.get("EVQ_REDIS_URL"):
        return check_url(url)
    host = environ.get("REDIS_HOST") or "127.0.0.1"
    port = whole(environ, "REDIS_PORT", 6379, most=65535)
    return check_url(f"redis://[{host}]:{port}/0" if ":" in host else f"redis://{host}:{port}/0")


def worker_count(environ: Mapping[str, str] = os.environ) -> int:
    """Return how many worker processes a pool starts: `WORKER_COUNT` (4)."""
    return whole(environ, "WORKER_COUNT", 4, most=1024)


def check_url(url: str) -> str:
    """Return *url* if it can be a Redis's; raise `UsageError` if not."""
    try:
        parts = urlsplit(url)
        known = parts.scheme in SCHEMES and (parts.port or parts.hostname or parts.path)
    except ValueError:
        known = False
    if not known:
        raise UsageError(f"{hide_password(url)!r} is no address of a Redis: use redis://, rediss:// or unix://")
    return url


def hide_password(url: str) -> str:
    """Return *url* fit for messages and logs."""
    scheme, slashes, rest = url.partition("://") if "://" in url else ("", "", url)
    credentials, at, place = rest.rpartition("@")
    user, colon, _ = credentials.partition(":")
    where, options, _ = place.partition("?")  # options may hold a password, too
    return f"{scheme}{slashes}{user}{colon and ':***'}{at}{where}{options and '?***'}"


def whole(environ: Mapping[str, str], name: str, default: int, *, most: int) -> int:
    """Read a whole number from 1 to *most*; raise `UsageError` by name if it is none."""
    text = environ.get(name) or str(default)
    if not text.isdecimal() or not 1 <= int(text) <= most:
        raise UsageError(f"{name}={text!r}: use a whole number from 1 to {most}")
    return int(text)
