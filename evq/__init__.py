"""evq: a job queue on Redis.

    from evq import Queue, Worker

    queue = Queue("mail", redis="redis://127.0.0.1:6379/0")

    @queue.task(timeout=60)
    async def send(to: str, ticket: str) -> str:
        return f"sent {ticket}"

    job = await send.enqueue(to="a@example.org", ticket="K7Q2MD")   # anywhere
    await Worker(queue, concurrency=64).run()                       # in a worker
    value = await job.result(timeout=30)                            # back there

A job runs at least once: again, if its worker is lost before it could say that the job is done.
"""

from evq.blocking import blocking
from evq.broker import Reply
from evq.context import Context, SyncContext
from evq.errors import (
    AttemptTimeout,
    EvqError,
    JobCancelled,
    JobFailed,
    LeaseLost,
    NetworkError,
    PayloadError,
    QueueFull,
    QueueUnavailable,
    TaskError,
    TemporaryError,
    UsageError,
    ValidationError,
)
from evq.events import Event
from evq.job import JobError, JobProgress, NewJob
from evq.lifecycle import JobStatus
from evq.pool import WorkerPool
from evq.queue import Job, Queue
from evq.retry import RetryPolicy
from evq.task import Task
from evq.worker import Worker

__all__ = [
    "AttemptTimeout",
    "Context",
    "Event",
    "EvqError",
    "Job",
    "JobCancelled",
    "JobError",
    "JobFailed",
    "JobProgress",
    "JobStatus",
    "LeaseLost",
    "NetworkError",
    "NewJob",
    "PayloadError",
    "Queue",
    "QueueFull",
    "QueueUnavailable",
    "Reply",
    "RetryPolicy",
    "SyncContext",
    "Task",
    "TaskError",
    "TemporaryError",
    "UsageError",
    "ValidationError",
    "Worker",
    "WorkerPool",
    "blocking",
]
