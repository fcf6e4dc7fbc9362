"""The parts of the model: a job as it is described, its record, and limits."""

import math
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from evq.job import PRIORITY, Dedup, JobOptions, NewJob
from evq.lifecycle import NEW


@dataclass(frozen=True, kw_only=True)
class New:
    """A job as its producer describes it; times in ms."""

    id: str
    task: str
    payload: str
    priority: int = PRIORITY
    delay: int = 0
    at: int = 0
    front: bool = False
    group: str | None = None
    dedup: str | None = None
    mode: Dedup = "existing"
    expires: int = 0
    deadline: int = 0
    hooks: tuple[str, ...] = ()

    def job(self) -> NewJob:
        options = JobOptions(
            priority=self.priority,
            delay=self.delay / 1000,
            at=datetime.fromtimestamp(self.at / 1000, UTC) if self.at else None,
            front=self.front,
            group=self.group,
            dedup_key=self.dedup,
            dedup=self.mode,
            expires=self.expires / 1000 or None,
            deadline=self.deadline / 1000 or None,
        )
        return NewJob(task=self.task, payload=self.payload.encode(), id=self.id, options=options.to_wire(self.hooks))


@dataclass(kw_only=True)
class Job:
    """A job's record, and what Redis keeps elsewhere: its place among the waiting, its lease."""

    id: str
    task: str
    payload: str
    beside: bool
    """Whether the payload is large, or was: then it is kept beside the record."""
    priority: int
    created: int
    options: dict[str, Any]
    state: str = NEW
    due: int | None = None
    seq: int = 0
    fence: int = 0
    worker: str | None = None
    started: int | None = None
    settled: int | None = None
    failures: int = 0
    crashes: int = 0
    crashed: list[int] = field(default_factory=list)
    isolated: bool = False
    cancel: bool = False
    watched: bool = False
    hook_runs: int = 0
    ended: int | None = None
    result: str | None = None
    error: str | None = None

    place: tuple[int, int] = (0, 0)
    lease: int = 0
    progress: float | None = None
    progressed: bool = False
    log: list[str] = field(default_factory=list)

    @property
    def group(self) -> str | None:
        return self.options.get("group")

    def lateness(self, moment: int) -> str | None:
        if moment >= self.options.get("deadline", math.inf):
            return "DeadlineExceeded"
        if self.fence == 0 and moment >= self.options.get("expires", math.inf):
            return "Expired"
        return None

    def record(self) -> dict[str, Any]:
        """Return the record as Redis keeps it: most fields are there only if they differ from the default."""
        optional = {
            name: getattr(self, name)
            for name in [
                "due",
                "worker",
                "started",
                "settled",
                "crashes",
                "isolated",
                "cancel",
                "watched",
                "progressed",
                "hook_runs",
                "ended",
                "result",
                "error",
            ]
        }
        optional |= self.options | {"crashed": " ".join(map(str, self.crashed))}
        optional["payload"] = None if self.beside else self.payload
        always = ("task", "state", "priority", "created", "seq", "fence", "failures")
        return {name: getattr(self, name) for name in always} | {
            name: value for name, value in optional.items() if value
        }


@dataclass
class Limits:
    """What a group, or the queue, may do. A rate is a GCRA, said as its definition says it (ITU-T I.371)."""

    settings: dict[str, int] = field(default_factory=dict)
    paused: bool = False
    tat: int | None = None

    def may_run(self, running: int) -> bool:
        return not self.paused and running < self.settings.get("concurrency", math.inf)

    def wait(self, now: int) -> int:
        """Return ms until the rate lets another job start."""
        if "interval" not in self.settings:
            return 0
        ahead = (self.settings["burst"] - 1) * self.settings["interval"]
        return max(0, math.ceil((self.tat or 0) - ahead - now))

    def start(self, now: int) -> None:
        if "interval" in self.settings:
            self.tat = max(self.tat or 0, now) + self.settings["interval"]

    def record(self, active: int) -> dict[str, str]:
        found = self.settings | {"active": active, "paused": int(self.paused), "tat": self.tat}
        return {name: str(value) for name, value in found.items() if value}
