"""How much goes into one transaction: so much that it is worth its commit, and nobody waits for it."""

from typing import Final

TARGET: Final = 0.06
"""How long a transaction should take, s; whoever wants to write waits for it, as a check-in does."""
LEAST: Final = 2_000
"""Rows of the first transaction, and of any: fewer touch nearly as many pages, which the commit has to write."""
MOST: Final = 10_000


class Pace:
    """The number of rows for the next transaction, going by how long the last one took."""

    def __init__(self) -> None:
        self._rows = min(LEAST, MOST)

    def next(self) -> int:
        return self._rows

    def took(self, rows: int, seconds: float) -> None:
        """Note that *rows* took *seconds*: the next transaction takes as many as fit, and at most twice as many.

        One that was small because no more was left tells something only if it was slow all the same.
        """
        if rows >= self._rows or seconds > TARGET:
            fitting = int(rows * TARGET / max(seconds, 1e-6))
            self._rows = min(max(fitting, LEAST), 2 * self._rows, MOST)
