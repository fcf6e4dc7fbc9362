"""Everything on one machine: a private Redis unless another is named, a pool of workers, and the server."""

import errno
import fcntl
import os
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, nullcontext, suppress
from dataclasses import dataclass

import anyio
import uvicorn

from evq import Queue, QueueUnavailable, UsageError, WorkerPool
from evq.embedded import private_redis
from evq.settings import redis_url
from evq_server.app import create_app
from evq_server.jobs import ImportJobs
from evq_server.settings import Settings, load_api_key, load_secret
from evq_server.store.database import Database, open_database

WORKERS = "evq_server.worker:queue"
WATCH = 2.0
"""How often the private Redis is looked after, s."""
DRAIN = 10.0
"""How long requests and jobs have to end when the stack stops, s."""


@dataclass(frozen=True, kw_only=True)
class Stack:
    """What runs, and how to reach it."""

    url: str
    key: str
    jobs: ImportJobs
    pool: WorkerPool


class _Server(uvicorn.Server):
    """A server that leaves signals to the command that runs it."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def stack(settings: Settings, *, log_level: str = "INFO") -> AsyncIterator[Stack]:
    """Start everything, yield how to reach it, and stop everything when the block ends.

    Raises `UsageError` if the data folder or the port cannot be used, `DatabaseError` if the database cannot,
    `QueueUnavailable` if Redis cannot be reached.
    """
    settings.prepare()
    load_secret(settings)
    private = not any(os.environ.get(name) for name in ("EVQ_REDIS_URL", "REDIS_HOST", "REDIS_PORT"))
    with (
        _locked(settings),
        _listening(settings) as sock,
        _redis(settings, private=private) as redis,
        _told(settings, redis),
    ):
        database = open_database(settings.database_url)
        database.create()
        jobs = ImportJobs(settings, database, redis=redis)
        try:
            await jobs.queue.ping()
            await jobs.resubmit_lost()
            pool = WorkerPool(WORKERS, queue=jobs.queue, processes=settings.workers, grace=DRAIN, log_level=log_level)
            host, port = sock.getsockname()[:2]
            url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
            running = Stack(url=url, key=load_api_key(settings), jobs=jobs, pool=pool)
            async with (
                _running(pool, _Server(_config(settings, database, jobs)), sock),
                anyio.create_task_group() as group,
            ):
                if private:
                    group.start_soon(_watch_redis, jobs.queue, settings)
                yield running
                group.cancel_scope.cancel()
        finally:
            await jobs.queue.close()
            database.close()


@asynccontextmanager
async def _running(pool: WorkerPool, server: _Server, sock: socket.socket) -> AsyncIterator[None]:
    async with anyio.create_task_group() as group:
        await group.start(pool.run)
        group.start_soon(_serve, server, sock)
        while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
            await anyio.sleep(0.02)
        try:
            yield
        finally:
            server.should_exit = True
            pool.stop()


async def _watch_redis(queue: Queue, settings: Settings) -> None:
    """End everything when the private Redis is gone: nobody else would start it again."""
    while True:
        await anyio.sleep(WATCH)
        try:
            await queue.ping()
        except QueueUnavailable as error:
            raise QueueUnavailable(
                f"the private Redis has ended; {settings.data / 'redis' / 'redis.log'} may say why. Start evq again: "
                "imports that were under way go on"
            ) from error


async def _serve(server: _Server, sock: socket.socket) -> None:
    with suppress(SystemExit):  # as which uvicorn ends when its application does not start
        await server.serve([sock])
    if not server.started:
        raise UsageError("the server did not start; its log says why")


def _config(settings: Settings, database: Database, jobs: ImportJobs) -> uvicorn.Config:
    return uvicorn.Config(
        create_app(settings, database=database, jobs=jobs),
        log_config=None,
        access_log=False,
        server_header=False,
        lifespan="on",
        ws="websockets-sansio",
        ws_max_size=64 * 1024,
        ws_per_message_deflate=False,  # costs 40 kB a socket, for messages of 200 bytes
        timeout_graceful_shutdown=int(DRAIN),
    )


@contextmanager
def _locked(settings: Settings) -> Iterator[None]:
    """Hold the data folder, which only one stack may use."""
    with (settings.data / "lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            owner = file.read().strip() or "unknown"
            raise UsageError(
                f"another evq (process {owner}) uses the data folder {settings.data}: stop it, or choose another "
                "folder with EVQ_DATA"
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


@contextmanager
def _listening(settings: Settings) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # The protocol is named because asyncio turns Nagle's delay off only for sockets that say they are TCP.
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((settings.host, settings.port))
        sock.listen(2048)
    except OSError as error:
        sock.close()
        remedy = "stop the program that does, or choose another port with --port or EVQ_PORT"
        if error.errno != errno.EADDRINUSE:
            remedy = "choose an address of this machine with --host or EVQ_HOST, and a port that you may use"
        raise UsageError(f"cannot listen on {settings.host}:{settings.port} ({error.strerror}): {remedy}") from error
    with sock:
        yield sock


@contextmanager
def _told(settings: Settings, redis: str) -> Iterator[None]:
    """Tell the workers, which are processes of their own and read the environment, what is this stack's."""
    told = {"EVQ_REDIS_URL": redis, "EVQ_DATA": str(settings.data)}
    before = {name: os.environ[name] for name in told if name in os.environ}
    os.environ |= told
    try:
        yield
    finally:
        for name in told:
            del os.environ[name]
        os.environ |= before


def _redis(settings: Settings, *, private: bool) -> AbstractContextManager[str]:
    """Use the Redis that the environment names, or run a private one."""
    if not private:
        return nullcontext(redis_url())
    folder = settings.data / "redis"
    folder.mkdir(mode=0o700, exist_ok=True)
    return private_redis(folder)
