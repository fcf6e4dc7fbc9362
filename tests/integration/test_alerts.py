"""Alerts of a queue: evaluated once for all workers, stored, logged, told."""

import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import anyio
import pytest
import redis as redis_client

from evq import Queue
from evq.alerts import Alert, AlertRule, AlertState
from evq.upkeep import Upkeep
from tests.integration.running import until, working

pytestmark = pytest.mark.anyio

FAILURES = AlertRule(name="failures", measure="failure rate", threshold=0.5, clear=0.5, for_=0)


class Watch:
    """A queue with one rule, whose measure and turns the test decides."""

    def __init__(self, queue: Queue, redis: Any) -> None:
        self.queue = queue
        self.redis = redis
        self.told: list[Alert] = []
        queue.alert_rules = (FAILURES,)
        queue.on_alert(self.note)

    async def note(self, alert: Alert) -> None:
        self.told.append(alert)

    def key(self, tail: str) -> str:
        return f"evq:{{{self.queue.name}}}:{tail}"

    def next_turn(self) -> None:
        self.redis.delete(self.key("alert-turn"))

    async def take_turn(self, holder: str) -> bool:
        return await self.queue.broker.run("reserve_alerts", holder=holder, turn_ms=60_000) is not None

    async def end_turn(self, holder: str, alert: str) -> bytes:
        word: bytes = await self.queue.broker.run("ack_alerts", [("r", alert)], holder=holder, pause_ms=1000)
        return word

    async def see(self, **counted: int) -> None:
        """Let *counted* be what happened in the last minutes, and take a turn."""
        minute = await self.queue.broker.now() // 60_000
        for bucket in range(minute - 6, minute + 2):
            self.redis.delete(self.key(f"metrics:{bucket}"))
        if counted:
            self.redis.hset(self.key(f"metrics:{minute}"), mapping=counted)
        self.next_turn()
        await Upkeep(self.queue).evaluate_alerts()

    @property
    def states(self) -> list[AlertState]:
        return [alert.state for alert in self.told]


@pytest.fixture
async def watch(queue: Queue, redis_url: str) -> AsyncIterator[Watch]:
    with redis_client.Redis.from_url(redis_url, decode_responses=True) as redis:
        yield Watch(queue, redis)


async def test_an_alert_goes_through_its_states_and_each_change_is_told(watch: Watch) -> None:
    await watch.see(completed=1)
    await watch.see(failed=1)
    await watch.see(failed=1)
    await watch.see(failed=1)
    await watch.see(completed=1)
    await watch.see(completed=1)
    await watch.see()

    assert watch.states == ["ok", "pending", "firing", "recovering", "ok", "no data"]
    assert [alert.value for alert in watch.told] == [0, 1, 1, 0, 0, None]
    assert [alert.previous for alert in watch.told] == ["no data", *watch.states[:-1]]


async def test_the_queue_knows_its_alerts(watch: Watch) -> None:
    assert await watch.queue.alerts() == []
    await watch.see(failed=1)

    assert await watch.queue.alerts() == watch.told


async def test_what_has_not_changed_is_evaluated_but_not_told(watch: Watch) -> None:
    await watch.see(completed=1)
    await watch.see(completed=1, failed=1)

    (alert,) = await watch.queue.alerts()
    assert (alert.state, alert.value) == ("ok", 0.5)
    assert alert.at >= alert.since == watch.told[0].since
    assert watch.states == ["ok"]


async def test_the_jobs_that_wait_are_measured_now(watch: Watch) -> None:
    watch.queue.alert_rules = (AlertRule(name="backlog", measure="waiting", threshold=1, clear=0),)
    await watch.queue.enqueue_many([watch.queue.job("work", {}) for _ in range(3)])
    await Upkeep(watch.queue).evaluate_alerts()

    assert [(alert.state, alert.value) for alert in watch.told] == [("pending", 3)]


async def test_of_any_number_of_workers_one_evaluates(watch: Watch) -> None:
    async with anyio.create_task_group() as group:
        for _ in range(10):
            group.start_soon(Upkeep(watch.queue).evaluate_alerts)
    await Upkeep(watch.queue).evaluate_alerts()

    assert len(await watch.queue.alerts()) == 1
    watch.redis.hset(watch.key("alerts"), "failures", "seen")
    await Upkeep(watch.queue).evaluate_alerts()
    assert watch.redis.hget(watch.key("alerts"), "failures") == "seen"
    assert 0 < watch.redis.pttl(watch.key("alert-turn")) <= 15_000


async def test_firing_is_a_warning_and_any_other_change_a_note(watch: Watch, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "evq.alerts")
    for _ in range(2):
        await watch.see(failed=1)

    assert [(line.levelname, line.getMessage()) for line in caplog.records] == [
        ("INFO", "alert failures: pending"),
        ("WARNING", "alert failures: firing"),
    ]
    assert vars(caplog.records[1]).items() >= {"queue": watch.queue.name, "alert": "failures", "value": 1}.items()


async def test_a_hook_that_fails_or_hangs_is_logged_and_harms_nobody(
    watch: Watch, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evq.alerts.HOOK_TIMEOUT", 0.05)

    @watch.queue.on_alert
    async def fail(_: Alert) -> None:
        raise RuntimeError("no")

    @watch.queue.on_alert
    async def hang(_: Alert) -> None:
        await anyio.sleep_forever()

    with anyio.fail_after(5):
        await watch.see(failed=1)

    assert watch.states == ["pending"]
    assert [line.getMessage() for line in caplog.records] == ["an alert hook failed"] * 2
    assert [alert.state for alert in await watch.queue.alerts()] == ["pending"]


async def test_a_change_that_a_lost_worker_may_not_have_told_is_told_again(watch: Watch) -> None:
    with anyio.CancelScope() as worker:

        @watch.queue.on_alert
        async def lose_the_worker(_: Alert) -> None:
            worker.cancel()

        await watch.see(failed=1)
    assert await watch.queue.alerts() == []
    watch.queue.alert_hooks.remove(lose_the_worker)
    await watch.see(failed=1)

    assert watch.states == ["pending", "pending"]


async def test_one_who_lost_the_turn_changes_nothing(watch: Watch) -> None:
    assert await watch.take_turn("slow")
    watch.next_turn()
    assert await watch.take_turn("fast")

    assert await watch.end_turn("fast", "new") == b"OK"
    assert await watch.end_turn("slow", "old") == b"STALE"
    assert watch.redis.hgetall(watch.key("alerts")) == {"r": "new"}


async def test_the_turn_sent_for_twice_is_taken_once_and_not_lost(watch: Watch) -> None:
    assert await watch.take_turn("me")
    assert await watch.take_turn("me")
    assert 0 < watch.redis.pttl(watch.key("alert-turn")) <= 60_000  # and then others may have it
    assert not await watch.take_turn("other")


async def test_a_rule_that_was_changed_goes_on_from_its_state(watch: Watch) -> None:
    await watch.see(failed=1)
    watch.queue.alert_rules = (replace(FAILURES, threshold=1, clear=1),)
    await watch.see(failed=1)

    assert watch.states == ["pending", "ok"]
    assert [alert.rule.threshold for alert in await watch.queue.alerts()] == [1]


async def test_the_alert_of_a_rule_that_is_no_more_is_dropped(watch: Watch) -> None:
    await watch.see(failed=1)
    watch.queue.alert_rules = ()
    await watch.see(failed=1)

    assert await watch.queue.alerts() == []


async def test_foreign_data_among_the_alerts_is_passed_over(watch: Watch) -> None:
    watch.redis.hset(watch.key("alerts"), mapping={"failures": "{", b"\xff": b"\xff"})
    assert await watch.queue.alerts() == []
    await watch.see(failed=1)

    assert [alert.state for alert in await watch.queue.alerts()] == ["pending"]


async def test_a_full_redis_is_watched_all_the_same(watch: Watch) -> None:
    await watch.see(completed=1)
    watch.redis.hset(watch.key(f"metrics:{await watch.queue.broker.now() // 60_000}"), "failed", 9)
    watch.next_turn()
    watch.redis.config_set("maxmemory", 1)
    try:
        await Upkeep(watch.queue).evaluate_alerts()
    finally:
        watch.redis.config_set("maxmemory", 0)

    assert [alert.state for alert in await watch.queue.alerts()] == watch.states[1:] == ["pending"]


async def test_each_rule_has_a_window_of_its_own(watch: Watch) -> None:
    watch.queue.alert_rules = tuple(
        AlertRule(name=f"{minutes} min", measure="failure rate", threshold=0.1, clear=0.1, window=60 * minutes)
        for minutes in (1, 30)
    )
    minute = await watch.queue.broker.now() // 60_000
    watch.redis.hset(watch.key(f"metrics:{minute - 10}"), "failed", 1)
    watch.redis.hset(watch.key(f"metrics:{minute}"), "completed", 1)
    await Upkeep(watch.queue).evaluate_alerts()

    assert {alert.rule.name: alert.value for alert in await watch.queue.alerts()} == {"1 min": 0, "30 min": 0.5}


async def test_a_running_worker_sees_to_the_alerts(watch: Watch) -> None:
    @watch.queue.task
    async def work() -> None: ...

    async def evaluated() -> bool:
        return bool(await watch.queue.alerts())

    async with working(watch.queue):
        await until(evaluated)
