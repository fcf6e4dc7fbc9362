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

from evq.alerts import Alert, AlertRule, AlertState
from evq.blocking import blocking
from evq.broker import Reply
from evq.context import Context, SyncContext
from evq.errors import (
    AttemptTimeout,
    CorruptRecord,
    DeadlineExceeded,
    DuplicateJob,
    EvqError,
    JobCancelled,
    JobFailed,
    LeaseLost,
    NetworkError,
    PayloadError,
    QueueFull,
    QueueUnavailable,
    Retry,
    Snooze,
    TaskError,
    TemporaryError,
    UsageError,
    ValidationError,
)
from evq.events import Event
from evq.job import JobError, JobOptions, JobProgress, NewJob, WorkerInfo
from evq.lifecycle import JobStatus, State
from evq.metrics import Metrics
from evq.pool import WorkerPool
from evq.queue import Job, Queue
from evq.retry import RetryPolicy
from evq.schedules import Schedule
from evq.task import Task
from evq.worker import Worker

__all__ = [
    "Alert",
    "AlertRule",
    "AlertState",
    "AttemptTimeout",
    "Context",
    "CorruptRecord",
    "DeadlineExceeded",
    "DuplicateJob",
    "Event",
    "EvqError",
    "Job",
    "JobCancelled",
    "JobError",
    "JobFailed",
    "JobOptions",
    "JobProgress",
    "JobStatus",
    "LeaseLost",
    "Metrics",
    "NetworkError",
    "NewJob",
    "PayloadError",
    "Queue",
    "QueueFull",
    "QueueUnavailable",
    "Reply",
    "Retry",
    "RetryPolicy",
    "Schedule",
    "Snooze",
    "State",
    "SyncContext",
    "Task",
    "TaskError",
    "TemporaryError",
    "UsageError",
    "ValidationError",
    "Worker",
    "WorkerInfo",
    "WorkerPool",
    "blocking",
]
