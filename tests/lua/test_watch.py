import pytest

from evq import Reply
from tests.lua.lua_bench import Bench

pytestmark = pytest.mark.anyio


async def test_the_script_that_ends_a_job_wakes_all_who_watch_it(lua: Bench) -> None:
    job = await lua.start()
    for waiter in ("a", "b"):
        assert await lua.watch(job.id, waiter) is Reply.WATCHING
    await lua.ack(job)
    for waiter in ("a", "b"):
        assert await lua.broker.next_told(waiter, 10) == job.id
    assert lua.redis.exists(lua.key("waiters_of", job.id)) == 0


async def test_a_job_that_has_ended_is_not_watched(lua: Bench) -> None:
    done, failed, cancelled = await lua.start(), await lua.start(), await lua.enqueue()
    await lua.ack(done)
    await lua.fail(failed)
    await lua.cancel(cancelled)
    for job_id in (done.id, failed.id, cancelled):
        assert await lua.watch(job_id) is Reply.ENDED
    assert await lua.watch("0" * 26) is Reply.NOT_FOUND


async def test_watches_and_news_of_programs_that_died_go_away(lua: Bench) -> None:
    job = await lua.start()
    await lua.watch(job.id)
    assert 50_000 < lua.redis.pttl(lua.key("waiters_of", job.id)) <= 60_000
    await lua.ack(job)
    assert 0 < lua.redis.pttl(lua.key("waiter_of", "a")) <= 60_000
