"""Cron schedules: what is enqueued at which instants, as data.

A cron expression speaks of local time. So it is matched (by cronsim) against local times without a zone, and what they
mean in UTC is decided here: a clock that is set forward leaves a *gap* of times that never come, and one that is set
back a *fold* of times that come twice.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from heapq import merge
from itertools import groupby, islice, takewhile
from typing import Any, Literal, Self, get_args
from zoneinfo import ZoneInfo

import orjson
from cronsim import CronSim, CronSimError

from evq.errors import UsageError
from evq.ids import ALPHABET

Gap = Literal["shift", "skip"]
Fold = Literal["first", "both"]
Misfire = Literal["once", "skip", "all"]
Overlap = Literal["allow", "skip", "queue"]

LATE = timedelta(seconds=60)
"""An instant that nobody has fired for longer than this was missed."""
MADE_UP = 100
"""Missed instants that are made up for, at most: the latest."""

_POLICIES = {"gap": Gap, "fold": Fold, "misfire": Misfire, "overlap": Overlap}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """A job that is enqueued again and again."""

    name: str
    task: str
    payload: dict[str, Any]
    options: dict[str, Any]
    """Those of the job, as `enqueue` takes them."""
    cron: str
    """Minute, hour, day of month, month, day of week, in local time; `L`, `LW`, `5L` and `MON#2` are known too."""
    tz: str = "UTC"
    """The IANA name of the time zone."""
    gap: Gap = "shift"
    """Of a local time that a day does not have: run when the gap ends, or not that day."""
    fold: Fold = "first"
    """Of a local time that a day has twice. What runs every few minutes wants both, or rests for the length of it."""
    misfire: Misfire = "once"
    """Of instants missed while no worker ran: make up for the latest, for none, or for the latest 100."""
    overlap: Overlap = "allow"
    """Of a job that is to start before the last has ended: let it, leave it out, or let it wait for that."""
    next: datetime
    """When it fires next, UTC."""

    def __post_init__(self) -> None:
        """Raise `UsageError` for what cannot be a schedule."""
        if not (isinstance(self.name, str) and _NAME.fullmatch(self.name)):
            raise UsageError(
                f"{self.name!r} is no name for a schedule: use 1 to 100 letters, digits, '.', '_' or '-', starting "
                "with a letter or digit"
            )
        for policy, known in _POLICIES.items():
            if getattr(self, policy) not in get_args(known):
                raise UsageError(
                    f"schedule {self.name}: {policy}={getattr(self, policy)!r}: use {' or '.join(get_args(known))}"
                )
        try:
            ZoneInfo(self.tz)
        except (LookupError, TypeError, ValueError, OSError) as error:
            raise UsageError(
                f"schedule {self.name}: tz={self.tz!r}: this machine knows no such zone; use an IANA name such as "
                "Europe/Berlin (the package tzdata has them all)"
            ) from error
        try:
            CronSim(self.cron, datetime(2000, 1, 1, tzinfo=UTC))
        except (AttributeError, TypeError, CronSimError) as error:
            raise UsageError(
                f"schedule {self.name}: cron={self.cron!r}: {error}; write it like '30 4 * * MON'"
            ) from error
        if len(self.cron.split()) != 5:
            raise UsageError(f"schedule {self.name}: cron={self.cron!r}: use five fields, from minute to day of week")

    def dump(self) -> bytes:
        """Write all but name and next instant; the same schedule gives the same bytes."""
        spec = {field.name: getattr(self, field.name) for field in fields(self) if field.name not in ("name", "next")}
        return orjson.dumps(spec, option=orjson.OPT_SORT_KEYS)

    @classmethod
    def load(cls, name: str, spec: bytes, next_ms: int) -> Self:
        """Read what `dump` wrote; raise `UsageError` if it is something else."""
        try:
            return cls(name=name, **orjson.loads(spec), next=from_ms(next_ms))
        except (AttributeError, TypeError, ValueError) as error:
            raise UsageError(
                f"schedule {name} cannot be read ({error}): another version of evq may have written it; store it "
                "again with queue.schedule, or queue.unschedule it"
            ) from error

    def job_id(self, queue: str, instant: datetime) -> str:
        """Derive the id of an instant's job, so that one that is fired again is the same job."""
        digest = blake2b(f"{queue}\0{self.name}".encode(), digest_size=10).digest()
        value = to_ms(instant) << 80 | int.from_bytes(digest, "big")
        return "".join(ALPHABET[value >> shift & 31] for shift in range(125, -1, -5))


def overlap_options(name: str, overlap: Overlap) -> dict[str, str]:
    """Return the options of jobs by which a schedule's policy for overlaps is kept."""
    key = f"schedule:{name}"
    return {"allow": {}, "skip": {"dedup_key": key}, "queue": {"group": key}}.get(overlap, {})


def next_instant(schedule: Schedule, after: datetime) -> datetime:
    """Return the first instant after *after*, both UTC; raise `UsageError` if there is none in 50 years."""
    for instant in _instants(schedule, after):
        return instant
    raise UsageError(f"schedule {schedule.name}: cron={schedule.cron!r}: no such day ever comes")


def due_instants(schedule: Schedule, now: datetime) -> list[datetime]:
    """List the instants from `schedule.next` to *now* that its policy for misfires wants fired."""
    passed = takewhile(lambda instant: instant >= schedule.next, _instants(schedule, now, backwards=True))
    due = list(islice(passed, MADE_UP))[::-1]
    on_time = [instant for instant in due if now - instant <= LATE]
    match schedule.misfire:
        case "all":
            return due
        case "once":
            return on_time or due[-1:]
        case "skip":
            return on_time


def _instants(schedule: Schedule, start: datetime, *, backwards: bool = False) -> Iterator[datetime]:
    """Yield the instants after *start* in their order; or those up to *start*, the latest first."""
    zone = ZoneInfo(schedule.tz)
    local = start.astimezone(zone).replace(tzinfo=None)
    # Within a fold, times that the clock has shown are still to come, and times that it has not yet shown have been.
    fold = _utc(local, zone, 1) - _utc(local, zone, 0)
    begin = local + fold + _MINUTE if backwards else local - fold
    readings = [
        _reading(schedule, CronSim(schedule.cron, begin, backwards), zone, nth)
        for nth in ((0, 1) if schedule.fold == "both" else (0,))
    ]
    for instant, _ in groupby(merge(*readings, reverse=backwards)):
        if (instant <= start) is backwards:
            yield instant


def _reading(schedule: Schedule, times: Iterator[datetime], zone: ZoneInfo, fold: int) -> Iterator[datetime]:
    """Turn local times into instants, those that come twice into their first (fold 0) or second (fold 1)."""
    for time in times:
        while schedule.gap == "shift" and _is_missing(time, zone):
            time += _MINUTE  # noqa: PLW2901 - zones change at full minutes
        if not _is_missing(time, zone):
            yield _utc(time, zone, fold)


def _is_missing(time: datetime, zone: ZoneInfo) -> bool:
    return _utc(time, zone, 0) > _utc(time, zone, 1)  # as defined by PEP 495


def _utc(time: datetime, zone: ZoneInfo, fold: int) -> datetime:
    return time.replace(tzinfo=zone, fold=fold).astimezone(UTC)


def to_ms(instant: datetime) -> int:
    return round(instant.timestamp() * 1000)


def from_ms(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)
