"""When schedules fire: against an oracle that walks every minute, and by hand where it is easily got wrong."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import pairwise, product
from typing import Any, get_args
from zoneinfo import ZoneInfo

import pytest

from evq import UsageError
from evq.ids import is_id
from evq.schedules import MADE_UP, Fold, Gap, Schedule, due_instants, next_instant, to_ms

ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Seoul")
START, END = datetime(2025, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)
POLICIES: list[tuple[Gap, Fold]] = list(product(get_args(Gap), get_args(Fold)))
MINUTE = timedelta(minutes=1)

Matches = Callable[[int], bool]
"""Tells whether a minute that the clock on the wall shows, as a number of minutes, is one of the cron's."""
CRONS: dict[str, Matches] = {
    "30 2 * * *": lambda minute: minute % 1440 == 150,
    "0 3 * * *": lambda minute: minute % 1440 == 180,
    "15 * * * *": lambda minute: minute % 60 == 15,
    "*/10 * * * *": lambda minute: minute % 10 == 0,
    "* * * * *": lambda minute: True,
}


def a_schedule(cron: str = "30 2 * * *", **options: Any) -> Schedule:
    given: dict[str, Any] = {
        "name": "nightly",
        "task": "send",
        "payload": {},
        "options": {},
        "cron": cron,
        "next": START,
    }
    return Schedule(**given | options)


def on_the_wall(minute: int, place: ZoneInfo) -> int:
    """Return what the clock shows there at a minute (since the epoch, UTC), in minutes."""
    shown = datetime.fromtimestamp(minute * 60, place)
    return shown.toordinal() * 1440 + shown.hour * 60 + shown.minute


def oracle(zone: str, matches: Matches, start: datetime, end: datetime) -> dict[tuple[Gap, Fold], list[datetime]]:
    """Walk every minute from *start* to *end*, look at the clock on the wall, and list when each policy fires."""
    place = ZoneInfo(zone)
    fires: dict[tuple[Gap, Fold], list[datetime]] = {policies: [] for policies in POLICIES}
    first = int(start.timestamp()) // 60
    last_shown = latest_shown = on_the_wall(first - 1, place)
    for minute in range(first, int(end.timestamp()) // 60):
        shown = on_the_wall(minute, place)
        comes_again = shown <= latest_shown
        left_out = shown > last_shown + 1 and any(map(matches, range(last_shown + 1, shown)))
        if left_out or matches(shown):
            for gap, fold in POLICIES:
                shifted = gap == "shift" and left_out
                if shifted or (matches(shown) and (fold == "both" or not comes_again)):
                    fires[gap, fold].append(datetime.fromtimestamp(minute * 60, UTC))
        last_shown, latest_shown = shown, max(shown, latest_shown)
    return fires


def fired(schedule: Schedule, start: datetime, end: datetime) -> Iterator[datetime]:
    instant = next_instant(schedule, start - MINUTE)
    while instant < end:
        yield instant
        instant = next_instant(schedule, instant)


@cache
def changes(zone: str) -> list[datetime]:
    """List when the zone's clock is set, within two years."""
    place, hours = ZoneInfo(zone), range(int(START.timestamp()) // 60, int(END.timestamp()) // 60, 30)
    return [
        datetime.fromtimestamp(after * 60, UTC)
        for before, after in pairwise(hours)
        if on_the_wall(after, place) - on_the_wall(before, place) != 30
    ]


def assert_same(zone: str, cron: str, start: datetime, end: datetime) -> None:
    for (gap, fold), expected in oracle(zone, CRONS[cron], start, end).items():
        assert list(fired(a_schedule(cron, tz=zone, gap=gap, fold=fold), start, end)) == expected, (gap, fold)


@pytest.mark.parametrize("zone", ZONES)
def test_a_daily_schedule_fires_as_the_clock_on_the_wall_says_for_two_years(zone: str) -> None:
    assert_same(zone, "30 2 * * *", START, END)


@pytest.mark.parametrize("cron", CRONS)
@pytest.mark.parametrize("zone", ZONES)
def test_every_schedule_fires_as_the_clock_says_around_each_change_of_it(zone: str, cron: str) -> None:
    assert len(changes(zone)) == (0 if zone == "Asia/Seoul" else 4)
    for change in changes(zone) or [datetime(2025, 3, 30, tzinfo=UTC)]:
        assert_same(zone, cron, change - timedelta(hours=4), change + timedelta(hours=4))


@pytest.mark.slow
@pytest.mark.parametrize("zone", ZONES)
def test_an_hourly_schedule_fires_as_the_clock_says_for_two_years(zone: str) -> None:
    assert_same(zone, "15 * * * *", START, END)


# By hand: Europe/Berlin sets its clock from 2 to 3 on 30 March 2025 at 1 h UTC, and back on 26 October at 1 h UTC.


def on(month: int, day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2025, month, day, hour, minute, tzinfo=UTC)


@pytest.mark.parametrize(("gap", "expected"), [("shift", on(3, 30, 1)), ("skip", on(3, 31, 0, 30))])
def test_a_time_that_a_day_does_not_have_is_shifted_to_the_end_of_the_gap_or_skipped(
    gap: Gap, expected: datetime
) -> None:
    assert next_instant(a_schedule(tz="Europe/Berlin", gap=gap), on(3, 29, 12)) == expected


def test_times_shifted_to_an_instant_that_fires_anyway_make_one() -> None:
    schedule = a_schedule("0,30 2,3 * * *", tz="Europe/Berlin")
    assert list(fired(schedule, on(3, 30, 0), on(3, 30, 4))) == [on(3, 30, 1), on(3, 30, 1, 30)]


@pytest.mark.parametrize(
    ("fold", "expected"), [("first", [on(10, 26, 0, 30)]), ("both", [on(10, 26, 0, 30), on(10, 26, 1, 30)])]
)
def test_a_time_that_a_day_has_twice_fires_once_or_twice(fold: Fold, expected: list[datetime]) -> None:
    schedule = a_schedule(tz="Europe/Berlin", fold=fold)
    assert list(fired(schedule, on(10, 26, 0), on(10, 26, 12))) == expected


def test_days_of_the_month_and_of_the_week_are_local() -> None:
    assert next_instant(a_schedule("30 0 * * MON", tz="Asia/Seoul"), on(6, 1, 0)) == on(6, 1, 15, 30)
    assert next_instant(a_schedule("0 0 L * *", tz="America/New_York"), on(2, 1, 0)) == on(2, 28, 5)


# Instants that have passed.


@pytest.mark.parametrize("gap", get_args(Gap))
@pytest.mark.parametrize("fold", get_args(Fold))
@pytest.mark.parametrize("cron", ["15 * * * *", "*/20 1-3 * * *"])
@pytest.mark.parametrize("zone", ZONES)
def test_looking_back_finds_what_looking_forward_found(zone: str, cron: str, gap: Gap, fold: Fold) -> None:
    for change in changes(zone) or [on(3, 30, 0)]:
        start, end = change - timedelta(hours=5), change + timedelta(hours=5)
        schedule = a_schedule(cron, tz=zone, gap=gap, fold=fold, misfire="all", next=start)
        forward = list(fired(schedule, start, end))
        for minutes in range(0, 601, 25):
            now = start + timedelta(minutes=minutes, seconds=1)
            assert due_instants(schedule, now) == [instant for instant in forward if instant <= now]


@pytest.mark.parametrize(
    ("misfire", "expected"), [("once", [on(6, 5, 2)]), ("skip", []), ("all", [on(6, day, 2) for day in (3, 4, 5)])]
)
def test_missed_instants_are_made_up_for_as_the_policy_says(misfire: str, expected: list[datetime]) -> None:
    schedule = a_schedule("0 2 * * *", misfire=misfire, next=on(6, 3, 2))
    assert due_instants(schedule, on(6, 5, 9)) == expected


@pytest.mark.parametrize("misfire", ["once", "skip", "all"])
def test_an_instant_within_the_last_minute_is_not_missed(misfire: str) -> None:
    schedule = a_schedule("* * * * *", misfire=misfire, next=on(6, 3, 2))
    assert due_instants(schedule, on(6, 3, 2) + timedelta(seconds=59)) == [on(6, 3, 2)]
    assert due_instants(schedule, on(6, 3, 2, 1)) == [on(6, 3, 2), on(6, 3, 2, 1)]


@pytest.mark.parametrize("misfire", ["once", "skip"])
def test_an_instant_that_is_on_time_makes_up_for_those_that_were_missed(misfire: str) -> None:
    schedule = a_schedule("* * * * *", misfire=misfire, next=on(6, 3, 2))
    assert due_instants(schedule, on(6, 3, 2, 10) + timedelta(seconds=1)) == [on(6, 3, 2, 10)]


def test_of_very_many_missed_instants_the_latest_are_made_up_for() -> None:
    schedule = a_schedule("* * * * *", misfire="all", next=on(1, 1, 0))
    due = due_instants(schedule, on(12, 1, 0))
    assert due == [on(12, 1, 0) - MINUTE * back for back in range(MADE_UP - 1, -1, -1)]


# The schedule as data.


def test_what_was_written_is_read() -> None:
    schedule = a_schedule(
        "0 3 * * *", tz="Europe/Berlin", payload={"to": "all"}, fold="both", options={"priority": 7}, next=on(6, 1, 1)
    )
    assert Schedule.load("nightly", schedule.dump(), to_ms(on(6, 1, 1))) == schedule


def test_the_same_schedule_is_written_in_the_same_bytes() -> None:
    one = a_schedule(payload={"a": 1, "b": {"c": 1, "d": 2}}, next=on(6, 1, 1))
    same = a_schedule(payload={"b": {"d": 2, "c": 1}, "a": 1})
    assert one.dump() == same.dump()


@pytest.mark.parametrize("spec", [b"", b"[]", b"{}", b'{"cron": "* * * * *"}', b"\xff"])
def test_what_is_no_schedule_is_refused_by_its_name(spec: bytes) -> None:
    with pytest.raises(UsageError, match="schedule nightly"):
        Schedule.load("nightly", spec, 0)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"name": "a b"}, "'a b' is no name for a schedule"),
        ({"cron": "0 3 * *"}, "cron='0 3 \\* \\*': Wrong number of fields"),
        ({"cron": "61 3 * * *"}, "cron='61 3 \\* \\* \\*': Bad minute"),
        ({"cron": "* * * * * *"}, "use five fields"),
        ({"tz": "Europe/Atlantis"}, "tz='Europe/Atlantis'"),
        ({"tz": "Europe"}, "tz='Europe'"),
        ({"tz": "../etc/passwd"}, "tz='../etc/passwd'"),
        ({"gap": "wait"}, "gap='wait': use shift or skip"),
        ({"fold": "second"}, "fold='second': use first or both"),
        ({"misfire": "never"}, "misfire='never': use once or skip or all"),
        ({"overlap": "cancel"}, "overlap='cancel': use allow or skip or queue"),
    ],
)
def test_what_cannot_be_a_schedule_is_refused_by_name(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        a_schedule(**options)


def test_a_cron_that_never_fires_is_refused() -> None:
    with pytest.raises(UsageError, match="no such day ever comes"):
        next_instant(a_schedule("0 0 */31 * MON#5"), on(1, 1, 0))


def test_the_job_of_an_instant_has_one_id_and_sorts_by_its_time() -> None:
    schedule = a_schedule()
    first, second = schedule.job_id("mail", on(6, 1, 3)), schedule.job_id("mail", on(6, 2, 3))
    others = [schedule.job_id("other", on(6, 1, 3)), a_schedule(name="daily").job_id("mail", on(6, 1, 3))]
    assert all(is_id(job_id) for job_id in (first, second, *others))
    assert first == a_schedule(cron="0 3 * * *").job_id("mail", on(6, 1, 3))
    assert first < second
    assert len({first, second, *others}) == 4
    assert first[:10] == others[0][:10]
