import math
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evq import (
    AttemptTimeout,
    EvqError,
    NetworkError,
    QueueFull,
    QueueUnavailable,
    RetryPolicy,
    TemporaryError,
    UsageError,
    ValidationError,
)
from evq.errors import Retry
from evq.retry import LONGEST

PLAIN = RetryPolicy(jitter=0)


@given(
    attempt=st.integers(1, 40),
    base=st.floats(0.001, 1000),
    jitter=st.floats(0, 1),
    cap=st.floats(0.001, 1e6),
)
def test_a_delay_is_base_times_two_to_the_attempts_before_and_at_most_jitter_more(
    attempt: int, base: float, jitter: float, cap: float
) -> None:
    policy = RetryPolicy(attempts=50, delay=base, max_delay=cap, jitter=jitter)
    least = min(base * 2 ** (attempt - 1), cap)
    delay = policy.next_delay(TemporaryError(), attempt)
    assert delay is not None
    assert least <= delay <= least * (1 + jitter) * (1 + 1e-9)


def test_the_jitter_is_ten_percent_unless_told_otherwise() -> None:
    assert RetryPolicy().next_delay(TemporaryError(), 1, uniform=lambda _, most: most) == pytest.approx(2.2)
    assert RetryPolicy().next_delay(TemporaryError(), 1, uniform=lambda least, _: least) == 2.0


@pytest.mark.parametrize(
    ("error", "delays"),
    [
        (TemporaryError(), [2.0, 4.0, None]),
        (AttemptTimeout(), [2.0, 4.0, None]),
        (NetworkError(), [5.0, 10.0, None]),
        (ConnectionRefusedError(), [5.0, 10.0, None]),
        (TimeoutError(), [5.0, 10.0, None]),
        (QueueUnavailable(), [5.0, 10.0, None]),
        (QueueFull(), [5.0, 10.0, None]),
        (ValidationError(), [None, None, None]),
        (ValueError(), [None, None, None]),
        (OSError(), [None, None, None]),
        (EvqError(), [None, None, None]),
    ],
)
def test_the_defaults_are_those_of_the_specification(error: Exception, delays: list[float | None]) -> None:
    assert [PLAIN.next_delay(error, attempt) for attempt in (1, 2, 3)] == delays


def test_a_task_can_add_errors_and_take_them_away() -> None:
    policy = RetryPolicy(jitter=0, on={KeyError: 0.5, NetworkError: None, ConnectionRefusedError: None})
    assert policy.next_delay(KeyError(), 2) == 1.0
    assert policy.next_delay(NetworkError(), 1) is None
    assert policy.next_delay(ConnectionRefusedError(), 1) is None
    assert policy.next_delay(ConnectionResetError(), 1) == 5.0


def test_the_nearest_class_decides() -> None:
    policy = RetryPolicy(jitter=0, on={Exception: 1.0, LookupError: 2.0})
    assert policy.next_delay(KeyError(), 1) == 2.0
    assert policy.next_delay(ValueError(), 1) == 1.0
    assert policy.next_delay(TemporaryError(), 1) == 2.0


def test_a_retry_after_is_waited_out_and_never_shortens_the_delay() -> None:
    assert PLAIN.next_delay(NetworkError(retry_after=60), 1) == 60
    assert PLAIN.next_delay(NetworkError(retry_after=1), 1) == 5.0


@pytest.fixture
def in_tokyo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("in_tokyo")  # such dates are in GMT, wherever they are read
@pytest.mark.parametrize("form", ["%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"])
def test_a_retry_after_may_be_any_date_of_http(form: str) -> None:
    in_a_minute = (datetime.now(UTC) + timedelta(seconds=60)).strftime(form)
    assert PLAIN.next_delay(NetworkError(retry_after=in_a_minute), 1) == pytest.approx(60, abs=5)
    assert PLAIN.next_delay(Retry(after=in_a_minute), 1) == pytest.approx(60, abs=5)


def test_a_retry_after_is_read_as_a_header_says_it() -> None:
    assert PLAIN.next_delay(NetworkError(retry_after="120"), 1) == 120
    assert PLAIN.next_delay(NetworkError(retry_after="Sun, 06 Nov 1994 08:49:37 GMT"), 1) == 5.0


@pytest.mark.parametrize(("after", "delay"), [(0, 0.0), (7, 7.0), (-1, 0.0), (math.inf, LONGEST)])
def test_a_retry_names_its_delay_and_still_counts(after: float, delay: float) -> None:
    assert [PLAIN.next_delay(Retry(after=after), attempt) for attempt in (1, 2, 3)] == [delay, delay, None]


@pytest.mark.parametrize(
    ("errors", "delay"),
    [
        ([TemporaryError(), NetworkError()], 5.0),
        ([TemporaryError(), ExceptionGroup("inner", [Retry(after=60)])], 60.0),
        ([TemporaryError(), ValueError()], None),
        ([ExceptionGroup("inner", [ValidationError()])], None),
    ],
)
def test_a_group_of_errors_is_retried_if_each_of_them_is(errors: list[Exception], delay: float | None) -> None:
    assert PLAIN.next_delay(ExceptionGroup("several", errors), 1) == delay


def test_an_error_class_that_does_not_call_its_base_can_be_retried() -> None:
    class CodedError(TemporaryError):
        def __init__(self, code: int) -> None:
            self.code = code

    assert PLAIN.next_delay(CodedError(3), 1) == 2.0


def test_a_fixed_backoff_does_not_grow() -> None:
    policy = RetryPolicy(attempts=9, backoff="fixed", jitter=0)
    assert {policy.next_delay(TemporaryError(), attempt) for attempt in range(1, 9)} == {2.0}


def test_any_number_of_attempts_stays_below_the_cap() -> None:
    policy = RetryPolicy(attempts=1_000_000, jitter=0)
    assert policy.next_delay(TemporaryError(), 999_999) == 3600.0


@pytest.mark.parametrize(
    "options",
    [
        {"attempts": 0},
        {"attempts": "3"},
        {"delay": -1},
        {"delay": "2"},
        {"max_delay": math.inf},
        {"jitter": math.nan},
        {"backoff": "linear"},
        {"on": {KeyError: -1}},
    ],
)
def test_a_policy_that_cannot_be_meant_is_refused_by_name(options: dict[str, object]) -> None:
    with pytest.raises(UsageError, match=next(iter(options))):
        RetryPolicy(**options)  # type: ignore[arg-type]  # that is the point
