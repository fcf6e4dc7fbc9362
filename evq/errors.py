"""Every error of evq, split by who must act.

EvqError
├── UsageError            the calling program: a wrong name, payload or option
│   ├── PayloadError      the payload does not fit the handler, or is not JSON, or is too large
│   └── DuplicateJob      another job holds the dedup key
├── QueueUnavailable      the operator: Redis cannot be reached, or refuses to work
├── QueueFull             the operator: Redis is at its `maxmemory` and refuses new jobs
├── CorruptRecord         the operator: what Redis holds of a job makes no sense
├── LeaseLost             nobody: a newer lease runs this job, so this attempt must stop
├── JobCancelled          nobody: somebody asked for the running job to stop
├── WorkerStopped         nobody: the worker stops, and another will run the job
├── Snooze                raised by handlers: put the job off, and count no attempt
├── JobFailed             the reader of a result: the job ended without one
└── TaskError             raised by handlers, to say how their failure is to be treated
    ├── ValidationError   the input is at fault: never retried
    ├── DeadlineExceeded  the whole job took longer than it may: never retried
    ├── Retry             retried after just the delay that it asks for
    ├── NetworkError      something beyond the network is at fault: retried, from 5 s
    └── TemporaryError    it may work in a moment: retried, from 2 s
        └── AttemptTimeout  the attempt took longer than its task allows
"""

import math
import time
from contextlib import nullcontext, suppress
from datetime import UTC
from email.utils import parsedate_to_datetime


class EvqError(Exception):
    """The base of every error that evq raises."""


class UsageError(EvqError):
    """The calling program asked for something impossible."""


class PayloadError(UsageError):
    """The payload does not fit the task's handler, is not JSON, or is too large."""


class DuplicateJob(UsageError):  # noqa: N818 - the state is the name
    """Another job holds the dedup key, and the new one was not enqueued."""

    def __init__(self, job_id: str) -> None:
        super().__init__(f"job {job_id} has this dedup_key already: wait until it has ended, or use another mode")
        self.job_id = job_id


class QueueUnavailable(EvqError):  # noqa: N818 - the state is the name
    """Redis cannot be reached, or refuses to work."""


class QueueFull(EvqError):  # noqa: N818 - the state is the name
    """Redis has reached its memory limit and refuses new jobs; running ones can still end."""


class CorruptRecord(EvqError):  # noqa: N818 - the state is the name
    """What Redis holds of a job makes no sense."""

    def __init__(self, job_id: str) -> None:
        super().__init__(f"what Redis holds of job {job_id} makes no sense: see evq fsck")
        self.job_id = job_id


class LeaseLost(EvqError):  # noqa: N818 - the event is the name
    """A newer lease exists for the job, so this attempt may not write any more."""

    def __init__(self, job_id: str) -> None:
        super().__init__(f"job {job_id}: the lease was lost; another worker has the job now")
        self.job_id = job_id


class JobCancelled(EvqError):  # noqa: N818 - the event is the name
    """The job was cancelled, before or while it ran."""

    def __init__(self, job_id: str) -> None:
        super().__init__(f"job {job_id} was cancelled")
        self.job_id = job_id


class WorkerStopped(EvqError):  # noqa: N818 - the event is the name
    """The worker stops, so this attempt must; the job is handed back without counting it."""

    def __init__(self, job_id: str) -> None:
        super().__init__(f"job {job_id}: the worker stops; another will run the job")
        self.job_id = job_id


class Snooze(EvqError):  # noqa: N818 - what a handler asks for
    """Raised by a handler: run the job again after *delay* (as `retry_after`), without counting this attempt."""

    def __init__(self, delay: float | str) -> None:
        self.delay = _delay("delay", delay)
        super().__init__(f"put off for {self.delay:g} s")


class JobFailed(EvqError):  # noqa: N818 - the event is the name
    """The job failed for good; carries what its last attempt raised."""

    def __init__(self, job_id: str, type: str, message: str, traceback: str) -> None:  # noqa: A002 - the public name
        super().__init__(f"job {job_id} failed: {type}: {message}")
        self.job_id = job_id
        self.type = type
        self.message = message
        self.traceback = traceback


class TaskError(EvqError):
    """A handler's failure of a known kind."""

    retry_after: float | None = None

    def __init__(self, message: str = "", *, retry_after: float | str | None = None) -> None:
        """Describe the failure; *retry_after* asks for at least that delay: s, or the text of an HTTP `Retry-After`.

        A text that is neither a number nor a date asks for nothing, since others may have written it.
        """
        super().__init__(message)
        with suppress(UsageError) if isinstance(retry_after, str) else nullcontext():
            self.retry_after = None if retry_after is None else _delay("retry_after", retry_after)


def _delay(name: str, value: float | str) -> float:
    """Return the seconds that a handler asks for; raise `UsageError` by *name* if they cannot be told."""
    with suppress(TypeError, ValueError):
        if not math.isnan(delay := float(value)):
            return delay
    with suppress(TypeError, ValueError):  # HTTP's dates are in GMT, also those that do not say so
        return parsedate_to_datetime(str(value)).replace(tzinfo=UTC).timestamp() - time.time()
    raise UsageError(f"{name}={value!r}: use a number of seconds, or what HTTP's Retry-After says")


class ValidationError(TaskError):
    """The input is at fault; trying again cannot help."""


class DeadlineExceeded(TaskError):  # noqa: N818 - the event is the name
    """The job has not ended within its `deadline`; trying again cannot help."""


class Retry(TaskError):  # noqa: N818 - what a handler asks for
    """Raised by a handler: try the job again after *after* (as `retry_after`), as long as attempts are left."""

    def __init__(self, message: str = "", *, after: float | str) -> None:
        super().__init__(message, retry_after=_delay("after", after))


class NetworkError(TaskError):
    """Something beyond the network is at fault."""


class TemporaryError(TaskError):
    """It did not work now and may work in a moment."""


class AttemptTimeout(TemporaryError):  # noqa: N818 - the event is the name
    """The attempt took longer than its task's `timeout`."""
