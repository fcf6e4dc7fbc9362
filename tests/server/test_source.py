import gzip
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

import pytest
import xlsxwriter
from hypothesis import given as for_any
from hypothesis import strategies as st

from evq.errors import ValidationError
from evq_ext import Column, RowParser
from evq_server.files.refusals import FileError
from evq_server.files.source import Source, prepare
from tests.server.workbooks import zipped

KOREAN = "이름,이메일,소속\n김민수,minsu@example.org,한빛\n"
NAME, EMAIL = Column("name", "name"), Column("email", "email")


class Prepare(Protocol):
    def __call__(
        self,
        content: bytes,
        *,
        encoding: str | None = None,
        sheet: str | None = None,
        mapping: Mapping[str, str] | None = None,
        on_progress: Callable[[float], None] = ...,
    ) -> Source: ...


def _ignore(_: float) -> None:
    pass


@pytest.fixture
def workdir(tmp_path: Path) -> Path:
    path = tmp_path / "work"
    path.mkdir()
    return path


@pytest.fixture
def given(tmp_path: Path, workdir: Path) -> Prepare:
    """Prepare an upload of these bytes."""

    def run(
        content: bytes,
        *,
        encoding: str | None = None,
        sheet: str | None = None,
        mapping: Mapping[str, str] | None = None,
        on_progress: Callable[[float], None] = _ignore,
    ) -> Source:
        upload = tmp_path / "upload"
        upload.write_bytes(content)
        return prepare(
            upload,
            workdir,
            encoding=encoding,
            sheet=sheet,
            mapping=mapping,
            on_progress=on_progress,
        )

    return run


@pytest.fixture
def refusal(given: Prepare, workdir: Path) -> Callable[..., str]:
    """Return why an upload of these bytes is refused, having seen that no temporary file is left."""

    def run(content: bytes, **options: str | Mapping[str, str]) -> str:
        with pytest.raises(ValidationError) as refused:
            given(content, **options)  # type: ignore[arg-type] # each test passes what it means
        assert list(workdir.iterdir()) == []
        return str(refused.value)

    return run


def text_of(source: Source) -> str:
    return b"".join(text for text, _ in source.read(1 << 16)).decode("utf-8-sig")


# What it is


def test_utf_8_text_is_used_as_it_is(given: Prepare, tmp_path: Path, workdir: Path) -> None:
    assert given(KOREAN.encode()) == Source(
        kind="csv",
        path=tmp_path / "upload",
        size=len(KOREAN.encode()),
        codec="utf-8",
        encoding="utf-8",
        sheet=None,
        delimiter=b",",
        number_by="line",
        header=("이름", "이메일", "소속"),
        columns=(NAME, EMAIL, Column("organisation", "text")),
        scores=(100, 100, 100),
        skip_records=1,
    )
    assert list(workdir.iterdir()) == []


@pytest.mark.parametrize("encoding", ["utf-8-sig", "cp949", "utf-16", "utf-16-le", "utf-16-be"])
def test_text_of_a_known_encoding_is_read_as_utf_8(given: Prepare, workdir: Path, encoding: str) -> None:
    mark = {"utf-16-le": b"\xff\xfe", "utf-16-be": b"\xfe\xff"}.get(encoding, b"")
    source = given(mark + KOREAN.encode(encoding))
    assert source.header == ("이름", "이메일", "소속")
    assert text_of(source) == KOREAN
    assert list(workdir.iterdir()) == []
    assert source.encoding == {"utf-8-sig": "utf-8", "cp949": "cp949"}.get(encoding, "utf-16")


@pytest.mark.parametrize(
    ("encoding", "codec", "name"),
    [
        ("Shift-JIS", "cp932", "田中"),
        ("gb18030", "gb18030", "李伟"),
        ("windows-1252", "cp1252", "Müller"),
        ("EUC-KR", "euc-kr", "김민수"),
        ("utf-16", "utf-16-le", "김민수"),
        ("gbk", "gb18030", "李伟"),
        ("ms949", "cp949", "김민수"),
        ("latin1", "cp1252", "Müller"),
        ("big5", "cp950", "陳大文"),
        ("euc-jp", "euc_jp", "田中"),
        ("ISO-2022-JP", "iso2022_jp", "田中"),
        ("windows-1250", "cp1250", "Łukasz"),
        ("windows-1251", "cp1251", "Иванов"),
    ],
)
def test_an_encoding_can_be_said(given: Prepare, encoding: str, codec: str, name: str) -> None:
    source = given(f"name,email\n{name},a@example.org\n".encode(codec), encoding=encoding)
    assert name in text_of(source)


def test_text_of_an_encoding_that_is_not_recognised_is_refused_once(
    refusal: Callable[..., str], given: Prepare
) -> None:
    rows = "Имя,email\n" + "Щербаков Юрий,yury@example.org\n" * 20
    assert refusal(rows.encode("cp1251")).startswith("The encoding of the text was not recognised.")
    cells = rows.replace(",", "<td>").replace("\n", "\n<tr><td>")
    page = f"<html><meta charset=windows-1251><table><tr><td>{cells}</table>"
    assert given(page.encode("cp1251")).encoding == "windows-1251"


def test_the_state_of_iso_2022_jp_is_kept_between_chunks(given: Prepare) -> None:
    text = "氏名,メールアドレス\n" + "田中太郎,taro@example.org\n" * 20
    source = given(text.encode("iso2022_jp"))
    assert source.encoding == "iso-2022-jp"
    assert b"".join(part for part, _ in source.read(7)).decode() == text


def test_an_unknown_encoding_is_refused_by_name(refusal: Callable[..., str]) -> None:
    assert 'The encoding "ebcdic" is not known; choose from "utf-8", ' in refusal(KOREAN.encode(), encoding="ebcdic")


def test_korean_that_begins_after_a_mebibyte_of_ascii_is_found(given: Prepare) -> None:
    rows = "".join(f"Person {number},person{number}@example.org\n" for number in range(40_000))
    source = given(f"name,email\n{rows}김민수,minsu@example.org\n".encode("cp949"))
    assert source.encoding == "cp949"
    assert text_of(source).endswith("김민수,minsu@example.org\n")


@pytest.mark.parametrize("encoding", ["utf-8", "cp949"])
def test_wrong_bytes_in_an_encoding_that_was_said_reject_their_row_only(given: Prepare, encoding: str) -> None:
    rows = ["이름,이메일".encode(encoding), b"\xff\xff,a@example.org", "김민수,b@example.org".encode(encoding)]
    source = given(b"\n".join(rows), encoding=encoding)
    parser = RowParser(source.columns, skip_records=source.skip_records)
    batches = [*(parser.feed(text) for text, _ in source.read(1 << 16)), parser.finish()]
    assert sum(batch.count for batch in batches) == 1
    assert [(reject.row, reject.errors[0].code) for batch in batches for reject in batch.rejects] == [(2, "bad_bytes")]


def test_a_multibyte_character_cut_by_a_chunk_is_whole(given: Prepare) -> None:
    for padding in (0, 1, 2):
        name = "x" * ((1 << 20) - len("name,email\n") - padding) + "김"
        assert given(f"name,email\n{name},a@example.org\n".encode()).encoding == "utf-8"
        assert name in text_of(given(f"name,email\n{name},a@example.org\n".encode("cp949")))


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"%PDF-1.7\n%\xe2\xe3", "This is a PDF file, not a participants list. Export it as CSV or XLSX"),
        (b"\x89PNG\r\n\x1a\n\0\0", "This is a PNG image"),
        (b"\xff\xd8\xff\xe0\0\0", "This is a JPEG image"),
        (gzip.compress(KOREAN.encode(), mtime=0), "This is a gzip archive. Unpack it and upload the participants list"),
        (b'[\n  {"name": "Kim", "email": "kim@example.org"}]', "This is a JSON file"),
        (b'{"email": "kim@example.org"}\n{"email": "lee@example.org"}\n', "This is a JSON file"),
        ('[{"email": 1}]'.encode("utf-16"), "This is a JSON file"),
        (b"\xef\xbb\xbfBEGIN:VCARD\r\nVERSION:3.0\r\nEMAIL:kim@example.org\r\n", "This is a vCard file"),
        (b"MIME-Version: 1.0\r\nContent-Type: multipart/related\r\n", "This is a web page in one file (MHTML)"),
        (b"ID;PWXL;N;E\r\nP;PGeneral\r\n", "This is a SYLK file"),
        (b"ID;PSCALC3\nB;X2;Y2\n", "This is a SYLK file"),
        (b"\n <!DOCTYPE html><html>", "This is a web page"),
        (b"<HTML><body><p>name,email</p>", "This is a web page"),
        (b"\xef\xbb\xbf<?xml version='1.0'?><Workbook/>", "This is an XML file"),
        (b"\x7fELF\x02\0\0\0", "This is a binary file"),
        (bytes(range(256)) * 20, "This is a binary file"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "This is an old Office file that is no workbook"),
        (
            b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600) + "EncryptedPackage".encode("utf-16-le"),
            "The workbook is protected by a password",
        ),
        (b"PK\x03\x04 and so on", "The workbook is damaged or was cut off"),
        (zipped("word/document.xml"), "This is a Word document"),
        (zipped("ppt/presentation.xml"), "This is a PowerPoint presentation"),
        (zipped("mimetype"), "This is an OpenDocument file that is no spreadsheet"),
        (zipped("list.csv", "other.csv"), "This is a ZIP archive. Unpack it and upload the participants list inside."),
        (zipped("Index/Document.iwa"), "This is an Apple Numbers, Pages or Keynote file"),
        (b"", "The file is empty"),
        (b"\xef\xbb\xbf", "The file is empty"),
        (b"\r\n \r\n", "The file is empty"),
        (b",,\n,,\n", "The file is empty"),
    ],
)
def test_what_is_not_a_list_is_called_what_it_is(refusal: Callable[..., str], content: bytes, kind: str) -> None:
    assert refusal(content).startswith(kind)


@pytest.mark.parametrize(
    "text",
    [
        "ID;PLZ\na@example.org;12345\n",
        "ID;Phone;Email\n1;2;a@example.org\n",
        "[Spring gala]\nname,email\nKim,a@example.org\n",
        "{x},email\n",
    ],
)
def test_a_list_that_begins_nearly_as_another_kind_of_file_is_a_list(given: Prepare, text: str) -> None:
    assert EMAIL in given(text.encode()).columns


@pytest.fixture
def workbook(tmp_path: Path) -> bytes:
    path = tmp_path / "made.xlsx"
    with xlsxwriter.Workbook(path) as book:
        sheet = book.add_worksheet("명단")
        sheet.write(0, 0, "참가자 명단")
        for number, row in enumerate([["이름", "이메일"], ["김민수", "minsu@example.org"]], start=2):
            sheet.write_row(number, 0, row)
    return path.read_bytes()


def test_a_workbook_is_read(given: Prepare, workbook: bytes, workdir: Path) -> None:
    source = given(workbook)
    assert (source.kind, source.sheet, source.number_by, source.skip_records) == ("xlsx", "명단", "record", 3)
    assert source.columns == (NAME, EMAIL)
    assert source.path.read_text() == "참가자 명단\n\n이름,이메일\n김민수,minsu@example.org\n"
    assert list(workdir.iterdir()) == [source.path]


def test_a_workbook_without_an_e_mail_column_leaves_nothing(refusal: Callable[..., str], tmp_path: Path) -> None:
    path = tmp_path / "made.xlsx"
    with xlsxwriter.Workbook(path) as book:
        book.add_worksheet().write_row(0, 0, ["이름", "전화"])
    assert 'the columns are "이름", "전화"' in refusal(path.read_bytes())


def test_an_option_that_means_nothing_for_the_file_is_refused(refusal: Callable[..., str], workbook: bytes) -> None:
    assert "leave the option `encoding` out" in refusal(workbook, encoding="utf-8")
    assert "leave the option `sheet` out" in refusal(KOREAN.encode(), sheet="명단")


# What its columns are


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found(given: Prepare, delimiter: str) -> None:
    source = given(KOREAN.replace(",", delimiter).encode())
    assert (source.delimiter, source.header) == (delimiter.encode(), ("이름", "이메일", "소속"))


def test_title_lines_above_the_header_are_skipped(given: Prepare) -> None:
    source = given(b'"Spring, 2026"\n\nname,email\nA,a@example.org\n')
    assert (source.header, source.skip_records) == (("name", "email"), 3)


def test_a_sep_line_is_obeyed(given: Prepare) -> None:
    source = given(b"sep=;\nname;email\nA;a@example.org\n")
    assert (source.delimiter, source.header, source.skip_records) == (b";", ("name", "email"), 2)


def test_unknown_columns_become_attributes_and_every_name_is_there_once(given: Prepare) -> None:
    source = given("이름,email,티셔츠,티셔츠,,name\nA,a@example.org,L,M,?,B\n".encode())
    assert source.header == ("이름", "email", "티셔츠", "티셔츠 (2)", "column 5", "name")
    assert source.columns == (
        NAME,
        EMAIL,
        Column("티셔츠", "text"),
        Column("티셔츠 (2)", "text"),
        Column("column 5", "text"),
        Column("name (2)", "text"),
    )


def test_the_scores_say_how_surely_a_column_is_what_it_is_taken_for(given: Prepare) -> None:
    source = given("참가자 이메일,성함,shirt,x\n".encode(), mapping={"x": "size"})
    assert [column and column.name for column in source.columns] == ["email", "name", "shirt", "size"]
    sure, named, attribute, mapped = source.scores
    assert mapped == 100 > named > sure > attribute == 0


def test_256_columns_are_read_and_more_are_refused(refusal: Callable[..., str], given: Prepare) -> None:
    names = ["email", *(f"c{number}" for number in range(255))]
    assert len(given(",".join(names).encode()).columns) == 256
    assert len(given((",".join(names) + "," * 50).encode()).columns) == 256  # nothing is there but delimiters
    said = refusal(",".join([*names, "x"]).encode())
    assert said.startswith("The list has 257 columns; at most 256 are accepted.")


def test_a_list_without_an_e_mail_column_is_told_its_columns(refusal: Callable[..., str]) -> None:
    said = refusal("참가자 명단\n이름,전화\n김민수,010-1234-5678\n".encode())
    assert said.startswith(
        'No column holds e-mail addresses, which every participant needs; the columns are "이름", "전화".'
    )
    assert "The header must be among the first 20 rows." in said
    assert "mapping" not in said


def test_only_a_column_that_nobody_knows_and_that_may_hold_addresses_is_proposed_as_the_e_mail_column(
    refusal: Callable[..., str],
) -> None:
    said = refusal("이름,티셔츠,아이디\n김민수,L,kim@example.org\n이수,M,이수\n".encode())
    assert '`mapping`, for instance {"아이디": "email"}' in said
    assert "mapping" not in refusal("비고,티셔츠\n@seoul,L\n".encode())


def test_a_list_whose_headings_name_no_e_mail_is_read_by_what_its_columns_hold(given: Prepare) -> None:
    source = given("참가자 명단\n아이디,이름\nkim@example.org,김민수\nlee@example.org,이수\n".encode())
    assert (source.columns, source.scores, source.skip_records) == ((EMAIL, NAME), (40, 100), 2)


@pytest.mark.parametrize("row", ["김민수,kim@example.org,010-1234-5678", "kim@example.org", "kim@example.org,"])
def test_a_list_without_a_header_is_refused_and_loses_no_row(refusal: Callable[..., str], row: str) -> None:
    said = refusal(f"\n{row}\n{row}\n".encode())
    assert said.startswith("Row 2 is a participant, and no row above it has headings that are known. Insert a row")


def test_a_header_whose_e_mail_heading_is_empty_is_found_by_the_addresses_below(given: Prepare) -> None:
    source = given("번호,이름,,휴대폰\n1,김민수,kim@example.org,010-1234-5678\n2,이수,lee@example.org,\n".encode())
    assert source.header == ("번호", "이름", "column 3", "휴대폰")
    assert source.columns == (Column("번호", "text"), NAME, EMAIL, Column("phone", "phone"))


@pytest.mark.parametrize(
    "rows",
    [
        ["성명,연락처,,소속", ",이메일,휴대폰,"],
        ["성명,연락처,,소속", ",이메일,휴대폰"],
        ["성명,이메일,연락처,소속,", ",,휴대폰,,"],
        ["참가자 명단,,,", "성명,이메일,,소속", ",,휴대폰,"],
    ],
)
def test_a_header_of_two_rows_is_read_as_one(given: Prepare, rows: list[str]) -> None:
    source = given("\n".join([*rows, "김민수,kim@example.org,010-1234-5678,서울", ""]).encode())
    assert source.header[:4] == ("성명", "이메일", "휴대폰", "소속")
    assert source.skip_records == len(rows)


@pytest.mark.parametrize(
    "rows", [["참가자 명단,,", ",성명,이메일"], ["성명,이메일", "김민수,"], ["성명,,이메일", "김민수,부산,"]]
)
def test_a_title_or_a_participant_is_no_second_row_of_the_header(given: Prepare, rows: list[str]) -> None:
    source = given("\n".join([*rows, ""]).encode())
    assert source.skip_records == 1 + rows[0].startswith("참가자 명단")
    assert "참가자 명단" not in source.header


def test_a_mapping_wins_over_recognition(given: Prepare) -> None:
    source = given(
        b"name,email,contact mail,shirt\nA,old@example.org,new@example.org,L\n",
        mapping={"contact mail": "email", "name": "", "shirt": "size"},
    )
    assert source.columns == (None, Column("email (2)", "text"), EMAIL, Column("size", "text"))


def test_a_field_whose_column_is_left_out_goes_to_the_next_one_of_that_name(given: Prepare) -> None:
    source = given("이메일,메일\nold@example.org,new@example.org\n".encode(), mapping={"이메일": ""})
    assert source.columns == (None, EMAIL)


def test_a_mapping_finds_a_header_that_recognition_does_not(given: Prepare) -> None:
    source = given(b"Spring 2026,\nWer,Wohin\nA,a@example.org\n", mapping={"Wer": "name", " Wohin ": "email"})
    assert (source.header, source.columns, source.skip_records) == (("Wer", "Wohin"), (NAME, EMAIL), 2)


def test_a_mapping_of_a_column_that_is_not_there_is_refused_by_name(refusal: Callable[..., str]) -> None:
    said = refusal(KOREAN.encode(), mapping={"이름": "name", "메일": "email"})
    assert said == 'The mapping names "메일", but the columns are "이름", "이메일", "소속".'


def test_a_mapping_of_two_columns_to_one_field_is_refused(refusal: Callable[..., str]) -> None:
    said = refusal(KOREAN.encode(), mapping={"이름": "email", "이메일": "email"})
    assert said == 'The mapping gives "email" to more than one column.'


def test_a_mapping_that_ignores_the_e_mail_column_is_refused(refusal: Callable[..., str]) -> None:
    assert refusal(KOREAN.encode(), mapping={"이메일": ""}).startswith("No column holds e-mail addresses")


def test_the_columns_that_the_error_report_adds_are_ignored(given: Prepare) -> None:
    source = given(b"_row,_error,name,email\n2,wrong,A,a@example.org\n")
    assert source.columns == (None, None, NAME, EMAIL)


# How it goes


@pytest.mark.parametrize("codec", ["utf-8", "cp949"])
def test_progress_rises_to_one(given: Prepare, codec: str) -> None:
    seen: list[float] = []
    rows = "Minsu,minsu@example.org\n" * 100_000 + "김민수,minsu@example.org\n" * 30_000
    given(f"name,email\n{rows}".encode(codec), on_progress=seen.append)
    assert len(seen) > 1
    assert seen == sorted(seen)


@pytest.mark.parametrize("codec", ["utf-8", "cp949"])
def test_a_cancel_leaves_nothing(given: Prepare, workdir: Path, codec: str) -> None:
    class CancelError(Exception):
        pass

    def cancel(_: float) -> None:
        raise CancelError

    with pytest.raises(CancelError):
        given(KOREAN.encode(codec), on_progress=cancel)
    assert list(workdir.iterdir()) == []


def test_a_heading_that_a_spreadsheet_marked_as_text_is_read_without_the_mark(given: Prepare) -> None:
    assert given("이메일,'=이름\nminsu@example.org,김민수\n".encode()).header == ("이메일", "=이름")


# Whatever it is

PIECES = [
    *(
        "name,email\n",
        "이름;이메일\r\n",
        "sep=|\n",
        "a@example.org",
        '"',
        ",",
        "\n",
        "\0",
        "\ufeff",
        "<table>",
        "<tr><td>",
        "</table>",
        "<html>",
    ),
    *(
        '<?xml version="1.0"?>',
        "<Workbook xmlns='urn:schemas-microsoft-com:office:spreadsheet'>",
        "<!--",
        "&#",
        "charset=euc-kr",
    ),
]
ENCODED = [
    piece.encode(codec)
    for piece in PIECES
    for codec in ("utf-8", "utf-16-le", "cp949")
    if codec != "cp949" or piece != "\ufeff"
]


@for_any(st.lists(st.sampled_from(ENCODED) | st.binary(max_size=6), max_size=20).map(b"".join))
def test_any_bytes_are_read_or_refused_with_a_reason(content: bytes) -> None:
    with TemporaryDirectory() as folder:
        upload, workdir = Path(folder, "upload"), Path(folder, "work")
        upload.write_bytes(content)
        workdir.mkdir()
        try:
            source = prepare(upload, workdir, on_progress=_ignore)
        except FileError as error:
            assert error.text("ko")
            assert list(workdir.iterdir()) == []
        else:
            parser = RowParser(source.columns, delimiter=source.delimiter, skip_records=source.skip_records)
            assert sum(parser.feed(text).count for text, _ in source.read(7)) >= 0
