"""A worker and a real Redis, in this process."""

import asyncio
import contextlib
import gc
import logging
import threading
import time
from typing import Any

import anyio
import pytest

from evq import (
    Context,
    JobCancelled,
    JobFailed,
    JobStatus,
    LeaseLost,
    NetworkError,
    Queue,
    Reply,
    RetryPolicy,
    SyncContext,
    TemporaryError,
    UsageError,
    ValidationError,
    Worker,
    blocking,
)
from evq.broker import BULK
from evq.lifecycle import State
from evq.worker import Running
from tests.integration.running import until, until_status, working

pytestmark = pytest.mark.anyio

AT_ONCE = RetryPolicy(attempts=3, delay=0.001)


@pytest.fixture
def brief(queue: Queue) -> Queue:
    """A queue of which a lost worker's jobs come back after a second."""
    queue.lease_ms = 1000
    return queue


async def test_async_and_plain_handlers_return_their_results(queue: Queue) -> None:
    @queue.task
    async def add(a: int, b: int = 1) -> int:
        return a + b

    @queue.task
    def join(ctx: SyncContext, words: list[str]) -> str:
        ctx.progress(50, step="join")
        return " ".join(words)

    async with working(queue, concurrency=2):
        total, text = await add.enqueue(a=2), await join.enqueue(words=["at", "last"])
        assert await total.result(5) == 3
        assert await text.result(5) == "at last"
    assert (await text.refresh()).status is JobStatus.COMPLETED
    assert text.progress is not None
    assert (text.progress.percentage, text.progress.current_step) == (50, "join")


async def test_a_task_is_still_a_function(queue: Queue) -> None:
    @queue.task
    def double(n: int) -> int:
        return 2 * n

    assert double(n=2) == 4


async def test_a_burst_runs_everything_and_ends(queue: Queue) -> None:
    @queue.task
    async def note(n: int) -> int:
        return n

    jobs = await queue.enqueue_many([note.job(n=n) for n in range(1200)])
    await Worker(queue, concurrency=50).run(burst=True)
    assert [await job.result(1) for job in jobs[::100]] == list(range(0, 1200, 100))
    assert (await queue.counts())["completed"] == 1200


async def test_a_burst_runs_also_what_its_jobs_enqueue(queue: Queue) -> None:
    @queue.task
    async def parent(depth: int) -> None:
        if depth:
            await parent.enqueue(depth=depth - 1)

    for concurrency in (1, 2, 3):
        await parent.enqueue(depth=20)
        await Worker(queue, concurrency=concurrency).run(burst=True)
        counts = await queue.counts()
        assert (counts["waiting"], counts["active"], counts["completed"]) == (0, 0, 21 * concurrency)


async def test_a_burst_looks_behind_what_it_cannot_run(queue: Queue) -> None:
    other = Queue(queue.name, redis=queue.url)

    @queue.task
    async def work() -> None: ...

    await other.enqueue_many([other.job("strange", {}), work.job()])
    await Worker(queue).run(burst=True)
    counts = await queue.counts()
    assert (counts["parked"], counts["completed"]) == (1, 1)
    await other.close()


async def test_a_burst_runs_children_that_their_parents_wait_for(queue: Queue) -> None:
    @queue.task
    async def child() -> str:
        return "grown"

    @queue.task
    async def parent() -> Any:
        return await (await child.enqueue()).result(5)

    job = await parent.enqueue()
    await Worker(queue, concurrency=2).run(burst=True)
    assert await job.result(1) == "grown"


async def test_more_jobs_than_one_script_settles_may_end_at_once(queue: Queue) -> None:
    running, all_run = 0, anyio.Event()

    @queue.task
    async def work() -> None:
        nonlocal running
        running += 1
        if running == BULK + 50:
            all_run.set()
        await all_run.wait()

    await queue.enqueue_many([work.job() for _ in range(BULK + 50)])
    await Worker(queue, concurrency=BULK + 50).run(burst=True)
    counts = await queue.counts()
    assert (counts["completed"], counts["active"]) == (BULK + 50, 0)


async def test_a_worker_keeps_nothing_of_jobs_that_have_ended(queue: Queue) -> None:
    @queue.task
    async def work() -> None: ...

    async with working(queue):
        for _ in range(10):
            await (await work.enqueue()).result(5)
        gc.collect()
        assert sum(isinstance(thing, Running) for thing in gc.get_objects()) <= 1


async def test_concurrency_is_a_limit(queue: Queue) -> None:
    running, most = 0, 0

    @queue.task
    async def count() -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await anyio.sleep(0.01)
        running -= 1

    await queue.enqueue_many([count.job() for _ in range(20)])
    await Worker(queue, concurrency=4).run(burst=True)
    assert most == 4


@pytest.mark.parametrize("error", [TemporaryError("busy"), NetworkError("gone"), ConnectionResetError("gone")])
async def test_a_passing_error_is_retried(queue: Queue, error: Exception) -> None:
    attempts = []
    at_once = {TemporaryError: 0.001, NetworkError: 0.001, ConnectionError: 0.001}

    @queue.task(retry=RetryPolicy(on=at_once))
    async def flaky(ctx: Context) -> str:
        attempts.append(ctx.attempt)
        if ctx.attempt < 3:
            raise error
        return "done"

    async with working(queue):
        assert await (await flaky.enqueue()).result(5) == "done"
    assert attempts == [1, 2, 3]


async def test_a_job_fails_when_its_attempts_are_used_up(queue: Queue) -> None:
    @queue.task(retry=AT_ONCE)
    async def hopeless() -> None:
        raise TemporaryError("still busy")

    async with working(queue):
        job = await hopeless.enqueue()
        with pytest.raises(JobFailed) as failed:
            await job.result(5)
    assert (failed.value.type, failed.value.message) == ("TemporaryError", "still busy")
    assert "raise TemporaryError" in failed.value.traceback
    assert (await job.refresh()).record.failures == 3


@pytest.mark.parametrize("error", [ValidationError("bad row"), KeyError("x"), SystemExit(3), asyncio.CancelledError()])
async def test_any_other_error_fails_at_once_and_harms_no_worker(queue: Queue, error: BaseException) -> None:
    @queue.task
    async def broken() -> None:
        raise error

    @queue.task
    def broken_too() -> None:
        raise error

    @queue.task
    async def fine() -> str:
        return "fine"

    async with working(queue):
        jobs = [await broken.enqueue()]
        if not isinstance(error, asyncio.CancelledError):
            jobs.append(await broken_too.enqueue())
        for job in jobs:
            with pytest.raises(JobFailed) as failed:
                await job.result(5)
            assert failed.value.type == type(error).__name__
        assert await (await fine.enqueue()).result(5) == "fine"


class Unspeakable(Exception):  # noqa: N818 - it is one
    def __str__(self) -> str:
        raise RuntimeError("no words")


class CodedError(TemporaryError):
    def __init__(self, code: int) -> None:
        self.code = code


@pytest.mark.parametrize(
    "error", [Unspeakable(), ValueError("\udcff name"), ValueError("long" * 100_000), CodedError(3)]
)
async def test_an_error_that_is_hard_to_describe_is_described(queue: Queue, error: Exception) -> None:
    @queue.task(retry=RetryPolicy(attempts=1))
    async def broken() -> None:
        raise error

    async with working(queue):
        with pytest.raises(JobFailed) as failed:
            await (await broken.enqueue()).result(5)
    assert failed.value.type == type(error).__name__
    assert len(failed.value.message) < 21_000


@pytest.mark.parametrize("payload", [{}, {"to": "x", "more": 1}, {"ctx": 1}])
async def test_a_payload_that_does_not_fit_fails_without_a_retry(queue: Queue, payload: dict[str, Any]) -> None:
    producer = Queue(queue.name, redis=queue.url)

    @queue.task
    async def send(ctx: Context, to: str) -> None: ...

    async with producer, working(queue):
        (job,) = await producer.enqueue_many([producer.job("send", payload)])
        with pytest.raises(JobFailed, match="send") as failed:
            await job.result(5)
    assert failed.value.type == "ValidationError"
    assert (await queue.counts())["failed"] == 1


@pytest.mark.parametrize("result", [object(), {1, 2}, 1 << 80, "x" * (17 << 20)], ids=["object", "set", "int", "huge"])
async def test_a_result_that_cannot_be_stored_fails_the_job(queue: Queue, result: object) -> None:
    @queue.task
    async def give() -> object:
        return result

    async with working(queue):
        with pytest.raises(JobFailed, match="give") as failed:
            await (await give.enqueue()).result(5)
    assert failed.value.type == "ValidationError"


async def test_an_unknown_task_is_parked_until_a_worker_knows_it(
    queue: Queue, caplog: pytest.LogCaptureFixture
) -> None:
    old, new = Queue(queue.name, redis=queue.url), queue
    caplog.set_level(logging.WARNING)

    @old.task
    async def known() -> None: ...

    @new.task
    async def news() -> str:
        return "extra"

    job = await news.enqueue()
    async with old:
        async with working(old):
            await until_status(job, JobStatus.PENDING)
            await until(lambda: _is_parked(new))
        assert "parked" in caplog.text
        async with working(new):
            assert await job.result(5) == "extra"


async def _is_parked(queue: Queue) -> bool:
    return (await queue.counts())["parked"] == 1


async def test_an_attempt_that_takes_too_long_is_interrupted_and_retried(queue: Queue) -> None:
    ends = []

    @queue.task(timeout=0.05, retry=RetryPolicy(attempts=2, delay=0.001))
    async def slow() -> None:
        try:
            await anyio.sleep(30)
        finally:
            ends.append("interrupted")

    async with working(queue):
        with pytest.raises(JobFailed, match=r"timeout of 0\.05 s") as failed:
            await (await slow.enqueue()).result(5)
    assert failed.value.type == "AttemptTimeout"
    assert ends == ["interrupted"] * 2


async def test_a_plain_handler_that_takes_too_long_learns_of_it_where_it_looks(queue: Queue) -> None:
    ends = []

    @queue.task(timeout=0.05, retry=RetryPolicy(attempts=1))
    def slow(ctx: SyncContext) -> None:
        try:
            while True:
                ctx.check()
                time.sleep(0.005)
        except TemporaryError:
            ends.append("told")
            raise

    async with working(queue):
        with pytest.raises(JobFailed) as failed:
            await (await slow.enqueue()).result(5)
    assert failed.value.type == "AttemptTimeout"
    assert ends == ["told"]


async def test_a_handler_left_behind_in_its_thread_does_not_keep_the_next_job_waiting(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evq.executor.PATIENCE", 0.05)
    release = anyio.Event()

    @queue.task(timeout=0.05, retry=RetryPolicy(attempts=1))
    def deaf() -> None:
        while not release.is_set():
            time.sleep(0.005)

    @queue.task
    def quick() -> str:
        return "quick"

    async with working(queue):
        with pytest.raises(JobFailed):
            await (await deaf.enqueue()).result(5)
        assert await (await quick.enqueue()).result(5) == "quick"
        release.set()


async def test_a_running_job_is_cancelled_within_a_heartbeat(brief: Queue) -> None:
    ends = []

    @brief.task
    async def endless() -> None:
        try:
            await anyio.sleep(60)
        finally:
            ends.append("interrupted")

    async with working(brief):
        job = await endless.enqueue()
        await until_status(job, JobStatus.PROCESSING)
        assert await job.cancel() is Reply.REQUESTED
        with pytest.raises(JobCancelled):
            await job.result(3)
    assert ends == ["interrupted"]
    assert (await job.refresh()).record.state is State.CANCELLED


async def test_a_handler_that_swallows_its_cancellation_and_ends_well_has_ended_well(brief: Queue) -> None:
    @brief.task
    async def stubborn() -> str:
        with contextlib.suppress(asyncio.CancelledError):
            await anyio.sleep(60)
        return "finished all the same"

    async with working(brief):
        job = await stubborn.enqueue()
        await until_status(job, JobStatus.PROCESSING)
        await job.cancel()
        assert await job.result(3) == "finished all the same"


async def test_a_handler_that_keeps_its_place_though_it_was_interrupted_is_reported(
    queue: Queue, caplog: pytest.LogCaptureFixture
) -> None:
    @queue.task(timeout=0.1)
    async def stubborn() -> None:
        for _ in range(50):
            with contextlib.suppress(asyncio.CancelledError):
                await anyio.sleep(0.1)

    async with working(queue):
        job = await stubborn.enqueue()
        await until_status(job, JobStatus.COMPLETED)
    assert "keeps its place" in caplog.text


async def test_a_cancelled_handler_is_interrupted_once_however_often_its_heart_says_so(brief: Queue) -> None:
    @brief.task
    async def tidy() -> str:
        try:
            await anyio.sleep(60)
        except asyncio.CancelledError:
            await anyio.sleep(1)  # three heartbeats
        return "tidied up"

    async with working(brief):
        job = await tidy.enqueue()
        await until_status(job, JobStatus.PROCESSING)
        await job.cancel()
        assert await job.result(5) == "tidied up"


async def test_each_of_several_jobs_is_interrupted_at_its_own_limit(queue: Queue) -> None:
    took: dict[float, float] = {}

    async def last(limit: float) -> None:
        began = time.monotonic()
        try:
            await anyio.sleep(10)
        finally:
            took[limit] = time.monotonic() - began

    limits = (0.6, 0.2, 30.0, 0.4, 0.3)
    tasks = [queue.task(name=str(limit), timeout=limit, retry=RetryPolicy(attempts=1))(last) for limit in limits]
    async with working(queue, concurrency=8, grace=0.1):
        jobs = [await task.enqueue(limit=limit) for task, limit in zip(tasks, limits, strict=True)]
        for job, limit in zip(jobs, limits, strict=True):
            if limit < 1:
                await until_status(job, JobStatus.FAILED)
                assert limit <= took[limit] + 0.005
                assert took[limit] < limit + 0.15
        assert took.keys() == {limit for limit in limits if limit < 1}


async def test_a_handler_that_tidies_up_after_its_timeout_keeps_its_lease_meanwhile(brief: Queue) -> None:
    runs = []

    @brief.task(timeout=0.1, retry=RetryPolicy(attempts=1))
    async def slow(ctx: Context) -> None:
        runs.append(ctx.fence)
        try:
            await anyio.sleep(60)
        finally:
            await anyio.sleep(2)

    async with working(brief, concurrency=2):
        with pytest.raises(JobFailed) as failed:
            await (await slow.enqueue()).result(10)
    assert failed.value.type == "AttemptTimeout"
    assert len(runs) == 1


async def test_a_handler_that_blocks_the_event_loop_keeps_its_lease(brief: Queue) -> None:
    runs = []

    @brief.task
    async def rude(ctx: Context) -> int:
        runs.append(ctx.fence)
        time.sleep(2.5)  # noqa: ASYNC251 - rude, as we said
        return len(runs)

    other = Queue(brief.name, redis=brief.url, lease=1)
    other.tasks.update(brief.tasks)
    async with working(brief), anyio.create_task_group() as group:
        group.start_soon(anyio.to_thread.run_sync, lambda: asyncio.run(_work_for(other, 4.0)))
        await until(lambda: _has_workers(brief, 2))
        assert await (await rude.enqueue()).result(10) == 1
    assert len(runs) == 1


async def _has_workers(queue: Queue, count: int) -> bool:
    return len(await queue.workers()) == count


async def _work_for(queue: Queue, seconds: float) -> None:
    async with queue, working(queue):
        await anyio.sleep(seconds)


async def test_a_lost_lease_interrupts_the_handler_and_its_result_is_dropped(brief: Queue) -> None:
    seen: list[str] = []
    values = iter(["first", "second"])

    @brief.task
    async def work(ctx: Context) -> str:
        value = next(values)
        if value == "first":
            await steal(brief, ctx)
            try:
                await anyio.sleep(10)
            except asyncio.CancelledError:
                seen.append(type(ctx.interruption).__name__)
        return value

    async with working(brief):
        assert await (await work.enqueue()).result(5) == "second"
    assert seen == ["LeaseLost"]


async def test_what_the_heart_says_of_an_earlier_lease_concerns_no_later_one(queue: Queue) -> None:
    @queue.task
    async def work(ctx: Context) -> None:
        runs.append(ctx.fence)
        worker._on_word(ctx.job_id, ctx.fence - 1, Reply.STALE)
        await anyio.sleep(0.01)

    runs: list[int] = []
    async with working(queue) as worker:
        await (await work.enqueue()).result(5)
    assert len(runs) == 1


async def test_progress_after_a_lost_lease_raises(brief: Queue) -> None:
    seen = []
    fences = []

    @brief.task
    async def work(ctx: Context) -> int:
        fences.append(ctx.fence)
        if len(fences) == 1:
            await steal(brief, ctx)
            with pytest.raises(LeaseLost):
                await ctx.progress(50)
            seen.append("lost")
            await ctx.progress(60)
        return ctx.fence

    async with working(brief):
        newest = await (await work.enqueue()).result(5)
    first, second = fences
    assert seen == ["lost"]
    assert first < second == newest


async def steal(queue: Queue, ctx: Context) -> None:
    """Let the lease of a job run out, as if its worker had been cut off while another one lives."""
    keys = queue.broker.keys
    await queue.broker.send([("ZADD", keys["workers"], "inf", "another"), ("ZADD", keys["active"], 1, ctx.job_id)])
    await queue.broker.maintain(10)


async def test_a_graceful_stop_lets_running_jobs_end_and_takes_no_others(queue: Queue) -> None:
    started = anyio.Event()

    @queue.task
    async def work(n: int) -> int:
        started.set()
        await anyio.sleep(0.1)
        return n

    async with working(queue, concurrency=2) as worker:
        job = await work.enqueue(n=1)
        await started.wait()
        worker.stop()
        late = await work.enqueue(n=2)
    assert await job.result(1) == 1
    assert (await late.refresh()).record.state is State.WAITING


async def test_a_stop_hands_jobs_back_after_the_grace_time_without_counting_an_attempt(queue: Queue) -> None:
    @queue.task
    async def endless() -> None:
        await anyio.sleep(60)

    async with working(queue, concurrency=2, grace=0.05):
        jobs = [await endless.enqueue() for _ in range(2)]
        for job in jobs:
            await until_status(job, JobStatus.PROCESSING)
    for job in jobs:
        record = (await job.refresh()).record
        assert (record.state, record.failures, record.crashes) == (State.WAITING, 0, 0)
    assert await queue.workers() == []


async def test_a_cancelled_worker_hands_its_jobs_back(queue: Queue) -> None:
    begun = anyio.Event()

    @queue.task
    async def endless() -> None:
        begun.set()
        await anyio.sleep(60)

    async with anyio.create_task_group() as group:
        group.start_soon(Worker(queue).run)
        job = await endless.enqueue()
        await begun.wait()
        group.cancel_scope.cancel()
    assert (await job.refresh()).record.state is State.WAITING


async def test_a_cancelled_worker_hands_back_what_is_on_its_way_to_it(queue: Queue) -> None:
    @queue.task
    async def nap() -> None: ...

    async with anyio.create_task_group() as group:
        group.start_soon(Worker(queue).run)
        await until(queue.workers)
        thread = threading.Thread(target=blocking(_enqueue_elsewhere), args=(queue,))
        thread.start()
        thread.join()
        time.sleep(0.1)  # noqa: ASYNC251 - the job comes, and this loop has not looked yet
        group.cancel_scope.cancel()
    counts = await queue.counts()
    assert (counts["active"], counts["waiting"]) == (0, 1)


async def _enqueue_elsewhere(queue: Queue) -> None:
    async with queue:
        await queue.enqueue_many([queue.job("nap", {})])


async def test_a_worker_ends_even_if_a_handler_will_not(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evq.worker.PATIENCE", 0.05)
    release = anyio.Event()

    @queue.task
    async def immortal() -> None:
        while not release.is_set():
            try:
                await anyio.sleep(0.2)
            except asyncio.CancelledError:
                continue

    async with working(queue, grace=0.01):
        job = await immortal.enqueue()
        await until_status(job, JobStatus.PROCESSING)
    assert (await job.refresh()).record.state is State.WAITING  # handed back all the same
    release.set()


async def test_a_worker_can_be_stopped_before_it_runs(queue: Queue) -> None:
    @queue.task
    async def work() -> None: ...

    worker = Worker(queue)
    worker.stop()
    with anyio.fail_after(5):
        await worker.run()


async def test_a_delayed_job_starts_on_time_though_the_worker_sleeps(queue: Queue) -> None:
    @queue.task
    async def work() -> None: ...

    async with working(queue):
        job = await work.using(delay=0.3).enqueue()
        await job.result(3)
        record = (await job.refresh()).record
        assert record.started_ms is not None
        assert record.due_ms is not None
        assert 0 <= record.started_ms - record.due_ms < 1000


async def test_a_delayed_job_does_not_wait_for_redis_to_end_the_sleep(queue: Queue) -> None:
    @queue.task
    async def work() -> None: ...

    await queue.broker.send([("CONFIG", "SET", "hz", 1)])  # so often does Redis look for pops that took too long
    try:
        async with working(queue):
            for _ in range(3):
                job = await work.using(delay=0.1).enqueue()
                await job.result(3)
                record = (await job.refresh()).record
                assert record.started_ms is not None
                assert record.due_ms is not None
                assert 0 <= record.started_ms - record.due_ms < 100
    finally:
        await queue.broker.send([("CONFIG", "SET", "hz", 10)])


async def test_a_worker_is_listed_while_it_runs(queue: Queue) -> None:
    @queue.task
    async def work() -> None: ...

    async with working(queue) as worker:
        await until(queue.workers)
        assert [info.id for info in await queue.workers()] == [worker.id]
    assert await queue.workers() == []


async def test_a_worker_without_tasks_or_without_room_is_refused(queue: Queue) -> None:
    with pytest.raises(UsageError, match="has no tasks"):
        Worker(queue)
    queue.task(name="x")(lambda: None)
    with pytest.raises(UsageError, match="concurrency=0: use a whole number from 1"):
        Worker(queue, concurrency=0)


async def test_a_retry_comes_in_time_when_its_worker_has_room_for_other_jobs(queue: Queue) -> None:
    starts: list[float] = []

    @queue.task(retry=RetryPolicy(delay=0.2))
    async def flaky() -> None:
        starts.append(time.monotonic())
        if len(starts) < 3:
            raise TemporaryError("not now")

    async with working(queue, concurrency=4):
        await (await flaky.enqueue()).result(timeout=10)

    assert starts[2] - starts[0] < 2  # 0.6 s and jitter, if nobody sleeps too long


async def test_a_running_job_is_cancelled_at_once_and_not_with_the_next_heartbeat(queue: Queue) -> None:
    assert queue.lease_ms / 3000 > 5  # heartbeats are far apart
    begun = anyio.Event()

    @queue.task
    async def endless() -> None:
        begun.set()
        await anyio.sleep_forever()

    async with working(queue):
        job = await endless.enqueue()
        await begun.wait()
        await job.cancel()
        with pytest.raises(JobCancelled):
            await job.result(timeout=3)


async def test_a_job_that_a_stopping_worker_still_gets_is_handed_back(queue: Queue) -> None:
    @queue.task
    async def work() -> None: ...

    await queue.pause()
    async with working(queue) as worker:
        job = await work.enqueue()

        async def sleeps() -> bool:
            (tokens,) = await queue.broker.send([("LLEN", queue.broker.keys["wake"])])
            return worker._sleeper is not None and tokens == 0

        await until(sleeps)
        await queue.broker.send([("DEL", queue.broker.keys["limits"])])  # a resume of which nobody is told
    record = (await job.refresh()).record
    assert (record.state, record.failures) == (State.WAITING, 0)
    assert record.fence > 0


async def test_an_idle_worker_is_roused_to_stop(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evq.worker.SLEEP_MS", 60_000)

    @queue.task
    async def work() -> None: ...

    with anyio.fail_after(10):
        async with working(queue) as worker:

            async def sleeps() -> bool:
                return worker._sleeper is not None

            await until(sleeps)
