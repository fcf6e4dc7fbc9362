"""What `evq import` says of how an import ended, and its exit code."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from evq_server.commands.cli import import_file
from evq_server.commands.client import Client


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Import a file into a server on which the job ends with this event and result."""

    def run(event: str, result: dict[str, Any] | None) -> Result:
        async def upload(*_: object) -> str:
            return "job"

        async def follow(*_: object) -> AsyncIterator[dict[str, Any]]:
            yield {"event": event, "data": {"progress": None, "result": result, "error": None}}

        monkeypatch.setattr(Client, "upload", upload)
        monkeypatch.setattr(Client, "follow", follow)
        monkeypatch.setenv("EVQ_API_KEY", "k" * 32)
        file = tmp_path / "list.csv"
        file.write_text("email")
        return CliRunner().invoke(import_file, [str(file), "--event", "gala"])

    return run


def counts(processed: int, errors: int, skipped: int) -> dict[str, int]:
    return {"processedCount": processed, "errorCount": errors, "skippedCount": skipped}


def test_an_import_of_nobody_is_told_on_standard_error_and_exits_with_1(run: Any) -> None:
    done = run("completed", counts(0, 1_200, 0))
    assert (done.exit_code, done.stderr) == (1, "evq: Nobody was imported; every row has errors (1,200).\n")


@pytest.mark.parametrize("result", [counts(1, 5, 0), counts(0, 5, 2), counts(0, 0, 2)])
def test_an_import_whose_people_are_in_the_event_afterwards_exits_with_0(run: Any, result: dict[str, int]) -> None:
    done = run("completed", result)
    assert (done.exit_code, done.stderr) == (0, "")


@pytest.mark.parametrize("event", ["failed", "cancelled"])
def test_an_import_that_was_not_completed_exits_with_1(run: Any, event: str) -> None:
    assert run(event, None).exit_code == 1
