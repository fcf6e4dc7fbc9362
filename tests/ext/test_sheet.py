"""The XML of a sheet becomes CSV, by both implementations alike, however it is cut."""

from types import ModuleType
from xml.etree import ElementTree as ET

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from evq_ext import SheetError, read_records
from evq_ext.sheet import _markup
from evq_ext.sheet import _reference as _sheet_reference
from evq_ext.sheet.formats import DATE, DURATION, NUMBER, TIME
from tests.ext.conftest import compiled_parser

KINDS = bytes([NUMBER, DATE, TIME, DURATION])
Outcome = bytes | tuple[str, str]


def compiled_sheet() -> ModuleType:
    compiled_parser()  # skips where there is none
    from evq_ext.sheet import _sheet  # noqa: PLC0415

    return _sheet


@pytest.fixture(params=["reference", "compiled"])
def module(request: pytest.FixtureRequest) -> ModuleType:
    return _sheet_reference if request.param == "reference" else compiled_sheet()


def read(
    module: ModuleType, sheet: bytes, shared: bytes = b"", *, step: int = 1 << 30, epoch_1904: bool = False
) -> bytes:
    """Read a sheet in chunks of `step` bytes."""
    texts = module.SharedStrings()
    for start in range(0, len(shared), step):
        texts.feed(shared[start : start + step])
    if shared:
        texts.finish()
    reader = module.SheetReader(texts, KINDS, epoch_1904=epoch_1904)
    records = []
    for start in range(0, len(sheet), step):
        rest = sheet[start : start + step]
        while got := reader.feed(rest):
            records.append(got)
            rest = b""
    return b"".join([*records, reader.finish()])


def outcome(module: ModuleType, *args: bytes, step: int = 1 << 30, epoch_1904: bool = False) -> Outcome:
    try:
        return read(module, *args, step=step, epoch_1904=epoch_1904)
    except SheetError as error:
        return error.code, error.cell


def data(*rows: str) -> bytes:
    return f"<worksheet><sheetData>{''.join(rows)}</sheetData></worksheet>".encode()


def one(cell: str) -> bytes:
    return data(f"<row>{cell}</row>")


def texts(*items: str) -> bytes:
    return f"<sst>{''.join(f'<si>{item}</si>' for item in items)}</sst>".encode()


# Where cells are


@pytest.mark.parametrize(
    ("rows", "records"),
    [
        ('<row r="2"><c r="C2"><v>1</v></c></row>', "\n,,1\n"),
        ('<row r="1"><c r="A1"><v>1</v></c><c r="D1"><v>2</v></c></row><row r="3"><c/></row>', "1,,,2\n"),
        ("<row><c><v>1</v></c><c><v>2</v></c></row><row/><row><c/><c><v>3</v></c></row>", "1,2\n\n,3\n"),
        ('<row><c r="B7"><v>1</v></c><c><v>2</v></c></row><row><c><v>3</v></c></row>', "\n\n\n\n\n\n,1,2\n3\n"),
        ('<row r="5"/><row r="3" s="1"/>', ""),
        ('<row r="1"><c r="aa1"><v>1</v></c></row>', "," * 26 + "1\n"),
        ('<row r="1"><c r="A1"><v>1</v></c><c r="XFD1" s="3"/></row><row r="1048576"><c/></row>', "1\n"),
    ],
)  # fmt: skip
def test_record_n_is_row_n_and_nothing_is_behind_the_last_value(module: ModuleType, rows: str, records: str) -> None:
    assert read(module, data(rows)).decode() == records


@pytest.mark.parametrize(
    ("rows", "error"),
    [
        ('<row r="2"><c><v>1</v></c></row><row r="1"><c><v>1</v></c></row>', ("out_of_order", "A1")),
        ('<row r="2"><c><v>1</v></c></row><row r="2"><c><v>1</v></c></row>', ("out_of_order", "A2")),
        ('<row><c r="B1"><v>1</v></c><c r="A1"><v>1</v></c></row>', ("out_of_order", "A1")),
        ('<row><c r="IW1"><v>1</v></c></row>', ("too_wide", "IW1")),
        ('<row><c r="XFE1"/></row>', ("beyond_sheet", "XFE1")),
        ('<row r="1048577"/>', ("beyond_sheet", "1048577")),
        ('<row r="1048576"/><row/>', ("beyond_sheet", "1048577")),
        ('<row r="0"/>', ("beyond_sheet", "0")),
        ('<row r="-1"/>', ("beyond_sheet", "-1")),
        ('<row r="99999999999999999999999"/>', ("beyond_sheet", "99999999999999999999")),
        ('<row><c r="ZZZZZZZ1"/></row>', ("beyond_sheet", "ZZZZZZZ1")),
        ('<row><c r="A"/></row>', ("beyond_sheet", "A")),
        ('<row><c r="1A"/></row>', ("beyond_sheet", "1A")),
        ("<c><v>1</v></c>", ("beyond_sheet", "A0")),
        ('<row><c t="s"><v>0</v></c></row>', ("shared_missing", "A1")),
        ('<row><c t="s"><v>x</v></c></row>', ("shared_missing", "A1")),
    ],
)
def test_what_is_nowhere_is_an_error_that_names_it(module: ModuleType, rows: str, error: tuple[str, str]) -> None:
    assert outcome(module, data(rows)) == error


# What cells say


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ("<c><v>1012345678</v></c>", "1012345678"),
        ("<c><v>1.012345678E9</v></c>", "1012345678"),
        ("<c><v>8210123456789012</v></c>", "8210123456789012"),
        ("<c><v>9007199254740992</v></c>", "9007199254740992.0"),
        ("<c><v>-0</v></c>", "0"),
        ("<c><v>007</v></c>", "7"),
        ("<c><v>-3.0</v></c>", "-3"),
        ("<c><v>0.10000000000000001</v></c>", "0.1"),
        ("<c><v>1.50</v></c>", "1.5"),
        ("<c><v>0.00001</v></c>", "1e-05"),
        ("<c><v>0.0001</v></c>", "0.0001"),
        ("<c><v> 5\n</v></c>", "5"),
        ("<c><v>1e999</v></c>", "1e999"),
        ("<c><v>a, b</v></c>", '"a, b"'),
        ('<c t="b"><v>1</v></c>', "TRUE"),
        ('<c t="b"><v>0</v></c>', "FALSE"),
        ('<c t="b"><v>maybe</v></c>', "maybe"),
        ('<c t="e"><v>#N/A</v></c>', "#N/A"),
        ('<c t="e"><f>1/0</f><v>#DIV/0!</v></c>', "#DIV/0!"),
        ('<c t="str"><f>A1&amp;"x"</f><v>ax</v></c>', "ax"),
        ("<c><f>A1+1</f><v>42</v></c>", "42"),
        ("<c><f>A1+1</f></c>", ""),
        ('<c t="d"><v>2026-03-01T09:12:33</v></c>', "2026-03-01T09:12:33"),
        ('<c t="inlineStr"><is><t>김민수</t></is></c>', "김민수"),
        ('<c t="inlineStr"><is><r><t>a</t></r><r><rPr><b/></rPr><t xml:space="preserve"> b</t></r></is></c>', "a b"),
        ('<c t="inlineStr"><is><t>東京</t><rPh sb="0" eb="2"><t>トウキョウ</t></rPh></is></c>', "東京"),
        ('<c t="inlineStr"><is><t>a\r\nb_x000D_c&#10;d</t></is></c>', "a b c d"),
        ('<c t="inlineStr"><is><t>_x005F_x000D_ _x00e9_ _xD800_ _x_</t></is></c>', "_x000D_ é _xD800_ _x_"),
        ('<c t="inlineStr"><is><t>&lt;R&amp;D&gt; &#xAE40;&#48124; &nbsp; &#0; &#xD800; &</t></is></c>',
         "<R&D> 김민 &nbsp; &#0; &#xD800; &"),
        ('<c t="inlineStr"><is><t><![CDATA[<x> & y]]>z</t></is></c>', "<x> & yz"),
        ('<c t="inlineStr"><is><t>a<!-- <v>no</v> -->b<?pi >?>c</t></is></c>', "abc"),
        ('<c t="inlineStr"><is><t>say "hi"</t></is></c>', '"say ""hi"""'),
        ("<c t='inlineStr'><is><t>single</t></is></c>", "single"),
        ('<x:c  s = "0"\n t="inlineStr" ><x:is><x:t >prefixed</x:t></x:is></x:c >', "prefixed"),
        ('<c t="new"><v>whatever</v></c>', "whatever"),
    ],
)  # fmt: skip
def test_cells_become_the_text_that_was_meant(module: ModuleType, cell: str, text: str) -> None:
    assert read(module, one(cell)).decode() == (f"{text}\n" if text else "")


@pytest.mark.parametrize(
    ("style", "serial", "text"),
    [
        (1, "46082", "2026-03-01"),
        (2, "46082", "2026-03-01T00:00:00"),
        (1, "46082.75", "2026-03-01T18:00:00"),
        (2, "46082.383715277778", "2026-03-01T09:12:33"),
        (2, "46082.38371817129", "2026-03-01T09:12:33.250"),
        (2, "0.39583333333333331", "09:30:00"),
        (1, "0.9999999999", "1900-01-01"),
        (3, "1.25", "30:00:00"),
        (3, "0.0208333333333333", "0:30:00"),
        (1, "1", "1900-01-01"),
        (1, "59", "1900-02-28"),
        (1, "60", "1900-02-29"),
        (1, "61", "1900-03-01"),
        (1, "2958465", "9999-12-31"),
        (1, "2958466", "2958466"),
        (1, "-1", "-1"),
        (1, "4.6082E4", "2026-03-01"),
        (1, "tomorrow", "tomorrow"),
        (9, "46082", "46082"),
    ],
)
def test_the_style_says_that_a_number_is_a_date(module: ModuleType, style: int, serial: str, text: str) -> None:
    assert read(module, one(f'<c s="{style}"><v>{serial}</v></c>')).decode() == f"{text}\n"


def test_days_may_be_counted_from_1904(module: ModuleType) -> None:
    assert read(module, one('<c s="1"><v>44620</v></c>'), epoch_1904=True) == b"2026-03-01\n"
    assert read(module, one('<c s="1"><v>2957004</v></c>'), epoch_1904=True) == b"2957004\n"


def test_shared_texts_are_used_by_number(module: ModuleType) -> None:
    shared = texts("<t>first</t>", "", "<r><t>a, </t></r><r><t>b</t></r>", "<t/>", "<t>last</t>")
    cells = "".join(f'<c t="s"><v>{number}</v></c>' for number in (4, 0, 1, 2, 3, 0))
    assert read(module, one(cells), shared) == b'last,first,,"a, b",,first\n'
    assert outcome(module, one('<c t="s"><v>5</v></c>'), shared) == ("shared_missing", "A1")


@pytest.mark.parametrize("text", ["x" * 40_000, "가" * 40_000, "_x0041_" * 40_000, "&#x41;" * 900_000, "x" * 5_000_000])
def test_an_endless_text_keeps_one_character_too_many(module: ModuleType, text: str) -> None:
    sheet = one('<c t="s"><v>0</v></c>' + f'<c t="inlineStr"><is><t>{text}</t></is></c>' + '<c t="b"><v>1</v></c>')
    first, second, after = read(module, sheet, texts(f"<t>{text}</t>"), step=1 << 18).decode().rstrip().split(",")
    assert first == second
    assert len(first) == 32_768
    assert after == "TRUE"


def test_the_longest_text_of_a_cell_is_kept(module: ModuleType) -> None:
    assert len(read(module, one(f'<c t="str"><v>{"가" * 32_767}</v></c>')).decode()) == 32_767 + 1


def test_line_ends_count_as_the_one_blank_that_they_become(module: ModuleType) -> None:
    for end in ("\r\n", "_x000D__x000A_"):
        cell = f'<c t="inlineStr"><is><t>{end * 20_000}kim@example.org</t></is></c>'
        assert len(read(module, one(cell))) == 20_000 + len("kim@example.org") + 1
        longer = read(module, one(cell.replace("kim", end + "x" * 40_000)))
        assert len(longer) == 32_768 + 1  # one character too many, so that the row is refused


# What cannot be read


@pytest.mark.parametrize(
    "sheet",
    [b"", b"nonsense", b"<worksheet/>", b"<worksheet><sheetData>", data()[:-30], b'<sheetData a="' + b"x" * 70_000],
)
def test_a_sheet_that_is_not_whole_is_damaged(module: ModuleType, sheet: bytes) -> None:
    assert outcome(module, sheet) == ("damaged", "")


def test_shared_texts_that_are_not_whole_are_damaged(module: ModuleType) -> None:
    assert outcome(module, data(), texts("<t>a</t>")[:-3]) == ("damaged", "")


def test_a_document_type_is_refused(module: ModuleType) -> None:
    assert outcome(module, b'<!DOCTYPE x [<!ENTITY a "b">]><sheetData/>') == ("doctype", "")
    assert outcome(module, data(), b"<!DOCTYPE x><sst/>") == ("doctype", "")


def test_shared_texts_have_a_limit_together(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evq_ext._tables.SHARED_MAX_BYTES", 100)
    monkeypatch.setattr("evq_ext.sheet._reference.SHARED_MAX_BYTES", 100)
    assert read(module, data(), texts(*["<t>123456</t>"] * 10)) == b""
    assert outcome(module, data(), texts(*["<t>123456</t>"] * 10, "")) == ("shared_too_long", "")


def test_the_reader_pauses_when_it_has_written_a_mebibyte(module: ModuleType) -> None:
    shared = module.SharedStrings()
    shared.feed(texts(f"<t>{'x' * 30_000}</t>"))
    reader = module.SheetReader(shared)
    rest, pieces = data(*['<row><c t="s"><v>0</v></c></row>'] * 1_000), []
    while got := reader.feed(rest):
        pieces.append(len(got))
        rest = b""
    assert max(pieces) < 1_100_000
    assert sum(pieces) == 1_000 * 30_001 - 1


def test_a_reader_that_is_done_takes_no_notice_of_the_rest(module: ModuleType) -> None:
    reader = module.SheetReader(module.SharedStrings())
    assert reader.feed(b"<sheetData><row><c><v>1</v></c></row></sheetData><!DOCTYPE") == b"1"
    assert reader.feed(b"<row><c><v>2</v></c></row>") == b""
    assert reader.finish() == b"\n"


def test_shared_texts_take_no_more_once_a_sheet_is_read_with_them(module: ModuleType) -> None:
    shared = module.SharedStrings()
    shared.feed(b"<sst><si><t>a</t></si>")
    reader = module.SheetReader(shared)
    with pytest.raises(RuntimeError, match="feed all of them before"):
        shared.feed(b"</sst>")
    assert reader.feed(one('<c t="s"><v>0</v></c>')) == b"a"


# Both alike

TAGS = ["row", "c", "v", "f", "is", "t", "r", "rPh", "si", "sst", "sheetData", "x:c", "x:v", "mergeCell"]
ATTRIBUTES = [
    'r="A1"',
    "r='C2'",
    'r="3"',
    't="s"',
    't="str"',
    't="b"',
    't="d"',
    's="1"',
    's="2"',
    's="3"',
    "r",
    '"',
    "=",
]
TEXTS = ["0", "1", "46082.5", "0.39583333333333331", "1E5", "-0", "1.50", "12345678901234567", "_x000D_", "_x", "&amp;",
         "&#65;", "&", ";", "a,b", '"', "\r\n", "\n", " ", "김", "<", ">", "/", "<![CDATA[", "]]>", "<!--", "-->", "<?",
         "?>", "<!", "#N/A"]  # fmt: skip
PIECES = st.one_of(
    st.sampled_from([text.encode() for text in TEXTS]),
    st.tuples(st.sampled_from(TAGS), st.lists(st.sampled_from(ATTRIBUTES), max_size=3), st.sampled_from(["", "/"])).map(
        lambda tag: f"<{' '.join([tag[0], *tag[1]])}{tag[2]}>".encode()
    ),
    st.sampled_from([f"</{tag}>".encode() for tag in TAGS]),
    st.sampled_from([b'<c t="s"><v>0</v></c>', b'<c s="2"><v>46082.25</v></c>', b'<c t="inlineStr"><is><t>']),
    st.binary(max_size=3),
)
MARKUP = st.lists(PIECES, max_size=25).map(b"".join)


@settings(max_examples=600, deadline=None)
@given(
    sheet=MARKUP.map(lambda text: b"<sheetData>" + text + b"</c></sheetData>") | st.binary(max_size=60),
    shared=st.just(b"") | MARKUP.map(lambda text: b"<sst><si><t>x</t></si>" + text + b"</t></si></sst>"),
    steps=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    epoch_1904=st.booleans(),
)
@example(sheet=b"<sheetData><row><c><v>\xff<", shared=b"", steps=(1, 2), epoch_1904=False)
@example(
    sheet=b"<sheetData><row><c t='s'><v>-0</v></c></sheetData>",
    shared=b"<sst><si/></sst>",
    steps=(9, 9),
    epoch_1904=False,
)
def test_compiled_and_reference_agree_on_any_bytes_cut_anywhere(
    sheet: bytes, shared: bytes, steps: tuple[int, int], epoch_1904: bool
) -> None:
    expected = outcome(_sheet_reference, sheet, shared, epoch_1904=epoch_1904)
    assert outcome(_sheet_reference, sheet, shared, step=steps[0], epoch_1904=epoch_1904) == expected
    assert outcome(compiled_sheet(), sheet, shared, step=steps[1], epoch_1904=epoch_1904) == expected


@settings(max_examples=100, deadline=None)
@given(
    text=st.lists(st.sampled_from(["x" * 5, "가", "&amp;", "<!-- -->", "<![CDATA[yyyyyyy]]>", "_x000D_"]), max_size=20),
    run=st.integers(1, 12),
    tag=st.integers(8, 60),
    step=st.integers(1, 20),
)
def test_chunks_may_be_cut_anywhere_near_the_bounds(text: list[str], run: int, tag: int, step: int) -> None:
    """The bounds are too large to be met by chance, so they are made small."""
    sheet = one(f'<c r="B1" t="str"><v>{"".join(text)}</v></c>')
    with pytest.MonkeyPatch.context() as patch:
        for module in ("_tables", "sheet._markup"):
            patch.setattr(f"evq_ext.{module}.RUN_MAX_BYTES", run)
            patch.setattr(f"evq_ext.{module}.TAG_MAX_BYTES", tag)
        expected = outcome(_sheet_reference, sheet)
        assert outcome(_sheet_reference, sheet, step=step) == expected
        assert outcome(compiled_sheet(), sheet, step=step) == expected


WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\r\n_"), max_size=8).filter(str.isprintable)


@settings(max_examples=200, deadline=None)
@given(rows=st.lists(st.lists(WORDS | st.sampled_from(["<&>", '"', "a,b", " ", "]]>", "'"]), max_size=5), max_size=5))
def test_what_a_real_xml_writer_writes_is_read(rows: list[list[str]]) -> None:
    root = ET.Element("{urn:x}worksheet")
    for row in rows:
        line = ET.SubElement(ET.SubElement(root, "{urn:x}sheetData") if len(root) == 0 else root[0], "{urn:x}row")
        for text in row:
            cell = ET.SubElement(line, "{urn:x}c", {"t": "inlineStr"})
            ET.SubElement(ET.SubElement(cell, "{urn:x}is"), "{urn:x}t").text = text
    if not rows:
        ET.SubElement(root, "{urn:x}sheetData")
    for module in (_sheet_reference, compiled_sheet()):
        records = read(module, ET.tostring(root, encoding="utf-8", xml_declaration=True))
        found = [list(cells) for _, cells in read_records(records)]
        assert [_stripped(cells) for cells in found] == [_stripped(row) for row in _without_end(rows)]


def _stripped(cells: list[str]) -> list[str]:
    return cells if not cells or cells[-1] else _stripped(cells[:-1])


def _without_end(rows: list[list[str]]) -> list[list[str]]:
    return rows if not rows or any(rows[-1]) else _without_end(rows[:-1])


def test_attributes_are_read_as_far_as_they_are_well_formed() -> None:
    assert _markup.attributes_of(b""" a="1" b = '2'\n c:d="" e f="3" """) == {b"a": b"1", b"b": b"2", b"c:d": b""}
    assert _markup.attributes_of(b' a="1" a="2"') == {b"a": b"2"}
