"""Schedules of a real queue: fired once each, by whoever comes first, whatever goes wrong."""

import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest

from evq import Context, PayloadError, Queue, QueueUnavailable, Reply, Task, UsageError, Worker
from evq.lifecycle import State
from evq.schedules import next_instant, to_ms
from evq.upkeep import Upkeep
from tests.integration.running import until
from tests.integration.test_outages import Server

pytestmark = pytest.mark.anyio

HOUR = timedelta(hours=1)


@pytest.fixture
def report(queue: Queue) -> Task:
    @queue.task
    async def report(to: str = "all") -> str:
        return to

    return report


@pytest.fixture
async def others(queue: Queue) -> AsyncIterator[list[Queue]]:
    """As many more programs with the same queue."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(Queue(queue.name, redis=queue.url)) for _ in range(9)]


async def a_missed(queue: Queue, task: Task, name: str = "hourly", *, hours: int = 1, **options: Any) -> list[datetime]:
    """Store an hourly schedule of which *hours* instants were missed, the last 10 min ago; return them."""
    now = datetime.now(UTC)
    last = now.replace(second=0, microsecond=0) - timedelta(minutes=10)
    await queue.schedule(name, task, cron=f"{last.minute} * * * *", **options)
    instants = [last - HOUR * back for back in range(hours - 1, -1, -1)]
    await set_next(queue, name, instants[0])
    return instants


async def set_next(queue: Queue, name: str, instant: datetime) -> None:
    await queue.broker.send([("ZADD", queue.broker.keys["schedules"], to_ms(instant), name)])


async def enqueued(queue: Queue) -> int:
    return (await queue.counts())["enqueued"]


async def test_a_schedule_is_stored_listed_and_forgotten(queue: Queue, report: Task) -> None:
    schedule = await queue.schedule("nightly", report, cron="0 3 * * *", tz="Europe/Berlin", payload={"to": "me"})
    assert schedule.next == next_instant(schedule, datetime.now(UTC))
    assert await queue.schedules() == [schedule]
    assert await queue.unschedule("nightly") is Reply.OK
    assert await queue.unschedule("nightly") is Reply.NOT_FOUND
    assert await queue.schedules() == []


async def test_a_program_that_starts_again_does_not_put_its_schedules_off(queue: Queue, report: Task) -> None:
    (missed,) = await a_missed(queue, report)
    again = await queue.schedule("hourly", report, cron=f"{missed.minute} * * * *")
    assert again.next == missed
    changed = await queue.schedule("hourly", report, cron=f"{missed.minute} * * * *", payload={"to": "me"})
    assert changed.next == missed + HOUR


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"cron": "0 3 * *"}, "schedule nightly: cron="),
        ({"tz": "Mars/Olympus"}, "schedule nightly: tz='Mars/Olympus'"),
        ({"gap": "wait"}, "schedule nightly: gap='wait'"),
        ({"overlap": "kill"}, "schedule nightly: overlap='kill'"),
        ({"cron": "0 0 */31 * MON#5"}, "no such day ever comes"),
    ],
)
async def test_what_cannot_be_a_schedule_is_refused_by_name(
    queue: Queue, report: Task, options: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(UsageError, match=complaint):
        await queue.schedule("nightly", report, **{"cron": "0 3 * * *"} | options)
    assert await queue.schedules() == []


async def test_a_payload_that_does_not_fit_the_task_is_refused(queue: Queue, report: Task) -> None:
    with pytest.raises(PayloadError, match="report"):
        await queue.schedule("nightly", report, cron="0 3 * * *", payload={"whom": "me"})


@pytest.mark.parametrize(
    ("options", "overlap"), [({"delay": 5}, "allow"), ({"dedup_key": "k"}, "skip"), ({"group": "g"}, "queue")]
)
async def test_an_option_that_the_schedule_decides_is_refused(
    queue: Queue, report: Task, options: dict[str, Any], overlap: Any
) -> None:
    with pytest.raises(UsageError, match=f"schedule nightly: .* without {next(iter(options))}="):
        await queue.schedule("nightly", report.using(**options), cron="0 3 * * *", overlap=overlap)


async def test_other_options_of_the_task_are_those_of_its_jobs(queue: Queue, report: Task) -> None:
    await a_missed(queue, report.using(priority=7, group="reports"))
    await Upkeep(queue).fire_due()
    (job,) = await queue.jobs(State.WAITING, of="reports")
    assert job.record.priority == 7


async def test_ten_schedulers_make_one_job_of_an_instant_even_if_one_of_them_was_paused(
    queue: Queue, report: Task, others: list[Queue], monkeypatch: pytest.MonkeyPatch
) -> None:
    (instant,) = await a_missed(queue, report)
    run, looked, go_on = queue.broker.run, anyio.Event(), anyio.Event()

    async def pause_after_the_look(verb: str, *each: Any, **argv: Any) -> Any:
        answer = await run(verb, *each, **argv)
        if verb == "due_schedules":
            looked.set()
            await go_on.wait()
        return answer

    monkeypatch.setattr(queue.broker, "run", pause_after_the_look)
    async with anyio.create_task_group() as group:
        group.start_soon(Upkeep(queue).fire_due)
        await looked.wait()
        async with anyio.create_task_group() as at_once:
            for other in others:
                at_once.start_soon(Upkeep(other).fire_due)
        assert await enqueued(queue) == 1
        go_on.set()
    assert await enqueued(queue) == 1
    assert [schedule.next for schedule in await queue.schedules()] == [instant + HOUR]


async def test_of_many_instants_and_schedulers_each_instant_has_one_job(
    queue: Queue, report: Task, others: list[Queue]
) -> None:
    instants = await a_missed(queue, report, hours=30, misfire="all")
    async with anyio.create_task_group() as group:
        for other in [queue, *others]:
            group.start_soon(Upkeep(other).fire_due)
    (schedule,) = await queue.schedules()
    jobs = await queue.jobs(State.WAITING)
    assert [job.id for job in jobs] == [schedule.job_id(queue.name, instant) for instant in instants]


@pytest.mark.parametrize(("misfire", "jobs"), [("once", 1), ("skip", 0), ("all", 3)])
async def test_after_an_outage_missed_instants_are_made_up_for_as_the_policy_says(
    queue: Queue, report: Task, misfire: Any, jobs: int
) -> None:
    missed = await a_missed(queue, report, hours=3, misfire=misfire)
    await Upkeep(queue).fire_due()
    await Upkeep(queue).fire_due()
    assert await enqueued(queue) == jobs
    assert [schedule.next for schedule in await queue.schedules()] == [missed[-1] + HOUR]


async def test_jobs_that_may_not_overlap_leave_out_those_that_would(queue: Queue, report: Task) -> None:
    missed = await a_missed(queue, report, overlap="skip")
    await Upkeep(queue).fire_due()
    await set_next(queue, "hourly", missed[0] - HOUR)
    await Upkeep(queue).fire_due()
    assert await enqueued(queue) == 1
    await Worker(queue).run(burst=True)
    await set_next(queue, "hourly", missed[0] - 2 * HOUR)
    await queue.remove((await queue.jobs(State.COMPLETED))[0].id)
    await Upkeep(queue).fire_due()
    assert await enqueued(queue) == 2


async def test_jobs_that_are_queued_run_one_after_the_other(queue: Queue) -> None:
    running, most = 0, 0

    @queue.task
    async def report(ctx: Context) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await anyio.sleep(0.02)
        running -= 1

    await a_missed(queue, report, hours=4, misfire="all", overlap="queue")
    await Upkeep(queue).fire_due()
    await Worker(queue, concurrency=4).run(burst=True)
    assert ((await queue.counts())["completed"], most) == (4, 1)


async def test_a_schedule_that_cannot_be_read_is_reported_once_and_keeps_none_of_the_others(
    queue: Queue, report: Task, caplog: pytest.LogCaptureFixture
) -> None:
    (missed,) = await a_missed(queue, report)
    for name, spec in {"foreign": b"?", "newer": b'{"gap": "wait"}', "odd": b'{"cron": 5}'}.items():
        await set_next(queue, name, missed)
        await queue.broker.send([("HSET", queue.broker.keys["schedule_specs"], name, spec)])
    upkeep = Upkeep(queue)
    with caplog.at_level(logging.ERROR, logger="evq.upkeep"):
        assert await upkeep.fire_due() > 1
        await upkeep.fire_due()
    assert await enqueued(queue) == 1
    assert sorted(record.__dict__["schedule"] for record in caplog.records) == ["foreign", "newer", "odd"]


async def test_a_schedule_that_was_mended_and_is_broken_again_is_reported_again(
    queue: Queue, report: Task, caplog: pytest.LogCaptureFixture
) -> None:
    (missed,) = await a_missed(queue, report)
    spec_of = queue.broker.keys["schedule_specs"]
    (good,) = await queue.broker.send([("HGET", spec_of, "hourly")])
    upkeep = Upkeep(queue)
    for spec in (b"?", good, b"?"):
        await queue.broker.send([("HSET", spec_of, "hourly", spec)])
        await set_next(queue, "hourly", missed)
        await upkeep.fire_due()
    assert caplog.text.count("cannot fire") == 2


async def test_an_outage_is_no_fault_of_a_schedule(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    server = Server(tmp_path)
    server.start()
    async with Queue("outages", redis=server.url) as queue:

        @queue.task
        async def report() -> None: ...

        await a_missed(queue, report)
        run = queue.broker.run

        async def lose_redis_after_the_look(verb: str, *each: Any, **argv: Any) -> Any:
            answer = await run(verb, *each, **argv)
            server.kill()
            return answer

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(queue.broker, "run", lose_redis_after_the_look)
            with pytest.raises(QueueUnavailable):
                await Upkeep(queue).fire_due()
    assert "cannot fire" not in caplog.text


async def test_the_next_look_comes_with_the_next_instant(queue: Queue, report: Task) -> None:
    assert await Upkeep(queue).fire_due() == 5
    await queue.schedule("often", report, cron="* * * * *")
    await set_next(queue, "often", datetime.now(UTC) + timedelta(seconds=4))
    assert 0 < await Upkeep(queue).fire_due() < 4.5


async def test_upkeep_waits_out_an_outage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evq.upkeep.PERIOD", 0.05)
    server = Server(tmp_path)
    server.start()
    try:
        async with Queue("outages", redis=server.url) as queue, anyio.create_task_group() as group:

            @queue.task
            async def report() -> None: ...

            (missed,) = await a_missed(queue, report)
            upkeep = Upkeep(queue)
            server.kill()
            group.start_soon(upkeep.run)
            await anyio.sleep(0.2)
            server.start()

            async def fired() -> bool:
                return (await queue.schedules())[0].next > missed

            await until(fired)
            upkeep.stop()
            assert await enqueued(queue) == 1
    finally:
        server.kill()
