"""The life of a job, as data.

Rule 1: what may follow what is written here and nowhere else. The header of every Lua script names its transitions, and
tests hold them, and the diagram in the docs, against this table.
Rule 2: nothing here does anything.

A *state* says where a job is kept; a *status* is what its user is told. "Delayed" and "parked" are properties of a
pending job, not statuses of their own.
"""

from enum import StrEnum


class JobStatus(StrEnum):
    """What a job's user is told."""

    PENDING = "pending"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        return self in (JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED)


class State(StrEnum):
    """Where a job is kept; the values are those in Redis."""

    WAITING = "waiting"
    DELAYED = "delayed"  # until its due time: scheduled, or backing off
    PARKED = "parked"  # until a worker comes that knows its task
    ACTIVE = "active"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def status(self) -> JobStatus:
        return _STATUS[self]


PENDING_STATES = (State.WAITING, State.DELAYED, State.PARKED)
"""Where a job can be taken out before it has run."""

END_STATES = (State.COMPLETED, State.FAILED, State.CANCELLED)
"""Where a job stays until it is forgotten."""

_STATUS = {
    State.WAITING: JobStatus.PENDING,
    State.DELAYED: JobStatus.PENDING,
    State.PARKED: JobStatus.PENDING,
    State.ACTIVE: JobStatus.PROCESSING,
    State.COMPLETED: JobStatus.COMPLETED,
    State.FAILED: JobStatus.FAILED,
    State.CANCELLED: JobStatus.CANCELLED,
}

NEW = "new"
GONE = "gone"

TRANSITIONS: dict[str, frozenset[tuple[str, str]]] = {
    verb: frozenset((before.strip(), after.strip()) for arrow in arrows for before, _, after in [arrow.partition("->")])
    for verb, arrows in {
        "enqueue": ["new -> waiting", "new -> delayed", *(f"{state} -> delayed" for state in PENDING_STATES)],
        "move": ["new -> waiting", "new -> delayed"],
        "fire": ["new -> waiting", *(f"{state} -> delayed" for state in PENDING_STATES)],
        "reserve": ["waiting -> active", "waiting -> parked", "parked -> waiting", "waiting -> failed"],
        "promote": ["delayed -> waiting"],
        "expire": [
            *(f"{state} -> failed" for state in PENDING_STATES),
            *(f"{state} -> gone" for state in END_STATES),
        ],
        "reclaim": ["active -> waiting", "active -> failed", "active -> cancelled"],
        "crash": ["active -> waiting", "active -> failed", "active -> cancelled"],
        "extend": ["active -> active"],
        "progress": ["active -> active"],
        "ack": ["active -> completed"],
        "backoff": ["active -> delayed", "active -> failed", "active -> cancelled"],
        "fail": ["active -> failed", "active -> cancelled"],
        "snooze": ["active -> waiting", "active -> delayed", "active -> failed", "active -> cancelled"],
        "cancel": ["waiting -> cancelled", "delayed -> cancelled", "parked -> cancelled", "active -> active"],
        "replay": ["failed -> waiting", "cancelled -> waiting"],
        "remove": [
            f"{state} -> gone" for state in ("waiting", "delayed", "parked", "completed", "failed", "cancelled")
        ],
        "purge": ["completed -> gone", "failed -> gone", "cancelled -> gone"],
    }.items()
}
