"""Values that the organiser gives to every row, where no column of the file has them."""

from collections.abc import Mapping
from dataclasses import replace
from struct import pack
from typing import Final

from evq_ext import Batch, Column, ColumnData, RowParser, strings
from evq_server.files.columns import column_called, with_choices
from evq_server.files.refusals import FileError
from evq_server.files.source import Source

_IDENTITY: Final = "email"
_SHOWN: Final = 80  # characters of a wrong value


def given_values(
    values: Mapping[str, str], source: Source, *, region: str, ticket_types: tuple[str, ...]
) -> dict[str, str]:
    """Return the values, each for a field or an attribute, as a cell's would be; empty ones are left out.

    *region* is that of phone numbers, *ticket_types* are those that there are. Raises FileError, by name, for one that
    is wrong, and for one whose field a column holds.
    """
    wanted = {with_choices(column_called(name), ticket_types): value for name, value in values.items() if value.strip()}
    names = {column.name for column in wanted}
    if _IDENTITY in names:
        raise FileError("value_of_email")
    held = {column.name: text for text, column in zip(source.header, source.columns, strict=True) if column}
    if twice := [name for name in held if name in names]:
        raise FileError("value_twice", fields=twice, columns=[held[name] for name in twice], first=held[twice[0]])
    cleaned = {column.name: _clean(column, value, region) for column, value in wanted.items()}
    return {name: value for name, value in cleaned.items() if value}


def with_values(batch: Batch, values: Mapping[str, str]) -> Batch:
    """Give every row of the batch the values."""
    return replace(
        batch, columns=batch.columns | {name: _constant(value, batch.count) for name, value in values.items()}
    )


def _clean(column: Column, value: str, region: str) -> str:
    """Let the core judge the value as if it stood in a row."""
    parser = RowParser([Column(_IDENTITY, "email"), column], region=region)
    quoted = value.replace('"', '""')
    batches = (parser.feed(f'guest@example.org,"{quoted}"'.encode()), parser.finish())
    for batch in batches:
        if batch.count:
            return strings(batch.columns[column.name])[0]
    raise FileError("value_wrong", field=column.name, value=value[:_SHOWN])


def _constant(value: str, count: int) -> ColumnData:
    data = value.encode()
    offsets = range(0, len(data) * count + 1, len(data))
    return ColumnData(pack(f"<{count + 1}I", *offsets), data * count)
