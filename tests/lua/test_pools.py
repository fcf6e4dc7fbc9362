"""join and scale."""

import pytest

from evq.broker import pairs
from evq.embedded import private_redis
from tests.lua.lua_bench import Bench

pytestmark = pytest.mark.anyio

AS_STARTED = -1
"""How many workers are wanted if nobody has said so."""


async def join(lua: Bench, pool: str = "a", *, ttl_ms: int = 1000) -> tuple[int, dict[str, str]]:
    """Beat for a pool that can run four workers, and was started with two; return what is wanted, and the pools."""
    wanted, *flat = await lua.broker.run("join", pool=pool, capacity=4, processes=2, ttl_ms=ttl_ms)
    return wanted, {name.decode(): text.decode() for name, text in pairs(flat).items()}


async def scale(lua: Bench, count: int, *, by: int = 0) -> int:
    running: int = await lua.broker.run("scale", count=count, by=by)
    return running


def told(lua: Bench, pool: str) -> int:
    count: int = lua.redis.llen(lua.key("waiter_of", pool))
    return count


async def test_every_pool_hears_of_all_that_are_alive(lua: Bench) -> None:
    assert await join(lua, "a") == (AS_STARTED, {"a": "4 2"})
    assert await join(lua, "b") == (AS_STARTED, {"a": "4 2", "b": "4 2"})
    lua.later(600)
    await join(lua, "b")
    lua.later(400)
    assert await join(lua, "b") == (AS_STARTED, {"b": "4 2"})


async def test_a_pool_that_leaves_is_forgotten_with_all_its_keys(lua: Bench) -> None:
    await join(lua, "a")
    assert await join(lua, "a", ttl_ms=0) == (AS_STARTED, {})
    assert not lua.redis.exists(lua.key("pools"), lua.key("pool_capacity"))


async def test_the_wanted_number_stays_until_it_is_taken_back(lua: Bench) -> None:
    assert await scale(lua, 5) == 0
    assert (await join(lua))[0] == 5
    assert await scale(lua, 0) == 0
    assert (await join(lua))[0] == 0
    assert await scale(lua, AS_STARTED) == 2
    assert (await join(lua))[0] == AS_STARTED


async def test_it_says_how_many_will_run(lua: Bench) -> None:
    await join(lua, "a")
    await join(lua, "b")
    assert await scale(lua, 5) == 5
    assert await scale(lua, 50) == 8


@pytest.mark.parametrize(
    ("wanted", "by", "then"),
    [
        (AS_STARTED, 1, 5),  # from what the pools were started with
        (AS_STARTED, -1, 3),
        (3, 1, 4),
        (50, -1, 7),  # one less of those that can run
        (50, 1, 9),
        (0, -1, 0),
    ],
)
async def test_one_more_or_less_starts_from_what_runs(lua: Bench, wanted: int, by: int, then: int) -> None:
    await join(lua, "a")
    await join(lua, "b")
    await scale(lua, wanted)
    await scale(lua, AS_STARTED, by=by)
    assert (await join(lua))[0] == then


async def test_all_pools_are_told_once_however_often_it_changes(lua: Bench) -> None:
    await join(lua, "a")
    await join(lua, "b")
    await scale(lua, 1)
    await scale(lua, 2)
    assert (told(lua, "a"), told(lua, "b"), told(lua, "c")) == (1, 1, 0)
    assert 0 < lua.redis.pttl(lua.key("waiter_of", "a")) <= 60_000


async def test_a_full_redis_takes_new_pools_and_can_be_scaled() -> None:
    with private_redis() as url:
        bench = Bench(url, "full")
        bench.redis.config_set("maxmemory", 1)
        await join(bench, "a")
        assert await scale(bench, 3) == 3
        assert await join(bench, "a") == (3, {"a": "4 2"})
        await bench.close()
