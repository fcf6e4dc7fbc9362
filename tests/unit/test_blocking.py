"""Calling from code that cannot await."""

import subprocess
import sys
import traceback

import pytest

from evq import UsageError, blocking


async def answer() -> int:
    return 42


async def fail() -> None:
    raise ValueError("as told")


def test_a_blocking_call_waits_for_the_result() -> None:
    assert blocking(answer)() == 42


def test_an_error_comes_as_it_was_raised() -> None:
    with pytest.raises(ValueError, match="as told") as failed:
        blocking(fail)()
    assert "During handling" not in "".join(traceback.format_exception(failed.value))


@pytest.mark.anyio
async def test_a_blocking_call_is_refused_where_one_can_await() -> None:
    with pytest.raises(UsageError, match="can be awaited"):
        blocking(answer)()


FORKING = """
import os, sys
from evq import blocking

async def answer():
    return 42

assert blocking(answer)() == 42
child = os.fork()
if child == 0:
    sys.exit(0 if "--call" not in sys.argv or blocking(answer)() == 42 else 1)
print(os.waitpid(child, 0)[1])
"""


@pytest.mark.parametrize("options", [(), ("--call",)], ids=["ends", "calls"])
def test_a_forked_child_ends_and_has_a_loop_of_its_own(options: tuple[str, ...]) -> None:
    command = [sys.executable, "-c", FORKING, *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    assert (done.stdout, done.stderr) == ("0\n", "")
