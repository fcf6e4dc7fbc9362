"""A queue's program, as the suite runs it: a process that is asked, answers in time, and is ended."""

import json
import os
import select
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, Self, cast

SLACK: Final = 20.0
"""How long an answer may take beyond the limit of what was asked, s: a start and one portion."""
LEAVE: Final = 2.0
"""How long a program may take to end when it is asked nothing more, s."""


class ProgramFailed(Exception):  # noqa: N818 - it says what is the matter
    """A program ended or did not answer in time; the message has its last words."""


class Program:
    """A producer or a worker, for as long as the block runs."""

    def __init__(self, command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - it is closed at the end of the block
        self._process = subprocess.Popen(
            command,
            cwd=folder,
            env=os.environ | environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            bufsize=0,
        )
        self._questions = cast("IO[bytes]", self._process.stdin)
        self._answers = cast("IO[bytes]", self._process.stdout)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._questions.close()
        try:
            self._process.wait(LEAVE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._answers.close()
        self._errors.close()

    def ask(self, call: str, count: int, limit: float) -> dict[str, Any]:
        """Let the program do something for at most *limit* s; raise ProgramFailed if it does not answer."""
        self._tell(call, count, limit)
        return self.hear(limit)

    def _tell(self, call: str, count: int, limit: float) -> None:
        question = json.dumps({"call": call, "count": count, "limit": limit})
        try:
            self._questions.write(f"{question}\n".encode())
        except BrokenPipeError as error:
            raise self._failure() from error

    def hear(self, limit: float = 0.0) -> dict[str, Any]:
        """Wait for an answer."""
        ready, _, _ = select.select([self._answers], [], [], limit + SLACK)
        line = self._answers.readline() if ready else b""
        if not line:
            raise self._failure()
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _failure(self) -> ProgramFailed:
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return ProgramFailed(lines[-1] if lines else "it did not answer in time")
