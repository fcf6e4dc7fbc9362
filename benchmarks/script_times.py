"""How long Redis takes for a script, by its own slow log."""

from collections.abc import Callable
from typing import Final

from redis import Redis

NOTED: Final = 10
"""What takes less is only counted, µs: to note each command that a script calls would make the script slower."""
LENGTH: Final = 10_000
"""How many of the slower ones are kept; there are fewer."""


def p99_of_scripts(redis: Redis, work: Callable[[], object]) -> float:
    """Return the p99 of the scripts that are called while *work* is done, µs; NOTED if it is less than that."""
    redis.config_set("slowlog-max-len", LENGTH)
    redis.slowlog_reset()
    redis.config_resetstat()
    redis.config_set("slowlog-log-slower-than", NOTED)
    work()
    redis.config_set("slowlog-log-slower-than", -1)
    calls = redis.info("commandstats")["cmdstat_evalsha"]["calls"]
    noted = [entry["duration"] for entry in redis.slowlog_get(LENGTH) if entry["command"].startswith(b"EVALSHA ")]
    slowest = sorted(noted, reverse=True)[: calls // 100 + 1]
    return float(slowest[-1]) if len(slowest) > calls // 100 else NOTED
