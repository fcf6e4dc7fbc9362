"""arq, with a poll delay of 5 ms and 100 jobs at a time."""

from datetime import timedelta
from typing import Any

from arq import create_pool, func
from arq.connections import RedisSettings
from arq.worker import Worker

from benchmarks.peers.protocol import Handle, Payload, Peer, main, run


class Arq(Peer):
    async def open(self, url: str) -> None:
        self._pool = await create_pool(RedisSettings.from_dsn(url))

    async def enqueue(self, payload: Payload) -> None:
        await self._pool.enqueue_job("noop", **payload)

    async def enqueue_delayed(self, payload: Payload, seconds: float) -> None:
        await self._pool.enqueue_job("noop", _defer_by=timedelta(seconds=seconds), **payload)

    def work(self, url: str, concurrency: int, handle: Handle) -> None:
        async def noop(_: Any, at: int, **__: str) -> None:
            handle(at)

        async def work() -> None:
            await Worker(
                [func(noop, name="noop")],
                redis_settings=RedisSettings.from_dsn(url),
                max_jobs=concurrency,
                poll_delay=0.005,
                log_results=False,
                handle_signals=False,
            ).async_run()

        run(work())


if __name__ == "__main__":
    main(Arq())
