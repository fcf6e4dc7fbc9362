"""A queue of which every script can be called by itself, with a clock that only the test moves."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import redis

from evq.broker import Broker, Call, Reply, Reserved
from evq.job import JobError, JobOptions, JobProgress, NewJob, ReservedJob, WorkerInfo
from evq.keys import QueueKeys
from evq.schedules import Schedule, to_ms
from evq.scripts import Argument, Script, build, read_sources

KEEP_MS = 100_000
KEEP_COUNT = 1_000
LEASE_MS = 30_000
LOG_LINES = 100
START_MS = 1_700_000_000_000
ENDS = ("completed", "failed", "cancelled")
"""The events of a job's end, of which hooks can be told."""
ERROR = JobError("ValueError", "no", "").dump()
INFO = WorkerInfo(
    id="w1",
    host="here",
    pid=1,
    version="1",
    concurrency=1,
    running=1,
    jobs=(),
    utilisation=0.5,
    cpu=0.1,
    rss=1000,
    started_ms=1,
)
BEAT: Mapping[str, Argument] = {"info": INFO.dump(), "busy_ms": 500, "capacity_ms": 1000, "cpu_ms": 100, "rss": 1000}
"""What a worker says of itself with a heartbeat."""

_CLOCK = """--[[ now: the time of the test, ms.

  KEYS  progress_of
]]
local function now()
  return tonumber(redis.call("GET", progress_of .. "clock"))
end
"""


COMMON = (
    *("state", "task", "payload", "created", "priority", "due", "seq", "fence", "failures"),
    *("started", "ended", "worker", "error", "result"),
)
"""The fields of a record in their order; behind them come those that are rare, as a map."""


def unpack_record(packed: bytes) -> dict[str, Any]:
    """Read a record; a field that a job does not have is not there."""
    *common, rare = msgspec.msgpack.decode(bytes([0x90 + len(COMMON) + 1]) + packed)
    return {name: value for name, value in zip(COMMON, common, strict=True) if value is not None} | (rare or {})


def pack_record(fields: Mapping[str, Any]) -> bytes:
    """Write a record as the scripts do."""
    rare = {name: value for name, value in fields.items() if name not in COMMON}
    return b"".join(map(_pack, [*(fields.get(name) for name in COMMON), rare.get("rare", rare or None)]))


def _pack(value: Any) -> bytes:
    if isinstance(value, bytes):  # a short text, as Lua has it, that need not be UTF-8
        return bytes([0xA0 + len(value)]) + value
    return msgspec.msgpack.encode(value)


def spoil(client: Any, keys: QueueKeys, job_id: str, **fields: Any) -> None:
    """Change fields of a record, as no script would; *client* gives bytes."""
    client.hset(keys["records"], job_id, pack_record(unpack_record(client.hget(keys["records"], job_id)) | fields))


def scripts_of_the_test(changed: Mapping[str, str] | None = None) -> Mapping[str, Script]:
    """Build the scripts with the test's clock, and with the sources that are *changed*, by name."""
    sources, includes = read_sources("evq.lua"), read_sources("evq.lua.include") | {"now": _CLOCK}
    for name, source in (changed or {}).items():
        (sources if name in sources else includes)[name] = source
    return {name: build(name, sources, includes) for name in sources}


class Bench:
    """Calls scripts as the broker does, and looks at what they did to Redis."""

    def __init__(
        self, url: str, queue: str, *, keep_count: int = KEEP_COUNT, scripts: Mapping[str, Script] | None = None
    ) -> None:
        self.name = queue
        self.keys = QueueKeys(queue)
        scripts = scripts or scripts_of_the_test()
        self.broker = Broker(url, self.keys, keep_ms=KEEP_MS, keep_count=keep_count, scripts=scripts)
        self.redis: Any = redis.Redis.from_url(url, decode_responses=True)
        self.raw: Any = redis.Redis.from_url(url)
        self.at(START_MS)

    async def close(self) -> None:
        self.redis.close()
        self.raw.close()
        await self.broker.close()

    # The clock

    def at(self, ms: int) -> None:
        self.now = ms
        self.redis.set(self.key("progress_of", "clock"), ms)

    def later(self, ms: int) -> None:
        self.at(self.now + ms)

    # The scripts

    async def add(
        self, task: str = "send", *, payload: Mapping[str, Any] | None = None, hooks: Sequence[str] = (), **options: Any
    ) -> tuple[Reply, str]:
        """Enqueue a job; return the answer and the id of the job that stands."""
        job = NewJob.make(task, payload or {"n": 1}, JobOptions(**options), hooks)
        return (await self.broker.enqueue([job]))[0]

    async def enqueue(self, task: str = "send", **options: Any) -> str:
        word, job_id = await self.add(task, **options)
        assert word is Reply.OK
        return job_id

    def reserve_call(
        self,
        count: int = 1,
        *,
        tasks: Sequence[str] = ("send",),
        worker: str = "w1",
        lease_ms: int = LEASE_MS,
        isolates: bool = True,
    ) -> Call:
        each = [(task, int(isolates)) for task in tasks]
        return self.broker.call("reserve", each, worker=worker, count=count, lease_ms=lease_ms)

    async def take(self, count: int = 1, **options: Any) -> Reserved:
        """Reserve jobs; return the whole answer."""
        _, reserved = await self.broker.exchange([], self.reserve_call(count, **options))
        assert reserved is not None
        return reserved

    async def reserve(self, **options: Any) -> ReservedJob:
        (job,) = (await self.take(**options)).jobs
        return job

    async def start(self, task: str = "send", **options: Any) -> ReservedJob:
        """Enqueue a job and reserve it."""
        job_id = await self.enqueue(task, **options)
        job = await self.reserve(tasks=[task])
        assert job.id == job_id
        return job

    def settle_call(self, verb: str, jobs: Sequence[ReservedJob], *values: Argument) -> Call:
        """Prepare to settle jobs, all with the same *values*."""
        return self.broker.call(verb, [(job.id, job.fence, *values) for job in jobs])

    async def settle(self, verb: str, jobs: Sequence[ReservedJob], *values: Argument) -> list[Reply]:
        (words,), _ = await self.broker.exchange([self.settle_call(verb, jobs, *values)], None)
        return words

    async def ack(self, job: ReservedJob, result: bytes = b'"done"') -> Reply:
        return (await self.settle("ack", [job], result))[0]

    async def fail(self, job: ReservedJob) -> Reply:
        return (await self.settle("fail", [job], ERROR))[0]

    async def backoff(self, job: ReservedJob, delay_ms: int = 2000) -> Reply:
        return (await self.settle("backoff", [job], delay_ms, ERROR))[0]

    async def snooze(self, job: ReservedJob, delay_ms: int = 0) -> Reply:
        return (await self.settle("snooze", [job], delay_ms))[0]

    async def crash(self, job: ReservedJob) -> Reply:
        return (await self.settle("crash", [job]))[0]

    async def beat(self, worker: str = "w1", jobs: Sequence[ReservedJob] = (), **figures: Argument) -> list[Reply]:
        """Send a heartbeat, which is `BEAT` but for these *figures*."""
        leases = [(job.id, job.fence) for job in jobs]
        words = await self.broker.run("extend", leases, worker=worker, **{"lease_ms": LEASE_MS, **BEAT, **figures})
        return [Reply(word.decode()) for word in words]

    async def extend(self, job: ReservedJob) -> Reply:
        return (await self.beat(jobs=[job]))[0]

    async def progress(self, job: ReservedJob, percentage: float = 10, **more: Any) -> Reply:
        progress = JobProgress(percentage=percentage, **more).dump()
        return await self.broker.word("progress", id=job.id, fence=job.fence, progress=progress)

    async def log(self, job: ReservedJob, line: str = "a line") -> Reply:
        return await self.broker.word("log", id=job.id, fence=job.fence, line=line, most=LOG_LINES)

    async def cancel(self, job_id: str, *, running: bool = True) -> Reply:
        return (await self.broker.words("cancel", [(job_id,)], running=int(running)))[0]

    async def replay(self, job_id: str) -> Reply:
        return (await self.broker.words("replay", [(job_id,)]))[0]

    async def remove(self, job_id: str) -> Reply:
        return (await self.broker.words("remove", [(job_id,)]))[0]

    async def watch(self, job_id: str, waiter: str = "a") -> Reply:
        return await self.broker.word("watch", id=job_id, waiter=waiter, ttl_ms=60_000)

    async def reserve_ended(
        self, task: str = "send", *, count: int = 10, events: Sequence[str] = (*ENDS, "retried")
    ) -> list[str]:
        """Take what hooks of *task* for *events* are to be told."""
        each = [(f"{task} {event}",) for event in events]
        members = await self.broker.run("reserve_ended", each, count=count, lease_ms=LEASE_MS)
        return [member.decode() for member in members]

    async def ack_ended(self, member: str, seq: int) -> None:
        await self.broker.run("ack_ended", [(member, seq)])

    async def schedule(self, schedule: Schedule) -> int:
        """Store a schedule; return when it fires next, ms."""
        next_ms: int = await self.broker.run(
            "schedule", name=schedule.name, spec=schedule.dump(), next_ms=to_ms(schedule.next)
        )
        return next_ms

    async def unschedule(self, name: str) -> Reply:
        return await self.broker.word("unschedule", name=name)

    async def outlive(self, ms: int) -> None:
        """Let time pass while another worker lives, so that leases that run out meanwhile are taken back."""
        await self.beat("another")
        self.later(ms - 1)
        await self.beat("another")
        self.later(1)

    async def lose(self, job: ReservedJob) -> None:
        """Let the lease of a job run out, and take the job back."""
        await self.outlive(LEASE_MS)
        await self.broker.maintain(100)
        assert self.state(job.id) != "active"

    # What Redis holds

    def key(self, name: str, suffix: str = "") -> str:
        return self.keys.of(name, suffix).decode()

    def record(self, job_id: str) -> dict[str, Any]:
        """Read the fields of a record that there are, those that are rare among them."""
        packed = self.raw.hget(self.key("records"), job_id)
        return {} if packed is None else unpack_record(packed)

    def drop(self, job_id: str) -> None:
        """Delete a record, as no script would."""
        self.raw.hdel(self.key("records"), job_id)

    def spoil(self, job_id: str, **fields: Any) -> None:
        spoil(self.raw, self.keys, job_id, **fields)

    def seq(self, job_id: str) -> int:
        seq: int = self.record(job_id).get("seq", 0)
        return seq

    def group(self, job_id: str) -> str | None:
        return self.record(job_id).get("group")

    def state(self, job_id: str) -> str | None:
        return self.record(job_id).get("state")

    def members(self, name: str, suffix: str = "") -> list[str]:
        """List the members of a sorted set, lowest score first."""
        members: list[str] = self.redis.zrange(self.key(name, suffix), 0, -1)
        return members

    def scores(self, name: str, suffix: str = "") -> dict[str, int]:
        pairs = self.redis.zrange(self.key(name, suffix), 0, -1, withscores=True)
        return {member: int(score) for member, score in pairs}

    def tokens(self) -> int:
        count: int = self.redis.llen(self.key("wake"))
        return count

    def events(self) -> list[tuple[str, list[str]]]:
        return [(f["event"], f["jobs"].split()) for _, f in self.redis.xrange(self.key("events"))]

    def everything(self) -> dict[str, Any]:
        """Read all that the queue keeps, to compare it with what is there later."""
        found: dict[str, Any] = {}
        for key in sorted(self.redis.scan_iter(match=self.key("records").removesuffix("records") + "*")):
            if key.startswith(self.key("metrics_of")) or key == self.key("progress_of", "clock"):
                continue  # metrics count calls, too, and the clock is the test's
            found[key] = self.redis.dump(key) if self.redis.type(key) == "stream" else self._content(key)
        return found

    def _content(self, key: str) -> Any:
        match self.redis.type(key):
            case "hash":
                return self.raw.hgetall(key)
            case "zset":
                return self.redis.zrange(key, 0, -1, withscores=True)
            case "set":
                return sorted(self.redis.smembers(key))
            case "list":
                return self.redis.lrange(key, 0, -1)
            case _:
                return self.redis.get(key)
