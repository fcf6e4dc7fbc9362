"""streaQ, with 16 jobs at a time."""

from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any

from streaq import Worker

from benchmarks.peers.protocol import Handle, Payload, Peer, main, run


class Streaq(Peer):
    async def open(self, url: str) -> None:
        self._worker, self._noop = _task(url, lambda _: None)
        await AsyncExitStack().enter_async_context(self._worker)

    async def enqueue(self, payload: Payload) -> None:
        await self._noop.enqueue(**payload)

    async def enqueue_many(self, payloads: list[Payload]) -> None:
        await self._worker.enqueue_many([self._noop.enqueue(**payload) for payload in payloads])

    async def enqueue_delayed(self, payload: Payload, seconds: float) -> None:
        await self._noop.enqueue(**payload).start(delay=timedelta(seconds=seconds))

    def work(self, url: str, concurrency: int, handle: Handle) -> None:
        worker, _ = _task(url, handle, concurrency=concurrency)
        run(worker.run_async())


def _task(url: str, handle: Handle, **options: int) -> tuple[Any, Any]:
    worker: Any = Worker(redis_url=url, **options)

    async def noop(at: int, to: str, ticket: str, subject: str) -> None:  # noqa: ARG001 - the payload counts, not its use
        handle(at)

    return worker, worker.task(name="noop", silent=True)(noop)


if __name__ == "__main__":
    main(Streaq())
