"""The page: complete, self-contained, and with the same words in both languages."""

import re
from pathlib import Path

import evq_server

WEB = Path(evq_server.__file__).parent / "web"
HTML = (WEB / "index.html").read_text(encoding="utf-8")
APP = (WEB / "app.js").read_text(encoding="utf-8")
TEXTS = (WEB / "texts.js").read_text(encoding="utf-8")


def words(language: str) -> dict[str, str]:
    block = re.search(rf"\n  {language}: \{{(.*?)\n  \}},", TEXTS, re.DOTALL)
    assert block is not None
    return dict(re.findall(r'(\w+): "((?:[^"\\]|\\.)*)"', block.group(1)))


def test_both_languages_have_the_same_words_with_the_same_places() -> None:
    english, korean = words("en"), words("ko")
    assert english.keys() == korean.keys()
    for name, text in english.items():
        assert sorted(re.findall(r"\{\w+\}", text)) == sorted(re.findall(r"\{\w+\}", korean[name])), name


def test_every_word_that_the_page_uses_exists_and_no_other() -> None:
    scripts = "".join(path.read_text(encoding="utf-8") for path in WEB.glob("*.js"))
    used = set(re.findall(r'data-text="(\w+)"', HTML)) | set(re.findall(r'\btext\([^)]*?"(\w+)"', scripts))
    used |= {word for pair in re.findall(r'\btext\([^)]*\? "(\w+)" : "(\w+)"', scripts) for word in pair}
    figures = re.search(r"FIGURES = \[(.*?)\]", APP)
    assert figures is not None
    used |= set(re.findall(r'"(\w+)"', figures.group(1)))
    used |= {"pending", "processing", "completed", "failed", "cancelled"}  # `text(shown)`
    assert used == words("en").keys()


def test_an_import_of_nobody_is_shown_as_failed_and_says_why() -> None:
    assert 'shown = hasNobody(frame.data.result) ? "failed" : frame.status' in APP
    assert 'if (hasNobody(result)) return text("saidNobody", { n: number(result.errorCount) })' in APP


def test_every_element_that_the_script_asks_for_exists_once() -> None:
    ids = re.findall(r'\bid="([\w-]+)"', HTML)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'\$\("([\w-]+)"\)', APP)) <= set(ids)


def test_the_page_needs_no_inline_code_and_no_other_host() -> None:
    for path in WEB.iterdir():
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text), path.name
        assert not re.search(r"\son\w+=|\sstyle=|<style|<script(?![^>]*\bsrc=)", text), path.name
        assert "innerHTML" not in text


def test_every_field_has_a_label() -> None:
    for field in re.findall(r"<(?:input|select)\b[^>]*>", HTML):
        before = HTML[: HTML.index(field)]
        assert before.rfind("<label") > before.rfind("</label>"), field
