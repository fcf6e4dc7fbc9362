"""The one place that talks to Redis: a method a script, and the few plain reads."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, OutOfMemoryError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from evq.errors import QueueFull, QueueUnavailable
from evq.job import JobProgress, NewJob, Record, ReservedJob
from evq.keys import QueueKeys
from evq.scripts import Argument, Script, load_scripts
from evq.settings import hide_password

TIMEOUT: Final = 10.0
"""How long a reply may take beyond the time a command blocks, s: a half-open connection is given up after this."""
BULK: Final = 500
"""Jobs in one call of a script."""
CONNECTIONS: Final = 32
"""Exchanges under way at a time; the others wait for their turn. Those that block come on top."""

Command = Sequence[Argument | float]


class Reply(StrEnum):
    """The words that scripts answer with."""

    OK = "OK"
    EXISTS = "EXISTS"
    STALE = "STALE"
    REPEATED = "REPEATED"
    CANCEL = "CANCEL"
    CANCELLED = "CANCELLED"
    REQUESTED = "REQUESTED"
    ENDED = "ENDED"
    NOT_ENDED = "NOT_ENDED"
    COMPLETED = "COMPLETED"
    NOT_FOUND = "NOT_FOUND"
    WATCHING = "WATCHING"


@dataclass(frozen=True, slots=True)
class Reserved:
    """What `reserve` gave."""

    jobs: list[ReservedJob]
    parked: dict[str, str]
    """Ids of jobs whose task this worker does not know, and that task."""
    wait_ms: int | None
    """0: more is waiting; else ms until something falls due, or None if nothing will."""


@dataclass(frozen=True, slots=True)
class Call:
    """A script with its arguments, ready to be sent."""

    script: Script
    arguments: list[Argument]

    def command(self) -> Command:
        return "EVALSHA", self.script.sha, *self.arguments

    def full_command(self) -> Command:
        return "EVAL", self.script.body, *self.arguments


class Broker:
    """A queue's Redis, for one event loop."""

    def __init__(self, url: str, keys: QueueKeys, scripts: Mapping[str, Script] | None = None) -> None:
        self._url = url
        self._keys = keys
        self._scripts = scripts or load_scripts()
        self._turns = asyncio.Semaphore(CONNECTIONS)
        # Timeouts and retries are ours: a blocking pop may take longer than any default of the client.
        self._redis = Redis.from_url(
            url, protocol=2, socket_timeout=None, retry=Retry(NoBackoff(), 0), max_connections=1 << 16
        )

    async def close(self) -> None:
        await self._redis.aclose()

    # The scripts, in the order of a job's life.

    async def enqueue(self, jobs: Sequence[NewJob]) -> list[Reply]:
        """Add *jobs*, all or none, and say which were there already; raise `QueueFull` if Redis has no room."""
        calls = [
            self._call(
                "enqueue",
                each=[(j.id, j.task, j.payload, j.priority, j.delay_ms, j.at_ms, int(j.hooked)) for j in chunk],
            )
            for chunk in _chunks(jobs)
        ]
        if len(calls) == 1:
            return _words(await self._run(calls[0]))
        return [word for words in await self._run_together(calls) for word in _words(words)]

    def reserve_call(self, worker: str, count: int, lease_ms: int, keep_ms: int, tasks: Iterable[str]) -> Call:
        """Prepare a reserve of at most *count* jobs; `exchange` or `sleep` sends it."""
        return self._call(
            "reserve",
            each=[(task,) for task in tasks],
            worker=worker,
            count=count,
            lease_ms=lease_ms,
            keep_ms=keep_ms,
        )

    def ack_call(self, keep_ms: int, jobs: Sequence[tuple[str, int, bytes]]) -> Call:
        """Prepare an ack of jobs as (id, fence, result)."""
        return self._call("ack", each=jobs, keep_ms=keep_ms)

    def fail_call(self, keep_ms: int, jobs: Sequence[tuple[str, int, bytes]]) -> Call:
        """Prepare a fail of jobs as (id, fence, error)."""
        return self._call("fail", each=jobs, keep_ms=keep_ms)

    def backoff_call(self, keep_ms: int, jobs: Sequence[tuple[str, int, int, bytes]]) -> Call:
        """Prepare a backoff of jobs as (id, fence, delay_ms, error)."""
        return self._call("backoff", each=jobs, keep_ms=keep_ms)

    def snooze_call(self, keep_ms: int, jobs: Sequence[tuple[str, int, int]]) -> Call:
        """Prepare a snooze of jobs as (id, fence, delay_ms)."""
        return self._call("snooze", each=jobs, keep_ms=keep_ms)

    async def exchange(self, settle: Sequence[Call], reserve: Call | None) -> tuple[list[list[Reply]], Reserved | None]:
        """Settle jobs and reserve others in one round trip."""
        replies = await self._run_each([*settle, reserve] if reserve else settle)
        words = [_words(reply) for reply in replies[: len(settle)]]
        return words, _parse_reserved(replies[-1]) if reserve else None

    async def sleep(self, worker: str, wait_ms: int, reserve: Call) -> Reserved:
        """Sleep until there is a wake token, but at most *wait_ms*; then reserve, in the same round trip."""
        # Redis 6.2 takes 1 ms for 0, and 0 for ever.
        own, seconds = self._keys.of("waiter_of", worker), max(wait_ms, 2) / 1000
        pop: Command = ("BLPOP", own, self._keys["wake"], seconds)
        replies = await self._exchange([pop, reserve.command()], blocks_s=seconds)
        return _parse_reserved((await self._load_missing([reserve], replies[1:]))[0])

    async def rouse(self, worker: str) -> None:
        """Wake a sleeping worker of which we know the name."""
        own = self._keys.of("waiter_of", worker)
        await self._exchange([("RPUSH", own, "stop"), ("PEXPIRE", own, 60_000)])

    async def extend(self, worker: str, lease_ms: int, jobs: Sequence[tuple[str, int]]) -> list[Reply]:
        """Beat a worker's heart: extend leases given as (id, fence); return a word for each."""
        return _words(await self._run(self._call("extend", each=jobs, worker=worker, lease_ms=lease_ms)))

    async def progress(self, job_id: str, fence: int, progress: JobProgress) -> Reply:
        return _word(await self._run(self._call("progress", id=job_id, fence=fence, progress=progress.dump())))

    async def maintain(self, limit: int, keep_ms: int) -> int | None:
        """Reclaim jobs of lost workers and promote due ones; return ms until the next is due, or None."""
        reclaim = self._call("reclaim", limit=limit, keep_ms=keep_ms)
        _, wait_ms = await self._run_each([reclaim, self._call("promote", limit=limit)])
        return _wait(wait_ms)

    async def cancel(self, job_id: str, keep_ms: int) -> Reply:
        return _word(await self._run(self._call("cancel", id=job_id, keep_ms=keep_ms)))

    async def replay(self, job_id: str) -> Reply:
        return _word(await self._run(self._call("replay", id=job_id)))

    async def watch(self, job_id: str, waiter: str, ttl_ms: int) -> Reply:
        return _word(await self._run(self._call("watch", id=job_id, waiter=waiter, ttl_ms=ttl_ms)))

    async def reserve_ended(self, count: int, lease_ms: int, tasks: Iterable[str]) -> list[str]:
        call = self._call("reserve_ended", each=[(task,) for task in tasks], count=count, lease_ms=lease_ms)
        return [job_id.decode() for job_id in await self._run(call)]

    async def ack_ended(self, keep_ms: int, jobs: Sequence[tuple[str, int]]) -> None:
        """Take jobs, given as (id, seq), off the list of ended ones."""
        await self._run(self._call("ack_ended", each=jobs, keep_ms=keep_ms))

    # Plain reads, and the two lists that are waited on.

    async def get(self, job_ids: Sequence[str]) -> list[Record | None]:
        """Read the records of jobs, each with its progress, which may be the newer of the two.

        This is no transaction, since a full Redis takes none, and its jobs must be seen all the same.
        """
        commands: list[Command] = []
        for job_id in job_ids:
            commands += [("HGETALL", self._keys.of("job_of", job_id)), ("GET", self._keys.of("progress_of", job_id))]
        replies = await self._exchange(commands)
        return [
            Record.load(job_id, dict(zip(flat[::2], flat[1::2], strict=True)), progress) if flat else None
            for job_id, flat, progress in zip(job_ids, replies[::2], replies[1::2], strict=True)
        ]

    async def next_ended(self, waiter: str, wait_ms: int) -> str | None:
        """Wait for the end of a job that *waiter* watches; return its id, or None after *wait_ms*."""
        pop: Command = ("BLPOP", self._keys.of("waiter_of", waiter), wait_ms / 1000)
        (reply,) = await self._exchange([pop], blocks_s=wait_ms / 1000)
        return reply[1].decode() if reply else None

    async def last_event(self) -> str:
        (reply,) = await self._exchange([("XREVRANGE", self._keys["events"], "+", "-", "COUNT", 1)])
        return reply[0][0].decode() if reply else "0-0"

    async def read_events(self, after: str, wait_ms: int) -> list[tuple[str, dict[bytes, bytes]]]:
        """Read events after the id *after*, each with its fields, waiting at most *wait_ms* for the first."""
        read: Command = ("XREAD", "COUNT", 1000, "BLOCK", wait_ms, "STREAMS", self._keys["events"], after)
        (reply,) = await self._exchange([read], blocks_s=wait_ms / 1000)
        entries = reply[0][1] if reply else []
        return [(key.decode(), dict(zip(fields[::2], fields[1::2], strict=True))) for key, fields in entries]

    async def mark_hooked(self, tasks: Iterable[str]) -> None:
        """Make known that the ends of *tasks* have hooks."""
        await self._exchange([("SADD", self._keys["hooked_tasks"], *tasks)])

    async def counts(self) -> dict[str, int]:
        """Count jobs by where they are, and those that ended since the beginning."""
        sets = ("waiting", "delayed", "active")
        commands: list[Command] = [("ZCARD", self._keys[name]) for name in sets]
        *sizes, totals, parked = await self._exchange(
            [*commands, ("HGETALL", self._keys["counters"]), ("SMEMBERS", self._keys["parked_tasks"])]
        )
        numbers = {name.decode(): int(value) for name, value in zip(totals[::2], totals[1::2], strict=True)}
        parked_sizes = await self._exchange([("ZCARD", self._keys.of("parked_of", task.decode())) for task in parked])
        return (
            dict(zip(sets, sizes, strict=True))
            | {"parked": sum(parked_sizes)}
            | {name: numbers.get(name, 0) for name in ("enqueued", "completed", "failed", "cancelled")}
        )

    async def workers(self) -> list[str]:
        """List the workers that are alive by Redis's clock."""
        (seconds, micros), names = await self._exchange(
            [("TIME",), ("ZRANGE", self._keys["workers"], 0, -1, "WITHSCORES")]
        )
        now_ms = int(seconds) * 1000 + int(micros) // 1000
        return [name.decode() for name, until in zip(names[::2], names[1::2], strict=True) if float(until) > now_ms]

    async def leave(self, worker: str) -> None:
        """Take a worker off the list of those that are alive."""
        await self._exchange([("ZREM", self._keys["workers"], worker)])

    async def ping(self) -> None:
        await self._exchange([("PING",)])

    # Sending.

    def _call(self, script: str, each: Iterable[Sequence[Argument]] = (), **argv: Argument) -> Call:
        found = self._scripts[script]
        return Call(found, found.arguments(self._keys, each, **argv))

    async def _run(self, call: Call) -> Any:
        return (await self._run_each([call]))[0]

    async def _run_each(self, calls: Sequence[Call]) -> list[Any]:
        return await self._load_missing(calls, await self._exchange([call.command() for call in calls]))

    async def _load_missing(self, calls: Sequence[Call], replies: list[Any]) -> list[Any]:
        """Send those calls again, in full, whose script Redis did not have (it was restarted, or flushed)."""
        missing = [i for i, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
        if missing:
            again = await self._exchange([calls[i].full_command() for i in missing])
            for i, reply in zip(missing, again, strict=True):
                replies[i] = reply
        return replies

    async def _run_together(self, calls: Sequence[Call]) -> list[Any]:
        """Run calls in one transaction."""
        load: Command = ("SCRIPT", "LOAD", calls[0].script.body)
        replies = await self._exchange([load, ("MULTI",), *(call.command() for call in calls), ("EXEC",)])
        return [self._checked(reply) for reply in replies[-1]]

    async def _exchange(self, commands: Sequence[Command], *, blocks_s: float | None = None) -> list[Any]:
        """Send *commands* in one write and read their replies; those to missing scripts are left for `_load_missing`.

        Every command that evq sends may be sent twice, so a connection that turns out to be dead (Redis was restarted)
        is replaced once without a word. Raise `QueueUnavailable` if Redis cannot be reached, does not answer or refuses
        to work, `QueueFull` if it has no room.
        """
        if not commands:
            return []
        limit_s = TIMEOUT + (blocks_s or 0)
        async with nullcontext() if blocks_s else self._turns:
            try:
                try:
                    replies = await self._send(commands, limit_s)
                except (RedisConnectionError, ConnectionError):
                    replies = await self._send(commands, limit_s)
            except (RedisConnectionError, RedisTimeoutError, OSError) as error:
                raise self._unavailable(error) from error
        return [self._checked(reply) for reply in replies]

    async def _send(self, commands: Sequence[Command], limit_s: float) -> list[Any]:
        pool = self._redis.connection_pool
        async with asyncio.timeout(limit_s):
            connection = await pool.get_connection()  # type: ignore[no-untyped-call]  # decorated without types
            try:
                await connection.send_packed_command(connection.pack_commands(commands), check_health=False)
                return [await _read(connection) for _ in commands]
            except BaseException:
                # Replies may still be under way: nobody else may read them.
                await connection.disconnect(nowait=True)
                raise
            finally:
                await pool.release(connection)

    def _checked(self, reply: Any) -> Any:
        if not isinstance(reply, ResponseError) or isinstance(reply, NoScriptError):
            return reply
        if isinstance(reply, OutOfMemoryError) or "OOM command not allowed" in str(reply):  # 6.2 wraps it in another
            raise QueueFull(
                "Redis has reached its maxmemory and takes no new jobs: let workers drain it, or raise it"
            ) from reply
        raise QueueUnavailable(f"Redis at {hide_password(self._url)} refuses to work: {reply}") from reply

    def _unavailable(self, error: Exception) -> QueueUnavailable:
        return QueueUnavailable(
            f"cannot reach Redis at {hide_password(self._url)} ({str(error) or 'no answer'}): start it there, or say "
            "where it is with EVQ_REDIS_URL, or REDIS_HOST and REDIS_PORT"
        )


async def _read(connection: Any) -> Any:
    try:
        return await connection.read_response()
    except ResponseError as error:
        return error


def _parse_reserved(reply: Any) -> Reserved:
    """Read the reply of `reserve`."""
    wait_ms, parked, strange, *jobs = reply
    return Reserved(
        jobs=[
            ReservedJob(
                job_id.decode(),
                task.decode(),
                payload,
                fence,
                failures,
                created_ms,
                JobProgress.load(progress) if progress else None,
            )
            for job_id, task, payload, fence, failures, created_ms, progress in jobs
        ],
        parked={job_id.decode(): task.decode() for job_id, task in zip(parked, strange, strict=True)},
        wait_ms=_wait(wait_ms),
    )


def _wait(wait_ms: int) -> int | None:
    return None if wait_ms < 0 else wait_ms


def _word(reply: bytes) -> Reply:
    return Reply(reply.decode())


def _words(replies: Iterable[bytes]) -> list[Reply]:
    return [_word(reply) for reply in replies]


def _chunks(jobs: Sequence[NewJob]) -> list[Sequence[NewJob]]:
    return [jobs[i : i + BULK] for i in range(0, len(jobs), BULK)]
