"""What the worker processes of test_several_workers run."""

import asyncio
import os
import time

from evq import Queue

queue = Queue(os.environ.get("TEST_QUEUE", "mixed"))


@queue.task
async def nap(seconds: float) -> tuple[int, float, float]:
    """Return the process, and when the handler began and ended by the clock that Redis has, too."""
    began = time.time()
    await asyncio.sleep(seconds)
    return os.getpid(), began, time.time()
