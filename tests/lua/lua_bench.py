"""A queue of which every script can be called by itself, with a clock that only the test moves."""

from collections.abc import Mapping, Sequence
from typing import Any

import redis

from evq.broker import Broker, Call, Reply, Reserved
from evq.job import JobError, JobProgress, NewJob, ReservedJob
from evq.keys import QueueKeys
from evq.scripts import Script, build, read_sources

KEEP_MS = 100_000
LEASE_MS = 30_000
START_MS = 1_700_000_000_000
ERROR = JobError("ValueError", "no", "").dump()

_CLOCK = """--[[ now: the time of the test, ms.

  KEYS  job_of
]]
local function now()
  return tonumber(redis.call("GET", job_of .. "clock"))
end
"""


def scripts_of_the_test() -> Mapping[str, Script]:
    sources, includes = read_sources("evq.lua"), read_sources("evq.lua.include") | {"now": _CLOCK}
    return {name: build(name, sources, includes) for name in sources}


class Bench:
    """Calls scripts as the broker does, and looks at what they did to Redis."""

    def __init__(self, url: str, queue: str) -> None:
        self.keys = QueueKeys(queue)
        self.broker = Broker(url, self.keys, scripts_of_the_test())
        self.redis: Any = redis.Redis.from_url(url, decode_responses=True)
        self.at(START_MS)

    async def close(self) -> None:
        self.redis.close()
        await self.broker.close()

    # The clock

    def at(self, ms: int) -> None:
        self.now = ms
        self.redis.set(self.key("job_of", "clock"), ms)

    def later(self, ms: int) -> None:
        self.at(self.now + ms)

    # The scripts

    async def enqueue(self, task: str = "send", **options: Any) -> str:
        job = NewJob(task=task, payload=b'{"n":1}', **options)
        assert await self.broker.enqueue([job]) == [Reply.OK]
        return job.id

    async def take(
        self, count: int = 1, *, tasks: Sequence[str] = ("send",), worker: str = "w1", lease_ms: int = LEASE_MS
    ) -> Reserved:
        call = self.broker.reserve_call(worker, count, lease_ms, KEEP_MS, tasks)
        _, reserved = await self.broker.exchange([], call)
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

    async def ack(self, job: ReservedJob, result: bytes = b'"done"') -> Reply:
        return await self.settle(self.broker.ack_call(KEEP_MS, [(job.id, job.fence, result)]))

    async def fail(self, job: ReservedJob) -> Reply:
        return await self.settle(self.broker.fail_call(KEEP_MS, [(job.id, job.fence, ERROR)]))

    async def backoff(self, job: ReservedJob, delay_ms: int = 2000) -> Reply:
        return await self.settle(self.broker.backoff_call(KEEP_MS, [(job.id, job.fence, delay_ms, ERROR)]))

    async def snooze(self, job: ReservedJob, delay_ms: int = 0) -> Reply:
        return await self.settle(self.broker.snooze_call(KEEP_MS, [(job.id, job.fence, delay_ms)]))

    async def extend(self, job: ReservedJob) -> Reply:
        return (await self.broker.extend("w1", LEASE_MS, [(job.id, job.fence)]))[0]

    async def progress(self, job: ReservedJob, percentage: float = 10) -> Reply:
        return await self.broker.progress(job.id, job.fence, JobProgress(percentage=percentage))

    async def cancel(self, job_id: str) -> Reply:
        return await self.broker.cancel(job_id, KEEP_MS)

    async def settle(self, call: Call) -> Reply:
        ((word,),), _ = await self.broker.exchange([call], None)
        return word

    async def lose(self, job: ReservedJob) -> None:
        """Let the lease of a job run out, and take the job back."""
        self.later(LEASE_MS)
        await self.broker.maintain(100, KEEP_MS)
        assert self.state(job.id) != "active"

    # What Redis holds

    def key(self, name: str, suffix: str = "") -> str:
        return self.keys.of(name, suffix).decode()

    def record(self, job_id: str) -> dict[str, str]:
        record: dict[str, str] = self.redis.hgetall(self.key("job_of", job_id))
        return record

    def state(self, job_id: str) -> str | None:
        return self.record(job_id).get("state")

    def members(self, name: str, suffix: str = "") -> list[str]:
        """List the members of a sorted set, lowest score first."""
        members: list[str] = self.redis.zrange(self.key(name, suffix), 0, -1)
        return members

    def tokens(self) -> int:
        count: int = self.redis.llen(self.key("wake"))
        return count

    def events(self) -> list[tuple[str, list[str]]]:
        return [(f["event"], f["jobs"].split()) for _, f in self.redis.xrange(self.key("events"))]

    def everything(self) -> dict[str, Any]:
        """Read all that the queue keeps, to compare it with what is there later."""
        found: dict[str, Any] = {}
        for key in sorted(self.redis.scan_iter(match=self.key("job_of").removesuffix("job:") + "*")):
            found[key] = self.redis.dump(key) if self.redis.type(key) == "stream" else self._content(key)
        return found

    def _content(self, key: str) -> Any:
        match self.redis.type(key):
            case "hash":
                return self.redis.hgetall(key)
            case "zset":
                return self.redis.zrange(key, 0, -1, withscores=True)
            case "set":
                return sorted(self.redis.smembers(key))
            case "list":
                return self.redis.lrange(key, 0, -1)
            case _:
                return self.redis.get(key)
