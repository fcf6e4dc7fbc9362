"""Check a queue's data against what always holds.

It reads only, page by page, beside whatever else goes on. What looks wrong is looked at again, since jobs move while
they are read: only what stays wrong, of a job or group that has not changed meanwhile, is a finding.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import anyio
import orjson

from evq.broker import Broker
from evq.job import Fields, RareFields
from evq.keys import KEYS
from evq.lifecycle import END_STATES, PENDING_STATES, State
from evq.wire import Command

PAGE = 250
"""Jobs that are read in one exchange."""
LOOKS = 3
"""How often something must look wrong."""
PAUSE = 0.1
"""From one look to the next, s."""

SETS = ("waiting", "delayed", "active", *END_STATES, "deadlines", "ended")
"""Where a job can be, beside `parked`, of which there is one for each task."""
_TAILS = {tail: name for name, (tail, _) in KEYS.items()}


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that must not be."""

    where: str
    """A job's id, or a key."""
    what: str
    """And what to do."""


Suspect = tuple[Finding, str]
"""A finding, and the version of what it is about: it counts only as long as that stays."""


async def check(broker: Broker) -> list[Finding]:
    """Check a whole queue; return what is wrong with it, at best nothing."""
    suspects = await _Look(broker).everywhere()
    for _ in range(LOOKS - 1):
        if not suspects:
            break
        await anyio.sleep(PAUSE)
        suspects &= await _Look(broker).everywhere()
    return sorted((finding for finding, _ in suspects), key=lambda finding: (finding.where, finding.what))


class _Look:
    """One look at a queue."""

    def __init__(self, broker: Broker) -> None:
        self._broker, self._keys = broker, broker.keys
        self._suspects: set[Suspect] = set()
        self._found: defaultdict[str, list[str]] = defaultdict(list)  # the suffixes of keys, by their names in KEYS
        self._unreadable: set[bytes] = set()
        self._strays: defaultdict[str, set[str]] = defaultdict(set)  # without a record: where they are
        self._waiting: Counter[str] = Counter()
        self._active: Counter[str] = Counter()
        self._versions: Counter[str] = Counter()
        self._holders: defaultdict[str, set[str]] = defaultdict(set)

    async def everywhere(self) -> set[Suspect]:
        await self._find_keys()
        jobs = sorted(await self._find_jobs())
        for start in range(0, len(jobs), PAGE):
            await self._check_jobs(jobs[start : start + PAGE])
        await self._check_groups()
        await self._check_dedup()
        await self._check_batches()
        return self._suspects

    def _suspect(self, where: str | bytes, what: str, version: str = "") -> None:
        self._suspects.add((Finding(_text(where), what), version))

    async def _read(self, commands: Sequence[Command]) -> list[Any]:
        """Read keys; one that has the wrong type is as good as none."""
        replies = iter(await self._broker.send([c for c in commands if c[1] not in self._unreadable]))
        return [None if command[1] in self._unreadable else next(replies) for command in commands]

    # Keys

    async def _find_keys(self) -> None:
        prefix = self._keys["records"].removesuffix(b"records")
        async for page in self._broker.scan("SCAN", match=prefix + b"*"):
            types = await self._broker.send([("TYPE", key) for key in page])
            for key, kind in zip(page, map(_text, types), strict=True):
                tail = _text(key.removeprefix(prefix))
                head, colon, suffix = tail.partition(":")
                name = _TAILS.get(tail) or _TAILS.get(head + colon)
                expected = KEYS[name][1].split()[0].lower() if name else ""
                if not name:
                    self._suspect(key, "this is no key of evq: delete it, or give it another name")
                elif kind not in (expected, "none"):
                    self._suspect(key, f"this is a {kind}, where evq keeps a {expected}: delete it")
                    self._unreadable.add(key)
                else:
                    self._found[name].append(suffix)

    async def _find_jobs(self) -> set[str]:
        """List the jobs that have a record, or are in a set."""
        known = {*await self._fields("records"), *await self._fields("payloads")}
        sets = [(name, "") for name in ("waiting", "delayed", "active", "deadlines", *END_STATES)]
        sets += [(name, of) for name in ("waiting_of", "parked_of") for of in self._found[name]]
        for name, of in sets:
            for job_id in await self._members(self._keys.of(name, of)):
                if job_id not in known:
                    self._strays[job_id].add(KEYS[name][0] + of)
        return known | self._strays.keys()

    async def _fields(self, name: str) -> list[str]:
        """List the fields of a hash, which may come twice."""
        key, fields = self._keys[name], list[str]()
        if key not in self._unreadable:
            async for page in self._broker.scan("HSCAN", key):
                fields += map(_text, page[::2])
        return fields

    async def _members(self, key: bytes) -> list[str]:
        members: list[str] = []
        while page := (await self._read([("ZRANGE", key, len(members), len(members) + 4999)]))[0]:
            members += map(_text, page)
        return members

    # Jobs

    async def _check_jobs(self, job_ids: list[str]) -> None:
        commands: list[Command] = [("HMGET", self._keys[name], *job_ids) for name in ("records", "payloads")]
        records, payloads = [reply or [None] * len(job_ids) for reply in await self._read(commands)]
        readable: dict[str, Fields] = {}
        for job_id, packed, payload in zip(job_ids, records, payloads, strict=True):
            if packed:
                try:
                    readable[job_id] = _fields(packed, payload)
                except ValueError as fault:
                    self._suspect(job_id, f"{fault}: {self._delete('records', job_id)}", str(packed))
            elif payload:
                self._suspect(job_id, f"has a payload, but no record: {self._delete('payloads', job_id)}")
            elif listed := self._strays[job_id]:
                self._suspect(job_id, f"is in {_list(listed)}, but has no record: a worker drops it there in time")
        places = await self._places(readable)
        for job_id, fields in readable.items():
            self._check_job(job_id, fields, places[job_id])

    def _delete(self, name: str, job_id: str) -> str:
        return f"HDEL {_text(self._keys[name])} {job_id}"

    async def _places(self, jobs: Mapping[str, Fields]) -> dict[str, set[str]]:
        """Find in which of the sets each job is."""
        commands: list[Command] = []
        for job_id, fields in jobs.items():
            keys = {name: self._keys[name] for name in SETS}
            keys["parked"] = self._keys.of("parked_of", fields.task)
            if group := _rare(fields).group:
                keys["waiting"] = self._keys.of("waiting_of", group)
            commands += [("ZSCORE", key, job_id) for key in keys.values()]
        scores = iter(await self._read(commands))
        return {job_id: {name for name in (*SETS, "parked") if next(scores)} for job_id in jobs}

    def _check_job(self, job_id: str, fields: Fields, places: set[str]) -> None:
        version, state, rare = str(fields.seq), fields.state, _rare(fields)
        indexes = places - {"deadlines", "ended"}
        if indexes != {state}:
            what = f"its state is {state}, but it is in {_list(indexes) or 'no set'}"
            anew = f"{self._delete('records', job_id)}, and enqueue it anew if it is still wanted"
            self._suspect(job_id, f"{what}: {anew}", version)
        has_deadline = rare.deadline is not None or (rare.expires is not None and not fields.fence)
        if state in PENDING_STATES and has_deadline != ("deadlines" in places):
            what = (
                "has a deadline, but is not among the deadlines" if has_deadline else "is among the deadlines for none"
            )
            self._suspect(job_id, f"{what}: remove it, and enqueue it anew", version)
        group = rare.group or ""
        self._waiting[group] += state == State.WAITING
        self._active[group] += state == State.ACTIVE
        self._versions[group] += hash((job_id, state, version))
        if state not in END_STATES:
            self._holders[rare.dedup or ""].add(job_id)

    # Groups and dedup keys

    async def _check_groups(self) -> None:
        """Check that a group is among those whose turn may come if and only if one of its jobs may start."""
        groups = sorted({"", *self._found["waiting_of"], *self._found["group_of"], *self._waiting})
        for start in range(0, len(groups), PAGE):
            page = groups[start : start + PAGE]
            commands: list[Command] = []
            for group in page:
                commands += [
                    ("ZCARD", self._keys.of("waiting_of", group) if group else self._keys["waiting"]),
                    ("HMGET", self._keys.of("group_of", group), "paused", "concurrency", "active"),
                    ("ZSCORE", self._keys["groups"], group),
                    ("ZSCORE", self._keys["throttled"], group),
                    ("SISMEMBER", self._keys["group_names"], group),
                ]
            replies = await self._read(commands)
            for group, *found in zip(page, *(replies[i::5] for i in range(5)), strict=True):
                self._check_group(group, *found)
        (counted,) = await self._read([("HGET", self._keys["counters"], "grouped")])
        waiting = self._waiting.total() - self._waiting[""]
        if _number(counted) != waiting:
            what = (
                f"counts {_number(counted)} waiting jobs of groups, but there are {waiting}: HSET it grouped {waiting}"
            )
            self._suspect(self._keys["counters"], what, str(self._versions.total()))

    def _check_group(self, group: str, listed: Any, settings: Any, placed: Any, throttled: Any, named: Any) -> None:
        version, waiting, running = str(self._versions[group]), self._waiting[group], self._active[group]
        key = self._keys.of("waiting_of", group) if group else self._keys["waiting"]
        if listed not in (waiting, None):
            self._suspect(key, f"lists {listed} jobs, but {waiting} wait there: ZREM the others", version)
        if not group:
            return
        key = self._keys.of("group_of", group)
        paused, concurrency, active = settings or (None, None, None)
        if _number(active) != running:
            what = f"counts {_number(active)} active jobs, but there are {running}: HSET it active {running}"
            self._suspect(key, what, version)
        may_run = waiting and not paused and not throttled and (not concurrency or running < _number(concurrency))
        if bool(may_run) != bool(placed):
            what = "may run, but is not among those that may" if may_run else "may not run, but is among those that may"
            self._suspect(key, f"the group {what}: resume it (or pause it again)", version)
        if bool(waiting) != bool(named):
            what = f"has {waiting} waiting jobs, but is {'' if named else 'not '}among those that have"
            self._suspect(key, f"the group {what}: resume it (or pause it again)", version)

    async def _check_dedup(self) -> None:
        """Check that each dedup key is held by a job that has not ended and names it."""
        for start in range(0, len(self._found["dedup_of"]), PAGE):
            page = self._found["dedup_of"][start : start + PAGE]
            holders = await self._read([("GET", self._keys.of("dedup_of", name)) for name in page])
            for name, holder in zip(page, holders, strict=True):
                if holder and _text(holder) not in self._holders[name]:
                    what = f"is held by job {_text(holder)}, which has ended, or does not name it: delete it"
                    self._suspect(self._keys.of("dedup_of", name), what)

    async def _check_batches(self) -> None:
        """Check that each large batch is being written, or is to be moved."""
        for batch in self._found["staged_of"]:
            known = await self._read([("ZSCORE", self._keys[name], batch) for name in ("staging", "marked")])
            if not any(known):
                what = "is a batch that is neither being written nor to be moved: delete it"
                self._suspect(self._keys.of("staged_of", batch), what)


def _fields(packed: bytes, payload: bytes | None) -> Fields:
    """Read a record; raise ValueError, which says why, if it cannot be that of a job."""
    try:
        fields = Fields.load(packed)
    except ValueError as error:
        raise ValueError(f"its record cannot be read ({error})") from error
    payload = payload if fields.payload is None else fields.payload.encode()
    if payload is None:
        raise ValueError("its record has no payload")
    try:
        for text in (payload, fields.result or "null", fields.error or "null"):
            orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise ValueError("its record has a field that is not JSON") from error
    return fields


def _rare(fields: Fields) -> RareFields:
    return fields.rare or RareFields()


def _text(raw: str | bytes) -> str:
    return raw if isinstance(raw, str) else raw.decode(errors="replace")


def _number(text: bytes | None) -> int:
    return int(text) if text and text.isdigit() else 0


def _list(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
