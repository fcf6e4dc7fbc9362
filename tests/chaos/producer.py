"""A program that enqueues and writes down what it was told: `python -m tests.chaos.producer SEED SIZE COUNT [KINDS]`.

It enqueues COUNT batches of SIZE jobs; 0 batches are no end of them. KINDS is how many kinds of jobs it knows. What it
is not sure of it sends again, under the same ids.
"""

import asyncio
import os
import random
import sys
from pathlib import Path
from typing import Any

from evq import NewJob, Queue, QueueUnavailable
from tests.chaos.journal import Journal

PACE = 0.03
"""The time that a producer takes for a job, on average, s."""
PAUSE = 0.1
"""Before something is sent again, s."""
OLD_KINDS = 5
"""Those that every version of evq knows."""
KINDS = 8
GROUPS = ("blue", "green", "red")


async def anything(**payload: Any) -> None:
    """Stand for a task that only workers have."""


def any_job(queue: Queue, chance: random.Random, kinds: int) -> NewJob:
    """Make a job that ends, one way or another."""
    work = queue.tasks["work"]
    match chance.randrange(kinds):
        case 0:
            return work.job(ms=chance.randrange(50))
        case 1:
            longest = chance.choice((100, 100, 100, 300, 3000))  # some outlast a heartbeat, and a lease
            return work.using(priority=chance.randrange(4096)).job(ms=chance.randrange(longest))
        case 2:
            return work.using(delay=chance.random()).job(failures=chance.randrange(3))
        case 3:
            return queue.tasks["think"].job(ms=chance.randrange(200))
        case 4:
            return queue.tasks["doomed"].job()
        case 5:
            return work.using(expires=chance.uniform(0.1, 5)).job(ms=chance.randrange(100))
        case _:
            return work.using(group=chance.choice(GROUPS)).job(ms=chance.randrange(100))


async def produce(seed: int, size: int, count: int, kinds: int = KINDS) -> None:
    journal, chance = Journal(Path(os.environ["CHAOS_JOURNAL"])), random.Random(seed)
    async with Queue("chaos") as queue:
        for name in ("work", "think", "doomed"):
            queue.task(name=name)(anything)
        made = 0
        while not count or made < count:
            jobs = [any_job(queue, chance, kinds) for _ in range(size)]
            for job in jobs:
                journal.write("sent", job.id)
            await enqueue(queue, jobs)
            for job in jobs:
                journal.write("confirmed", job.id)
            made += 1
            await asyncio.sleep(size * PACE)


async def enqueue(queue: Queue, jobs: list[NewJob]) -> None:
    while True:
        try:
            await queue.enqueue_many(jobs)
        except QueueUnavailable:
            await asyncio.sleep(PAUSE)
        else:
            return


if __name__ == "__main__":
    asyncio.run(produce(*map(int, sys.argv[1:])))
