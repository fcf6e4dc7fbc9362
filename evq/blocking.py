"""Call evq from code that cannot await, through one event loop in a background thread."""

import asyncio
import atexit
import functools
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from threading import Lock
from typing import ParamSpec, TypeVar

from anyio.from_thread import BlockingPortal, start_blocking_portal

from evq.errors import UsageError

P = ParamSpec("P")
T = TypeVar("T")

_lock = Lock()
_stack = ExitStack()
_portal: BlockingPortal | None = None


def blocking(function: Callable[P, Awaitable[T]]) -> Callable[P, T]:
    """Make an async function one that waits for its result, as in `blocking(send.enqueue)(to="a@example.org")`.

    Raise `UsageError` when called where one can await, since that would block the event loop.
    """

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return _start().call(functools.partial(function, *args, **kwargs))
        raise UsageError(f"{function.__name__} can be awaited here: leave blocking() out")

    return call


def _start() -> BlockingPortal:
    global _portal  # noqa: PLW0603 - one event loop a process is the point
    with _lock:
        if _portal is None:
            _portal = _stack.enter_context(start_blocking_portal())
            atexit.register(_stack.close)
        return _portal
