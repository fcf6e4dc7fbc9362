"""The queue on a Cluster, behind Sentinels, over TLS, under a user with few rights, and beside dead connections."""

import re
import time
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from itertools import count
from pathlib import Path
from typing import TypeVar

import anyio
import pytest

from evq import Context, Job, JobStatus, Queue, QueueUnavailable, RetryPolicy, TemporaryError
from evq.connection import Connection
from evq.scripts import read_sources
from evq.upkeep import Upkeep
from tests.integration.running import until, until_status, working
from tests.integration.topologies import (
    SERVERS,
    Cluster,
    Proxy,
    Server,
    Watched,
    free_port,
    make_certificates,
    running,
    speaks_tls,
)

pytestmark = pytest.mark.anyio

T = TypeVar("T")


@pytest.fixture(scope="module", params=SERVERS)
def cluster(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    cluster = Cluster(request.param, tmp_path_factory.mktemp("cluster"))
    with cluster.running():
        yield cluster


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    server = Server(request.param, tmp_path / "server", "--save", "")
    with running(server):
        yield server


def echoing(name: str, url: str) -> Queue:
    """Make a queue with a task."""
    queue = Queue(name, redis=url, lease=2)

    @queue.task
    async def echo(n: int) -> int:
        await anyio.sleep(0.01)
        return n

    return queue


async def patiently(call: Callable[[], Awaitable[T]]) -> T:
    """Call as a program does that outlives its Redis's outages."""
    with anyio.fail_after(25):
        while True:
            try:
                return await call()
            except QueueUnavailable:
                await anyio.sleep(0.05)


class Producer:
    """Enqueues one job after the other, and keeps those that were confirmed, with the time of that."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self.confirmed: list[tuple[Job, float]] = []
        self.refused = 0

    async def run(self, scope: anyio.CancelScope) -> None:
        with scope:
            for n in count():
                try:
                    job = await self._queue.tasks["echo"].enqueue(n=n)
                except QueueUnavailable:
                    self.refused += 1
                else:
                    self.confirmed.append((job, time.monotonic()))
                await anyio.sleep(0.005)


# Cluster


async def test_a_queue_is_found_in_a_cluster_whichever_node_is_asked_first(cluster: Cluster) -> None:
    jobs = []
    for n, node in enumerate(cluster.nodes):
        async with echoing("found", f"redis://{node.address}") as queue:
            jobs.append(await queue.tasks["echo"].enqueue(n=n))
    async with echoing("found", cluster.url) as queue, working(queue):
        assert [await queue.result(job.id, 5) for job in jobs] == [0, 1, 2]


async def test_a_dead_seed_is_passed_over(cluster: Cluster) -> None:
    async with Queue("dead-seed", redis=f"redis://127.0.0.1:{free_port()},{cluster.nodes[0].address}") as queue:
        await queue.ping()


async def test_a_seed_that_refuses_to_work_is_left_for_the_next(cluster: Cluster, server: Server) -> None:
    server.call("REPLICAOF", "127.0.0.1", free_port())
    async with echoing("refused", f"redis://{server.address},{cluster.nodes[0].address}") as queue:
        with pytest.raises(QueueUnavailable, match="refuses to work"):
            await queue.tasks["echo"].enqueue(n=1)
        await queue.tasks["echo"].enqueue(n=1)


async def test_only_what_a_node_did_not_execute_is_sent_again(cluster: Cluster) -> None:
    key = "evq:{twice}:counter"
    owner = cluster.owner(cluster.slot(key))
    elsewhere = next(node for node in cluster.nodes if node is not owner)
    connection = Connection(f"redis://{elsewhere.address}")
    assert await connection.exchange([("ECHO", "a"), ("INCR", key), ("ECHO", "b"), ("INCR", key)]) == [b"a", 1, b"b", 2]
    await connection.close()
    assert "cmdstat_echo" in elsewhere.client.info("commandstats")
    assert "cmdstat_echo" not in owner.client.info("commandstats")


async def test_a_slot_moves_to_another_node_while_jobs_run_and_none_is_lost(cluster: Cluster) -> None:
    slot = cluster.slot("evq:{moving}:waiting")
    source = cluster.owner(slot)
    target = next(node for node in cluster.nodes if node is not source)
    async with (
        echoing("moving", cluster.url) as queue,
        working(queue, concurrency=4),
        anyio.create_task_group() as group,
    ):
        scope, producer = anyio.CancelScope(), Producer(queue)
        group.start_soon(producer.run, scope)
        await anyio.sleep(0.5)
        cluster.begin_to_move(slot, source, target)
        await until(_truth(lambda: producer.refused > 3))
        moved = await anyio.to_thread.run_sync(cluster.finish_to_move, slot, source, target)
        confirmed = len(producer.confirmed)
        await until(_truth(lambda: len(producer.confirmed) > confirmed + 50))
        scope.cancel()
        for n, (job, _) in enumerate(producer.confirmed):
            assert await patiently(partial(job.result, 10)) is not None, n
        assert moved >= 5
        assert (await queue.counts())["failed"] == 0
        assert target.call("EXISTS", "evq:{moving}:counters", "evq:{moving}:records", "evq:{moving}:completed") == 3


@pytest.mark.slow
@pytest.mark.parametrize("binary", SERVERS)
async def test_a_node_that_dies_is_replaced_by_its_replica_and_jobs_go_on(binary: str, tmp_path: Path) -> None:
    cluster = Cluster(binary, tmp_path, replica=True)
    with cluster.running():
        (name,) = [f"q{n}" for n in range(50) if cluster.owner(cluster.slot(f"evq:{{q{n}}}:")) is cluster.nodes[0]][:1]
        async with echoing(name, cluster.url) as queue, working(queue, concurrency=4):
            assert await (await queue.tasks["echo"].enqueue(n=1)).result(5) == 1
            cluster.nodes[0].kill()
            job = await patiently(lambda: queue.tasks["echo"].enqueue(n=2))
            assert await patiently(partial(job.result, 10)) == 2
        assert cluster.replicas[0].client.info("replication")["role"] == "master"


# Sentinel


@pytest.mark.parametrize("binary", SERVERS)
async def test_a_failover_is_waited_out_and_loses_nothing_confirmed_before(binary: str, tmp_path: Path) -> None:
    watched = Watched(binary, tmp_path)
    with watched.running():
        async with echoing("failover", watched.url) as queue, working(queue, concurrency=4):
            async with anyio.create_task_group() as group:
                scope, producer = anyio.CancelScope(), Producer(queue)
                group.start_soon(producer.run, scope)
                await anyio.sleep(0.5)
                began = time.monotonic()
                await anyio.to_thread.run_sync(watched.fail_over)
                await until(_truth(lambda: producer.refused > 0))
                refused = len(producer.confirmed)
                await until(_truth(lambda: len(producer.confirmed) > refused + 50), within=20)
                scope.cancel()
            kept = [(job, await queue.get(job.id)) for job, _ in producer.confirmed]
            assert all(
                when > began for (_, when), (_, found) in zip(producer.confirmed, kept, strict=True) if not found
            )
            for job, found in kept:
                if found:
                    await patiently(partial(job.result, 10))
        assert watched.replica.client.info("replication")["role"] == "master"


@pytest.mark.slow
@pytest.mark.parametrize("binary", SERVERS)
async def test_a_master_that_dies_is_replaced_and_jobs_go_on(binary: str, tmp_path: Path) -> None:
    watched = Watched(binary, tmp_path)
    with watched.running():
        async with echoing("death", watched.url) as queue, working(queue, concurrency=4):
            assert await (await queue.tasks["echo"].enqueue(n=1)).result(5) == 1
            watched.master.kill()
            watched.replica.call("CONFIG", "SET", "min-replicas-to-write", 0)
            job = await patiently(lambda: queue.tasks["echo"].enqueue(n=2))
            assert await patiently(partial(job.result, 10)) == 2


@pytest.mark.parametrize("binary", SERVERS)
async def test_a_sentinel_that_does_not_know_the_service_is_named(binary: str, tmp_path: Path) -> None:
    watched = Watched(binary, tmp_path)
    with running(watched.sentinel):
        connection = Connection(watched.url.replace("/queues", "/other"))
        with pytest.raises(QueueUnavailable, match=f"Sentinel at {watched.sentinel.address} names no 'other'"):
            await connection.exchange([("PING",)])


# TLS


@pytest.mark.parametrize("binary", SERVERS)
async def test_jobs_run_over_tls_with_a_server_that_proves_who_it_is(binary: str, tmp_path: Path) -> None:
    if not speaks_tls(binary):
        pytest.skip(f"{binary} was built without TLS")
    make_certificates(tmp_path)
    server = Server(binary, tmp_path / "server", tls=tmp_path)
    with running(server):
        url = f"rediss://{server.address}?ssl_ca_certs={tmp_path}/ca.crt"
        async with echoing("tls", url) as queue, working(queue):
            assert await (await queue.tasks["echo"].enqueue(n=1)).result(5) == 1
        for untrusted in (f"rediss://{server.address}", url.replace("ca.crt", "none.crt")):
            async with Queue("tls", redis=untrusted) as queue:
                with pytest.raises(QueueUnavailable, match="ssl_ca_certs= names the file of its authority"):
                    await queue.ping()


# Users

DOCUMENT = Path(__file__).parents[2] / "docs/how-to/redis.md"
(RULE,) = re.findall(r"^ACL SETUSER (.*)$", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE)


async def test_the_documented_rule_lets_a_user_do_all_that_the_queue_needs(server: Server) -> None:
    server.call("ACL", "SETUSER", *RULE.split())
    url = f"redis://evq:secret@{server.address}"
    queue = Queue("rights", redis=url, lease=1)
    attempts = []

    @queue.task(retry=RetryPolicy(attempts=2, delay=0.05))
    async def work(ctx: Context, fail: bool) -> str:
        attempts.append(ctx.attempt)
        await ctx.progress(50)
        if fail:
            raise TemporaryError("again")
        return "done"

    async with queue, working(queue, concurrency=2):
        assert await (await work.enqueue(fail=False)).result(5) == "done"
        failed = await work.enqueue(fail=True)
        await until_status(failed, JobStatus.FAILED)
        await queue.replay(failed.id)
        await queue.cancel((await work.using(delay=60).enqueue(fail=False)).id)
        many = await queue.enqueue_many([work.job(fail=False) for _ in range(600)])
        await many[-1].result(10)
        assert (await queue.counts())["completed"] >= 2
        assert await queue.workers()
    assert server.client.acl_log() == []


async def test_the_documented_rule_names_every_command_of_the_scripts(server: Server) -> None:
    used = {
        command
        for package in ("evq.lua", "evq.lua.include")
        for source in read_sources(package).values()
        for command in re.findall(r"redis\.p?call\(['\"](\w+)", source)
    }
    assert {"ZADD", "TIME"} < used
    assert {command for command in used if not _allows(RULE, server, command)} == set()


def _allows(rule: str, server: Server, command: str) -> bool:
    """Apply a rule's terms to a command, one after the other, as Redis does."""
    (info,) = server.call("COMMAND", "INFO", command).values()
    names = {"@all", command.lower()} | {str(name) for name in info["acl_categories"]}
    allowed = False
    for term in rule.split():
        if term[0] in "+-" and term[1:] in names:
            allowed = term[0] == "+"
    return allowed


async def test_a_refused_user_is_told_what_to_do(server: Server) -> None:
    server.call("ACL", "SETUSER", "evq", "on", ">secret", "~evq:*", "-@all", "+ping", "+eval", "+evalsha")
    for url, remedy in (
        (f"redis://evq:wrong@{server.address}", "correct the user and the password"),
        (f"redis://evq:secret@{server.address}", "give its user the rule in docs/how-to/redis.md"),
    ):
        async with echoing("refused", url) as queue:
            with pytest.raises(QueueUnavailable, match=remedy) as refusal:
                await queue.tasks["echo"].enqueue(n=1)
            assert "wrong" not in str(refusal.value)
            assert "secret" not in str(refusal.value)


# Dead connections, and what Redis is set to


async def test_half_open_connections_are_given_up(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evq.connection.TIMEOUT", 0.5)
    proxy = Proxy(server)
    async with proxy.running() as url:
        connection = Connection(url)
        await connection.exchange([("PING",)])
        await connection.exchange([("BLPOP", "evq:{a}:wake", 0.01)], blocks_s=0.01)  # on one of its own
        proxy.swallow()
        began = time.monotonic()
        with pytest.raises(QueueUnavailable, match="no answer"):
            await connection.exchange([("BLPOP", "evq:{a}:wake", 0.5)], blocks_s=0.5)
        assert 0.9 < time.monotonic() - began < 5
        assert proxy.swallowed > 0
        assert await connection.exchange([("PING",)]) == [b"PONG"]
        await connection.close()


@pytest.mark.slow
async def test_a_sleeping_worker_whose_connections_are_half_open_is_back_within_15_s(server: Server) -> None:
    proxy = Proxy(server)
    async with (
        proxy.running() as url,
        echoing("half-open", url) as queue,
        working(queue),
        echoing("half-open", f"redis://{server.address}") as producer,
    ):
        await until(_truth(lambda: server.client.info("clients")["blocked_clients"] >= 1))
        proxy.swallow()
        began = time.monotonic()
        job = await producer.tasks["echo"].enqueue(n=1)
        assert await job.result(20) == 1
        assert time.monotonic() - began < 15
        assert proxy.swallowed > 0


async def test_a_redis_that_may_delete_jobs_is_noticed_without_rights_to_its_configuration(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    server.call("ACL", "SETUSER", *RULE.split())
    async with Queue("policy", redis=f"redis://evq:secret@{server.address}") as queue:
        for policy in ("noeviction", "allkeys-lru"):
            server.call("CONFIG", "SET", "maxmemory-policy", policy)
            upkeep = Upkeep(queue)
            upkeep.stop()
            await upkeep.run()
    (warning,) = caplog.records
    assert warning.__dict__["maxmemory_policy"] == "allkeys-lru"
    assert "set its maxmemory-policy to noeviction" in warning.getMessage()


def _truth(condition: Callable[[], bool]) -> Callable[[], Awaitable[bool]]:
    async def check() -> bool:
        return condition()

    return check
