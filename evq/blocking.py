"""Call evq from code that cannot await, through one event loop in a background thread."""

import asyncio
import atexit
import functools
import os
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from threading import Lock, Thread
from typing import ParamSpec, TypeVar

import anyio
from anyio.from_thread import BlockingPortal

from evq.errors import UsageError

P = ParamSpec("P")
T = TypeVar("T")


def blocking(function: Callable[P, Awaitable[T]]) -> Callable[P, T]:
    """Make an async function one that waits for its result, as in `blocking(send.enqueue)(to="a@example.org")`.

    Raise `UsageError` if it is no function, or when called where one can await, since that would block the event loop.
    """
    if not callable(function):
        raise UsageError(f"blocking({function!r}): pass an async function, and call what comes of it")

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        if _can_await():
            raise UsageError(f"{function.__name__} can be awaited here: leave blocking() out")
        return _background.portal().call(functools.partial(function, *args, **kwargs))

    return call


def _can_await() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


class _Background:
    """The event loop and its thread, started when first needed."""

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        self._lock = Lock()
        self._portal: BlockingPortal | None = None

    def portal(self) -> BlockingPortal:
        with self._lock:
            if self._portal is None:
                ready: Future[BlockingPortal] = Future()
                self._thread = Thread(target=anyio.run, args=(_serve, ready), name="evq-blocking", daemon=True)
                self._thread.start()
                self._portal = ready.result()
            return self._portal

    def stop(self) -> None:
        if self._portal is not None:
            self._portal.call(self._portal.stop, True)  # and cancel what still runs
            self._thread.join()


async def _serve(ready: Future[BlockingPortal]) -> None:
    async with BlockingPortal() as portal:
        ready.set_result(portal)
        await portal.sleep_until_stopped()


_background = _Background()
atexit.register(_background.stop)
os.register_at_fork(after_in_child=_background.restart)  # threads stay with the parent
