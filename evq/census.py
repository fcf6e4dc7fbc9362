"""What there is in a queue: counts, pages, places, and who works on it."""

from evq.broker import Broker, pairs
from evq.job import WorkerInfo
from evq.lifecycle import State

PRIORITY_STEP = 1 << 41
"""How far the scores of two neighbouring priorities are apart; see `to_waiting.lua`."""
PRIORITIES = 16
GROUPS = 1000
"""Of how many priorities, and groups, the oldest job is looked for."""


async def counts(broker: Broker) -> dict[str, int]:
    """Count jobs by where they are, and those that ended since the beginning."""
    sets = ("waiting", "delayed", "active")
    sizes = [("ZCARD", broker.keys[name]) for name in sets]
    *known, flat = await broker.read([*sizes, ("HGETALL", broker.keys["counters"])])
    totals = {name.decode(): int(float(number)) for name, number in pairs(flat).items()}
    parked = [("ZCARD", broker.keys.of("parked_of", task)) for task in await parked_tasks(broker)]
    found = dict(zip(sets, known, strict=True)) | {"parked": sum(await broker.read(parked))}
    found["waiting"] += totals.get("grouped", 0)
    return found | {name: totals.get(name, 0) for name in ("enqueued", "completed", "failed", "cancelled")}


def _set(broker: Broker, state: State, of: str) -> bytes:
    if of and state in (State.WAITING, State.PARKED):
        return broker.keys.of(f"{state}_of", of)
    return broker.keys[state]


async def page(broker: Broker, state: State, of: str, start: int, count: int) -> list[str]:
    """List ids of a state in their order: of a group if waiting (or of none), of a task if parked."""
    (ids,) = await broker.read([("ZRANGE", _set(broker, state, of), start, start + count - 1)])
    return [job_id.decode(errors="replace") for job_id in ids]


async def position(broker: Broker, job_id: str, group: str | None) -> int | None:
    """Return how many jobs of its group are before a waiting one."""
    rank: int | None
    (rank,) = await broker.read([("ZRANK", _set(broker, State.WAITING, group or ""), job_id)])
    return rank


async def groups(broker: Broker) -> list[str]:
    """List the groups of which jobs wait."""
    return await _members(broker, "group_names")


async def parked_tasks(broker: Broker) -> list[str]:
    """List the tasks of which jobs are parked."""
    return await _members(broker, "parked_tasks")


async def _members(broker: Broker, name: str) -> list[str]:
    (names,) = await broker.read([("SMEMBERS", broker.keys[name])])
    return sorted(name.decode(errors="replace") for name in names)


async def oldest_waiting(broker: Broker) -> float | None:
    """Return for how long the job that waits longest has been there, s; the first of each priority may be it."""
    least = {_set(broker, State.WAITING, group): 0 for group in ["", *await groups(broker)][:GROUPS]}
    firsts: list[bytes] = []
    for _ in range(PRIORITIES):
        found = await broker.read(
            [("ZRANGEBYSCORE", key, score, "+inf", "WITHSCORES", "LIMIT", 0, 1) for key, score in least.items()]
        )
        firsts += [first[0] for first in found if first]
        scored = {key: int(float(first[1])) for key, first in zip(least, found, strict=True) if first}
        least = {key: (score // PRIORITY_STEP + 1) * PRIORITY_STEP for key, score in scored.items()}
    times = await broker.read([("HGET", broker.keys["job_of"] + first, "created") for first in firsts])
    created = [int(ms) for ms in times if ms]
    return (await broker.now() - min(created)) / 1000 if created else None


async def workers(broker: Broker) -> list[WorkerInfo]:
    """List the workers that are alive by Redis's clock, as their last heartbeats said."""
    (names,) = await broker.read([("ZRANGE", broker.keys["workers"], 0, -1)])
    infos = await broker.read([("GET", broker.keys["worker_of"] + name) for name in names])
    return [WorkerInfo.load(info) for info in infos if info]
