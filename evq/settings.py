"""What the environment says to the queue, and what a Redis's URL says, in one place."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from evq.errors import UsageError

NAMES = frozenset({"EVQ_REDIS_URL", "EVQ_POOL_PID", "EVQ_EXT_IMPLEMENTATION"})
"""The `EVQ_*` variables that the framework knows."""

_LOGIN = {"db", "username", "password"}
_TLS = {"ssl_ca_certs", "ssl_ca_path", "ssl_cert_reqs", "ssl_check_hostname"}
_TLS |= {"ssl_certfile", "ssl_keyfile", "ssl_password"}
_SENTINEL = {"sentinel_username", "sentinel_password"}
OPTIONS = {
    "redis": _LOGIN,
    "rediss": _LOGIN | _TLS,
    "unix": _LOGIN,
    "redis+sentinel": _LOGIN | _SENTINEL,
    "rediss+sentinel": _LOGIN | _SENTINEL | _TLS,
}
"""The schemes of a Redis's URL, each with the options that may follow its question mark."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a Redis is. A place is what a connection to one server needs: host and port or path, login, options."""

    seeds: tuple[dict[str, Any], ...]
    """The places of the Redis itself, of nodes of its Cluster, or of its Sentinels."""
    service: str = ""
    """The name by which the Sentinels know the Redis; empty if there are none."""
    login: dict[str, Any] = field(default_factory=dict)
    """What to say to the Redis instead of what its Sentinels are told."""


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
    parse_url(url)
    return url


def parse_url(url: str) -> Address:
    """Read the URL of a Redis, of nodes of its Cluster, or of its Sentinels; raise `UsageError` if it is none."""
    try:
        parts = urlsplit(url)
        options = {name: values[0] for name, values in parse_qs(parts.query).items()}
        address = _read_address(parts, options)
    except ValueError:
        raise UsageError(
            f"{hide_password(url)!r} is no address of a Redis: use redis://host:port/db, rediss:// (TLS), unix:///path "
            "or redis+sentinel://host:port/service, and write special characters of a password as %xx"
        ) from None
    known = OPTIONS[parts.scheme]
    if unknown := options.keys() - known:
        raise UsageError(f"{', '.join(sorted(unknown))} in the URL of a Redis: use {', '.join(sorted(known))}")
    if (level := options.get("ssl_cert_reqs", "none")) not in {"none", "optional", "required"}:
        raise UsageError(f"ssl_cert_reqs={level}: use none, optional or required")
    return address


def _read_address(parts: SplitResult, options: Mapping[str, str]) -> Address:
    """Put together what a URL says; raise `ValueError` if it makes no sense."""
    scheme, _, sentinel = parts.scheme.partition("+")
    credentials, _, hosts = parts.netloc.rpartition("@")
    user, _, password = credentials.partition(":")
    path = parts.path.strip("/")
    service, _, db = path.partition("/") if sentinel else ("", "", "" if scheme == "unix" else path)
    servers = [urlsplit(f"//{host}") for host in hosts.split(",")]
    sensible = path if scheme == "unix" else all(server.hostname for server in servers)
    if parts.scheme not in OPTIONS or not sensible or bool(sentinel) != bool(service):
        raise ValueError
    login = {
        "username": unquote(user) or options.get("username"),
        "password": unquote(password) or options.get("password"),
        "db": int(db or options.get("db", "0")),
    }
    if scheme == "unix":
        return Address(seeds=({"path": unquote(parts.path), **login},))
    common: dict[str, Any] = {"tls": scheme == "rediss", **login}
    common |= {name: value for name, value in options.items() if name.startswith("ssl_")}
    if "ssl_check_hostname" in options:
        common["ssl_check_hostname"] = options["ssl_check_hostname"].lower() not in {"no", "false", "0"}
    if sentinel:
        common |= {name: options.get(f"sentinel_{name}") for name in ("username", "password")} | {"db": 0}
    port = 26379 if sentinel else 6379
    seeds = tuple({"host": server.hostname, "port": server.port or port, **common} for server in servers)
    return Address(seeds=seeds, service=service, login=login if sentinel else {})


def hide_password(url: str) -> str:
    """Return *url* fit for messages and logs."""
    scheme, slashes, rest = url.partition("://") if "://" in url else ("", "", url)
    where, mark, options = rest.partition("?")  # options may hold a password, too
    if "@" in options:  # nobody knows where which password ends
        return f"{scheme}{slashes}***"
    credentials, at, place = where.rpartition("@")
    user, colon, _ = credentials.partition(":")
    return f"{scheme}{slashes}{user}{colon and ':***'}{at}{place}{mark and '?***'}"


def whole(environ: Mapping[str, str], name: str, default: int, *, most: int) -> int:
    """Read a whole number from 1 to *most*; raise `UsageError` by name if it is none."""
    text = environ.get(name) or str(default)
    if not text.isdecimal() or not 1 <= int(text) <= most:
        raise UsageError(f"{name}={text!r}: use a whole number from 1 to {most}")
    return int(text)
