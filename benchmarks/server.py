"""How fast the server takes uploads, answers, and shows progress; each server is a process of its own."""

import asyncio
import re
import socket
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, TypeVar, cast
from urllib.parse import urlsplit

import anyio

from benchmarks.environments import ROOT
from benchmarks.measuring import Effort, Row, alternate, figures
from benchmarks.peers.protocol import now
from benchmarks.programs import Program
from evq_server.commands.client import Client

UPLOAD: Final = 64_000_000
"""Bytes of an upload."""
CONNECTIONS: Final = 16
"""Connections on which a client asks for a job's status, each again as soon as it is answered."""
SECONDS: Final = 1.0
"""How long it asks, s."""
WATCHERS: Final = 100
"""Clients that watch one import."""
REPORTS: Final = 30
"""Reports of progress that each of them sees."""
SETTLE: Final = 0.5
"""How long clients have to get the first frame, and the last, s."""
EVENT: Final = "spring"
UPGRADE: Final = (
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
)


def measure(effort: Effort) -> list[Row]:
    with ExitStack() as started:
        folder = Path(started.enter_context(TemporaryDirectory(prefix="evq-benchmark-")))
        places = {}
        for name in ("evq", "bare-asgi", "bare-litestar"):
            command = [sys.executable, "-m", "benchmarks.serving", "serve", name, str(folder)]
            places[name] = started.enter_context(Program(command, ROOT, {})).hear()
        job_id, late = "", []
        for _ in range(effort.rounds):
            job_id, ages = anyio.run(_watch, places["evq"], effort, backend_options={"use_uvloop": True})
            late.append(statistics.quantiles(ages, n=100, method="inclusive"))
        asked = {
            "evq": (places["evq"], f"/api/jobs/{job_id}"),
            "bare-litestar": (places["bare-litestar"], "/status"),
        }
        sent = {
            "evq": (places["evq"], f"/api/events/{EVENT}/imports"),
            "bare-asgi": (places["bare-asgi"], "/"),
        }
        seconds, size = max(0.1, SECONDS * effort.share), effort.of(UPLOAD)
        answers = alternate({name: partial(_ask, *to, seconds) for name, to in asked.items()}, effort.rounds)
        uploads = alternate({name: partial(_upload, *to, bytes(size)) for name, to in sent.items()}, effort.rounds)
    watched = f"progress at {effort.of(WATCHERS)} clients"
    return [
        *figures("server", f"upload {size / 1e6:g} MB", uploads, unit="MB/s", better="higher"),
        *figures("server", "a job's status", answers, unit="requests/s", better="higher"),
        *figures("server", f"{watched}, p50", {"evq": [of[49] for of in late]}, unit="ms", better="lower"),
        *figures("server", f"{watched}, p99", {"evq": [of[98] for of in late]}, unit="ms", better="lower"),
    ]


def _upload(place: Mapping[str, str], path: str, body: bytes) -> float:
    """Send a body; return MB/s from the first byte to the answer."""
    start = time.perf_counter()
    with socket.create_connection(_address(place)) as sock:
        sock.sendall(_request("POST", place, path, f"Content-Length: {len(body)}"))
        sock.sendall(body)
        answer = sock.recv(1 << 16)
    if not answer.startswith(b"HTTP/1.1 202 "):
        raise RuntimeError(f"The upload was refused: {answer!r}.")
    return len(body) / 1e6 / (time.perf_counter() - start)


def _ask(place: Mapping[str, str], path: str, seconds: float) -> float:
    """Ask for a page again and again; return requests/s."""

    async def ask() -> float:
        callers = await _connected(CONNECTIONS, partial(_Caller, _request("GET", place, path)), place)
        start = time.perf_counter()
        before = sum(caller.answered for caller in callers)
        await anyio.sleep(seconds)
        rate = (sum(caller.answered for caller in callers) - before) / (time.perf_counter() - start)
        for caller in callers:
            caller.transport.close()
        return rate

    return anyio.run(ask, backend_options={"use_uvloop": True})


async def _watch(place: Mapping[str, str], effort: Effort) -> tuple[str, list[float]]:
    """Let many watch an import; return its id, and how long after each report each client saw it or a newer one, ms."""
    async with Client(place["url"], place["key"]) as client:
        await client.put_event(EVENT, "Spring meeting", "en")
        job_id = await client.upload(EVENT, Path(__file__), {})
        request = _request("GET", place, f"/api/jobs/{job_id}/progress", *UPGRADE)
        watchers = await _connected(effort.of(WATCHERS), partial(_Watcher, request), place)
        await anyio.sleep(SETTLE)
        reports = effort.of(REPORTS)
        await anyio.run_process(
            [sys.executable, "-m", "benchmarks.serving", "report", place["redis"], str(reports)], cwd=ROOT
        )
        await anyio.sleep(SETTLE)
        times = (await client.job(job_id))["result"]
    for watcher in watchers:
        watcher.transport.close()
    return job_id, [age for watcher in watchers for age in _ages(times, watcher.seen)]


def _ages(times: Sequence[int], seen: Sequence[tuple[float, int]]) -> list[float]:
    """Return how long after each report of the percentages 1, 2, ... it, or a newer one, was seen, ms."""
    return [
        (next(at for shown, at in seen if shown >= percentage) - said) / 1000
        for percentage, said in enumerate(times, 1)
    ]


class _Connection(asyncio.Protocol):
    """A connection that has sent a request."""

    transport: asyncio.Transport

    def __init__(self, request: bytes) -> None:
        self._request = request

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.write(self._request)


class _Caller(_Connection):
    """Sends the request again as soon as it is answered."""

    def __init__(self, request: bytes) -> None:
        super().__init__(request)
        self.answered = 0
        self._answer = b""

    def data_received(self, data: bytes) -> None:
        self._answer += data
        head, _, body = self._answer.partition(b"\r\n\r\n")
        length = re.match(rb"HTTP/1.1 200 .*?content-length: (\d+)", head, re.DOTALL | re.IGNORECASE)
        if length and len(body) == int(length[1]):
            self.answered += 1
            self._answer = b""
            self.transport.write(self._request)


class _Watcher(_Connection):
    """Notes when it was shown which percentage, µs."""

    def __init__(self, request: bytes) -> None:
        super().__init__(request)
        self.seen: list[tuple[float, int]] = []

    def data_received(self, data: bytes) -> None:
        at = now()
        self.seen += [(float(percentage), at) for percentage in re.findall(rb'"percentage":([\d.]+)', data)]


Connected = TypeVar("Connected", bound=_Connection)


async def _connected(count: int, make: Callable[[], Connected], place: Mapping[str, str]) -> list[Connected]:
    """Open connections to a server."""
    loop = asyncio.get_running_loop()
    return [(await loop.create_connection(make, *_address(place)))[1] for _ in range(count)]


def _address(place: Mapping[str, str]) -> tuple[str, int]:
    url = urlsplit(place["url"])
    return str(url.hostname), int(url.port or 0)


def _request(method: str, place: Mapping[str, str], path: str, *headers: str) -> bytes:
    """Write the head of a request, with the server's key if it has one."""
    key = [f"Authorization: Bearer {place['key']}"] if "key" in place else []
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: localhost", *key, *headers, "", ""]).encode()
