"""What the worker process of test_soak runs."""

import gc
import os
import sys

import psutil

from evq import Context, Queue, RetryPolicy, TemporaryError

queue = Queue(os.environ.get("TEST_QUEUE", "soak"), keep_count=1_000)


@queue.task(retry=RetryPolicy(delay=0.001))
async def work(ctx: Context, n: int) -> int:
    """Do nothing; now and then say so, or fail before."""
    if n % 50 == 0:
        await ctx.progress(50)
    if n % 100 == 0 and ctx.attempt == 1:
        raise TemporaryError("not yet")
    return n


@queue.task
async def weigh() -> tuple[int, int, int]:
    """Return the resident bytes of this process, the objects in it, and the resident bytes of its heart."""
    gc.collect()
    worker = psutil.Process()
    (heart,) = worker.children()
    return worker.memory_info().rss, sys.getallocatedblocks(), heart.memory_info().rss
