"""A queue as it should be, and as it is: the model and Redis, said in the same words."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any

import msgspec
import orjson

from evq.keys import KEYS
from evq.lifecycle import State
from tests.lua.lua_bench import Bench, unpack_record
from tests.model.model import Model

HINTS = {"events", "wake"}
"""Not compared: losing them costs time, never a job."""
HEARTS = {"workers", "worker_of"}
HEART_FIGURES = {"busy_ms", "capacity_ms", "cpu_ms", "rss"}
"""Not compared: what a worker says of itself."""
_TAILS = {tail: name for name, (tail, _) in KEYS.items()}


def expected(model: Model) -> dict[str, Any]:
    groups = {job.group for job in model.jobs.values() if job.group} | model.limits.keys() - {""}
    waiting = {group or "": [job.id for job in model.waiting(group)] for group in (None, *groups)}
    parked: defaultdict[str, list[str]] = defaultdict(list)
    for job in sorted(model.jobs_in(State.PARKED), key=lambda job: job.place):
        parked[job.task].append(job.id)
    return {
        "jobs": {job.id: job.record() for job in model.jobs.values()},
        "payloads": {job.id: job.payload for job in model.jobs.values() if job.beside},
        "waiting": _some(waiting),
        "delayed": {job.id: job.due for job in model.jobs_in(State.DELAYED)},
        "active": {job.id: job.lease for job in model.jobs_in(State.ACTIVE)},
        "parked": parked,
        "parked tasks": set(parked),
        "deadlines": model.deadlines,
        "ended": model.index,
        "to tell": model.to_tell,
        "hooks": model.hooks,
        "dedup": model.dedup,
        "groups": model.open_groups(),
        "group names": {group for group, ids in waiting.items() if group and ids},
        "throttled": model.throttled,
        "limits": _some({g: model.limits[g].record(model.running(g) if g else 0) for g in ("", *groups)}),
        "staging": model.staging,
        "marked": model.marked,
        "parts": _some(
            {
                batch: {part: [new.id for new in news] for part, news in parts.items()}
                for batch, parts in model.parts.items()
            }
        ),
        "counters": _some(
            model.totals | {"grouped": sum(len(ids) for group, ids in waiting.items() if group), "held": model.held}
        ),
        "figures": _some(model.figures),
        "progress": {job.id: job.progress for job in model.jobs.values() if job.progress is not None},
        "logs": {job.id: job.log for job in model.jobs.values() if job.log},
        "waiters": _some(model.waiters),
        "told": _some(model.told),
    }


def observe(bench: Bench) -> dict[str, Any]:
    found = _contents(bench)

    def scores(name: str) -> dict[str, int]:
        return {member: int(score) for member, score in found[name].get("", ())}

    def orders(name: str) -> dict[str, list[str]]:
        return {suffix: [member for member, _ in pairs] for suffix, pairs in found[name].items()}

    limits = {**found["limits"], **found["group_of"]}
    counters = {name: int(text) for name, text in found["counters"].get("", {}).items() if "." not in text}
    figures: Counter[str] = Counter()
    for minute in found["metrics_of"].values():
        figures.update({name: int(text) for name, text in minute.items() if name not in HEART_FIGURES})
    return {
        "jobs": {
            job_id.decode(): _record(packed) for job_id, packed in bench.raw.hgetall(bench.key("records")).items()
        },
        "payloads": found["payloads"].get("", {}),
        "waiting": {**orders("waiting"), **orders("waiting_of")},
        "delayed": scores("delayed"),
        "active": scores("active"),
        "parked": orders("parked_of"),
        "parked tasks": found["parked_tasks"].get("", set()),
        "deadlines": scores("deadlines"),
        "ended": {state: scores(state) for state in ("completed", "failed", "cancelled")},
        "to tell": scores("ended"),
        "hooks": found["hooked_tasks"].get("", set()),
        "dedup": found["dedup_of"],
        "groups": set(scores("groups")),
        "group names": found["group_names"].get("", set()),
        "throttled": scores("throttled"),
        "limits": _some({name: _without(fields, "turn") for name, fields in limits.items()}),
        "staging": scores("staging"),
        "marked": scores("marked"),
        "parts": {
            batch: {int(part): msgspec.msgpack.decode(packed)[::4] for part, packed in parts.items()}
            for batch, parts in found["staged_of"].items()
        },
        "counters": _some(_without(counters, "sequence", "turn", "own_turn")),
        "figures": _some(figures),
        "progress": {job_id: orjson.loads(text)["percentage"] for job_id, text in found["progress_of"].items()},
        "logs": found["log_of"],
        "waiters": found["waiters_of"],
        "told": {waiter: ids for waiter, ids in found["waiter_of"].items() if not waiter.endswith(".heart")},
    }


def _contents(bench: Bench) -> defaultdict[str, dict[str, Any]]:
    """Read every key of the queue: by its name in `KEYS`, then by its suffix."""
    prefix, pipe = bench.key("records").removesuffix("records"), bench.redis.pipeline(transaction=False)
    found: defaultdict[str, dict[str, Any]] = defaultdict(dict)
    wanted = []
    for key in bench.redis.keys(prefix + "*"):
        tail = key.removeprefix(prefix)
        head, colon, suffix = tail.partition(":")
        name = _TAILS.get(tail) or _TAILS[head + colon]
        if name in HINTS | HEARTS | {"records"} or key == bench.key("progress_of", "clock"):
            continue
        if name == "staged_of":
            found[name][suffix] = bench.raw.hgetall(key)
            continue
        wanted.append((name, suffix))
        match KEYS[name][1].split()[0]:
            case "HASH":
                pipe.hgetall(key)
            case "ZSET":
                pipe.zrange(key, 0, -1, withscores=True)
            case "SET":
                pipe.smembers(key)
            case "LIST":
                pipe.lrange(key, 0, -1)
            case _:
                pipe.get(key)
    for (name, suffix), content in zip(wanted, pipe.execute(), strict=True):
        found[name][suffix] = content
    return found


def _record(packed: bytes) -> dict[str, Any]:
    record = unpack_record(packed)
    if "error" in record:
        record["error"] = orjson.loads(record["error"])["type"]  # its message is for people
    return record


def _without(fields: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name not in names}


def _some(found: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in found.items() if value}
