"""Celery with the solo pool, a prefetch of 100, and no results, as it comes."""

from typing import Any

from celery import Celery

from benchmarks.peers.protocol import Handle, Payload, Peer, main


class CeleryPeer(Peer):
    async def open(self, url: str) -> None:
        _, self._noop = _task(url, lambda _: None)

    async def enqueue(self, payload: Payload) -> None:
        self._noop.apply_async(kwargs=payload)

    async def enqueue_delayed(self, payload: Payload, seconds: float) -> None:
        self._noop.apply_async(kwargs=payload, countdown=seconds)

    def work(self, url: str, concurrency: int, handle: Handle) -> None:  # noqa: ARG002 - the pool runs one at a time
        app, _ = _task(url, handle)
        options = ["--pool", "solo", "--loglevel", "WARNING", "--without-gossip", "--without-mingle"]
        app.worker_main(["worker", *options])


def _task(url: str, handle: Handle) -> tuple[Any, Any]:
    app = Celery("benchmark", broker=url.replace("unix://", "redis+socket://"))
    app.conf.update(worker_prefetch_multiplier=100, worker_hijack_root_logger=False)

    def noop(at: int, **_: str) -> None:
        handle(at)

    return app, app.task(name="noop")(noop)


if __name__ == "__main__":
    main(CeleryPeer())
