import os
import threading
import time

import pytest

from evq import ids
from evq.ids import ALPHABET, WIDTH, is_id, new_id


def test_ids_have_one_width_and_alphabet() -> None:
    made = [new_id() for _ in range(1000)]
    assert {len(job_id) for job_id in made} == {WIDTH}
    assert set("".join(made)) <= set(ALPHABET)
    assert all(is_id(job_id) for job_id in made)


def test_ids_are_unique_and_ordered() -> None:
    made = [new_id() for _ in range(100_000)]
    assert made == sorted(set(made))


def test_ids_of_several_threads_are_unique() -> None:
    made: list[str] = []
    threads = [threading.Thread(target=lambda: made.extend([new_id() for _ in range(5000)])) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == 20_000


def test_a_clock_that_is_set_back_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    before = new_id()
    monkeypatch.setattr(time, "time_ns", lambda: 0)
    assert new_id() > before


def test_a_full_millisecond_borrows_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = ids._Generator()
    monkeypatch.setattr(time, "time_ns", lambda: 10**18)
    first = generator.new()
    generator._count = 32**5 - 2
    last, following = generator.new(), generator.new()
    assert first < last < following
    assert following[:10] > last[:10]
    assert len(following) == WIDTH


def test_a_forked_child_does_not_repeat_its_parents_ids() -> None:
    new_id()
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(writer, new_id().encode())
        os._exit(0)
    os.waitpid(pid, 0)
    childs = os.read(reader, WIDTH).decode()
    os.close(reader)
    os.close(writer)
    assert childs[10:21] != new_id()[10:21]


@pytest.mark.parametrize("text", ["", "x", "0" * 25, "0" * 27, "I" * 26, "0" * 25 + "\n", "0" * 25 + "l"])
def test_what_is_no_id_is_told_apart(text: str) -> None:
    assert not is_id(text)
