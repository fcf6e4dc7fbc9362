"""SAQ, with 64 jobs at a time."""

import time
from typing import Any

from redis.asyncio import Redis
from saq import Worker
from saq.queue.redis import RedisQueue

from benchmarks.peers.protocol import Handle, Payload, Peer, main, run


class Saq(Peer):
    async def open(self, url: str) -> None:
        self._queue = RedisQueue(Redis.from_url(url))
        await self._queue.connect()

    async def enqueue(self, payload: Payload) -> None:
        await self._queue.enqueue("noop", **payload)

    async def enqueue_delayed(self, payload: Payload, seconds: float) -> None:
        await self._queue.enqueue("noop", scheduled=time.time() + seconds, **payload)

    def work(self, url: str, concurrency: int, handle: Handle) -> None:
        async def noop(_: Any, *, at: int, **__: str) -> None:
            handle(at)

        async def work() -> None:
            queue = RedisQueue(Redis.from_url(url))
            await queue.connect()
            await Worker(queue, [("noop", noop)], concurrency=concurrency).start()

        run(work())


if __name__ == "__main__":
    main(Saq())
