"""The floor: what Redis and Python take for the least that a queue does, by hand and with no guarantee at all."""

import asyncio
import json
from typing import Any, Final

from redis.asyncio import BlockingConnectionPool, Redis

from benchmarks.peers.protocol import Handle, Payload, Peer, main, run

ENQUEUE: Final = "for i = 1, #ARGV do redis.call('LPUSH', KEYS[1], ARGV[i]) end"
EXCHANGE: Final = """
    for i = 2, #ARGV do redis.call('LREM', KEYS[2], -1, ARGV[i]) end
    local jobs = {}
    for i = 1, ARGV[1] do
        local job = redis.call('LMOVE', KEYS[1], KEYS[2], 'RIGHT', 'LEFT')
        if not job then break end
        jobs[i] = job
    end
    return jobs
"""
TOGETHER: Final = 100
"""Jobs in one EVALSHA of a bulk."""


class Floor(Peer):
    async def open(self, url: str) -> None:
        redis = Redis(connection_pool=BlockingConnectionPool.from_url(url, max_connections=50))
        self._enqueue = redis.register_script(ENQUEUE)

    async def enqueue(self, payload: Payload) -> None:
        await self._enqueue(keys=["waiting"], args=[json.dumps(payload)])

    async def enqueue_many(self, payloads: list[Payload]) -> None:
        for first in range(0, len(payloads), TOGETHER):
            jobs = [json.dumps(payload) for payload in payloads[first : first + TOGETHER]]
            await self._enqueue(keys=["waiting"], args=jobs)

    def work(self, url: str, concurrency: int, handle: Handle) -> None:
        run(_work(Redis.from_url(url, socket_timeout=None), concurrency, handle))


async def _work(redis: Redis, concurrency: int, handle: Handle) -> None:
    exchange = redis.register_script(EXCHANGE)

    async def noop(job: bytes) -> None:
        handle(json.loads(job)["at"])

    jobs: Any = []
    while True:  # those before are acknowledged, and as many as may run are reserved, in one call
        jobs = await exchange(keys=["waiting", "active"], args=[concurrency, *jobs])
        if not jobs:
            jobs = [await redis.blmove("waiting", "active", 0, "RIGHT", "LEFT")]
        if concurrency == 1:
            for job in jobs:
                await noop(job)
        else:
            await asyncio.gather(*[asyncio.create_task(noop(job)) for job in jobs])


if __name__ == "__main__":
    main(Floor())
