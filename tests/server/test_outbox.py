from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from evq.errors import LeaseLost
from evq_server.store.database import Database
from evq_server.store.outbox import (
    NewMail,
    QueuedMail,
    Settled,
    State,
    abandon_deliveries,
    begin_delivery,
    claim,
    counts,
    drop_queued,
    queue_mail,
    settle,
)

if TYPE_CHECKING:
    from tests.server.conftest import StartImport


def welcome(number: int, import_id: str = "A") -> NewMail:
    return NewMail(kind="welcome", subject_key=str(number), import_id=import_id, recipient=f"guest{number}@example.org")


class Outbox:
    """The outbox of one database, one transaction to a call."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def queue(self, *mails: NewMail) -> int:
        with self.database.begin() as conn:
            return queue_mail(conn, mails, now_ms=7)

    def begin(self, delivery_id: str, fence: int, *, repeatable: bool = False) -> int:
        with self.database.begin() as conn:
            return begin_delivery(conn, delivery_id, fence, repeatable=repeatable)

    def claim(
        self, delivery_id: str, fence: int = 1, *, import_id: str = "A", after_id: int = 0, limit: int = 10
    ) -> list[QueuedMail]:
        with self.database.begin() as conn:
            return claim(conn, delivery_id, fence, import_id=import_id, after_id=after_id, limit=limit)

    def settle(self, delivery_id: str, fence: int, *outcomes: Settled) -> None:
        with self.database.begin() as conn:
            settle(conn, delivery_id, fence, outcomes, now_ms=9)

    def counts(self, import_id: str = "A") -> dict[State, int]:
        with self.database.read() as conn:
            return counts(conn, import_id)


@pytest.fixture
def outbox(database: Database, start_import: "StartImport") -> Iterator[Outbox]:
    start_import("A")
    start_import("B")
    yield Outbox(database)


def test_a_mail_is_queued_once_by_kind_and_subject(outbox: Outbox) -> None:
    notice = NewMail(kind="import-completed", subject_key="1", import_id="A", recipient="organiser@example.org")
    assert outbox.queue(welcome(1), welcome(2)) == 2
    assert outbox.queue(welcome(1), welcome(3), notice) == 2
    assert outbox.queue(welcome(1, "B")) == 0
    assert outbox.queue() == 0
    assert outbox.counts() == {"queued": 4}
    assert outbox.counts("B") == {}


def test_a_claimed_mail_is_nobody_elses(outbox: Outbox) -> None:
    outbox.queue(*map(welcome, range(3)))
    outbox.begin("d1", 1)
    outbox.begin("d2", 1)
    first = outbox.claim("d1", limit=2)
    second = outbox.claim("d2")
    assert [mail.subject_key for mail in first] == ["0", "1"]
    assert [mail.subject_key for mail in second] == ["2"]
    assert outbox.claim("d1") == []
    assert outbox.counts() == {"sending": 3}


def test_a_claim_takes_one_imports_mails(outbox: Outbox) -> None:
    outbox.queue(welcome(1), welcome(2, "B"), welcome(3))
    outbox.begin("d1", 1)
    assert [mail.subject_key for mail in outbox.claim("d1", import_id="B")] == ["2"]
    assert [mail.subject_key for mail in outbox.claim("d1", import_id="A")] == ["1", "3"]


def test_a_mail_that_was_put_off_is_not_claimed_again_behind_it(outbox: Outbox) -> None:
    outbox.queue(*map(welcome, range(2)))
    outbox.begin("d1", 1)
    (mail,) = outbox.claim("d1", limit=1)
    outbox.settle("d1", 1, Settled(id=mail.id, state="queued", error="451"))
    assert [it.subject_key for it in outbox.claim("d1", after_id=mail.id)] == ["1"]
    (again,) = outbox.claim("d1")
    assert (again.subject_key, again.attempts) == ("0", 2)


def test_what_became_of_a_mail_is_counted(outbox: Outbox) -> None:
    outbox.queue(*map(welcome, range(4)))
    outbox.begin("d1", 1)
    sent, failed, unsure, put_off = outbox.claim("d1")
    outbox.settle(
        "d1",
        1,
        Settled(id=sent.id, state="sent"),
        Settled(id=failed.id, state="failed", error="550"),
        Settled(id=unsure.id, state="unsure"),
        Settled(id=put_off.id, state="queued"),
    )
    assert outbox.counts() == {"sent": 1, "failed": 1, "unsure": 1, "queued": 1}


def test_after_a_crash_what_was_being_sent_is_unsure(outbox: Outbox) -> None:
    outbox.queue(*map(welcome, range(3)))
    outbox.begin("d1", 1)
    outbox.claim("d1", limit=2)
    assert outbox.begin("d1", 2) == 2
    assert outbox.counts() == {"unsure": 2, "queued": 1}
    assert [mail.subject_key for mail in outbox.claim("d1", 2)] == ["2"]


def test_after_a_crash_what_may_be_repeated_is_queued_again(outbox: Outbox) -> None:
    outbox.queue(*map(welcome, range(2)))
    outbox.begin("d1", 1)
    outbox.claim("d1")
    assert outbox.begin("d1", 2, repeatable=True) == 2
    assert outbox.counts() == {"queued": 2}


def test_a_crash_concerns_no_other_delivery(outbox: Outbox) -> None:
    outbox.queue(*map(welcome, range(2)))
    outbox.begin("d1", 1)
    outbox.begin("d2", 1)
    outbox.claim("d1", limit=1)
    outbox.claim("d2", limit=1)
    assert outbox.begin("d1", 2) == 1
    assert outbox.counts() == {"unsure": 1, "sending": 1}


def test_beginning_the_same_attempt_again_takes_nothing_from_it(outbox: Outbox) -> None:
    outbox.queue(welcome(1))
    outbox.begin("d1", 1)
    outbox.claim("d1")
    assert outbox.begin("d1", 1) == 0
    assert outbox.counts() == {"sending": 1}


def test_a_stale_attempt_claims_nothing(outbox: Outbox) -> None:
    outbox.queue(welcome(1))
    outbox.begin("d1", 2)
    with pytest.raises(LeaseLost):
        outbox.claim("d1", 1)
    with pytest.raises(LeaseLost):
        outbox.begin("d1", 1)
    assert outbox.counts() == {"queued": 1}


def test_whoever_sent_an_unsure_mail_after_all_knows_better(outbox: Outbox) -> None:
    outbox.queue(welcome(1))
    outbox.begin("d1", 1)
    (mail,) = outbox.claim("d1")
    outbox.begin("d1", 2)
    outbox.settle("d1", 1, Settled(id=mail.id, state="sent"))
    assert outbox.counts() == {"sent": 1}


def test_only_its_claimer_settles_a_mail(outbox: Outbox) -> None:
    outbox.queue(welcome(1))
    outbox.begin("d1", 1)
    outbox.begin("d2", 1)
    (mail,) = outbox.claim("d1")
    outbox.settle("d2", 1, Settled(id=mail.id, state="failed"))
    outbox.settle("d1", 2, Settled(id=mail.id, state="failed"))
    assert outbox.counts() == {"sending": 1}


def test_an_abandoned_delivery_leaves_nothing_in_sending(outbox: Outbox) -> None:
    outbox.queue(welcome(1))
    outbox.begin("d1", 3)
    outbox.claim("d1", 3)
    with outbox.database.begin() as conn:
        assert abandon_deliveries(conn, "A", repeatable=False) == 1
    assert outbox.counts() == {"unsure": 1}


def test_a_cancelled_imports_waiting_welcome_mails_are_dropped(outbox: Outbox) -> None:
    notice = NewMail(kind="import-cancelled", subject_key="A", import_id="A", recipient="organiser@example.org")
    outbox.queue(welcome(1), welcome(2), welcome(3, "B"), notice)
    outbox.begin("d1", 1)
    outbox.claim("d1", limit=1)
    with outbox.database.begin() as conn:
        assert drop_queued(conn, "A") == 1
    assert outbox.counts() == {"sending": 1, "queued": 1}
    assert outbox.counts("B") == {"queued": 1}
