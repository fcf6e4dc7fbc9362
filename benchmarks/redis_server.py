"""Which Redis everything is measured on."""

import os
import re
import shutil
import subprocess

from evq.embedded import find_server


def newest_server() -> str:
    """Return the path of the newest Redis or Valkey server found: on PATH, or the one that evq would start."""
    found = [path for name in ("valkey-server", "redis-server") if (path := shutil.which(name))]
    return max([*found, find_server()], key=_age)


def forget_redis() -> None:
    """Make the servers that start here bring a private Redis, whatever the environment names."""
    for name in ("EVQ_REDIS_URL", "REDIS_HOST", "REDIS_PORT"):
        os.environ.pop(name, None)


def version_of_server(server: str) -> str:
    """Return the version of a Redis or Valkey server; nothing if it does not say."""
    answer = subprocess.run([server, "--version"], capture_output=True, text=True, timeout=10, check=True).stdout
    version = re.search(r"v=(\d+(?:\.\d+)*)", answer)
    return version[1] if version else ""


def _age(server: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", version_of_server(server))]
