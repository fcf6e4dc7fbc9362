"""evq, measured by the same protocol as its peers."""

import gc
from collections.abc import Awaitable, Callable

from benchmarks.peers.protocol import Handle, Payload, Peer, main, run
from evq import Queue, Worker


class Evq(Peer):
    async def open(self, url: str) -> None:
        self._queue = Queue("benchmark", redis=url)
        self._task = self._queue.task(_handler(lambda _: None))

    async def enqueue(self, payload: Payload) -> None:
        await self._task.enqueue(**payload)

    async def enqueue_many(self, payloads: list[Payload]) -> None:
        await self._queue.enqueue_many([self._task.job(**payload) for payload in payloads])

    async def enqueue_delayed(self, payload: Payload, seconds: float) -> None:
        await self._task.using(delay=seconds).enqueue(**payload)

    def work(self, url: str, concurrency: int, handle: Handle) -> None:
        queue = Queue("benchmark", redis=url)
        queue.task(_handler(handle))
        gc.freeze()
        gc.set_threshold(10_000)  # both as `evq worker` does
        run(Worker(queue, concurrency=concurrency).run())


def _handler(handle: Handle) -> Callable[..., Awaitable[None]]:
    async def noop(at: int, to: str, ticket: str, subject: str) -> None:  # noqa: ARG001 - the payload counts, not its use
        handle(at)

    return noop


if __name__ == "__main__":
    main(Evq())
