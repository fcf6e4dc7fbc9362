from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evq_ext import Batch, Column, ColumnData, RowParser
from evq_server.files.spool import Chunk, SpoolCorrupt, SpoolReader, SpoolWriter

COLUMNS = [Column("name", "name"), Column("email", "email"), Column("note", "text")]
NAMES = [column.name for column in COLUMNS]


def _packed(numbers: Sequence[int]) -> bytes:
    return b"".join(number.to_bytes(4, "little") for number in numbers)


def _batch(rows: Sequence[tuple[str, ...]], *, first_row: int = 1) -> Batch:
    columns = {}
    for place, name in enumerate(NAMES):
        values = [row[place].encode() for row in rows]
        ends = [sum(map(len, values[:count])) for count in range(len(values) + 1)]
        columns[name] = ColumnData(_packed(ends), b"".join(values))
    return Batch(
        count=len(rows),
        rows=_packed(range(first_row, first_row + len(rows))),
        columns=columns,
        rejects=(),
        warned=(),
        warnings={},
        duplicates=(),
        consumed=0,
    )


def _people(first: int, last: int) -> list[tuple[str, ...]]:
    return [(f"사람 {number}", f"p{number}@example.org", "" if number % 2 else "비고") for number in range(first, last)]


def _writer(path: Path) -> SpoolWriter:
    return SpoolWriter(path, NAMES, order_by="email")


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A spool of ten rows in frames of four, none, five and one."""
    monkeypatch.setattr("evq_server.files.spool.FRAME_SIZE", 1)
    path = tmp_path / "spool"
    with _writer(path) as spool:
        spool.append(_batch(_people(0, 4), first_row=2))
        spool.append(_batch([]))
        spool.append(_batch(_people(4, 9), first_row=102))
        spool.supersede([5, 2])
        spool.append(_batch(_people(9, 10), first_row=200))
        spool.supersede([105])
    return path


def _read(path: Path, start: int, size: int) -> list[Chunk]:
    return list(SpoolReader(path).chunks(start, lambda: size))


def _rows(chunks: Iterable[Chunk]) -> list[tuple[str, ...]]:
    return [row for chunk in chunks for row in zip(*chunk.texts().values(), strict=True)]


@pytest.mark.parametrize("size", [1, 2, 3, 100])
@pytest.mark.parametrize("start", range(11))
def test_reading_from_any_row_gives_all_rows_from_it_on(path: Path, start: int, size: int) -> None:
    chunks = _read(path, start, size)
    assert _rows(chunks) == _people(start, 10)
    assert all(1 <= len(chunk.rows) <= size for chunk in chunks)
    assert [chunk.first + place for chunk in chunks for place in range(len(chunk.rows))] == list(range(start, 10))
    rows = [2, 3, 4, 5, 102, 103, 104, 105, 106, 200]
    assert [row for chunk in chunks for row in chunk.rows] == rows[start:]


def test_a_chunk_names_the_superseded_rows_in_it(path: Path) -> None:
    assert [sorted(chunk.superseded) for chunk in _read(path, 0, 100)] == [[2, 5], [105], []]
    assert [sorted(chunk.superseded) for chunk in _read(path, 1, 2)] == [[], [5], [], [105], [], []]


def test_count_and_columns_are_known_before_reading(path: Path) -> None:
    reader = SpoolReader(path)
    assert (reader.count, reader.columns) == (10, tuple(NAMES))


def test_an_empty_spool_has_no_chunks(tmp_path: Path) -> None:
    with _writer(tmp_path / "spool"):
        pass
    assert SpoolReader(tmp_path / "spool").count == 0
    assert _read(tmp_path / "spool", 0, 10) == []


def test_a_spool_appears_when_it_is_closed(tmp_path: Path) -> None:
    spool = _writer(tmp_path / "spool")
    spool.append(_batch(_people(0, 4)))
    assert not (tmp_path / "spool").exists()
    spool.close()
    assert [entry.name for entry in tmp_path.iterdir()] == ["spool"]


def test_a_failed_writing_leaves_nothing(tmp_path: Path) -> None:
    def fail() -> None:
        with _writer(tmp_path / "spool") as spool:
            spool.append(_batch(_people(0, 4)))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_every_cut_is_noticed(path: Path) -> None:
    content = path.read_bytes()
    for length in range(len(content)):
        path.write_bytes(content[:length])
        with pytest.raises(SpoolCorrupt, match="damaged or cut off"):
            _read(path, 0, 100)


def test_every_flipped_bit_is_noticed(path: Path) -> None:
    content = path.read_bytes()
    for place in range(len(content)):
        damaged = bytearray(content)
        damaged[place] ^= 0x10
        path.write_bytes(damaged)
        with pytest.raises(SpoolCorrupt):
            _read(path, 0, 100)


@settings(deadline=None)  # every example syncs a file
@given(st.lists(st.lists(st.tuples(*[st.text(max_size=20)] * 3), max_size=6), max_size=5), st.integers(0, 30))
def test_text_comes_back_as_it_went_in(
    tmp_path_factory: pytest.TempPathFactory, batches: list[list[tuple[str, ...]]], start: int
) -> None:
    path = tmp_path_factory.mktemp("spool") / "spool"
    with _writer(path) as spool:
        for batch in batches:
            spool.append(_batch(batch))
    everything = sorted((row for batch in batches for row in batch), key=lambda row: row[1].encode())
    assert _rows(_read(path, start, 4)) == everything[start:]


def test_what_the_core_accepts_is_what_the_spool_gives_back(tmp_path: Path) -> None:
    parser = RowParser(COLUMNS, skip_records=1, duplicates="update")
    with _writer(tmp_path / "spool") as spool:
        for batch in (
            parser.feed("name,email,note\n김민수,Minsu@example.org,첫째\n,bad,\n".encode()),
            parser.feed("이서연,seoyeon@example.org,둘째\n김민수,minsu@example.org,셋째\n".encode()),
            parser.finish(),
        ):
            spool.append(batch)
            spool.supersede(duplicate.row for duplicate in batch.duplicates)
    (chunk,) = _read(tmp_path / "spool", 0, 100)
    assert list(chunk.rows) == [2, 5, 4]
    assert chunk.texts()["email"] == ["minsu@example.org", "minsu@example.org", "seoyeon@example.org"]
    assert chunk.superseded == {2}


def test_a_frame_gathers_batches_and_is_in_the_order_of_its_column(tmp_path: Path) -> None:
    with _writer(tmp_path / "spool") as spool:
        spool.append(_batch([("나", "z@example.org", "1"), ("가", "m@example.org", "2")], first_row=2))
        spool.append(_batch([("다", "a@example.org", "3")], first_row=9))
    (frame,) = SpoolReader(tmp_path / "spool").frames(0)
    assert _rows([frame]) == [
        ("다", "a@example.org", "3"),
        ("가", "m@example.org", "2"),
        ("나", "z@example.org", "1"),
    ]
    assert list(frame.rows) == [9, 3, 2]
    assert (frame.text("note", 2), frame.end) == ("1", 3)


def test_how_many_rows_are_read_is_asked_anew_each_time(path: Path) -> None:
    sizes = iter([1, 2, 100, 3, 100, 100])
    chunks = list(SpoolReader(path).chunks(0, lambda: next(sizes)))
    assert [(chunk.first, chunk.end) for chunk in chunks] == [(0, 1), (1, 3), (3, 4), (4, 7), (7, 9), (9, 10)]
