"""What programs and people do to CSV files, read the whole way: from the bytes of an upload to rows."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from evq_ext import RowParser, strings
from evq_server.files.refusals import FileError
from evq_server.files.source import Source, prepare
from tests.server.lists import make_list


class Outcome(NamedTuple):
    source: Source
    rows: list[int]
    columns: dict[str, list[str]]
    rejects: list[tuple[int, list[str]]]

    @property
    def names(self) -> list[str]:
        return self.columns["name"]


Read = Callable[..., Outcome]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def run(content: bytes | str, *, mapping: Mapping[str, str] | None = None, size: int = 1 << 16) -> Outcome:
        upload = tmp_path / "upload"
        upload.write_bytes(content if isinstance(content, bytes) else content.encode())
        source = prepare(upload, tmp_path, mapping=mapping, on_progress=lambda _: None)
        parser = RowParser(
            source.columns,
            delimiter=source.delimiter,
            skip_records=source.skip_records,
            number_by=source.number_by,
        )
        batches = [*(parser.feed(text) for text, _ in source.read(size)), parser.finish()]
        columns: dict[str, list[str]] = {}
        for batch in batches:
            for name, column in batch.columns.items():
                columns.setdefault(name, []).extend(strings(column))
        rows = [
            int.from_bytes(batch.rows[at : at + 4], "little")
            for batch in batches
            for at in range(0, 4 * batch.count, 4)
        ]
        rejects = [
            (reject.row, [error.code for error in reject.errors]) for batch in batches for reject in batch.rejects
        ]
        return Outcome(source, rows, columns, rejects)

    return run


def test_a_byte_order_mark_is_no_part_of_the_first_heading(read: Read) -> None:
    found = read(b"\xef\xbb\xbfname,email\r\nA,a@example.org\r\n")
    assert (found.source.header, found.names, found.rows) == (("name", "email"), ["A"], [2])


def test_a_mark_before_a_quoted_heading_is_no_part_of_it_either(read: Read) -> None:
    assert read(b'\xef\xbb\xbf"name","email"\r\nA,a@example.org\r\n').source.header == ("name", "email")


@pytest.mark.parametrize("line", ["sep=;", "SEP=;", "\ufeffsep=;"])
@pytest.mark.parametrize("end", ["\r\n", "\n", "\r"])
def test_the_sep_line_of_excel_is_obeyed_and_counted(read: Read, line: str, end: str) -> None:
    found = read(end.join([line, "name;email;note", "A;a@example.org;1,2", "B;;x"]))
    assert (found.source.delimiter, found.names, found.rows) == (b";", ["A"], [3])
    assert found.rejects == [(4, ["email_missing"])]


def test_a_sep_line_is_obeyed_in_utf_16(read: Read) -> None:
    assert read("sep=;\r\n이름;이메일\r\n김;a@example.org\r\n".encode("utf-16")).names == ["김"]


@pytest.mark.parametrize("titles", [1, 5, 19])
def test_the_header_is_found_below_title_rows(read: Read, titles: int) -> None:
    title = '"2026, 봄 행사",,\r\n\r\n,,\r\n' * titles
    found = read(f"{title}이름,이메일,소속\r\n김,a@example.org,한빛\r\n이,b@example.org\r\n")
    assert (found.source.header, found.names) == (("이름", "이메일", "소속"), ["김", "이"])
    assert found.rows == [3 * titles + 2, 3 * titles + 3]


def test_blank_rows_and_rows_of_delimiters_are_no_rows(read: Read) -> None:
    found = read('name,email\n\n,,,,\n  , \nA,a@example.org\n"",""\n\t\n\u3000,\nB,b@example.org\n\n\n')
    assert (found.names, found.rows, found.rejects) == (["A", "B"], [5, 9], [])


def test_short_rows_are_filled_and_long_ones_refused_alone(read: Read) -> None:
    found = read("email,name,note\na@example.org\nb@example.org,B\nc@example.org,C,x,,,\nd@example.org,D,x,y\n")
    assert (found.names, found.rows) == (["B", "C"], [3, 4])
    assert found.rejects == [(2, ["name_missing"]), (5, ["too_many_cells"])]


def test_columns_that_are_called_the_same_are_all_kept(read: Read) -> None:
    found = read("email,name,티셔츠,티셔츠,email\na@example.org,A,L,M,b@example.org\n")
    assert {name: values[0] for name, values in found.columns.items()} == {
        "email": "a@example.org",
        "name": "A",
        "티셔츠": "L",
        "티셔츠 (2)": "M",
        "email (2)": "b@example.org",
    }


@pytest.mark.parametrize("end", ["\r", "\n", "\r\n"])
def test_each_line_end_is_one(read: Read, end: str) -> None:
    found = read(end.join(["name,email", "A,a@example.org", "", "B,b@example.org", ""]))
    assert (found.names, found.rows) == (["A", "B"], [2, 4])


def test_line_ends_may_be_mixed(read: Read) -> None:
    found = read('name,email\r\nA,a@example.org\rB,b@example.org\n"C\r\nc",c@example.org\n\rD,d@example.org', size=1)
    assert (found.names, found.rows) == (["A", "B", "C c", "D"], [2, 3, 4, 7])


@pytest.mark.parametrize("quoted", [True, False])
def test_an_unclosed_quote_costs_its_row_and_no_other(read: Read, quoted: bool) -> None:
    mark = '"' if quoted else ""
    lines = [f"{mark}P{number}{mark},{mark}p{number}@example.org{mark}" for number in range(1_001)]
    lines[500] = '"P500,p500@example.org'
    found = read("\n".join(["name,email", *lines]))
    assert len(found.rows) == 1_000
    assert found.rejects == [(502, ["unclosed_quote"])]


def test_text_behind_a_closing_quote_is_kept(read: Read) -> None:
    assert read('name,email\n"Kim" Min,a@example.org\n"Kim ""M"" Min",b@example.org\n').names == [
        "Kim Min",
        'Kim "M" Min',
    ]


def test_nuls_are_no_part_of_a_value_and_make_no_binary_file(read: Read) -> None:
    found = read("name,email\nK\0im,a@\0example.org\n" + "\0" * 10 + ",\nL\0\0,b@example.org\n")
    assert (found.names, found.columns["email"], found.rows) == (
        ["Kim", "L"],
        ["a@example.org", "b@example.org"],
        [2, 4],
    )


@pytest.mark.parametrize("mark", ["", '"'])
def test_a_cell_that_is_longer_than_csv_allows_elsewhere_costs_its_row_only(read: Read, mark: str) -> None:
    found = read(f"name,email,note\nA,a@example.org,{mark}{'x' * 131_073}{mark}\nB,b@example.org,y\n")
    assert found.names == ["B"]
    assert [row for row, _ in found.rejects] == [2]


def test_a_text_of_32_767_characters_is_refused_for_its_length_and_not_cut(read: Read) -> None:
    found = read(f"name,email,note\nA,a@example.org,{'가' * 32_767}\nB,b@example.org,{'가' * 2_000}\n")
    assert (found.names, found.rejects) == (["B"], [(2, ["text_too_long"])])


def test_nothing_is_taken_for_a_number_or_a_missing_value(read: Read) -> None:
    words = ["NA", "null", "Null", "NaN", "None", "nan", "#N/A", "TRUE", "1e5", "007", "-"]
    rows = "".join(f"{word},w{number}@example.org,0{number}\n" for number, word in enumerate(words))
    found = read(f"name,email,ref\n{rows}")
    assert found.names == words
    assert found.columns["ref"] == [f"0{number}" for number in range(len(words))]


def test_the_zero_of_a_phone_number_is_kept(read: Read) -> None:
    assert read("name,email,phone\nA,a@example.org,01012345678\n").columns["phone"] == ["+821012345678"]


def test_257_columns_are_refused_as_a_whole(read: Read) -> None:
    with pytest.raises(FileError, match="257 columns; at most 256"):
        read(",".join(["email", *map(str, range(256))]) + "\na@example.org\n")


def test_a_line_without_end_costs_its_row_and_little_memory(read: Read, tmp_path: Path) -> None:
    found = read(b"name,email\nA,a@example.org\nB," + b"x" * (40 << 20) + b"\nC,c@example.org\n")
    assert (found.names, found.rows, found.rejects) == (["A", "C"], [2, 4], [(3, ["row_too_long"])])


def test_a_file_that_is_one_line_is_refused_for_its_columns_or_its_header(read: Read) -> None:
    for content in (b"x" * (5 << 20), b"a," * (1 << 20), b'"' * (5 << 20)):
        with pytest.raises(FileError):
            read(content)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_each_delimiter_is_found(read: Read, delimiter: str) -> None:
    text = f'이름{delimiter}이메일{delimiter}비고\n김{delimiter}a@example.org{delimiter}"1{delimiter}2, 3"\n'
    assert read(text).columns["note"] == [f"1{delimiter}2, 3".replace("\t", " ")]


@pytest.mark.parametrize(
    ("codec", "language"), [("utf-8", "Korean"), ("cp949", "Korean"), ("cp932", "Japanese"), ("gb18030", "Chinese")]
)
def test_a_bad_byte_in_row_80_000_costs_that_row_only(read: Read, codec: str, language: str) -> None:
    lines = make_list(language, 80_100).encode(codec).split(b"\r\n")
    lines[79_999] = lines[79_999].replace(b",p", b"\xff,p")
    if codec == "cp932":
        lines[79_999] = lines[79_999].replace(b"\xff,p", b"\x81,p")
    found = read(b"\r\n".join(lines))
    assert found.rejects == [(80_000, ["bad_bytes"])]
    assert len(found.rows) == 80_099


def test_an_utf_16_tsv_is_read_whatever_it_is_called(read: Read) -> None:
    found = read("이름\t이메일\t비고\r\n김\ta@example.org\t가\r\n".encode("utf-16"))
    assert (found.source.kind, found.source.encoding, found.source.delimiter) == ("csv", "utf-16", b"\t")
    assert found.columns["note"] == ["가"]


def test_a_lone_surrogate_in_utf_16_costs_its_row_only(read: Read) -> None:
    rows = [
        "이름,이메일".encode("utf-16"),
        "김,a@example.org".encode("utf-16-le"),
        b"\x00\xd8" + ",b@example.org".encode("utf-16-le"),
    ]
    found = read("\n".encode("utf-16-le").join(rows))
    assert (found.names, found.rejects) == (["김"], [(3, ["bad_bytes"])])
