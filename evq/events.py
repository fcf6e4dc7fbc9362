"""The queue's event stream: hints that jobs have changed."""

import logging
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass

import anyio

from evq.broker import Broker
from evq.errors import QueueUnavailable

log = logging.getLogger("evq.events")

BLOCK_MS = 5000


@dataclass(frozen=True, slots=True)
class Event:
    """A hint that some jobs have changed."""

    id: str
    """Its place in the stream."""
    name: str
    """enqueued, reserved, parked, progress, retried, snoozed, reclaimed, cancel-requested, completed, failed, ..."""
    jobs: tuple[str, ...]


RECONNECTED = "reconnected"
"""The name of an event, without jobs, that says: some may have been missed, look at what you care about."""


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
        for event_id, name, jobs in entries:
            after = event_id
            yield Event(event_id, name, jobs)
