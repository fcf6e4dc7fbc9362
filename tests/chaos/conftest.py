"""Scenes for scenarios."""

from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from evq import Queue, QueueUnavailable
from evq.scripts import load_scripts
from tests.chaos.actors import RedisServer
from tests.chaos.clock import Clock
from tests.chaos.proxy import Proxy
from tests.chaos.scene import LARGE, Scene

LEASE = 2.0


@pytest.fixture
def lease() -> float:
    return LEASE


@pytest.fixture
def fsync() -> str | None:
    return "always"


@pytest.fixture
def redis_environ() -> Mapping[str, str]:
    return {}


@pytest.fixture
async def scene(
    tmp_path: Path, lease: float, fsync: str | None, redis_environ: Mapping[str, str]
) -> AsyncIterator[Scene]:
    redis = RedisServer(tmp_path, fsync=fsync, environ=redis_environ)
    redis.start()
    scene = Scene(tmp_path, redis, lease)
    yield scene
    await scene.close()


@pytest.fixture
async def proxy(scene: Scene) -> AsyncIterator[Proxy]:
    for script in load_scripts().values():  # so that a request that is seen is one that is carried out
        scene.redis.client.script_load(script.body)
    proxy = Proxy(scene.redis.port)
    async with proxy.running():
        yield proxy


@pytest.fixture
async def far(proxy: Proxy) -> AsyncIterator[Queue]:
    """Give the queue as a program behind the proxy has it."""
    async with Queue("chaos", redis=proxy.url) as queue:
        yield queue


@pytest.fixture
async def marked(scene: Scene, proxy: Proxy, far: Queue) -> None:
    """Leave a large batch that is marked, but that its producer cannot move."""
    move = load_scripts()["move"].sha
    proxy.lose(move, "request")
    proxy.lose(move, "request")  # the second try, too
    jobs = [scene.task("work").job() for _ in range(LARGE)]
    for job in jobs:
        scene.journal.write("sent", job.id)
    with pytest.raises(QueueUnavailable):
        await far.enqueue_many(jobs)
    assert proxy.lost == 2
    assert scene.redis.client.zcard("evq:{chaos}:marked-parts") == 1


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    return Clock(tmp_path)
