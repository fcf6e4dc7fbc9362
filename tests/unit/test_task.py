import math
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from evq import Context, PayloadError, Queue, SyncContext, UsageError
from evq.job import PAYLOAD_LIMIT, PRIORITY


@pytest.fixture
def queue() -> Queue:
    return Queue("tasks")


def test_a_task_is_registered_under_its_handlers_name_or_another(queue: Queue) -> None:
    @queue.task
    async def send() -> None: ...

    @queue.task(name="other")
    async def unnamed() -> None: ...

    assert list(queue.tasks) == ["send", "other"]


def test_a_name_can_be_taken_once(queue: Queue) -> None:
    queue.task(name="send")(lambda: None)
    with pytest.raises(UsageError, match="give this one another name="):
        queue.task(name="send")(lambda: None)


async def by_name(ctx: Any, a: int) -> None: ...
async def by_type(a: int, context: Context) -> None: ...
def by_sync_type(a: int, *, context: SyncContext) -> None: ...
async def by_text(a: int, context: "Context") -> None: ...
async def by_dotted_text(a: int, context: "evq.Context") -> None: ...  # type: ignore[name-defined]  # noqa: F821
async def by_unknown_text(a: "OnlyForTypeCheckers", ctx: "Context") -> None: ...  # type: ignore[name-defined]  # noqa: F821


@pytest.mark.parametrize("handler", [by_name, by_type, by_sync_type, by_text, by_dotted_text, by_unknown_text])
def test_a_context_is_found_and_is_no_part_of_the_payload(queue: Queue, handler: Any) -> None:
    task = queue.task(handler)
    assert task.context_name in ("ctx", "context")
    assert list(task.signature.parameters) == ["a"]
    assert orjson.loads(task.job(a=1).payload) == {"a": 1}


@pytest.mark.parametrize("payload", [{}, {"a": 1, "c": 2}, {"a": 1, "ctx": 2}])
def test_a_payload_that_does_not_fit_is_refused_before_it_is_sent(queue: Queue, payload: dict[str, int]) -> None:
    @queue.task
    async def send(ctx: Context, a: int, b: int = 0) -> None: ...

    with pytest.raises(PayloadError, match=r"task send\(a: int, b: int = 0\)"):
        send.job(**payload)


def test_a_payload_that_is_not_json_is_refused(queue: Queue) -> None:
    @queue.task
    async def send(**anything: Any) -> None: ...

    for value in (object(), {1, 2}, b"bytes", 1 << 80):
        with pytest.raises(PayloadError, match="not JSON"):
            send.job(value=value)


def test_a_payload_that_is_too_large_is_refused_with_the_limit(queue: Queue) -> None:
    @queue.task
    async def send(text: str) -> None: ...

    with pytest.raises(PayloadError, match=str(PAYLOAD_LIMIT)):
        send.job(text="x" * PAYLOAD_LIMIT)


def test_a_positional_only_parameter_is_refused(queue: Queue) -> None:
    async def send(a: int, /) -> None: ...

    with pytest.raises(UsageError, match="positional-only"):
        queue.task(send)


@pytest.mark.parametrize(
    "options",
    [
        {"timeout": 0},
        {"timeout": "60"},
        {"timeout": math.inf},
        {"isolation": "thread"},
        {"memory": 1 << 20},
        {"memory": 0, "isolation": "process"},
        {"memory": "1 GB", "isolation": "process"},
    ],
)
def test_an_option_of_a_task_that_cannot_be_is_refused_by_name(queue: Queue, options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=f"task send: {next(iter(options))}="):
        queue.task(name="send", **options)(lambda: None)
    assert not queue.tasks


def test_options_say_when_and_how_urgently_and_leave_the_task_as_it_is(queue: Queue) -> None:
    @queue.task
    async def send() -> None: ...

    moment = datetime(2030, 1, 1, tzinfo=UTC)
    job = send.using(delay=1.5, at=moment, priority=7, group="a", dedup_key="k", expires=1, deadline=2.5).job()
    assert orjson.loads(job.options) == {
        "delay": 1500,
        "at": 1893456000000,
        "priority": 7,
        "group": "a",
        "dedup": "k",
        "dedup_mode": "existing",
        "expires": 1000,
        "deadline": 2500,
    }
    assert send.job().options == send.using(priority=PRIORITY).job().options == b""


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"delay": -1}, "delay=-1: use a number of seconds from 0"),
        ({"delay": float("nan")}, "delay=nan"),
        ({"delay": True}, "delay=True"),
        ({"delay": "5"}, "delay='5'"),
        ({"expires": 0}, "expires=0"),
        ({"deadline": float("inf")}, "deadline=inf"),
        ({"dedup_ttl": -1}, "dedup_ttl=-1"),
        ({"priority": 4096}, "from 0 .* to 4095"),
        ({"priority": -1}, "from 0 .* to 4095"),
        ({"priority": 1.5}, "priority=1.5"),
        ({"group": ""}, "group='': use 1 to 200"),
        ({"group": 5}, "group=5"),
        ({"dedup_key": "k" * 201}, "dedup_key="),
        ({"dedup": "sometimes"}, "use one of reject, existing, replace, debounce"),
        ({"front": True, "delay": 1}, "neither delay nor at"),
        ({"id": "mine"}, "made by evq.ids.new_id"),
        ({"at": datetime(2030, 1, 1)}, "with a time zone"),  # noqa: DTZ001 - the point
        ({"at": 5}, "with a time zone"),
        ({"later": 3}, "no job option 'later'"),
    ],
)
def test_an_option_that_cannot_be_is_refused(queue: Queue, options: dict[str, Any], complaint: str) -> None:
    @queue.task
    async def send() -> None: ...

    with pytest.raises(UsageError, match=complaint):
        send.using(**options).job()


def test_an_end_has_one_hook(queue: Queue) -> None:
    @queue.task
    async def send() -> None: ...

    async def hook(_: Any) -> None: ...

    assert send.job().options == b""
    send.on_completed(hook)
    assert orjson.loads(send.job().options) == {"hooks": "completed"}
    assert orjson.loads(send.using(delay=1).job().options) == {"delay": 1000, "hooks": "completed"}
    with pytest.raises(UsageError, match="a hook for completed"):
        send.on_completed(hook)


def test_an_object_that_is_awaited_when_called_can_be_a_handler_and_a_hook(queue: Queue) -> None:
    class Sender:
        async def __call__(self, to: str) -> None: ...

    task = queue.task(name="send")(Sender())
    assert task.is_async
    assert list(task.signature.parameters) == ["to"]
    hook: Any = Sender()
    assert task.on_completed(hook) is hook


def test_a_payload_may_hold_any_name(queue: Queue) -> None:
    queue.task(name="send")(lambda **anything: None)
    names = {"self": 1, "payload": 2, "task": 3}
    assert orjson.loads(queue.tasks["send"].job(**names).payload) == names
    assert queue.job("send", names).payload == queue.tasks["send"].job(**names).payload


def test_a_program_can_enqueue_a_task_that_it_does_not_have(queue: Queue) -> None:
    assert orjson.loads(queue.job("elsewhere", {"a": 1}).payload) == {"a": 1}
