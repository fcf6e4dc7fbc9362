"""The five steps of an import, as its progress shows them."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from evq import SyncContext

STEPS: Final = ("parse", "validate", "save", "tokens", "emails")
MILESTONES: Final = (0, 25, 50, 75, 90, 100)
PERIOD: Final = 0.1
"""The least time between two reports within a step, s."""

OnProgress = Callable[[float], None]
"""Is given the fraction of a step that is done, 0 to 1; raises when the import should stop."""


@contextmanager
def step(context: SyncContext, name: str) -> Iterator[OnProgress]:
    """Report the beginning of a step, its progress now and then, and its end."""
    number = STEPS.index(name)
    low, high = MILESTONES[number], MILESTONES[number + 1]
    reported = time.monotonic()

    def report(percentage: float, completed: int) -> None:
        context.progress(percentage, step=name, total_steps=len(STEPS), completed_steps=completed)

    def on_progress(fraction: float) -> None:
        nonlocal reported
        context.check()
        # The end is the milestone's to report: by then the step counts as completed.
        if fraction < 1 and (now := time.monotonic()) - reported >= PERIOD:
            reported = now
            report(low + (high - low) * fraction, number)

    report(low, number)
    yield on_progress
    report(high, number + 1)
