import pytest

from evq import Reply
from tests.lua.lua_bench import LEASE_MS, Bench

pytestmark = pytest.mark.anyio


async def test_a_heartbeat_moves_the_deadline(lua: Bench) -> None:
    job = await lua.start()
    lua.later(20_000)
    assert await lua.extend(job) is Reply.OK
    lua.later(20_000)
    await lua.broker.maintain(100)
    assert lua.state(job.id) == "active"
    assert lua.scores("active")[job.id] == lua.now - 20_000 + LEASE_MS


async def test_a_heartbeat_learns_of_a_requested_cancel_and_keeps_the_lease(lua: Bench) -> None:
    job = await lua.start()
    await lua.cancel(job.id)
    lua.later(20_000)
    assert await lua.extend(job) is Reply.CANCEL
    assert lua.scores("active")[job.id] == lua.now + LEASE_MS


async def test_a_heartbeat_after_the_end_gives_no_lease_back(lua: Bench) -> None:
    job = await lua.start()
    await lua.ack(job)
    assert await lua.extend(job) is Reply.REPEATED
    assert lua.members("active") == []


async def test_workers_are_alive_until_their_heart_stops(lua: Bench) -> None:
    await lua.beat("w1")
    lua.later(20_000)
    await lua.beat("w2")
    assert lua.members("workers") == ["w1", "w2"]
    assert 0 < lua.redis.pttl(lua.key("worker_of", "w1")) <= LEASE_MS
    lua.later(10_001)
    await lua.beat("w2")
    assert lua.members("workers") == ["w2"]
