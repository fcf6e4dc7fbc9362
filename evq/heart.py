"""The heart of a worker, a process of its own: it extends the worker's leases, and takes back those of lost workers.

A process, because a handler may hold Python's interpreter lock, or keep the event loop busy, for longer than a lease
lasts, and its job is healthy all the same. `evq.heartbeat` starts it; its standard input is the table of leases, and
what it finds wrong with one goes to its standard output, a line each: id, fence, word.
"""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Sequence
from logging import getLogger
from typing import Any

import anyio
import orjson
import psutil

from evq.broker import PORTION, Broker, Reply
from evq.connection import TIMEOUT
from evq.errors import QueueUnavailable
from evq.job import WorkerInfo
from evq.keys import QueueKeys
from evq.leases import Leases
from evq.logs import set_up

log = getLogger("evq.heart")

LIMIT = 100
"""Jobs reclaimed, or promoted, in one call."""
SHORTEST = 0.5
"""How long a heart waits for replies at least, s: a silent connection must be left before the leases run out."""
SOONEST = 0.2
"""The least time between two beats, s."""
BLOCKED = 3.0
"""How long the worker's event loop may stand still before that is reported, s."""
JOBS = 100
"""How many jobs a worker names as those that it runs."""


class Heart:
    """Beats for one worker."""

    def __init__(self, leases: Leases, out: asyncio.WriteTransport) -> None:
        self._leases = leases
        self._out = out
        self._config: dict[str, Any] = orjson.loads(leases.config)
        self._about: dict[str, Any] = self._config["about"]
        self._id: str = self._about["id"]
        self._broker = Broker(
            self._config["redis"],
            QueueKeys(self._config["queue"]),
            keep_ms=self._config["keep_ms"],
            keep_count=self._config["keep_count"],
            timeout=min(TIMEOUT, max(SHORTEST, self._config["lease_ms"] / 6000)),
        )
        self._process = psutil.Process(self._about["pid"])
        self._sampled, self._cpu_sampled = time.monotonic(), self._cpu_time()
        self._elapsed = self._busy = self._cpu = 0.0  # s since the last beat; busy is the sum over all slots
        self._rates = 0.0, 0.0
        self._reported = 0.0

    async def run(self) -> None:
        """Beat until the worker is gone; what it still held is taken over when its leases run out."""
        async with anyio.create_task_group() as group:
            group.start_soon(self._beat_on)
            while self._worker_lives():
                self._leases.turn_heart()
                await anyio.sleep(1)
                self._sample()
                self._watch_loop()
            group.cancel_scope.cancel()
        await self._broker.close()

    def _worker_lives(self) -> bool:
        return bool(os.getppid() == self._process.pid)

    def _worker_is_stopped(self) -> bool:
        """Tell a worker that is stopped, which may be for ever, from one that is merely busy."""
        return bool(self._process.status() == psutil.STATUS_STOPPED)

    async def _beat_on(self) -> None:
        while True:
            due = await self._try_beat()
            try:  # pause, but not longer than until a job that runs here is cancelled
                await self._broker.next_told(f"{self._id}.heart", round(due * 1000))
            except QueueUnavailable:
                await anyio.sleep(SOONEST)

    async def _try_beat(self) -> float:
        try:
            return await self._beat()
        except (QueueUnavailable, psutil.NoSuchProcess):
            # The worker itself reports an outage; leases are extended as soon as Redis is back.
            return SOONEST
        except Exception:
            log.exception("a heartbeat failed", extra={"worker": self._id})
            return SOONEST

    async def _beat(self) -> float:
        """Extend the leases, take back lost ones; return the seconds until the next beat is due."""
        if self._worker_lives() and not self._worker_is_stopped():
            await self._extend(self._leases.read())
        due_ms = await self._broker.maintain(LIMIT)
        period: float = self._config["lease_ms"] / 3000
        return max(SOONEST, period if due_ms is None else min(period, due_ms / 1000))

    async def _extend(self, leases: list[tuple[str, int]]) -> None:
        beat = self._describe(leases)
        for start in range(0, max(1, len(leases)), PORTION):  # once also for a worker that runs nothing
            some = leases[start : start + PORTION]
            words = await self._broker.words("extend", some, worker=self._id, lease_ms=self._config["lease_ms"], **beat)
            for (job_id, fence), word in zip(some, words, strict=True):
                if word is not Reply.OK:
                    self._out.write(f"{job_id} {fence} {word}\n".encode())
            beat |= {"busy_ms": 0, "capacity_ms": 0, "cpu_ms": 0}  # counted with the first

    # What the worker does

    def _sample(self) -> None:
        """Add up what the worker has done since the last time; each second, so that short jobs count on the average."""
        elapsed = time.monotonic() - self._sampled
        cpu = self._cpu_time() - self._cpu_sampled
        self._sampled += elapsed
        self._cpu_sampled += cpu
        self._elapsed += elapsed
        self._busy += elapsed * self._running(self._leases.read())
        self._cpu += cpu

    def _describe(self, leases: list[tuple[str, int]]) -> dict[str, Any]:
        """Say what the worker runs, and what it has done since this was last asked."""
        capacity = self._elapsed * self._about["concurrency"]
        if self._elapsed:  # else what was said last still holds
            self._rates = round(self._busy / capacity, 3), round(self._cpu / self._elapsed, 3)
        utilisation, cpu = self._rates
        rss = self._process.memory_info().rss
        jobs = tuple(job_id for job_id, _ in leases[:JOBS])
        info = WorkerInfo(
            **self._about, running=self._running(leases), jobs=jobs, utilisation=utilisation, cpu=cpu, rss=rss
        )
        beat: dict[str, Any] = {
            "info": info.dump(),
            "busy_ms": round(self._busy * 1000),
            "capacity_ms": round(capacity * 1000),
            "cpu_ms": round(self._cpu * 1000),
            "rss": rss,
        }
        self._elapsed = self._busy = self._cpu = 0.0
        return beat

    def _running(self, leases: Sequence[object]) -> int:
        """Count the jobs that run: beside their leases there are those of jobs that are being settled."""
        concurrency: int = self._about["concurrency"]
        return min(len(leases), concurrency)

    def _cpu_time(self) -> float:
        times = self._process.cpu_times()
        return float(times.user + times.system)

    def _watch_loop(self) -> None:
        """Report an event loop that does not turn, once each time."""
        turned = self._leases.turned
        silent = time.monotonic() - turned
        if silent > BLOCKED and turned != self._reported and not self._worker_is_stopped():
            self._reported = turned
            jobs = [job_id for job_id, _ in self._leases.read()[:JOBS]]
            log.warning(
                "a handler blocks the event loop: make it a plain function, or await more often",
                extra={"worker": self._id, "blocked_s": round(silent, 1), "jobs": jobs},
            )


async def main() -> None:
    # A service manager may tell all processes of a service to end: the worker then drains, and needs its heart.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    set_up("WARNING")
    leases = Leases(sys.stdin.fileno())
    # Never blocks, be the worker as slow to read as it may.
    out, _ = await asyncio.get_running_loop().connect_write_pipe(asyncio.BaseProtocol, sys.stdout)
    try:
        heart = Heart(leases, out)
        out.write(b"\n")  # it begins
        await heart.run()
    except* psutil.NoSuchProcess:
        pass  # the worker is gone


if __name__ == "__main__":
    asyncio.run(main())
