"""`evq cancel`, `evq replay`, `evq remove`, `evq purge` and `evq drain`."""

import os
import pty

import pytest

from evq.ids import new_id
from tests.cli.conftest import Evq, Run, start


def states(evq: Evq, name: str, *ids: str) -> list[str]:
    return [evq("job", name, job_id, "--json").json["state"] for job_id in ids]


def enqueue(evq: Evq, name: str, task: str, *options: str) -> str:
    return evq("enqueue", name, task, *options).out.strip()


def test_jobs_are_cancelled_by_their_ids(evq: Evq, name: str, run_jobs: Run) -> None:
    ended, waiting, unknown = enqueue(evq, name, "send", "to=a"), enqueue(evq, name, "send", "--delay=1h"), new_id()
    run_jobs()
    done = evq("cancel", name, waiting, waiting)
    assert (done.code, done.out) == (0, f"{waiting} cancelled\n")

    done = evq("cancel", name, ended, unknown)
    assert (done.code, done.out) == (1, f"{ended} has ended already\n{unknown} is not there, or not any more\n")
    assert states(evq, name, ended, waiting) == ["completed", "cancelled"]


def test_all_pending_jobs_are_cancelled(evq: Evq, name: str, run_jobs: Run) -> None:
    parked = enqueue(evq, name, "unheard-of")
    run_jobs()
    others = [enqueue(evq, name, "send", *options) for options in ((), ("--group=g",), ("--delay=1h",))]
    assert states(evq, name, parked, *others) == ["parked", "waiting", "waiting", "delayed"]

    assert evq("cancel", name, "--all", "--yes", "--json").json == {"cancelled": 4}
    assert states(evq, name, parked, *others) == ["cancelled"] * 4


@pytest.mark.parametrize(
    ("narrowed", "cancelled"), [(("--task=a",), [0, 1, 3]), (("--group=g",), [1, 2]), (("--state=delayed",), [3])]
)
def test_a_choice_of_jobs_is_cancelled(evq: Evq, name: str, narrowed: tuple[str, ...], cancelled: list[int]) -> None:
    made = [("a",), ("a", "--group=g"), ("b", "--group=g"), ("a", "--delay=1h"), ("b",)]
    ids = [enqueue(evq, name, *job) for job in made]
    evq("cancel", name, "--all", "--yes", *narrowed)

    assert [n for n, state in enumerate(states(evq, name, *ids)) if state == "cancelled"] == cancelled


def test_failed_jobs_run_again(evq: Evq, name: str, run_jobs: Run) -> None:
    first, second = enqueue(evq, name, "refuse", "why=a"), enqueue(evq, name, "refuse", "why=b")
    run_jobs()
    assert evq("replay", name, first).code == 0
    assert states(evq, name, first, second) == ["waiting", "failed"]
    assert evq("replay", name, "--all", "--task=send", "--yes").out == "0 jobs replayed\n"
    assert evq("replay", name, "--all", "--yes").out == "1 job replayed\n"

    done = evq("replay", name, first, "--json")
    assert (done.code, done.out) == (1, f'[{{"id":"{first}","outcome":"not_ended"}}]\n')


def test_jobs_are_removed_and_purged(evq: Evq, name: str, run_jobs: Run) -> None:
    ids = [enqueue(evq, name, "send", f"to={n}") for n in range(3)]
    run_jobs()
    assert evq("remove", name, ids[0]).code == 0
    assert evq("job", name, ids[0]).code == 1
    assert evq("purge", name, "completed", "--older-than=1h", "--yes").out == "0 jobs deleted\n"
    assert evq("purge", name, "completed", "--yes", "--json").json == {"deleted": 2}
    assert evq("jobs", name, "--state=completed", "--json").json == []


def test_a_queue_is_drained(evq: Evq, name: str) -> None:
    of_group = ("--group=g",)
    ids = [
        enqueue(evq, name, "send", *options) for options in ((), of_group, ("--delay=1h", *of_group), ("--delay=1h",))
    ]
    assert evq("drain", name, *of_group, "--yes", "--json").json == {"cancelled": 2}
    assert evq("drain", name, "--yes", "--json").json == {"cancelled": 2}
    assert states(evq, name, *ids) == ["cancelled"] * 4


@pytest.mark.parametrize("many", [("cancel", "--all"), ("replay", "--all"), ("purge", "completed"), ("drain",)])
def test_many_jobs_need_a_yes(evq: Evq, name: str, many: tuple[str, ...]) -> None:
    job_id = enqueue(evq, name, "send")
    done = evq(many[0], name, *many[1:])

    assert done.code == 2
    assert "--yes" in done.err
    assert states(evq, name, job_id) == ["waiting"]


@pytest.mark.parametrize("wrong", [(), ("--all", "X"), ("X", "--state=waiting"), ("X", "--group=g")])
def test_ids_and_a_choice_do_not_mix(evq: Evq, name: str, wrong: tuple[str, ...]) -> None:
    assert evq("cancel", name, *wrong, "--yes").code == 2


@pytest.mark.parametrize(("answer", "code", "state"), [(b"n\n", 1, "waiting"), (b"y\n", 0, "cancelled")])
def test_in_a_terminal_it_asks(evq: Evq, name: str, redis_url: str, answer: bytes, code: int, state: str) -> None:
    job_id = enqueue(evq, name, "send")
    ours, theirs = pty.openpty()
    process = start("drain", name, redis_url=redis_url, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    asked = b""
    while b"[y/N]" not in asked:
        asked += os.read(ours, 1000)
    os.write(ours, answer)

    assert process.wait(10) == code
    assert states(evq, name, job_id) == [state]
    os.close(ours)
