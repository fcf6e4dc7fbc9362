"""Which Redis everything is measured on."""

import re
import shutil
import subprocess

from evq.embedded import find_server


def newest_server() -> str:
    """Return the path of the newest Redis or Valkey server found: on PATH, or the one that evq would start."""
    found = [path for name in ("valkey-server", "redis-server") if (path := shutil.which(name))]
    return max([*found, find_server()], key=_version)


def _version(server: str) -> list[int]:
    answer = subprocess.run([server, "--version"], capture_output=True, text=True, timeout=10, check=True).stdout
    version = re.search(r"v=([\d.]+)", answer)
    return [int(part) for part in version[1].split(".")] if version else []
