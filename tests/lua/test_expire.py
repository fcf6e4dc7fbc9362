from typing import Any

import pytest

from tests.lua.lua_bench import Bench

pytestmark = pytest.mark.anyio


async def enqueue_in(lua: Bench, state: str, **options: Any) -> str:
    match state:
        case "waiting":
            return await lua.enqueue(**options)
        case "grouped":
            return await lua.enqueue(group="a", **options)
        case "delayed":
            return await lua.enqueue(delay=100, **options)
    job_id = await lua.enqueue("rare", **options)
    await lua.take(tasks=["other"])
    return job_id


@pytest.mark.parametrize(("option", "error"), [("expires", "Expired"), ("deadline", "DeadlineExceeded")])
@pytest.mark.parametrize("state", ["waiting", "grouped", "delayed", "parked"])
async def test_a_pending_job_that_is_too_late_fails_wherever_it_is(
    lua: Bench, state: str, option: str, error: str
) -> None:
    job_id = await enqueue_in(lua, state, **{option: 1})
    lua.later(999)
    await lua.broker.maintain(10)
    assert lua.state(job_id) != "failed"
    lua.later(1)
    await lua.broker.maintain(10)
    assert f'"type":"{error}"' in lua.record(job_id)["error"]
    assert not lua.redis.exists(*(lua.key(n) for n in ("waiting", "delayed", "deadlines", "parked_tasks", "groups")))


async def test_a_worker_that_comes_too_late_does_not_start_the_job(lua: Bench) -> None:
    ids = [await lua.enqueue(expires=1) for _ in range(20)]
    lua.later(1000)
    assert (await lua.take(20)).jobs == []
    assert {lua.state(job_id) for job_id in ids} == {"failed"}


async def test_a_job_that_has_started_in_time_does_not_expire_any_more(lua: Bench) -> None:
    job = await lua.start(expires=1)
    lua.later(2000)
    await lua.broker.maintain(10)
    await lua.backoff(job, 10)
    lua.later(10)
    assert (await lua.reserve()).id == job.id


async def test_a_worker_is_told_how_long_its_job_may_take_in_all(lua: Bench) -> None:
    await lua.enqueue(deadline=5)
    lua.later(2000)
    job = await lua.reserve()
    assert job.left_ms == 3000
    assert (await lua.start()).left_ms is None


async def test_a_retry_that_would_begin_beyond_the_deadline_fails_at_once_with_its_error(lua: Bench) -> None:
    job = await lua.start(deadline=5)
    await lua.backoff(job, 5000)
    record = lua.record(job.id)
    assert record["state"] == "failed"
    assert '"type":"ValueError"' in record["error"]


async def test_a_running_job_is_left_to_its_worker(lua: Bench) -> None:
    job = await lua.start(deadline=1)
    lua.later(1000)
    await lua.broker.maintain(10)
    assert lua.state(job.id) == "active"


async def test_sleepers_wake_for_a_deadline(lua: Bench) -> None:
    await lua.enqueue("rare", expires=1)
    assert (await lua.take(tasks=["other"])).wait_ms == 1000


async def test_a_replayed_job_has_no_deadline_any_more(lua: Bench) -> None:
    job_id = await lua.enqueue(deadline=1)
    lua.later(1000)
    await lua.broker.maintain(10)
    await lua.replay(job_id)
    lua.later(10_000)
    await lua.broker.maintain(10)
    assert (await lua.reserve()).left_ms is None
