"""huey, with 2 worker threads and its blocking pop."""

from typing import Any

from huey import RedisHuey

from benchmarks.peers.protocol import Handle, Payload, Peer, main


class Huey(Peer):
    async def open(self, url: str) -> None:
        _, self._noop = _task(url, lambda _: None)

    async def enqueue(self, payload: Payload) -> None:
        self._noop(**payload)

    async def enqueue_delayed(self, payload: Payload, seconds: float) -> None:
        self._noop.schedule(kwargs=payload, delay=seconds)

    def work(self, url: str, concurrency: int, handle: Handle) -> None:
        huey, _ = _task(url, handle)
        huey.create_consumer(workers=concurrency, periodic=False).run()


def _task(url: str, handle: Handle) -> tuple[Any, Any]:
    huey = RedisHuey("benchmark", url=url)

    def noop(at: int, **_: str) -> None:
        handle(at)

    return huey, huey.task(name="noop")(noop)


if __name__ == "__main__":
    main(Huey())
