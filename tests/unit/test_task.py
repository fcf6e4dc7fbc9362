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


def test_a_timeout_must_leave_some_time(queue: Queue) -> None:
    with pytest.raises(UsageError, match="timeout=0"):
        queue.task(name="send", timeout=0)(lambda: None)


def test_options_say_when_and_how_urgently_and_leave_the_task_as_it_is(queue: Queue) -> None:
    @queue.task
    async def send() -> None: ...

    moment = datetime(2030, 1, 1, tzinfo=UTC)
    job = send.using(delay=1.5, at=moment, priority=7).job()
    assert (job.delay_ms, job.at_ms, job.priority) == (1500, 1893456000000, 7)
    assert (send.job().delay_ms, send.job().at_ms, send.job().priority) == (0, 0, PRIORITY)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"delay": -1}, "cannot be negative"),
        ({"priority": 4096}, "use 0 .* to 4095"),
        ({"priority": -1}, "use 0 .* to 4095"),
        ({"id": "mine"}, "made by evq.ids.new_id"),
        ({"at": datetime(2030, 1, 1)}, "needs a time zone"),  # noqa: DTZ001 - the point
        ({"later": 3}, "later"),
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

    assert not send.job().hooked
    send.on_completed(hook)
    assert send.job().hooked
    assert send.using(delay=1).job().hooked
    with pytest.raises(UsageError, match="a hook for completed"):
        send.on_completed(hook)


def test_a_program_can_enqueue_a_task_that_it_does_not_have(queue: Queue) -> None:
    assert orjson.loads(queue.job("elsewhere", {"a": 1}).payload) == {"a": 1}
