"""A network that fails: a TCP proxy before Redis."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Literal

Loss = Literal["request", "reply"]
CHUNK = 1 << 16
DEAF = 0.05
"""How long a link whose reply is lost stays open, so that all of the request is carried out, s."""


class Link:
    """One client's connection."""

    def __init__(self, proxy: "Proxy", client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self._proxy = proxy
        self._writers = client, server
        self.sent = b""
        """What the client sent last."""
        self.frozen = False
        self.deaf = False

    async def carry_requests(self, source: asyncio.StreamReader) -> None:
        while chunk := await source.read(CHUNK):
            self.sent = chunk
            if self.frozen:
                self._proxy.silenced += 1
                continue
            loss = self._proxy.loses(chunk)
            if loss == "request":
                break
            self.deaf = self.deaf or loss == "reply"
            await self._pass(chunk, self._writers[1])
        self.cut()

    async def carry_replies(self, source: asyncio.StreamReader) -> None:
        while chunk := await source.read(CHUNK):
            if self.deaf:
                self._proxy.lost += 1
                await asyncio.sleep(DEAF)
                break
            if not self.frozen:
                await self._pass(chunk, self._writers[0])
        self.cut()

    async def _pass(self, chunk: bytes, writer: asyncio.StreamWriter) -> None:
        if self._proxy.delay:
            self._proxy.delayed += 1
            await asyncio.sleep(self._proxy.delay)
        writer.write(chunk)
        await writer.drain()

    def freeze(self) -> None:
        """Carry nothing any more, without a word."""
        self.frozen = True

    def cut(self) -> None:
        for writer in self._writers:
            writer.close()


class Proxy:
    """Passes what clients and Redis say to each other, until it is told not to."""

    def __init__(self, port: int) -> None:
        self.links: set[Link] = set()
        self._serving = 0
        self.target = port
        self.delay = 0.0
        """How long each message takes, s."""
        self.refusing = False
        self.lost = 0
        """Requests and replies that were lost, as `lose` asked for."""
        self.silenced = 0
        """What was said on connections that were frozen."""
        self.delayed = 0
        """What came late."""
        self._losing: list[tuple[bytes, Loss]] = []

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        try:
            yield
        finally:
            await asyncio.sleep(0.01)  # who connected just now is served first
            server.close()
            while self._serving:
                self.cut()
                await asyncio.sleep(0.01)

    def lose(self, what: str, loss: Loss) -> None:
        """Lose the next request that holds *what*, or the reply to it, and cut its connection.

        A script must be known to Redis by then, or what is lost is its answer that it knows none.
        """
        self._losing.append((what.encode(), loss))

    def loses(self, chunk: bytes) -> Loss | None:
        for number, (what, loss) in enumerate(self._losing):
            if what in chunk:
                del self._losing[number]
                self.lost += loss == "request"
                return loss
        return None

    def cut(self) -> int:
        """Close every connection; return how many there were."""
        for link in self.links:
            link.cut()
        return len(self.links)

    def deafen(self, what: bytes) -> int:
        """Lose all replies from now on to those whose last request holds *what*; return how many they are."""
        deaf = [link for link in self.links if what in link.sent]
        for link in deaf:
            link.deaf = True
        return len(deaf)

    def freeze(self) -> int:
        """Silence every connection of now for ever; return how many there are."""
        for link in self.links:
            link.freeze()
        return len(self.links)

    async def _serve(self, client_reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        self._serving += 1
        with contextlib.closing(client), contextlib.suppress(OSError):
            if not self.refusing:
                server_reader, server = await asyncio.open_connection("127.0.0.1", self.target)
                await self._link(Link(self, client, server), client_reader, server_reader)
        self._serving -= 1

    async def _link(self, link: Link, client: asyncio.StreamReader, server: asyncio.StreamReader) -> None:
        self.links.add(link)
        try:
            await asyncio.gather(link.carry_requests(client), link.carry_replies(server))
        finally:
            link.cut()
            self.links.discard(link)
