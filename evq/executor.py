"""Run one reserved job to its outcome. No Redis in here."""

import asyncio
import logging
import traceback
from collections.abc import Awaitable, Coroutine
from typing import Any

import anyio.to_thread
import msgspec
import orjson

from evq.context import Context, SyncContext
from evq.errors import EvqError, JobCancelled, LeaseLost, PayloadError, Snooze, ValidationError, WorkerStopped
from evq.job import JobError, ReservedJob
from evq.retry import LONGEST
from evq.task import Handler, Task

log = logging.getLogger("evq.executor")

PATIENCE = 2.0
"""How long an interrupted thread has to notice it, s."""
RESULT_LIMIT = 1 << 20
"""The largest result, bytes of JSON."""
TEXT_LIMIT = 20_000
"""The longest error message, and traceback, characters."""


class Completed(msgspec.Struct, frozen=True):
    result: bytes
    """JSON."""


class Backoff(msgspec.Struct, frozen=True):
    """To be tried again."""

    delay_ms: int
    error: JobError


class Failed(msgspec.Struct, frozen=True):
    error: JobError


class Snoozed(msgspec.Struct, frozen=True):
    """Handed back without counting an attempt."""

    delay_ms: int = 0


class Crashed(msgspec.Struct, frozen=True):
    """The process that the attempt had for itself has died."""


Outcome = Completed | Backoff | Failed | Snoozed | Crashed


def execute(
    task: Task, job: ReservedJob, context: Context | SyncContext, limiter: anyio.CapacityLimiter
) -> Coroutine[Any, Any, Outcome | None]:
    """Run *job*'s handler here and say what came of it, or nothing if its lease was lost.

    A handler that ends well has ended well, even if it was interrupted meanwhile.
    """
    return conclude(task, job, context, _complete(task, job, context, limiter))


async def _complete(
    task: Task, job: ReservedJob, context: Context | SyncContext, limiter: anyio.CapacityLimiter
) -> Completed:
    return Completed(encode(task, await call(task, decode(task, job), context, limiter)))


async def conclude(
    task: Task, job: ReservedJob, context: Context | SyncContext, attempt: Awaitable[Outcome | None]
) -> Outcome | None:
    """Await the outcome of an *attempt*, wherever it runs; tell what comes of it if it raises instead."""
    try:
        return await attempt
    except (KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as raised:  # noqa: BLE001 - its outcome, whatever it is
        error = context.interruption or raised  # why it had to stop says more than what it raised then
    try:
        return _outcome(task, job, error, context.interruption)
    except Exception as broken:
        log.exception("an error cannot be judged, so its job has failed", extra={"job": job.id, "task": task.name})
        return Failed(describe(broken))


def _outcome(task: Task, job: ReservedJob, error: BaseException, interruption: EvqError | None) -> Outcome | None:
    """Tell what comes of an attempt that raised; raise if it was this very task that was cancelled."""
    match error:
        case LeaseLost():
            return None
        case WorkerStopped():
            return Snoozed()
        case Snooze(delay=delay):
            return Snoozed(round(min(max(0.0, delay), LONGEST) * 1000))
        case JobCancelled() if error is interruption:  # else it is another job's, whose result was awaited
            log.info("attempt cancelled", extra={"job": job.id, "task": task.name, "attempt": job.attempt})
            return Failed(describe(error))
        case asyncio.CancelledError() if _cancelled_from_outside():
            raise error
        case _:
            return judge(task, job, error)


def _cancelled_from_outside() -> bool:
    """Tell the cancellation of this very task from a handler that merely raises `CancelledError`."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def decode(task: Task, job: ReservedJob) -> dict[str, Any]:
    """Decode a job's payload; raise `ValidationError` if the handler cannot take it."""
    payload = orjson.loads(job.payload)
    try:
        task.bind(payload)
    except PayloadError as error:
        raise ValidationError(str(error)) from error
    return dict(payload)


async def call(
    task: Task, payload: dict[str, Any], context: Context | SyncContext, limiter: anyio.CapacityLimiter
) -> Any:
    """Call the handler: a coroutine function here, a plain one in a thread."""
    if task.context_name:
        payload[task.context_name] = context
    if task.is_async:
        return await task.handler(**payload)
    thread = asyncio.ensure_future(
        anyio.to_thread.run_sync(lambda: _catch(task.handler, payload), abandon_on_cancel=True, limiter=limiter)
    )
    try:
        result, error = await asyncio.shield(thread)
    except asyncio.CancelledError:
        # A thread cannot be stopped, but its next `ctx.check()` or `ctx.progress()` raises. One that does neither is
        # left behind; its fence keeps it from doing harm.
        await asyncio.wait([thread], timeout=PATIENCE)
        if thread.done() and thread.result()[1] is None:
            return thread.result()[0]
        thread.cancel()
        raise
    if error is not None:
        raise error
    return result


def _catch(handler: Handler, payload: dict[str, Any]) -> tuple[Any, BaseException | None]:
    """Call *handler*; return its error, since a `SystemExit` raised in a task would end the worker's loop."""
    try:
        return handler(**payload), None
    except BaseException as error:  # noqa: BLE001 - it is raised again where it is judged
        return None, error


def encode(task: Task, result: Any) -> bytes:
    """Encode a handler's result; raise `ValidationError` if it is not JSON, or too large."""
    try:
        encoded = orjson.dumps(result)
    except TypeError as error:
        raise ValidationError(f"task {task.name} returned what is not JSON: {error}") from error
    if len(encoded) > RESULT_LIMIT:
        raise ValidationError(
            f"task {task.name}: the result has {len(encoded)} bytes and the limit is {RESULT_LIMIT}; "
            "store the data elsewhere and return where it is"
        )
    return encoded


def judge(task: Task, job: ReservedJob, error: BaseException) -> Backoff | Failed:
    """Decide by the task's policy whether a failed attempt is followed by another."""
    described = describe(error)
    delay = task.retry.next_delay(error, job.attempt)
    extra = {"job": job.id, "task": task.name, "attempt": job.attempt, "error": described.type}
    if delay is None:
        log.warning("job failed", extra=extra)
        return Failed(described)
    log.info("attempt failed", extra=extra | {"retry_in_s": round(delay, 3)})
    return Backoff(round(delay * 1000), described)


def describe(error: BaseException) -> JobError:
    """Put an error in words that can be stored, whatever is in it."""
    lines = traceback.format_exception(error)
    try:
        message = str(error)
    except Exception:  # noqa: BLE001 - a handler's class may do anything
        message = lines[-1].strip()
    return JobError(type(error).__name__, _storable(message), _storable("".join(lines)))


def _storable(text: str) -> str:
    """Keep both ends of a long text, and nothing that UTF-8 cannot say."""
    if len(text) > TEXT_LIMIT:
        text = f"{text[: TEXT_LIMIT // 2]} [...] {text[-TEXT_LIMIT // 2 :]}"
    return text.encode("utf-8", "backslashreplace").decode()
