import csv
from collections.abc import Sequence
from pathlib import Path
from string import Formatter

import pytest

from evq_ext import Batch, Column, DuplicatePolicy, Finding, Reject, RowParser, cell_name
from evq_ext.contacts import refusals
from evq_server.files import report
from evq_server.files.messages import EMAIL_REASONS, FIELD_NAMES, TEXTS, describe
from evq_server.files.report import (
    LEFT_OUT,
    RejectLog,
    WarningLog,
    read_rejects,
    read_warned,
    write_errors_csv,
    write_warnings_csv,
)
from evq_server.files.source import Source, prepare
from evq_server.schemas import Language

FORMULA_STARTS = list("=+-@\t\r\n＝＋－＠")  # noqa: RUF001 - full width is meant
HEADER = ("이름", "이메일")
BAD_EMAIL = Finding("email", 1, "nowhere", "email_invalid", {"reason": "no_at"})
NO_NAME = Finding("name", 0, "", "name_missing", {})
TOO_MANY = Finding("", -1, "", "too_many_cells", {"cells": 3, "columns": 2})

REJECTS = [
    Reject(2, ("", "nowhere"), (NO_NAME, BAD_EMAIL)),
    Reject(7, ("Lee", "Minsu", "minsu@example.org"), (TOO_MANY,)),
]


def _written(
    path: Path, rejects: Sequence[Reject], language: Language = "en", *, of_sheet: bool = False
) -> list[list[str]]:
    write_errors_csv(path, HEADER, rejects, language=language, of_sheet=of_sheet)
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.reader(file))


def test_rejects_are_read_as_they_were_logged(tmp_path: Path) -> None:
    with RejectLog(tmp_path / "rejects") as log:
        log.append(REJECTS[:1])
        log.append(REJECTS[1:])
    assert list(read_rejects(tmp_path / "rejects")) == REJECTS


def test_the_log_counts_rows_and_reasons(tmp_path: Path) -> None:
    with RejectLog(tmp_path / "rejects") as log:
        log.append(REJECTS)
    assert log.count == 2
    assert log.reasons == {"name_missing": 1, "email_invalid": 1, "too_many_cells": 1}


def test_a_log_that_was_not_completed_does_not_appear(tmp_path: Path) -> None:
    def fail() -> None:
        with RejectLog(tmp_path / "rejects") as log:
            log.append(REJECTS)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_the_report_has_the_shape_of_the_upload_after_its_own_two_columns(tmp_path: Path) -> None:
    assert _written(tmp_path / "errors.csv", REJECTS) == [
        ["_row", "_error", "이름", "이메일"],
        [
            "2",
            "Name: The name is missing. / E-mail: This is not a valid e-mail address. It has no @.",
            "",
            "nowhere",
        ],
        [
            "7",
            "The row has 3 cells, but there are 2 columns. Put a cell that holds a comma in quotes.",
            "Lee",
            "Minsu",
            "minsu@example.org",
        ],
    ]


def test_the_report_speaks_korean(tmp_path: Path) -> None:
    (_, (_, text, *_), _) = _written(tmp_path / "errors.csv", REJECTS, "ko")
    assert text == ("이름: 이름이 비어 있습니다. / 이메일: 올바른 이메일 주소가 아닙니다. @가 없습니다.")


def test_the_report_of_a_sheet_names_the_cells(tmp_path: Path) -> None:
    (_, (_, first, *_), (_, second, *_)) = _written(tmp_path / "errors.csv", REJECTS, of_sheet=True)
    assert first.startswith("Name (A2): The name is missing. / E-mail (B2): ")
    assert second.startswith("There is something right of B7, where the headings end.")


def test_a_row_that_is_too_wide_is_told_of_quotes_in_a_text_and_of_headings_in_a_sheet(tmp_path: Path) -> None:
    remedies: dict[bool, dict[Language, str]] = {
        False: {"en": "in quotes.", "ko": "따옴표로"},
        True: {"en": "Write a heading over it", "ko": "제목을"},
    }
    for of_sheet, texts in remedies.items():
        for language, remedy in texts.items():
            _, (_, text, *_) = _written(tmp_path / "errors.csv", REJECTS[1:], language, of_sheet=of_sheet)
            assert remedy in text


@pytest.mark.parametrize(
    ("row", "place", "name"),
    [(14, 3, "D14"), (1, 0, "A1"), (2, 25, "Z2"), (3, 26, "AA3"), (1_048_576, 16_383, "XFD1048576")],
)
def test_a_cell_is_called_what_a_spreadsheet_calls_it(row: int, place: int, name: str) -> None:
    assert cell_name(row, place + 1) == name


def _warned(rows: range) -> Batch:
    parser = RowParser([Column("email", "email"), Column("phone", "phone")])
    text = "".join(f"p{row}@gmial.com,10{row + 12_340_000}\n" for row in rows)
    return parser.feed(text.encode())


@pytest.mark.parametrize(("of_sheet", "cell"), [(False, ""), (True, " (B2)")])
def test_warnings_are_listed_with_row_and_value(tmp_path: Path, of_sheet: bool, cell: str) -> None:
    with WarningLog(tmp_path / "warned") as log:
        log.append(_warned(range(2)))
    warned = read_warned(tmp_path / "warned")
    write_warnings_csv(tmp_path / "warnings.csv", warned, language="en", of_sheet=of_sheet)
    with (tmp_path / "warnings.csv").open(encoding="utf-8-sig", newline="") as file:
        header, *_, last = csv.reader(file)
    assert header == ["row", "warning", "value"]
    said = f"Phone{cell}: The number had lost its leading zero; it was saved as 010-1234-0001."
    assert last == ["2", said, "1012340001"]


@pytest.mark.parametrize(("duplicates", "left_out", "kept"), [("skip", 3, 1), ("update", 1, 3)])
def test_each_row_that_is_left_out_for_another_is_listed_among_the_warnings_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, duplicates: DuplicatePolicy, left_out: int, kept: int
) -> None:
    monkeypatch.setattr(report, "WARNED_KEPT", 1)
    parser = RowParser([Column("email", "email")], duplicates=duplicates)
    with WarningLog(tmp_path / "warned") as log:
        log.append(parser.feed(b"a@x.kr\nb@gmial.com\nA@x.kr\nc@x.kr\nC@x.kr\n"))
    assert log.counts == {"email_misspelt": 1, "duplicate_left_out": 2}
    warned = read_warned(tmp_path / "warned")
    write_warnings_csv(tmp_path / "warnings.csv", warned, language="en", of_sheet=True)
    with (tmp_path / "warnings.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.reader(file))[1:]
    assert [int(row) for row, *_ in rows] == sorted(int(row) for row, *_ in rows)
    said = f"Left out: row {kept} has the same e-mail address and counts instead."
    assert [str(left_out), said, ""] in rows
    assert len(rows) == 3


def test_warnings_beyond_the_bound_are_counted_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "WARNED_KEPT", 5)
    with WarningLog(tmp_path / "warned") as log:
        for start in (0, 4, 8):
            log.append(_warned(range(start, start + 4)))
    assert log.counts == {"email_misspelt": 12, "phone_zero_restored": 12}
    assert len(list(read_warned(tmp_path / "warned"))) == 5


def test_the_report_begins_with_a_byte_order_mark_and_leaves_no_part(tmp_path: Path) -> None:
    _written(tmp_path / "errors.csv", REJECTS)
    assert (tmp_path / "errors.csv").read_bytes().startswith(b"\xef\xbb\xbf_row,_error,")
    assert [entry.name for entry in tmp_path.iterdir()] == ["errors.csv"]


@pytest.mark.parametrize("start", FORMULA_STARTS)
def test_a_cell_that_could_be_a_formula_is_text(tmp_path: Path, start: str) -> None:
    cell = f"{start}HYPERLINK(A1)"
    error = Finding(cell, 0, "", "text_too_long", {})
    path = tmp_path / "errors.csv"
    write_errors_csv(path, (cell,), [Reject(2, (cell, f"a{cell}"), (error,))], language="en", of_sheet=False)
    with path.open(encoding="utf-8-sig", newline="") as file:
        header, (_, text, first, second) = csv.reader(file)
    assert header == ["_row", "_error", f"'{cell}"]
    assert (first, second) == (f"'{cell}", f"a{cell}")
    assert text.startswith(f"'{start}")


def _uploaded(path: Path, rows: Sequence[Sequence[str]]) -> tuple[Source, Batch]:
    """Write *rows* as a CSV file, and read it as an import does."""
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        csv.writer(file).writerows(rows)
    source = prepare(path, path.parent, on_progress=lambda _: None)
    parser = RowParser(source.columns, delimiter=source.delimiter, skip_records=source.skip_records)
    return source, parser.feed(source.path.read_bytes())


def test_a_corrected_report_gives_the_values_of_an_upload_that_was_right_at_once(tmp_path: Path) -> None:
    header = ["name", "email", "phone", "note"]
    right = [
        [f"{start}Kim", f"={number}@example.org", "+82 10-2345-6789", f"{start} 2"]
        for number, start in enumerate(FORMULA_STARTS)
    ]
    wrong = [[name, email.replace("@", " at "), phone, note] for name, email, phone, note in right]
    source, batch = _uploaded(tmp_path / "wrong.csv", [header, *wrong])
    assert (batch.count, len(batch.rejects)) == (0, len(wrong))

    path = tmp_path / "errors.csv"
    write_errors_csv(path, source.header, batch.rejects, language="en", of_sheet=False)
    with path.open(encoding="utf-8-sig", newline="") as file:
        top, *report = csv.reader(file)
    corrected = [[cell.replace(" at ", "@") for cell in row] for row in report]
    _, batch = _uploaded(tmp_path / "corrected.csv", [top, *corrected])

    _, at_once = _uploaded(tmp_path / "right.csv", [header, *right])
    assert at_once.count == len(right)
    assert (batch.columns, list(batch.rejects)) == (at_once.columns, [])


def test_a_report_that_is_uploaded_again_gives_way_to_the_next_one(tmp_path: Path) -> None:
    again = ["_row", "_error", "name", "email"]
    source, batch = _uploaded(tmp_path / "again.csv", [again, ["7", "E-mail: ...", "Kim", "kim at example.org"]])
    write_errors_csv(tmp_path / "errors.csv", source.header, batch.rejects, language="en", of_sheet=False)
    with (tmp_path / "errors.csv").open(encoding="utf-8-sig", newline="") as file:
        top, row = csv.reader(file)
    assert top == again
    assert (row[0], row[2:]) == ("2", ["Kim", "kim at example.org"])


def test_every_error_and_warning_of_the_core_has_a_text_in_both_languages() -> None:
    rows = [
        b"\xff,a@example.org,,",
        b"A,b@example.org,,,,,x",
        b"A,c@example.org,," + b"x" * 33_000,
        b",,1234,",
        b"A,g@gmial.com,1012345678,",
        b"A,h@example.org,1.01E+10,",
        b"x" * 201 + b",nowhere,," + b"x" * 2_001,
        b"A,d@example.org,,",
        b"A,d@example.org,,",
        b"A,f@example.org,,,Dog",
        b"x" * (2 << 20),
        b'"A,e@example.org',
    ]
    columns = [Column("name", "name"), Column("email", "email"), Column("phone", "phone"), Column("note", "text")]
    columns.append(Column("ticket_type", "choice", ("VIP",)))
    parser = RowParser(columns, duplicates="error")
    batches = [parser.feed(b"\n".join(rows)), parser.finish()]
    findings = [error for batch in batches for reject in batch.rejects for error in reject.errors]
    findings += [warning for batch in batches for warned in batch.warned for warning in warned.warnings]
    not_of_the_core = {"duplicate_in_event", LEFT_OUT, "cells_beyond_headings"}
    assert {finding.code for finding in findings} == TEXTS.keys() - not_of_the_core
    for finding in findings:
        for language in ("en", "ko"):
            assert "{" not in describe(finding, language)


def test_every_reason_why_an_address_is_refused_has_a_text() -> None:
    assert EMAIL_REASONS.keys() == set(refusals.REASONS)
    other = Finding("email", 1, "a@x", "email_invalid", {})
    comma = Finding("email", 1, "a@x,kr", "email_invalid", {"reason": "character", "characters": ","})
    assert describe(other, "ko") == "이메일: 올바른 이메일 주소가 아닙니다."
    assert describe(comma, "ko") == "이메일: 올바른 이메일 주소가 아닙니다. 주소에 쓸 수 없는 문자가 있습니다: ,"


@pytest.mark.parametrize("language", ["en", "ko"])
def test_a_refused_phone_number_is_told_with_its_region_and_the_remedies(language: Language) -> None:
    text = describe(Finding("phone", 2, "090-1234-5678", "phone_invalid", {"region": "KR"}), language)
    for part in ("KR", "+81 90 1234 5678", "region"):
        assert part in text


def test_both_languages_name_the_same_parameters() -> None:
    def parameters(text: str) -> set[str | None]:
        return {name for _, name, _, _ in Formatter().parse(text) if name}

    for texts in (*TEXTS.values(), *EMAIL_REASONS.values(), *FIELD_NAMES.values()):
        assert texts.keys() == {"en", "ko"}
        assert parameters(texts["en"]) == parameters(texts["ko"])
