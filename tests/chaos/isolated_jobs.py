"""The same queue, with handlers that run in processes of their own."""

import asyncio

from evq import Context
from tests.chaos.jobs import Result, is_first, queue, written


@queue.task(isolation="process", memory=64 << 20)
async def eat(ctx: Context, size: int) -> Result:
    """Take *size* bytes of memory."""
    with written(ctx) as result:
        bytearray(size)
    return result


@queue.task(isolation="process")
async def apart(ctx: Context, ms: int = 0) -> Result:
    """Take a while in a process of its own; for ever, the first time, if that is no time at all."""
    with written(ctx) as result:
        await asyncio.sleep(60 if is_first(ctx) and not ms else ms / 1000)
    return result
