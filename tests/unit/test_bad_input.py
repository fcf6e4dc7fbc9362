"""Bad input is refused at the call, by name, and before Redis is asked."""

import functools
import inspect
import math
import re
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from evq import NetworkError, PayloadError, Queue, RetryPolicy, UsageError, Worker, WorkerPool, blocking
from evq.alerts import AlertRule
from evq.errors import Retry, Snooze

pytestmark = pytest.mark.anyio

given: Any = functools.partial
queue = Queue("bad-input", redis="redis://127.0.0.1:1/0")  # where nobody listens
other = Queue("other", redis=queue.url)
rule = given(AlertRule, name="r", measure="waiting", threshold=10, clear=5)


@queue.task
async def send(to: str = "") -> None: ...


@other.task
async def elsewhere() -> None: ...


def register(handler: Any, **options: Any) -> None:
    queue.task(**options)(handler)


def plain(_: Any) -> None: ...


def several() -> Iterator[int]:
    yield 1


async def several_async() -> AsyncIterator[int]:
    yield 1


QUEUES = [
    (given(Queue, None), "name: use str, not NoneType"),
    (given(Queue, 5), "name: use str, not int"),
    (given(Queue, "q", redis=5), "redis: use str, not int"),
    (given(Queue, "q", lease=None), "lease=None: use a number of seconds from 1 "),
    (given(Queue, "q", keep=None), "keep=None: use a number of seconds from 1 "),
    (given(Queue, "q", keep_count=1.5), "keep_count=1.5: use a whole number from 1"),
    (given(Queue, "q", alerts=None), "alerts: use Sequence, not NoneType"),
    (given(Queue, "q", alerts=[1]), "alerts: use AlertRule, not int"),
    (given(rule, name=5), "name=5: use 1 to 200"),
    (given(rule, threshold="x"), "alert r: threshold='x': use a number from 0"),
    (given(rule, clear=math.nan), "alert r: clear=nan: use a number from 0"),
    (given(rule, for_=None), "alert r: for_=None: use a number of seconds from 0"),
    (given(rule, window="x"), "alert r: window='x': use a number of seconds from 0.001"),
    (given(queue.on_alert, plain), "on_alert: a hook is awaited: write it as `async def`"),
]

TASKS = [
    (given(queue.task, 5), "handler=5: 5 is not a callable object"),
    (given(queue.task, 0), "handler=0: 0 is not a callable object"),
    (given(queue.task, dict), "handler=<class 'dict'>: no signature"),
    (given(queue.task, functools.partial(plain)), "name='': use 1 to 200"),
    (given(queue.task, several), "task several: a handler yields nothing"),
    (given(queue.task, several_async), "task several_async: a handler yields nothing"),
    (given(register, plain, name=""), "name='': use 1 to 200"),
    (given(register, plain, name=5), "name=5: use 1 to 200"),
    (given(register, plain, name="x" * 300), "name='xxx"),
    (given(register, plain, name="a\nb"), r"name='a\nb': use 1 to 200"),
    (given(register, plain, retry=3), "task plain: retry: use RetryPolicy, not int"),
    (given(register, plain, retry=0), "task plain: retry: use RetryPolicy, not int"),
    (given(register, plain, timeout=None), "task plain: timeout=None: use a number of seconds from 0.001"),
    (given(send.on_completed, plain), "task send: on_completed: a hook is awaited: write it as `async def`"),
    (given(send.on_failed, plain), "task send: on_failed: a hook is awaited"),
    (given(send.on_cancelled, plain), "task send: on_cancelled: a hook is awaited"),
    (given(send.on_retried, plain), "task send: on_retried: a hook is awaited"),
    (given(RetryPolicy, attempts=True), "attempts=True: use a whole number from 1"),
    (given(RetryPolicy, delay=None), "delay=None: use a number of seconds from 0"),
    (given(RetryPolicy, jitter="x"), "jitter='x': use a number from 0"),
    (given(RetryPolicy, on=[KeyError]), "on: use Mapping, not list"),
    (given(RetryPolicy, on={"x": 1}), "on={'x': ...}: use classes of errors"),
    (given(RetryPolicy, on={KeyError: "x"}), "on KeyError='x': use a number of seconds from 0"),
    (given(NetworkError, retry_after=[]), "retry_after=[]: use a number of seconds, or"),
    (given(Retry, after="x"), "after='x': use a number of seconds, or"),
    (given(Retry, after=None), "after=None: use a number of seconds, or"),
    (given(Snooze, "x"), "delay='x': use a number of seconds, or"),
    (given(Snooze, math.nan), "delay=nan: use a number of seconds, or"),
]

JOBS = [
    (given(send.using, delay=None), "delay=None: use a number of seconds from 0"),
    (given(send.using, front="yes"), "front: use bool, not str"),
    (given(send.using, id=5), "id=5: use an id made by evq.ids.new_id()"),
    (given(queue.job, 5, {}), "task: use str, not int"),
    (given(queue.job, send, {}), "task: use str, not Task"),
    (given(queue.job, "", {}), "task='': use 1 to 200 printable characters"),
    (given(queue.job, "send", 5), "task send: a payload is passed by name: use a dict, not int"),
    (given(queue.job, "send", {1: 2}), "task send: the payload is not JSON"),
    (given(queue.job, "send", {"whom": "me"}), "task send(to: str = '') -> None: "),
    (given(queue.get, 5), "id=5: use 1 to 200"),
    (given(queue.jobs, "waiting", of=5), "of=5: use 1 to 200"),
    (given(queue.jobs, "waiting", count=None), "count=None: use a whole number from 1"),
    (given(queue.log, None), "id=None: use 1 to 200"),
    (given(queue.position, None), "id=None: use 1 to 200"),
    (given(queue.progress, None), "id=None: use 1 to 200"),
    (given(queue.result, "id", timeout="x"), "timeout='x': use a number of seconds from 0"),
    (given(blocking, 5), "blocking(5): pass an async function"),
]

OPERATIONS = [
    (given(queue.purge, "failed", older_than=None), "older_than=None: use a number of seconds from 0"),
    (given(queue.cancel_all, "waiting", task=5), "task=5: use 1 to 200"),
    (given(queue.replay_all, group=5), "group=5: use 1 to 200"),
    (given(queue.drain, ""), "group='': use 1 to 200"),
    (given(queue.drain, 5), "group=5: use 1 to 200"),
    (given(queue.limit, burst=5), "burst=5: it is one of a rate"),
    (given(queue.metrics, 5), "since: use datetime or timedelta, not int"),
    (given(queue.schedule, "s", "send", cron="* * * * *"), "task: use Task, not str"),
    (given(queue.schedule, "s", elsewhere, cron="* * * * *"), "schedule s: task elsewhere is one of queue other"),
    (given(queue.schedule, "s", send, cron="* * * * *", payload="x"), "task send(to: str = '') -> None: "),
    (given(queue.schedule, "s", send, cron="* * * * *", payload={1: 2}), "task send(to: str = '') -> None: "),
    (given(queue.schedule, "s", send, cron=None), "schedule s: cron=None: "),
    (given(queue.schedule, "s", send, cron="* * * * *", tz=None), "schedule s: tz=None: "),
    (given(queue.schedule, 5, send, cron="* * * * *"), "5 is no name for a schedule"),
]

WORKERS = [
    (given(Worker, "q"), "queue: use Queue, not str"),
    (given(Worker, queue, concurrency=None), "concurrency=None: use a whole number from 1"),
    (given(Worker, queue, concurrency=1.5), "concurrency=1.5: use a whole number from 1"),
    (given(Worker, queue, concurrency="4"), "concurrency='4': use a whole number from 1"),
    (given(Worker, queue, grace=None), "grace=None: use a number of seconds from 0"),
    (given(Worker, queue, grace="x"), "grace='x': use a number of seconds from 0"),
    (given(Worker, queue, grace=-1), "grace=-1: use a number of seconds from 0"),
    (given(WorkerPool, 5), "target: use str, not int"),
    (given(WorkerPool, "m:q", queue="q"), "queue: use Queue, not str"),
    (given(WorkerPool, "m:q", queue=queue, processes="2"), "processes='2': use a whole number from 0"),
    (given(WorkerPool, "m:q", queue=queue, processes=3, capacity=2), "capacity=2: use a whole number from 3"),
    (given(WorkerPool, "m:q", queue=queue, concurrency="4"), "concurrency='4': use a whole number from 1"),
    (given(WorkerPool, "m:q", queue=queue, grace="x"), "grace='x': use a number of seconds from 0"),
    (given(WorkerPool, "m:q", queue=queue, log_level="foo"), "log_level='foo': use one of DEBUG, INFO"),
]

CASES = QUEUES + TASKS + JOBS + OPERATIONS + WORKERS


@pytest.mark.parametrize(("call", "complaint"), CASES, ids=[complaint for _, complaint in CASES])
async def test_bad_input_is_refused_by_name_before_redis_is_asked(call: Callable[[], Any], complaint: str) -> None:
    with pytest.raises(UsageError, match=f"^{re.escape(complaint)}"):
        answer = call()
        if inspect.isawaitable(answer):
            await answer


def test_what_was_refused_is_not_registered() -> None:
    anything: Any = several
    for add in (queue.task, queue.on_alert, send.on_completed):
        with pytest.raises(UsageError):
            add(anything)
    assert list(queue.tasks) == ["send"]
    assert not queue.alert_hooks
    assert not send.hooks


@pytest.mark.parametrize("task", ["send", "unknown"])
def test_what_is_no_payload_is_a_payload_error(task: str) -> None:
    with pytest.raises(PayloadError):
        given(queue.job, task, 5)()
