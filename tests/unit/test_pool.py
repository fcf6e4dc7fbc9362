import logging
import signal
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evq import Queue, UsageError, WorkerPool
from evq.pool import _Member, share

pytestmark = pytest.mark.anyio

NOBODY = Queue("pool", redis="redis://127.0.0.1:1/0")

capacities = st.dictionaries(st.text("abc", min_size=1, max_size=3), st.integers(0, 40), min_size=1, max_size=8)


def shares(wanted: int, capacities: dict[str, int]) -> dict[str, int]:
    return {pool: share(wanted, capacities, pool) for pool in capacities}


@given(st.integers(0, 200), capacities)
def test_shares_sum_to_what_is_wanted_or_to_all_that_can_run(wanted: int, capacities: dict[str, int]) -> None:
    parts = shares(wanted, capacities)
    assert sum(parts.values()) == min(wanted, sum(capacities.values()))
    assert all(0 <= parts[pool] <= capacities[pool] for pool in capacities)


@given(st.integers(0, 200), capacities)
def test_no_pool_with_room_runs_two_workers_less_than_another(wanted: int, capacities: dict[str, int]) -> None:
    parts = shares(wanted, capacities)
    for pool, part in parts.items():
        assert part == capacities[pool] or part >= max(parts.values()) - 1


@given(st.integers(0, 200), capacities)
def test_one_worker_more_ends_none_elsewhere(wanted: int, capacities: dict[str, int]) -> None:
    before, after = shares(wanted, capacities), shares(wanted + 1, capacities)
    assert all(before[pool] <= after[pool] for pool in capacities)


@given(st.integers(0, 200), capacities, st.randoms())
def test_every_pool_computes_the_same_shares(wanted: int, capacities: dict[str, int], chance: Any) -> None:
    shuffled = list(capacities.items())
    chance.shuffle(shuffled)
    assert shares(wanted, capacities) == shares(wanted, dict(shuffled))


def test_a_pool_that_the_others_have_given_up_runs_nothing() -> None:
    assert share(5, {"other": 3}, "mine") == 0


async def test_a_pool_that_does_not_run_takes_no_workers_and_can_still_be_run() -> None:
    pool = WorkerPool("shop.jobs:queue", queue=NOBODY, processes=0)
    with pytest.raises(UsageError, match="does not run"):
        await pool.add_worker()

    pool.stop()
    with anyio.fail_after(5):
        await pool.run()
    assert pool.pids == []
    with pytest.raises(UsageError, match="does not run"):
        await pool.scale(1)


@pytest.mark.parametrize("options", [{"processes": -1}, {"capacity": 2, "processes": 3}, {"concurrency": 0}])
def test_a_pool_that_cannot_be_is_refused_by_name(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=next(iter(options))):
        WorkerPool("shop.jobs:queue", queue=NOBODY, **options)


def test_a_queue_that_is_not_there_is_refused_at_once() -> None:
    with pytest.raises(UsageError, match="No module named 'nothing_such'"):
        WorkerPool("nothing_such:queue")


async def test_a_process_that_keeps_dying_is_started_again_after_growing_pauses(
    caplog: pytest.LogCaptureFixture,
) -> None:
    member = _Member(["false"], 5)
    async with anyio.create_task_group() as group:
        group.start_soon(member.run)
        with anyio.fail_after(10):
            while len(caplog.records) < 2:
                await anyio.sleep(0.02)
        member.stop()
    assert [vars(record)["pause_s"] for record in caplog.records] == [1, 2]
    assert {vars(record)["ended"] for record in caplog.records} == {"exit code 1"}


async def test_after_a_process_that_has_lived_the_pause_is_short_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("evq.pool.STEADY", 0)
    member = _Member(["false"], 5)
    async with anyio.create_task_group() as group:
        group.start_soon(member.run)
        with anyio.fail_after(10):
            while len(caplog.records) < 2:
                await anyio.sleep(0.02)
        member.stop()
    assert [vars(record)["pause_s"] for record in caplog.records] == [0.5, 0.5]


async def test_a_process_that_cannot_be_started_is_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    member = _Member(["/nothing/such"], 5)
    async with anyio.create_task_group() as group:
        group.start_soon(member.run)
        with anyio.fail_after(10):
            while not caplog.records:
                await anyio.sleep(0.02)
        member.stop()
    assert vars(caplog.records[0])["ended"] == "it could not be started: No such file or directory"


async def test_a_process_that_does_not_drain_is_killed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    ready = tmp_path / "ready"
    deaf = f"import signal, pathlib; signal.signal({signal.SIGTERM:d}, signal.SIG_IGN); "
    deaf += f"pathlib.Path({str(ready)!r}).touch(); signal.pause()"
    member = _Member([sys.executable, "-c", deaf], 0.1)
    async with anyio.create_task_group() as group:
        group.start_soon(member.run)
        with anyio.fail_after(10):
            while not ready.exists():
                await anyio.sleep(0.02)
            member.stop()
    assert member.pid is None
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
