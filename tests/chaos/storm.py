"""All faults at random, while producers enqueue and workers run what they can."""

import random
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable

import anyio

from evq.broker import Reply
from evq.scripts import load_scripts
from tests.chaos.actors import Process
from tests.chaos.clock import Clock
from tests.chaos.producer import GROUPS
from tests.chaos.proxy import Loss, Proxy
from tests.chaos.scene import TARGET, Scene

WORKERS = 3
BATCHES = (3, 3, 300)
"""How many jobs each producer enqueues at a time: more than a script takes are staged."""
HOUR = 3600
END = 15.0
"""How long a worker that was told to end may take, s: a silent connection is given up after 6 s, and tried again."""
CANCELS = 20
"""Jobs that one fault cancels."""


class Storm:
    """Producers and workers behind one proxy, and what befalls them.

    A fault is a method that returns whether it hit anything.
    """

    def __init__(self, scene: Scene, proxy: Proxy, clock: Clock, chance: random.Random) -> None:
        self.injected: Counter[str] = Counter()
        self._scene = scene
        self._proxy = proxy
        self._clock = clock
        self._chance = chance
        self._group = anyio.create_task_group()
        self._workers: list[Process] = []
        self._leaving: list[Process] = []
        """Those that were killed, or told to end."""

    @property
    def faults(self) -> list[Callable[[], Awaitable[bool]]]:
        workers = [self.kill_worker, self.stop_worker, self.suspend_worker, self.step_clocks]
        clients = [self.cancel_jobs, self.pause]
        redis = [self.kill_redis, self.kill_clients, self.forget_scripts]
        network = [self.cut, self.freeze, self.slow_down, self.lose_a_request, self.lose_a_reply]
        return [*workers, *redis, *network, *clients]

    async def rage(self, seconds: float) -> None:
        """Inject a fault each moment, each kind as often as the others; then let everything heal."""
        producers = [
            self._start("-m", "tests.chaos.producer", str(self._chance.randrange(1 << 32)), str(size), "0")
            for size in BATCHES
        ]
        self._workers = [self._start_worker() for _ in range(WORKERS)]
        await self._limit(GROUPS[0], concurrency=1)
        await self._limit(GROUPS[1], rate=20, burst=5)
        await self._scene.journal.wait_for("started", count=WORKERS)
        end = time.monotonic() + seconds
        async with self._group:
            while time.monotonic() < end:
                for fault in self._chance.sample(self.faults, len(self.faults)):
                    self.injected[fault.__name__] += await fault()
                    await anyio.sleep(self._chance.uniform(0.1, 0.5))
                counts = await self._scene.queue.counts()
                print(f"{end - time.monotonic():5.0f} s to go; {self.injected.total()} faults; {counts}", flush=True)
        for producer in producers:
            producer.kill()
        self._clock.step(0)
        for worker in self._leaving:
            await worker.ended(within=END)

    # Workers

    async def kill_worker(self) -> bool:
        worker = self._replace(await self._a_worker())
        self._broken(worker, "kill")
        worker.kill()
        return not worker.alive

    async def stop_worker(self) -> bool:
        worker = self._replace(await self._a_worker())
        self._broken(worker, "stop")
        worker.send(signal.SIGTERM)
        return True

    async def suspend_worker(self) -> bool:
        """Stop a worker where it is, for longer than its lease."""
        worker = self._replace(await self._a_worker())
        self._broken(worker, "suspend")
        worker.suspend()
        self._later(1.5 * self._scene.lease, lambda: worker.send(signal.SIGCONT))
        self._later(3 * self._scene.lease, lambda: worker.send(signal.SIGTERM))
        return worker.suspended

    async def step_clocks(self) -> bool:
        self._clock.step(self._chance.choice([-HOUR, 0, HOUR]))
        return True

    # Redis

    async def kill_redis(self) -> bool:
        self._scene.journal.write("fault", kind="outage")
        before = self._scene.redis.client.info("server")["run_id"]
        self._scene.redis.kill()
        await anyio.sleep(self._chance.uniform(0, 0.5))
        self._scene.redis.start()
        return bool(self._scene.redis.client.info("server")["run_id"] != before)

    async def kill_clients(self) -> bool:
        return int(self._scene.redis.client.execute_command("CLIENT", "KILL", "TYPE", "normal")) > 0

    async def forget_scripts(self) -> bool:
        look = "SCRIPT EXISTS", load_scripts()["reserve"].sha
        with self._scene.redis.client.pipeline() as at_once:  # before anybody sends it anew
            (before,), _, (after,) = at_once.execute_command(*look).script_flush().execute_command(*look).execute()
        return bool(before and not after)

    # The network

    async def cut(self) -> bool:
        links = set(self._proxy.links)
        self._proxy.cut()
        await anyio.sleep(0.05)
        return bool(links - self._proxy.links)

    async def freeze(self) -> bool:
        """Silence one connection; there is nothing but time to tell."""
        if not self._proxy.links:
            return False
        self._scene.journal.write("fault", kind="outage")
        self._chance.choice(list(self._proxy.links)).freeze()
        return True

    async def slow_down(self) -> bool:
        self._proxy.delay = self._chance.uniform(0.02, 0.2)
        self._later(0.5, self._speed_up)
        return bool(self._proxy.links)

    def _speed_up(self) -> None:
        self._proxy.delay = 0

    async def lose_a_request(self) -> bool:
        return await self._lose("request")

    async def lose_a_reply(self) -> bool:
        return await self._lose("reply")

    async def _lose(self, loss: Loss) -> bool:
        """Lose what is said next of an enqueue, a reserve or the end of an attempt, now or later."""
        lost = self._proxy.lost
        script = self._chance.choice(["enqueue", "stage", "mark", "move", "reserve", "ack", "backoff"])
        self._proxy.lose(load_scripts()[script].sha, loss)
        await anyio.sleep(0.3)
        return self._proxy.lost > lost

    # Clients

    async def cancel_jobs(self) -> bool:
        """Cancel some of the newest jobs, and write down which were pending."""
        cancelled = False
        for entry in self._scene.journal.entries("confirmed")[-CANCELS:]:
            if await self._scene.queue.cancel(entry.job) is Reply.CANCELLED:
                job = await self._scene.queue.get(entry.job)
                assert job is not None, f"{entry.job} was cancelled and is not there"
                self._scene.journal.write("cancelled", job.id, fence=job.record.fence)
                cancelled = True
        return cancelled

    async def pause(self) -> bool:
        await self._scene.queue.pause()
        self._scene.journal.write("paused", wall=time.time())
        await anyio.sleep(self._chance.uniform(0, 0.3))
        self._scene.journal.write("resumed", wall=time.time())
        await self._scene.queue.resume()
        return True

    # What they need

    def _broken(self, worker: Process, kind: str) -> None:
        """Write down, before it happens, that a worker may leave jobs behind from now on."""
        self._scene.journal.write("fault", kind=kind, pid=worker.pid)

    async def _limit(
        self, group: str, *, concurrency: int | None = None, rate: float | None = None, burst: int = 1
    ) -> None:
        await self._scene.queue.limit(group, concurrency=concurrency, rate=rate, burst=burst)
        self._scene.journal.write("limited", group=group, concurrency=concurrency, rate=rate, burst=burst)

    def _start(self, *arguments: str) -> Process:
        return self._scene.process(*arguments, environ={"EVQ_REDIS_URL": self._proxy.url, **self._clock.environ})

    def _start_worker(self) -> Process:
        return self._start("-m", "evq", "worker", TARGET, *("--processes", "1", "--concurrency", "4", "--grace", "0.2"))

    async def _a_worker(self) -> Process:
        """Choose a worker that is at work, as soon as there is one."""
        while not (ready := [worker for worker in self._workers if "worker started" in worker.said]):
            await anyio.sleep(0.05)
        return self._chance.choice(ready)

    def _replace(self, worker: Process) -> Process:
        """Start a worker in the place of one that is to end, one way or another; return the latter."""
        self._leaving.append(worker)
        self._workers[self._workers.index(worker)] = self._start_worker()
        return worker

    def _later(self, seconds: float, action: Callable[[], None]) -> None:
        async def act() -> None:
            await anyio.sleep(seconds)
            action()

        self._group.start_soon(act)
