"""`fsck` finds what is wrong, says what to do, and finds nothing else; and what is wrong stops no worker."""

from collections.abc import AsyncIterator, Callable
from itertools import count
from typing import Any

import anyio
import pytest
import redis

from evq import Job, JobStatus, Queue, RetryPolicy, TemporaryError, Worker
from evq.cli import fsck
from evq.job import ReservedJob
from evq.task import Task
from tests.integration.running import until, working
from tests.lua.lua_bench import Bench, spoil

pytestmark = pytest.mark.anyio

_numbers = count(1)


@pytest.fixture
async def bench(redis_url: str) -> AsyncIterator[Bench]:
    bench = Bench(redis_url, f"fsck-{next(_numbers)}")
    yield bench
    await bench.close()


@pytest.fixture
async def job(bench: Bench) -> ReservedJob:
    """A job of everything: active, of a group, with a key and a deadline, beside others in every place."""
    await bench.ack(await bench.start(hooks=["completed"]))
    await bench.fail(await bench.start())
    await bench.cancel(await bench.enqueue())
    await bench.enqueue("odd")
    await bench.take()
    job = await bench.start(group="h", dedup_key="k", deadline=1000)
    for options in ({"group": "h"}, {"group": "g"}, {"delay": 10, "expires": 100}):
        await bench.enqueue(**options)
    assert await fsck.check(bench.broker) == []
    return job


Damage = Callable[[Bench, ReservedJob], object]

DAMAGES: dict[str, tuple[Damage, str, str]] = {
    # what is done to Redis, and what is then found: where, and what
    "a foreign key": (
        lambda bench, _: bench.redis.set(bench.key("records").removesuffix("records") + "mine", 1),
        ":mine",
        "no key of evq",
    ),
    "a key of the wrong type": (
        lambda bench, _: bench.redis.set(bench.key("schedules"), 1),
        ":schedules",
        "this is a string, where evq keeps a zset: delete it",
    ),
    "a set of the wrong type": (
        lambda bench, _: [bench.redis.delete(bench.key("failed")), bench.redis.set(bench.key("failed"), 1)],
        ":failed",
        "this is a string, where evq keeps a zset: delete it",
    ),
    "a hash of the wrong type": (
        lambda bench, job: bench.redis.lpush(bench.key("payloads"), job.id),
        ":payloads",
        "this is a list, where evq keeps a hash: delete it",
    ),
    "a record without state": (
        lambda bench, job: bench.spoil(job.id, state=None),
        "{id}",
        "its record cannot be read (Expected `str`, got `None` - at `$[0]`): HDEL evq:",
    ),
    "a record of no known state": (
        lambda bench, job: bench.spoil(job.id, state="lost"),
        "{id}",
        "its record cannot be read (Invalid enum value 'lost' - at `$[0]`): HDEL evq:",
    ),
    "a record that is not whole": (
        lambda bench, job: bench.spoil(job.id, payload=None),
        "{id}",
        "its record has no payload: HDEL evq:",
    ),
    "a payload that is not JSON": (
        lambda bench, job: bench.spoil(job.id, payload="\x80{"),
        "{id}",
        "has a field that is not JSON: HDEL evq:",
    ),
    "a group that is no text": (
        lambda bench, job: bench.spoil(job.id, group=7),
        "{id}",
        "its record cannot be read (Expected `str | null`, got `int`",
    ),
    "no record at all": (
        lambda bench, job: bench.redis.hset(bench.key("records"), job.id, "{}"),
        "{id}",
        "its record cannot be read",
    ),
    "a job in two sets": (
        lambda bench, job: bench.redis.zadd(bench.key("waiting"), {bench.members("delayed")[0]: 1}),
        "{delayed}",
        "its state is delayed, but it is in delayed, waiting: HDEL evq:",
    ),
    "a job in another's set": (
        lambda bench, job: [
            bench.redis.zrem(bench.key("active"), job.id),
            bench.redis.zadd(bench.key("delayed"), {job.id: 1}),
        ],
        "{id}",
        "its state is active, but it is in delayed: HDEL evq:",
    ),
    "a waiting job that is lost": (
        lambda bench, _: bench.redis.zrem(bench.key("waiting_of", "g"), bench.members("waiting_of", "g")[0]),
        "{waiting}",
        "its state is waiting, but it is in no set: HDEL evq:",
    ),
    "an active job without a lease": (
        lambda bench, job: bench.redis.zrem(bench.key("active"), job.id),
        "{id}",
        "its state is active, but it is in no set",
    ),
    "a batch that would be kept for ever": (
        lambda bench, _: bench.redis.hset(bench.key("staged_of", "b"), 1, "x"),
        ":parts:b",
        "is a batch that is neither being written nor to be moved: delete it",
    ),
    "a foreign member of a set": (
        lambda bench, _: bench.redis.zadd(bench.key("waiting"), {"stranger": 1}),
        "stranger",
        "is in waiting, but has no record: a worker drops it there in time",
    ),
    "a foreign member of a group": (
        lambda bench, _: bench.redis.zadd(bench.key("waiting_of", "g"), {"stranger": 9e15}),
        ":waiting:g",
        "lists 2 jobs, but 1 wait there: ZREM the others",
    ),
    "a job of a group among those of none": (
        lambda bench, _: bench.redis.zadd(bench.key("waiting"), {bench.members("waiting_of", "g")[0]: 1}),
        ":waiting",
        "lists 1 jobs, but 0 wait there: ZREM the others",
    ),
    "a deadline that is lost": (
        lambda bench, _: bench.redis.zrem(bench.key("deadlines"), bench.members("delayed")[0]),
        "{delayed}",
        "has a deadline, but is not among the deadlines: remove it",
    ),
    "a deadline of none": (
        lambda bench, _: bench.redis.zadd(bench.key("deadlines"), {bench.members("waiting_of", "g")[0]: 1}),
        "{waiting}",
        "is among the deadlines for none: remove it",
    ),
    "a wrong count of active jobs": (
        lambda bench, _: bench.redis.hset(bench.key("group_of", "h"), "active", 4),
        ":group:h",
        "counts 4 active jobs, but there are 1: HSET it active 1",
    ),
    "a group that is passed over": (
        lambda bench, _: bench.redis.zrem(bench.key("groups"), "g"),
        ":group:g",
        "may run, but is not among those that may: resume it",
    ),
    "a group that may not run": (
        lambda bench, _: bench.redis.hset(bench.key("group_of", "g"), "paused", 1),
        ":group:g",
        "may not run, but is among those that may: resume it",
    ),
    "a group that is not named": (
        lambda bench, _: bench.redis.srem(bench.key("group_names"), "g"),
        ":group:g",
        "has 1 waiting jobs, but is not among those that have: resume it",
    ),
    "a wrong count of waiting jobs": (
        lambda bench, _: bench.redis.hincrby(bench.key("counters"), "grouped", 5),
        ":counters",
        "counts 7 waiting jobs of groups, but there are 2: HSET it grouped 2",
    ),
    "a key of a job that has ended": (
        lambda bench, _: bench.redis.set(bench.key("dedup_of", "old"), bench.members("failed")[0]),
        ":dedup:old",
        "has ended, or does not name it: delete it",
    ),
    "an ended job that would be kept for ever": (
        lambda bench, _: bench.redis.zrem(bench.key("failed"), bench.members("failed")[0]),
        "{failed}",
        "its state is failed, but it is in no set: HDEL evq:",
    ),
    "a payload of no job": (
        lambda bench, _: bench.redis.hset(bench.key("payloads"), "stranger", "{}"),
        "stranger",
        "has a payload, but no record: HDEL evq:",
    ),
}


@pytest.mark.parametrize("name", DAMAGES)
async def test_what_is_wrong_is_found_with_what_to_do(bench: Bench, job: ReservedJob, name: str) -> None:
    damage, where, what = DAMAGES[name]
    ids = {"id": job.id, "delayed": bench.members("delayed")[0], "failed": bench.members("failed")[0]}
    ids["waiting"] = bench.members("waiting_of", "g")[0]
    damage(bench, job)
    found = [(finding.where, finding.what) for finding in await fsck.check(bench.broker)]
    assert any(place.endswith(where.format(**ids)) and what in text for place, text in found), found


async def test_what_is_to_be_done_helps(bench: Bench, job: ReservedJob) -> None:
    bench.redis.zrem(bench.key("groups"), "g")
    bench.redis.hset(bench.key("group_of", "h"), "active", 4)
    assert len(await fsck.check(bench.broker)) == 2
    await bench.broker.run("resume", group="g")
    bench.redis.hset(bench.key("group_of", "h"), "active", 1)
    assert await fsck.check(bench.broker) == []


async def test_a_queue_under_load_is_as_it_should_be(queue: Queue) -> None:
    queue.keep_count = 100

    @queue.task(retry=RetryPolicy(attempts=2, delay=0.01))
    async def step(n: int) -> None:
        await anyio.sleep(0.001)
        if n % 7 == 0:
            raise TemporaryError

    async def produce() -> None:
        for n in range(1_000_000):
            group = f"g{n % 4}" if n % 5 else None
            made = [step.using(group=group, priority=i, delay=i % 2 / 100, deadline=99).job(n=n + i) for i in range(50)]
            await queue.enqueue_many(made)
            while (await queue.counts())["waiting"] > 300:
                await anyio.sleep(0.001)

    await queue.limit("g1", concurrency=2)
    await queue.limit("g2", rate=500, burst=5)
    completed = 0

    async def goes_on() -> bool:
        nonlocal completed
        before, completed = completed, (await queue.counts())["completed"]
        return completed > before

    async with working(queue, concurrency=20), working(queue, concurrency=20), anyio.create_task_group() as group:
        group.start_soon(produce)
        for _ in range(20):
            await until(goes_on)
            assert await fsck.check(queue.broker) == []
        group.cancel_scope.cancel()
    await queue.drain()
    assert await fsck.check(queue.broker) == []


# Workers go on


@pytest.fixture
def client(redis_url: str) -> Any:
    return redis.Redis.from_url(redis_url)


@pytest.fixture
def note(queue: Queue) -> Task:
    @queue.task(timeout=5)
    async def note(n: int) -> int:
        if n < 0:
            raise ValueError(n)
        return n

    return note


SPOILS: dict[str, dict[str, Any]] = {
    "a payload that is not JSON": {"payload": "{"},
    "a payload that is no object": {"payload": "[1]"},
    "a payload that does not fit": {"payload": '{"m":1}'},
    "a payload that is not UTF-8": {"payload": b"\xff"},
    "rare fields that are no map": {"rare": 7},
    "rare fields of the wrong kinds": {"group": {}, "dedup": [], "deadline": "x", "expires": None, "crashes": "x"},
    "numbers that are none": dict.fromkeys(("fence", "seq", "failures", "priority", "created"), "x"),
    "crashes that are none": {"crashed": "x y"},
    "no known state": {"state": "lost"},
    "a task that is not UTF-8": {"task": b"\xff"},
    "a state that is another": {"state": "completed"},
}


@pytest.mark.parametrize("name", SPOILS)
async def test_a_record_that_is_corrupt_stops_no_worker(queue: Queue, client: Any, note: Task, name: str) -> None:
    bad, failing = [await note.using(group="g", dedup_key=key).enqueue(n=n) for key, n in (("k", 1), ("l", -1))]
    for job in (bad, failing):
        spoil(client, queue.broker.keys, job.id, **SPOILS[name])
    async with working(queue, concurrency=2):
        for group in (None, "g"):
            good = await note.using(group=group).enqueue(n=2)
            assert await good.result(5) == 2


HARMLESS = {
    "a payload that is no object",
    "a payload that does not fit",
    "crashes that are none",
}


@pytest.mark.parametrize("name", SPOILS)
async def test_a_record_that_is_corrupt_is_found(queue: Queue, client: Any, note: Task, name: str) -> None:
    job = await note.enqueue(n=1)
    spoil(client, queue.broker.keys, job.id, **SPOILS[name])
    found = [finding.where for finding in await fsck.check(queue.broker)]
    assert (job.id in found) == (name not in HARMLESS)


@pytest.mark.parametrize("field", ["payload", "task", "state", "created", "priority"])
async def test_a_record_that_is_not_whole_stops_no_worker(queue: Queue, client: Any, note: Task, field: str) -> None:
    bad = await note.enqueue(n=1)
    spoil(client, queue.broker.keys, bad.id, **{field: None})
    async with working(queue):
        assert await (await note.enqueue(n=2)).result(5) == 2


@pytest.mark.parametrize("place", ["waiting", "delayed", "active", "deadlines", "ended", "completed"])
@pytest.mark.parametrize("member", [b"stranger", b"\xff:\xfe", b"", b":1", b"string"])
async def test_a_foreign_member_stops_no_worker(
    queue: Queue, client: Any, note: Task, place: str, member: bytes
) -> None:
    @note.on_completed
    async def told(_: Job) -> None:
        heard.append(1)

    heard: list[int] = []
    client.zadd(queue.broker.keys[place], {member: 1})
    client.hset(queue.broker.keys["records"], "string", "no record")
    client.zadd(queue.broker.keys["workers"], {"another": "inf"})  # without whom leases are not looked at, yet
    async with working(queue):
        assert await (await note.enqueue(n=2)).result(5) == 2
        await until(lambda: _is(heard))
    if place != "completed":  # which lets go what is old
        assert client.zrange(queue.broker.keys[place], 0, -1) == []


async def _is(what: object) -> bool:
    return bool(what)


async def test_progress_that_is_corrupt_stops_no_worker(queue: Queue, client: Any, note: Task) -> None:
    job = await note.enqueue(n=1)
    spoil(client, queue.broker.keys, job.id, progressed=True)
    client.set(queue.broker.keys.of("progress_of", job.id), "{")
    await Worker(queue).run(burst=True)
    other = await note.enqueue(n=2)
    await Worker(queue).run(burst=True)
    assert (await other.refresh()).status is JobStatus.COMPLETED
