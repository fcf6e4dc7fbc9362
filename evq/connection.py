"""The connection to a queue's Redis: commands go out in one write, and every failure has one of two names.

All keys of a queue are in one slot, so one server at a time has them: the one in the URL, the node of a Cluster to
which another points (`MOVED`), or the one that a Sentinel names. Once it fails or refuses to work it is left, and
looked for again from the next seed.
"""

import asyncio
import contextlib
import re
import time
from collections.abc import Awaitable, Mapping, Sequence
from itertools import cycle
from typing import Any, Final

from evq.errors import QueueFull, QueueUnavailable
from evq.settings import hide_password, parse_url
from evq.wire import CONNECT, LATE, Command, LoginRefused, Moved, NoScript, Refused, Replies, Wire, connect

TIMEOUT: Final = 6.0
"""How long replies may take beyond the time that a command blocks, s: a half-open connection is given up after this."""
HOPS: Final = 5
"""How many nodes in a row may point at another one before that counts as an outage."""

_NOT_ALLOWED = re.compile("^NOPERM|The user executing the script can't|ACL failure in script")
"""What Redis says of a command, and of one in a script, and what Valkey does."""


class Connection:
    """A queue's Redis, for one event loop."""

    def __init__(self, url: str, *, timeout: float | None = None) -> None:
        """Connect to nothing yet; raise `UsageError` if *url* is no address of a Redis."""
        self._url = url
        self._timeout = timeout or TIMEOUT
        self._address = parse_url(url)
        self._seeds = cycle(self._address.seeds)
        self._node: _Node | None = None
        self._finding = asyncio.Lock()

    async def close(self) -> None:
        """Close the connections, those in use as soon as they are not."""
        if self._node is not None:
            wires = self._node.close()
            self._node = None
            await asyncio.wait([wire.closed for wire in wires], timeout=CONNECT)
            for wire in wires:  # the other side may be dead
                wire.abort()

    async def exchange(self, commands: Sequence[Command], *, blocks_s: float = 0.0) -> Replies:
        """Send *commands* in one write and read their replies; one to a missing script is a `NoScript`.

        Every command that evq sends may be sent twice, so a node that fails (Redis was restarted) is searched for once
        without a word. Raise `QueueUnavailable` if Redis cannot be reached, does not answer or refuses to work,
        `QueueFull` if it has no room.
        """
        if not commands:
            return []
        try:
            replies = await self._send(commands, blocks_s)
            if Moved in map(type, replies):
                await self._follow(commands, replies, blocks_s)
        except OSError as error:
            self._leave(self._node)
            raise self._unavailable(error) from error
        for reply in replies:
            if isinstance(reply, Refused) and not isinstance(reply, NoScript):
                refusal = self._refusal(reply)
                if isinstance(refusal, QueueUnavailable):
                    self._leave(self._node)
                raise refusal from reply
        return replies

    # The node

    async def _send(self, commands: Sequence[Command], blocks_s: float) -> Replies:
        """Send *commands* to the node; if it fails, to where the seeds lead: one try more than there are seeds."""
        node, tries = self._node, len(self._address.seeds) + 1
        if node is not None:
            try:
                return await node.exchange(commands, blocks_s)
            except ConnectionError:
                self._leave(node)
            tries -= 1
        seconds = self._timeout + blocks_s
        while True:
            begun = time.monotonic()
            try:
                async with asyncio.timeout(seconds):
                    return await self._search(commands, blocks_s, tries)
            except TimeoutError:
                if time.monotonic() - begun < seconds + LATE:
                    raise

    async def _search(self, commands: Sequence[Command], blocks_s: float, tries: int) -> Replies:
        """Send *commands* to where the seeds lead, one after the other."""
        for _ in range(tries - 1):
            with contextlib.suppress(OSError):
                return await self._try(await self._find(), commands, blocks_s)
        return await self._try(await self._find(), commands, blocks_s)

    async def _try(self, node: "_Node", commands: Sequence[Command], blocks_s: float) -> Replies:
        try:
            return await node.exchange(commands, blocks_s)
        except OSError:
            self._leave(node)
            raise

    async def _find(self) -> "_Node":
        async with self._finding:  # what one finds serves all
            if self._node is None:
                place = next(self._seeds)
                if self._address.service:
                    place = await self._ask(place)
                self._node = await _Node.open(place, self._timeout)
            return self._node

    async def _ask(self, sentinel: Mapping[str, Any]) -> dict[str, Any]:
        """Return the place that a Sentinel names."""
        service, wire = self._address.service, await connect(sentinel, CONNECT)
        try:
            (named,) = await wire.exchange([("SENTINEL", "GET-MASTER-ADDR-BY-NAME", service)])
        finally:
            wire.close()
        if not isinstance(named, list):
            what = f"the Sentinel at {sentinel['host']}:{sentinel['port']} names no {service!r}: {named}"
            raise ConnectionError(what)
        return {**sentinel, **self._address.login, "host": named[0].decode(), "port": int(named[1])}

    async def _follow(self, commands: Sequence[Command], replies: Replies, blocks_s: float) -> None:
        """Send to the node pointed at those *commands* that were not executed since the slot is there."""
        for _ in range(HOPS):
            moved = {i: reply for i, reply in enumerate(replies) if isinstance(reply, Moved)}
            if not moved:
                break
            await self._move(next(iter(moved.values())))
            again = await self._send([commands[i] for i in moved], blocks_s)
            for i, reply in zip(moved, again, strict=True):
                replies[i] = reply

    async def _move(self, moved: Moved) -> None:
        async with self._finding:
            here = self._node.place if self._node else self._address.seeds[0]
            if "path" in here:
                raise ConnectionError("this is a node of a Cluster: use redis://host:port")
            host, port = moved.place()
            there = {**here, "host": host or here["host"], "port": port}
            if there != here or self._node is None:
                self._leave(self._node)
                with contextlib.suppress(OSError):  # then the seeds may know more
                    self._node = await _Node.open(there, self._timeout)

    def _leave(self, node: "_Node | None") -> None:
        if node is not None:
            self._node = None if self._node is node else self._node
            node.close()

    # What became of it

    def _refusal(self, reply: Refused) -> QueueFull | QueueUnavailable:
        what = str(reply)
        if "OOM command not allowed" in what:  # 6.2 wraps it in another
            return QueueFull("Redis has reached its maxmemory and takes no new jobs: let workers drain it, or raise it")
        if what.startswith("NOAUTH"):
            return self._unavailable(LoginRefused(what))
        if _NOT_ALLOWED.search(what):
            what += ": give its user the rule in docs/how-to/redis.md"
        return QueueUnavailable(f"Redis at {hide_password(self._url)} refuses to work: {what}")

    def _unavailable(self, error: Exception) -> QueueUnavailable:
        remedy = "start it there, or say where it is with EVQ_REDIS_URL, or REDIS_HOST and REDIS_PORT"
        if isinstance(error, LoginRefused):
            remedy = "correct the user and the password in its URL"
        elif self._url.startswith("rediss"):
            remedy = "make sure that it speaks TLS there, and that ?ssl_ca_certs= names the file of its authority"
        return QueueUnavailable(
            f"cannot reach Redis at {hide_password(self._url)} ({str(error) or 'no answer'}): {remedy}"
        )


class _Node:
    """One server: the connection that all exchanges share, and those that block, each for one exchange at a time."""

    def __init__(self, place: Mapping[str, Any], timeout: float, shared: Wire) -> None:
        self.place = place
        self._timeout = timeout
        self._shared = shared
        self._idle: list[Wire] = []
        self._left = False

    @classmethod
    async def open(cls, place: Mapping[str, Any], timeout: float) -> "_Node":  # noqa: ASYNC109 - it is of replies
        """Connect to the server at *place*; raise `OSError` if that fails."""
        return cls(place, timeout, await connect(place, timeout))

    def close(self) -> list[Wire]:
        """Close each connection as soon as nobody waits for a reply; return those that are in no pop."""
        self._left = True
        wires = [self._shared, *self._idle]
        self._idle.clear()
        for wire in wires:
            wire.close()
        return wires

    def exchange(self, commands: Sequence[Command], blocks_s: float) -> Awaitable[Replies]:
        return self._block(commands, blocks_s) if blocks_s else self._shared.exchange(commands)

    async def _block(self, commands: Sequence[Command], blocks_s: float) -> Replies:
        wire = self._idle.pop() if self._idle else await connect(self.place, self._timeout)
        try:
            replies = await wire.exchange(commands, blocks_s=blocks_s)
        except BaseException:
            wire.abort()  # else what blocks in it might take what nobody reads
            raise
        if self._left:
            wire.close()
        else:
            self._idle.append(wire)
        return replies
