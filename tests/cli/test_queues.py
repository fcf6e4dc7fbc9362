"""The commands on a queue as a whole."""

from dataclasses import replace
from datetime import timedelta

import anyio
import pytest
from redis import Redis

from evq import Queue
from evq.alerts import DEFAULT_RULES, Alert, AlertState
from evq.keys import QueueKeys
from evq.schedules import from_ms
from tests.cli.conftest import Evq, Run, make_queue


def test_a_queue_is_paused_and_resumed(evq: Evq, name: str, run_jobs: Run) -> None:
    job_id = evq("enqueue", name, "send", "to=a").out.strip()
    assert evq("pause", name).out == f"queue {name} is paused\n"
    run_jobs()
    assert evq("job", name, job_id, "--json").json["state"] == "waiting"
    assert "paused" in evq("stats", name).out

    assert evq("resume", name, "--json").json == {"paused": False, "group": None}
    run_jobs()
    assert evq("job", name, job_id, "--json").json["state"] == "completed"


def test_a_group_is_paused_alone(evq: Evq, name: str, run_jobs: Run) -> None:
    ids = [evq("enqueue", name, "send", "to=a", f"--group={group}").out.strip() for group in "gh"]
    evq("pause", name, "--group=g")
    run_jobs()
    assert [evq("job", name, job_id, "--json").json["state"] for job_id in ids] == ["waiting", "completed"]


def test_limits_are_set_and_lifted(evq: Evq, name: str) -> None:
    evq("enqueue", name, "send", "--group=g")
    assert evq("limit", name, "--concurrency=5", "--rate=600/m", "--burst=3").out == (
        f"queue {name}: concurrency 5, rate 10/s, burst 3\n"
    )
    assert evq("limit", name, "--group=g", "--weight=2", "--json").json == {"group": "g", "weight": 2.0}
    seen = evq("stats", name, "--json").json
    assert (seen["concurrency"], seen["rate"], seen["groups"][0]["weight"]) == (5, 10, 2)

    evq("limit", name, "--none")
    seen = evq("stats", name, "--json").json
    assert (seen["concurrency"], seen["rate"]) == (None, None)


@pytest.mark.parametrize("wrong", [(), ("--none", "--rate=1"), ("--rate=fast",), ("--burst=2",)])
def test_what_cannot_be_a_limit_is_wrong_usage(evq: Evq, name: str, wrong: tuple[str, ...]) -> None:
    assert evq("limit", name, *wrong).code == 2


def test_workers_are_scaled(evq: Evq, name: str, redis_url: str) -> None:
    async def join() -> None:
        async with Queue(name, redis=redis_url) as queue:
            await queue.broker.run("join", pool="pool", capacity=4, processes=2, ttl_ms=60_000)

    anyio.run(join)
    assert evq("scale", name, "3", "--json").json == {"wanted": 3, "running": 3}
    assert evq("scale", name, "9").out.startswith(f"queue {name}: 4 workers of 9 ")
    assert evq("scale", name, "default", "--json").json == {"wanted": None, "running": 2}
    assert evq("scale", name, "more").code == 2
    assert evq("scale", name, "--", "-1").code == 2


def test_schedules_are_listed_and_removed(evq: Evq, name: str, redis_url: str) -> None:
    async def schedule() -> None:
        async with make_queue(name, redis_url) as queue:
            await queue.schedule(
                "nightly", queue.tasks["send"], cron="0 4 * * *", tz="Asia/Seoul", payload={"to": "ann"}
            )

    anyio.run(schedule)
    (listed,) = evq("schedules", name, "--json").json
    assert (listed["name"], listed["cron"], listed["next"][10:]) == ("nightly", "0 4 * * *", "T19:00:00.000+00:00")
    assert "ann" not in evq("schedules", name).out

    assert evq("schedules", name, "--remove=nightly").out == "schedule nightly removed\n"
    assert evq("schedules", name, "--remove=nightly").code == 1
    assert evq("schedules", name, "--json").json == []


@pytest.mark.parametrize(
    ("state", "ago", "code"),
    [(AlertState.OK, 0, 0), (AlertState.FIRING, 0, 3), (AlertState.RECOVERING, 0, 0), (AlertState.OK, 120, 3)],
)
def test_a_check_of_alerts_finds_those_that_fire_or_that_nobody_evaluates(
    evq: Evq, name: str, redis_url: str, state: AlertState, ago: float, code: int
) -> None:
    async def store() -> None:
        async with Queue(name, redis=redis_url) as queue:
            at = from_ms(await queue.broker.now()) - timedelta(seconds=ago)
            calm = AlertState.OK
            alert = Alert(queue=name, rule=DEFAULT_RULES[0], state=calm, previous=calm, since=at, at=at, value=0.5)
            await queue.broker.run("reserve_alerts", holder="me", turn_ms=1000)
            stored = [(alert.rule.name, replace(alert, state=state).dump())]
            await queue.broker.run("ack_alerts", stored, holder="me", pause_ms=1000)

    anyio.run(store)

    assert evq("alerts", name).code == 0
    checked = evq("alerts", name, "--check", "--json")
    assert (checked.code, checked.json[0]["state"]) == (code, state)


def test_a_check_of_alerts_that_were_never_evaluated_finds_that(evq: Evq, name: str) -> None:
    assert evq("alerts", name, "--check").code == 3


def test_fsck_finds_damage(evq: Evq, name: str, redis_url: str) -> None:
    job_id = evq("enqueue", name, "send").out.strip()
    assert (evq("fsck", name).code, evq("fsck", name, "--json").json) == (0, [])
    with Redis.from_url(redis_url) as client:
        client.zrem(QueueKeys(name)["waiting"], job_id)

    found = evq("fsck", name, "--json")
    assert found.code == 3
    assert job_id in [finding["where"] for finding in found.json]
    assert evq("fsck", name).out.splitlines()[1].startswith(job_id)
