"""Metrics: what a queue did, by the minute, and how long that took.

The scripts and heartbeats count into one hash a minute; here their numbers become figures.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from evq.broker import Broker, pairs
from evq.errors import UsageError

MINUTE_MS: Final = 60_000
PAGE: Final = 500
"""Minutes read in one exchange."""
KEPT: Final = timedelta(hours=48)
"""How long the numbers of a minute are kept."""
HISTOGRAM: Final = 33
"""Buckets of a histogram: bucket b counts the times that have b bits in ms, the last one all the longer ones, too."""
COUNTS: Final = ("enqueued", "completed", "failed", "cancelled", "retried", "reclaimed", "snoozed")

Numbers = Mapping[str, int]
"""What was counted in some time, by the names in Redis."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Durations:
    """How long something took, each time that it happened."""

    total_ms: int
    histogram: tuple[int, ...]

    @property
    def count(self) -> int:
        """How often it happened."""
        return sum(self.histogram)

    @property
    def mean(self) -> float | None:
        """Return the exact mean, s; None if it never happened."""
        return self.total_ms / self.count / 1000 if self.count else None

    def quantile(self, share: float) -> float | None:
        """Estimate the time (s) that a *share* (0 to 1) stayed within; None if it never happened.

        The bucket is the right one, so that the estimate is off by less than a factor of 2; inside, it is linear.
        """
        rank, before = share * self.count, 0
        for bits, count in enumerate(self.histogram):
            if count and rank <= before + count:
                least, most = 1 << bits >> 1, (1 << bits) - 1
                return (least + (most - least) * (rank - before) / count) / 1000
            before += count
        return None

    def to_wire(self) -> dict[str, Any]:
        """Return the fields by their names in JSON; times in s."""
        quantiles = {f"p{percent}": self.quantile(percent / 100) for percent in (50, 95, 99)}
        return {"count": self.count, "mean": self.mean, **quantiles}


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What a queue did in some time."""

    start: datetime
    """UTC."""
    seconds: float
    """How long the time was; a minute that is not over has fewer than 60."""
    enqueued: int
    completed: int
    failed: int
    """For good; failed attempts that were tried again are `retried`."""
    cancelled: int
    retried: int
    reclaimed: int
    """Attempts whose worker was lost."""
    snoozed: int
    wait: Durations
    """From when a job could have started until it did."""
    work: Durations
    """Of attempts, from the start to the end."""
    utilisation: float | None
    """The share of the living workers' places in which a job ran, 0 to 1; None if no worker was alive."""
    cpu: float
    """Cores that the workers kept busy, on the average."""
    rss: int
    """The most memory that one worker had, bytes."""

    @property
    def started(self) -> int:
        """Attempts."""
        return self.wait.count

    @property
    def throughput(self) -> float:
        """Jobs completed or failed, per second."""
        return (self.completed + self.failed) / self.seconds

    @property
    def failure_rate(self) -> float | None:
        """Return the share of failed jobs among those completed or failed; None if there were none."""
        ended = self.completed + self.failed
        return self.failed / ended if ended else None

    @property
    def success_rate(self) -> float | None:
        """Return the share of completed jobs among those completed or failed; None if there were none."""
        return None if self.failure_rate is None else 1 - self.failure_rate

    def to_wire(self) -> dict[str, Any]:
        """Return the fields by their names in JSON; times in s, memory in bytes."""
        return asdict(self) | {
            "start": self.start.isoformat(),
            "wait": self.wait.to_wire(),
            "work": self.work.to_wire(),
            "started": self.started,
            "throughput": self.throughput,
            "failureRate": self.failure_rate,
            "successRate": self.success_rate,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """What a queue did: minute by minute, the oldest first, and in all."""

    minutes: tuple[Figures, ...]
    total: Figures

    def to_wire(self) -> dict[str, Any]:
        """Return the fields by their names in JSON."""
        return {"minutes": [minute.to_wire() for minute in self.minutes], "total": self.total.to_wire()}


def minutes_since(since_ms: int, now_ms: int) -> range:
    """List the minutes from the one in which *since_ms* falls to the present one, as far as they are kept."""
    oldest_ms = now_ms - KEPT // timedelta(milliseconds=1) + MINUTE_MS
    return range(max(since_ms, oldest_ms) // MINUTE_MS, now_ms // MINUTE_MS + 1)


def figures(buckets: Mapping[int, Numbers], minutes: range, now_ms: int) -> Figures:
    """Sum up the buckets of *minutes*, of which the last may not be over yet."""
    numbers = _sum(buckets[minute] for minute in minutes)
    start_ms, end_ms = minutes.start * MINUTE_MS, min(minutes.stop * MINUTE_MS, now_ms + 1)
    seconds = (end_ms - start_ms) / 1000
    capacity_ms = numbers["capacity_ms"]
    return Figures(
        start=datetime.fromtimestamp(start_ms / 1000, UTC),
        seconds=seconds,
        **{name: numbers[name] for name in COUNTS},
        wait=_durations(numbers, "wait"),
        work=_durations(numbers, "work"),
        utilisation=min(1.0, numbers["busy_ms"] / capacity_ms) if capacity_ms else None,
        cpu=numbers["cpu_ms"] / 1000 / seconds,
        rss=numbers["rss"],
    )


async def read_metrics(broker: Broker, since: datetime | timedelta) -> Metrics:
    """Read what was counted since a moment, or for so long; raise `UsageError` if that cannot be."""
    now_ms = await broker.now()
    if isinstance(since, timedelta):
        since = datetime.fromtimestamp(now_ms / 1000, UTC) - since
    if since.tzinfo is None:
        raise UsageError(f"since={since}: a moment needs a time zone, such as datetime.now(UTC)")
    if since.timestamp() * 1000 > now_ms:
        raise UsageError(f"since={since}: there are no metrics of the future")
    minutes = minutes_since(int(since.timestamp() * 1000), now_ms)
    buckets = await read_buckets(broker, minutes)
    return Metrics(
        minutes=tuple(figures(buckets, range(minute, minute + 1), now_ms) for minute in minutes),
        total=figures(buckets, minutes, now_ms),
    )


async def read_buckets(broker: Broker, minutes: range) -> dict[int, Numbers]:
    """Read what was counted in each of *minutes*; what is no number is left out."""
    buckets: dict[int, Numbers] = {}
    for page in (minutes[i : i + PAGE] for i in range(0, len(minutes), PAGE)):
        found = await broker.send([("HGETALL", broker.keys.of("metrics_of", str(minute))) for minute in page])
        for minute, flat in zip(page, found, strict=True):
            buckets[minute] = {k.decode(errors="replace"): int(n) for k, n in pairs(flat).items() if n.isdigit()}
    return buckets


def _sum(buckets: Iterable[Numbers]) -> Counter[str]:
    total: Counter[str] = Counter()
    rss = 0
    for numbers in buckets:
        total.update(numbers)
        rss = max(rss, numbers.get("rss", 0))
    total["rss"] = rss
    return total


def _durations(numbers: Counter[str], name: str) -> Durations:
    return Durations(
        total_ms=numbers[f"{name}_ms"], histogram=tuple(numbers[f"{name}:{bits}"] for bits in range(HISTOGRAM))
    )
