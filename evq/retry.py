"""When to try a failed job again, and after how long: pure functions over an error and a number of attempts."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from evq.checks import check_kind, check_number, check_seconds, check_whole
from evq.errors import NetworkError, QueueFull, QueueUnavailable, Retry, TaskError, TemporaryError, UsageError

NETWORK_DELAY = 5.0
"""The base delay after a `NetworkError`, s."""
LONGEST = 365 * 86_400.0
"""No delay is longer than this, whatever was asked for, s."""
MOST_DOUBLINGS = 64
"""Beyond any `max_delay`, and within what a float can hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often a task is tried, and how long it waits in between.

    Four kinds of failure are tried again: a `Retry` when it says, a `TemporaryError` with the policy's own `delay` as
    base, a `NetworkError` from 5 s, and what counts as the latter: Python's connection and timeout errors, and a queue
    that cannot be reached or is full. Every other error ends the job.
    `on` adds to these, or takes away: it maps an error class to its base delay in seconds, or to None for "never".
    The class nearest to the error's own decides; a group of errors is tried again if each of them would be.
    """

    attempts: int = 3
    """How often a job is run at the most, the first time included."""
    backoff: Literal["fixed", "exponential"] = "exponential"
    """`exponential` doubles the base delay with each attempt, `fixed` keeps it."""
    delay: float = 2.0
    """The base delay, s."""
    max_delay: float = 3600.0
    """No delay is longer, s; jitter comes on top."""
    jitter: float = 0.1
    """The greatest part of the delay that is added to it at random; nothing is ever taken away."""
    on: Mapping[type[BaseException], float | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what cannot be meant, by name."""
        check_whole("attempts", self.attempts, least=1)
        if self.backoff not in ("fixed", "exponential"):
            raise UsageError(f"backoff={self.backoff!r}: use 'fixed' or 'exponential'")
        check_seconds("delay", self.delay)
        check_seconds("max_delay", self.max_delay)
        check_number("jitter", self.jitter, least=0)
        check_kind("on", self.on, Mapping)
        for kind, delay in self.on.items():
            if not (isinstance(kind, type) and issubclass(kind, BaseException)):
                raise UsageError(f"on={{{kind!r}: ...}}: use classes of errors")
            check_seconds(f"on {kind.__name__}", delay, optional=True)

    def base_delay(self, error: BaseException) -> float | None:
        """Return the base delay after *error*, s, or None if it is never retried."""
        table: dict[type[BaseException], float | None] = {
            Retry: 0.0,
            TemporaryError: self.delay,
            NetworkError: NETWORK_DELAY,
            ConnectionError: NETWORK_DELAY,
            TimeoutError: NETWORK_DELAY,
            QueueUnavailable: NETWORK_DELAY,
            QueueFull: NETWORK_DELAY,
            **self.on,
        }
        return next((table[kind] for kind in type(error).__mro__ if kind in table), None)

    def next_delay(
        self, error: BaseException, attempt: int, *, uniform: Callable[[float, float], float] = random.uniform
    ) -> float | None:
        """Return how long to wait after failed *attempt* (1, 2, ...), s, or None if the job has failed for good.

        That is base x 2^(attempt - 1), at most `max_delay`, plus up to `jitter` of it; never less than what the error
        asked for as `retry_after`. After a group of errors it is the longest of their delays.
        """
        if isinstance(error, BaseExceptionGroup):
            delays = [self.next_delay(each, attempt, uniform=uniform) for each in error.exceptions]
            known = [delay for delay in delays if delay is not None]
            return max(known) if known == delays else None
        base = self.base_delay(error)
        if base is None or attempt >= self.attempts:
            return None
        growth = 2.0 ** min(attempt - 1, MOST_DOUBLINGS) if self.backoff == "exponential" else 1.0
        delay = min(base * growth, self.max_delay)
        asked = error.retry_after if isinstance(error, TaskError) else None
        return min(max(delay, asked or 0.0) * (1 + uniform(0.0, self.jitter)), LONGEST)
