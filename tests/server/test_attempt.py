"""Attempts of an import on a real database and real files; each test is one thing that can go wrong between them."""

import csv
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import anyio.to_thread
import msgspec
import pytest
import xlsxwriter

from evq import JobCancelled, JobProgress, SyncContext, ValidationError
from evq.ids import new_id
from evq.job import ReservedJob
from evq_server.files.spool import SpoolCorrupt
from evq_server.pipeline.attempt import Attempt
from evq_server.pipeline.validating import ROWS, VALIDATED
from evq_server.schemas import ImportMetadata, ImportOptions, ImportPayload, ImportResult, Language
from evq_server.settings import Settings
from evq_server.store.database import Database
from evq_server.store.events import put_event
from evq_server.store.imports import create_import, get_import, record_outcome
from evq_server.store.participants import list_participants

pytestmark = pytest.mark.anyio

CHUNK = 2
"""Rows to a transaction, so that a few rows are several of them."""

Interrupt = Callable[[JobProgress], None]


class Imports:
    """Imports of one event, run attempt by attempt."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self.settings = settings
        self.database = database
        self._fences = count(1)
        with database.begin() as conn:
            put_event(conn, "gala", name="Gala", language="en", now_ms=1)

    def upload(self, text: str, **options: Any) -> ImportPayload:
        import_id = new_id()
        path = self.settings.uploads / import_id
        path.write_text(text)
        metadata = ImportMetadata(uploaded_by=None, filename="list.csv", size=len(text), sha256="0" * 64)
        with self.database.begin() as conn:
            create_import(
                conn,
                import_id=import_id,
                event_id="gala",
                filename=metadata.filename,
                size=metadata.size,
                sha256=metadata.sha256,
                mime_type="text/csv",
                options={},
                uploaded_by=None,
                now_ms=1,
            )
        return ImportPayload(
            temp_path=str(path),
            mime_type="text/csv",
            event_id="gala",
            options=ImportOptions(**options),
            metadata=metadata,
        )

    async def attempt(self, payload: ImportPayload, interrupt: Interrupt = lambda _: None) -> ImportResult:
        """Run the next attempt; *interrupt* sees its progress and may raise."""

        async def report(progress: Any) -> None:
            interrupt(progress)

        job = ReservedJob(self.id_of(payload), "import-participants", b"{}", next(self._fences), 0, 1, None)
        attempt = Attempt(
            settings=self.settings,
            database=self.database,
            secret=b"s" * 32,
            payload=payload,
            context=SyncContext(job, report),
        )
        return await anyio.to_thread.run_sync(attempt.run)

    def id_of(self, payload: ImportPayload) -> str:
        return Path(payload.temp_path).name

    def spool(self, payload: ImportPayload) -> Path:
        return self.settings.spool / self.id_of(payload)

    def errors(self, payload: ImportPayload, name: str = "errors.csv") -> list[list[str]] | None:
        """Read the error report, or that of the warnings, without its header; None if there is none."""
        path = self.settings.artefacts / self.id_of(payload) / name
        if not path.exists():
            return None
        with path.open(encoding="utf-8-sig", newline="") as file:
            return list(csv.reader(file))[1:]

    def everybody(self) -> list[str]:
        with self.database.read() as conn:
            return [person.email for person in list_participants(conn, "gala", limit=10_000)]


@pytest.fixture
def imports(settings: Settings, database: Database, monkeypatch: pytest.MonkeyPatch) -> Imports:
    monkeypatch.setattr("evq_server.pipeline.pace.MOST", CHUNK)
    monkeypatch.setattr("evq_server.pipeline.saving.PREVIEWED", CHUNK)
    return Imports(settings, database)


def people(number: int, name: str = "p") -> str:
    return "name,email\n" + "".join(f"Kim,{name}{i}@example.org\n" for i in range(number))


def stop_at(percentage: float) -> Interrupt:
    def interrupt(progress: JobProgress) -> None:
        if progress.percentage >= percentage:
            raise JobCancelled("x")

    return interrupt


@pytest.mark.parametrize("percentage", [0, 25, 50, 75, 90, 100])
@pytest.mark.parametrize("mode", ["partial", "all-or-nothing"])
async def test_an_attempt_goes_on_where_another_was_stopped(imports: Imports, percentage: float, mode: str) -> None:
    payload = imports.upload(people(CHUNK + 1) + "Lee,p0@example.org\n", mode=mode, send_welcome_email=True)
    with pytest.raises(JobCancelled):
        await imports.attempt(payload, stop_at(percentage))
    result = await imports.attempt(payload)
    assert (result.processed_count, result.tokens, result.emails_sent) == (CHUNK + 1, CHUNK + 1, CHUNK + 1)
    assert result.skipped_count == 1
    assert len(imports.everybody()) == CHUNK + 1


async def test_an_attempt_leaves_no_working_folder_however_it_ends(imports: Imports) -> None:
    payload = imports.upload(people(3))
    with pytest.raises(JobCancelled):
        await imports.attempt(payload, stop_at(25))
    assert list(imports.spool(payload).iterdir()) == []
    await imports.attempt(payload)
    assert [path.name for path in imports.spool(payload).iterdir()] == [VALIDATED]


async def test_a_damaged_spool_is_made_anew_by_the_next_attempt(imports: Imports) -> None:
    payload = imports.upload(people(3))

    def stop(progress: JobProgress) -> None:
        if progress.current_step == "save":
            raise JobCancelled("x")

    with pytest.raises(JobCancelled):
        await imports.attempt(payload, stop)
    rows = imports.spool(payload) / VALIDATED / ROWS
    rows.write_bytes(rows.read_bytes()[:-1])
    with pytest.raises(SpoolCorrupt):
        await imports.attempt(payload)
    assert (await imports.attempt(payload)).processed_count == 3


async def test_an_attempt_takes_what_an_older_one_has_validated_meanwhile(imports: Imports) -> None:
    payload = imports.upload(people(3))
    older = imports.upload(people(3), dry_run=True)
    await imports.attempt(older)

    def overtake(progress: JobProgress) -> None:
        if progress.percentage == 25 and not (imports.spool(payload) / VALIDATED).exists():
            (imports.spool(older) / VALIDATED).rename(imports.spool(payload) / VALIDATED)

    assert (await imports.attempt(payload, overtake)).processed_count == 3


@pytest.mark.parametrize(
    ("language", "said"), [("en", "The file has a header but no rows"), ("ko", "제목 행 아래에 내용이")]
)
async def test_a_refused_file_is_told_in_the_event_s_language(imports: Imports, language: Language, said: str) -> None:
    with imports.database.begin() as conn:
        put_event(conn, "gala", name="Gala", language=language, now_ms=1)
    with pytest.raises(ValidationError, match=said) as refused:
        await imports.attempt(imports.upload(people(0)))
    assert type(refused.value) is ValidationError  # by this name clients know that another try cannot help


async def test_the_result_says_what_each_column_became_and_rows_get_the_given_values(imports: Imports) -> None:
    payload = imports.upload(people(2), mapping={"name": ""}, values={"name": "Guest", "booth": "A"})
    result = await imports.attempt(payload)
    assert [(column.header, column.field, column.score) for column in result.columns] == [
        ("name", None, 0),
        ("email", "email", 100),
    ]
    with imports.database.read() as conn:
        guests = list_participants(conn, "gala", limit=10)
    assert [(guest.name, guest.attributes) for guest in guests] == [("Guest", {"booth": "A"})] * 2


@pytest.mark.parametrize(
    ("family", "given", "name"),
    [
        ("홍", "길동", "홍길동"),
        ("佐々木", "アンナ", "佐々木アンナ"),
        ("𠮷田", "さくら", "𠮷田さくら"),
        ("남궁", "", "남궁"),
        ("Kim", "Min-su", "Min-su Kim"),
        ("García", "José", "José García"),
        ("Петров", "Иван", "Иван Петров"),
        ("Nguyễn", "Văn An", "Văn An Nguyễn"),
        ("홍", "Gil-dong", "Gil-dong 홍"),
        ("", "Zoë", "Zoë"),
    ],
)
async def test_the_family_name_stands_first_where_both_parts_are_in_hangul_kana_or_han(
    imports: Imports, family: str, given: str, name: str
) -> None:
    await imports.attempt(imports.upload(f"First Name,Last Name,email\n{given},{family},p@example.org\n"))
    with imports.database.read() as conn:
        assert [guest.name for guest in list_participants(conn, "gala", limit=10)] == [name]


@pytest.mark.parametrize(
    ("text", "values", "nameless"),
    [
        ("email\np@example.org\n", {}, True),
        ("email\np@example.org\n", {"name": "Guest"}, False),
        ("email,First name\np@example.org,José\n", {}, False),
    ],
)
async def test_the_result_says_that_participants_have_no_name(
    imports: Imports, text: str, values: dict[str, str], nameless: bool
) -> None:
    assert (await imports.attempt(imports.upload(text, values=values))).nameless is nameless


async def test_the_result_names_the_sheets_that_were_not_read(imports: Imports) -> None:
    payload = imports.upload("")
    with xlsxwriter.Workbook(payload.temp_path) as workbook:
        for name in ("list", "old", "more"):
            workbook.add_worksheet(name).write_column(0, 0, ["email", "a@example.org"])
        workbook.get_worksheet_by_name("old").hide()
    result = await imports.attempt(payload)
    assert (result.sheet, result.hidden_sheets, result.other_sheets) == ("list", ["old"], ["more"])


async def test_a_report_is_void_when_a_later_attempt_has_nothing_to_report(imports: Imports) -> None:
    await imports.attempt(imports.upload(people(1)))
    payload = imports.upload(people(2), mode="all-or-nothing", duplicates="error")
    with pytest.raises(ValidationError, match="1 rows have errors"):
        await imports.attempt(payload)
    assert [row[2:] for row in imports.errors(payload) or []] == [["Kim", "p0@example.org"]]
    with imports.database.begin() as conn:
        conn.exec_driver_sql("DELETE FROM tickets")
        conn.exec_driver_sql("DELETE FROM participants")
    assert (await imports.attempt(payload)).processed_count == 2
    assert imports.errors(payload) is None


async def test_warnings_are_counted_and_reported_and_their_rows_saved(imports: Imports) -> None:
    payload = imports.upload("name,email,phone\nKim,kim@gmial.com,1012345678\nLee,lee@naver.con,\nPark,x,1012345678\n")
    result = await imports.attempt(payload)
    assert (result.processed_count, result.error_count) == (2, 1)
    assert result.warnings == {"email_misspelt": 2, "phone_zero_restored": 1}
    assert [(row, value) for row, _, value in imports.errors(payload, "warnings.csv") or []] == [
        ("2", "kim@gmial.com"),
        ("2", "1012345678"),
        ("3", "lee@naver.con"),
    ]


@pytest.mark.parametrize(("duplicates", "left_out"), [("skip", ["3", "5"]), ("update", ["2", "3"])])
async def test_rows_left_out_for_another_are_reported_however_often_the_attempt_was_stopped(
    imports: Imports, duplicates: str, left_out: list[str]
) -> None:
    text = "name,email\nKim,a@example.org\nLee,A@example.org\nPark,b@example.org\nChoi,a@example.org\n"
    payload = imports.upload(text, duplicates=duplicates)
    for percentage in (25, 50):
        with pytest.raises(JobCancelled):
            await imports.attempt(payload, stop_at(percentage))
    result = await imports.attempt(payload)
    assert (result.processed_count, result.skipped_count) == (2, 2)
    assert result.warnings == {"duplicate_left_out": 2}
    assert [row for row, *_ in imports.errors(payload, "warnings.csv") or []] == left_out


async def test_without_warnings_there_is_no_report_of_them(imports: Imports) -> None:
    payload = imports.upload(people(2))
    assert (await imports.attempt(payload)).warnings == {}
    assert imports.errors(payload, "warnings.csv") is None


async def test_phone_numbers_are_those_of_the_region_that_was_chosen(imports: Imports) -> None:
    text = "name,email,phone\nKim,kim@example.org,(650) 253-0000\n"
    assert (await imports.attempt(imports.upload(text, region="US"))).error_count == 0
    assert (await imports.attempt(imports.upload(text))).reasons == {"phone_invalid": 1}


async def test_a_ticket_type_is_one_of_those_that_were_given(imports: Imports) -> None:
    text = "name,email,ticket\nKim,kim@example.org,vip\nLee,lee@example.org,Gold\nPark,park@example.org,\n"
    payload = imports.upload(text, ticket_types=("VIP", "일반"))
    result = await imports.attempt(payload)
    assert (result.processed_count, result.reasons) == (2, {"not_a_choice": 1})
    assert [row[1] for row in imports.errors(payload) or []] == [
        "Ticket type: This is none of the choices; write one of: VIP, 일반"
    ]
    assert (await imports.attempt(imports.upload(text))).error_count == 0


@pytest.mark.parametrize("options", [{}, {"dry_run": True}])
async def test_rows_that_the_event_refuses_are_reported_among_the_others_in_order(
    imports: Imports, options: dict[str, Any]
) -> None:
    await imports.attempt(imports.upload(people(CHUNK + 2)))
    rows = "".join(f"김,{i},q{i}@example.org,x{i}\n" for i in range(CHUNK))
    text = f"성,이름,email,secret\n김,영희,p1@example.org,a\n이,철수,nowhere,b\n{rows}박,민수,p0@example.org,c\n"
    payload = imports.upload(text, duplicates="error", mapping={"secret": ""}, **options)
    result = await imports.attempt(payload)
    assert (result.processed_count, result.error_count) == (CHUNK, 3)
    assert result.reasons == {"email_invalid": 1, "duplicate_in_event": 2}
    report = imports.errors(payload) or []
    assert [(row[0], *row[2:5]) for row in report] == [
        ("2", "김", "영희", "p1@example.org"),
        ("3", "이", "철수", "nowhere"),
        (str(CHUNK + 4), "박", "민수", "p0@example.org"),
    ]


async def test_what_has_completed_is_not_run_again_though_the_queue_forgot_that(
    imports: Imports, database: Database
) -> None:
    payload = imports.upload(people(2))
    result = await imports.attempt(payload)
    with database.begin() as conn:
        record_outcome(conn, imports.id_of(payload), 1, "completed", msgspec.to_builtins(result), now_ms=2)
    Path(payload.temp_path).unlink()
    assert await imports.attempt(payload) == result
    with database.read() as conn:
        row = get_import(conn, imports.id_of(payload))
    assert row
    assert row.status == "completed"
