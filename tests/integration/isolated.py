"""A queue whose tasks run in processes of their own."""

import ctypes
import logging
import os
import subprocess
import sys
import time
from typing import Any, NoReturn

import anyio

from evq import Context, Queue, RetryPolicy, SyncContext, TemporaryError, ValidationError
from evq.errors import Retry, Snooze

queue = Queue("isolated", lease=1)

log = logging.getLogger(__name__)

ERRORS: dict[str, BaseException] = {
    "final": ValidationError("no"),
    "passing": TemporaryError("busy"),
    "later": Retry(after=7),
    "snoozed": Snooze(90),
    "exit": SystemExit("off"),
}


@queue.task(isolation="process")
async def where(ctx: Context) -> list[Any]:
    return [os.getpid(), ctx.job_id, ctx.attempt, ctx.fence]


@queue.task(isolation="process")
def steps(ctx: SyncContext) -> str:
    for percentage in (10, 50):
        ctx.progress(percentage, step="count")
    log.info("counted", extra={"count": 2})
    print("printed")
    return sys.stdin.read()


@queue.task(isolation="process", retry=RetryPolicy(jitter=0))
async def fail(error: str) -> NoReturn:
    raise ERRORS[error]


@queue.task(isolation="process", memory=128 << 20)
def allocate(size: int) -> int:
    return len("x" * size)


@queue.task(isolation="process")
def die(ctx: SyncContext) -> NoReturn:
    """Die by a signal, while a process forked from here lives on with all that is open here."""
    pid = os.fork()
    if pid == 0:
        time.sleep(60)
    ctx.progress(1, step=str(pid))
    os.abort()


@queue.task(isolation="process")
def leave(code: int) -> NoReturn:
    os._exit(code)


@queue.task(isolation="process", timeout=3, retry=RetryPolicy(attempts=1))
def hold_the_gil(ctx: SyncContext) -> None:
    """Let no other thread of this process run, with a program started before."""
    program = subprocess.Popen(["sleep", "61"])
    ctx.progress(1, step=f"{os.getpid()} {program.pid}")
    ctypes.PyDLL(None).sleep(62)


@queue.task(isolation="process")
async def nap(ctx: Context) -> None:
    await ctx.progress(1)
    await anyio.sleep(60)


@queue.task
async def here() -> int:
    return os.getpid()


@queue.task(retry=RetryPolicy(attempts=1))
def kill_the_worker() -> NoReturn:
    if "pytest" in sys.modules:
        raise RuntimeError("this runs in the worker")
    os.abort()
