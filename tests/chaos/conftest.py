"""Scenes for scenarios."""

from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from evq import Queue
from evq.scripts import load_scripts
from tests.chaos.actors import RedisServer
from tests.chaos.clock import Clock
from tests.chaos.proxy import Proxy
from tests.chaos.scene import Scene

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
def clock(tmp_path: Path) -> Clock:
    return Clock(tmp_path)
