"""The pytest plugin of evq. Pytest always loads it, so it stands outside the package and imports nothing of it."""

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session")
def evq_redis() -> Iterator[str]:
    """Run a private Redis for all tests that ask for it, and give its URL."""
    from evq.embedded import private_redis  # noqa: PLC0415 - costs nothing where no test asks for it

    with private_redis() as url:
        yield url
