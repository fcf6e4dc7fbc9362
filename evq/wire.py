"""One connection to a Redis: commands go out in one write, and replies come back in the order of the commands.

Any number of exchanges may be under way on it. Who gives one up leaves its replies to be read, and dropped. A large
reply holds up the smaller ones behind it, for as long as it takes to come.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, Final

from hiredis import ProtocolError, Reader, pack_command

CONNECT: Final = 2.0
"""How long connecting may take, s."""
LATE: Final = 1.0
"""A timeout that comes so much too late, s, tells of a busy event loop, not of Redis."""

Words = Sequence[str | bytes | int | float]
Command = Words | bytes
"""In words, or packed."""
Replies = list[Any]


class Refused(Exception):  # noqa: N818 - the state is the name
    """What Redis replies to a command that it does not execute, in its own words."""


class NoScript(Refused):
    """Redis does not have the script."""


class Moved(Refused):
    """Another node of the Cluster has the slot."""

    def place(self) -> tuple[str, int]:
        """Return that node's host, which is empty for the same one, and port."""
        host, _, port = str(self).rpartition(" ")[2].rpartition(":")
        return host, int(port)


class LoginRefused(ConnectionError):  # noqa: N818 - the state is the name
    """Redis does not take the user and the password."""


_KINDS: Final = {"NOSCRIPT": NoScript, "MOVED": Moved}


def _refused(text: str) -> Refused:
    return _KINDS.get(text.partition(" ")[0], Refused)(text)


def pack(command: Command) -> bytes:
    """Write a command as Redis reads it."""
    # Its stub knows tuples of one only.
    return command if isinstance(command, bytes) else pack_command(tuple(command))  # type: ignore[arg-type]


class Head:
    """The words with which many commands begin, written once."""

    def __init__(self, words: Words) -> None:
        self._count = len(words)
        self._packed = pack(words).partition(b"\n")[2]  # without their number, which comes first

    def pack(self, words: Words) -> bytes:
        """Write the command that goes on with *words* as Redis reads it."""
        return b"*%d\r\n%b%b" % (self._count + len(words), self._packed, pack(words).partition(b"\n")[2])


async def connect(place: Mapping[str, Any], timeout: float) -> "Wire":  # noqa: ASYNC109 - it is of replies
    """Connect to a place, and log in; raise `OSError` if that fails."""
    loop, server = asyncio.get_running_loop(), dict(place)
    async with asyncio.timeout(CONNECT):
        if "path" in server:
            _, wire = await loop.create_unix_connection(lambda: Wire(timeout), server["path"])
        else:
            tls = _tls(server) if server["tls"] else None
            _, wire = await loop.create_connection(lambda: Wire(timeout), server["host"], server["port"], ssl=tls)
        try:
            await _log_in(wire, server)
        except BaseException:
            wire.abort()
            raise
    return wire


def _tls(server: Mapping[str, Any]) -> ssl.SSLContext:
    context, level = ssl.create_default_context(), server.get("ssl_cert_reqs", "required")
    context.check_hostname = level != "none" and server.get("ssl_check_hostname", True)
    context.verify_mode = ssl.VerifyMode[f"CERT_{level.upper()}"]
    if "ssl_ca_certs" in server or "ssl_ca_path" in server:
        context.load_verify_locations(server.get("ssl_ca_certs"), server.get("ssl_ca_path"))
    if "ssl_certfile" in server:
        context.load_cert_chain(server["ssl_certfile"], server.get("ssl_keyfile"), server.get("ssl_password"))
    return context


async def _log_in(wire: "Wire", server: Mapping[str, Any]) -> None:
    user, password = server["username"], server["password"]
    if user or password:
        (reply,) = await wire.exchange([("AUTH", *([user] if user else []), password or "")])
        if isinstance(reply, Refused):
            raise LoginRefused(str(reply))
    if server["db"]:
        (reply,) = await wire.exchange([("SELECT", server["db"])])
        if isinstance(reply, Refused):
            raise ConnectionError(str(reply))


class Wire(asyncio.Protocol):
    """A connection, once it is made."""

    _transport: asyncio.Transport

    def __init__(self, timeout: float) -> None:
        """Prepare for a connection that is given up if replies take longer than *timeout* s."""
        self._loop = asyncio.get_running_loop()
        self._timeout = timeout
        self._reader = Reader(replyError=_refused)
        self._asked: deque[tuple[asyncio.Future[Replies], int, Replies]] = deque()
        self._due = 0.0  # when the next reply must have come
        self._alarm: asyncio.TimerHandle | None = None
        self._closing = False
        self._lost = False
        self.closed: asyncio.Future[None] = self._loop.create_future()

    def exchange(self, commands: Sequence[Command], *, blocks_s: float = 0.0) -> asyncio.Future[Replies]:
        """Send *commands*; return their replies to come, or the `OSError` by which the connection ends before."""
        replies: asyncio.Future[Replies] = self._loop.create_future()
        if self._lost:
            replies.set_exception(ConnectionResetError("the connection was closed"))
            return replies
        if not self._asked:
            self._expect(blocks_s)
        self._asked.append((replies, len(commands), []))
        self._transport.write(b"".join(map(pack, commands)))
        return replies

    def close(self) -> None:
        """Close as soon as nobody waits for a reply."""
        self._closing = True
        if all(waiting.done() for waiting, *_ in self._asked):
            self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        self._transport.abort()

    # Called by the event loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # that of a stream

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        try:
            self._read()
        except ProtocolError as error:
            self._fail(ConnectionError(f"this is no Redis: {error}"))
        self._due = self._loop.time() + self._timeout

    def connection_lost(self, error: Exception | None) -> None:
        self._fail(error if isinstance(error, OSError) else ConnectionResetError("the connection was closed"))
        self.closed.set_result(None)

    def _read(self) -> None:
        while self._asked:
            waiting, count, replies = self._asked[0]
            while len(replies) < count:
                reply = self._reader.gets()
                if reply is False:  # there is more to come
                    return
                replies.append(reply)
            self._asked.popleft()
            if not waiting.done():
                waiting.set_result(replies)
        if self._closing:
            self._transport.close()

    def _fail(self, error: OSError) -> None:
        """End the connection: nobody will have a reply any more."""
        self._lost = True
        for waiting, *_ in self._asked:
            if not waiting.done():
                waiting.set_exception(error)
        self._asked.clear()
        self._transport.abort()

    # One alarm, which is put off while replies come, serves all exchanges: a timer for each would cost as much as they

    def _expect(self, blocks_s: float) -> None:
        self._due = self._loop.time() + self._timeout + blocks_s
        if self._alarm is not None and self._alarm.when() > self._due:
            self._alarm.cancel()
            self._alarm = None
        if self._alarm is None:
            self._alarm = self._loop.call_at(self._due, self._look, self._due)

    def _look(self, due: float) -> None:
        self._alarm, now = None, self._loop.time()
        if not self._asked:
            return
        if now > due + LATE:  # this program had no time to read
            self._due = now + self._timeout
        if now < self._due:
            self._alarm = self._loop.call_at(self._due, self._look, self._due)
        else:
            self._fail(TimeoutError())
