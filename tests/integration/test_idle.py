"""What a worker costs that has nothing to do."""

import os
import sys

import anyio
import psutil
import pytest
from redis.asyncio import Redis

from evq.embedded import private_redis

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

SETTLED = 12.0
"""By then the worker and its heart have started, and done everything once, s."""
SECONDS = 60.0
"""A multiple of all the periods in which they do something, s."""


async def test_an_idle_worker_costs_less_than_1_percent_of_a_core_and_2_commands_a_second() -> None:
    sent = 0
    target = "tests.integration.mixed_jobs:queue"
    with private_redis() as url:
        # One process, as a pool starts it.
        environ = os.environ | {"EVQ_REDIS_URL": url, "EVQ_POOL_PID": str(os.getpid())}
        async with (
            await anyio.open_process([sys.executable, "-m", "evq", "worker", target], env=environ) as worker,
            Redis.from_url(url) as redis,
        ):
            await anyio.sleep(SETTLED)
            cpu = cpu_of(worker.pid)
            async with redis.monitor() as monitor:
                with anyio.move_on_after(SECONDS):
                    async for command in monitor.listen():
                        sent += command["client_type"] != "lua"
            cpu = cpu_of(worker.pid) - cpu
            worker.terminate()
    print(f"idle: {100 * cpu / SECONDS:.2f} % of a core, {sent / SECONDS:.2f} commands a second")
    assert cpu / SECONDS < 0.01
    assert sent / SECONDS < 2


def cpu_of(pid: int) -> float:
    """Return the CPU time that a worker and its heart have taken, s."""
    worker = psutil.Process(pid)
    return sum(sum(process.cpu_times()[:2]) for process in (worker, *worker.children()))
