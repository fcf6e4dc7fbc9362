"""What is passed to evq is looked at where it is passed: what cannot be meant is refused by name."""

import inspect

from evq.errors import UsageError

CENTURY = 3_155_760_000.0
"""The longest time that anything takes, s."""


def check_name(name: str, value: str | None, *, optional: bool = False) -> None:
    """Raise `UsageError` unless *value* can be a name of the kind *name*."""
    if optional and value is None:
        return
    if not isinstance(value, str) or not 1 <= len(value) <= 200 or not value.isprintable():
        raise UsageError(f"{name}={value!r}: use 1 to 200 printable characters")


def check_kind(name: str, value: object, *kinds: type) -> None:
    """Raise `UsageError` unless *value* is of one of *kinds*; it is not shown, since it may be long, or secret."""
    if not isinstance(value, kinds):
        raise UsageError(f"{name}: use {' or '.join(kind.__name__ for kind in kinds)}, not {type(value).__name__}")


def is_async(function: object) -> bool:
    """Tell whether *function*, which may be an object that can be called, is written as `async def`."""
    return callable(function) and any(map(inspect.iscoroutinefunction, (function, function.__call__)))


def check_hook(name: str, hook: object) -> None:
    """Raise `UsageError` unless *hook* can be awaited; a plain function would fail, and be run, again and again."""
    if not is_async(hook):
        raise UsageError(f"{name}: a hook is awaited: write it as `async def`")


def check_number(name: str, value: object, *, least: float, what: str = "number") -> None:
    """Raise `UsageError` unless *value* is a number of at least *least*, and at most the seconds of a century."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= CENTURY:
        raise UsageError(f"{name}={value!r}: use a {what} from {least:g} to {CENTURY:g}")


def check_seconds(name: str, value: float | None, *, least: float = 0, optional: bool = False) -> None:
    """Raise `UsageError` unless *value* is a time in s of at least *least*, and at most a century."""
    if value is not None or not optional:
        check_number(name, value, least=least, what="number of seconds")


def check_whole(name: str, value: int, *, least: int) -> None:
    """Raise `UsageError` unless *value* is a whole number of at least *least*."""
    if type(value) is not int or value < least:
        raise UsageError(f"{name}={value!r}: use a whole number from {least}")
