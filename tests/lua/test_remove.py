from typing import Any

import pytest

from evq import NewJob, Reply
from evq.broker import BULK
from evq.census import counts
from tests.lua.lua_bench import ENDS, Bench

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("state", ["waiting", "grouped", "delayed", "completed", "failed", "cancelled"])
async def test_of_a_removed_job_nothing_is_left(lua: Bench, state: str) -> None:
    options: dict[str, Any] = {"grouped": {"group": "a"}, "delayed": {"delay": 9}}
    job_id = await lua.enqueue(dedup_key="k", deadline=90, hooks=ENDS, **options.get(state, {}))
    if state in ("completed", "failed"):
        job = await lua.reserve()
        await lua.progress(job)
        await lua.log(job)
        await (lua.ack(job) if state == "completed" else lua.fail(job))
    elif state == "cancelled":
        await lua.cancel(job_id)
    assert await lua.remove(job_id) is Reply.OK
    assert lua.events()[-1] == ("removed", [job_id])
    kept = [key for key, content in lua.everything().items() if job_id in key or job_id in str(content)]
    assert [key for key in kept if not key.endswith("events")] == []
    assert (await counts(lua.broker))["waiting"] == 0
    assert await lua.remove(job_id) is Reply.NOT_FOUND


async def test_a_running_job_is_not_removed(lua: Bench) -> None:
    job = await lua.start()
    assert await lua.remove(job.id) is Reply.ACTIVE
    assert await lua.ack(job) is Reply.OK


async def test_many_are_removed_in_portions_each_with_its_word(lua: Bench) -> None:
    jobs = [NewJob(task="send", payload=b"{}") for _ in range(BULK)]
    await lua.broker.enqueue(jobs)
    words = await lua.broker.words("remove", [("none",), *((job.id,) for job in jobs)])
    assert words == [Reply.NOT_FOUND, *[Reply.OK] * BULK]
