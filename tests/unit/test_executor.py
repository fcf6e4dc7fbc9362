"""Running a handler to its outcome, without a Redis."""

import time
from collections.abc import Callable
from typing import Any

import anyio
import orjson
import pytest

from evq import Context, JobProgress, LeaseLost, Queue, RetryPolicy, SyncContext, TemporaryError
from evq.executor import TEXT_LIMIT, Completed, Failed, Outcome, Retry, describe, execute
from evq.job import ReservedJob

pytestmark = pytest.mark.anyio

RETRIED = RetryPolicy(attempts=2, delay=2.0, jitter=0)


async def outcome(handler: Callable[..., Any], *, failures: int = 0, **payload: Any) -> Outcome:
    task = Queue("executor").task(retry=RETRIED)(handler)

    async def report(progress: JobProgress) -> None: ...

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
    assert isinstance(first, Retry)
    assert first.delay_ms == 2000
    assert isinstance(await outcome(handler, failures=1), Failed)


@pytest.mark.parametrize("payload", [b"[]", b"1", b"{", b'{"b": 1}'])
async def test_a_payload_that_cannot_be_passed_fails(payload: bytes) -> None:
    async def handler(a: int) -> None: ...

    task = Queue("executor").task(handler)
    job = ReservedJob("0" * 26, "handler", payload, 1, 0, 0, None)

    async def report(progress: JobProgress) -> None: ...

    assert isinstance(await execute(task, job, Context(job, report), anyio.CapacityLimiter(1)), Failed)


async def test_a_lost_lease_is_no_outcome() -> None:
    async def handler() -> None:
        raise LeaseLost("0" * 26)

    with pytest.raises(LeaseLost):
        await outcome(handler)


async def test_a_cancellation_passes_through() -> None:
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
