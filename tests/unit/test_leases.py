"""The table of leases that a worker shares with its heart."""

import os
import time
from collections.abc import Iterator

import pytest

from evq.ids import new_id
from evq.leases import Leases


@pytest.fixture
def table() -> Iterator[Leases]:
    table = Leases.make(3, b'{"worker": "w"}')
    yield table
    table.close()


@pytest.fixture
def heart(table: Leases) -> Iterator[Leases]:
    """The same table, as another process maps it."""
    heart = Leases(os.dup(table.fd))
    yield heart
    heart.close()


def later() -> float:
    return time.monotonic() + 60


def test_what_is_held_is_seen_by_the_heart_until_it_is_released(table: Leases, heart: Leases) -> None:
    first, second = new_id(), new_id()
    assert heart.read() == []
    table.hold(first, 1, later())
    table.hold(second, (1 << 53) - 1, later())
    assert sorted(heart.read()) == [(first, 1), (second, (1 << 53) - 1)]
    table.release(first, 1)
    assert heart.read() == [(second, (1 << 53) - 1)]


def test_two_leases_of_one_job_are_told_apart(table: Leases, heart: Leases) -> None:
    job_id = new_id()
    table.hold(job_id, 1, later())
    table.hold(job_id, 2, later())
    table.release(job_id, 1)
    assert heart.read() == [(job_id, 2)]


def test_a_lease_past_its_time_is_not_extended(table: Leases, heart: Leases) -> None:
    table.hold(new_id(), 1, time.monotonic())
    assert heart.read() == []


def test_all_slots_can_be_used_again_and_again(table: Leases, heart: Leases) -> None:
    for _ in range(10):
        ids = [new_id() for _ in range(3)]
        for job_id in ids:
            table.hold(job_id, 7, later())
        assert {job_id for job_id, _ in heart.read()} == set(ids)
        for job_id in ids:
            table.release(job_id, 7)


def test_releasing_what_is_not_held_changes_nothing(table: Leases, heart: Leases) -> None:
    job_id = new_id()
    table.hold(job_id, 1, later())
    table.release(job_id, 2)
    assert heart.read() == [(job_id, 1)]


def test_the_heart_sees_when_the_loop_turned_and_what_it_is_to_know(table: Leases, heart: Leases) -> None:
    before = time.monotonic()
    table.turn()
    assert before <= heart.turned <= time.monotonic()
    assert heart.config == b'{"worker": "w"}'
