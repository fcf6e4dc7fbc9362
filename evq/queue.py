"""The producer's side: a queue, its tasks, and the jobs in it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self, overload
from weakref import WeakKeyDictionary

from evq.broker import Broker, Reply
from evq.errors import JobCancelled, JobFailed, UsageError
from evq.events import Event, read_events
from evq.job import JobError, JobProgress, NewJob, Record, dump_payload
from evq.keys import QueueKeys
from evq.lifecycle import JobStatus
from evq.results import Results
from evq.retry import RetryPolicy
from evq.settings import check_url, redis_url
from evq.task import TIMEOUT, Handler, Task


class Queue:
    """A named set of jobs on a Redis.

    Making one does no I/O. It may be used from any number of event loops; each has connections of its own, which
    `close` closes (or `async with queue:`).
    """

    def __init__(self, name: str, *, redis: str | None = None, lease: float = 30.0, keep: float = 86_400.0) -> None:
        """Name a queue; raise `UsageError` if an option cannot be.

        *redis* is a `redis://`, `rediss://` or `unix://` URL, by default that of the environment. *lease* (s) is how
        long a lost worker's jobs stay with it, *keep* (s) how long an ended job can be looked at.
        """
        if lease < 1:
            raise UsageError(f"lease={lease}: a lease of less than 1 s would be lost to any delay")
        if keep < 1:
            raise UsageError(f"keep={keep}: keep ended jobs for at least 1 s, or nobody can read their results")
        self.name = name
        self.url = check_url(redis) if redis else redis_url()
        self.lease_ms = round(lease * 1000)
        self.keep_ms = round(keep * 1000)
        self.tasks: dict[str, Task] = {}
        self._keys = QueueKeys(name)
        self._loops: WeakKeyDictionary[asyncio.AbstractEventLoop, tuple[Broker, Results]] = WeakKeyDictionary()

    def __repr__(self) -> str:
        return f"Queue({self.name!r})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close this event loop's connections."""
        broker, results = self._loops.pop(asyncio.get_running_loop(), (None, None))
        if broker and results:
            await results.close()
            await broker.close()

    @property
    def broker(self) -> Broker:
        broker, _ = self._of_this_loop()
        return broker

    def _of_this_loop(self) -> tuple[Broker, Results]:
        loop = asyncio.get_running_loop()
        if loop not in self._loops:
            broker = Broker(self.url, self._keys)
            self._loops[loop] = broker, Results(broker)
        return self._loops[loop]

    # Tasks

    @overload
    def task(self, handler: Handler, /) -> Task: ...
    @overload
    def task(
        self, handler: None = None, /, *, name: str | None = ..., retry: RetryPolicy | None = ..., timeout: float = ...
    ) -> Callable[[Handler], Task]: ...
    def task(
        self,
        handler: Handler | None = None,
        /,
        *,
        name: str | None = None,
        retry: RetryPolicy | None = None,
        timeout: float = TIMEOUT,
    ) -> Task | Callable[[Handler], Task]:
        """Register a handler, by default under its own name: a coroutine function, or a plain one for a thread.

        *timeout* (s) bounds one attempt. Raise `UsageError` if the name is taken or an option cannot be.
        """

        def register(handler: Handler) -> Task:
            task = Task(
                queue=self,
                name=name or handler.__name__,
                handler=handler,
                retry=retry or RetryPolicy(),
                timeout=timeout,
            )
            if task.name in self.tasks:
                raise UsageError(f"queue {self.name} has a task {task.name!r} already: give this one another name=")
            if timeout <= 0:
                raise UsageError(f"task {task.name}: timeout={timeout}: an attempt needs some time")
            self.tasks[task.name] = task
            return task

        return register(handler) if handler else register

    def job(self, task: str, payload: Mapping[str, Any]) -> NewJob:
        """Make a job of a task by its name; if this program does not have it, the payload need only be JSON."""
        if task in self.tasks:
            return self.tasks[task].job(**payload)
        return NewJob(task=task, payload=dump_payload(task, payload))

    # Jobs

    async def enqueue_many(self, jobs: Sequence[NewJob]) -> "list[Job]":
        """Enqueue *jobs*: all, or none and an error."""
        if jobs:
            await self.broker.enqueue(jobs)
        return [Job(self, job.id, job.task) for job in jobs]

    async def get(self, job_id: str) -> "Job | None":
        """Return a job as it is now, or None if there is none of that id (any more)."""
        (record,) = await self.broker.get([job_id])
        return Job(self, job_id, record.task, record) if record else None

    async def progress(self, job_id: str) -> JobProgress | None:
        """Return how far a job is; None if it never said so, or if it ended more than 1 h ago."""
        (record,) = await self.broker.get([job_id])
        return record.progress if record else None

    async def cancel(self, job_id: str) -> Reply:
        """Cancel a job: `CANCELLED` at once, `REQUESTED` of one that runs, `ENDED` too late, or `NOT_FOUND`."""
        return await self.broker.cancel(job_id, self.keep_ms)

    async def replay(self, job_id: str) -> Reply:
        """Let a failed or cancelled job run again: `OK`, `NOT_ENDED`, `COMPLETED`, or `NOT_FOUND`."""
        return await self.broker.replay(job_id)

    async def result(self, job_id: str, timeout: float | None = None) -> Any:  # noqa: ASYNC109 - the public name
        """Wait for a job's result; see `Job.result`."""
        _, results = self._of_this_loop()
        try:
            async with asyncio.timeout(timeout):
                await results.wait(job_id)
        except TimeoutError:
            raise TimeoutError(f"job {job_id} has not ended within {timeout} s") from None
        job = await self.get(job_id)
        if job is None:
            raise UsageError(f"queue {self.name} has no job {job_id}: it never had, or its record has expired")
        if job.status is JobStatus.CANCELLED:
            raise JobCancelled(job_id)
        if job.status is JobStatus.FAILED:
            error = job.error or JobError("Unknown", "", "")
            raise JobFailed(job_id, error.type, error.message, error.traceback)
        return job.record.result

    def events(self, after: str | None = None) -> AsyncIterator[Event]:
        """Iterate over the queue's events as they come, or from the one after the id *after*.

        An event is a hint that jobs have changed: look at them with `get`. It reconnects by itself, for ever.
        """
        return read_events(self.broker, after)

    async def counts(self) -> dict[str, int]:
        """Count the jobs that are waiting, delayed, parked, active; and, since the beginning, those that ended."""
        return await self.broker.counts()

    async def workers(self) -> list[str]:
        """Name the workers that are alive."""
        return await self.broker.workers()

    async def ping(self) -> None:
        """Raise `QueueUnavailable` if Redis cannot be reached."""
        await self.broker.ping()


@dataclass(slots=True)
class Job:
    """A job: a handle, and its record as of when it was last read."""

    queue: Queue
    id: str
    task: str
    _record: Record | None = None

    @property
    def record(self) -> Record:
        """What was read last; raise `UsageError` if nothing was."""
        if self._record is None:
            raise UsageError(f"job {self.id} has not been read yet: await job.refresh()")
        return self._record

    @property
    def status(self) -> JobStatus:
        """What was read last; of a job just enqueued, pending."""
        return self._record.status if self._record else JobStatus.PENDING

    @property
    def progress(self) -> JobProgress | None:
        return self.record.progress

    @property
    def seq(self) -> int:
        return self.record.seq

    @property
    def payload(self) -> dict[str, Any]:
        return self.record.payload

    @property
    def error(self) -> JobError | None:
        return self.record.error

    async def refresh(self) -> Self:
        """Read the job again; raise `UsageError` if its record has expired."""
        job = await self.queue.get(self.id)
        if job is None:
            raise UsageError(f"queue {self.queue.name} has no job {self.id} any more")
        self._record = job.record
        return self

    async def result(self, timeout: float | None = None) -> Any:  # noqa: ASYNC109 - the public name
        """Wait for the job's result, at most *timeout* s.

        Raise `JobFailed` or `JobCancelled` if there is none, `TimeoutError` if it takes longer.
        """
        return await self.queue.result(self.id, timeout)

    async def cancel(self) -> Reply:
        """Cancel the job; see `Queue.cancel`."""
        return await self.queue.cancel(self.id)
