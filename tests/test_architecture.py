"""The floors of the house hold."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in (ROOT / "evq").rglob("*.py")
    if path.name != "__main__.py"
)
LIMIT = 400
"""The longest file of the framework, lines: a smell test."""


def imports_of(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return {name.partition(".")[0] for name in found}


def test_the_import_contracts_hold() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_only_the_wire_and_the_embedded_server_know_redis() -> None:
    using = {path.stem for path in (ROOT / "evq").rglob("*.py") if imports_of(path) & {"redis", "hiredis"}}
    assert using == {"embedded", "wire"}


def test_only_the_command_line_knows_click() -> None:
    using = {path.parent.name for path in (ROOT / "evq").rglob("*.py") if imports_of(path) & {"click", "rich"}}
    assert using == {"cli"}


def test_nothing_is_ever_unpickled() -> None:
    assert not [path for path in (ROOT / "evq").rglob("*.py") if imports_of(path) & {"pickle", "marshal", "shelve"}]


def test_files_of_the_framework_are_short() -> None:
    assert not [path for path in (ROOT / "evq").rglob("*.py") if len(path.read_text().splitlines()) > LIMIT]


@pytest.mark.parametrize("module", MODULES)
def test_each_module_can_be_imported_first(module: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", f"import {module}"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
