"""The compiled parser against its specification: the same batches for any bytes, cut anywhere."""

from __future__ import annotations

import inspect
import threading
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from evq_ext import Column, _tables
from evq_ext.contacts import authority
from evq_ext.rows import _records, _rules
from evq_ext.rows._reference import RowParser as ReferenceParser

if TYPE_CHECKING:
    from evq_ext import RowParser
    from tests.ext.conftest import Parser, ReadWith

FAST = settings(max_examples=300, deadline=None)

TEXTS = ["김", "홍길동", "\u1112\u1169", "é", "e\u0301", "\u200b", "\u00a0", "\u3000", "😀", "\ufeff", "Å", "Ⅷ"]
PIECES = st.sampled_from(
    [
        *(b'"', b'""', b",", b",", b";", b"\n", b"\r", b"\r\n", b" ", b"\t", b"\x00", b"\x7f", b"\x1c", b"a", b"Z"),
        *(text.encode() for text in TEXTS),
        *(b"\xff", b"\xc0\xaf", b"\xea\xb0", b"\xed\xa0\x80", b"\xe0\x80\xa9", b"\x80", b"\xc2\x85"),
        *(
            b"@",
            b".",
            b"-",
            b"a@x.kr",
            b"A@X.kr",
            b"b.c+d@sub.example.org",
            b"a@b",
            b"a@x.test",
            b"a@-x.kr",
            b"a@x--y.kr",
            b"a@gmial.com",
            b"A@Hanmail.COM",
        ),
        *(b"010-1234-5678", b"01012345678", b"1012345678", b"+82 10.2345.6789", b"010 5999 1234", b"02-312-3456", b"0"),
        *(b"312001234", b"15881234", b"1.01235E+10", b"+1 (201) 555-0123", b"+44 020 7946 0000", b"("),
        *(b"'", b"'=", b"'+82 10-2345-6789", b"'\t", "'\uff20".encode()),
        *(b"x" * 201, "가".encode() * 2_001, b"x" * 32_768),
    ]
)

DATA = st.lists(PIECES, max_size=60).map(b"".join)
# Files that are mostly sound, so that the plain path, the duplicates and the column order are met as well.
ROW = st.tuples(
    st.sampled_from(["김", "Kim", " Kim\tMin ", '"Kim, Min"', '"Kim ""M"""', ""]).map(str.encode) | PIECES,
    st.sampled_from(["a@x.kr", "A@x.KR", "b@x.kr", "c@한국.kr", "c@gmial.com", "D@NAVER.CON", "bad", ""]).map(
        str.encode
    ),
    st.sampled_from(
        [
            *(b"", b"010-1234-5678", b"+82-10-2345-6789", b"'+82-10-2345-6789", b"1012345678", b"031-200-1234", b"12"),
            *(b"+1 201 555 0123", b"2015550123", b"312001234", b"1.0E+10"),
        ]
    ),
    st.sampled_from([b"", b"note", "ß".encode(), "ẞ".encode(), "김".encode(), b"NOTE", b'"two\r\nlines"']) | PIECES,
).map(b",".join)
FILE = st.tuples(st.lists(ROW, max_size=12), st.sampled_from([b"\n", b"\r\n", b"\r"])).map(
    lambda parts: parts[1].join(parts[0])
)

COLUMNS = (Column("name", "name"), Column("email", "email"), Column("phone", "phone"), Column("note", "text"))
LAYOUTS = st.sampled_from(
    [
        COLUMNS,
        (Column("email", "email"),),
        (None, Column("email", "email"), None),
        (Column("a", "email"), Column("b", "email"), Column("phone", "phone")),
        (Column("name", "name"), Column("email", "email"), None, Column("note", "choice", ("Note", "김", "ẞ"))),
    ]
)
OPTIONS = st.fixed_dictionaries(
    {
        "duplicates": st.sampled_from(["skip", "update", "error"]),
        "number_by": st.sampled_from(["line", "record"]),
        "skip_records": st.integers(0, 2),
        "delimiter": st.sampled_from([b",", b",", b";"]),
        "region": st.sampled_from(["KR", "KR", "US"]),
    }
)
CUTS = st.lists(st.integers(0, 400), max_size=8)


@FAST
@given(data=DATA | FILE, columns=LAYOUTS, options=OPTIONS, cuts=CUTS)
@example(data=b'"a\r\nb",a@x.kr\r\n', columns=COLUMNS, options={}, cuts=[3, 16])
@example(data=b'"a"",a@x.kr\n"b,"",b@x.kr', columns=COLUMNS, options={}, cuts=[3])
@example(data="가".encode() * 40_000 + b",a@x.kr", columns=COLUMNS, options={}, cuts=[7])
def test_compiled_and_reference_agree_on_any_bytes(
    compiled: type[RowParser], read_with: ReadWith, data: bytes, columns: Any, options: dict[str, Any], cuts: list[int]
) -> None:
    cuts = [cut for cut in cuts if cut <= len(data)]
    assert read_with(compiled, data, columns, cuts=cuts, **options) == read_with(
        ReferenceParser, data, columns, cuts=cuts, **options
    )


@FAST
@given(data=DATA | FILE, cuts=CUTS)
def test_chunks_may_be_cut_anywhere(read_with: ReadWith, data: bytes, cuts: list[int]) -> None:
    cuts = [cut for cut in cuts if cut <= len(data)]
    assert read_with(ReferenceParser, data, COLUMNS, cuts=cuts) == read_with(ReferenceParser, data, COLUMNS)


@FAST
@given(
    data=DATA | FILE, cuts=st.lists(st.integers(0, 60), max_size=4), bound=st.integers(2, 30), lines=st.integers(1, 4)
)
def test_chunks_may_be_cut_anywhere_near_the_bounds(
    read_with: ReadWith, data: bytes, cuts: list[int], bound: int, lines: int
) -> None:
    """The bounds are too large to be met by chance, so they are made small."""
    cuts = [cut for cut in cuts if cut <= len(data)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_records, "QUOTED_MAX_BYTES", bound)
        patch.setattr(_records, "RECORD_MAX_BYTES", 2 * bound)
        patch.setattr(_records, "RECORD_MAX_LINES", lines)
        assert read_with(ReferenceParser, data, COLUMNS, cuts=cuts) == read_with(ReferenceParser, data, COLUMNS)


@settings(parent=FAST, max_examples=40)
@given(
    units=st.lists(
        st.sampled_from([b'"', b'""', b",", b"\n", b"\r\n", b"x\n" * 499, b"y" * 32_767, b"z" * 65_534]), max_size=30
    ),
    cuts=st.lists(st.integers(0, 200_000), max_size=5),
)
@example(units=[b'"', b"x\n" * 499, b"x\n" * 499, b"\n", b'"'], cuts=[])
@example(units=[b'"', b"z" * 65_534, b"x", b"x", b'"'], cuts=[65_537])
@example(units=[b'"', b"z" * 65_534, b"x", b'""', b'"'], cuts=[65_538])
def test_compiled_and_reference_agree_near_the_bounds(
    compiled: type[RowParser], read_with: ReadWith, units: list[bytes], cuts: list[int]
) -> None:
    data = b"".join(units)
    cuts = [cut for cut in cuts if cut <= len(data)]
    assert read_with(compiled, data, cuts=cuts) == read_with(ReferenceParser, data)


def test_with_other_library_versions_both_hand_everything_over(
    compiled: type[RowParser], read_with: ReadWith, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def ask(text: str, *_: str) -> str:
        asked.append(text)
        return f"asked {text}"

    monkeypatch.setattr(authority, "EMAIL_TABLES_FIT", False)
    monkeypatch.setattr(authority, "PHONE_TABLES_FIT", False)
    monkeypatch.setattr(authority, "ask_email", ask)
    monkeypatch.setattr(authority, "ask_e164", ask)
    for parser_class in (compiled, ReferenceParser):
        reading = read_with(parser_class, b"a,a@x.kr,010-1234-5678", COLUMNS)
        assert reading.columns["email"] + reading.columns["phone"] == ["asked a@x.kr", "asked 010-1234-5678"]
    assert asked == ["a@x.kr", "010-1234-5678"] * 2


def test_no_library_is_asked_about_usual_values(
    compiled: type[RowParser], read_with: ReadWith, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ask(text: str, *_: str) -> str:
        raise AssertionError(f"asked about {text}")

    monkeypatch.setattr(authority, "ask_email", ask)
    monkeypatch.setattr(authority, "ask_e164", ask)
    emails = ["a@x.kr", "Kim.Minsu+gala@Sub.Example.co.kr", "o'brien_1@a-b.museum", "a@gmial.com"]
    phones = ["010-1234-5678", "+82 10 1234 5678", "+82(0)10.1234.5678", "1012345678", "02)312-3456", "15881234", ""]
    data = "".join(f"a,{n}{email},{phone}\n" for n, phone in enumerate(phones) for email in emails).encode()
    for parser_class in (compiled, ReferenceParser):
        assert read_with(parser_class, data, COLUMNS).records == len(emails) * len(phones)


def test_the_compiled_core_refuses_without_asking_what_is_usually_wrong(
    compiled: type[RowParser], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library is asked for its reason when somebody looks."""
    data = "".join(f"a,a@x.kr,{phone}\n" for phone in ("010-1234-56", "010-12345-6789", "12", "(-)", "+82 10 123"))
    data += "".join(
        f"a,{email},\n" for email in ("a", "a@b", "a b@x.kr", "a@x.test", "a@@x.kr", "a@x..kr", "a@x,kr", "@x.kr")
    )
    with monkeypatch.context() as patch:
        patch.setattr(authority, "ask_email", None)
        patch.setattr(authority, "ask_e164", None)
        parser = compiled(COLUMNS)
        batch = parser.feed(data.encode())
    assert [reject.errors[0].code for reject in batch.rejects] == ["phone_invalid"] * 5 + ["email_invalid"] * 8


@pytest.mark.parametrize("method", ["feed", "finish"])
def test_compiled_and_reference_have_the_same_signatures(compiled: type[RowParser], method: str) -> None:
    def parameters(parser_class: type) -> list[str]:
        return list(inspect.signature(getattr(parser_class, method)).parameters)

    assert parameters(compiled) == parameters(ReferenceParser)


def test_a_second_thread_in_the_same_compiled_parser_is_refused_not_obeyed(compiled: type[RowParser]) -> None:
    parser = compiled(COLUMNS)
    chunk = b"a,a@x.kr\n" * 200_000
    refused = []

    def feed() -> None:
        try:
            parser.feed(chunk)
        except RuntimeError as error:
            refused.append(error)

    threads = [threading.Thread(target=feed) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert parser.records == (2 - len(refused)) * 200_000


WORDS = ["미정", "全角", "tel: 없음", "xx", "(-)"]
PERHAPS = [
    "골뱅이 없음",
    "없음@",
    "a@한국",
    "a@한국.kr",
    "\uff11\uff12",
    "\uff0b\uff18\uff12\uff11\uff10\uff12\uff13\uff14\uff15\uff16\uff17\uff18\uff19",
    "전화 \u0660\u0661\u0660",
    "+없음",
    "없음 010-2345-6789",
    "없음\uff0b",
]


@pytest.mark.parametrize("value", [*WORDS, *PERHAPS, *_tables.NO_PHONE])
def test_compiled_and_reference_agree_on_words_in_the_place_of_an_address_or_a_number(
    compiled: type[RowParser], read_with: ReadWith, value: str
) -> None:
    data = f"a,{value},\nb,b@x.kr,{value}\n".encode()
    assert read_with(compiled, data, COLUMNS) == read_with(ReferenceParser, data, COLUMNS)


@pytest.mark.parametrize("value", WORDS)
def test_words_in_the_place_of_an_address_or_a_number_are_refused_without_a_question(
    compiled: type[RowParser], monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    def judge(*_: object) -> None:
        raise AssertionError("the rules are asked")

    monkeypatch.setattr(_rules.Rules, "judge", judge)
    assert len(compiled(COLUMNS).feed(f"a,{value},\nb,b@x.kr,{value}\n".encode()).rejects) == 2


@pytest.mark.parametrize("error", [MemoryError, KeyboardInterrupt])
def test_a_parser_in_which_a_call_was_broken_off_reads_no_further(
    impl: Parser, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    def judge(*_: object) -> None:
        raise error

    parser = impl(COLUMNS)
    with monkeypatch.context() as patch:
        patch.setattr(_rules.Rules, "judge", judge)
        with pytest.raises(error):
            parser.feed("😀,a@x.kr\nb,b@x.kr\n".encode())
    with pytest.raises(RuntimeError, match="broken off"):
        parser.feed(b"c,c@x.kr\n")
    with pytest.raises(RuntimeError, match="broken off"):
        parser.finish()


def test_a_file_whose_rows_could_not_be_numbered_is_refused(impl: Parser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_tables, "FILE_MAX_BYTES", 10)
    parser = impl(COLUMNS)
    parser.feed(b"a,a@x.kr\n")
    with pytest.raises(ValueError, match="11 bytes are too many for one file; at most 10"):
        parser.feed(b"b,")
    assert parser.finish().count == 0  # what was refused is not half read


def test_rejects_are_judged_wherever_they_are_looked_at(impl: Parser) -> None:
    rejects = impl(COLUMNS).feed("".join(f"a,bad{row},\n" for row in range(5)).encode()).rejects
    assert [reject.row for reject in rejects] == [1, 2, 3, 4, 5]
    assert rejects[-1].cells == ("a", "bad4", "")
    assert [reject.cells[1] for reject in rejects[1:4:2]] == ["bad1", "bad3"]
    with pytest.raises(IndexError):
        rejects[5]


@pytest.mark.parametrize("duplicates", ["skip", "error", "update"])
def test_any_rows_may_be_duplicates(compiled: type[RowParser], read_with: ReadWith, duplicates: str) -> None:
    for pattern in range(1 << 8):
        emails = ("a@x.kr" if pattern >> row & 1 else f"{row}@x.kr" for row in range(8))
        data = "".join(f"name {row},{email},,note\n" for row, email in enumerate(emails)).encode()
        assert read_with(compiled, data, COLUMNS, duplicates=duplicates) == read_with(
            ReferenceParser, data, COLUMNS, duplicates=duplicates
        )
