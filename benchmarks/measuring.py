"""How everything is measured: side by side, in alternating rounds, after a warm-up."""

import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, Literal, TypeVar

Taken = TypeVar("Taken")

CASE_SECONDS: Final = 20.0
"""A case that has taken this long begins no further round, s."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How much is measured: *rounds* of each case, with *share* of its full load."""

    rounds: int
    share: float

    def of(self, load: int) -> int:
        """Return this share of a full load, at least 1."""
        return max(1, round(load * self.share))


FULL: Final = Effort(rounds=5, share=1.0)
QUICK: Final = Effort(rounds=1, share=0.02)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One subject's figures in one case; *n* is how many rounds they are of."""

    suite: str
    case: str
    subject: str
    unit: str
    better: Literal["higher", "lower"]
    median: float
    min: float
    max: float
    n: int


def alternate(
    subjects: Mapping[str, Callable[[], Taken]], rounds: int, *, warm_up: bool = True, seconds: float | None = None
) -> dict[str, list[Taken]]:
    """Run every subject once to warm up, then once a round, and return what each round took.

    After *seconds* (CASE_SECONDS) no further round begins.

    Every other round goes the other way, so that a machine that grows slower or faster favours nobody.
    """
    taken: dict[str, list[Taken]] = {name: [] for name in subjects}
    if warm_up:
        for measure in subjects.values():
            measure()
    give_up = time.monotonic() + (CASE_SECONDS if seconds is None else seconds)
    for number in range(rounds):
        if number and time.monotonic() > give_up:
            break
        for name in list(subjects)[:: 1 if number % 2 else -1]:
            taken[name].append(subjects[name]())
    return taken


def agree(case: str, answers: Mapping[str, object]) -> None:
    """Raise RuntimeError if the subjects of a case do not give the same answer."""
    if any(answer != next(iter(answers.values())) for answer in answers.values()):
        raise RuntimeError(f"{case}: the subjects do not do the same work, they answer {dict(answers)}.")


def rate(count: int, start: float) -> float:
    """Return how many a second *count* things are that have been done since *start*, of `time.perf_counter()`."""
    return count / (time.perf_counter() - start)


def compare_rates(
    suite: str, case: str, subjects: Mapping[str, Callable[[], int]], count: int, rounds: int
) -> list[Row]:
    """Let all subjects read *count* rows; raise RuntimeError if they do not return the same number.

    That is asked of a first reading, which also warms them up.
    """
    agree(case, {subject: read() for subject, read in subjects.items()})

    def speed(read: Callable[[], int]) -> float:
        start = time.perf_counter()
        read()
        return rate(count, start)

    turns = {subject: partial(speed, read) for subject, read in subjects.items()}
    taken = alternate(turns, rounds, warm_up=False)
    return figures(suite, case, taken, unit="rows/s", better="higher")


def figures(
    suite: str, case: str, taken: Mapping[str, Sequence[float]], *, unit: str, better: Literal["higher", "lower"]
) -> list[Row]:
    """Return a row for each subject of a case."""
    return [
        Row(
            suite=suite,
            case=case,
            subject=subject,
            unit=unit,
            better=better,
            median=statistics.median(values),
            min=min(values),
            max=max(values),
            n=len(values),
        )
        for subject, values in taken.items()
    ]


def ratios(rows: Iterable[Row]) -> list[tuple[Row, float]]:
    """Pair each row with its median divided by that of the last row of its case, which is the base."""
    rows = list(rows)
    bases = {(row.suite, row.case): row.median for row in rows}
    return [(row, row.median / bases[row.suite, row.case]) for row in rows]


def advantages(rows: Iterable[Row]) -> list[tuple[Row, float]]:
    """Pair each row with how many times better evq is in its case, whichever way is better: above 1 evq is ahead."""
    rows = list(rows)
    ours = {(row.suite, row.case): row.median for row in rows if row.subject == "evq"}
    paired = []
    for row in rows:
        ratio = ours[row.suite, row.case] / row.median
        paired.append((row, ratio if row.better == "higher" else 1 / ratio))
    return paired
