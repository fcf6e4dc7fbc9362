"""One connection, which all exchanges of an event loop share."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from evq import QueueUnavailable
from evq.connection import Connection

pytestmark = pytest.mark.anyio


@pytest.fixture
async def connection(redis_url: str) -> AsyncIterator[Connection]:
    connection = Connection(redis_url)
    await connection.exchange([("PING",)])
    yield connection
    await connection.close()


async def test_exchanges_share_one_connection_and_each_gets_its_own_replies(connection: Connection) -> None:
    (before,) = await connection.exchange([("CLIENT", "ID")])
    asked = [connection.exchange([("ECHO", n), ("CLIENT", "ID"), ("ECHO", -n)]) for n in range(1000)]
    assert await asyncio.gather(*asked) == [[b"%d" % n, before, b"%d" % -n] for n in range(1000)]


async def test_what_one_does_not_wait_for_any_more_disturbs_no_other(connection: Connection) -> None:
    (before,) = await connection.exchange([("CLIENT", "ID")])
    asked = [asyncio.create_task(connection.exchange([("ECHO", n), ("ECHO", "x" * n)])) for n in range(1000)]
    await asyncio.sleep(0)  # all is sent, and nothing has come
    for n in range(0, 1000, 3):
        asked[n].cancel()
    replies = await asyncio.gather(*asked, return_exceptions=True)
    for n, reply in enumerate(replies):
        if n % 3:
            assert reply == [b"%d" % n, b"x" * n]
        else:
            assert isinstance(reply, asyncio.CancelledError)
    assert await connection.exchange([("CLIENT", "ID")]) == [before]


async def test_replies_that_a_lost_connection_owes_are_asked_for_anew(connection: Connection, redis_url: str) -> None:
    (lost,) = await connection.exchange([("CLIENT", "ID")])
    killer = Connection(redis_url)
    await killer.exchange([("CLIENT", "PAUSE", 60_000, "WRITE")])
    try:
        held_up = ("DEL", "evq:{owed}:wake")
        asked = [asyncio.create_task(connection.exchange([held_up, ("ECHO", n)])) for n in range(100)]
        await asyncio.sleep(0.05)
        assert not any(task.done() for task in asked)
    finally:
        await killer.exchange([("CLIENT", "KILL", "ID", lost), ("CLIENT", "UNPAUSE")])
    assert await asyncio.gather(*asked) == [[0, b"%d" % n] for n in range(100)]
    assert await connection.exchange([("CLIENT", "ID")]) > [lost]
    await killer.close()


async def test_a_pop_that_nobody_waits_for_any_more_takes_nothing(connection: Connection) -> None:
    pop = asyncio.create_task(connection.exchange([("BLPOP", "evq:{given-up}:wake", 30)], blocks_s=30))
    await asyncio.sleep(0.05)
    pop.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await pop
    await asyncio.sleep(0.05)
    assert await connection.exchange([("RPUSH", "evq:{given-up}:wake", "x"), ("LLEN", "evq:{given-up}:wake")]) == [1, 1]


async def test_those_who_are_answered_slowly_one_after_the_other_are_answered(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evq.connection.TIMEOUT", 0.5)
    connection = Connection(redis_url)
    await connection.exchange([("PING",)])
    # Redis answers what comes with one read, which is 16 KiB at most, all at once.
    slow = f"local n = 0 while n < 3e6 do n = n + 1 end return 1 -- {'x' * (1 << 15)}"
    asked = [connection.exchange([("EVAL", slow, 0)]) for _ in range(60)]
    assert await asyncio.gather(*asked) == [[1]] * 60
    await connection.close()


async def test_who_is_owed_a_reply_gets_it_though_its_node_is_left_meanwhile(connection: Connection) -> None:
    owed = asyncio.create_task(connection.exchange([("ECHO", "owed")]))
    with pytest.raises(QueueUnavailable, match="refuses to work: ERR unknown command"):
        await connection.exchange([("NONSENSE",)])
    assert await owed == [b"owed"]


async def test_a_connection_is_closed_at_once_if_nobody_waits_for_what_it_owes() -> None:
    ended = asyncio.Event()

    async def be_silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        ended.set()
        writer.close()

    server = await asyncio.start_server(be_silent, "127.0.0.1", 0)
    connection = Connection(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.1):
            await connection.exchange([("PING",)])
    async with asyncio.timeout(1):
        await connection.close()
        await ended.wait()
    server.close()


async def test_a_server_that_is_no_redis_is_no_redis() -> None:
    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    connection = Connection(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    with pytest.raises(QueueUnavailable, match="this is no Redis"):
        await connection.exchange([("PING",)])
    server.close()


async def test_a_database_and_a_login_are_those_of_the_url(redis_url: str) -> None:
    for options, refusal in (("db=3", None), ("db=99", "out of range"), ("password=wrong", "correct the user")):
        connection = Connection(f"{redis_url}?{options}")
        if refusal is None:
            (info,) = await connection.exchange([("CLIENT", "LIST")])
            assert b" db=3 " in info
        else:
            with pytest.raises(QueueUnavailable, match=refusal):
                await connection.exchange([("PING",)])
        await connection.close()
