"""Tables in HTML and in XML Spreadsheet 2003, which are called .xls, are read like any list."""

import csv
import shutil
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from evq_ext import Column
from evq_server.files.refusals import FileError
from evq_server.files.source import Source, prepare

Read = Callable[..., tuple[Source, list[list[str]]]]

PAGE = """<html xmlns:x="urn:schemas-microsoft-com:office:excel">
<head><meta http-equiv="Content-Type" content="text/html; charset={charset}">
<style>td {{ mso-number-format:"\\@" }}</style></head>
<body><table border=1><tr><th>이름</th><th>이메일</th><th>전화번호</th></tr>
<tr><td>김민수</td><td>minsu@example.org</td><td>010-1234-5678</td></tr></table></body></html>"""
ROWS = [["이름", "이메일", "전화번호"], ["김민수", "minsu@example.org", "010-1234-5678"]]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Prepare an upload of these bytes, and return the records of its canonical form as well."""

    def run(content: bytes, **options: Any) -> tuple[Source, list[list[str]]]:
        upload, workdir = tmp_path / "upload", tmp_path / "work"
        upload.write_bytes(content)
        shutil.rmtree(workdir, ignore_errors=True)
        workdir.mkdir()
        try:
            source = prepare(upload, workdir, **{"on_progress": lambda _: None, **options})
        except FileError:
            assert list(workdir.iterdir()) == []
            raise
        text = b"".join(text for text, _ in source.read(1 << 16)).decode("utf-8", "surrogateescape")
        return source, list(csv.reader(StringIO(text)))

    return run


def table(rows: str) -> bytes:
    return f"<html><body><table>{rows}</table></body></html>".encode()


HEADER = "<tr><td>name<td>email"


# HTML


@pytest.mark.parametrize(
    ("charset", "codec", "encoding"),
    [
        ("utf-8", "utf-8", "utf-8"),
        ("utf-8", "utf-8-sig", "utf-8"),
        ("euc-kr", "cp949", "cp949"),
        ("ks_c_5601-1987", "cp949", "cp949"),
        ("unicode", "utf-16", "utf-16"),
        ("euc-kr", "utf-8", "utf-8"),  # it says what is not true
        ("utf-8", "cp949", "cp949"),
        ("nonsense", "cp949", "cp949"),
    ],
)
def test_a_web_page_is_read_in_its_own_encoding(read: Read, charset: str, codec: str, encoding: str) -> None:
    source, rows = read(PAGE.format(charset=charset).encode(codec))
    assert rows == ROWS
    assert (source.kind, source.encoding, source.sheet, source.number_by) == ("html", encoding, None, "record")
    assert source.columns == (Column("name", "name"), Column("email", "email"), Column("phone", "phone"))


def test_a_charset_that_is_declared_wins_over_a_guess(read: Read) -> None:
    page = '<meta charset="gbk"><table><tr><td>name<td>email<tr><td>李秀<td>li@example.org</table>'
    source, rows = read(page.encode("gbk"))
    assert (source.encoding, rows[1][0]) == ("gb18030", "李秀")


def test_an_encoding_that_was_said_wins(read: Read) -> None:
    page = PAGE.format(charset="euc-kr").replace("김민수", "김").encode("cp949")
    assert read(page, encoding="cp949")[1][1][0] == "김"


def test_cells_are_told_apart_as_browsers_do(read: Read) -> None:
    rows = read(
        table(
            "<thead><tr><th>name<th>e<b>ma</b>il</thead>"
            "<tbody><tr><td> A&amp;B\n<br>&#xAE40;&nbsp;&lt;x&gt; <td><a href='mailto:x'>a@example.org</a></tbody>"
            "<TR><TD>C</TD>outside<TD><p>c@</p><!-- no --><script>no('<td>')</script></TD></TR>"
        )
    )[1]
    assert rows == [["name", "email"], ["A&B 김 <x>", "a@example.org"], ["C", "c@"]]


def test_a_cell_over_several_columns_or_rows_leaves_the_others_empty(read: Read) -> None:
    rows = read(
        table(
            "<tr><td colspan=3>2026</tr><tr></tr><tr><td>name<td>email<td>company</tr>"
            "<tr><td>A<td>a@example.org<td rowspan='2'>Acme</tr><tr><td>B<td>b@example.org</tr>"
            "<tr><td rowspan=0>C<td colspan=x>c@example.org<td>Co</tr><tr><td>d@example.org</tr>"
        )
    )[1]
    assert rows == [
        ["2026", "", ""],
        [],
        ["name", "email", "company"],
        ["A", "a@example.org", "Acme"],
        ["B", "b@example.org"],
        ["C", "c@example.org", "Co"],
        ["", "d@example.org"],
    ]


@pytest.mark.parametrize(
    "page",
    [
        "<table><tr><td>Menu</table><table>{rows}</table><table><tr><td>name<td>x</table>",
        "<table><tr><td>Logo<td><table>{rows}</table>Footer</table>",
        "<table><tr><td>name<td>email<td>and<td>a table" + "</table><table>{rows}</table>",
    ],
)
def test_of_several_tables_the_one_with_the_best_header_is_read(read: Read, page: str) -> None:
    rows = "<tr><td>name<td>email<td>phone" + "<tr><td>A<td>a@example.org<td>1" * 100
    assert read(page.format(rows=rows).encode())[1] == [
        ["name", "email", "phone"],
        *[["A", "a@example.org", "1"]] * 100,
    ]


def test_a_page_that_is_cut_off_gives_the_rows_that_are_there(read: Read) -> None:
    page = table(f"{HEADER}<tr><td>A<td>a@example.org<tr><td>B<td>b@example.org")
    assert read(page[: page.index(b"</table")])[1][2] == ["B", "b@example.org"]
    assert read(page[: page.index(b"</table")] + b"<t")[1][2] == ["B", "b@example.org"]


def test_a_bad_byte_in_a_page_is_bad_in_its_row_only(read: Read) -> None:
    rows = read(table(f"{HEADER}<tr><td>김<td>a@example.org<tr><td>B?<td>b@example.org").replace(b"?", b"\xff"))[1]
    assert [row[0] for row in rows] == ["name", "김", "B\udcff"]


def test_an_endless_cell_keeps_one_character_too_many(read: Read) -> None:
    rows = read(table(f"{HEADER}<tr><td>{'x' * 200_000}<td>a@example.org"))[1]
    assert len(rows[1][0]) == 32_768


def test_a_page_without_a_table_is_called_a_web_page(read: Read) -> None:
    with pytest.raises(FileError, match="This is a web page"):
        read(b"<html><body>Please log in</body></html>")


def test_a_cell_over_all_further_rows_ends_with_its_group(read: Read) -> None:
    page = table(
        "<thead><tr><th rowspan=0>email<th>name</thead><tbody><tr><td>kim@example.org<td>Kim"
        "<tbody><tr><td rowspan=9>lee@example.org<td>Lee<tbody><tr><td>park@example.org<td>Park"
    )
    assert [cells[0] for cells in read(page)[1]] == ["email", "kim@example.org", "lee@example.org", "park@example.org"]


def test_a_page_of_a_spreadsheet_program_is_a_page(read: Read) -> None:
    page = b'<html xmlns:ss="urn:schemas-microsoft-com:office:spreadsheet"><table><tr><td>email<tr><td>kim@example.org'
    assert read(page)[1] == [["email"], ["kim@example.org"]]


def test_a_column_called_header_is_no_head_of_a_page(read: Read) -> None:
    assert read(b"<Header>,email,name\n1,kim@example.org,Kim\n")[0].kind == "csv"


@pytest.mark.parametrize("start", [b"<table>charset=", b"<table>" + b"<?xml" * 50_000])
def test_a_charset_is_looked_for_in_one_pass(read: Read, start: bytes) -> None:
    with pytest.raises(FileError):  # for it takes minutes to look for it from each place anew
        read(start + b" " * (1 << 18))


@pytest.mark.parametrize("declaration", [b"<![ y>", b"<![foo["])
def test_a_declaration_that_no_page_has_is_refused(read: Read, declaration: bytes) -> None:
    with pytest.raises(FileError, match="damaged"):
        read(table("<tr><td>email") + declaration)


@pytest.mark.parametrize(
    "page",
    [
        b"<table>" * 100_000,
        b"<table><tr>" + b"<td colspan=999999999 rowspan=999999999>x" * 5_000,
        b"<table><tr><td " + b"a " * 300_000,
        b"<table><tr><td>" + b"<!--" * 150_000,
        b"<table><tr><td>" + b"<![CDATA[" * 50_000,
        b"<table><tr><td>" + b"&#x" * 200_000,
        b"<table><tr><td>" + b"<script>" + b"</" * 300_000,
        b"<table><tr><td>" + b"</a " * 150_000,
        b"<table><tr><td>" + b"<a b='" * 100_000,
        b"<table><tr><td>" + b"<?" * 300_000,
    ],
)
def test_a_hostile_page_is_refused(read: Read, page: bytes) -> None:
    with pytest.raises(FileError):
        read(page)


def test_a_cancel_is_heard_while_a_page_is_read(read: Read, tmp_path: Path) -> None:
    class CancelError(Exception):
        pass

    def cancel(fraction: float) -> None:
        if fraction == 1:
            raise CancelError

    with pytest.raises(CancelError):
        read(table(f"{HEADER}<tr><td>A<td>a@example.org"), on_progress=cancel)
    assert list((tmp_path / "work").iterdir()) == []


# XML Spreadsheet 2003

SHEET = '<Worksheet ss:Name="{name}"><Table>{rows}</Table></Worksheet>'
CELL = '<Cell><Data ss:Type="String">{}</Data></Cell>'


def workbook(*sheets: tuple[str, str]) -> str:
    made = "".join(SHEET.format(name=name, rows=rows) for name, rows in sheets)
    return (
        '<?xml version="1.0"?>\n<?mso-application progid="Excel.Sheet"?>\n'
        '<Workbook xmlns="urn:schemas-microsoft-com:office:spreadsheet" '
        f'xmlns:ss="urn:schemas-microsoft-com:office:spreadsheet">{made}</Workbook>'
    )


def row(*cells: str, index: str = "") -> str:
    return f"<Row{index}>{''.join(map(CELL.format, cells))}</Row>"


PEOPLE = row("이름", "이메일") + row("김민수", "minsu@example.org")


@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "utf-16"])
def test_xml_spreadsheet_2003_is_read(read: Read, codec: str) -> None:
    source, rows = read(workbook(("안내", row("읽어 주세요")), ("명단", PEOPLE)).encode(codec))
    assert rows == [["이름", "이메일"], ["김민수", "minsu@example.org"]]
    assert (source.kind, source.sheet, source.number_by) == ("xml", "명단", "record")


def test_rows_and_cells_that_are_left_out_keep_their_numbers(read: Read) -> None:
    rows = row("name", "email", "x", index=' ss:Index="3"') + (
        '<Row><Cell ss:MergeAcross="1"><Data ss:Type="Number">42</Data></Cell>'
        '<Cell ss:Index="3"><ss:Data ss:Type="String"><B>b</B>old</ss:Data></Cell></Row>'
        '<Row><Cell/><Cell><Data ss:Type="DateTime">2026-03-01T00:00:00.000</Data></Cell></Row>'
    )
    assert read(workbook(("a", rows)).encode())[1] == [
        [],
        [],
        ["name", "email", "x"],
        ["42", "", "bold"],
        ["", "2026-03-01T00:00:00"],
    ]


def test_values_are_those_of_any_other_workbook(read: Read) -> None:
    cells = {"Boolean": "1", "Number": "8.2101234567E11", "DateTime": "2026-03-01T00:00:00.000"}
    values = "".join(f'<Cell><Data ss:Type="{kind}">{value}</Data></Cell>' for kind, value in cells.items())
    book = workbook(("a", row("email", "x", "y") * 1_500 + f"<Row>{values}</Row>" * 1_500)).encode()  # in many pieces
    assert set(map(tuple, read(book)[1])) == {("email", "x", "y"), ("TRUE", "821012345670", "2026-03-01T00:00:00")}


def test_the_comment_of_a_cell_is_no_part_of_its_value(read: Read) -> None:
    comment = '<Comment ss:Author="Lee"><ss:Data xmlns="http://www.w3.org/TR/REC-html40">moved</ss:Data></Comment>'
    cell = f'<Cell><Data ss:Type="String">kim@example.org</Data>{comment}</Cell>'
    assert read(workbook(("a", f"{row('email')}<Row>{cell}</Row>")).encode())[1] == [["email"], ["kim@example.org"]]


def test_a_sheet_of_an_xml_workbook_can_be_chosen(read: Read) -> None:
    book = workbook(("a", PEOPLE), ("b", row("email") + row("b@example.org"))).encode()
    assert read(book, sheet="b")[1] == [["email"], ["b@example.org"]]
    with pytest.raises(FileError, match='no sheet "c"; it has "a", "b"'):
        read(book, sheet="c")


@pytest.mark.parametrize(
    "book",
    [
        workbook(("a", row("name", index=' ss:Index="1048577"'))),
        workbook(("a", row("name", index=' ss:Index="5"') + row("x", index=' ss:Index="5"'))),
        workbook(("a", row("name", index=' ss:Index="-1"'))),
        workbook(("a", PEOPLE))[:-30],
        workbook(("a", PEOPLE)).replace("?>\n<?mso", '?><!DOCTYPE x [<!ENTITY e "eeee">]>\n<?mso'),
        workbook(("a", PEOPLE)).replace("<Table>", "<Table " + "a" * 3_000_000),
        workbook(("a", PEOPLE)) + "<a>" * 100,
        workbook(("a", PEOPLE)).replace("<Table>", "<Table>" + "<a>" * 100_000),
    ],
)
def test_an_xml_workbook_that_no_program_writes_is_refused(read: Read, book: str) -> None:
    with pytest.raises(FileError, match="damaged"):
        read(book.encode())
