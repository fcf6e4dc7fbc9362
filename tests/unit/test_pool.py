from typing import Any

import anyio
import pytest

from evq import UsageError, WorkerPool

pytestmark = pytest.mark.anyio


async def test_a_pool_that_does_not_run_takes_no_workers_and_can_still_be_run() -> None:
    pool = WorkerPool("shop.jobs:queue", processes=0)
    with pytest.raises(UsageError, match="does not run"):
        await pool.add_worker()

    pool.stop()
    with anyio.fail_after(5):
        await pool.run()
    assert pool.pids == []


@pytest.mark.parametrize("options", [{"processes": -1}, {"concurrency": 0}])
def test_a_pool_that_cannot_be_is_refused_by_name(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=next(iter(options))):
        WorkerPool("shop.jobs:queue", **options)
