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

TRANSITIONS: dict[str, frozenset[tuple[str, str]]] = {
    "enqueue": frozenset({(NEW, State.WAITING), (NEW, State.DELAYED)}),
    "reserve": frozenset(
        {
            (State.WAITING, State.ACTIVE),
            (State.PARKED, State.ACTIVE),
            (State.WAITING, State.PARKED),
        }
    ),
    "promote": frozenset({(State.DELAYED, State.WAITING)}),
    "reclaim": frozenset({(State.ACTIVE, State.WAITING), (State.ACTIVE, State.CANCELLED)}),
    "extend": frozenset({(State.ACTIVE, State.ACTIVE)}),
    "progress": frozenset({(State.ACTIVE, State.ACTIVE)}),
    "ack": frozenset({(State.ACTIVE, State.COMPLETED)}),
    "backoff": frozenset({(State.ACTIVE, State.DELAYED), (State.ACTIVE, State.CANCELLED)}),
    "fail": frozenset({(State.ACTIVE, State.FAILED), (State.ACTIVE, State.CANCELLED)}),
    "snooze": frozenset(
        {
            (State.ACTIVE, State.WAITING),
            (State.ACTIVE, State.DELAYED),
            (State.ACTIVE, State.CANCELLED),
        }
    ),
    "cancel": frozenset(
        {
            (State.WAITING, State.CANCELLED),
            (State.DELAYED, State.CANCELLED),
            (State.PARKED, State.CANCELLED),
            (State.ACTIVE, State.ACTIVE),
        }
    ),
    "replay": frozenset({(State.FAILED, State.WAITING), (State.CANCELLED, State.WAITING)}),
}
