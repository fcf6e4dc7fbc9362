"""Job ids: made by the client, time-ordered, of fixed width.

The layout is a ULID's (https://github.com/ulid/spec): 10 characters of milliseconds, then 16 that tell ids of the same
millisecond apart, in Crockford's base32. Of those, 11 are drawn once a process and 5 count, so that ids made by one
process sort in the order in which they were made, and making one costs no system call.
"""

import os
import re
import secrets
import time
from itertools import product
from threading import Lock

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
WIDTH = 26

_PAIRS = ["".join(pair) for pair in product(ALPHABET, repeat=2)]
_COUNTS = 32**5
_ID = re.compile(f"[{ALPHABET}]{{26}}")


def _encode(ms: int) -> str:
    return "".join([_PAIRS[ms >> shift & 0x3FF] for shift in (40, 30, 20, 10, 0)])


class _Generator:
    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        self._lock = Lock()
        self._process = "".join(secrets.choice(ALPHABET) for _ in range(11))
        self._ms = 0
        self._start = ""  # of the ids of this millisecond
        self._count = 0

    def new(self) -> str:
        """Make a job id: 26 characters, unique, and greater than every id this process made before."""
        now = time.time_ns() // 1_000_000
        with self._lock:
            self._count += 1
            if now > self._ms or self._count == _COUNTS:
                # A clock that was set back changes nothing; a full millisecond borrows the next one.
                self._ms = max(now, self._ms + 1)
                self._start = _encode(self._ms) + self._process
                self._count = 0
            count = self._count
            return self._start + ALPHABET[count >> 20] + _PAIRS[count >> 10 & 0x3FF] + _PAIRS[count & 0x3FF]


_generator = _Generator()
os.register_at_fork(after_in_child=_generator.restart)  # a child must not repeat its parent's ids
new_id = _generator.new


def is_id(text: object) -> bool:
    """Tell whether *text* has the form of a job id."""
    return isinstance(text, str) and _ID.fullmatch(text) is not None
