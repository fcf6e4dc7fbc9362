"""What the suite and the program of a queue say to each other: one line of JSON each way, on stdin and stdout.

A program is started twice. As a producer it is told {"call": ..., "count": n, "limit": s}, does that until it is done
or the time is over, and answers {"count": how many it enqueued, "seconds": how long that took}. As a worker it runs
jobs all the time, is told {"call": "wait", "count": n, "limit": s}, and answers, when n jobs have run or the time is
over, with {"count": n, "seconds": from the first to the last, "ages": how late each began that has a time, µs}.

It needs nothing but the standard library, since every queue imports it in its own environment.
"""

import asyncio
import contextlib
import json
import logging
import os
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final, TextIO

Payload = dict[str, Any]
Handle = Callable[[int], None]

PAYLOAD: Final[Payload] = {
    "at": 0,
    "to": "guest.of.the.spring.meeting@example.org",
    "ticket": "0123456789ABCDEFGHJKMNPQRS",
    "subject": "Your ticket for the spring meeting is here",
}
"""As JSON some 150 bytes; *at* is when its handler should begin, µs, or 0 if nobody asks."""
TOGETHER: Final = 1_000
"""Jobs enqueued concurrently, or in one bulk."""
WARM: Final = 50
"""Jobs that a producer enqueues before it is asked to."""
PAUSE: Final = 0.02
"""Between two jobs for an idle worker, s."""
DELAY: Final = 1.0
"""How long a delayed job is put off, s."""


class Peer:
    """A queue: each program has one, and overrides what it can do."""

    async def open(self, url: str) -> None:
        """Connect as a producer."""
        raise NotImplementedError

    async def enqueue(self, payload: Payload) -> None:
        raise NotImplementedError

    async def enqueue_many(self, payloads: list[Payload]) -> None:
        raise NotImplementedError

    async def enqueue_delayed(self, payload: Payload, seconds: float) -> None:
        raise NotImplementedError

    def work(self, url: str, concurrency: int, handle: Handle) -> None:
        """Run jobs for ever, and call *handle* with the `at` of each."""
        raise NotImplementedError


def main(peer: Peer) -> None:
    """Be what the command line says: `produce URL`, or `work URL CONCURRENCY`."""
    logging.basicConfig(level=logging.WARNING)
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a queue prints, it is no answer
    role, url, *rest = sys.argv[1:]
    if role == "produce":
        run(_produce(peer, url, answers))
    else:
        runs = Runs()
        threading.Thread(target=_report, args=(runs, answers), daemon=True).start()
        peer.work(url, int(rest[0]), runs.note)


def run(work: Awaitable[None]) -> None:
    """Run a coroutine, on uvloop where it is installed."""

    async def wait() -> None:
        await work

    factory = None
    with contextlib.suppress(ImportError):
        import uvloop  # noqa: PLC0415 - not every environment has it

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(wait())


def now() -> int:
    """Return the time in µs by a clock that all processes of a machine share."""
    return time.monotonic_ns() // 1_000


def _asked() -> Iterator[dict[str, Any]]:
    """Yield what the suite asks, until it has no more questions."""
    while line := sys.stdin.readline():
        yield json.loads(line)


def _answer(answers: TextIO, answer: dict[str, Any]) -> None:
    answers.write(json.dumps(answer) + "\n")
    answers.flush()


# The producer


async def _produce(peer: Peer, url: str, answers: TextIO) -> None:
    await peer.open(url)
    for _ in range(WARM):
        await peer.enqueue(PAYLOAD)
    _answer(answers, {"count": WARM})
    calls = {"single": _single, "gather": _gather, "bulk": _bulk, "idle": _idle, "delayed": _delayed}
    for asked in _asked():
        start = time.perf_counter()
        count = 0
        while count < asked["count"] and time.perf_counter() - start < asked["limit"]:
            count += await calls[asked["call"]](peer, asked["count"] - count)
        _answer(answers, {"count": count, "seconds": time.perf_counter() - start})


async def _single(peer: Peer, count: int) -> int:
    count = min(count, 100)
    for _ in range(count):
        await peer.enqueue(PAYLOAD)
    return count


async def _gather(peer: Peer, count: int) -> int:
    count = min(count, TOGETHER)
    await asyncio.gather(*[peer.enqueue(PAYLOAD) for _ in range(count)])
    return count


async def _bulk(peer: Peer, count: int) -> int:
    count = min(count, TOGETHER)
    await peer.enqueue_many([PAYLOAD] * count)
    return count


async def _idle(peer: Peer, _: int) -> int:
    await asyncio.sleep(PAUSE)
    await peer.enqueue({**PAYLOAD, "at": now()})
    return 1


async def _delayed(peer: Peer, _: int) -> int:
    await asyncio.sleep(PAUSE)
    await peer.enqueue_delayed({**PAYLOAD, "at": now() + round(1e6 * DELAY)}, DELAY)
    return 1


# The worker


class Runs:
    """When jobs began, and how late; threads may note them."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._ages: list[int] = []

    def note(self, at: int) -> None:
        start = now()
        if at:
            self._ages.append(start - at)
        self._starts.append(start)

    def wait(self, count: int, limit: float) -> dict[str, Any]:
        """Wait for *count* jobs, at most *limit* s, and forget them."""
        give_up = time.monotonic() + limit
        while len(self._starts) < count and time.monotonic() < give_up:
            time.sleep(0.02)
        starts, ages = self._starts, self._ages
        self._starts, self._ages = [], []
        seconds = (max(starts) - min(starts)) / 1e6 if starts else 0.0
        return {"count": len(starts), "seconds": seconds, "ages": ages}


def _report(runs: Runs, answers: TextIO) -> None:
    for asked in _asked():
        _answer(answers, runs.wait(asked["count"], asked["limit"]))
    os._exit(0)  # the suite has ended, or has no more use for this worker
