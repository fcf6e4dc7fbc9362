"""Say what came of jobs to Redis: one call a kind of outcome."""

from collections.abc import Iterable, Sequence
from typing import Any

from evq.broker import Broker, Call
from evq.executor import Completed, Failed, Outcome, Retry, Snoozed
from evq.job import ReservedJob


def settle_calls(
    broker: Broker, keep_ms: int, outcomes: Sequence[tuple[ReservedJob, Outcome]]
) -> list[tuple[list[str], Call]]:
    """Prepare the calls that settle jobs, each beside the ids of its jobs."""
    acks: list[tuple[str, int, bytes]] = []
    fails: list[tuple[str, int, bytes]] = []
    backoffs: list[tuple[str, int, int, bytes]] = []
    snoozes: list[tuple[str, int, int]] = []
    for job, outcome in outcomes:
        match outcome:
            case Completed(result):
                acks.append((job.id, job.fence, result))
            case Failed(error):
                fails.append((job.id, job.fence, error.dump()))
            case Retry(delay_ms, error):
                backoffs.append((job.id, job.fence, delay_ms, error.dump()))
            case Snoozed():
                snoozes.append((job.id, job.fence, 0))
    calls = []
    if acks:
        calls.append((_ids(acks), broker.ack_call(keep_ms, acks)))
    if fails:
        calls.append((_ids(fails), broker.fail_call(keep_ms, fails)))
    if backoffs:
        calls.append((_ids(backoffs), broker.backoff_call(keep_ms, backoffs)))
    if snoozes:
        calls.append((_ids(snoozes), broker.snooze_call(keep_ms, snoozes)))
    return calls


def _ids(items: Iterable[tuple[Any, ...]]) -> list[str]:
    return [item[0] for item in items]
