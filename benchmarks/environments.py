"""Environments of the peers: each its own, in `.bench/`, installed from the pins beside its program and then kept."""

import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

PROGRAMS: Final = Path(__file__).parent / "peers"
ROOT: Final = Path(__file__).parent.parent
FOLDER: Final = ROOT / ".bench"
LIMIT: Final = 600
"""How long an installation may take, s."""


class NotInstalled(Exception):  # noqa: N818 - it says what is the matter
    """A peer cannot be installed here; the message says why in one line."""


def pins_of(program: str) -> Path:
    """Return the file that names the versions of a peer."""
    return PROGRAMS / ("package.json" if program.endswith(".mjs") else f"{program}.txt")


def version_of(package: str, program: str) -> str:
    """Return which version of a package a peer is pinned to; nothing if it has no pins."""
    pins = pins_of(program)
    found = re.search(rf'^\W*{package}(?:==|": ")([\w.]+)', pins.read_text(), re.MULTILINE) if pins.exists() else None
    return found[1] if found else ""


def is_installed(program: str) -> bool:
    """Return whether a peer's environment is there, with these pins."""
    done = _environment(program) / ".installed"
    return done.exists() and done.read_text() == pins_of(program).read_text()


def install(program: str) -> None:
    """Install a peer's environment, unless it is there with these pins; raise NotInstalled if that cannot be."""
    if is_installed(program):
        return
    environment, pins = _environment(program), pins_of(program)
    shutil.rmtree(environment, ignore_errors=True)
    environment.mkdir(parents=True)
    if program.endswith(".mjs"):
        shutil.copy(pins, environment)
        _run(["npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts"], environment)
    else:
        _run([sys.executable, "-m", "venv", "."], environment)
        pip = ["bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        _run([*pip, "--requirement", str(pins)], environment)
    (environment / ".installed").write_text(pins.read_text())


def command(program: str) -> tuple[list[str], Path]:
    """Return how a program is started, and the folder where: evq's and the floor's are in this environment."""
    if program.endswith(".mjs"):
        return ["node", str(PROGRAMS / program)], _environment(program)
    here = not pins_of(program).exists()
    python = sys.executable if here else str(_environment(program) / "bin/python")
    return [python, "-m", f"benchmarks.peers.{program}"], ROOT


def _environment(program: str) -> Path:
    return FOLDER / program.replace(".mjs", "_node")


def _run(command: Sequence[str], folder: Path) -> None:
    try:
        subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=LIMIT, check=True)
    except FileNotFoundError as missing:
        raise NotInstalled(f"there is no {missing.filename}") from missing
    except subprocess.TimeoutExpired as error:
        raise NotInstalled(f"that took longer than {LIMIT} s") from error
    except subprocess.CalledProcessError as error:
        said = error.stderr.strip().splitlines() or [f"exit code {error.returncode}"]
        raise NotInstalled(next((line for line in said if "error" in line.lower()), said[-1]).strip()) from error
