"""Alerts: the rules, and the states through which they go."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evq.alerts import DEFAULT_RULES, MEASURES, Alert, AlertRule, AlertState, advance
from evq.errors import UsageError
from evq.metrics import figures
from evq.queue import Queue

PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "metrics.md"
START = datetime(2025, 1, 1, tzinfo=UTC)
RULE = AlertRule(name="r", measure="waiting", threshold=10, clear=5, for_=60)
GOOD, BETWEEN, BAD = 5.0, 10.0, 11.0
ON = {AlertState.FIRING, AlertState.RECOVERING}

values = st.sampled_from([None, GOOD, BETWEEN, BAD])
histories = st.lists(st.tuples(st.integers(1, 70), values), min_size=1, max_size=30)


def alert_in(state: AlertState, since: datetime = START) -> Alert:
    return Alert(queue="q", rule=RULE, state=state, previous=AlertState.OK, since=since, at=since, value=None)


def lived(history: list[tuple[int, float | None]]) -> list[Alert]:
    """Measure the values one after another, each so many seconds after the one before."""
    alert, at, found = alert_in(AlertState.NO_DATA), START, []
    for seconds, value in history:
        at += timedelta(seconds=seconds)
        alert = advance(alert, value, at)
        found.append(alert)
    return found


def lasting(history: list[tuple[int, float | None]], matching: set[float | None]) -> int | None:
    """For how many seconds the last values have all been *matching*; None if the last one is not."""
    seconds: int | None = None
    for since_before, value in history:
        matches = value in matching
        seconds = None if not matches else 0 if seconds is None else seconds + since_before
    return seconds


@given(histories)
def test_it_fires_if_and_as_soon_as_it_was_bad_for_long_enough(history: list[tuple[int, float | None]]) -> None:
    states = [AlertState.NO_DATA, *(alert.state for alert in lived(history))]
    bad_for = lasting(history, {BAD})
    came_on = states[-1] in ON and states[-2] not in ON

    assert not came_on or (bad_for is not None and bad_for >= RULE.for_)
    assert states[-1] is AlertState.FIRING or bad_for is None or bad_for < RULE.for_


@given(histories)
def test_it_is_over_if_and_as_soon_as_it_was_not_bad_for_long_enough(history: list[tuple[int, float | None]]) -> None:
    states = [AlertState.NO_DATA, *(alert.state for alert in lived(history))]
    good_for = lasting(history, {GOOD, None})
    went_off = states[-2] in ON and states[-1] not in ON

    assert not went_off or (good_for is not None and good_for >= RULE.for_)
    assert states[-1] not in ON or good_for is None or good_for < RULE.for_


@given(histories)
def test_no_data_is_told_of_what_does_not_fire_and_cannot_be_measured(history: list[tuple[int, float | None]]) -> None:
    last = lived(history)[-1]

    assert (last.state is AlertState.NO_DATA) == (last.value is None and last.state not in ON)


@given(histories)
def test_an_alert_knows_since_when_it_is_so_and_what_it_was_before(history: list[tuple[int, float | None]]) -> None:
    before = alert_in(AlertState.NO_DATA)
    for (_, value), alert in zip(history, lived(history), strict=True):
        assert alert.value == value
        if alert.state is before.state:
            assert (alert.since, alert.previous) == (before.since, before.previous)
        else:
            assert (alert.since, alert.previous) == (alert.at, before.state)
        before = alert


def test_a_value_between_the_two_thresholds_changes_nothing() -> None:
    firing, fine = alert_in(AlertState.FIRING), alert_in(AlertState.OK)

    assert advance(firing, BETWEEN, START + timedelta(hours=1)).state is AlertState.FIRING
    assert advance(fine, BETWEEN, START + timedelta(hours=1)).state is AlertState.OK


def test_the_page_draws_every_change_and_no_other() -> None:
    changes = {
        (state.value, after.value)
        for state in AlertState
        for value in (None, GOOD, BETWEEN, BAD)
        for seconds in (1, 60)
        if (after := advance(alert_in(state), value, START + timedelta(seconds=seconds)).state) is not state
    }
    drawn = re.findall(r"^ +(\w+) --> (\w+): .+$", PAGE.read_text(), re.MULTILINE)

    assert {(before.replace("_", " "), after.replace("_", " ")) for before, after in drawn} == changes


def test_the_rules_by_default_are_those_of_the_specification() -> None:
    assert {(rule.measure, rule.threshold) for rule in DEFAULT_RULES} == {
        ("failure rate", 0.1),
        ("mean work", 300),
        ("waiting", 100),
        ("utilisation", 0.9),
    }
    assert all(rule.clear < rule.threshold for rule in DEFAULT_RULES)


def test_measures_are_taken_from_the_window_and_the_jobs_that_wait() -> None:
    counted = {"completed": 3, "failed": 1, "work_ms": 8000, "work:12": 4, "busy_ms": 1, "capacity_ms": 2}
    window = figures({7: counted}, range(7, 8), 8 * 60_000)

    assert {name: measure(window, 17) for name, measure in MEASURES.items()} == {
        "failure rate": 0.25,
        "mean work": 2.0,
        "utilisation": 0.5,
        "waiting": 17,
    }


def test_of_an_idle_queue_there_is_nothing_to_measure_but_that_nobody_waits() -> None:
    window = figures({7: {"cancelled": 1}}, range(7, 8), 8 * 60_000)

    assert {name: measure(window, 0) for name, measure in MEASURES.items()} == {
        "failure rate": None,
        "mean work": None,
        "utilisation": None,
        "waiting": 0,
    }


def test_what_is_stored_is_read_back() -> None:
    alert = replace(alert_in(AlertState.RECOVERING), value=3.5, at=START + timedelta(milliseconds=1))

    assert Alert.load(alert.dump()) == alert


@given(st.binary())
def test_what_is_no_alert_is_none(text: bytes) -> None:
    assert Alert.load(text) is None


@pytest.mark.parametrize("field", ["measure", "threshold", "for", "state", "since", "at"])
@pytest.mark.parametrize("value", [None, "", [], {}, "ok?"])
def test_an_alert_with_something_strange_in_it_is_none(field: str, value: object) -> None:
    wire = alert_in(AlertState.OK).to_wire() | {field: value}

    assert Alert.load(orjson.dumps(wire)) is None


def test_a_stored_time_without_a_zone_harms_nobody() -> None:
    alert = Alert.load(orjson.dumps(alert_in(AlertState.OK).to_wire() | {"since": "2025-01-01", "at": "2025-01-01"}))

    assert alert is not None
    assert advance(alert, BAD, START).state is AlertState.PENDING


def test_a_rule_that_cannot_be_is_refused_by_name() -> None:
    with pytest.raises(UsageError, match=r"alert r: no measure 'speed': use one of failure rate, "):
        replace(RULE, measure="speed")
    with pytest.raises(UsageError, match="alert r: clear=11 lies above threshold=10"):
        replace(RULE, clear=11)
    with pytest.raises(UsageError, match="alert r: for_=-1"):
        replace(RULE, for_=-1)
    with pytest.raises(UsageError, match=r"alert r: .*window=0"):
        replace(RULE, window=0)


def test_two_rules_of_one_name_are_refused() -> None:
    with pytest.raises(UsageError, match="same name"):
        Queue("q", redis="redis://127.0.0.1:6379/0", alerts=[RULE, RULE])
