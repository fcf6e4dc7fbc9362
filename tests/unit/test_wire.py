import pytest

from evq.wire import Head, Words, pack


@pytest.mark.parametrize("words", [[], ["noop", b"", 7, 0.5], ["\n", b"*2\r\n$1\r\n", "é"], [b"x" * (1 << 17)] * 9])
def test_a_head_and_words_are_the_command_that_they_make_together(words: Words) -> None:
    head: Words = ["EVALSHA", "0" * 40, 2, b"evq:{q}:records", b"evq:{q}:waiting"]
    assert Head(head).pack(words) == pack([*head, *words])
