"""Everything on one machine: what cannot be is said in one line, and leaves nothing behind."""

import os
import socket
from pathlib import Path

import anyio
import psutil
import pytest

from evq import QueueUnavailable, UsageError
from evq_server.settings import Settings
from evq_server.stack import stack
from evq_server.store.database import DatabaseError

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def no_other_redis(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("EVQ_REDIS_URL", "REDIS_HOST", "REDIS_PORT"):
        monkeypatch.delenv(name, raising=False)


def settings_in(data: Path) -> Settings:
    return Settings(data=data, port=0, workers=0)


async def starts(settings: Settings) -> None:
    """Start a stack, and stop it."""
    with anyio.fail_after(30):
        async with stack(settings) as running:
            await running.jobs.queue.ping()


async def test_a_stack_starts_again_where_it_was_stopped(tmp_path: Path) -> None:
    environ = dict(os.environ)
    await starts(settings_in(tmp_path))
    assert os.environ == environ
    await starts(settings_in(tmp_path))


async def test_a_second_stack_on_one_data_folder_is_refused_and_harms_nothing(tmp_path: Path) -> None:
    async with stack(settings_in(tmp_path)) as running:
        with pytest.raises(UsageError, match=f"another evq .process {os.getpid()}. uses the data folder"):
            await starts(settings_in(tmp_path))
        await running.jobs.queue.ping()


async def test_a_port_in_use_is_refused_before_anything_is_started(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(UsageError, match=f"cannot listen on 127.0.0.1:{port}"):
            await starts(Settings(data=tmp_path, port=port, workers=0))
    assert not (tmp_path / "redis").exists()
    await starts(settings_in(tmp_path))


async def test_a_data_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="EVQ_DATA"):
        await starts(settings_in(tmp_path / "file" / "data"))


async def test_a_database_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "evq.db").write_text("this is no database " * 100)
    with pytest.raises(DatabaseError, match=r"evq\.db cannot be used"):
        await starts(settings_in(tmp_path))


async def test_a_redis_that_is_away_at_the_start_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVQ_REDIS_URL", f"unix://{tmp_path}/nobody.sock")
    with pytest.raises(QueueUnavailable, match=r"nobody\.sock"):
        await starts(settings_in(tmp_path))


async def test_a_server_that_does_not_start_ends_the_stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError("no")

    monkeypatch.setattr("evq_server.app._tidy", fail)
    with pytest.RaisesGroup(pytest.RaisesExc(UsageError, match="the server did not start"), flatten_subgroups=True):
        await starts(settings_in(tmp_path))
    monkeypatch.undo()
    await starts(settings_in(tmp_path))


async def test_a_private_redis_that_dies_ends_the_stack_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evq_server.stack.WATCH", 0.1)
    with anyio.fail_after(30), pytest.raises(BaseExceptionGroup) as ended:
        async with stack(settings_in(tmp_path)):
            (redis,) = [
                child
                for child in psutil.Process().children(recursive=True)
                if "redis-server" in child.name() and child.cwd() == str(tmp_path / "redis")
            ]
            redis.kill()
            await anyio.sleep_forever()
    assert ended.group_contains(QueueUnavailable, match="private Redis has ended")
