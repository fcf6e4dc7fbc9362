"""Which implementation is loaded, and what is said about it."""

import os
import subprocess
import sys
from pathlib import Path

import evq_ext
from evq_ext._implementation import COMPILED

# A finder that refuses the compiled modules, as where they were never built.
WITHOUT_CORE = f"""
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.removeprefix("evq_ext.") in {COMPILED}:
            raise ImportError("not built")
sys.meta_path.insert(0, Refuse())
"""
REPORT = (
    "import evq_ext as e; print(e.IMPLEMENTATION, e.RowParser.__module__, e.strings.__module__, e.qr_png.__module__)"
)
TWINS = "reference evq_ext.rows._reference evq_ext.columns._reference evq_ext.qr._reference\n"


def run(code: str, forced: str = "") -> subprocess.CompletedProcess[str]:
    root = str(Path(evq_ext.__file__).parents[1])
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": root, "EVQ_EXT_IMPLEMENTATION": forced}
    return subprocess.run(
        [sys.executable, "-W", "always", "-c", code], env=environment, capture_output=True, text=True, check=False
    )


def test_the_compiled_core_is_what_is_loaded(compiled: type[evq_ext.RowParser]) -> None:
    assert compiled.__module__ == "evq_ext.rows._rows"
    done = run(REPORT)
    assert (done.stdout, done.stderr) == ("compiled evq_ext.rows._rows evq_ext.columns._strings evq_ext.qr._qr\n", "")


def test_without_the_compiled_core_the_reference_serves_and_says_so() -> None:
    done = run(WITHOUT_CORE + REPORT)
    assert done.stdout == TWINS
    assert "RuntimeWarning: The compiled core of evq_ext is missing" in done.stderr
    assert "Install a C compiler" in done.stderr


def test_a_forced_reference_is_silent() -> None:
    done = run(REPORT, forced="reference")
    assert (done.stdout, done.stderr) == (TWINS, "")


def test_a_forced_compiled_core_that_is_missing_is_an_error() -> None:
    done = run(WITHOUT_CORE + REPORT, forced="compiled")
    assert done.returncode != 0
    assert done.stderr.endswith("ImportError: not built\n")


def test_an_unknown_choice_is_an_error_that_names_the_choices() -> None:
    done = run(REPORT, forced="fast")
    assert "EVQ_EXT_IMPLEMENTATION is 'fast'; set it to 'compiled' or 'reference'" in done.stderr
