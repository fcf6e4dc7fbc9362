"""The benchmarks work; how fast anything is, no test says."""

import json
import re
import subprocess
import sys
from dataclasses import fields
from functools import partial
from importlib.metadata import distributions, requires
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from benchmarks import environments, measuring, queue, scaling, server
from benchmarks.__main__ import SUITES
from benchmarks.measuring import Row, advantages, agree, alternate, figures, ratios
from benchmarks.programs import Program, ProgramFailed
from benchmarks.script_times import p99_of_scripts
from evq.embedded import private_redis

ROOT = Path(__file__).resolve().parent.parent
EXTRA = [requirement for requirement in requires("evq") or () if 'extra == "bench"' in requirement]
PEERS = [re.split(r"[^\w.-]", requirement)[0] for requirement in EXTRA]
INSTALLED = {distribution.name.lower() for distribution in distributions()}


def _benchmarks(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=180, check=False)


@pytest.mark.skipif(not INSTALLED.issuperset(PEERS), reason="the peers are not installed; `make bench` installs them")
def test_a_quick_run_shows_and_saves_the_figures_of_every_suite(tmp_path: Path) -> None:
    run = _benchmarks("--quick", "--peers", "none", "--json", tmp_path / "figures.json")
    assert (run.returncode, run.stderr) == (0, "")
    document = json.loads((tmp_path / "figures.json").read_bytes())
    assert document["meta"].keys() == {"machine", "versions", "commit", "date"}
    assert document["meta"]["machine"].keys() == {"system", "processor", "cpus", "memory_bytes"}
    assert len(_rows(run.stdout)) == len(document["rows"])
    assert {row["suite"] for row in document["rows"]} == set(SUITES)
    cases = {(row["suite"], row["case"]) for row in document["rows"] if row["suite"] != "scaling"}
    assert cases == {(row["suite"], row["case"]) for row in document["rows"] if row["subject"] == "evq"}
    for row in document["rows"]:
        assert row.keys() == {field.name for field in fields(Row)}
        assert row["better"] in {"higher", "lower"}
        assert 0 < row["min"] <= row["median"] <= row["max"]
        assert row["n"] >= 1


def test_one_suite_can_be_named() -> None:
    run = _benchmarks("queue", "--quick", "--peers", "none")
    assert (run.returncode, run.stderr) == (0, "")
    assert {line.split()[0] for line in _rows(run.stdout)} == {"queue"}
    cases = {line.split()[1] for line in _rows(run.stdout)}
    assert {case.partition("@")[0] for case in cases} == set(queue.CASES)
    assert {"enqueue-one@200", "enqueue-bulk@20k", "drain-1@20k", "drain-best@20k"} < cases
    assert re.match(r"# on \S+-server \d+\.\d+", run.stdout)
    assert "# evq: " in run.stdout  # how it is set up
    assert "left out" not in run.stdout


def test_the_server_is_measured_beside_the_least_that_does_the_same() -> None:
    run = _benchmarks("server", "--quick")
    assert (run.returncode, run.stderr) == (0, "")
    assert [re.split("  +", line)[1:3] for line in _rows(run.stdout)] == [
        ["upload 1.28 MB", "evq"],
        ["upload 1.28 MB", "bare-asgi"],
        ["a job's status", "evq"],
        ["a job's status", "bare-litestar"],
        ["progress at 2 clients, p50", "evq"],
        ["progress at 2 clients, p99", "evq"],
    ]


def test_progress_that_a_client_is_spared_is_seen_with_the_next() -> None:
    seen = [(0.0, 900), (1.0, 2_500), (3.0, 9_000), (3.0, 9_500)]
    assert server._ages([1_000, 3_000, 8_000], seen) == [1.5, 6.0, 1.0]


def test_scaling_says_of_every_number_of_workers_and_servers_what_a_job_costs() -> None:
    run = _benchmarks("scaling", "--quick")
    assert (run.returncode, run.stderr) == (0, "")
    cases = [re.split("  +", line)[1:3] for line in run.stdout.splitlines()]
    assert {case for case, _ in cases} == set(scaling.CASES)
    assert {subject for case, subject in cases if case.startswith("drain")} == set(scaling.DRAINS)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [name for name, peer in queue.PEERS.items() if environments.is_installed(peer.program)]
)
def test_a_peer_that_is_installed_does_all_it_can(name: str) -> None:
    (said, rows) = _measured(name)
    assert "left out" not in said
    missing = {case for case in queue.CASES if (case, name) not in rows}
    peer = queue.PEERS[name]
    able = {
        "enqueue-gather": peer.gather,
        "enqueue-bulk": peer.bulk,
        "delayed-p99": peer.delay,
        "memory-completed": peer.keeps,
        "script-one-p99": False,  # which are evq's alone
        "script-batch-p99": False,
    }
    assert missing == {case for case, can in able.items() if not can}


def _measured(name: str) -> tuple[str, set[tuple[str, str]]]:
    run = _benchmarks("queue", "--quick", "--peers", name)
    assert (run.returncode, run.stderr) == (0, "")
    words = [line.split() for line in _rows(run.stdout)]
    return run.stdout, {(case, subject) for _, case, subject, *_ in words}


def test_the_floor_at_concurrency_1_takes_a_call_for_each_job() -> None:
    command, folder = environments.command("floor")
    with private_redis() as url, Redis.from_url(url) as redis:
        with Program([*command, "produce", url, "1"], folder, {}) as producer:
            producer.hear()
            producer.ask("bulk", 200, 10.0)
        redis.config_resetstat()
        with Program([*command, "work", url, "1"], folder, {}) as worker:
            assert worker.ask("wait", 200, 10.0)["count"] >= 200
        assert redis.info("commandstats")["cmdstat_evalsha"]["calls"] >= 200


def test_the_p99_of_scripts_counts_those_that_are_too_quick_to_be_noted() -> None:
    with private_redis() as url, Redis.from_url(url) as redis:
        script = redis.register_script("for i = 1, ARGV[1] do redis.call('PING') end")

        def call(slow: int) -> None:
            for turn in range(200):
                script(args=[100_000 if turn < slow else 1])  # longer than a busy machine stops anything for

        call(1)  # which brings the script to Redis
        assert p99_of_scripts(redis, lambda: call(2)) < 10_000
        assert p99_of_scripts(redis, lambda: call(3)) > 10_000


def test_evq_alone_is_asked_to_run_behind_a_huge_backlog(monkeypatch: pytest.MonkeyPatch) -> None:
    measured: dict[str, tuple[int, ...]] = {}
    monkeypatch.setattr(queue._Run, "attempt", lambda run, _: measured.update({run._name: run._subject.backlogs}) or {})
    queue.measure(measuring.QUICK, huge=True)
    assert measured == {"evq": (10_000, 1_000_000, 5_000_000), "floor": ()}
    queue.measure(measuring.QUICK)
    assert measured["evq"] == (10_000, 1_000_000)


def test_a_backlog_stays_from_round_to_round(monkeypatch: pytest.MonkeyPatch) -> None:
    filled: list[int] = []
    ask = Program.ask

    def noting(program: Program, call: str, count: int, limit: float) -> dict[str, Any]:
        if limit == queue.FILL_LIMIT:
            filled.append(count)
        return ask(program, call, count, limit)

    monkeypatch.setattr(Program, "ask", noting)
    with private_redis() as url:
        backlog = queue._Backlog(url, queue.EVQ, measuring.QUICK, 40_000)
        backlog.rates()
        backlog.rates()
    assert sum(filled) < 60_000  # a worker runs some more than it is asked to


def test_an_unknown_peer_is_refused_with_the_names_there_are() -> None:
    run = _benchmarks("queue", "--peers", "dramatiq,sidekiq")
    assert (run.returncode, run.stdout) == (2, "")
    assert "no peer 'sidekiq'" in run.stderr
    assert "bullmq-node, dramatiq, " in run.stderr
    assert queue.chosen("none") == []
    assert queue.chosen("arq,dramatiq,arq") == ["arq", "dramatiq"]


def test_a_peer_that_cannot_be_installed_is_named_and_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(environments, "FOLDER", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert queue._installed(["bullmq-node"]) == {}
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "# bullmq-node is left out, since it cannot be installed: there is no npm"


def test_every_peer_is_pinned_by_names_and_versions_alone() -> None:
    for name, peer in queue.PEERS.items():
        assert environments.version_of(name.split("-")[0], peer.program), name
        pins = environments.pins_of(peer.program)
        if pins.suffix == ".txt":
            assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in pins.read_text().splitlines()), name


def test_a_program_that_ends_is_reported_with_its_last_words() -> None:
    command = [sys.executable, "-c", "raise SystemExit('no such thing')"]
    with Program(command, ROOT, {}) as program, pytest.raises(ProgramFailed, match="no such thing"):
        program.hear()


def _rows(out: str) -> list[str]:
    """Return the lines that are figures; the others say how these were taken."""
    return [line for line in out.splitlines() if not line.startswith("# ")]


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


def test_the_reading_that_shows_that_all_do_the_same_is_the_warm_up() -> None:
    readings: list[str] = []

    def read(name: str) -> int:
        readings.append(name)
        return 10

    measuring.compare_rates("s", "case", {name: partial(read, name) for name in "ab"}, 10, rounds=2)
    assert "".join(readings) == "ab" + "ba" + "ab"


def test_a_ratio_is_to_the_last_subject_of_the_case() -> None:
    rows = [
        *figures("s", "first", {"a": [1, 9, 2], "base": [4]}, unit="x/s", better="higher"),
        *figures("s", "second", {"a": [6], "base": [2]}, unit="ms", better="lower"),
    ]
    assert [ratio for _, ratio in ratios(rows)] == [0.5, 1, 3, 1]


def test_an_advantage_is_above_1_where_evq_is_better_whichever_way_that_is() -> None:
    rows = [
        *figures("s", "first", {"evq": [8], "a": [4]}, unit="x/s", better="higher"),
        *figures("s", "second", {"evq": [2], "a": [6]}, unit="ms", better="lower"),
    ]
    assert [ratio for _, ratio in advantages(rows)] == [1, 2, 1, 3]


def test_subjects_that_do_different_work_are_not_compared() -> None:
    agree("a case", {"all": 10, "all again": 10})
    with pytest.raises(RuntimeError, match="a case: the subjects do not do the same work"):
        agree("a case", {"all": 10, "none": 0})
