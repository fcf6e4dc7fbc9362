"""The benchmarks work; how fast anything is, no test says."""

import json
import re
import subprocess
import sys
from dataclasses import fields
from importlib.metadata import distributions, requires
from pathlib import Path

import pytest

from benchmarks import measuring
from benchmarks.measuring import Row, agree, alternate, figures, ratios

ROOT = Path(__file__).resolve().parent.parent
EXTRA = [requirement for requirement in requires("evq") or () if 'extra == "bench"' in requirement]
PEERS = [re.split(r"[^\w.-]", requirement)[0] for requirement in EXTRA]
INSTALLED = {distribution.name.lower() for distribution in distributions()}


def _benchmarks(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=180, check=False)


@pytest.mark.skipif(not INSTALLED.issuperset(PEERS), reason="the peers are not installed; `make bench` installs them")
def test_a_quick_run_shows_and_saves_the_figures_of_every_suite(tmp_path: Path) -> None:
    run = _benchmarks("--quick", "--json", tmp_path / "figures.json")
    assert (run.returncode, run.stderr) == (0, "")
    document = json.loads((tmp_path / "figures.json").read_bytes())
    assert document["meta"].keys() == {"machine", "versions", "commit", "date"}
    assert len(run.stdout.splitlines()) == len(document["rows"])
    assert {row["suite"] for row in document["rows"]} == {"import", "pipeline", "qr", "queue"}
    for row in document["rows"]:
        assert row.keys() == {field.name for field in fields(Row)}
        assert row["better"] in {"higher", "lower"}
        assert 0 < row["min"] <= row["median"] <= row["max"]
        assert row["n"] >= 1


def test_one_suite_can_be_named() -> None:
    run = _benchmarks("queue", "--quick")  # which needs no peers
    assert (run.returncode, run.stderr) == (0, "")
    assert {line.split()[0] for line in run.stdout.splitlines()} == {"queue"}


def test_a_suite_whose_peers_are_missing_says_how_to_install_them() -> None:
    code = "import runpy, sys; sys.modules['polars'] = None; runpy.run_module('benchmarks', run_name='__main__')"
    run = subprocess.run([sys.executable, "-c", code, "import"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout) == (1, "")
    assert run.stderr.count("\n") == 1
    assert "polars is not installed" in run.stderr
    assert "make bench" in run.stderr


def test_figures_that_could_not_be_saved_are_not_measured(tmp_path: Path) -> None:
    run = _benchmarks("qr", "--quick", "--json", tmp_path / "nowhere" / "figures.json")
    assert run.returncode == 2
    assert "there is no such folder" in run.stderr
    assert run.stdout == ""


def test_subjects_take_turns_after_a_warm_up() -> None:
    runs: list[str] = []

    def subject(name: str) -> int:
        runs.append(name)
        return len(runs)

    taken = alternate({"a": lambda: subject("a"), "b": lambda: subject("b")}, rounds=2)
    assert "".join(runs) == "ab" + "ba" + "ab"
    assert taken == {"a": [4, 5], "b": [3, 6]}


def test_a_case_that_takes_too_long_begins_no_further_round(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "CASE_SECONDS", -1.0)
    assert alternate({"a": lambda: 1}, rounds=5) == {"a": [1]}


def test_a_ratio_is_to_the_last_subject_of_the_case() -> None:
    rows = [
        *figures("s", "first", {"a": [1, 9, 2], "base": [4]}, unit="x/s", better="higher"),
        *figures("s", "second", {"a": [6], "base": [2]}, unit="ms", better="lower"),
    ]
    assert [ratio for _, ratio in ratios(rows)] == [0.5, 1, 3, 1]


def test_subjects_that_do_different_work_are_not_compared() -> None:
    agree("a case", {"all": 10, "all again": 10})
    with pytest.raises(RuntimeError, match="a case: the subjects do not do the same work"):
        agree("a case", {"all": 10, "none": 0})
