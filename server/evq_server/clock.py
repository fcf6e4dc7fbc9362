"""The time, for what people read; nothing is decided by it."""

import time


def now_ms() -> int:
    """Return the ms since the epoch."""
    return time.time_ns() // 1_000_000
