"""The table of promises and the scenarios that hold them name each other."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "explanation" / "reliability.md").read_text()
ROWS = dict(re.findall(r"^\| F(\d+) \|(.*)$", PAGE, re.MULTILINE))


def test_every_fault_has_a_row_and_nothing_else_has() -> None:
    assert list(map(int, ROWS)) == list(range(1, 36))


def test_every_scenario_has_a_row_that_names_its_file() -> None:
    scenarios = [
        (path.name, number)
        for path in sorted(Path(__file__).parent.glob("test_*.py"))
        for number in re.findall(r"def test_f(\d+)_", path.read_text())
    ]
    assert [(name, number) for name, number in scenarios if name not in ROWS[number]] == []
    named = {(name, number) for number, row in ROWS.items() for name in re.findall(r"test_faults\w+\.py", row)}
    assert named == set(scenarios)


def test_every_other_file_that_a_row_names_is_there() -> None:
    named = {path for row in ROWS.values() for path in re.findall(r"tests/[\w/]+\.py", row)}
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []
