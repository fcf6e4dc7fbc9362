"""The producer's side: a queue, its tasks, and the jobs in it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self, overload
from weakref import WeakKeyDictionary

from evq.alerts import DEFAULT_RULES, AlertHook, AlertRule
from evq.broker import Broker, Reply
from evq.census import page, position
from evq.checks import check_kind, check_name, check_seconds, check_whole
from evq.control import Control, listed
from evq.errors import JobCancelled, JobFailed, UsageError
from evq.events import Event, read_events
from evq.gathering import Gathering
from evq.job import JobError, JobOptions, JobProgress, NewJob, Record, known_options
from evq.keys import QueueKeys
from evq.lifecycle import JobStatus, State
from evq.results import Results
from evq.retry import RetryPolicy
from evq.scripts import Argument
from evq.settings import check_url, redis_url
from evq.task import TIMEOUT, Handler, Isolation, Task


class Queue(Control):
    """A named set of jobs on a Redis.

    Making one does no I/O. It may be used from any number of event loops; each has connections of its own, which
    `close` closes (or `async with queue:`).
    """

    def __init__(
        self,
        name: str,
        *,
        redis: str | None = None,
        lease: float = 30.0,
        keep: float = 86_400.0,
        keep_count: int = 1_000_000,
        alerts: Sequence[AlertRule] = DEFAULT_RULES,
    ) -> None:
        """Name a queue; raise `UsageError` if an option cannot be.

        *redis* is a `redis://`, `rediss://` or `unix://` URL, by default that of the environment. *lease* (s) is how
        long a lost worker's jobs stay with it, *keep* (s) how long an ended job can be looked at, and *keep_count* how
        many completed, failed and cancelled ones each. *alerts* are the rules that its workers evaluate.
        """
        check_kind("name", name, str)
        check_kind("redis", redis or "", str)
        check_seconds("lease", lease, least=1)  # a shorter one would be lost to any delay
        check_seconds("keep", keep, least=1)
        check_whole("keep_count", keep_count, least=1)
        check_kind("alerts", alerts, Sequence)
        for rule in alerts:
            check_kind("alerts", rule, AlertRule)
        if len({rule.name for rule in alerts}) < len(alerts):
            raise UsageError(f"queue {name}: two alert rules have the same name: give each its own")
        self.name = name
        self.url = check_url(redis) if redis else redis_url()
        self.lease_ms = round(lease * 1000)
        self.keep_ms = round(keep * 1000)
        self.keep_count = keep_count
        self.tasks: dict[str, Task] = {}
        self.alert_rules = tuple(alerts)
        self.alert_hooks: list[AlertHook] = []
        self._keys = QueueKeys(name)
        self._loops: WeakKeyDictionary[asyncio.AbstractEventLoop, tuple[Broker, Results, Gathering]]
        self._loops = WeakKeyDictionary()

    def __repr__(self) -> str:
        return f"Queue({self.name!r})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close this event loop's connections."""
        broker, results, _ = self._loops.pop(asyncio.get_running_loop(), (None, None, None))
        if broker and results:
            await results.close()
            await broker.close()

    @property
    def broker(self) -> Broker:
        return self._of_this_loop()[0]

    def _of_this_loop(self) -> tuple[Broker, Results, Gathering]:
        loop = asyncio.get_running_loop()
        found = self._loops.get(loop)
        if found is None:
            broker = Broker(self.url, self._keys, keep_ms=self.keep_ms, keep_count=self.keep_count)
            found = self._loops[loop] = broker, Results(broker), Gathering(broker)
        return found

    # Tasks

    @overload
    def task(self, handler: Handler, /) -> Task: ...
    @overload
    def task(
        self,
        handler: None = None,
        /,
        *,
        name: str | None = ...,
        retry: RetryPolicy | None = ...,
        timeout: float = ...,
        isolation: Isolation | None = ...,
        memory: int | None = ...,
    ) -> Callable[[Handler], Task]: ...
    def task(
        self,
        handler: Handler | None = None,
        /,
        *,
        name: str | None = None,
        retry: RetryPolicy | None = None,
        timeout: float = TIMEOUT,
        isolation: Isolation | None = None,
        memory: int | None = None,
    ) -> Task | Callable[[Handler], Task]:
        """Register a handler, by default under its own name: a coroutine function, or a plain one for a thread.

        *timeout* (s) bounds one attempt. With *isolation* "process" each attempt runs in a process of its own, where
        *memory* (bytes of address space) bounds what it takes beyond its imports: for a handler that blocks Python, or
        is not to be trusted. Raise `UsageError` if the name is taken or an option cannot be.
        """

        def register(handler: Handler) -> Task:
            task = Task(
                queue=self,
                name=getattr(handler, "__name__", "") if name is None else name,
                handler=handler,
                retry=RetryPolicy() if retry is None else retry,
                timeout=timeout,
                isolation=isolation,
                memory=memory,
            )
            if task.name in self.tasks:
                raise UsageError(f"queue {self.name} has a task {task.name!r} already: give this one another name=")
            self.tasks[task.name] = task
            return task

        return register if handler is None else register(handler)

    def job(self, task: str, payload: Mapping[str, Any], **options: Any) -> NewJob:
        """Make a job of a task by its name, with `JobOptions`.

        If this program does not have the task, the payload need only be JSON.
        """
        check_kind("task", task, str)
        check_name("task", task)
        known = self.tasks.get(task)
        job = NewJob.make(task, payload, JobOptions(**known_options(options)), known.hooks if known else ())
        if known:
            known.bind(payload)
        return job

    # Jobs

    async def enqueue_many(self, jobs: Sequence[NewJob]) -> "list[Job]":
        """Enqueue *jobs*: all, or none and an error.

        Return the job that stands for each: with a dedup key it may be an older one. Raise `DuplicateJob` if that was
        to be rejected, `QueueFull` if Redis has no room; `QueueUnavailable` if Redis was lost, before or after they
        were enqueued: doing it again with the same *jobs* makes each once.
        """
        check_kind("jobs", jobs, Sequence)
        for job in jobs:
            check_kind("jobs", job, NewJob)
        if not jobs:
            return []
        standing = await self.broker.enqueue(jobs)
        return [Job(self, job_id, job.task) for job, (_, job_id) in zip(jobs, standing, strict=True)]

    async def enqueue(self, job: NewJob) -> "Job":
        """Enqueue *job*, with others that are enqueued at the same time in one call; see `enqueue_many`."""
        check_kind("job", job, NewJob)
        _, _, gathering = self._of_this_loop()
        _, job_id = await gathering.enqueue(job)
        return Job(self, job_id, job.task)

    async def get(self, job_id: str) -> "Job | None":
        """Return a job as it is now, or None if there is none of that id (any more)."""
        check_name("id", job_id)
        return (await self._read([job_id]))[0]

    async def _read(self, job_ids: Sequence[str], *, skip: bool = False) -> "list[Job | None]":
        records = await self.broker.get(job_ids, skip=skip)
        return [Job(self, record.id, record.task, record) if record else None for record in records]

    async def jobs(self, state: State | str, *, of: str = "", start: int = 0, count: int = 100) -> "list[Job]":
        """List a page of the jobs of one state, from the next (or the oldest) on.

        *of* names the group of waiting jobs (by default those of none), or the task of parked ones.
        """
        check_name("of", of or None, optional=True)
        check_whole("start", start, least=0)
        check_whole("count", count, least=1)
        ids = await page(self.broker, listed(state), of, start, count)
        return [job for job in await self._read(ids, skip=True) if job is not None]

    async def position(self, job_id: str) -> int | None:
        """Return how many jobs are before this one in its group, or None if it does not wait."""
        job = await self.get(job_id)
        return await position(self.broker, job_id, job.record.group) if job else None

    async def log(self, job_id: str) -> list[str]:
        """Return the last 1,000 lines that a job's handler logged with `ctx.log`."""
        check_name("id", job_id)
        (lines,) = await self.broker.send([("LRANGE", self.broker.keys.of("log_of", job_id), 0, -1)])
        return [line.decode() for line in lines]

    async def progress(self, job_id: str) -> JobProgress | None:
        """Return how far a job is; None if it never said so, or if it ended more than 1 h ago."""
        job = await self.get(job_id)
        return job.progress if job else None

    async def cancel(self, job_id: str) -> Reply:
        """Cancel a job: `CANCELLED` at once, `REQUESTED` of one that runs, `ENDED` too late, or `NOT_FOUND`."""
        return await self._one("cancel", job_id, running=1)

    async def replay(self, job_id: str) -> Reply:
        """Let a failed or cancelled job run again, without its deadline: `OK`, `NOT_ENDED`, `COMPLETED`, `NOT_FOUND`.

        `DUPLICATE` if another job holds its dedup key.
        """
        return await self._one("replay", job_id)

    async def _one(self, verb: str, job_id: str, **argv: Argument) -> Reply:
        check_name("id", job_id)
        return (await self.broker.words(verb, [(job_id,)], **argv))[0]

    async def remove(self, job_id: str) -> Reply:
        """Delete a job that does not run, with all that is kept of it: `OK`, `ACTIVE`, or `NOT_FOUND`; no hook runs."""
        return await self._one("remove", job_id)

    async def result(self, job_id: str, timeout: float | None = None) -> Any:  # noqa: ASYNC109 - the public name
        """Wait for a job's result; see `Job.result`."""
        check_name("id", job_id)
        check_seconds("timeout", timeout, optional=True)
        _, results, _ = self._of_this_loop()
        try:
            async with asyncio.timeout(timeout):
                record = await results.wait(job_id)
        except TimeoutError:
            raise TimeoutError(f"job {job_id} has not ended within {timeout} s") from None
        if record is None:
            raise UsageError(f"queue {self.name} has no job {job_id}: it never had, or its record has expired")
        if record.status is JobStatus.CANCELLED:
            raise JobCancelled(job_id)
        if record.status is JobStatus.FAILED:
            error = record.error or JobError("Unknown", "", "")
            raise JobFailed(job_id, error.type, error.message, error.traceback)
        return record.result

    def events(self, from_id: str | None = None) -> AsyncIterator[Event]:
        """Iterate over the queue's events as they come, or from the one after the id *from_id*.

        An event is a hint that jobs have changed: look at them with `get`. It reconnects by itself, for ever; where
        events were missed, one of the name "gap" says so.
        """
        return read_events(self.broker, from_id)

    async def ping(self) -> None:
        """Raise `QueueUnavailable` if Redis cannot be reached."""
        await self.broker.send([("PING",)])


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
        """Wait for the job's result, at most *timeout* s; an outage of Redis is waited out.

        Raise `JobFailed` or `JobCancelled` if there is none, `TimeoutError` if it takes longer.
        """
        return await self.queue.result(self.id, timeout)

    async def cancel(self) -> Reply:
        """Cancel the job; see `Queue.cancel`."""
        return await self.queue.cancel(self.id)
