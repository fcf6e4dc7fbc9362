"""Whoever lost the lease changes nothing, whatever it tries, and whoever says a thing twice is heard once."""

from collections.abc import Awaitable, Callable

import pytest

from evq import Reply
from evq.job import ReservedJob
from tests.lua.lua_bench import Bench

pytestmark = pytest.mark.anyio

Write = Callable[[Bench, ReservedJob], Awaitable[Reply]]
SETTLES: dict[str, Write] = {"ack": Bench.ack, "fail": Bench.fail, "backoff": Bench.backoff, "snooze": Bench.snooze}
WRITES: dict[str, Write] = SETTLES | {"progress": Bench.progress}

every_write = pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
every_settle = pytest.mark.parametrize("settle", SETTLES.values(), ids=SETTLES)


@every_write
async def test_a_stale_fence_changes_nothing(lua: Bench, write: Write) -> None:
    old = await lua.start()
    await lua.lose(old)
    await lua.reserve(worker="w2")
    before = lua.everything()
    assert await write(lua, old) is Reply.STALE
    assert lua.everything() == before


@every_write
async def test_a_lost_lease_changes_nothing_even_if_nobody_has_the_job_yet(lua: Bench, write: Write) -> None:
    old = await lua.start()
    await lua.lose(old)
    before = lua.everything()
    assert await write(lua, old) is Reply.STALE
    assert lua.everything() == before


@every_write
async def test_a_job_that_is_gone_is_stale(lua: Bench, write: Write) -> None:
    job = await lua.start()
    lua.drop(job.id)
    assert await write(lua, job) is Reply.STALE


@every_settle
async def test_a_settle_that_is_sent_again_is_recognised_and_changes_nothing(lua: Bench, settle: Write) -> None:
    job = await lua.start()
    assert await settle(lua, job) is Reply.OK
    before = lua.everything()
    assert await settle(lua, job) is Reply.REPEATED
    assert lua.everything() == before


@every_settle
async def test_a_settle_that_comes_again_after_the_next_reserve_changes_nothing(lua: Bench, settle: Write) -> None:
    job = await lua.start()
    await lua.snooze(job)
    await lua.reserve(worker="w2")
    before = lua.everything()
    assert await settle(lua, job) is Reply.REPEATED
    assert lua.everything() == before


async def test_a_stale_extend_keeps_no_lease(lua: Bench) -> None:
    old = await lua.start()
    await lua.lose(old)
    assert await lua.extend(old) is Reply.STALE
    assert lua.members("active") == []
    new = await lua.reserve(worker="w2")
    deadline = lua.scores("active")[new.id]
    lua.later(10)
    assert await lua.extend(old) is Reply.STALE
    assert lua.scores("active")[new.id] == deadline


async def test_a_lease_that_ran_out_but_was_not_taken_back_still_counts(lua: Bench) -> None:
    job = await lua.start()
    lua.later(10 * 60_000)
    assert await lua.ack(job) is Reply.OK
