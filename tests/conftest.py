"""What tests share: a private real Redis, and a fresh queue for each test."""

from collections.abc import AsyncIterator, Iterator
from itertools import count

import pytest

from evq import Queue
from evq.embedded import private_redis

_numbers = count(1)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    with private_redis() as url:
        yield url


@pytest.fixture
async def queue(redis_url: str) -> AsyncIterator[Queue]:
    async with Queue(f"test-{next(_numbers)}", redis=redis_url) as queue:
        yield queue
