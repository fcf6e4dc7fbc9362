"""What the worker processes of test_pools run."""

import os

import anyio

from evq import Queue

queue = Queue(os.environ.get("TEST_QUEUE", "pools"))


@queue.task
async def nap(seconds: float) -> int:
    await anyio.sleep(seconds)
    return os.getpid()
