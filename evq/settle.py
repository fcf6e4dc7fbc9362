"""Say what came of jobs to Redis: a call for each kind of outcome."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from evq.broker import PORTION, Broker, Call, portions
from evq.executor import Backoff, Completed, Crashed, Failed, Outcome, Snoozed
from evq.job import ReservedJob


def settle_calls(broker: Broker, outcomes: Sequence[tuple[ReservedJob, Outcome]]) -> list[tuple[list[str], Call]]:
    """Prepare the calls that settle jobs, each beside the ids of its jobs."""
    jobs: defaultdict[str, list[Any]] = defaultdict(list)
    for job, outcome in outcomes:
        match outcome:
            case Completed(result):
                jobs["ack"].append((job.id, job.fence, result))
            case Failed(error):
                jobs["fail"].append((job.id, job.fence, error.dump()))
            case Backoff(delay_ms, error):
                jobs["backoff"].append((job.id, job.fence, delay_ms, error.dump()))
            case Snoozed(delay_ms):
                jobs["snooze"].append((job.id, job.fence, delay_ms))
            case Crashed():
                jobs["crash"].append((job.id, job.fence))
    return [
        ([job_id for job_id, *_ in some], broker.call(verb, some))
        for verb, all_of_it in jobs.items()
        for some in portions(all_of_it, PORTION)
    ]
