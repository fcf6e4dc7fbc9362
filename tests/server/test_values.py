"""What the organiser gives to every row is judged like a cell, and is refused where the file says it too."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from evq_ext import Column, RowParser, strings
from evq_server.files.refusals import FileError
from evq_server.files.source import prepare
from evq_server.files.values import given_values, with_values


def columns_of(
    tmp_path: Path, values: Mapping[str, str], mapping: Mapping[str, str] | None = None
) -> dict[str, list[str]]:
    """Read a list of two people, each of whom gets the values."""
    upload = tmp_path / "upload"
    upload.write_bytes("name,email,구분\nKim,a@example.org,일반\nLee,b@example.org,\n".encode())
    source = prepare(upload, tmp_path, mapping=mapping, on_progress=lambda _: None)
    given = given_values(values, source, region="KR", ticket_types=("VIP", "일반"))
    parser = RowParser(source.columns, skip_records=source.skip_records)
    batch = with_values(parser.feed(upload.read_bytes()), given)
    return {name: strings(column) for name, column in batch.columns.items()}


def test_every_row_gets_the_value_clean(tmp_path: Path) -> None:
    columns = columns_of(tmp_path, {"phone": " 010-1234-5678", "부스": ' "A",\n B ', "note": " "})
    assert columns["phone"] == ["+821012345678"] * 2
    assert columns["부스"] == ['"A", B'] * 2
    assert columns.keys() == {"name", "email", "ticket_type", "phone", "부스"}


def test_a_value_whose_field_a_column_holds_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r'gives "ticket_type", but the file has columns for that: "구분".*"구분": ""'):
        columns_of(tmp_path, {"ticket_type": "VIP"})


def test_a_value_stands_where_its_column_is_left_out(tmp_path: Path) -> None:
    assert columns_of(tmp_path, {"ticket_type": "VIP"}, mapping={"구분": ""})["ticket_type"] == ["VIP", "VIP"]


def test_a_value_that_no_cell_could_have_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(FileError, match='gives for "phone" is not valid: "12"'):
        columns_of(tmp_path, {"phone": "12"})
    with pytest.raises(FileError, match='gives for "ticket_type" is not valid: "Gold"'):
        columns_of(tmp_path, {"ticket_type": "Gold"}, mapping={"구분": ""})
    with pytest.raises(FileError, match='gives for "note" is not valid'):
        columns_of(tmp_path, {"note": "x" * 5_000})


def test_the_e_mail_address_cannot_be_given(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="cannot give the e-mail address"):
        columns_of(tmp_path, {" email": "a@example.org"})


def test_a_batch_without_rows_has_the_column_as_well() -> None:
    batch = with_values(RowParser([Column("email", "email")]).finish(), {"x": "y"})
    assert strings(batch.columns["x"]) == []
