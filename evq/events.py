"""The queue's event stream: hints that jobs have changed."""

import logging
import random
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

import anyio

from evq.broker import Broker, pairs
from evq.errors import QueueUnavailable, UsageError
from evq.job import JobProgress

log = logging.getLogger("evq.events")

GAP = "gap"
"""The name of an event, without jobs, that says: some have been missed here, so look at what you care about."""
KEPT = 100
"""The stream is not cut before it has so many events. See `lua/include/emit.lua`."""
NO_EVENT = "0-0"
"""The id before that of the first event."""
BLOCK_MS = 5_000
"""How long one read waits, ms; then it is repeated."""

_EVENT_ID = re.compile(r"\d{1,19}-\d{1,19}")


@dataclass(frozen=True, slots=True)
class Event:
    """A hint that some jobs have changed."""

    id: str
    """Its place in the stream; that of a gap is the place from which on events are missing."""
    name: str
    """enqueued, reserved, parked, progress, retried, snoozed, reclaimed, cancel-requested, completed, failed, ..."""
    jobs: tuple[str, ...]
    seq: int | None = None
    """With `progress`: the sequence number that its job had then."""
    progress: JobProgress | None = None


def read_events(broker: Broker, from_id: str | None) -> AsyncIterator[Event]:
    """Yield events as they come, for ever; raise `UsageError` if *from_id* cannot be the id of one.

    An outage of Redis is waited out. If Redis no longer has the event that was read last (too many have come since, or
    its data were lost), a `GAP` comes before the next.
    """
    if from_id is not None and not _EVENT_ID.fullmatch(str(from_id)):
        raise UsageError(
            f"from_id={from_id!r}: use the id of an event that you have read, or '0-0' for all that are kept"
        )
    return _follow(broker, from_id)


async def _follow(broker: Broker, place: str | None) -> AsyncIterator[Event]:
    connected = True
    while True:
        try:
            place = place or await _last(broker)
            entries, complete = await _read(broker, place, BLOCK_MS if connected else 1)
        except QueueUnavailable as error:
            if connected:
                log.warning("the event stream is interrupted: %s", error)
            connected = False
            await anyio.sleep(random.uniform(0.2, 1.0))  # noqa: S311 - spread, not secrecy
            continue
        connected = True
        if not complete:
            yield Event(place, GAP, ())
            place = None  # if there is no later one, go on from the last that Redis has
        for place, fields in entries:
            yield _event(place, fields)


async def _last(broker: Broker) -> str:
    (reply,) = await broker.send([("XREVRANGE", broker.keys["events"], "+", "-", "COUNT", 1)])
    return reply[0][0].decode() if reply else NO_EVENT


async def _read(broker: Broker, after: str, wait_ms: int) -> tuple[list[tuple[str, dict[bytes, bytes]]], bool]:
    """Read events after the id *after*, each with its fields, waiting at most *wait_ms* for the first.

    Say also whether these are all: the stream is cut at its beginning only, so they are if *after* is still there.
    """
    events = broker.keys["events"]
    commands: list[tuple[str | bytes | int, ...]] = [
        ("XREAD", "COUNT", 1000, "BLOCK", wait_ms, "STREAMS", events, after),
        ("XRANGE", events, after, after),
        ("XLEN", events),
    ]
    reply, found, length = await broker.send(commands, blocks_s=wait_ms / 1000)
    entries = [(key.decode(), pairs(fields)) for key, fields in (reply[0][1] if reply else [])]
    return entries, length < KEPT if after == NO_EVENT else bool(found)


def _event(event_id: str, fields: Mapping[bytes, bytes]) -> Event:
    name, jobs = fields[b"event"].decode(), tuple(fields[b"jobs"].decode().split())
    if b"progress" in fields:
        return Event(event_id, name, jobs, int(fields[b"seq"]), JobProgress.load(fields[b"progress"]))
    return Event(event_id, name, jobs)
