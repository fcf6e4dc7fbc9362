"""Alerts: rules over a queue's metrics, and the state that each is in.

An alert fires once its measure has been above the rule's threshold for a while, and is over once it has been at or
below a lower one for as long. What changes is logged and told to the queue's hooks. One worker evaluates for all.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final, Self

import anyio
import orjson

from evq.broker import Broker, pairs
from evq.census import count_waiting
from evq.checks import check_name, check_number, check_seconds
from evq.errors import UsageError
from evq.ids import new_id
from evq.metrics import Figures, figures, minutes_since, read_buckets

log = logging.getLogger("evq.alerts")

PERIOD_MS: Final = 15_000
"""From one evaluation to the next, ms."""
TURN_MS: Final = 60_000
"""How long an evaluation may take before another worker begins one, ms."""
HOOK_TIMEOUT: Final = 30.0
"""How long a hook may take, s: less than a turn."""

MEASURES: Final[Mapping[str, Callable[[Figures, int], float | None]]] = {
    # Each of the figures of the rule's window and the jobs that wait now; None if there is nothing to measure.
    "failure rate": lambda window, _: window.failure_rate,
    "mean work": lambda window, _: window.work.mean,
    "utilisation": lambda window, _: window.utilisation,
    "waiting": lambda _, waiting: waiting,
}


class AlertState(StrEnum):
    """Where an alert is; the values are those in Redis."""

    OK = "ok"
    PENDING = "pending"  # above the threshold, not for long enough yet
    FIRING = "firing"
    RECOVERING = "recovering"  # no longer above the clearing threshold, not for long enough yet
    NO_DATA = "no data"  # nothing to measure


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertRule:
    """When an alert fires, and when it is over."""

    name: str
    measure: str
    """A name in `MEASURES`: failure rate and utilisation are shares (0 to 1), mean work is in s."""
    threshold: float
    """It fires above this."""
    clear: float
    """It is over at this and below."""
    for_: float = 60.0
    """How long it must be so, either way, s; at least from one evaluation to the next."""
    window: float = 300.0
    """Over how long it is measured, s, by whole minutes; `waiting` is measured now."""

    def __post_init__(self) -> None:
        """Refuse what cannot be a rule, by name."""
        check_name("name", self.name)
        if self.measure not in MEASURES:
            raise UsageError(f"alert {self.name}: no measure {self.measure!r}: use one of {', '.join(MEASURES)}")
        for name in ("threshold", "clear"):
            check_number(f"alert {self.name}: {name}", getattr(self, name), least=0)
        if self.clear > self.threshold:
            raise UsageError(f"alert {self.name}: clear={self.clear} lies above threshold={self.threshold}")
        check_seconds(f"alert {self.name}: for_", self.for_)
        check_seconds(f"alert {self.name}: window", self.window, least=0.001)


DEFAULT_RULES: Final = (
    AlertRule(name="failure-rate", measure="failure rate", threshold=0.1, clear=0.05),
    AlertRule(name="slow", measure="mean work", threshold=300, clear=240),
    AlertRule(name="backlog", measure="waiting", threshold=100, clear=50),
    AlertRule(name="utilisation", measure="utilisation", threshold=0.9, clear=0.8),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """A rule of a queue, and the state that it is in."""

    queue: str
    rule: AlertRule
    state: AlertState
    previous: AlertState
    """The state before this one."""
    since: datetime
    """When it came into this state, UTC."""
    at: datetime
    """When it was evaluated last, UTC: long ago if no worker is alive."""
    value: float | None
    """What was measured then; None if there was nothing to measure."""

    def to_wire(self) -> dict[str, Any]:
        """Return the fields by their names in JSON."""
        return {name.rstrip("_"): value for name, value in asdict(self.rule).items()} | {
            "queue": self.queue,
            "state": self.state,
            "previous": self.previous,
            "since": self.since.isoformat(),
            "at": self.at.isoformat(),
            "value": self.value,
        }

    def dump(self) -> bytes:
        return orjson.dumps(self.to_wire())

    @classmethod
    def load(cls, text: bytes) -> Self | None:
        """Read what `dump` wrote; None if *text* is something else."""
        try:
            wire = orjson.loads(text)
            return cls(
                queue=wire["queue"],
                rule=AlertRule(**{one.name: wire[one.name.rstrip("_")] for one in fields(AlertRule)}),
                state=AlertState(wire["state"]),
                previous=AlertState(wire["previous"]),
                since=datetime.fromisoformat(wire["since"]).astimezone(UTC),
                at=datetime.fromisoformat(wire["at"]).astimezone(UTC),
                value=wire["value"],
            )
        except (KeyError, TypeError, ValueError, UsageError):
            return None


def advance(alert: Alert, value: float | None, at: datetime) -> Alert:
    """Return *alert* as it is when *value* was measured at *at*; None is: nothing to measure.

    That says neither that all is well nor that it is not: an alert that fires recovers from it no sooner than from a
    good value, and then into no data.
    """
    state = _next_state(alert, value, lasted=at - alert.since >= timedelta(seconds=alert.rule.for_))
    if state is alert.state:
        return replace(alert, at=at, value=value)
    return replace(alert, state=state, previous=alert.state, since=at, at=at, value=value)


def _next_state(alert: Alert, value: float | None, *, lasted: bool) -> AlertState:
    rule, state = alert.rule, alert.state
    if state in {AlertState.FIRING, AlertState.RECOVERING}:
        if value is not None and value > rule.clear:
            return AlertState.FIRING
        if state is AlertState.FIRING or not lasted:
            return AlertState.RECOVERING
        return AlertState.NO_DATA if value is None else AlertState.OK
    if value is None:
        return AlertState.NO_DATA
    if value <= rule.threshold:
        return AlertState.OK
    return AlertState.FIRING if state is AlertState.PENDING and lasted else AlertState.PENDING


AlertHook = Callable[[Alert], Awaitable[None]]


async def evaluate(queue: str, broker: Broker, rules: Sequence[AlertRule], hooks: Sequence[AlertHook]) -> None:
    """Evaluate the rules of *queue*, if it is time to and nobody else does."""
    holder = new_id()
    turn = await broker.run("reserve_alerts", holder=holder, turn_ms=TURN_MS)
    if turn is None:
        return
    now_ms, stored = turn[0], pairs(turn[1])
    at = datetime.fromtimestamp(now_ms / 1000, UTC)
    windows = {rule: minutes_since(now_ms - round(rule.window * 1000), now_ms) for rule in rules}
    buckets = await read_buckets(broker, max(windows.values(), key=len, default=range(0)))
    waiting = await count_waiting(broker)

    alerts: list[Alert] = []
    changed: list[Alert] = []
    for rule, minutes in windows.items():
        before = Alert.load(stored.get(rule.name.encode(), b"")) or _unknown(queue, rule, at)
        value = MEASURES[rule.measure](figures(buckets, minutes, now_ms), waiting)
        alert = advance(replace(before, rule=rule), value, at)
        alerts.append(alert)
        if alert.state is not before.state:
            changed.append(alert)
    # Told first and stored then: should this worker die in between, another one tells it again.
    await _tell(changed, hooks)
    each = [(alert.rule.name, alert.dump()) for alert in alerts]
    await broker.run("ack_alerts", each, holder=holder, pause_ms=PERIOD_MS)


def _unknown(queue: str, rule: AlertRule, at: datetime) -> Alert:
    state = AlertState.NO_DATA
    return Alert(queue=queue, rule=rule, state=state, previous=state, since=at, at=at, value=None)


async def _tell(alerts: Sequence[Alert], hooks: Sequence[AlertHook]) -> None:
    """Log *alerts* and run their hooks, side by side."""
    async with anyio.create_task_group() as group:
        for alert in alerts:
            level = logging.WARNING if alert.state is AlertState.FIRING else logging.INFO
            log.log(level, "alert %s: %s", alert.rule.name, alert.state, extra=_ids(alert))
            for hook in hooks:
                group.start_soon(_run_hook, hook, alert)


async def _run_hook(hook: AlertHook, alert: Alert) -> None:
    try:
        async with asyncio.timeout(HOOK_TIMEOUT):
            await hook(alert)
    except Exception:
        log.exception("an alert hook failed", extra=_ids(alert))


def _ids(alert: Alert) -> dict[str, Any]:
    return {"queue": alert.queue, "alert": alert.rule.name, "state": alert.state, "value": alert.value}
