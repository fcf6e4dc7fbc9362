"""The connection to a queue's Redis: commands go out in one write, and every failure has one of two names.

All keys of a queue are in one slot, so one server at a time has them: the one in the URL, the node of a Cluster to
which another points (`MOVED`), or the one that a Sentinel names. Once it fails or refuses to work it is left, and
looked for again from the next seed.
"""

import asyncio
import contextlib
import re
import time
from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any, Final

from hiredis import pack_command
from redis.asyncio.connection import AbstractConnection, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.connection import Connection as TcpConnection
from redis.exceptions import (
    AuthenticationError,
    MovedError,
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    RedisError,
    ResponseError,
)

from evq.errors import QueueFull, QueueUnavailable
from evq.settings import hide_password, parse_url

TIMEOUT: Final = 6.0
"""How long replies may take beyond the time that a command blocks, s: a half-open connection is given up after this."""
LATE: Final = 1.0
"""A timeout that comes so much too late, s, tells of a busy event loop, not of Redis."""
CONNECT: Final = 2.0
"""How long connecting may take, and a Sentinel's answer, before the next seed is tried, s."""
CONNECTIONS: Final = 32
"""Exchanges under way at a time; the others wait for their turn. Those that block come on top."""
HOPS: Final = 5
"""How many nodes in a row may point at another one before that counts as an outage."""

_SCRIPT_MAY_NOT = re.compile("The user executing the script can't|ACL failure in script")
"""What Redis says, and what Valkey does."""

Command = Sequence[str | bytes | int | float]


class Connection:
    """A queue's Redis, for one event loop."""

    def __init__(self, url: str, *, timeout: float | None = None) -> None:
        """Connect to nothing yet; raise `UsageError` if *url* is no address of a Redis."""
        self._url = url
        self._timeout = timeout or TIMEOUT
        self._address = parse_url(url)
        self._seeds = cycle(self._address.seeds)
        self._turns = asyncio.Semaphore(CONNECTIONS)
        self._node: _Node | None = None

    async def close(self) -> None:
        if self._node is not None:
            await self._node.close()
            self._node = None

    async def exchange(self, commands: Sequence[Command], *, blocks_s: float | None = None) -> list[Any]:
        """Send *commands* in one write and read their replies; one to a missing script is a `NoScriptError`.

        Every command that evq sends may be sent twice, so a node that fails (Redis was restarted) is searched for once
        without a word. Raise `QueueUnavailable` if Redis cannot be reached, does not answer or refuses to work,
        `QueueFull` if it has no room.
        """
        if not commands:
            return []
        async with contextlib.nullcontext() if blocks_s else self._turns:
            try:
                replies = await self._in_time(commands, self._timeout + (blocks_s or 0))
            except (RedisError, OSError) as error:
                await self._leave(self._node)
                raise self._unavailable(error) from error
        for reply in replies:
            if isinstance(reply, ResponseError) and not isinstance(reply, NoScriptError):
                refusal = self._refusal(reply)
                if isinstance(refusal, QueueUnavailable):
                    await self._leave(self._node)
                raise refusal from reply
        return replies

    async def _in_time(self, commands: Sequence[Command], seconds: float) -> list[Any]:
        """Send *commands*; raise `TimeoutError` after *seconds*, unless it was this program that had no time."""
        while True:
            begun = time.monotonic()
            try:
                async with asyncio.timeout(seconds):
                    return await self._follow(commands)
            except TimeoutError:
                if time.monotonic() - begun < seconds + LATE:
                    raise

    # The node

    async def _follow(self, commands: Sequence[Command]) -> list[Any]:
        """Send *commands*, and to the node pointed at those that were not executed since the slot is there."""
        replies = await self._send(commands)
        for _ in range(HOPS):
            moved = {i: reply for i, reply in enumerate(replies) if isinstance(reply, MovedError)}
            if not moved:
                break
            await self._move(next(iter(moved.values())))
            for i, reply in zip(moved, await self._send([commands[i] for i in moved]), strict=True):
                replies[i] = reply
        return replies

    async def _send(self, commands: Sequence[Command]) -> list[Any]:
        """Send *commands* to the node; if it fails, to where the seeds lead, each tried once."""
        for _ in self._address.seeds:
            with contextlib.suppress(RedisError, OSError):
                return await self._try(commands)
        return await self._try(commands)

    async def _try(self, commands: Sequence[Command]) -> list[Any]:
        node = self._node or await self._find()
        try:
            return await node.exchange(commands)
        except (RedisError, OSError):
            await self._leave(node)
            raise

    async def _find(self) -> "_Node":
        place = next(self._seeds)
        if self._address.service:
            place = await self._ask(place)
        self._node = self._node or _Node(place)  # another exchange may have been quicker
        return self._node

    async def _ask(self, sentinel: dict[str, Any]) -> dict[str, Any]:
        """Return the place that a Sentinel names."""
        node, service = _Node(sentinel), self._address.service
        async with asyncio.timeout(CONNECT):
            (named,) = await node.exchange([("SENTINEL", "GET-MASTER-ADDR-BY-NAME", service)])
        await node.close()
        if not isinstance(named, list):
            raise RedisError(f"the Sentinel at {sentinel['host']}:{sentinel['port']} names no {service!r}: {named}")
        return {**sentinel, **self._address.login, "host": named[0].decode(), "port": int(named[1])}

    async def _move(self, error: MovedError) -> None:
        here = self._node.place if self._node else self._address.seeds[0]
        if "path" in here:
            raise RedisError("this is a node of a Cluster: use redis://host:port")
        there = {**here, "host": error.host or here["host"], "port": error.port}
        if there != here or self._node is None:
            await self._leave(self._node)
            self._node = _Node(there)

    async def _leave(self, node: "_Node | None") -> None:
        if node is not None:
            self._node = None if self._node is node else self._node
            await node.close(nowait=True)

    # What became of it

    def _refusal(self, reply: ResponseError) -> QueueFull | QueueUnavailable:
        what = str(reply)
        if isinstance(reply, OutOfMemoryError) or "OOM command not allowed" in what:  # 6.2 wraps it in another
            return QueueFull("Redis has reached its maxmemory and takes no new jobs: let workers drain it, or raise it")
        if isinstance(reply, NoPermissionError) or _SCRIPT_MAY_NOT.search(what):
            what += ": give its user the rule in docs/how-to/redis.md"
        return QueueUnavailable(f"Redis at {hide_password(self._url)} refuses to work: {type(reply).__name__}: {what}")

    def _unavailable(self, error: Exception) -> QueueUnavailable:
        remedy = "start it there, or say where it is with EVQ_REDIS_URL, or REDIS_HOST and REDIS_PORT"
        if isinstance(error, AuthenticationError):
            remedy = "correct the user and the password in its URL"
        elif self._url.startswith("rediss"):
            remedy = "make sure that it speaks TLS there, and that ?ssl_ca_certs= names the file of its authority"
        return QueueUnavailable(
            f"cannot reach Redis at {hide_password(self._url)} ({str(error) or 'no answer'}): {remedy}"
        )


class _Node:
    """One server, with the connections to it that nobody uses right now."""

    def __init__(self, place: Mapping[str, Any]) -> None:
        self.place = place
        self._idle: list[AbstractConnection] = []
        self._left = False

    async def close(self, *, nowait: bool = False) -> None:
        """Close the connections, those in use as soon as they are not; *nowait* if the other side may be dead."""
        self._left = True
        while self._idle:
            await self._idle.pop().disconnect(nowait=nowait)

    async def exchange(self, commands: Sequence[Command]) -> list[Any]:
        connection = self._idle.pop() if self._idle else self._connection()
        try:
            # Its stub knows tuples of one only.
            packed = b"".join([pack_command(tuple(command)) for command in commands])  # type: ignore[arg-type]
            await connection.send_packed_command(packed, check_health=False)
            replies = [await _read(connection) for _ in commands]
        except BaseException:
            # Replies may still be under way: nobody else may read them.
            await connection.disconnect(nowait=True)
            raise
        if self._left:
            await connection.disconnect(nowait=True)
        else:
            self._idle.append(connection)
        return replies

    def _connection(self) -> AbstractConnection:
        # Timeouts are ours: a blocking pop may take longer than any default of the client.
        options = {**self.place, "protocol": 2, "socket_timeout": None, "socket_connect_timeout": CONNECT}
        if "path" in options:
            return UnixDomainSocketConnection(**options)
        return SSLConnection(**options) if options.pop("tls") else TcpConnection(**options)


async def _read(connection: AbstractConnection) -> Any:
    try:
        return await connection.read_response()
    except ResponseError as error:
        return error
