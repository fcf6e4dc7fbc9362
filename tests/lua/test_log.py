import pytest

from evq import Reply
from tests.lua.lua_bench import LOG_LINES, Bench

pytestmark = pytest.mark.anyio


def lines(lua: Bench, job_id: str) -> list[str]:
    found: list[str] = lua.redis.lrange(lua.key("log_of", job_id), 0, -1)
    return found


async def test_a_log_keeps_its_last_lines_in_order(lua: Bench) -> None:
    job = await lua.start()
    for n in range(LOG_LINES + 5):
        assert await lua.log(job, f"line {n}") is Reply.OK
    assert lines(lua, job.id) == [f"line {n}" for n in range(5, LOG_LINES + 5)]


async def test_a_stale_worker_logs_nothing(lua: Bench) -> None:
    job = await lua.start()
    await lua.lose(job)
    assert await lua.log(job) is Reply.STALE
    assert lines(lua, job.id) == []


async def test_a_log_expires(lua: Bench) -> None:
    job = await lua.start()
    await lua.log(job)
    assert lua.redis.pttl(lua.key("log_of", job.id)) > 0
