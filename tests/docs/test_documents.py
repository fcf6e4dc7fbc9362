"""What the documents say is true: examples run, links lead somewhere, names are those of the code."""

import ast
import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import evq
from evq import AlertRule, Context, Job, JobOptions, Queue, RetryPolicy, Task, Worker, WorkerPool
from evq import settings as framework
from evq.keys import KEYS
from evq.lifecycle import NEW, TRANSITIONS, State
from evq_server.settings import Settings, SettingsError

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def examples_of(document: Path) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", document.read_text(), re.DOTALL | re.MULTILINE)


async def run_examples(document: Path, redis_url: str) -> dict[str, Any]:
    """Run a document's examples as one program, and return its names; one that begins with `# name.py` is that file."""
    names: dict[str, Any] = {"__name__": "example"}
    for number, example in enumerate(examples_of(document), 1):
        if module := re.match(r"# (\w+\.py)\n", example):
            Path(module[1]).write_text(example)
            continue
        # The example's Redis and its endless worker are the only things that are changed.
        source = example.replace("redis://127.0.0.1:6379/0", redis_url).replace(").run()", ").run(burst=True)")
        code = compile(source, f"{document.name}:{number}", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        run = eval(code, names)
        if inspect.isawaitable(run):
            await run
    return names


# Those of the page about testing are a program and its tests: tests/unit/test_testing.py runs them.
RUN_HERE = [each for each in DOCUMENTS if examples_of(each) and each.name != "testing.md"]


@pytest.mark.parametrize("document", RUN_HERE, ids=lambda path: path.name)
async def test_the_examples_run(
    document: Path, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("EVQ_REDIS_URL", redis_url)
    names = await run_examples(document, redis_url)

    assert document.name != "README.md" or names["value"] == "sent K7Q2MD to a@example.org"
    await names["queue"].close()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_leads_to_a_file(document: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", document.read_text())

    assert [link for link in links if not (document.parent / link).exists()] == []


def test_every_page_is_in_the_index() -> None:
    index = ROOT / "docs" / "README.md"
    linked = {(index.parent / link).resolve() for link in re.findall(r"\]\(([^)#]+)", index.read_text())}

    assert linked | {index} == set(DOCUMENTS[1:])


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


# The Python API

PYTHON = (ROOT / "docs" / "reference" / "python.md").read_text()
CODE = "\n".join(re.findall(r"^```python\n.*?^```|`[^`\n]+`", PYTHON, re.DOTALL | re.MULTILINE))


@pytest.mark.parametrize("name", evq.__all__)
def test_the_python_page_has_every_public_name(name: str) -> None:
    assert re.search(rf"\b{name}\b", CODE)


@pytest.mark.parametrize(
    ("called", "kind"),
    [("queue", Queue), ("job", Job), ("confirm", Task), ("worker", Worker), ("pool", WorkerPool), ("ctx", Context)],
)
def test_the_python_page_has_every_public_method_and_no_other(called: str, kind: type) -> None:
    told = set(re.findall(rf"\b{called}\.(\w+)", CODE))
    public = {name for name, _ in inspect.getmembers(kind, inspect.isfunction) if not name.startswith("_")}

    assert public <= told
    assert {name for name in told if not hasattr(kind, name)} <= {"name", "interruption"}  # of each, not of the class


@pytest.mark.parametrize(
    ("heading", "call"),
    [
        ("option of a queue", Queue),
        ("option of a task", Queue.task),
        ("option of a policy", RetryPolicy),
        ("option of a job", JobOptions),
        ("option of a limit", Queue.limit),
        ("option of a worker", Worker),
        ("option of a pool", WorkerPool),
        ("option of a schedule", Queue.schedule),
        ("option of a rule", AlertRule),
    ],
)
def test_the_python_page_has_every_option_and_no_other(heading: str, call: Callable[..., Any]) -> None:
    told = {name for names, *_ in rows_of(PYTHON, heading) for name in code_in(names)}
    options = inspect.signature(call).parameters.values()

    assert told == {option.name for option in options if option.kind is option.KEYWORD_ONLY}


def test_the_python_page_has_every_error() -> None:
    told = {name for names, *_ in rows_of(PYTHON, "error") for name in code_in(names)}
    raised = {
        name for name in evq.__all__ if isinstance(value := getattr(evq, name), type) and issubclass(value, Exception)
    }

    assert told >= raised - {"EvqError"}
