"""Values: a job's record, its progress, and what a worker holds of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import orjson

from evq.errors import PayloadError, UsageError
from evq.ids import is_id, new_id
from evq.lifecycle import JobStatus, State

PRIORITY = 2048
"""The priority of a job unless told otherwise: the middle of 0 to 4095."""
PAYLOAD_LIMIT = 1 << 20
"""The largest payload, bytes of JSON; put larger things elsewhere and pass their address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobProgress:
    """How far a job is."""

    percentage: float
    """0 to 100; never goes back, not even when a job is tried again."""
    current_step: str = ""
    total_steps: int = 1
    completed_steps: int = 0
    estimated_time_remaining: float | None = None
    """s, measured over the attempt, within which it does not rise; None while there is too little to measure."""

    def to_wire(self) -> dict[str, Any]:
        """Return the fields by their names in JSON."""
        return {
            "percentage": self.percentage,
            "currentStep": self.current_step,
            "totalSteps": self.total_steps,
            "completedSteps": self.completed_steps,
            "estimatedTimeRemaining": self.estimated_time_remaining,
        }

    def dump(self) -> bytes:
        return orjson.dumps(self.to_wire())

    @classmethod
    def load(cls, text: bytes) -> Self:
        """Read what `dump` wrote."""
        wire = orjson.loads(text)
        return cls(
            percentage=wire["percentage"],
            current_step=wire["currentStep"],
            total_steps=wire["totalSteps"],
            completed_steps=wire["completedSteps"],
            estimated_time_remaining=wire["estimatedTimeRemaining"],
        )


@dataclass(frozen=True, slots=True)
class JobError:
    """What the last failed attempt of a job raised."""

    type: str
    message: str
    traceback: str

    def dump(self) -> bytes:
        return orjson.dumps({"type": self.type, "message": self.message, "traceback": self.traceback})


@dataclass(frozen=True, slots=True, kw_only=True)
class NewJob:
    """A job that is not enqueued yet."""

    task: str
    payload: bytes
    """JSON."""
    id: str = field(default_factory=new_id)
    priority: int = PRIORITY
    delay_ms: int = 0
    at_ms: int = 0
    hooked: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot be a job, by name."""
        if not is_id(self.id):
            raise UsageError(f"id={self.id!r}: use an id made by evq.ids.new_id()")
        if not 0 <= self.priority <= 4095:
            raise UsageError(f"priority={self.priority}: use 0 (the most urgent) to 4095")
        if self.delay_ms < 0:
            raise UsageError(f"delay={self.delay_ms / 1000}: a delay cannot be negative")
        if len(self.payload) > PAYLOAD_LIMIT:
            raise PayloadError(
                f"task {self.task}: the payload has {len(self.payload)} bytes and the limit is {PAYLOAD_LIMIT}; "
                "store the data elsewhere and pass where it is"
            )


def dump_payload(task: str, payload: Mapping[str, Any]) -> bytes:
    """Encode a payload; raise `PayloadError` if it is not JSON."""
    try:
        return orjson.dumps(payload)
    except TypeError as error:
        raise PayloadError(f"task {task}: the payload is not JSON: {error}") from error


@dataclass(frozen=True, slots=True)
class ReservedJob:
    """A job that this worker has leased."""

    id: str
    task: str
    payload: bytes
    fence: int
    failures: int
    created_ms: int
    progress: JobProgress | None

    @property
    def attempt(self) -> int:
        return self.failures + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What Redis holds of a job at one moment."""

    id: str
    task: str
    state: State
    payload: dict[str, Any]
    priority: int
    seq: int
    """Grows with every change."""
    failures: int
    """Failed attempts so far."""
    crashes: int
    """How often the job was taken back from a worker that was lost."""
    fence: int
    worker: str | None
    created_ms: int
    due_ms: int | None
    started_ms: int | None
    ended_ms: int | None
    cancel_requested: bool
    progress: JobProgress | None
    result: Any
    error: JobError | None

    @property
    def status(self) -> JobStatus:
        return self.state.status

    @classmethod
    def load(cls, job_id: str, fields: Mapping[bytes, bytes], progress: bytes | None) -> Self:
        """Read a job's record and progress as Redis holds them."""

        def number(name: bytes) -> int | None:
            return int(fields[name]) if name in fields else None

        error, result, worker = fields.get(b"error"), fields.get(b"result"), fields.get(b"worker")
        return cls(
            id=job_id,
            task=fields[b"task"].decode(),
            state=State(fields[b"state"].decode()),
            payload=orjson.loads(fields[b"payload"]),
            priority=int(fields[b"priority"]),
            seq=number(b"seq") or 0,
            failures=number(b"failures") or 0,
            crashes=number(b"crashes") or 0,
            fence=number(b"fence") or 0,
            worker=worker.decode() if worker else None,
            created_ms=int(fields[b"created"]),
            due_ms=number(b"due"),
            started_ms=number(b"started"),
            ended_ms=number(b"ended"),
            cancel_requested=b"cancel" in fields,
            progress=JobProgress.load(progress) if progress else None,
            result=orjson.loads(result) if result else None,
            error=JobError(**orjson.loads(error)) if error else None,
        )
