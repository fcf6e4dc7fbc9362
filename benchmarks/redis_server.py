"""Which Redis everything is measured on."""

import os
import re
import shutil
import subprocess

from evq.embedded import find_server


def newest_server() -> str:
    """Return the path of the newest Redis or Valkey server found: on PATH, or the one that evq would start."""
    found = [path for name in ("valkey-server", "redis-server") if (path := shutil.which(name))]
    return max([*found, find_server()], key=_version)


def forget_redis() -> None:
    """Make the servers that start here bring a private Redis, whatever the environment names."""
    for name in ("EVQ_REDIS_URL", "REDIS_HOST", "REDIS_PORT"):
        os.environ.pop(name, None)


def _version(server: str) -> list[int]:
    answer = subprocess.run([server, "--version"], capture_output=True, text=True, timeout=10, check=True).stdout
    version = re.search(r"v=([\d.]+)", answer)
    return [int(part) for part in version[1].split(".")] if version else []
