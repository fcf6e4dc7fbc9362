"""The front door: `from evq import ...`."""

import inspect
import subprocess
import sys

import pytest

import evq

PROMISED = {
    "Context", "Job", "JobProgress", "JobStatus", "NetworkError", "Queue", "RetryPolicy", "TemporaryError",
    "ValidationError", "Worker", "WorkerPool",
}  # fmt: skip


def test_all_is_sorted_true_and_holds_what_was_promised() -> None:
    assert evq.__all__ == sorted(evq.__all__)
    assert all(hasattr(evq, name) for name in evq.__all__)
    assert set(evq.__all__) >= PROMISED


@pytest.mark.parametrize("name", evq.__all__)
def test_every_public_name_is_documented(name: str) -> None:
    assert inspect.getdoc(getattr(evq, name))


@pytest.mark.parametrize("name", ["Queue", "Worker", "WorkerPool", "Job", "Task", "RetryPolicy", "Context"])
def test_every_public_call_is_documented(name: str) -> None:
    members = inspect.getmembers(getattr(evq, name), inspect.isfunction)
    lacking = [member for member, function in members if not member.startswith("_") and not function.__doc__]
    assert set(lacking) <= {
        "on_completed",
        "on_failed",
        "on_cancelled",
        "on_retried",
    }  # a comment in the class speaks for the four


def test_the_library_needs_no_part_of_the_application() -> None:
    program = "import sys, evq; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert not loaded & {"litestar", "sqlalchemy", "click", "rich", "uvicorn", "evq_server", "evq_ext"}


def test_statuses_are_the_five_of_the_specification() -> None:
    assert [status.value for status in evq.JobStatus] == ["pending", "processing", "completed", "failed", "cancelled"]
    assert [status for status in evq.JobStatus if status.ended] == ["completed", "failed", "cancelled"]
