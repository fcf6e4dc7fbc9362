"""`evq worker`: run the jobs of a queue."""

import importlib
import os
import signal
import sys
import threading
from collections.abc import Awaitable, Callable

import anyio
import click

from evq.cli.logs import set_up
from evq.errors import UsageError
from evq.pool import WorkerPool
from evq.queue import Queue
from evq.settings import worker_count
from evq.worker import Worker

LEAVE = 2.0
"""How long the process may take to end once its jobs have, s."""


@click.command()
@click.argument("target", metavar="MODULE:QUEUE")
@click.option("--processes", type=click.IntRange(1, 1024), help="Worker processes.  [default: WORKER_COUNT, or 4]")
@click.option(
    "--concurrency", type=click.IntRange(1, 10_000), default=1, show_default=True, help="Jobs at a time, each."
)
@click.option("--grace", type=click.FloatRange(0), default=30.0, show_default=True, help="Time to drain, s.")
@click.option("--burst", is_flag=True, help="End when no job is waiting; with --processes 1.")
@click.option("--log-level", type=click.Choice(["DEBUG", "INFO", "WARNING", "ERROR"]), default="INFO")
def worker(target: str, processes: int | None, concurrency: int, grace: float, burst: bool, log_level: str) -> None:
    """Run the jobs of the queue QUEUE in the module MODULE, until SIGTERM or Ctrl-C; a second one ends at once.

    Redis is where EVQ_REDIS_URL says, or REDIS_HOST and REDIS_PORT.
    """
    set_up(log_level)
    queue = load_queue(target)
    single = Worker(queue, concurrency=concurrency, grace=grace)  # also tells what is wrong before a pool is started
    count = processes or worker_count()
    if count == 1:
        anyio.run(_run, lambda: single.run(burst=burst), single.stop, lambda: os._exit(1))
    elif burst:
        raise click.UsageError("--burst goes with --processes 1")
    else:
        pool = WorkerPool(target, processes=count, concurrency=concurrency, grace=grace, log_level=log_level)
        anyio.run(_run, pool.run, pool.stop, pool.kill)


def load_queue(target: str) -> Queue:
    """Import the queue at `module:attribute`; raise `UsageError` that says what is not there."""
    module_name, _, attribute = target.partition(":")
    if not module_name or not attribute:
        raise UsageError(f"{target!r}: say MODULE:QUEUE, such as shop.jobs:queue")
    if (here := str(os.getcwd())) not in sys.path:  # noqa: PTH109 - sys.path holds strings
        sys.path.insert(0, here)
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise UsageError(f"{target}: {error}; it is looked for in {here} and among the installed packages") from error
    queue = getattr(module, attribute, None)
    if not isinstance(queue, Queue):
        raise UsageError(f"{target}: {module_name} has no queue of the name {attribute!r}")
    return queue


async def _run(run: Callable[[], Awaitable[None]], drain: Callable[[], None], end: Callable[[], None]) -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(_answer_signals, drain, end)
        if pool_pid := os.environ.pop("EVQ_POOL_PID", None):  # ours, and not that of programs that handlers start
            group.start_soon(_follow, int(pool_pid), drain)
        await run()
        group.cancel_scope.cancel()
    # A handler that would not stop was left behind, and must not keep the process.
    timer = threading.Timer(LEAVE, os._exit, [1])
    timer.daemon = True
    timer.start()


async def _answer_signals(drain: Callable[[], None], end: Callable[[], None]) -> None:
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        answers = [drain, end]
        async for _ in signals:
            answers[0]()
            del answers[: len(answers) - 1]


async def _follow(pool_pid: int, drain: Callable[[], None]) -> None:
    """Drain when the pool that started this process is gone."""
    while os.getppid() == pool_pid:  # noqa: ASYNC110 - nothing tells of a parent's end
        await anyio.sleep(1)
    drain()
