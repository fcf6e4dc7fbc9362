"""What a producer sees: results, cancels, bulk enqueues, and code that cannot await."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from evq import (
    Job,
    JobCancelled,
    JobFailed,
    JobStatus,
    PayloadError,
    Queue,
    QueueUnavailable,
    Reply,
    UsageError,
    Worker,
    blocking,
)
from evq.ids import new_id
from tests.integration.running import until, until_status, working
from tests.integration.test_outages import Server

pytestmark = pytest.mark.anyio


async def test_a_result_that_takes_too_long_is_a_timeout_and_can_be_asked_for_again(queue: Queue) -> None:
    @queue.task
    async def work() -> int:
        return 1

    job = await work.enqueue()
    with pytest.raises(TimeoutError):
        await job.result(timeout=0.05)
    async with working(queue):
        assert await job.result(timeout=5) == 1


async def test_many_wait_for_one_result_and_one_waits_for_many(queue: Queue) -> None:
    @queue.task
    async def work(n: int) -> int:
        return n

    jobs = await queue.enqueue_many([work.job(n=n) for n in range(100)])
    async with working(queue, concurrency=10):
        results = await asyncio.gather(*(job.result(10) for job in jobs), *(jobs[0].result(10) for _ in range(100)))
    assert results == [*range(100), *([0] * 100)]


async def test_results_reach_waiters_in_other_programs(queue: Queue) -> None:
    @queue.task
    async def work() -> str:
        return "seen"

    job = await work.enqueue()
    async with Queue(queue.name, redis=queue.url) as elsewhere, anyio.create_task_group() as group:

        async def wait() -> None:
            assert await elsewhere.result(job.id, 10) == "seen"

        group.start_soon(wait)
        await Worker(queue).run(burst=True)


async def test_a_cancelled_job_has_no_result(queue: Queue) -> None:
    @queue.task
    async def work() -> None: ...

    job = await work.using(delay=60).enqueue()
    async with anyio.create_task_group() as group:

        async def wait() -> None:
            with pytest.raises(JobCancelled):
                await job.result(10)

        group.start_soon(wait)
        assert await job.cancel() is Reply.CANCELLED
    assert (await job.refresh()).status is JobStatus.CANCELLED


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path)
    server.start()
    yield server
    server.kill()


async def test_a_result_is_awaited_through_an_outage_which_is_told_once(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    async with Queue("outage", redis=server.url) as queue:

        @queue.task
        async def work(n: int) -> int:
            return n

        async def known() -> bool:
            return "results have to wait for Redis" in caplog.text

        jobs = await queue.enqueue_many([work.job(n=n) for n in range(50)])
        async with anyio.create_task_group() as group:
            waiters = asyncio.gather(*(job.result() for job in jobs))
            await checkpoint()
            server.kill()
            await until(known)
            with pytest.raises(TimeoutError, match="has not ended within 0"):  # asked for while Redis is away
                await jobs[0].result(timeout=0.1)
            server.start()
            worker = Worker(queue)
            group.start_soon(worker.run)
            assert await waiters == list(range(50))
            worker.stop()
    assert caplog.text.count("results have to wait for Redis") == 1


async def test_those_who_wait_for_news_look_themselves_after_an_outage(server: Server) -> None:
    async with Queue("outage", redis=server.url) as queue:

        @queue.task
        async def work() -> str:
            return "done"

        job = await work.enqueue()
        async with anyio.create_task_group() as group:

            async def wait() -> None:
                assert await job.result(15) == "done"

            async def nobody_reads() -> bool:
                _, results, _ = queue._of_this_loop()
                return results._reader is not None and results._reader.done()

            group.start_soon(wait)
            await until(lambda: watched(queue, job))
            server.kill()
            await until(nobody_reads)
            server.start()
            await Worker(queue).run(burst=True)


async def watched(queue: Queue, job: Job) -> bool:
    """Tell whether somebody waits for the end of a job."""
    (count,) = await queue.broker.send([("SCARD", queue.broker.keys.of("waiters_of", job.id))])
    return bool(count)


async def test_who_waits_looks_from_time_to_time_since_news_may_be_lost(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evq.results.CHECK_MS", 100)

    @queue.task
    async def work() -> str:
        return "done"

    job = await work.enqueue()
    async with anyio.create_task_group() as group:

        async def wait() -> None:
            assert await job.result(10) == "done"

        group.start_soon(wait)
        await until(lambda: watched(queue, job))
        async with working(queue), anyio.create_task_group() as losing:

            async def lose_watches() -> None:
                while True:
                    await queue.broker.send([("DEL", queue.broker.keys.of("waiters_of", job.id))])

            losing.start_soon(lose_watches)
            await until_status(job, JobStatus.COMPLETED)
            losing.cancel_scope.cancel()


async def test_news_are_awaited_while_somebody_waits_and_again_when_somebody_else_does(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evq.results.BLOCK_MS", 10)

    @queue.task
    async def work() -> str:
        await anyio.sleep(0.2)
        return "done"

    _, results, _ = queue._of_this_loop()

    async def nobody_waits() -> bool:
        return results._reader is not None and results._reader.done()

    async with working(queue):
        for _ in range(2):
            assert await (await work.enqueue()).result(10) == "done"
            await until(nobody_waits)


async def test_news_of_another_time_are_heard_once(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    @queue.task
    async def work() -> str:
        return "done"

    job = await work.enqueue()
    broker, results, _ = queue._of_this_loop()
    word, looks = broker.word, 0

    async def count_looks(verb: str, **argv: Any) -> Reply:
        nonlocal looks
        looks += 1
        return await word(verb, **argv)

    monkeypatch.setattr(broker, "word", count_looks)
    async with anyio.create_task_group() as group:
        group.start_soon(job.result, 10)
        await until(lambda: watched(queue, job))
        await broker.tell(results._waiter, job.id)
        await anyio.sleep(0.1)
        group.cancel_scope.cancel()
    assert looks == 2


async def test_a_job_that_is_replayed_just_when_its_end_is_seen_is_awaited_again(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter([ValueError("not yet"), "now"])

    @queue.task
    async def work() -> str:
        match next(answers):
            case str(text):
                return text
            case error:
                raise error  # type: ignore[misc]  # the other kind

    job = await work.enqueue()
    await Worker(queue).run(burst=True)
    word = queue.broker.word

    async def replay_after_the_look(verb: str, **argv: Any) -> Reply:
        answer = await word(verb, **argv)
        if answer is Reply.ENDED:
            monkeypatch.undo()
            assert await queue.replay(job.id) is Reply.OK
        return answer

    monkeypatch.setattr(queue.broker, "word", replay_after_the_look)
    async with anyio.create_task_group() as group:

        async def wait() -> None:
            assert await job.result(10) == "now"

        group.start_soon(wait)
        await until(lambda: watched(queue, job))
        await Worker(queue).run(burst=True)


async def test_a_job_that_an_outage_has_taken_has_no_result(server: Server) -> None:
    async with Queue("outage", redis=server.url) as queue:

        @queue.task
        async def work() -> None: ...

        job = await work.enqueue()
        async with anyio.create_task_group() as group:

            async def wait() -> None:
                with pytest.raises(UsageError, match="has no job"):
                    await job.result()

            group.start_soon(wait)
            await checkpoint()
            server.kill()
            server.lose_data()
            server.start()


async def test_a_job_that_nobody_knows_is_a_usage_error(queue: Queue) -> None:
    assert await queue.get(new_id()) is None
    with pytest.raises(UsageError, match="has no job"):
        await queue.result(new_id(), 5)


async def test_a_failed_job_can_be_replayed(queue: Queue) -> None:
    answers = iter([ValueError("not yet"), "now"])

    @queue.task
    async def work() -> str:
        match next(answers):
            case str(text):
                return text
            case error:
                raise error  # type: ignore[misc]  # the other kind

    async with working(queue):
        job = await work.enqueue()
        with pytest.raises(JobFailed, match="not yet"):
            await job.result(5)
        assert await queue.replay(job.id) is Reply.OK
        assert await job.result(5) == "now"


async def test_enqueue_many_of_1200_jobs_enqueues_all_in_order(queue: Queue) -> None:
    @queue.task
    async def work(n: int) -> None: ...

    jobs = await queue.enqueue_many([work.job(n=n) for n in range(1200)])
    assert (await queue.counts())["waiting"] == 1200
    last = await queue.get(jobs[-1].id)
    assert last is not None
    assert last.payload == {"n": 1199}


async def test_enqueue_many_enqueues_nothing_if_one_payload_does_not_fit(queue: Queue) -> None:
    @queue.task
    async def work(n: int) -> None: ...

    with pytest.raises(PayloadError):
        await queue.enqueue_many([work.job(n=1), work.job(m=2)])
    assert (await queue.counts())["enqueued"] == 0


async def test_enqueueing_the_same_id_twice_makes_one_job(queue: Queue) -> None:
    @queue.task
    async def work() -> None: ...

    job_id = new_id()
    await work.using(id=job_id).enqueue()
    await work.using(id=job_id).enqueue()
    assert (await queue.counts())["enqueued"] == 1


async def test_thousands_of_enqueues_at_once_share_a_few_connections(queue: Queue) -> None:
    @queue.task
    async def work(n: int) -> None: ...

    await asyncio.gather(*(work.enqueue(n=n) for n in range(3000)))
    assert (await queue.counts())["waiting"] == 3000
    (clients,) = await queue.broker.send([("CLIENT", "LIST")])
    assert clients.decode().count("\n") < 100


def test_code_that_cannot_await_enqueues_and_waits_too(redis_url: str) -> None:
    program = f"""
from evq import Queue, Worker, blocking
queue = Queue("blocking", redis={redis_url!r})
@queue.task
async def double(n: int) -> int:
    return 2 * n
job = blocking(double.enqueue)(n=21)
blocking(Worker(queue).run)(burst=True)
print(blocking(job.result)(timeout=5))
blocking(queue.close)()
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.stdout, done.stderr, done.returncode) == ("42\n", "", 0)


async def test_blocking_refuses_to_block_an_event_loop(queue: Queue) -> None:
    with pytest.raises(UsageError, match="leave blocking"):
        blocking(queue.ping)()


async def test_an_unreachable_redis_is_named_without_its_password() -> None:
    async with Queue("nowhere", redis="redis://ann:secret@127.0.0.1:1/0") as queue:
        with pytest.raises(QueueUnavailable, match=r"redis://ann:\*\*\*@127\.0\.0\.1:1/0.*REDIS_HOST") as unavailable:
            await queue.ping()
    assert "secret" not in str(unavailable.value)
