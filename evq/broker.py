"""The one place that talks to Redis: any script by its verb, and plain commands that change no job."""

import contextlib
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, TypeVar

import msgspec

from evq.connection import Connection
from evq.errors import CorruptRecord, DuplicateJob, QueueFull, QueueUnavailable, UsageError
from evq.ids import new_id
from evq.job import JobProgress, NewJob, Record, ReservedJob
from evq.keys import QueueKeys
from evq.scripts import Argument, Script, load_scripts
from evq.wire import Command, Head, NoScript

BULK: Final = 250
"""New jobs in one call of a script, which keeps it well below 5 ms."""
ROOM: Final = 1 << 18
"""Bytes in one call, unless a single job has more."""
PART: Final = 50
"""Jobs of a large batch that are moved at a time."""
HOLD_MS: Final = 600_000
"""How long the producer of a large batch may take from one call to the next, ms."""
PORTION: Final = 200
"""Jobs in one call of a script that does more to each."""

T = TypeVar("T")
Item = TypeVar("Item", bound=Sequence[Any])


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
    ACTIVE = "ACTIVE"
    DUPLICATE = "DUPLICATE"
    REPLACED = "REPLACED"
    REFUSED = "REFUSED"
    FIRED = "FIRED"
    LOST = "LOST"
    EARLY = "EARLY"


_WORDS: Final = {word.encode(): word for word in Reply}
_REFUSED: Final = Reply.REFUSED.encode()


@dataclass(frozen=True, slots=True)
class Reserved:
    """What `reserve` gave."""

    jobs: list[ReservedJob]
    parked: dict[str, str]
    """Ids of jobs whose task this worker does not know, and that task."""
    wait_ms: int | None
    """0: more is waiting; else ms until something falls due, or None if nothing will."""


class Verb:
    """A script of a queue, and what all calls of it have in common."""

    def __init__(self, script: Script, keys: QueueKeys, argv: Mapping[str, Argument]) -> None:
        """Bind a script to its queue, and to those of *argv* that it takes."""
        self.script = script
        self.keys: list[Argument] = [1, keys.prefix]
        self.argv = {name: value for name, value in argv.items() if name in script.names}
        self.head = Head(["EVALSHA", script.sha, *self.keys])


class Call(msgspec.Struct, frozen=True):
    """A verb with its arguments, ready to be sent, as often as that may be."""

    verb: Verb
    arguments: list[Argument]

    def command(self) -> bytes:
        return self.verb.head.pack(self.arguments)

    def full_command(self) -> Command:
        return "EVAL", self.verb.script.body, *self.verb.keys, *self.arguments


class Broker:
    """A queue's Redis, for one event loop."""

    def __init__(
        self,
        url: str,
        keys: QueueKeys,
        *,
        keep_ms: int,
        keep_count: int,
        scripts: Mapping[str, Script] | None = None,
        timeout: float | None = None,
    ) -> None:
        """Prepare for the queue of *keys*, which keeps so many ended jobs, for so long; *timeout* (s) is of replies."""
        self.keys = keys
        scripts, keep = scripts or load_scripts(), {"keep_ms": keep_ms, "keep_count": keep_count}
        self._verbs = {verb: Verb(script, keys, keep) for verb, script in scripts.items()}
        self._connection = Connection(url, timeout=timeout)

    async def close(self) -> None:
        await self._connection.close()

    # Any script, by its verb; `evq/lua` says what each takes and answers.

    def call(self, verb: str, each: Iterable[Sequence[Argument]] = (), /, **argv: Argument) -> Call:
        """Prepare a call; how long and how many ended jobs are kept is filled in."""
        found = self._verbs[verb]
        return Call(found, found.script.arguments(each, argv | found.argv))

    async def run(self, verb: str, each: Iterable[Sequence[Argument]] = (), /, **argv: Argument) -> Any:
        """Call a script, and return its answer as Redis gave it."""
        return (await self._run_each([self.call(verb, each, **argv)]))[0]

    async def word(self, verb: str, /, **argv: Argument) -> Reply:
        """Call a script that answers with a word."""
        return _WORDS[await self.run(verb, **argv)]

    async def words(self, verb: str, each: Sequence[Sequence[Argument]], /, **argv: Argument) -> list[Reply]:
        """Call a script that answers with a word for each item, in portions that keep it short; without items, once."""
        return [word for some in portions(each, PORTION) for word in _words(await self.run(verb, some, **argv))]

    # Those that take more than that.

    async def enqueue(self, jobs: Sequence[NewJob]) -> list[tuple[Reply, str]]:
        """Add *jobs*, all or none; return what became of each, and the id of the job that stands for it.

        Raise `DuplicateJob` if one must not be beside the job that holds its key, `QueueFull` if Redis has no room.
        """
        dedups = any(job.has_dedup_key for job in jobs)
        if dedups and len(jobs) > BULK:
            raise UsageError(f"jobs with a dedup_key: enqueue them in calls of at most {BULK}")
        each = [_values(job) for job in jobs]
        if not dedups and len(next(portions(each, BULK))) < len(each):
            await self._enqueue_staged(each)
            return [(Reply.OK, job.id) for job in jobs]
        return await self.enqueue_together(jobs)

    async def enqueue_together(self, jobs: Sequence[NewJob]) -> list[tuple[Reply, str]]:
        """Add *jobs* in one call, which must have room for them; see `enqueue`."""
        (replies,) = await self._run_each([self.call("enqueue", map(_values, jobs))])
        if _REFUSED in replies[:1]:
            raise DuplicateJob(replies[1].decode())
        return standing([job.id for job in jobs], replies)

    async def _enqueue_staged(self, each: Sequence[tuple[str, str, bytes, bytes]]) -> None:
        """Add more jobs than one script should: staged as they are, marked, moved.

        Before the mark none can run, after it all will, even if Redis is lost before they are moved: then it is the
        workers who move them.
        """
        batch, parts = new_id(), [pack_part(some) for some in portions(each, PART)]
        numbered = list(zip(range(len(parts), 0, -1), parts, strict=True))
        try:
            for some in portions(numbered, BULK):
                await self.run("stage", some, batch=batch, hold_ms=HOLD_MS)
        except QueueFull:  # it shall have its memory back at once, instead of after `HOLD_MS`
            await self.run("stage", batch=batch, hold_ms=0)
            await self.run("expire", limit=PORTION)
            raise
        if await self.word("mark", batch=batch, count=len(parts), hold_ms=HOLD_MS) is not Reply.OK:
            raise QueueUnavailable("a batch of jobs was dropped, since it took too long to write: enqueue it again")
        while await self.run("move", limit=BULK):
            pass

    async def exchange(self, settle: Sequence[Call], reserve: Call | None) -> tuple[list[list[Reply]], Reserved | None]:
        """Settle jobs and reserve others in one round trip."""
        replies = await self._run_each([*settle, reserve] if reserve else settle)
        words = [_words(reply) for reply in replies[: len(settle)]]
        return words, _parse_reserved(replies[-1]) if reserve else None

    async def sleep(self, worker: str, wait_ms: int, reserve: Call) -> Reserved:
        """Sleep until there is a wake token, but at most *wait_ms*; then reserve, in the same round trip."""
        # Redis 6.2 takes 1 ms for 0, and 0 for ever.
        own, seconds = self.keys.of("waiter_of", worker), max(wait_ms, 2) / 1000
        pop: Command = ("BLPOP", own, self.keys["wake"], seconds)
        _, *replies = await self._connection.exchange([pop, reserve.command()], blocks_s=seconds)
        await self._run_missing([reserve], replies)
        return _parse_reserved(replies[0])

    async def maintain(self, limit: int) -> int | None:
        """Do what has fallen due, so many jobs of each kind; return ms until the next is due, or None.

        Jobs of lost workers are reclaimed, late ones expired, old ones forgotten, marked ones moved, due ones promoted.
        """
        calls = [self.call(verb, limit=limit) for verb in ("reclaim", "expire", "move", "promote")]
        _, looks, more, wait_ms = await self._run_each(calls)
        return 0 if looks == limit or more else wait(wait_ms)

    async def get(self, job_ids: Sequence[str], *, skip: bool = False) -> list[Record | None]:
        """Read the records of jobs, each with its progress, which may be the newer of the two.

        Of one that makes no sense raise `CorruptRecord`; or *skip* it, as if it were not there.
        This is no transaction, since a full Redis takes none, and its jobs must be seen all the same.
        """
        if not job_ids:
            return []
        commands: list[Command] = [("HMGET", self.keys[name], *job_ids) for name in ("records", "payloads")]
        commands.append(("MGET", *(self.keys.of("progress_of", job_id) for job_id in job_ids)))
        records: list[Record | None] = []
        for job_id, packed, payload, progress in zip(job_ids, *await self.send(commands), strict=True):
            try:
                records.append(Record.load(job_id, packed, payload, progress) if packed else None)
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                if not skip:
                    raise CorruptRecord(job_id) from error
                records.append(None)
        return records

    # Lists that are waited on, each by one who is known by name.

    async def next_told(self, name: str, wait_ms: int) -> str | None:
        """Wait for what *name* is to be told, such as the end of a job that it watches; None after *wait_ms*."""
        pop: Command = ("BLPOP", self.keys.of("waiter_of", name), wait_ms / 1000)
        (reply,) = await self.send([pop], blocks_s=wait_ms / 1000)
        return reply[1].decode() if reply else None

    async def tell(self, name: str, what: str) -> None:
        """Tell *name* something, who may be waiting for it."""
        own = self.keys.of("waiter_of", name)
        await self.send([("RPUSH", own, what), ("PEXPIRE", own, 60_000)])

    # Plain commands.

    async def send(self, commands: Sequence[Command], *, blocks_s: float = 0.0) -> list[Any]:
        """Send commands that are no scripts, because they change no job; *blocks_s* is how long they may block, s."""
        return await self._connection.exchange(commands, blocks_s=blocks_s)

    async def now(self) -> int:
        """Ask Redis for the time, ms since the epoch."""
        ((seconds, micros),) = await self.send([("TIME",)])
        return int(seconds) * 1000 + int(micros) // 1000

    async def scan(self, *command: str | bytes, match: bytes = b"*", count: int = 1000) -> AsyncIterator[list[bytes]]:
        """Iterate over what SCAN, or ZSCAN of a key, finds, page by page."""
        cursor = b"0"
        while True:
            ((cursor, page),) = await self.send([(*command, cursor, "MATCH", match, "COUNT", count)])
            yield page
            if cursor == b"0":
                return

    # Sending.

    async def _run_each(self, calls: Sequence[Call]) -> list[Any]:
        replies = await self._connection.exchange([call.command() for call in calls])
        if NoScript in map(type, replies):
            await self._run_missing(calls, replies)
        return replies

    async def _run_missing(self, calls: Sequence[Call], replies: list[Any]) -> None:
        """Send those calls again, in full, whose script Redis did not have (it was restarted, or flushed)."""
        missing = [i for i, reply in enumerate(replies) if isinstance(reply, NoScript)]
        again = await self._connection.exchange([calls[i].full_command() for i in missing])
        for i, reply in zip(missing, again, strict=True):
            replies[i] = reply


def pairs(flat: Sequence[T]) -> dict[T, T]:
    """Make a dict of what Redis lists as key, value, key, value, ..."""
    return dict(zip(flat[::2], flat[1::2], strict=True))


def wait(wait_ms: int) -> int | None:
    """Read the ms until something falls due as scripts answer them: -1 for never."""
    return None if wait_ms < 0 else wait_ms


def _values(job: NewJob) -> tuple[str, str, bytes, bytes]:
    """Order what a job is as `enqueue` takes it."""
    return job.id, job.task, job.payload, job.options


def standing(job_ids: Sequence[str], replies: Sequence[Any]) -> list[tuple[Reply, str]]:
    """Read what became of each new job, and the id of the one that stands for it."""
    return [
        (_WORDS[reply[0]], reply[1].decode()) if isinstance(reply, list) else (_WORDS[reply], job_id)
        for job_id, reply in zip(job_ids, replies, strict=True)
    ]


def _parse_reserved(reply: Any) -> Reserved:
    """Read the reply of `reserve`."""
    wait_ms, parked, strange, *jobs = reply
    return Reserved(
        jobs=[
            ReservedJob(
                _text(job_id),
                _text(task),
                payload,
                fence,
                failures,
                created_ms,
                _progress(progress),
                wait(left_ms),
                bool(isolated),
            )
            for job_id, task, payload, fence, failures, created_ms, progress, left_ms, isolated in jobs
        ],
        parked={_text(job_id): _text(task) for job_id, task in zip(parked, strange, strict=True)},
        wait_ms=wait(wait_ms),
    )


def _text(raw: bytes) -> str:
    return raw.decode(errors="replace")  # one foreign name must not cost a worker the jobs that came with it


def _progress(text: bytes | None) -> JobProgress | None:
    """Read how far the attempts before came; what cannot be read is as good as none."""
    if text:
        with contextlib.suppress(ValueError, KeyError, TypeError):
            return JobProgress.load(text)
    return None


def _words(replies: Iterable[bytes]) -> list[Reply]:
    return [_WORDS[reply] for reply in replies]


def pack_part(some: Iterable[tuple[str, str, bytes, bytes]]) -> bytes:
    """Write the jobs of a part of a large batch as `move` reads them."""
    return msgspec.msgpack.encode(
        [text for job_id, task, payload, options in some for text in (job_id, task, payload.decode(), options.decode())]
    )


def portions(each: Sequence[Item], most: int) -> Iterator[Sequence[Item]]:
    """Cut what is to be sent into calls of at most so many items, and `ROOM` bytes; nothing is one call."""
    if len(each) < 2:
        yield each
        return
    start = size = 0
    for end, item in enumerate(each):
        more = sum([len(value) for value in item if isinstance(value, bytes)])
        size += more
        if end > start and (end - start == most or size > ROOM):
            yield each[start:end]
            start, size = end, more
    yield each[start:]
