"""The queue's event stream: hints that jobs have changed."""

import logging
import random
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

import anyio

from evq.broker import Broker
from evq.errors import QueueUnavailable
from evq.job import JobProgress

log = logging.getLogger("evq.events")

RECONNECTED = "reconnected"
"""The name of an event, without jobs, that says: some may have been missed, look at what you care about."""
BLOCK_MS = 5_000
"""How long one read waits, ms; then it is repeated."""


@dataclass(frozen=True, slots=True)
class Event:
    """A hint that some jobs have changed."""

    id: str
    """Its place in the stream."""
    name: str
    """enqueued, reserved, parked, progress, retried, snoozed, reclaimed, cancel-requested, completed, failed, ..."""
    jobs: tuple[str, ...]
    seq: int | None = None
    """With `progress`: the sequence number that its job had then."""
    progress: JobProgress | None = None


async def read_events(broker: Broker, after: str | None) -> AsyncIterator[Event]:
    """Yield events as they come, for ever; an outage of Redis is waited out and followed by `RECONNECTED`."""
    connected = True
    while True:
        try:
            after = after or await broker.last_event()
            entries = await broker.read_events(after, BLOCK_MS if connected else 1)
        except QueueUnavailable as error:
            if connected:
                log.warning("the event stream is interrupted: %s", error)
            connected = False
            await anyio.sleep(random.uniform(0.2, 1.0))  # noqa: S311 - spread, not secrecy
            continue
        if not connected:
            connected = True
            yield Event(after, RECONNECTED, ())
        for after, fields in entries:
            yield _event(after, fields)


def _event(event_id: str, fields: Mapping[bytes, bytes]) -> Event:
    name, jobs = fields[b"event"].decode(), tuple(fields[b"jobs"].decode().split())
    if b"progress" in fields:
        return Event(event_id, name, jobs, int(fields[b"seq"]), JobProgress.load(fields[b"progress"]))
    return Event(event_id, name, jobs)
