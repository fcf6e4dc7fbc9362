"""What a worker has run and still has to tell Redis."""

from dataclasses import dataclass, field

from evq.broker import Broker, Call
from evq.executor import Completed, Failed, Outcome, Retry, Snoozed
from evq.job import ReservedJob

KINDS: tuple[type, ...] = (Completed, Failed, Retry, Snoozed)


@dataclass(slots=True)
class Settled:
    """Jobs that have been run and not yet been settled in Redis."""

    outcomes: list[tuple[ReservedJob, Outcome]] = field(default_factory=list)

    def calls(self, broker: Broker, keep_ms: int) -> list[tuple[list[ReservedJob], Call]]:
        """Prepare the calls that settle them, each beside its jobs."""
        acks: list[tuple[str, int, bytes]] = []
        fails: list[tuple[str, int, bytes]] = []
        backoffs: list[tuple[str, int, int, bytes]] = []
        snoozes: list[tuple[str, int, int]] = []
        for job, outcome in self.outcomes:
            match outcome:
                case Completed(result):
                    acks.append((job.id, job.fence, result))
                case Failed(error):
                    fails.append((job.id, job.fence, error.dump()))
                case Retry(delay_ms, error):
                    backoffs.append((job.id, job.fence, delay_ms, error.dump()))
                case Snoozed():
                    snoozes.append((job.id, job.fence, 0))
        by_kind = {kind: [job for job, outcome in self.outcomes if type(outcome) is kind] for kind in KINDS}
        calls = []
        if acks:
            calls.append((by_kind[Completed], broker.ack_call(keep_ms, acks)))
        if fails:
            calls.append((by_kind[Failed], broker.fail_call(keep_ms, fails)))
        if backoffs:
            calls.append((by_kind[Retry], broker.backoff_call(keep_ms, backoffs)))
        if snoozes:
            calls.append((by_kind[Snoozed], broker.snooze_call(keep_ms, snoozes)))
        return calls
