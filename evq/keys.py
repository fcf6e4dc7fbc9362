"""Every Redis key of a queue, built here and nowhere else.

All keys of one queue share the hash tag `{queue}`, so that its scripts run on a Redis Cluster as they are. A script's
header lists the keys it needs by the names below; a name that ends in `_of` is a prefix, to which the script adds a
job's id, a task's name or a waiter's name.
"""

import re

from evq.errors import UsageError

KEYS: dict[str, tuple[str, str]] = {
    # name: (what follows `evq:{queue}:`, Redis type and content)
    "job_of": ("job:", "HASH   a job's record"),
    "waiting": ("waiting", "ZSET   job id -> priority and sequence"),
    "delayed": ("delayed", "ZSET   job id -> due time, ms"),
    "active": ("active", "ZSET   job id -> lease deadline, ms: the leases are the active set"),
    "parked_of": ("parked:", "ZSET   of one unknown task: job id -> priority and sequence"),
    "parked_tasks": ("parked-tasks", "SET    tasks with parked jobs"),
    "completed": ("completed", "ZSET   job id -> time of end, ms"),
    "failed": ("failed", "ZSET   job id -> time of end, ms"),
    "cancelled": ("cancelled", "ZSET   job id -> time of end, ms"),
    "ended": ("ended", "ZSET   job id -> ms before which no other worker runs its hooks"),
    "hooked_tasks": ("hooked-tasks", "SET    tasks whose ends have hooks"),
    "progress_of": ("progress:", "STRING a job's progress, JSON; kept 1 h after its end"),
    "waiters_of": ("waiters:", "SET    who waits for a job's result"),
    "waiter_of": ("waiter:", "LIST   ids of ended jobs that a waiter is to be told of"),
    "wake": ("wake", "LIST   tokens that idle workers sleep on; hints only"),
    "events": ("events", "STREAM hints that jobs have changed; always trimmed"),
    "counters": ("counters", "HASH   sequence, and jobs by outcome since the beginning"),
    "workers": ("workers", "ZSET   worker -> ms until which it counts as alive"),
}

_QUEUE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class QueueKeys:
    """The keys of one queue."""

    def __init__(self, queue: str) -> None:
        """Build the keys of *queue*; raise `UsageError` if that is no name for a queue."""
        if not _QUEUE_NAME.fullmatch(queue):
            raise UsageError(
                f"{queue!r} is no name for a queue: use 1 to 100 letters, digits, '.', '_' or '-', starting with a "
                "letter or digit"
            )
        self._keys = {name: f"evq:{{{queue}}}:{tail}".encode() for name, (tail, _) in KEYS.items()}

    def __getitem__(self, name: str) -> bytes:
        return self._keys[name]

    def of(self, name: str, suffix: str) -> bytes:
        return self._keys[name] + suffix.encode()
