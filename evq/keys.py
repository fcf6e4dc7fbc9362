"""Every Redis key of a queue, built here and nowhere else.

All keys of one queue share the hash tag `{queue}`, so that its scripts run on a Redis Cluster as they are; these are
given the prefix of all. A script's header lists the keys it needs by the names below; to a name that ends in `_of` the
script adds a job's id, a task's name or a waiter's name.
"""

import re

from evq.errors import UsageError

KEYS: dict[str, tuple[str, str]] = {
    # name: (what follows `evq:{queue}:`, Redis type and content)
    "records": ("records", "HASH   job id -> its record, MessagePack; see `lua/include/records.lua`"),
    "payloads": ("payloads", "HASH   job id -> a payload that is too large for the record, JSON"),
    "waiting": ("waiting", "ZSET   jobs of no group: job id -> priority and sequence"),
    "waiting_of": ("waiting:", "ZSET   jobs of one group: job id -> priority and sequence"),
    "group_names": ("group-names", "SET    groups of which jobs wait"),
    "groups": ("groups", "ZSET   groups of which a job may start now -> whose turn it is, the lowest first"),
    "group_of": ("group:", "HASH   a group's limits, and how many of its jobs are active"),
    "throttled": ("throttled", "ZSET   groups held back by their rate -> ms until which"),
    "limits": ("limits", "HASH   the queue's limits: paused, concurrency, rate"),
    "delayed": ("delayed", "ZSET   job id -> due time, ms"),
    "active": ("active", "ZSET   job id -> lease deadline, ms: the leases are the active set"),
    "deadlines": ("deadlines", "ZSET   job id -> ms by which it must have started, or ended"),
    "parked_of": ("parked:", "ZSET   of one unknown task: job id -> priority and sequence"),
    "parked_tasks": ("parked-tasks", "SET    tasks with parked jobs"),
    "completed": ("completed", "ZSET   job id -> time of end, ms"),
    "failed": ("failed", "ZSET   job id -> time of end, ms"),
    "cancelled": ("cancelled", "ZSET   job id -> time of end, ms"),
    "dedup_of": ("dedup:", "STRING the job that holds a dedup key"),
    # The names without "parts" were those of batches of another form, which nobody may take for these.
    "staging": (
        "staging-parts",
        "ZSET   large batch -> ms until which its producer may go on, or it is remembered",
    ),
    "marked": ("marked-parts", "ZSET   batch whose jobs are to be moved to the others -> time of its mark, ms"),
    "staged_of": ("parts:", "HASH   part of a batch, counted down to 1 -> its jobs as they came, MessagePack"),
    "ended": ("ended", "ZSET   job id, or id:failures of a retry -> ms before which no other worker runs its hooks"),
    "hooked_tasks": ("hooked-tasks", "SET    what hooks there are: task, a space, and the event"),
    "progress_of": ("progress:", "STRING a job's progress, JSON; kept 1 h after its end"),
    "log_of": ("log:", "LIST   a job's log, the last 1,000 lines"),
    "waiters_of": ("waiters:", "SET    who waits for a job's result"),
    "waiter_of": ("waiter:", "LIST   ids of ended jobs that a waiter is to be told of"),
    "wake": ("wake", "LIST   tokens that idle workers sleep on; hints only"),
    "events": ("events", "STREAM hints that jobs have changed; always trimmed"),
    "counters": (
        "counters",
        "HASH   sequence, turns, until when no lease is taken back, jobs by outcome",
    ),
    "schedules": ("schedules", "ZSET   schedule -> the next instant at which it fires, ms"),
    "schedule_specs": ("schedule-specs", "HASH   schedule -> what it enqueues and when, JSON"),
    "workers": ("workers", "ZSET   worker -> ms until which it counts as alive"),
    "worker_of": ("worker:", "STRING what a worker said of itself with its last heartbeat, JSON"),
    "pools": ("pools", "ZSET   worker pool -> ms until which it counts as alive"),
    "pool_capacity": ("pool-capacity", "HASH   worker pool -> how many workers it can run, and was started with"),
    "wanted": ("wanted", "STRING how many workers all pools together shall run"),
    "metrics_of": ("metrics:", "HASH   one minute's metrics; kept 48 h"),
    "alerts": ("alerts", "HASH   alert rule -> its state, JSON"),
    "alert_turn": ("alert-turn", "STRING held by the worker that has just evaluated the alert rules"),
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
        self.prefix = f"evq:{{{queue}}}:".encode()
        self._keys = {name: self.prefix + tail.encode() for name, (tail, _) in KEYS.items()}

    def __getitem__(self, name: str) -> bytes:
        return self._keys[name]

    def of(self, name: str, suffix: str) -> bytes:
        return self._keys[name] + suffix.encode()
