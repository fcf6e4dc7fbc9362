"""Running a handler to its outcome, without a Redis."""

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import anyio
import orjson
import pytest

from evq import Context, JobCancelled, LeaseLost, Queue, RetryPolicy, SyncContext, TemporaryError
from evq.errors import AttemptTimeout, DeadlineExceeded, EvqError, Retry, Snooze, WorkerStopped
from evq.executor import TEXT_LIMIT, Backoff, Completed, Failed, Outcome, Snoozed, describe, execute
from evq.job import ReservedJob

pytestmark = pytest.mark.anyio

RETRIED = RetryPolicy(attempts=2, delay=2.0, jitter=0)


async def outcome(handler: Callable[..., Any], *, failures: int = 0, **payload: Any) -> Outcome | None:
    task = Queue("executor").task(retry=RETRIED)(handler)

    async def report(progress: Any) -> None: ...

    job = ReservedJob("0" * 26, task.name, orjson.dumps(payload), 1, failures, 0, None)
    context = (Context if task.is_async else SyncContext)(job, report)
    return await execute(task, job, context, anyio.CapacityLimiter(1))


async def test_a_result_is_json() -> None:
    async def handler(a: int) -> dict[str, int]:
        return {"a": a}

    assert await outcome(handler, a=1) == Completed(b'{"a":1}')


async def test_a_plain_handler_runs_in_a_thread_and_can_report() -> None:
    def handler(ctx: SyncContext) -> str:
        ctx.progress(10)
        time.sleep(0.001)
        return "done"

    assert await outcome(handler) == Completed(b'"done"')


async def test_an_error_that_passes_is_a_retry_until_no_attempt_is_left() -> None:
    async def handler() -> None:
        raise TemporaryError("busy")

    first = await outcome(handler)
    assert isinstance(first, Backoff)
    assert first.delay_ms == 2000
    assert isinstance(await outcome(handler, failures=1), Failed)


async def test_a_handler_can_name_the_delay_of_its_retry() -> None:
    async def handler() -> None:
        raise Retry(after=0.5)

    first = await outcome(handler)
    assert isinstance(first, Backoff)
    assert first.delay_ms == 500
    assert isinstance(await outcome(handler, failures=1), Failed)


@pytest.mark.parametrize(("delay", "delay_ms"), [(0.5, 500), (-1, 0), (float("inf"), 365 * 86_400_000)])
async def test_a_handler_can_put_its_job_off_without_counting_the_attempt(delay: float, delay_ms: int) -> None:
    async def handler() -> None:
        raise Snooze(delay)

    assert await outcome(handler, failures=1) == Snoozed(delay_ms)


@pytest.mark.parametrize("payload", [b"[]", b"1", b"{", b'{"b": 1}'])
async def test_a_payload_that_cannot_be_passed_fails(payload: bytes) -> None:
    async def handler(a: int) -> None: ...

    task = Queue("executor").task(handler)
    job = ReservedJob("0" * 26, "handler", payload, 1, 0, 0, None)

    async def report(progress: Any) -> None: ...

    assert isinstance(await execute(task, job, Context(job, report), anyio.CapacityLimiter(1)), Failed)


async def test_a_lost_lease_is_no_outcome() -> None:
    async def handler() -> None:
        raise LeaseLost("0" * 26)

    assert await outcome(handler) is None


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        (LeaseLost("0" * 26), type(None)),
        (WorkerStopped("0" * 26), Snoozed),
        (JobCancelled("0" * 26), Failed),
        (AttemptTimeout("late"), Backoff),
        (DeadlineExceeded("late"), Failed),
    ],
)
async def test_why_a_handler_had_to_stop_says_more_than_what_it_raised_then(reason: EvqError, kind: type) -> None:
    def handler(ctx: SyncContext) -> None:
        ctx.interruption = reason
        raise KeyError("in the middle")

    assert isinstance(await outcome(handler), kind)


async def test_a_handler_that_ends_well_has_ended_well_though_it_had_to_stop() -> None:
    def handler(ctx: SyncContext) -> int:
        ctx.interruption = JobCancelled(ctx.job_id)
        return 1

    assert await outcome(handler) == Completed(b"1")


async def test_a_plain_handler_that_ends_well_soon_after_it_was_interrupted_has_ended_well() -> None:
    begun = threading.Event()

    def handler(ctx: SyncContext) -> int:
        begun.set()
        while ctx.interruption is None:
            time.sleep(0.001)
        return 1

    task = Queue("executor").task(retry=RETRIED)(handler)

    async def report(progress: Any) -> None: ...

    context = SyncContext(ReservedJob("0" * 26, task.name, b"{}", 1, 0, 0, None), report)
    running = asyncio.create_task(execute(task, context.job, context, anyio.CapacityLimiter(1)))
    await asyncio.to_thread(begun.wait)
    context.interruption = JobCancelled("0" * 26)
    running.cancel()
    assert await running == Completed(b"1")


async def test_only_a_job_that_failed_is_logged_as_failed(caplog: pytest.LogCaptureFixture) -> None:
    def handler(ctx: SyncContext, reason: str) -> None:
        ctx.interruption = {"stop": WorkerStopped, "cancel": JobCancelled}.get(reason, LeaseLost)(ctx.job_id)
        ctx.check()

    for reason in ("stop", "cancel", "lost"):
        await outcome(handler, reason=reason)
    assert "job failed" not in caplog.text


class Panic(BaseException):
    """What extensions raise that think of nobody else."""


def panic() -> None:
    raise Panic("the end")


async def panic_async() -> None:
    raise Panic("the end")


async def cancel_many() -> None:
    raise BaseExceptionGroup("all", [asyncio.CancelledError()])


async def confuse() -> None:
    error: Any = TemporaryError("soon")
    error.retry_after = "9"
    raise error


@pytest.mark.parametrize("handler", [panic, panic_async, cancel_many, confuse])
async def test_whatever_a_handler_raises_its_job_has_failed(handler: Callable[..., Any]) -> None:
    assert isinstance(await outcome(handler), Failed)


async def test_a_handler_that_cancels_itself_has_failed() -> None:
    async def handler() -> None:
        raise asyncio.CancelledError

    assert isinstance(await outcome(handler), Failed)


async def test_a_cancellation_from_outside_passes_through() -> None:
    async def handler() -> None:
        await anyio.sleep(60)

    with anyio.move_on_after(0.01) as scope:
        await outcome(handler)
    assert scope.cancelled_caught


def test_a_long_message_keeps_both_its_ends() -> None:
    text = "begin" + "x" * 100_000 + "end"
    message = describe(ValueError(text)).message
    assert message.startswith("begin")
    assert message.endswith("end")
    assert len(message) < TEXT_LIMIT + 10


def test_a_message_that_utf_8_cannot_say_is_stored_all_the_same() -> None:
    assert orjson.loads(describe(ValueError("\udcff")).dump())["message"] == "\\udcff"
