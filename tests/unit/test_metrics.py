"""Metrics: figures from what was counted."""

import json
from collections import Counter
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evq.metrics import HISTOGRAM, MINUTE_MS, Durations, Figures, figures, minutes_since

MINUTE = 28_333_333
START_MS = MINUTE * MINUTE_MS

times = st.lists(st.integers(0, 2**32 - 1), min_size=1)
shares = st.floats(0, 1)


def bits_of(ms: int) -> int:
    return min(ms.bit_length(), HISTOGRAM - 1)


def durations(*ms: int) -> Durations:
    found = Counter(map(bits_of, ms))
    return Durations(total_ms=sum(ms), histogram=tuple(found[bits] for bits in range(HISTOGRAM)))


def figures_of(*buckets: dict[str, int], now_ms: int | None = None) -> Figures:
    minutes = range(MINUTE, MINUTE + len(buckets))
    now_ms = minutes.stop * MINUTE_MS if now_ms is None else now_ms
    return figures(dict(zip(minutes, buckets, strict=True)), minutes, now_ms)


@given(times)
def test_the_mean_is_exact(ms: list[int]) -> None:
    assert durations(*ms).mean == sum(ms) / len(ms) / 1000


@given(times, shares)
def test_a_quantile_lies_in_the_bucket_of_the_true_one(ms: list[int], share: float) -> None:
    true = sorted(ms)[max(0, -int(-share * len(ms) // 1) - 1)]
    estimate = durations(*ms).quantile(share)

    assert estimate is not None
    assert bits_of(int(estimate * 1000 + 1e-6)) == bits_of(true)


@given(times, shares, shares)
def test_a_greater_share_takes_no_less_time(ms: list[int], one: float, other: float) -> None:
    found = durations(*ms)
    less, more = found.quantile(min(one, other)), found.quantile(max(one, other))

    assert less is not None
    assert more is not None
    assert less <= more


def test_a_quantile_is_linear_inside_its_bucket() -> None:
    found = durations(*[600] * 100)  # of 512 to 1,023 ms

    assert found.quantile(0) == 0.512
    assert found.quantile(0.5) == pytest.approx(0.7675)
    assert found.quantile(1) == 1.023


def test_the_shortest_times_are_exact() -> None:
    assert durations(0, 0, 0).quantile(0.99) == 0
    assert durations(1, 1, 1).quantile(0.99) == 0.001


def test_what_never_happened_took_no_time() -> None:
    assert (durations().count, durations().mean, durations().quantile(0.5)) == (0, None, None)


def test_minutes_are_summed_up_but_for_memory_of_which_the_most_is_told() -> None:
    found = figures_of({"completed": 3, "rss": 700, "work:3": 1}, {}, {"completed": 4, "rss": 500, "work:3": 2})

    assert (found.completed, found.rss, found.work.count) == (7, 700, 3)
    assert (found.start, found.seconds) == (datetime.fromtimestamp(MINUTE * 60, UTC), 180)


def test_rates_are_of_the_jobs_that_ended_by_running() -> None:
    found = figures_of({"completed": 45, "failed": 15, "cancelled": 100, "retried": 9})

    assert (found.failure_rate, found.success_rate, found.throughput) == (0.25, 0.75, 1.0)


def test_there_are_no_rates_where_nothing_ended() -> None:
    found = figures_of({"cancelled": 1})

    assert (found.failure_rate, found.success_rate, found.throughput) == (None, None, 0)


def test_utilisation_is_the_busy_share_of_capacity_and_never_more_than_all() -> None:
    assert figures_of({"busy_ms": 30_000, "capacity_ms": 40_000}).utilisation == 0.75
    assert figures_of({"busy_ms": 40_001, "capacity_ms": 40_000}).utilisation == 1
    assert figures_of({}).utilisation is None


def test_cpu_is_told_in_cores() -> None:
    assert figures_of({"cpu_ms": 90_000}, {"cpu_ms": 30_000}).cpu == 1.0


def test_a_minute_that_is_not_over_counts_as_long_as_it_has_lasted() -> None:
    found = figures_of({"completed": 60}, {"completed": 30}, now_ms=START_MS + 90_000 - 1)

    assert (found.seconds, found.throughput) == (90, 1)


def test_the_first_moment_of_a_minute_divides_by_no_zero() -> None:
    assert figures_of({"completed": 1}, now_ms=START_MS).throughput == 1000


@given(st.integers(0, 2**41), st.integers(0, 2**38))
def test_minutes_reach_from_that_of_the_moment_to_the_present_but_not_past_48_hours(since: int, lasted: int) -> None:
    minutes = minutes_since(since, since + lasted)

    assert minutes[-1] == (since + lasted) // MINUTE_MS
    assert minutes[0] == since // MINUTE_MS or len(minutes) == 48 * 60
    assert len(minutes) <= 48 * 60


def test_figures_are_json_in_seconds_and_bytes() -> None:
    wire = figures_of({"completed": 3, "failed": 1, "work_ms": 6000, "work:11": 4, "rss": 9}).to_wire()

    assert json.loads(json.dumps(wire)) == wire
    assert (wire["start"], wire["seconds"]) == ("2023-11-14T22:13:00+00:00", 60)
    assert (wire["completed"], wire["failureRate"], wire["successRate"], wire["rss"]) == (3, 0.25, 0.75, 9)
    assert wire["work"] == {"count": 4, "mean": 1.5, "p50": 1.5355, "p95": 1.99585, "p99": 2.03677}
    assert wire["wait"] == {"count": 0, "mean": None, "p50": None, "p95": None, "p99": None}
