"""Several worker processes share a queue: none holds what another could run."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import anyio
import pytest

from evq import Job, Queue
from tests.integration.running import worker_processes

pytestmark = pytest.mark.anyio

WORKERS, CONCURRENCY = 2, 4
LONG, SHORT = 2.0, 0.001
"""How long handlers take, s."""
LONG_JOBS = WORKERS * CONCURRENCY - 1
"""So that one place is left for the short ones."""
PROMPT = 0.3
"""How long a place may be idle while a job waits, s: time for a wake, and for a busy machine."""


@dataclass(frozen=True, slots=True)
class Run:
    """A job that has ended: where it ran, and by one clock when it was enqueued, leased, begun and ended."""

    worker: int
    created: float
    leased: float
    began: float
    ended: float


async def run_of(job: Job) -> Run:
    worker, began, ended = await job.result(2 * LONG)
    record = (await job.refresh()).record
    assert record.started_ms is not None
    # The ms in which it was leased is over, so that what ended in that ms is not counted as held beside it.
    return Run(worker, record.created_ms / 1000, (record.started_ms + 1) / 1000, began, ended)


def most_at_once(spans: Iterable[tuple[float, float]]) -> int:
    """Return how many spans of time overlap at most."""
    return max(count for _, count in counted(spans))


def idle_spans(runs: list[Run]) -> Iterator[tuple[float, float]]:
    """Yield from when to when a place of some worker was idle, though all had not ended."""
    since: float | None = min(run.created for run in runs)
    for moment, running in counted((run.began, run.ended) for run in runs):
        if since is not None and running == WORKERS * CONCURRENCY:
            yield since, moment
            since = None
        elif since is None and running < WORKERS * CONCURRENCY:
            since = moment
    if since is not None:
        yield since, max(run.ended for run in runs)


def counted(spans: Iterable[tuple[float, float]]) -> Iterator[tuple[float, int]]:
    """Yield each moment at which a span begins or ends, and how many there are from then on."""
    changes = [change for begin, end in spans if begin < end for change in ((begin, 1), (end, -1))]
    count = 0
    for moment, change in sorted(changes):
        count += change
        yield moment, count


def overlap(one: tuple[float, float], other: tuple[float, float]) -> float:
    return min(one[1], other[1]) - max(one[0], other[0])


async def test_no_job_waits_behind_a_long_one_while_a_worker_has_an_idle_place(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with worker_processes(queue, monkeypatch, "mixed_jobs", processes=WORKERS, concurrency=CONCURRENCY):
        jobs = await queue.enqueue_many(
            [queue.job("nap", {"seconds": seconds}) for seconds in [LONG, *[SHORT] * 30] * LONG_JOBS]
        )
        for _ in range(100):
            jobs.append(await queue.enqueue(queue.job("nap", {"seconds": SHORT})))
            await anyio.sleep(0.01)
        runs = [await run_of(job) for job in jobs]

    by_worker = {pid: [run for run in runs if run.worker == pid] for pid in {run.worker for run in runs}}
    assert len(by_worker) == WORKERS
    for mine in by_worker.values():
        assert most_at_once((run.leased, run.ended) for run in mine) <= CONCURRENCY, "a worker holds more than it runs"
    waits, idle = [(run.created, run.began) for run in runs], list(idle_spans(runs))
    assert max(overlap(wait, span) for wait in waits for span in idle) < PROMPT
