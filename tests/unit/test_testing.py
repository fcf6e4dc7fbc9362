"""What we give to others for their tests."""

import os
import re
import subprocess
import sys
import time
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

from evq import Context, JobFailed, JobProgress, PayloadError, Queue, RetryPolicy, SyncContext, TemporaryError
from evq.errors import LeaseLost, Retry, Snooze
from evq.testing import run_inline

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]


@pytest.fixture
def queue() -> Queue:
    return Queue("inline", redis="redis://127.0.0.1:1/0")  # where there is none


async def test_payload_and_result_go_through_json(queue: Queue) -> None:
    seen: list[Any] = []

    @queue.task
    async def work(pair: Any) -> Any:
        seen.append(pair)
        return pair, None

    assert (await run_inline(work, pair=(1, 2))).result == [[1, 2], None]
    assert seen == [[1, 2]]


async def test_a_payload_that_does_not_fit_is_refused_as_by_enqueue(queue: Queue) -> None:
    @queue.task
    async def work(a: int) -> None: ...

    with pytest.raises(PayloadError, match="'a'"):
        await run_inline(work, b=1)


async def test_progress_is_collected_from_the_loop_and_from_threads(queue: Queue) -> None:
    @queue.task
    async def work(ctx: Context) -> int:
        await ctx.progress(10, step="begun")
        await ctx.progress(20)
        return ctx.attempt

    @queue.task
    def plain(ctx: SyncContext) -> None:
        time.sleep(0.001)
        ctx.progress(10, step="begun")
        ctx.progress(20)

    shown = tuple(JobProgress(percentage=percentage, current_step="begun") for percentage in (10, 20))
    attempt = await run_inline(work)
    assert (attempt.event, attempt.result, attempt.progress) == ("completed", 1, shown)
    assert (await run_inline(plain)).progress == shown


@pytest.mark.parametrize(
    ("raised", "event", "delay"),
    [
        (TemporaryError("busy"), "retried", 2.0),
        (Retry(after=7), "retried", 7.0),
        (Snooze(3), "snoozed", 3.0),
        (ValueError("wrong"), "failed", None),
    ],
)
async def test_what_is_raised_is_judged_as_by_a_worker(
    queue: Queue, raised: Exception, event: str, delay: float | None
) -> None:
    @queue.task(retry=RetryPolicy(jitter=0))
    async def work() -> None:
        raise raised

    attempt = await run_inline(work)
    assert (attempt.event, attempt.delay) == (event, delay)
    with pytest.raises(JobFailed) as failed:
        assert attempt.result
    assert failed.value.type == type(raised).__name__


async def test_a_result_that_is_not_json_fails(queue: Queue) -> None:
    @queue.task
    async def work() -> object:
        return object()

    attempt = await run_inline(work)
    assert attempt.error is not None
    assert (attempt.event, attempt.error.type) == ("failed", "ValidationError")


async def test_a_lease_that_the_handler_takes_for_lost_is_said_to_be(queue: Queue) -> None:
    @queue.task
    async def work(ctx: Context) -> None:
        raise LeaseLost(ctx.job_id)

    with pytest.raises(LeaseLost):
        await run_inline(work)


async def test_an_isolated_task_runs_in_the_test_itself(queue: Queue) -> None:
    @queue.task(isolation="process")
    async def work() -> int:
        return os.getpid()

    assert (await run_inline(work)).result == os.getpid()


# The plugin


def test_pytest_finds_the_plugin() -> None:
    (plugin,) = entry_points(group="pytest11", name="evq")
    assert plugin.value == "evq_pytest"


def test_the_plugin_imports_nothing_of_evq_until_it_is_used() -> None:
    program = "import evq_pytest, sys; sys.exit('evq' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False).returncode == 0


def test_the_examples_of_the_page_about_testing_pass(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "how-to" / "testing.md").read_text(encoding="utf-8")
    program, *tests = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    (tmp_path / "mail.py").write_text(program)
    (tmp_path / "test_mail.py").write_text("\n".join(tests))
    plugins = ["-p", "anyio.pytest_plugin", "-p", "evq_pytest", "-W", "error", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *plugins, "test_mail.py"],
        cwd=tmp_path,
        env=os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "4 passed" in done.stdout, done.stdout + done.stderr
