"""What holds of all commands: how they fail, what they load, how they are completed and documented."""

import os
import re
import socket
import subprocess
import sys
import time
from importlib.metadata import entry_points
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from evq.cli import cli
from tests.cli.conftest import EVQ, Evq

ROOT = Path(__file__).parents[2]
OURS = {entry.name: entry for entry in entry_points(group="evq.commands") if entry.value.startswith("evq.cli.")}
ON_QUEUES = sorted(OURS.keys() - {"worker"})
CALLS = {
    "cancel": ["--all", "--yes"],
    "drain": ["--yes"],
    "enqueue": ["send"],
    "limit": ["--none"],
    "purge": ["failed", "--yes"],
    "replay": ["--all", "--yes"],
    "scale": ["default"],
    "top": ["--once"],
}
"""How commands are called that need more than the name of a queue."""
ON_JOBS = {"job", "remove"}


def test_there_are_commands_for_all_that_a_queue_can_do() -> None:
    assert set(ON_QUEUES) == {
        *("alerts", "cancel", "drain", "enqueue", "fsck", "job", "jobs", "limit", "pause", "purge"),
        *("remove", "replay", "resume", "scale", "schedules", "stats", "top"),
    }


@pytest.mark.parametrize("command", ON_QUEUES)
def test_every_command_on_a_queue_has_json(evq: Evq, name: str, command: str) -> None:
    job_id = evq("enqueue", name, "send").out.strip()
    done = evq(command, name, *CALLS.get(command, [job_id] if command in ON_JOBS else []), "--json")

    assert (done.code, done.err) == (0, "")
    assert isinstance(done.json, dict | list)


@pytest.mark.parametrize("command", ON_QUEUES)
def test_without_redis_a_command_is_one_line_and_exit_code_1(evq: Evq, command: str) -> None:
    more = CALLS.get(command, ["X"] if command in ON_JOBS else [])
    done = evq(command, "mail", *more, "--redis", "redis://:secret@127.0.0.1:1/0")

    assert (done.code, done.out, done.err.count("\n")) == (1, "", 1)
    assert done.err.startswith("evq: cannot reach Redis at redis://:***@127.0.0.1:1/0")


def test_a_redis_that_is_silent_is_given_up_soon(evq: Evq) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        begun = time.monotonic()
        done = evq("jobs", "mail", "--redis", f"redis://127.0.0.1:{silent.getsockname()[1]}/0")

    assert (done.code, done.out, done.err.count("\n")) == (1, "", 1)
    assert "has not answered within 3 s" in done.err
    assert time.monotonic() - begun < 6  # the connection itself waits longer


def test_a_queue_that_is_not_there_is_told(evq: Evq, name: str) -> None:
    first = evq("jobs", name, "--json")
    assert first.json == []
    assert f"there is no queue {name} " in first.err

    evq("enqueue", name, "send")
    assert evq("jobs", name).err == ""


@pytest.mark.parametrize("wrong", ["no/queue", "", "x" * 101])
def test_what_cannot_be_a_queue_is_refused(evq: Evq, wrong: str) -> None:
    done = evq("jobs", wrong)
    assert (done.code, done.err.count("\n")) == (1, 1)
    assert "is no name for a queue" in done.err


def test_a_queue_of_a_program_brings_its_tasks_and_settings(
    evq: Evq, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a_program_of_the_tests.py").write_text(
        "from evq import Queue\n"
        f"queue = Queue('cli-program', redis={redis_url!r}, keep=7 * 86_400)\n"
        "@queue.task\nasync def send(to: str) -> None: ...\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setenv("EVQ_REDIS_URL", "redis://127.0.0.1:1/0")
    place = "a_program_of_the_tests:queue"

    unfit = evq("enqueue", place, "send", "address=a")
    assert (unfit.code, "'to'" in unfit.err) == (1, True)
    unknown = evq("enqueue", place, "sned", "to=a")
    assert (unknown.code, "the program has send" in unknown.err) == (2, True)
    assert evq("enqueue", place, "send", "to=a").code == 0
    assert evq("jobs", place, "--redis", redis_url).code == 2


def test_a_command_loads_no_other() -> None:
    code = (
        "import sys; from evq.cli import cli\n"
        "cli(['jobs', '--help'], standalone_mode=False)\n"
        "print(sorted({m for m in sys.modules if m.startswith(('evq.cli.', 'evq_server', 'evq.worker'))}))"
    )
    plain = {name: value for name, value in os.environ.items() if not name.startswith("EVQ_")}
    done = subprocess.run([sys.executable, "-c", code], env=plain, capture_output=True, text=True, check=True)

    loaded = done.stdout.splitlines()[-1]
    assert "evq.cli.jobs" in loaded
    assert not re.findall(r"evq_server|evq\.cli\.(?:worker|top|change|queues)", loaded)


def test_a_shell_completes_commands_and_options() -> None:
    def complete(line: str) -> list[str]:
        environ = os.environ | {"_EVQ_COMPLETE": "bash_complete", "COMP_WORDS": line}
        words = {"COMP_CWORD": str(line.count(" "))}
        done = subprocess.run([EVQ], env=environ | words, capture_output=True, text=True, check=True)
        return [word.partition(",")[2] for word in done.stdout.splitlines()]

    assert complete("evq sc") == ["scale", "schedules"]
    assert complete("evq jobs mail --state c") == ["completed", "cancelled"]


# Documents

REFERENCE = (ROOT / "docs" / "reference" / "cli.md").read_text()


def test_the_reference_has_the_help_of_every_command() -> None:
    told = dict(re.findall(r"^## evq (\w+)\n+```\n(.*?)```", REFERENCE, re.MULTILINE | re.DOTALL))

    assert sorted(told) == sorted(OURS)
    for command, text in told.items():
        said = CliRunner().invoke(cli, [command, "--help"], prog_name="evq").output
        assert text.split() == said.split(), f"docs/reference/cli.md: evq {command}"  # wrapped as it may be


def test_the_commands_of_the_guide_exist() -> None:
    guide = (ROOT / "docs" / "how-to" / "operate.md").read_text()
    lines = [line.split("  #")[0] for line in guide.splitlines() if re.match(r"evq [a-z]", line)]
    assert lines
    for line in lines:
        _, name, *words = line.split(" | ")[0].split()
        command = OURS[name].load()
        assert isinstance(command, click.Command)
        options = {option for parameter in command.params for option in parameter.opts}
        assert {word.partition("=")[0] for word in words if word.startswith("--")} <= options, line
