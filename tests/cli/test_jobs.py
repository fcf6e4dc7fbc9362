"""`evq enqueue`, `evq jobs` and `evq job`."""

import io
import sys

import anyio
import pytest
from redis import Redis

from evq import Context, Worker
from evq.ids import new_id
from evq.keys import QueueKeys
from tests.cli.conftest import Evq, Run, make_queue
from tests.lua.lua_bench import spoil


def test_a_payload_is_made_of_json_values_and_strings(evq: Evq, name: str) -> None:
    done = evq(
        "enqueue", name, "send", "--payload", '{"from": "me", "n": 1}', "to=a@example.org", "n=3", 'zip="012"', "x=a=b"
    )
    job = evq("job", name, done.out.strip(), "--payload", "--json").json

    assert job["payload"] == {"from": "me", "to": "a@example.org", "n": 3, "zip": "012", "x": "a=b"}


def test_a_payload_is_read_from_standard_input(evq: Evq, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'{"to": "stdin"}')))
    job_id = evq("enqueue", name, "send", "--payload", "-", "--json").json["id"]

    assert evq("job", name, job_id, "--payload", "--json").json["payload"] == {"to": "stdin"}


def test_a_job_gets_the_options_that_are_given(evq: Evq, name: str) -> None:
    job_id = new_id()
    options = (
        "--delay",
        "2h",
        "--priority",
        "7",
        "--group",
        "g",
        "--dedup-key",
        "k",
        "--deadline",
        "1d",
        "--id",
        job_id,
    )
    assert evq("enqueue", name, "send", *options).out.strip() == job_id
    job = evq("job", name, job_id, "--json").json

    assert (job["id"], job["state"], job["status"]) == (job_id, "delayed", "pending")
    assert (job["priority"], job["group"], job["dedupKey"]) == (7, "g", "k")
    assert job["created"][:10] < job["deadline"][:10]
    assert job["due"].endswith("+00:00")


def test_a_moment_without_a_zone_is_local(evq: Evq, name: str) -> None:
    local = evq("enqueue", name, "send", "--at", "2100-01-31T09:00").out.strip()
    zoned = evq("enqueue", name, "send", "--at", "2100-01-31T09:00+09:00").out.strip()

    assert "2100-01-31 09:00:00" in evq("job", name, local).out
    assert evq("job", name, zoned, "--json").json["due"] == "2100-01-31T00:00:00.000+00:00"


def test_a_job_that_stands_already_is_named(evq: Evq, name: str) -> None:
    first = evq("enqueue", name, "send", "--dedup-key", "k").out
    assert evq("enqueue", name, "send", "--dedup-key", "k").out == first

    refused = evq("enqueue", name, "send", "--dedup-key", "k", "--dedup", "reject")
    assert refused.code == 1
    assert first.strip() in refused.err


@pytest.mark.parametrize(
    "wrong", [("to",), ("--payload", "[1]"), ("--payload", "{"), ("--delay", "soon"), ("--at", "noon")]
)
def test_what_cannot_be_a_job_is_wrong_usage(evq: Evq, name: str, wrong: tuple[str, ...]) -> None:
    refused = evq("enqueue", name, "send", *wrong)

    assert refused.code == 2
    assert evq("jobs", name, "--json").json == []


def test_a_result_is_waited_for(evq: Evq, name: str, redis_url: str) -> None:
    async def main() -> None:
        async with make_queue(name, redis_url) as queue, anyio.create_task_group() as group:
            worker = Worker(queue)
            group.start_soon(worker.run)
            try:
                sent = await anyio.to_thread.run_sync(evq, "enqueue", name, "send", "to=ann", "--wait", "10s", "--json")
                assert sent.json["result"] == "sent to ann"
                failed = await anyio.to_thread.run_sync(evq, "enqueue", name, "refuse", "why=so", "--wait", "10s")
                assert (failed.code, failed.out) == (1, "")
                assert "LookupError: so" in failed.err
            finally:
                worker.stop()

    anyio.run(main)


def test_a_result_that_does_not_come_is_an_error(evq: Evq, name: str) -> None:
    late = evq("enqueue", name, "send", "--wait", "0.1s")

    assert late.code == 1
    assert "has not ended within 0.1 s" in late.err


def test_waiting_jobs_of_all_groups_are_listed(evq: Evq, name: str) -> None:
    evq("enqueue", name, "send")
    evq("enqueue", name, "refuse", "--group", "g")
    evq("enqueue", name, "send", "--group", "h")

    assert [job["group"] for job in evq("jobs", name, "--json").json] == [None, "g", "h"]
    assert [job["group"] for job in evq("jobs", name, "--group", "h", "--json").json] == ["h"]
    assert [job["group"] for job in evq("jobs", name, "--task", "refuse", "--json").json] == ["g"]
    assert evq("jobs", name, "--group", "g").out.splitlines()[0].split()[:2] == ["id", "task"]


def test_pages_follow_one_another(evq: Evq, name: str, redis_url: str) -> None:
    async def enqueue() -> list[str]:
        async with make_queue(name, redis_url) as queue:
            return [job.id for job in await queue.enqueue_many([queue.job("send", {"to": str(n)}) for n in range(230)])]

    ids = anyio.run(enqueue)
    listed = evq("jobs", name, "--start", "95", "--count", "130", "--json").json

    assert [job["id"] for job in listed] == ids[95:225]


def test_what_has_ended_is_listed_from_the_newest_on(evq: Evq, name: str, run_jobs: Run) -> None:
    ids = []
    for n in range(3):
        ids.append(evq("enqueue", name, "send", f"to={n}").out.strip())
        run_jobs()

    listed = [job["id"] for job in evq("jobs", name, "--state", "completed", "--json").json]
    second = [
        job["id"] for job in evq("jobs", name, "--state", "completed", "--start", "1", "--count", "1", "--json").json
    ]
    assert (listed, second) == (ids[::-1], [ids[1]])


def test_personal_data_are_shown_only_when_asked_for(evq: Evq, name: str, run_jobs: Run) -> None:
    job_id = evq("enqueue", name, "send", "to=ann@example.org").out.strip()
    run_jobs()

    shown = (
        evq("job", name, job_id),
        evq("job", name, job_id, "--json"),
        evq("jobs", name, "--state", "completed", "--json"),
    )
    assert not [done for done in shown if "ann@" in done.out]
    assert "ann@" in evq("job", name, job_id, "--payload").out
    assert evq("job", name, job_id, "--result", "--json").json["result"] == "sent to ann@example.org"


def test_a_failed_job_says_why_and_steers_no_terminal(evq: Evq, name: str, run_jobs: Run) -> None:
    job_id = evq("enqueue", name, "refuse", '--payload={"why": "\\u001b[31m[bold]red\\u0007"}').out.strip()
    run_jobs()
    done = evq("job", name, job_id)

    assert "LookupError: \ufffd[31m[bold]red\ufffd" in done.out
    assert "Traceback" in done.out
    assert not [c for c in done.out if not c.isprintable() and c != "\n"]
    assert evq("jobs", name, "--state", "failed").out.splitlines()[1].endswith("LookupError")


def test_a_log_is_shown_when_asked_for(evq: Evq, name: str, redis_url: str) -> None:
    job_id = evq("enqueue", name, "talk").out.strip()

    async def work() -> None:
        async with make_queue(name, redis_url) as queue:

            @queue.task
            async def talk(ctx: Context) -> None:
                await ctx.log("hello")

            await Worker(queue).run(burst=True)

    anyio.run(work)

    assert "hello" not in evq("job", name, job_id).out
    assert "hello" in evq("job", name, job_id, "--log").out
    assert evq("job", name, job_id, "--log", "--json").json["log"] == ["hello"]


def test_an_unknown_job_is_an_error(evq: Evq, name: str) -> None:
    evq("enqueue", name, "send")
    done = evq("job", name, new_id())

    assert (done.code, done.out, done.err.count("\n")) == (1, "", 1)
    assert "has no job" in done.err


def test_foreign_data_are_an_error_that_names_fsck(evq: Evq, name: str, redis_url: str) -> None:
    job_id = evq("enqueue", name, "send").out.strip()
    with Redis.from_url(redis_url) as client:
        spoil(client, QueueKeys(name), job_id, payload=None)
        client.hset(QueueKeys(name)["limits"], "concurrency", "many")

    assert evq("jobs", name, "--json").json == []
    for done in (evq("job", name, job_id), evq("stats", name)):
        assert (done.code, done.err.count("\n")) == (1, 1)
        assert "evq fsck" in done.err
