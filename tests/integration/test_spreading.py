"""One kind of job over several queues, as the page about scaling shows it: on two servers, and on a Cluster."""

import os
import re
import runpy
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import anyio
import pytest
from redis import Redis

from evq import Worker
from evq.embedded import find_server, private_redis
from tests.integration.topologies import Cluster

pytestmark = pytest.mark.anyio

PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "scaling.md"
JOBS = 400


@pytest.fixture(params=["servers", "cluster"])
def places(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Redis]]:
    """Run servers, let the environment name them as the page says, and give a client of each."""
    with ExitStack() as stack:
        if request.param == "servers":
            urls = [stack.enter_context(private_redis()) for _ in range(2)]
            monkeypatch.setenv("LETTERS_SERVERS", " ".join(urls))
            yield [Redis.from_url(url) for url in urls]
        else:
            cluster = Cluster(find_server(), tmp_path)
            stack.enter_context(cluster.running())
            monkeypatch.setenv("EVQ_REDIS_URL", cluster.url)
            yield [node.client for node in cluster.nodes]


@pytest.fixture
def letters(places: list[Redis], tmp_path: Path) -> dict[str, Any]:
    """Give the names of the page's module, which knows those servers."""
    (module,) = re.findall(r"^```python\n(# letters.py\n.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    (tmp_path / "letters.py").write_text(module)
    return runpy.run_path(str(tmp_path / "letters.py"))


async def test_jobs_of_one_kind_run_on_all_servers(
    places: list[Redis], letters: dict[str, Any], tmp_path: Path
) -> None:
    queues = letters["QUEUES"]
    await letters["enqueue_many"]([f"{n}@example.org" for n in range(JOBS)])
    job = await letters["enqueue"]("guest@example.org")
    shares = [(await queue.counts())["waiting"] for queue in queues]
    assert sum(shares) == JOBS + 1
    assert min(shares) > JOBS / len(queues) / 2, "one queue has hardly any"
    assert all(place.dbsize() for place in places), "one server has none"

    shard = letters["shard_of"]("guest@example.org")
    command = [sys.executable, "-m", "evq", "worker", "letters:queue", "--burst"]
    await anyio.run_process(command, cwd=tmp_path, env=os.environ | {"SHARD": str(shard)})
    assert await job.result(1) == "sent to guest@example.org"
    assert (await queues[shard - 1].counts())["completed"] == 0, "a worker took from a queue that is not its own"
    for queue in queues:
        await Worker(queue, concurrency=64).run(burst=True)
        await queue.close()
