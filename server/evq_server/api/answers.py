"""What is told of an import: its row says what was uploaded, its job how far it is.

The queue forgets a job some time after its end; the row keeps the outcome, so the answer stays the same.
"""

from datetime import UTC, datetime
from typing import Any

import msgspec
from litestar.exceptions import NotFoundException
from sqlalchemy import Connection

from evq import Job, JobStatus
from evq_server.hub import Message
from evq_server.pipeline.steps import MILESTONES, STEPS
from evq_server.schemas import FinalData, Frame, FrameEvent, JobAnswer, JobFault, Links, Status
from evq_server.store import imports

WAITING: dict[str, Any] = {
    "percentage": 0,
    "currentStep": "waiting",
    "totalSteps": len(STEPS),
    "completedSteps": 0,
    "estimatedTimeRemaining": None,
}


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How an import stands."""

    status: Status
    seq: int = 0
    progress: dict[str, Any] | None = None
    result: Any = None
    error: JobFault | None = None

    @property
    def event(self) -> FrameEvent:
        """What a frame that shows this is called."""
        match self.status:
            case "pending" | "processing":
                return "progress"
            case ended:
                return ended

    @property
    def ended(self) -> bool:
        return self.event != "progress"


def require_import(conn: Connection, job_id: str) -> imports.Import:
    """Return the import's row, or raise a 404."""
    row = imports.get_import(conn, job_id)
    if row is None:
        raise NotFoundException(f"There is no import {job_id!r}. Its id is in the answer to its upload.")
    return row


def live(job: Job) -> Standing:
    """Tell how an import stands from its job."""
    record = job.record
    failed = job.status is JobStatus.FAILED and record.error  # a job between two attempts has an error as well
    return Standing(
        status=job.status.value,
        seq=record.seq,
        progress=record.progress.to_wire() if record.progress else None if job.status.ended else WAITING,
        result=record.result,
        error=JobFault(type=failed.type, message=failed.message) if failed else None,
    )


def recorded(row: imports.Import) -> Standing:
    """Tell how an import stands from its row, when the queue has forgotten the job or has not heard of it yet."""
    match row.status:
        case "completed":
            return Standing(status="completed", result=row.outcome)
        case "failed":
            return Standing(status="failed", error=msgspec.convert(row.outcome, JobFault))
        case "cancelled":
            return Standing(status="cancelled")
        case _:
            return Standing(status="pending", progress=WAITING)


def links(job_id: str, event_id: str) -> Links:
    """Return where everything of an import is found."""
    job = f"/api/jobs/{job_id}"
    return Links(
        self=job,
        progress=f"{job}/progress",
        errors=f"{job}/errors.csv",
        warnings=f"{job}/warnings.csv",
        qr=f"{job}/qr.zip",
        participants=f"/api/events/{event_id}/participants",
    )


def job_answer(row: imports.Import, now: Standing) -> JobAnswer:
    """Make the answer of `GET /api/jobs/{id}`."""
    return JobAnswer(
        job_id=row.id,
        event_id=row.event_id,
        status=now.status,
        progress=now.progress,
        result=now.result,
        error=now.error,
        filename=row.filename,
        created_at=datetime.fromtimestamp(row.created_ms / 1000, UTC).isoformat(timespec="milliseconds"),
        links=links(row.id, row.event_id),
    )


def message(job_id: str, now: Standing) -> Message:
    """Make the WebSocket message that shows how an import stands."""
    progress = now.progress or WAITING
    frame = Frame(
        event=now.event,
        job=job_id,
        seq=now.seq,
        status=now.status,
        data=FinalData(progress=now.progress, result=now.result, error=now.error) if now.ended else progress,
    )
    return Message(
        seq=now.seq,
        milestone=progress["percentage"] if progress["percentage"] in MILESTONES else None,
        final=now.ended,
        text=msgspec.json.encode(frame).decode(),
    )
