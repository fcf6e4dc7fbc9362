"""What really happened, written down by those who did it, outside Redis.

A line of JSON an entry, appended in one write, so that the lines of many processes do not mix and those of a killed one
are whole.
"""

import os
import select
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import orjson


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of the journal."""

    event: str
    """sent, confirmed, cancelled (by clients); started, finished, raised, interrupted (by handlers); fault, limited,
    paused, resumed (by the test)."""
    at: float
    """By the monotonic clock, which all processes share, s."""
    job: str = ""
    fence: int = 0
    """Of a cancel: the fence that the job had when it was confirmed."""
    attempt: int = 0
    pid: int = 0
    more: dict[str, Any] = field(default_factory=dict)


class Journal:
    """Appends to the journal at *path*, and reads it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def write(self, event: str, job: str = "", *, fence: int = 0, attempt: int = 0, **more: Any) -> None:
        entry = Entry(
            event=event, at=time.monotonic(), job=job, fence=fence, attempt=attempt, pid=os.getpid(), more=more
        )
        line = orjson.dumps(entry) + b"\n"
        assert len(line) <= select.PIPE_BUF, "an entry too long to be appended in one piece"
        os.write(self._file, line)

    def entries(self, event: str = "", job: str = "") -> list[Entry]:
        """Read the entries of *event* and *job*, in the order in which they were written; all by default."""
        whole, _, _ = self.path.read_bytes().rpartition(b"\n")  # a line may be seen half written
        found = (Entry(**orjson.loads(line)) for line in whole.splitlines())
        return [entry for entry in found if event in ("", entry.event) and job in ("", entry.job)]

    async def wait_for(self, event: str, job: str = "", *, count: int = 1, within: float = 15) -> list[Entry]:
        """Return the entries of *event* and *job* as soon as there are *count*."""
        with anyio.fail_after(within):
            while len(found := self.entries(event, job)) < count:
                await anyio.sleep(0.02)
        return found


def by_job(entries: list[Entry], event: str) -> dict[str, list[Entry]]:
    """Group the entries of *event* by their job."""
    groups: dict[str, list[Entry]] = {}
    for entry in entries:
        if entry.event == event:
            groups.setdefault(entry.job, []).append(entry)
    return groups
