"""`evq worker`: run the jobs of a queue."""

import gc
import logging
import os
import signal
import sys
import threading
from collections.abc import Awaitable, Callable
from functools import partial
from importlib.util import find_spec

import anyio
import click

from evq.logs import set_up
from evq.place import load_queue
from evq.pool import WorkerPool
from evq.worker import Worker

log = logging.getLogger("evq.cli")

LATEST = 4.0
"""How long beyond its grace time a process may take to end, s; its pool kills it soon after."""
LEAVE = 1.0
"""How long the process may take to end once its jobs have, s."""
YOUNG = 10_000
"""How many objects more than were let go the collector lets come before it looks for garbage among them."""


@click.command()
@click.argument("target", metavar="MODULE:QUEUE")
@click.option("--processes", type=click.IntRange(1, 1024), help="Worker processes.  [default: WORKER_COUNT, or 4]")
@click.option(
    "--capacity", type=click.IntRange(1, 1024), help="At most, when scaled.  [default: as many, or as CPUs if more]"
)
@click.option(
    "--concurrency", type=click.IntRange(1, 10_000), default=1, show_default=True, help="Jobs at a time, each."
)
@click.option("--grace", type=click.FloatRange(0), default=30.0, show_default=True, help="Time to drain, s.")
@click.option("--burst", is_flag=True, help="End when no job can start; in this one process.")
@click.option("--log-level", type=click.Choice(["DEBUG", "INFO", "WARNING", "ERROR"]), default="INFO")
def worker(
    target: str,
    processes: int | None,
    capacity: int | None,
    concurrency: int,
    grace: float,
    burst: bool,
    log_level: str,
) -> None:
    """Run the jobs of the queue QUEUE in the module MODULE, until SIGTERM or Ctrl-C; a second one ends at once.

    Redis is where EVQ_REDIS_URL says, or REDIS_HOST and REDIS_PORT.
    """
    set_up(log_level)
    queue = load_queue(target)
    single = Worker(queue, concurrency=concurrency, grace=grace)  # also tells what is wrong before a pool is started
    pool_pid = os.environ.pop("EVQ_POOL_PID", None)  # said to us, and not to programs that handlers start
    if burst and (capacity or (processes or 1) > 1):
        raise click.UsageError("--burst runs in this one process: leave --processes and --capacity out")
    if burst or pool_pid:
        # Hundreds of jobs that run at once are no garbage, and what is imported by now never will be: to look at them
        # again and again, as by default after 700 objects, takes a fifth of a worker's time.
        gc.freeze()
        gc.set_threshold(YOUNG)
        loop = {"use_uvloop": find_spec("uvloop") is not None}
        sys.exit(anyio.run(_run_here, single, burst, pool_pid, backend_options=loop))
    pool = WorkerPool(
        target,
        queue=queue,
        processes=processes,
        capacity=capacity,
        concurrency=concurrency,
        grace=grace,
        log_level=log_level,
    )
    sys.exit(anyio.run(_run, pool.run, pool.stop, pool.kill))


async def _run_here(worker: Worker, burst: bool, pool_pid: str | None) -> int:
    """Run jobs in this process; a handler that does not stop must not keep it."""

    def drain() -> None:
        _exit_within(worker.grace + LATEST)
        worker.stop()

    async with worker.queue, anyio.create_task_group() as group:
        if pool_pid:
            group.start_soon(_follow, int(pool_pid), drain)
        # A pool ends its processes at once by SIGKILL. Some service managers send SIGTERM to all, as the pool does too:
        # that is one wish, not two.
        code = await _run(partial(worker.run, burst=burst), drain, None if pool_pid else lambda: os._exit(1))
        group.cancel_scope.cancel()
    _exit_within(LEAVE)
    return code


async def _run(run: Callable[[], Awaitable[None]], drain: Callable[[], None], end: Callable[[], None] | None) -> int:
    """Run until told to *drain* by a signal; by a second one, *end* at once. Return the exit code."""
    code = 0

    async def answer_signals() -> None:
        nonlocal code
        try:
            with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
                await anext(signals)
                drain()
                await anext(signals)
                if end:
                    log.error("ended at once, as told; the jobs run again when their leases run out")
                    code = 1
                    end()
        finally:  # it has ended already, and in good order
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            signal.signal(signal.SIGINT, signal.SIG_IGN)

    async with anyio.create_task_group() as group:
        group.start_soon(answer_signals)
        await run()
        group.cancel_scope.cancel()
    return code


async def _follow(pool_pid: int, drain: Callable[[], None]) -> None:
    """Drain when the pool that started this process is gone."""
    while os.getppid() == pool_pid:  # noqa: ASYNC110 - nothing tells of a parent's end
        await anyio.sleep(1)
    drain()


def _exit_within(seconds: float) -> None:
    def end() -> None:
        log.error("the process is ended, since something in it does not stop")
        os._exit(1)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
