"""Values: a job's record, its progress, and what a worker holds of it."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from typing import Any, Final, Literal, Self, get_args

import msgspec
import orjson

from evq.checks import check_kind, check_name, check_seconds
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


Dedup = Literal["reject", "existing", "replace", "debounce"]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobOptions:
    """When, where and how urgently a job is run. Raise `UsageError` by name for what cannot be."""

    delay: float = 0.0
    """s from now."""
    at: datetime | None = None
    """Not before this moment; it must have a time zone."""
    priority: int = PRIORITY
    """0 to 4095, lower first."""
    front: bool = False
    """Before the others of its priority, instead of behind them; with neither `delay` nor `at`."""
    id: str | None = None
    """An id made by `evq.ids.new_id()`: enqueuing it twice makes one job."""
    group: str | None = None
    """Groups take turns; see `Queue.limit`."""
    dedup_key: str | None = None
    """Held by the job until it ends: of one key there is one pending job at a time."""
    dedup_ttl: float | None = None
    """The key is given up after so long, s, even if the job has not ended."""
    dedup: Dedup = "existing"
    """What a new job does if its key is held: `reject` raises `DuplicateJob`, `existing` gives the job that has it,
    `replace` puts the new payload into that job, `debounce` also starts its times anew. The latter two leave a running
    job alone, and make a new one beside it; onto a job of another task they raise `DuplicateJob`."""
    expires: float | None = None
    """s from now: a job that has not started by then fails."""
    deadline: float | None = None
    """s from now: a job that has not ended by then, whatever its attempts, fails."""
    _wire: dict[str, Any] = field(init=False, repr=False, compare=False)
    _text: bytes = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Refuse what cannot be meant, by name."""
        check_seconds("delay", self.delay)
        for name in ("dedup_ttl", "expires", "deadline"):
            check_seconds(name, getattr(self, name), least=0.001, optional=True)
        if self.at is not None and (not isinstance(self.at, datetime) or self.at.tzinfo is None):
            raise UsageError(f"at={self.at!r}: use a moment with a time zone, such as datetime.now(UTC)")
        if type(self.priority) is not int or not 0 <= self.priority <= 4095:
            raise UsageError(f"priority={self.priority!r}: use a whole number from 0 (the most urgent) to 4095")
        check_kind("front", self.front, bool)
        if self.front and (self.delay or self.at):
            raise UsageError("front=True: a job that is put in front can have neither delay nor at")
        if self.id is not None and not is_id(self.id):
            raise UsageError(f"id={self.id!r}: use an id made by evq.ids.new_id()")
        for name in ("group", "dedup_key"):
            check_name(name, getattr(self, name), optional=True)
        if self.dedup not in get_args(Dedup):
            raise UsageError(f"dedup={self.dedup!r}: use one of {', '.join(get_args(Dedup))}")
        # Once, since the same options are used for many jobs.
        object.__setattr__(self, "_wire", self._to_wire())
        object.__setattr__(self, "_text", _dump(self._wire))

    def to_wire(self, hooks: Iterable[str] = ()) -> bytes:
        """Return those that differ from the default as JSON with times in ms, or nothing."""
        return _dump(self._wire | {"hooks": " ".join(hooks)}) if hooks else self._text

    def _to_wire(self) -> dict[str, Any]:
        wire: dict[str, Any] = {
            "delay": _ms(self.delay),
            "at": _ms(self.at.timestamp()) if self.at else 0,
            "front": self.front,
            "group": self.group,
            "dedup": self.dedup_key,
            "dedup_ttl": _ms(self.dedup_ttl),
            "dedup_mode": self.dedup if self.dedup_key else None,
            "expires": _ms(self.expires),
            "deadline": _ms(self.deadline),
        }
        wire = {name: value for name, value in wire.items() if value}
        if self.priority != PRIORITY:
            wire["priority"] = self.priority
        return wire


def _dump(wire: dict[str, Any]) -> bytes:
    return orjson.dumps(wire) if wire else b""


def _ms(seconds: float | None) -> int:
    return round((seconds or 0) * 1000)


def known_options(options: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return *options* if all are `JobOptions`; raise `UsageError` by name if not."""
    known = [field.name for field in fields(JobOptions) if field.init]
    if unknown := set(options).difference(known):
        raise UsageError(f"there is no job option {unknown.pop()!r}: use {', '.join(known)}")
    return options


# What is made for each job is a Struct, since a frozen dataclass takes ten times as long to make.


class NewJob(msgspec.Struct, frozen=True, kw_only=True):
    """A job that is not enqueued yet. Made by `Task.job` and `Queue.job`."""

    task: str
    payload: bytes
    """JSON."""
    id: str = msgspec.field(default_factory=new_id)
    options: bytes = b""
    """JSON, as the scripts read it."""

    @property
    def has_dedup_key(self) -> bool:
        return b'"dedup":' in self.options

    @classmethod
    def make(cls, task: str, payload: Mapping[str, Any], options: JobOptions, hooks: Iterable[str] = ()) -> Self:
        """Make a job of its parts; raise `PayloadError` if the payload is not JSON or too large."""
        encoded = dump_payload(task, payload)
        return cls(task=task, payload=encoded, id=options.id or new_id(), options=options.to_wire(hooks))


def dump_payload(task: str, payload: Mapping[str, Any]) -> bytes:
    """Encode a payload; raise `PayloadError` if it is not JSON by names, or too large."""
    if not isinstance(payload, dict):
        raise PayloadError(f"task {task}: a payload is passed by name: use a dict, not {type(payload).__name__}")
    try:
        encoded = orjson.dumps(payload)
    except TypeError as error:
        raise PayloadError(f"task {task}: the payload is not JSON: {error}") from error
    if len(encoded) > PAYLOAD_LIMIT:
        raise PayloadError(
            f"task {task}: the payload has {len(encoded)} bytes and the limit is {PAYLOAD_LIMIT}; "
            "store the data elsewhere and pass where it is"
        )
    return encoded


class ReservedJob(msgspec.Struct, frozen=True):
    """A job that this worker has leased."""

    id: str
    task: str
    payload: bytes
    fence: int
    failures: int
    created_ms: int
    progress: JobProgress | None
    left_ms: int | None = None
    """ms to the whole job's deadline."""
    isolated: bool = False
    """Whether it must run in a process of its own, because its workers have been lost."""

    @property
    def attempt(self) -> int:
        return self.failures + 1


class RareFields(msgspec.Struct, frozen=True):
    """What few jobs have."""

    group: str | None = None
    dedup: str | None = None
    expires: int | None = None
    deadline: int | None = None
    cancel: bool = False
    crashes: int = 0


class Fields(msgspec.Struct, frozen=True, array_like=True):
    """A job's record as the scripts pack it, in the order of `lua/include/records.lua`; times in ms."""

    state: State
    task: str
    payload: str | None
    """JSON; None if it is large, and kept beside."""
    created: int
    priority: int
    due: int | None
    seq: int
    fence: int
    failures: int
    started: int | None
    ended: int | None
    worker: str | None
    error: str | None
    """JSON, as is the result."""
    result: str | None
    rare: RareFields | None

    @classmethod
    def load(cls, packed: bytes) -> Self:
        """Unpack a record; raise ValueError if it is none."""
        try:
            return msgspec.msgpack.decode(_ARRAY + packed, type=cls)
        except msgspec.MsgspecError as error:
            raise ValueError(str(error)) from error


_ARRAY: Final = bytes([0x90 + len(Fields.__struct_fields__)])
"""The head of an array of so many, which is all that the scripts leave out."""


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
    """How often its worker, or its process, was lost with it."""
    group: str | None
    dedup_key: str | None
    deadline_ms: int | None
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
    def load(cls, job_id: str, packed: bytes, payload: bytes | None, progress: bytes | None) -> Self:
        """Read a job's record, its payload if that is large, and its progress, as Redis holds them."""
        fields = Fields.load(packed)
        rare = fields.rare or RareFields()
        return cls(
            id=job_id,
            task=fields.task,
            state=fields.state,
            payload=orjson.loads(fields.payload or payload or b""),
            priority=fields.priority,
            seq=fields.seq,
            failures=fields.failures,
            crashes=rare.crashes,
            group=rare.group,
            dedup_key=rare.dedup,
            deadline_ms=rare.deadline,
            fence=fields.fence,
            worker=fields.worker,
            created_ms=fields.created,
            due_ms=fields.due,
            started_ms=fields.started,
            ended_ms=fields.ended,
            cancel_requested=rare.cancel,
            progress=JobProgress.load(progress) if progress else None,
            result=orjson.loads(fields.result) if fields.result else None,
            error=JobError(**orjson.loads(fields.error)) if fields.error else None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerInfo:
    """What a worker said of itself with its last heartbeat."""

    id: str
    host: str
    pid: int
    version: str
    concurrency: int
    running: int
    jobs: tuple[str, ...]
    """The first 100 that it runs."""
    utilisation: float
    """0 to 1, since the heartbeat before."""
    cpu: float
    """Cores that its process used since then."""
    rss: int
    """Bytes of memory of its process."""
    started_ms: int

    def dump(self) -> bytes:
        return orjson.dumps(asdict(self))

    @classmethod
    def load(cls, text: bytes) -> Self:
        """Read what `dump` wrote."""
        fields = orjson.loads(text)
        return cls(**fields | {"jobs": tuple(fields["jobs"])})
