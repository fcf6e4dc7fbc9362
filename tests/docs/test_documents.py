"""What the documents say is true: examples run, links lead somewhere, names are those of the code."""

import ast
import inspect
import re
from pathlib import Path

import pytest

from evq import settings as framework
from evq.keys import KEYS
from evq.lifecycle import NEW, TRANSITIONS, State
from evq_server.settings import Settings, SettingsError

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


async def test_the_first_example_of_the_readme_runs(redis_url: str) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    # The example's Redis and its endless worker are the only things that are changed.
    source = blocks[0].replace("redis://127.0.0.1:6379/0", redis_url).replace(".run()", ".run(burst=True)")
    names: dict[str, object] = {}
    code = compile(source, "README.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    run = eval(code, names)
    if inspect.isawaitable(run):
        await run

    assert names["value"] == "sent K7Q2MD to a@example.org"
    await names["queue"].close()  # type: ignore[attr-defined]  # the example's own queue


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_leads_to_a_file(document: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", document.read_text())

    assert [link for link in links if not (document.parent / link).exists()] == []


def test_the_settings_page_names_every_setting_and_no_other() -> None:
    page = (ROOT / "docs" / "reference" / "settings.md").read_text()
    named = set(re.findall(r"`(EVQ_[A-Z_]+|REDIS_[A-Z]+|WORKER_COUNT)`", page))
    with pytest.raises(SettingsError) as refused:
        Settings.from_env({"EVQ_UNKNOWN": "1"})
    known = set(re.findall(r"EVQ_[A-Z_]+", str(refused.value))) - {"EVQ_UNKNOWN"}
    internal = {"EVQ_POOL_PID"}

    assert named == known | (framework.NAMES - internal) | {"REDIS_HOST", "REDIS_PORT", "WORKER_COUNT"}


def test_every_target_that_the_documents_name_can_be_made() -> None:
    makefile = (ROOT / "Makefile").read_text()
    text = "\n".join(document.read_text() for document in DOCUMENTS)
    targets = set(re.findall(r"\bmake ([a-z]+)\b(?=\s*(?:#|`|\n))", text))

    assert {"demo", "test"} <= targets
    assert [target for target in targets if not re.search(rf"^{target}:", makefile, re.MULTILINE)] == []


def rows_of(page: str, heading: str) -> list[list[str]]:
    """Read the table whose first column is called *heading*: of each row the cells."""
    table = re.search(rf"^\| {heading} \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", page, re.MULTILINE)
    assert table is not None
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table[1].splitlines()]


def code_in(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


LIFECYCLE = (ROOT / "docs" / "explanation" / "lifecycle.md").read_text()
ARROWS = {(verb, before, after) for verb, arrows in TRANSITIONS.items() for before, after in arrows}


def test_the_lifecycle_page_has_every_state_with_its_status() -> None:
    told = {code_in(state)[0]: code_in(status)[0] for state, status, _ in rows_of(LIFECYCLE, "state")}

    assert told == {state.value: state.status.value for state in State}


def test_the_lifecycle_table_is_that_of_the_code() -> None:
    told = {
        (verb, before, after)
        for verbs, befores, afters, _ in rows_of(LIFECYCLE, "verb")
        for verb in code_in(verbs)
        for before in code_in(befores)
        for after in code_in(afters)
    }

    assert told == ARROWS


def test_the_lifecycle_diagram_is_that_of_the_code() -> None:
    drawn = re.findall(r"^ +(\S+) --> (\S+): (.+)$", LIFECYCLE, re.MULTILINE)

    assert {
        (verb, NEW if before == "[*]" else before, after)
        for before, after, verbs in drawn
        for verb in verbs.split(", ")
    } == ARROWS


def test_the_queue_page_has_every_key_of_redis_with_its_type() -> None:
    page = (ROOT / "docs" / "explanation" / "queue.md").read_text()
    told = {re.sub("<.*", "", code_in(key)[0]): kind for key, kind, _ in rows_of(page, "key")}

    assert told == {f"evq:{{queue}}:{tail}": content.split()[0] for tail, content in KEYS.values()}
