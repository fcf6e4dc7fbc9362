"""Tasks: handlers under a name, and the jobs made of them."""

import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from evq.context import Context, SyncContext
from evq.errors import PayloadError, UsageError
from evq.ids import new_id
from evq.job import PRIORITY, NewJob, dump_payload
from evq.lifecycle import JobStatus
from evq.retry import RetryPolicy

if TYPE_CHECKING:
    from evq.queue import Job, Queue

Handler = Callable[..., Any]
Hook = Callable[["Job"], Awaitable[None]]

TIMEOUT = 3600.0
"""How long an attempt may take unless told otherwise, s."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobOptions:
    """When and how urgently a job is run."""

    delay: float = 0.0
    """s from now."""
    at: datetime | None = None
    """Not before this moment; it must have a time zone."""
    priority: int = PRIORITY
    """0 to 4095, lower first."""
    id: str | None = None
    """An id made by `evq.ids.new_id()`: enqueuing it twice makes one job."""

    def at_ms(self) -> int:
        """Return `at` in ms since the epoch, or 0."""
        if self.at is None:
            return 0
        if self.at.tzinfo is None:
            raise UsageError(f"at={self.at}: a moment needs a time zone, such as datetime.now(UTC)")
        return round(self.at.timestamp() * 1000)


@dataclass(slots=True, kw_only=True)
class Task:
    """A handler, registered with a queue under a name. Made by `Queue.task`."""

    queue: "Queue"
    name: str
    handler: Handler
    retry: RetryPolicy
    timeout: float
    hooks: dict[JobStatus, Hook] = field(default_factory=dict)
    options: JobOptions = field(default_factory=JobOptions)
    signature: inspect.Signature = field(init=False)
    """That of the payload: without the context."""
    context_name: str | None = field(init=False)
    is_async: bool = field(init=False)

    def __post_init__(self) -> None:
        """Read the handler's signature; raise `UsageError` if a payload cannot be passed to it by name."""
        signature = inspect.signature(self.handler)
        parameters = list(signature.parameters.values())
        contexts = [p.name for p in parameters if p.name == "ctx" or _is_context(p.annotation)]
        if any(p.kind is p.POSITIONAL_ONLY for p in parameters):
            raise UsageError(f"task {self.name}: a payload is passed by name, so no parameter can be positional-only")
        self.context_name = contexts[0] if contexts else None
        self.signature = signature.replace(parameters=[p for p in parameters if p.name not in contexts])
        self.is_async = inspect.iscoroutinefunction(self.handler)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the handler, as if it were no task."""
        return self.handler(*args, **kwargs)

    def using(self, **options: Any) -> "Task":
        """Return this task with other `JobOptions`: `send.using(delay=10).enqueue(to=...)`."""
        known = [field.name for field in fields(JobOptions)]
        if unknown := set(options).difference(known):
            raise UsageError(f"task {self.name} has no option {unknown.pop()!r}: use {', '.join(known)}")
        return replace(self, options=replace(self.options, **options))

    def job(self, **payload: Any) -> NewJob:
        """Make a job of this task, to be enqueued with others; raise `PayloadError` if the payload does not fit."""
        self.bind(payload)
        options = self.options
        return NewJob(
            id=options.id or new_id(),
            task=self.name,
            payload=dump_payload(self.name, payload),
            priority=options.priority,
            delay_ms=round(options.delay * 1000),
            at_ms=options.at_ms(),
            hooked=bool(self.hooks),
        )

    async def enqueue(self, **payload: Any) -> "Job":
        """Enqueue a job of this task; raise `PayloadError` if the payload does not fit its handler."""
        return (await self.queue.enqueue_many([self.job(**payload)]))[0]

    def bind(self, payload: Mapping[str, Any]) -> None:
        """Raise `PayloadError` unless *payload* fits the handler's signature."""
        try:
            self.signature.bind(**payload)
        except TypeError as error:
            raise PayloadError(f"task {self.name}{self.signature}: {error}") from error

    # Hooks run at least once after a job has ended so, whatever crashes in between: let them bear a second time.

    def on_completed(self, hook: Hook) -> Hook:
        return self._on(JobStatus.COMPLETED, hook)

    def on_failed(self, hook: Hook) -> Hook:
        return self._on(JobStatus.FAILED, hook)

    def on_cancelled(self, hook: Hook) -> Hook:
        return self._on(JobStatus.CANCELLED, hook)

    def _on(self, end: JobStatus, hook: Hook) -> Hook:
        if end in self.hooks:
            raise UsageError(f"task {self.name} has a hook for {end} already")
        self.hooks[end] = hook
        return hook


def _is_context(annotation: Any) -> bool:
    if isinstance(annotation, str):  # not evaluated: what it names may exist for type checkers only
        return annotation.rpartition(".")[2] in (Context.__name__, SyncContext.__name__)
    return isinstance(annotation, type) and issubclass(annotation, Context | SyncContext)
