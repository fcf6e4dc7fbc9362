"""Where records end, what their cells are, and how a file recovers from a broken one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from evq_ext import Column, read_records, sniff_delimiter
from evq_ext._tables import DELIMITERS, QUOTED_MAX_BYTES, RECORD_MAX_BYTES, RECORD_MAX_LINES

if TYPE_CHECKING:
    from tests.ext.conftest import Read

WITH_NOTE = (Column("name", "name"), Column("email", "email"), Column("note", "text"))


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("ended", [True, False])
def test_records_end_at_lf_crlf_or_cr_and_the_last_one_needs_no_end(read: Read, line_end: str, ended: bool) -> None:
    reading = read(f"a,a@x.kr{line_end}b,b@x.kr{line_end if ended else ''}")
    assert reading.columns == {"name": ["a", "b"], "email": ["a@x.kr", "b@x.kr"]}
    assert reading.rows == [1, 2]


def test_mixed_line_ends_are_counted_as_the_lines_they_are(read: Read) -> None:
    assert read("a,a@x.kr\r\nb,b@x.kr\rc,c@x.kr\n\nd,d@x.kr\r\re,e@x.kr").rows == [1, 2, 3, 5, 7]


@pytest.mark.parametrize("delimiter", DELIMITERS)
def test_each_delimiter_cuts_and_the_others_are_text(read: Read, delimiter: bytes) -> None:
    other = b"|" if delimiter != b"|" else b";"
    reading = read(b"a" + other + b"b" + delimiter + b"a@x.kr", delimiter=delimiter)
    assert reading.columns["name"] == [f"a{other.decode()}b"]


def test_quoted_cells_hold_delimiters_line_ends_and_doubled_quotes(read: Read) -> None:
    reading = read('"Kim, ""Min""\r\nSu",a@x.kr\r\nb,b@x.kr')
    assert reading.columns["name"] == ['Kim, "Min" Su', "b"]
    assert reading.rows == [1, 3]


def test_a_quote_inside_a_cell_is_text(read: Read) -> None:
    assert read('5" Kim,a@x.kr\n "b",b@x.kr').columns["name"] == ['5" Kim', '"b"']


def test_text_after_a_closing_quote_is_appended_as_it_is(read: Read) -> None:
    assert read('"Kim" Min "x",a@x.kr').columns["name"] == ['Kim Min "x"']


def test_a_bom_is_skipped_at_the_very_start_only(read: Read) -> None:
    reading = read(b'\xef\xbb\xbf"a",a@x.kr', cuts=[1, 2])
    assert reading.columns["name"] == ["a"]
    assert reading.consumed == 13


@pytest.mark.parametrize("data", [b"", b"\xef\xbb\xbf", b"\n\r\r\n", b",\n , \n\t,\xe2\x80\x8b\n", b'"",""\n'])
def test_blank_and_all_empty_records_are_skipped_silently(read: Read, data: bytes) -> None:
    reading = read(data)
    assert (reading.rows, reading.rejects, reading.records) == ([], [], 0)
    assert reading.consumed == len(data)


def test_lines_are_counted_inside_quotes_and_through_blank_records(read: Read) -> None:
    assert read('\n"a\n\nb",a@x.kr\n\nc,c@x.kr').rows == [2, 6]


def test_records_are_counted_blank_ones_too(read: Read) -> None:
    assert read('\n"a\n\nb",a@x.kr\n\nc,c@x.kr', number_by="record").rows == [2, 4]


def test_skipped_records_yield_nothing_but_are_counted(read: Read) -> None:
    reading = read("title\n\nname,email\na,a@x.kr", skip_records=3)
    assert (reading.rows, reading.rejects, reading.records) == ([4], [], 1)


def test_an_open_quote_costs_its_line_only(read: Read) -> None:
    reading = read('a,a@x.kr\n"b,b@x.kr\nc,c@x.kr\n"d",d@x.kr'.replace('"d"', "d"))
    assert reading.codes == [(2, ["unclosed_quote"])]
    assert reading.rejects[0].cells == ('"b', "b@x.kr")
    assert reading.rows == [1, 3, 4]


@pytest.mark.parametrize("later", ['"c","c@x.kr"', 'c,"c@x.kr"', '"c ""x""","c@x.kr"'])
def test_an_open_quote_that_the_next_quote_closes_costs_its_line_only(read: Read, later: str) -> None:
    reading = read(f'"a,a@x.kr\nb,b@x.kr\n{later}\nd,d@x.kr')
    assert reading.codes == [(1, ["unclosed_quote"])]
    assert reading.rows == [2, 3, 4]


def test_blanks_may_stand_behind_a_cell_of_several_lines(read: Read) -> None:
    reading = read('"a\nb" \t,a@x.kr\n"c"d,c@x.kr')
    assert (reading.columns["name"], reading.rows) == (["a b", "cd"], [1, 3])


def test_a_quote_open_for_a_thousand_lines_is_given_up(read: Read) -> None:
    rest = "".join(f"b{i},b{i}@x.kr\n" for i in range(RECORD_MAX_LINES))
    reading = read(f'"a,a@x.kr\n{rest}c,"c@x.kr"\n')
    assert reading.codes == [(1, ["unclosed_quote"])]
    assert len(reading.rows) == RECORD_MAX_LINES + 1


@pytest.mark.parametrize(
    ("lines", "codes"), [(RECORD_MAX_LINES - 1, []), (RECORD_MAX_LINES, [(1, ["unclosed_quote"])])]
)
def test_line_ends_count_in_all_quotes_of_a_record_together(read: Read, lines: int, codes: list[Any]) -> None:
    first, second = "\r\n" * (lines // 2), "\n" * (lines - lines // 2)
    reading = read(f'"a{first}b",a@x.kr,"{second}"', WITH_NOTE)
    assert reading.codes == codes


@pytest.mark.parametrize(("excess", "codes"), [(0, ["cell_too_long"]), (1, ["unclosed_quote"])])
def test_a_quote_open_for_64_kib_is_given_up(read: Read, excess: int, codes: list[str]) -> None:
    reading = read(b'"%b",a@x.kr\nb,b@x.kr' % (b"x" * (QUOTED_MAX_BYTES + excess)))
    assert reading.codes == [(1, codes)]
    assert reading.rows == [2]


def test_a_record_that_reopens_a_quote_on_each_line_does_not_go_on_for_ever(read: Read) -> None:
    reading = read('a","b\n' * (RECORD_MAX_LINES + 10))
    assert reading.codes[0] == (1, ["unclosed_quote"])
    assert reading.records == RECORD_MAX_LINES + 10


@pytest.mark.parametrize("excess", [0, 1, 3 * RECORD_MAX_BYTES])
def test_a_line_above_1_mib_is_rejected_and_the_next_one_read(read: Read, excess: int) -> None:
    first = b"a,a@x.kr,".ljust(RECORD_MAX_BYTES + excess, b"x")
    cuts = range(1, len(first), 400_000)
    reading = read(first + b"\r\nb,b@x.kr", cuts=cuts)
    assert reading.codes == [(1, ["row_too_long"] if excess else ["too_many_cells"])]
    assert sum(map(len, reading.rejects[0].cells)) < RECORD_MAX_BYTES
    assert reading.rows == [2]


def test_nothing_but_the_open_record_is_kept_between_two_feeds(read: Read) -> None:
    reading = read(b"\xff" * (8 * RECORD_MAX_BYTES), cuts=range(0, 8 * RECORD_MAX_BYTES, 1 << 20))
    assert reading.codes == [(1, ["row_too_long"])]
    assert reading.consumed == 8 * RECORD_MAX_BYTES


def test_the_head_of_a_file_is_read_with_blank_records_and_lines() -> None:
    assert read_records('\ufeff제목\n\n이름;"메\n일"\nb'.encode(), delimiter=b";", limit=3) == [
        (1, ("제목",)),
        (2, ("",)),
        (3, ("이름", "메\n일")),
    ]


def test_a_head_cut_inside_a_character_or_quote_is_still_read() -> None:
    assert read_records("a,b\nc,가".encode()[:-1])[1] == (2, ("c", "\ufffd"))
    assert read_records(b'a,b\n"c,d') == [(1, ("a", "b")), (2, ('"c', "d"))]


@pytest.mark.parametrize("delimiter", DELIMITERS)
def test_the_delimiter_of_the_most_regular_records_is_sniffed(delimiter: bytes) -> None:
    head = 'Title, with a comma\n\nNote\nNote\nNote\n이름|메일|소속\n김|a@x.kr|"A, B"\n이|b@x.kr|C; D\n'.encode()
    assert sniff_delimiter(head.replace(b"|", delimiter)) == delimiter


def test_without_any_delimiter_the_comma_is_sniffed() -> None:
    assert sniff_delimiter(b"email\na@x.kr\n") == b","
    assert sniff_delimiter(b"") == b","


def test_the_sep_line_of_excel_is_obeyed() -> None:
    assert sniff_delimiter(b"sep=|\r\na,b|c,d\r\n") == b"|"
