"""RQ, with the worker that does not fork for every job."""

from redis import Redis
from rq import Queue, SimpleWorker

from benchmarks.peers.protocol import Handle, Payload, Peer, main

NOOP = "__main__.noop"
"""Functions are known by their place, which is this program."""


def noop(at: int, **_: str) -> None:
    Rq.handle(at)


class Rq(Peer):
    @staticmethod
    def handle(at: int) -> None:
        """Note a job: set when the worker starts."""

    async def open(self, url: str) -> None:
        self._queue = Queue(connection=Redis.from_url(url))

    async def enqueue(self, payload: Payload) -> None:
        self._queue.enqueue(NOOP, kwargs=payload)

    async def enqueue_many(self, payloads: list[Payload]) -> None:
        self._queue.enqueue_many([Queue.prepare_data(NOOP, kwargs=payload) for payload in payloads])

    def work(self, url: str, concurrency: int, handle: Handle) -> None:  # noqa: ARG002 - it runs one at a time
        Rq.handle = staticmethod(handle)  # type: ignore[method-assign, assignment]  # RQ finds handlers by import
        SimpleWorker([Queue(connection=(redis := Redis.from_url(url)))], connection=redis).work(logging_level="WARNING")


if __name__ == "__main__":
    main(Rq())
