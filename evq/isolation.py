"""Attempts in a process of their own: of what blocks Python, is not to be trusted, or is suspected of killing workers.

Each attempt starts a Python that imports the queue's module anew (a quarter of a second, and what the module takes). It
is given the job as a line of JSON, and says a line for each progress and each log record, and the outcome last. It is
the leader of a process group, which is ended with the attempt, and ends by itself when the worker does (Linux).
"""

import asyncio
import contextlib
import fcntl
import importlib
import logging
import os
import resource
import select
import signal
import sys
from collections.abc import Coroutine
from functools import lru_cache
from logging.handlers import QueueHandler
from typing import Any, BinaryIO, NoReturn, cast

import anyio.to_thread
import msgspec
import orjson
import psutil

from evq.context import Context, Report, SyncContext
from evq.errors import UsageError
from evq.executor import (
    RESULT_LIMIT,
    Backoff,
    Completed,
    Crashed,
    Failed,
    Outcome,
    Snoozed,
    call,
    conclude,
    decode,
    describe,
    encode,
    execute,
)
from evq.job import JobError, JobProgress, ReservedJob
from evq.place import load_queue
from evq.queue import Queue
from evq.task import Task

log = logging.getLogger("evq.isolation")

PROGRAM = "from evq.isolation import serve; serve()"


def isolates(task: Task) -> bool:
    """Tell whether another process can import *task*: whether it and its queue are in modules, not in the program."""
    return task.handler.__module__ not in _PROGRAM_MODULES and _place(task.queue) is not None


def check_isolation(queue: Queue) -> None:
    """Raise `UsageError` if a task is to run in processes of its own and cannot."""
    for task in queue.tasks.values():
        if task.isolation and not isolates(task):
            raise UsageError(
                f"task {task.name}: isolation='process' needs to import the task: "
                "move it and its queue from the program into a module, where the queue has a name"
            )


_PROGRAM_MODULES = ("__main__", "__mp_main__")


@lru_cache(maxsize=16)
def _place(queue: Queue) -> str | None:
    """Find where *queue* can be imported, `module:attribute`."""
    for name, module in list(sys.modules.items()):
        if name not in _PROGRAM_MODULES:
            for attribute, value in list(getattr(module, "__dict__", {}).items()):
                if value is queue:
                    return f"{name}:{attribute}"
    return None


def run_attempt(
    task: Task, job: ReservedJob, context: Context | SyncContext, limiter: anyio.CapacityLimiter
) -> Coroutine[Any, Any, Outcome | None]:
    """Run *job*'s handler as `execute` does; in a process of its own, if its task or its past asks for one."""
    if task.isolation or job.isolated:
        return conclude(task, job, context, _run_apart(task, job, context.report))
    return execute(task, job, context, limiter)


async def _run_apart(task: Task, job: ReservedJob, report: Report) -> Outcome | None:
    """Run the handler in a new process; whatever happens, none is left of its group."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        PROGRAM,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
        limit=16 * RESULT_LIMIT,
    )
    stdin = cast("asyncio.StreamWriter", process.stdin)
    try:
        stdin.write(_request(task, job))
        outcome = await _follow(cast("asyncio.StreamReader", process.stdout), report)
        if isinstance(outcome, Crashed):
            extra = {"job": job.id, "task": task.name, "attempt": job.attempt, "exit_code": await process.wait()}
            log.warning("the process of an attempt died", extra=extra)
        return outcome
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        stdin.close()
        await process.wait()


def _request(task: Task, job: ReservedJob) -> bytes:
    request = {
        "path": sys.path,
        "queue": _place(task.queue),
        "module": task.handler.__module__,
        "log_level": logging.getLogger().level,
        "job": msgspec.structs.asdict(job),
    }
    return orjson.dumps(request, default=bytes.decode) + b"\n"


async def _follow(lines: asyncio.StreamReader, report: Report) -> Outcome | None:
    """Pass on what the attempt says, and return its outcome."""
    while (line := await lines.readline()).endswith(b"\n"):  # one without an end was cut off
        word, _, body = line.partition(b" ")
        match word:
            case b"progress":
                await report(JobProgress.load(body))
            case b"log":
                await report(orjson.loads(body))
            case b"record":
                record = logging.makeLogRecord(orjson.loads(body))
                logger = logging.getLogger(record.name)
                if logger.isEnabledFor(record.levelno):
                    logger.handle(record)
            case _:
                return _read_outcome(word, body)
    return Crashed()


def _read_outcome(word: bytes, body: bytes) -> Outcome | None:
    fields = orjson.loads(body)
    match word:
        case b"Completed":
            return Completed(body[:-1])
        case b"Failed":
            return Failed(JobError(**fields["error"]))
        case b"Backoff":
            return Backoff(fields["delay_ms"], JobError(**fields["error"]))
        case b"Snoozed":
            return Snoozed(**fields)
    return None


# The process of an attempt


def serve() -> None:
    """Run one attempt: the program of the process that `run_attempt` starts."""
    request, out = _connect()
    root = logging.getLogger()
    root.setLevel(request["log_level"])
    root.addHandler(_Forward(cast("Any", out)))
    fields = request["job"]
    progress = fields["progress"] and JobProgress(**fields["progress"])
    job = ReservedJob(**fields | {"payload": fields["payload"].encode(), "progress": progress})
    try:
        task = _find_task(job.task, request)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a module may do anything
        _end(out, Failed(describe(error)))
    asyncio.run(_attempt(task, job, out))


def _connect() -> tuple[dict[str, Any], BinaryIO]:
    """Take the request from stdin, and stdout for the answers; a handler finds no input, and prints to stderr.

    After the request, the next thing to come from the worker is its end: then the kernel ends this process group by a
    signal, whatever its threads are doing.
    """
    lifeline, answers = os.dup(0), os.dup(1)
    os.dup2(os.open(os.devnull, os.O_RDWR), 0)
    os.dup2(2, 1)
    with os.fdopen(lifeline, "rb", closefd=False) as stream:
        line = stream.readline()
    if not line.endswith(b"\n"):  # the worker ended before it had asked for anything
        sys.exit(1)
    signal.signal(signal.SIGIO, signal.SIG_DFL)
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, -os.getpgrp())
    fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)
    if select.select([lifeline], [], [], 0)[0]:  # the worker ended before the signal was arranged
        sys.exit(1)
    # What a handler forks must not keep the pipes open.
    os.register_at_fork(after_in_child=lambda: [os.dup2(0, pipe) for pipe in (lifeline, answers)])
    return orjson.loads(line), os.fdopen(answers, "wb")


def _find_task(name: str, request: dict[str, Any]) -> Task:
    sys.path[:] = request["path"]
    queue = load_queue(request["queue"])
    importlib.import_module(request["module"])
    if name not in queue.tasks:
        raise UsageError(f"task {name} is not registered when {request['queue']} is imported: do it there")
    return queue.tasks[name]


class _Forward(QueueHandler):
    """Lets the worker log what is logged here; the queue is its pipe."""

    def enqueue(self, record: logging.LogRecord) -> None:
        _say(cast("BinaryIO", self.queue), "record", orjson.dumps(vars(record), default=str))


async def _attempt(task: Task, job: ReservedJob, out: BinaryIO) -> NoReturn:
    async def report(what: JobProgress | str) -> None:
        if isinstance(what, str):
            _say(out, "log", orjson.dumps(what))
        else:
            _say(out, "progress", what.dump())

    async def run() -> Completed:
        payload, limiter, limits = decode(task, job), anyio.CapacityLimiter(1), resource.getrlimit(resource.RLIMIT_AS)
        if task.memory:
            # In the thread that a plain handler is going to run in, since its stack counts too.
            await anyio.to_thread.run_sync(_limit_memory, task.memory, limiter=limiter)
        try:
            result = await call(task, payload, context, limiter)
        finally:
            resource.setrlimit(resource.RLIMIT_AS, limits)  # for the encoder dies where memory is short
        return Completed(encode(task, result))

    context = (Context if task.is_async else SyncContext)(job, report)
    _end(out, await conclude(task, job, context, run()))


def _limit_memory(more: int) -> None:
    """Let this process take so many bytes *more* of address space than its imports took."""
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (psutil.Process().memory_info().vms + more, hard))


def _end(out: BinaryIO, outcome: Outcome | None) -> NoReturn:
    body = outcome.result if isinstance(outcome, Completed) else msgspec.json.encode(outcome)
    sys.stdout.flush()
    _say(out, type(outcome).__name__, body)
    os._exit(0)  # nothing is run after it, since the worker ends this process group now


def _say(out: BinaryIO, word: str, body: bytes) -> None:
    out.write(b"%s %s\n" % (word.encode(), body))  # at once, as several threads may
    out.flush()
