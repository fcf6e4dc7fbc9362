"""Tasks: handlers under a name, and the jobs made of them."""

import inspect
from collections.abc import Awaitable, Callable, Mapping
from copy import copy
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from evq.checks import check_hook, check_kind, check_name, check_seconds, is_async
from evq.context import Context, SyncContext
from evq.errors import PayloadError, UsageError
from evq.job import JobOptions, NewJob, known_options
from evq.retry import RetryPolicy

if TYPE_CHECKING:
    from evq.queue import Job, Queue

Handler = Callable[..., Any]
Hook = Callable[["Job"], Awaitable[None]]
Isolation = Literal["process"]

TIMEOUT = 3600.0
"""How long an attempt may take unless told otherwise, s."""


@dataclass(slots=True, kw_only=True)
class Task:
    """A handler, registered with a queue under a name. Made by `Queue.task`."""

    queue: "Queue"
    name: str
    handler: Handler
    retry: RetryPolicy
    timeout: float
    isolation: Isolation | None = None
    memory: int | None = None
    hooks: dict[str, Hook] = field(default_factory=dict)
    """By event: completed, failed, cancelled, retried."""
    options: JobOptions = field(default_factory=JobOptions)
    signature: inspect.Signature = field(init=False)
    """That of the payload: without the context."""
    context_name: str | None = field(init=False)
    is_async: bool = field(init=False)
    _needed: frozenset[str] = field(init=False, repr=False)
    _taken: frozenset[str] = field(init=False, repr=False)
    """Names in every payload that fits, and those in any; a handler may take others by `**`."""

    def __post_init__(self) -> None:
        """Read the handler's signature; raise `UsageError` if an option, or passing a payload to it, is impossible."""
        try:
            signature = inspect.signature(self.handler)
        except (TypeError, ValueError) as error:
            raise UsageError(f"handler={self.handler!r}: {error}: use a function with a signature") from error
        check_name("name", self.name)
        if inspect.isgeneratorfunction(self.handler) or inspect.isasyncgenfunction(self.handler):
            raise UsageError(f"task {self.name}: a handler yields nothing: let it return one result")
        check_kind(f"task {self.name}: retry", self.retry, RetryPolicy)
        check_seconds(f"task {self.name}: timeout", self.timeout, least=0.001)
        if self.isolation not in (None, "process"):
            raise UsageError(f"task {self.name}: isolation={self.isolation!r}: use 'process', or leave it out")
        if self.memory is not None and not (isinstance(self.memory, int) and self.memory > 0 and self.isolation):
            raise UsageError(
                f"task {self.name}: memory={self.memory!r}: use some bytes, along with isolation='process'"
            )
        parameters = list(signature.parameters.values())
        contexts = [p.name for p in parameters if p.name == "ctx" or _is_context(p.annotation)]
        if any(p.kind is p.POSITIONAL_ONLY for p in parameters):
            raise UsageError(f"task {self.name}: a payload is passed by name, so no parameter can be positional-only")
        self.context_name = contexts[0] if contexts else None
        self.signature = signature.replace(parameters=[p for p in parameters if p.name not in contexts])
        self.is_async = is_async(self.handler)
        named = [p for p in self.signature.parameters.values() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
        self._needed = frozenset(p.name for p in named if p.default is p.empty)
        self._taken = frozenset(p.name for p in named)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the handler, as if it were no task."""
        return self.handler(*args, **kwargs)

    def using(self, **options: Any) -> "Task":
        """Return this task with other `JobOptions`: `send.using(delay=10).enqueue(to=...)`."""
        task = copy(self)  # what is known of the handler stays
        task.options = replace(self.options, **known_options(options))
        return task

    def job(self, /, **payload: Any) -> NewJob:
        """Make a job of this task, to be enqueued with others; raise `PayloadError` if the payload does not fit."""
        self.bind(payload)
        return NewJob.make(self.name, payload, self.options, self.hooks)

    async def enqueue(self, /, **payload: Any) -> "Job":
        """Enqueue a job of this task; raise `PayloadError` if the payload does not fit its handler.

        NaN and infinity, which JSON does not have, become null. Raise `DuplicateJob` if its dedup key is held and it
        was to be rejected.
        """
        return await self.queue.enqueue(self.job(**payload))

    def bind(self, payload: Mapping[str, Any]) -> None:
        """Raise `PayloadError` unless *payload* fits the handler's signature."""
        if type(payload) is dict and self._needed <= payload.keys() <= self._taken:
            return
        try:
            self.signature.bind(**payload)
        except TypeError as error:
            raise PayloadError(f"task {self.name}{self.signature}: {error}") from error

    # Hooks run at least once after the event, whatever crashes in between: let them bear a second time. They are given
    # the job as it is then, which after a retry may be anything.

    def on_completed(self, hook: Hook) -> Hook:
        return self._on("completed", hook)

    def on_failed(self, hook: Hook) -> Hook:
        return self._on("failed", hook)

    def on_cancelled(self, hook: Hook) -> Hook:
        return self._on("cancelled", hook)

    def on_retried(self, hook: Hook) -> Hook:
        return self._on("retried", hook)

    def _on(self, event: str, hook: Hook) -> Hook:
        check_hook(f"task {self.name}: on_{event}", hook)
        if event in self.hooks:
            raise UsageError(f"task {self.name} has a hook for {event} already")
        self.hooks[event] = hook
        return hook


def _is_context(annotation: Any) -> bool:
    if isinstance(annotation, str):  # not evaluated: what it names may exist for type checkers only
        return annotation.rpartition(".")[2] in (Context.__name__, SyncContext.__name__)
    return isinstance(annotation, type) and issubclass(annotation, Context | SyncContext)
