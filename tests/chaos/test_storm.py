"""All faults at once, from a seed: `SEED=n make chaos` takes the same choices again."""

import os
import random
import time

import pytest

from tests.chaos.clock import Clock
from tests.chaos.proxy import Proxy
from tests.chaos.scene import Scene
from tests.chaos.storm import HOUR, Storm

pytestmark = pytest.mark.anyio

HEALED = 40.0
"""Everything must have ended so long after the last fault, s: a silent connection takes 15, a lease comes on top."""


@pytest.mark.parametrize("seconds", [60, pytest.param(200, marks=pytest.mark.slow)])
async def test_a_storm_of_faults_loses_nothing_and_ends_everything_once(
    scene: Scene, proxy: Proxy, clock: Clock, seconds: float
) -> None:
    seed = int(os.environ.get("SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"seed {seed}: repeat with SEED={seed}", flush=True)
    storm = Storm(scene, proxy, clock, random.Random(seed))
    await storm.rage(seconds)
    history = await scene.verify(within=HEALED)
    print(f"faults: {dict(storm.injected)}; jobs: {len(history.finals)}; {dict(history.counts)}", flush=True)
    assert {fault.__name__ for fault in storm.faults} == {name for name, hits in storm.injected.items() if hits}
    assert proxy.silenced > 0, "no connection was silent"
    assert proxy.delayed > 0, "nothing was slow"
    shift = time.time() - time.monotonic()
    starts = scene.journal.entries("started")
    assert any(abs(start.more["wall"] - start.at - shift) > HOUR / 2 for start in starts), "no clock was wrong"
    assert sum(record.crashes for record in await scene.records()) > 0, "no worker was killed at work"
    statuses = {final.status for final in history.finals.values()}
    assert statuses == {"completed", "failed", "cancelled"}
