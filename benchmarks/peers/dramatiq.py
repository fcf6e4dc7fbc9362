"""Dramatiq, with a prefetch of 1,000 (which its worker reads from the environment)."""

import threading
from typing import Any

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from benchmarks.peers.protocol import Handle, Payload, Peer, main


class Dramatiq(Peer):
    async def open(self, url: str) -> None:
        self._noop = _actor(url, lambda _: None)

    async def enqueue(self, payload: Payload) -> None:
        self._noop.send(**payload)

    async def enqueue_delayed(self, payload: Payload, seconds: float) -> None:
        self._noop.send_with_options(kwargs=payload, delay=round(1000 * seconds))

    def work(self, url: str, concurrency: int, handle: Handle) -> None:
        actor = _actor(url, handle)
        dramatiq.Worker(actor.broker, worker_threads=concurrency).start()
        threading.Event().wait()


def _actor(url: str, handle: Handle) -> Any:
    broker = RedisBroker(url=url)

    def noop(at: int, **_: str) -> None:
        handle(at)

    return dramatiq.actor(noop, broker=broker)


if __name__ == "__main__":
    main(Dramatiq())
