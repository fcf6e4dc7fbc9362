"""taskiq on Redis streams, which acknowledge, with results in Redis."""

from typing import Any

from taskiq.api import run_receiver_task
from taskiq_redis import RedisAsyncResultBackend, RedisStreamBroker

from benchmarks.peers.protocol import Handle, Payload, Peer, main, run

CONNECTIONS = 200
"""More than jobs run at a time, each of which acknowledges itself and stores its result."""


class Taskiq(Peer):
    async def open(self, url: str) -> None:
        broker, self._noop = _task(url, lambda _: None)
        await broker.startup()

    async def enqueue(self, payload: Payload) -> None:
        await self._noop.kiq(**payload)

    def work(self, url: str, concurrency: int, handle: Handle) -> None:
        async def work() -> None:
            broker, _ = _task(url, handle)
            await run_receiver_task(broker, max_async_tasks=concurrency, max_prefetch=concurrency, run_startup=True)

        run(work())


def _task(url: str, handle: Handle) -> tuple[Any, Any]:
    results = RedisAsyncResultBackend(url, max_connection_pool_size=CONNECTIONS)
    broker = RedisStreamBroker(url, max_connection_pool_size=CONNECTIONS).with_result_backend(results)

    async def noop(at: int, to: str, ticket: str, subject: str) -> None:  # noqa: ARG001 - the payload counts, not its use
        handle(at)

    return broker, broker.register_task(noop, task_name="noop")


if __name__ == "__main__":
    main(Taskiq())
