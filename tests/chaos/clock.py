"""A wall clock that a test can step, for processes that are started with its environment."""

import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest


class Clock:
    """The wall clock of some processes, a number of seconds off."""

    def __init__(self, folder: Path) -> None:
        """Compile what is preloaded into them; skip the test where that cannot be."""
        compiler = shutil.which("cc")
        if sys.platform != "linux" or compiler is None:
            pytest.skip("stepping the clock of a process needs Linux and a C compiler")
        library, self._shift = folder / "clock.so", folder / "clock"
        source = Path(__file__).with_name("clock.c")
        subprocess.run([compiler, "-O1", "-shared", "-fPIC", "-o", library, source], check=True)
        self.step(0)
        self.environ = {"LD_PRELOAD": str(library), "CHAOS_CLOCK": str(self._shift)}

    def step(self, seconds: int) -> None:
        """Set the clock so far ahead of the true time, or behind it."""
        if not self._shift.exists():
            self._shift.write_bytes(struct.pack("q", seconds))
        with self._shift.open("r+b") as file:  # in place, since processes have it mapped
            file.write(struct.pack("q", seconds))
