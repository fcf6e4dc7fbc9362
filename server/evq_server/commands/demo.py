"""`evq demo`: the whole, once, on this machine, with a sample of which the truth is known."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import as_file, files
from typing import Any, Final
from zipfile import ZipFile

import anyio
import msgspec
from anyio.to_thread import run_sync
from rich.console import Console

from evq_server.commands.client import Client
from evq_server.commands.show import show_progress
from evq_server.files.messages import TEXTS
from evq_server.pipeline.qr_archive import INDEX
from evq_server.settings import Settings
from evq_server.stack import Stack
from evq_server.store.database import Database, open_database
from evq_server.store.outbox import counts

SAMPLE: Final = files("evq_server") / "sample"
UPLOADER: Final = "organiser@example.org"
MAIL_PATIENCE: Final = 60.0
"""How long the last mails may take after the import has ended, s."""
COMMON: Final = 5
"""Reasons shown."""


class Truth(msgspec.Struct, frozen=True):
    """What is in the sample."""

    rows: int
    valid: int
    rejected: int
    duplicates: int
    reasons: dict[str, int]
    emails_sha256: str


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of the sample."""

    event_id: str
    job_id: str
    status: str
    result: dict[str, Any]
    emails: Sequence[str]
    qr_codes: int
    mails: dict[str, int]


async def run_demo(settings: Settings, stack: Stack, console: Console) -> list[str]:
    """Import the sample into a new event, show it, and return what is not as expected."""
    truth = msgspec.json.decode((SAMPLE / "truth.json").read_bytes(), type=Truth)
    event_id = f"demo-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    async with Client(stack.url, stack.key) as client:
        await client.put_event(event_id, "evq 데모 컨퍼런스", "ko")
        with as_file(SAMPLE / "participants.xlsx") as sample:
            options = {"uploadedBy": UPLOADER, "sendWelcomeEmail": "true"}
            job_id = await client.upload(event_id, sample, options)
        console.print(f"uploaded {sample.name} ({truth.rows} rows) into the event {event_id}", highlight=False)
        await show_progress(console, client.follow(job_id))
        console.print("delivering the mails ...")
        outcome = await _outcome(settings, client, event_id, job_id)
    _show(console, settings, stack, outcome)
    return _differences(truth, outcome)


async def _outcome(settings: Settings, client: Client, event_id: str, job_id: str) -> Outcome:
    job = await client.job(job_id)
    archive = settings.artefacts / job_id / "qr.zip"
    database = open_database(settings.database_url)
    try:
        return Outcome(
            event_id=event_id,
            job_id=job_id,
            status=job["status"],
            result=job["result"] or {},
            emails=[item["email"] async for item in client.participants(event_id)],
            qr_codes=len(set(ZipFile(archive).namelist()) - {INDEX}) if archive.exists() else 0,
            mails=await _mails(database, job_id),
        )
    finally:
        database.close()


async def _mails(database: Database, job_id: str) -> dict[str, int]:
    """Wait until the import's mails have been delivered, and count them by state."""

    def read() -> dict[str, int]:
        with database.read() as conn:
            return {str(state): number for state, number in counts(conn, job_id).items()}

    found: dict[str, int] = {}
    with anyio.move_on_after(MAIL_PATIENCE):
        while not found or found.get("queued") or found.get("sending"):
            await anyio.sleep(0.1)
            found = await run_sync(read)
    return found


def _show(console: Console, settings: Settings, stack: Stack, outcome: Outcome) -> None:
    result, folder = outcome.result, settings.artefacts / outcome.job_id
    reasons = sorted(result.get("reasons", {}).items(), key=lambda item: -item[1])[:COMMON]
    lines = [
        ("status", outcome.status),
        ("processed", result.get("processedCount")),
        ("rejected", result.get("errorCount")),
        *(("", f"{number:4}  {TEXTS[code]['en'].partition(':')[0].rstrip('.')}") for code, number in reasons),
        ("duplicates skipped", result.get("skippedCount")),
        ("warnings", sum(result.get("warnings", {}).values())),
        ("tokens", result.get("tokens")),
        ("mails", ", ".join(f"{number} {state}" for state, number in sorted(outcome.mails.items()))),
        ("error file", folder / "errors.csv"),
        ("warnings file", folder / "warnings.csv"),
        ("QR archive", folder / "qr.zip"),
        ("mail folder", "(sent by SMTP)" if settings.smtp_url else settings.maildir),
        ("page", f"{stack.url}/#key={stack.key}&event={outcome.event_id}&job={outcome.job_id}"),
    ]
    for name, value in lines:
        console.print(f"{name:20}{value}", highlight=False, markup=False, soft_wrap=True)


def _differences(truth: Truth, outcome: Outcome) -> list[str]:
    """Compare the outcome with the sample's truth."""
    result = outcome.result
    expected: dict[str, tuple[Any, Any]] = {
        "status": ("completed", outcome.status),
        "processedCount": (truth.valid, result.get("processedCount")),
        "errorCount": (truth.rejected, result.get("errorCount")),
        "skippedCount": (truth.duplicates, result.get("skippedCount")),
        "reasons": (truth.reasons, result.get("reasons")),
        "tokens": (truth.valid, result.get("tokens")),
        "emailsSent": (truth.valid, result.get("emailsSent")),
        "participants": (truth.valid, len(outcome.emails)),
        "participants' e-mails": (truth.emails_sha256, _digest(outcome.emails)),
        "QR codes": (truth.valid, outcome.qr_codes),
        "mails": ({"sent": truth.valid + 1}, outcome.mails),
    }
    return [f"{name}: expected {want}, got {got}" for name, (want, got) in expected.items() if want != got]


def _digest(emails: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(sorted(emails)).encode()).hexdigest()
