"""A queue at one moment, seen from outside: what `evq stats` and `evq top` show."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from rich.console import RenderableType
from rich.table import Table

from evq import census
from evq.alerts import Alert, AlertState
from evq.cli.output import Cell, facts, iso, local, share, size, span, table, word
from evq.job import WorkerInfo
from evq.metrics import Durations, Figures, Metrics
from evq.queue import Queue

LOOKED_AT: Final = 1_000
"""Groups of which jobs wait that are looked at."""
SHOWN: Final = 20
"""Those of them that are shown: the ones with most jobs."""

Limits = Mapping[str, float]
"""What is set of paused (1), concurrency, interval (ms between starts) and weight; and the jobs that are active."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A group of which jobs wait."""

    name: str
    waiting: int
    limits: Limits

    def to_wire(self) -> dict[str, Any]:
        """Return the fields by their names in JSON; rates in jobs/s."""
        own = {"active": int(self.limits.get("active", 0)), "weight": self.limits.get("weight", 1)}
        return {"name": self.name, "waiting": self.waiting, **own, **_limits_wire(self.limits)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """A queue at one moment."""

    queue: str
    at: datetime
    """By Redis's clock."""
    limits: Limits
    counts: dict[str, int]
    oldest: float | None
    """For how long the oldest waiting job has waited, s."""
    metrics: Metrics
    workers: list[WorkerInfo]
    groups: list[Group]
    alerts: list[Alert]

    @property
    def firing(self) -> list[str]:
        """The names of the alerts that fire."""
        return [alert.rule.name for alert in self.alerts if alert.state is AlertState.FIRING]

    def to_wire(self) -> dict[str, Any]:
        """Return the fields by their names in JSON; times in s, memory in bytes."""
        return {
            "queue": self.queue,
            "at": iso(self.at),
            **_limits_wire(self.limits),
            "counts": self.counts,
            "oldestWaiting": self.oldest,
            "metrics": self.metrics.total.to_wire(),
            "workers": [worker_wire(worker) for worker in self.workers],
            "groups": [group.to_wire() for group in self.groups],
            "alerts": [alert.to_wire() for alert in self.alerts],
        }


async def survey(queue: Queue, since: timedelta) -> Survey:
    """Look at a queue: its figures since so long, and all else as it is now."""
    keys = queue.broker.keys
    names = (await census.groups(queue.broker))[:LOOKED_AT]
    lengths = await queue.broker.send([("ZCARD", keys.of("waiting_of", name)) for name in names])
    settings = await queue.broker.send(
        [("HGETALL", keys["limits"]), *(("HGETALL", keys.of("group_of", name)) for name in names)]
    )
    limits, *groups = [_limits(flat) for flat in settings]
    found = [Group(name=n, waiting=w, limits=s) for n, w, s in zip(names, lengths, groups, strict=True)]
    metrics = await queue.metrics(since)
    return Survey(
        queue=queue.name,
        at=metrics.total.start + timedelta(seconds=metrics.total.seconds),
        limits=limits,
        counts=await queue.counts(),
        oldest=await queue.oldest_waiting(),
        metrics=metrics,
        workers=sorted(await queue.workers(), key=lambda worker: (worker.host, worker.pid)),
        groups=sorted(found, key=lambda group: -group.waiting)[:SHOWN],
        alerts=await queue.alerts(),
    )


def _limits(flat: list[bytes]) -> dict[str, float]:
    told = ("paused", "concurrency", "interval", "weight", "active")
    return {
        name.decode(): float(value)
        for name, value in zip(flat[::2], flat[1::2], strict=True)
        if name.decode(errors="replace") in told
    }


def _limits_wire(limits: Limits) -> dict[str, Any]:
    return {
        "paused": "paused" in limits,
        "concurrency": int(limits["concurrency"]) if "concurrency" in limits else None,
        "rate": 1000 / limits["interval"] if "interval" in limits else None,
    }


def worker_wire(worker: WorkerInfo) -> dict[str, Any]:
    """Return the fields of a worker by their names in JSON."""
    wire = asdict(worker) | {"started": iso(worker.started_ms)}
    del wire["started_ms"]
    return wire


# For people


def view(seen: Survey) -> list[RenderableType]:
    """Return what there is to show of a queue."""
    parts: list[RenderableType] = [facts(_queue_facts(seen)), "", facts(_figures(seen.metrics.total))]
    if seen.workers:
        parts += ["", table(seen.workers, _worker_columns(seen.at))]
    if seen.groups:
        parts += ["", table(seen.groups, _GROUP_COLUMNS)]
    if seen.alerts:
        parts += ["", alert_table(seen.alerts, seen.at)]
    return parts


def alert_table(alerts: list[Alert], now: datetime) -> Table:
    """Make a table of alerts."""
    columns: Mapping[str, Callable[[Alert], Cell]] = {
        "alert": lambda alert: alert.rule.name,
        "state": lambda alert: word(alert.state),
        "since": lambda alert: local(alert.since),
        "value": lambda alert: "-" if alert.value is None else f"{alert.value:.3g}",
        "fires above": lambda alert: f"{alert.rule.threshold:g}",
        "over at": lambda alert: f"{alert.rule.clear:g}",
        "evaluated": lambda alert: f"{span((now - alert.at).total_seconds())} ago",
    }
    return table(alerts, columns)


def _queue_facts(seen: Survey) -> dict[str, Cell | None]:
    counts = seen.counts
    oldest = f", the oldest for {span(seen.oldest)}" if seen.oldest is not None else ""
    ended = ", ".join(f"{counts[name]} {name}" for name in ("completed", "failed", "cancelled"))
    return {
        "queue": seen.queue,
        "state": word("paused") if "paused" in seen.limits else None,
        "limits": _limits_text(seen.limits),
        "waiting": f"{counts['waiting']}{oldest}",
        "delayed": str(counts["delayed"]),
        "parked": f"{counts['parked']}: no worker knows their tasks" if counts["parked"] else None,
        "active": str(counts["active"]),
        "ever": f"{counts['enqueued']} enqueued, {ended}",
        "workers": str(len(seen.workers)),
    }


def _limits_text(limits: Limits) -> str:
    told = []
    if "concurrency" in limits:
        told.append(f"{limits['concurrency']:g} at a time")
    if "interval" in limits:
        told.append(f"{1000 / limits['interval']:g} starts/s")
    if "weight" in limits:
        told.append(f"weight {limits['weight']:g}")
    return ", ".join(told)


def _figures(total: Figures) -> dict[str, Cell | None]:
    def rate(count: int) -> str:
        each_second = count / total.seconds
        return f"{count}, {each_second:.1f}/s" if each_second >= 1 else f"{count}, {60 * each_second:.1f}/min"

    others = {name: getattr(total, name) for name in ("cancelled", "retried", "reclaimed", "snoozed")}
    return {
        "in the last": span(total.seconds),
        "enqueued": rate(total.enqueued),
        "started": rate(total.started),
        "completed": rate(total.completed),
        "failed": rate(total.failed)
        + ("" if total.failure_rate is None else f", a share of {share(total.failure_rate)}"),
        "also": ", ".join(f"{count} {name}" for name, count in others.items() if count),
        "wait": _quantiles(total.wait),
        "work": _quantiles(total.work),
        "utilisation": share(total.utilisation),
        "CPU, memory": f"{total.cpu:.2f} cores, at most {size(total.rss)} a worker",
    }


def _quantiles(times: Durations) -> str:
    if not times.count:
        return "-"
    p50, p95, p99 = (span(times.quantile(part)) for part in (0.5, 0.95, 0.99))
    return f"p50 {p50}, p95 {p95}, p99 {p99}, mean {span(times.mean)}"


def _worker_columns(at: datetime) -> Mapping[str, Callable[[WorkerInfo], Cell]]:
    return {
        "worker": lambda worker: worker.id,
        "host": lambda worker: worker.host,
        "pid": lambda worker: str(worker.pid),
        "version": lambda worker: worker.version,
        "jobs": lambda worker: f"{worker.running}/{worker.concurrency}",
        "busy": lambda worker: share(worker.utilisation),
        "CPU": lambda worker: f"{worker.cpu:.2f}",
        "memory": lambda worker: size(worker.rss),
        "up": lambda worker: span(at.timestamp() - worker.started_ms / 1000),
    }


_GROUP_COLUMNS: Final[Mapping[str, Callable[[Group], Cell]]] = {
    "group": lambda group: group.name,
    "waiting": lambda group: str(group.waiting),
    "active": lambda group: f"{group.limits.get('active', 0):g}",
    "limits": lambda group: _limits_text(group.limits),
    "": lambda group: word("paused") if "paused" in group.limits else "",
}
