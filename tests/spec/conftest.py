"""The whole, as an operator runs it: `evq serve` with its workers, on a real Redis, with a real SMTP server."""

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from evq import Queue
from evq.embedded import private_redis
from evq_server.commands.client import Client

KEEP_FAILED = 3
"""How long the upload of a failed import is kept here, s."""


@dataclass(frozen=True, kw_only=True)
class Served:
    url: str
    key: str
    redis: str
    data: Path
    letters: list[EmailMessage]

    def letters_to(self, recipient: str) -> list[EmailMessage]:
        return [letter for letter in self.letters if letter["To"] == recipient]


class _Letters:
    """What aiosmtpd calls with each letter."""

    def __init__(self) -> None:
        self.received: list[EmailMessage] = []

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - its name
        self.received.append(message_from_bytes(envelope.content, policy=policy.default))  # type: ignore[arg-type]
        return "250 OK"


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    data = tmp_path_factory.mktemp("served")
    handler = _Letters()
    with socket.create_server(("127.0.0.1", 0)) as probe:
        smtp_port = probe.getsockname()[1]
    smtp = Controller(handler, hostname="127.0.0.1", port=smtp_port)
    smtp.start()
    with private_redis(data) as redis:
        environ = os.environ | {
            "EVQ_DATA": str(data),
            "EVQ_REDIS_URL": redis,
            "EVQ_LEASE_SECONDS": "2",
            "EVQ_KEEP_FAILED_SECONDS": str(KEEP_FAILED),
            "EVQ_SMTP_URL": f"smtp://127.0.0.1:{smtp_port}",
            "EVQ_PUBLIC_URL": "https://tickets.example.org",
        }
        log = data / "serve.log"
        with log.open("w") as out:
            command = [sys.executable, "-m", "evq", "serve", "--port", "0", "--workers", "2"]
            process = subprocess.Popen(command, env=environ, stderr=out, stdout=out)
        try:
            url, key = _address(process, log)
            yield Served(url=url, key=key, redis=redis, data=data, letters=handler.received)
        finally:
            process.terminate()
            assert process.wait(30) == 0, log.read_text()[-2000:]
    smtp.stop()


def _address(process: subprocess.Popen[bytes], log: Path) -> tuple[str, str]:
    for _ in range(600):
        if match := re.search(r"evq serves (\S+)/#key=(\S+)", log.read_text()):
            return match[1], match[2]
        assert process.poll() is None, log.read_text()[-2000:]
        time.sleep(0.05)
    raise AssertionError(log.read_text()[-2000:])


@pytest.fixture
async def client(served: Served) -> AsyncIterator[Client]:
    async with Client(served.url, served.key) as client:
        await client.put_event("spec", "Spec", "en")
        yield client


@pytest.fixture
async def served_queue(served: Served) -> AsyncIterator[Queue]:
    async with Queue("file-processing", redis=served.redis) as queue:
        yield queue
