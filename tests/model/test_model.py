"""The scripts do what the model says, whatever comes in whatever order."""

import asyncio
import os
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from evq.broker import Broker, Call
from evq.embedded import private_redis
from evq.scripts import Script
from tests.lua.lua_bench import Bench, scripts_of_the_test
from tests.model.machine import KEEP_COUNT, QueueMachine
from tests.model.mutations import MUTATIONS, Mutation

ELSEWHERE = {
    "schedule": "tests/lua/test_schedule.py: no job is touched",
    "unschedule": "tests/lua/test_schedule.py: no job is touched",
    "due_schedules": "tests/lua/test_schedule.py: no job is touched",
    "fire": "tests/lua/test_fire.py: it adds jobs as enqueue does, with the same include",
    "reserve_alerts": "tests/integration/test_alerts.py: no job is touched",
    "ack_alerts": "tests/integration/test_alerts.py: no job is touched",
    "join": "tests/lua/test_pools.py: no job is touched",
    "scale": "tests/lua/test_pools.py: no job is touched",
}
"""Scripts that the model does not drive, and where they are tested."""


@pytest.fixture(scope="module")
def own_url() -> Iterator[str]:
    with private_redis() as url:
        yield url


@contextmanager
def machine(url: str, scripts: Mapping[str, Script]) -> Iterator[type[QueueMachine]]:
    """Give a state machine of its own for these scripts."""
    with asyncio.Runner() as runner:
        bench = Bench(url, "model", keep_count=KEEP_COUNT, scripts=scripts)
        made: type[QueueMachine] = type("Machine", (QueueMachine,), {"bench": bench, "runner": runner})
        try:
            yield made
        finally:
            runner.run(bench.close())


def run(made: type[QueueMachine], examples: int, steps: int, number: int, *, shrink: bool = True) -> None:
    run_state_machine_as_test(
        seed(number)(made),
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            phases=[Phase.generate, Phase.shrink] if shrink else [Phase.generate],
            database=None,
            deadline=None,
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        ),
    )


def chosen_seed() -> int:
    number = int(os.environ.get("SEED") or random.randrange(1 << 32))
    print(f"SEED={number}")
    return number


def test_the_scripts_do_what_the_model_says(own_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    scripts, called, call = scripts_of_the_test(), set(), Broker.call

    def noted(broker: Broker, verb: str, *each: Any, **argv: Any) -> Call:
        called.add(verb)
        return call(broker, verb, *each, **argv)

    monkeypatch.setattr(Broker, "call", noted)
    with machine(own_url, scripts) as made:
        run(made, 120, 50, chosen_seed())
    assert called == scripts.keys() - ELSEWHERE.keys()


@pytest.mark.slow
def test_the_scripts_do_what_the_model_says_for_long(own_url: str) -> None:
    with machine(own_url, scripts_of_the_test()) as made:
        run(made, 400, 60, chosen_seed())


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_bug_has_one_place_where_it_can_be_planted(name: str) -> None:
    assert len(MUTATIONS[name].planted()) == 1


def test_a_bug_that_has_no_place_any_more_is_refused() -> None:
    with pytest.raises(ValueError, match="has 0 times: no such text"):
        Mutation("ack", "no such text", "").planted()


@pytest.mark.slow
@pytest.mark.parametrize("name", MUTATIONS)
def test_a_planted_bug_is_found(own_url: str, name: str) -> None:
    scripts = scripts_of_the_test(MUTATIONS[name].planted())
    with machine(own_url, scripts) as made:
        for script in scripts.values():
            made.bench.redis.script_load(script.body)  # it is no bug to be found that a script cannot be read
        with pytest.raises(Exception):  # noqa: B017 - whatever the bug leads to
            run(made, 1500, 60, chosen_seed(), shrink=False)
    assert made.failure is not None
    print("| {} | {} | {} |".format(name, *reversed(made.failure)))
