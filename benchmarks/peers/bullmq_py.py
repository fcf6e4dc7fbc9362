"""BullMQ for Python, with 64 jobs at a time."""

import asyncio
from typing import Any

from bullmq import Queue, Worker

from benchmarks.peers.protocol import Handle, Payload, Peer, main, run


class BullMQ(Peer):
    async def open(self, url: str) -> None:
        self._queue = Queue("benchmark", {"connection": url})

    async def enqueue(self, payload: Payload) -> None:
        await self._queue.add("noop", payload)

    async def enqueue_many(self, payloads: list[Payload]) -> None:
        await self._queue.addBulk([{"name": "noop", "data": payload} for payload in payloads])

    async def enqueue_delayed(self, payload: Payload, seconds: float) -> None:
        await self._queue.add("noop", payload, {"delay": round(1000 * seconds)})

    def work(self, url: str, concurrency: int, handle: Handle) -> None:
        async def noop(job: Any, _: str) -> None:
            handle(job.data["at"])

        async def work() -> None:
            worker = Worker("benchmark", noop, {"connection": url, "concurrency": concurrency})
            await asyncio.Event().wait()
            await worker.close()  # which keeps it alive

        run(work())


if __name__ == "__main__":
    main(BullMQ())
