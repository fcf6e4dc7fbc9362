"""A queue whose leases run out soon."""

import pytest

from evq import Queue


@pytest.fixture
def brief(queue: Queue) -> Queue:
    """A queue of which a lost worker's jobs come back after a second."""
    queue.lease_ms = 1000
    return queue
