"""What there is in a queue: counts, pages, places, and who works on it."""

import contextlib
from collections.abc import AsyncIterator

from evq.broker import BULK, Broker, pairs
from evq.errors import UsageError
from evq.job import Fields, WorkerInfo
from evq.lifecycle import State

BAND = 1 << 40
"""The scores of a priority are two bands of so many: those put in front, then the others; see `to_waiting.lua`."""
BANDS = 32
GROUPS = 1000
"""In how many bands, and groups, the oldest job is looked for."""


async def counts(broker: Broker) -> dict[str, int]:
    """Count jobs by where they are, and those that ended since the beginning."""
    sets = ("waiting", "delayed", "active")
    sizes = [("ZCARD", broker.keys[name]) for name in sets]
    *known, flat = await broker.send([*sizes, ("HGETALL", broker.keys["counters"])])
    totals = {name.decode(): int(float(number)) for name, number in pairs(flat).items()}
    parked = [("ZCARD", broker.keys.of("parked_of", task)) for task in await parked_tasks(broker)]
    found = dict(zip(sets, known, strict=True)) | {"parked": sum(await broker.send(parked))}
    found["waiting"] += totals.get("grouped", 0)
    return found | {name: totals.get(name, 0) for name in ("enqueued", "completed", "failed", "cancelled")}


async def count_waiting(broker: Broker) -> int:
    """Count the waiting jobs alone, of groups too."""
    commands = [("ZCARD", broker.keys["waiting"]), ("HGET", broker.keys["counters"], "grouped")]
    alone, grouped = await broker.send(commands)
    return int(alone) + int(float(grouped or 0))


def _set(broker: Broker, state: State, of: str) -> bytes:
    if state is State.PARKED and not of:
        raise UsageError("parked jobs are listed by their task: say which with of=")
    if of and state not in (State.WAITING, State.PARKED):
        raise UsageError(f"of={of!r}: only waiting jobs are listed by group, and parked ones by task")
    return broker.keys.of(f"{state}_of", of) if of else broker.keys[state]


async def places(broker: Broker, state: State, group: str | None = None, task: str | None = None) -> list[str]:
    """List where jobs of a state may be: the groups of waiting ones, the tasks of parked ones; of others, one place."""
    if state is State.WAITING:
        return [group] if group else ["", *await groups(broker)]
    if state is State.PARKED:
        return [task] if task else await parked_tasks(broker)
    return [""]


async def every(broker: Broker, state: State, of: str) -> AsyncIterator[list[bytes]]:
    """Iterate over the ids in one place, in no order: one that stays there comes, whatever else comes and goes."""
    async for flat in broker.scan("ZSCAN", _set(broker, state, of), count=BULK):
        yield flat[::2]


async def page(broker: Broker, state: State, of: str, start: int, count: int) -> list[str]:
    """List ids of a state in their order: of a group if waiting (or of none), of a task if parked."""
    (ids,) = await broker.send([("ZRANGE", _set(broker, state, of), start, start + count - 1)])
    return [job_id.decode(errors="replace") for job_id in ids]


async def position(broker: Broker, job_id: str, group: str | None) -> int | None:
    """Return how many jobs of its group are before a waiting one."""
    rank: int | None
    (rank,) = await broker.send([("ZRANK", _set(broker, State.WAITING, group or ""), job_id)])
    return rank


async def groups(broker: Broker) -> list[str]:
    """List the groups of which jobs wait."""
    return await _members(broker, "group_names")


async def parked_tasks(broker: Broker) -> list[str]:
    """List the tasks of which jobs are parked."""
    return await _members(broker, "parked_tasks")


async def _members(broker: Broker, name: str) -> list[str]:
    (names,) = await broker.send([("SMEMBERS", broker.keys[name])])
    return sorted(name.decode(errors="replace") for name in names)


async def oldest_waiting(broker: Broker) -> float | None:
    """Return for how long the job that could start longest ago has waited, s.

    That is the first of a band, or if it was put in front the last.
    """
    least = {_set(broker, State.WAITING, group): 0 for group in ["", *await groups(broker)][:GROUPS]}
    found: set[bytes] = set()
    for _ in range(BANDS):
        firsts = await broker.send(
            [("ZRANGEBYSCORE", key, score, "+inf", "WITHSCORES", "LIMIT", 0, 1) for key, score in least.items()]
        )
        scores = {key: int(float(first[1])) for key, first in zip(least, firsts, strict=True) if first}
        least = {key: (score // BAND + 1) * BAND for key, score in scores.items()}
        lasts = await broker.send(
            [("ZREVRANGEBYSCORE", key, f"({score}", "-inf", "LIMIT", 0, 1) for key, score in least.items()]
        )
        found.update(job_id for page in (*firsts, *lasts) for job_id in page[:1])
    (records,) = await broker.send([("HMGET", broker.keys["records"], *found)]) if found else [[]]
    since: list[int] = []
    for packed in filter(None, records):
        with contextlib.suppress(ValueError):
            fields = Fields.load(packed)
            since.append(max(fields.created, fields.due or 0))
    return (await broker.now() - min(since)) / 1000 if since else None


async def overdue(broker: Broker) -> bool:
    """Tell whether a lease has run out of a job that nobody has taken back yet."""
    (count,) = await broker.send([("ZCOUNT", broker.keys["active"], "-inf", await broker.now())])
    return bool(count)


async def workers(broker: Broker) -> list[WorkerInfo]:
    """List the workers that are alive by Redis's clock, as their last heartbeats said."""
    (names,) = await broker.send([("ZRANGE", broker.keys["workers"], 0, -1)])
    infos = await broker.send([("GET", broker.keys["worker_of"] + name) for name in names])
    return [WorkerInfo.load(info) for info in infos if info]
