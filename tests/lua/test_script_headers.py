"""The headers of the scripts say what the scripts do."""

import re

import pytest

from evq import Reply
from evq.keys import KEYS
from evq.lifecycle import TRANSITIONS
from evq.scripts import HeaderError, build, load_scripts, parse_header, read_sources

SCRIPTS = read_sources("evq.lua")
INCLUDES = read_sources("evq.lua.include")
BOTH = SCRIPTS | INCLUDES

# Beyond Redis 6.2, or slow on a large queue.
FORBIDDEN = re.compile(
    r"FUNCTION|FCALL|B?LMPOP|B?ZMPOP|[SZ]INTERCARD|P?EXPIRETIME|HP?EXPIRE|HGETDEL|HGETEX|HSETEX"
    r"|LREM|KEYS|[HSZ]?SCAN|SORT"
)

# Words in capitals that no script answers with.
COMMANDS = {"LIMIT", "WITHSCORES", "MAXLEN", "XX", "NX", "PX", "SADD", "SREM", "HSET", "HDEL"}

# An include that keeps what its own includes answer to itself.
SILENT = {"move_marked"}

every_file = pytest.mark.parametrize("name", sorted(BOTH))
every_script = pytest.mark.parametrize("name", sorted(SCRIPTS))


def body_of(source: str) -> str:
    return source.partition("]]\n")[2]


def code_of(source: str) -> list[str]:
    return [line for line in body_of(source).splitlines() if line.strip() and not line.strip().startswith("--")]


def includes_of(source: str) -> set[str]:
    return set(re.findall(r"^ *-- @include (\w+)$", source, re.MULTILINE))


DECLARED = {
    word: name
    for name, source in INCLUDES.items()
    for declaration in re.findall(r"^local (?:function )?(\w+(?:, \w+)*)", source, re.MULTILINE)
    for word in declaration.split(", ")
}


def answering_includes_of(source: str) -> set[str]:
    """Name all includes of a script, or include, of whose words it may make its own answer."""
    direct = includes_of(source) - SILENT
    return direct.union(*(answering_includes_of(INCLUDES[name]) for name in direct))


@every_file
def test_a_header_bears_the_name_of_its_file(name: str) -> None:
    assert parse_header(BOTH[name]).name == name


def test_no_script_is_named_like_an_include() -> None:
    assert not SCRIPTS.keys() & INCLUDES.keys()


@every_file
def test_bodies_name_their_keys_and_arguments(name: str) -> None:
    assert not re.search(r"\b(KEYS|ARGV)\s*\[", body_of(BOTH[name]))


@every_file
def test_every_key_of_a_header_is_used_and_every_key_used_is_in_it(name: str) -> None:
    header = parse_header(BOTH[name])
    words = set(re.findall(r"(?<![.\w])[a-z_]+", re.sub(r'"[^"]*"|--.*', "", "\n".join(code_of(BOTH[name])))))
    declared = re.findall(r"local ((?:\w+,\s*)*\w+)", body_of(BOTH[name]))
    local = {word for words in declared for word in re.split(r",\s*", words)}
    arguments = {argument for argument, _ in (*header.argv, *header.each)}
    used = {word for word in words & KEYS.keys() if word not in local and word not in arguments}
    assert used == set(header.keys)


@every_file
def test_every_include_exists_is_used_and_is_declared(name: str) -> None:
    words = re.findall(r"\b\w+\b", re.sub(r'"[^"]*"|--.*', "", "\n".join(code_of(BOTH[name]))))
    used = {DECLARED[word] for word in words if word in DECLARED}
    assert includes_of(BOTH[name]) == used - {name}


@every_script
def test_every_word_a_script_answers_with_is_announced(name: str) -> None:
    header = parse_header(SCRIPTS[name])
    expanded = "\n".join(
        code_of(SCRIPTS[name]) + [c for i in answering_includes_of(SCRIPTS[name]) for c in code_of(INCLUDES[i])]
    )
    written = re.sub(r'redis\.p?call\("[A-Z]+"', "", expanded)
    answered = set(re.findall(r'"([A-Z][A-Z_]+)"', written)) - COMMANDS
    announced = set(re.findall(r"\b[A-Z][A-Z_]+\b", header.returns))
    assert answered == announced
    assert announced <= {reply.value for reply in Reply}


@every_script
def test_transitions_are_those_of_the_lifecycle(name: str) -> None:
    assert frozenset(parse_header(SCRIPTS[name]).state) == TRANSITIONS.get(name, frozenset())


def test_every_verb_of_the_lifecycle_has_a_script() -> None:
    assert TRANSITIONS.keys() <= SCRIPTS.keys()


@every_file
def test_files_are_short(name: str) -> None:
    assert len(code_of(BOTH[name])) < (70 if name in SCRIPTS else 45)


@every_file
def test_only_commands_of_redis_6_2_are_used_and_none_is_slow(name: str) -> None:
    commands = set(re.findall(r'redis\.p?call\("(\w+)"', BOTH[name]))
    assert not any(FORBIDDEN.fullmatch(command) for command in commands)
    assert not BOTH[name].startswith("#!")


@every_file
def test_only_one_include_asks_for_the_time(name: str) -> None:
    assert ('"TIME"' in BOTH[name]) == (name == "now")


def test_line_numbers_of_errors_are_those_of_the_file() -> None:
    script = load_scripts()["progress"]
    assert script.body.decode().splitlines()[1:5] == SCRIPTS["progress"].splitlines()[1:5]


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("return 1", "no header"),
        ("--[[ x: y\n\n  KEYS  nothing_such\n]]\n", "no such key: nothing_such"),
        ("--[[ x: y\n\n  ARGV  id  text\n]]\n", "argument 'id' needs a type"),
    ],
)
def test_a_malformed_header_is_refused_by_name(source: str, complaint: str) -> None:
    with pytest.raises(HeaderError, match=complaint):
        parse_header(source)


def test_a_missing_or_misnamed_argument_is_refused_before_it_is_sent() -> None:
    script = load_scripts()["ack"]
    with pytest.raises(TypeError, match="ack takes"):
        script.arguments([], {})
    with pytest.raises(TypeError, match="ack takes"):
        script.arguments([], {"keep_ms": 1, "keep": 1})
    with pytest.raises(TypeError, match="3 values an item, not 2"):
        script.arguments([("id", 1)], {"keep_ms": 1, "keep_count": 1})


def test_an_include_of_a_block_is_seen_there_alone() -> None:
    includes = {"a": "--[[ a: x ]]\nlocal a = 1\n", "b": "--[[ b: x ]]\n-- @include a\nlocal b = a\n"}
    block = "if x then\n  -- @include b\n  return b\nend\n"
    body = build("s", {"s": f"--[[ s: x ]]\n{block}{block}"}, includes).body.decode()
    assert body.count("local a = 1") == body.count("local b = a") == 2
    body = build("s", {"s": f"--[[ s: x ]]\n-- @include a\n{block}"}, includes).body.decode()
    assert body.count("local a = 1") == 1


def test_a_block_in_an_include_of_a_block_has_includes_of_its_own() -> None:
    includes = {
        "a": "--[[ a: x ]]\nlocal a = 1\n",
        "b": "--[[ b: x ]]\nlocal function b()\n  -- @include a\n  return a\nend\n",
    }
    body = build("s", {"s": "--[[ s: x ]]\nif x then\n  -- @include b\n  b()\nend\n"}, includes).body.decode()
    assert body.index("if x then") < body.index("local function b()") < body.index("local a = 1")


def test_an_include_further_down_is_not_seen_by_the_blocks_above_it() -> None:
    includes = {"a": "--[[ a: x ]]\nlocal a = 1\n"}
    source = "--[[ s: x ]]\nif x then\n  -- @include a\n  return a\nend\n-- @include a\nreturn a\n"
    assert build("s", {"s": source}, includes).body.decode().count("local a = 1") == 2


def test_a_key_takes_the_place_of_its_name_but_not_in_text_comments_or_fields() -> None:
    source = '--[[ s: x\n\n  KEYS  ended active\n]]\n-- active\nreturn active, ended, "active", job.ended, active_of\n'
    script = build("s", {"s": source}, {})
    active, ended = 'KEYS[1] .. "active"', 'KEYS[1] .. "ended"'
    assert script.body.decode().endswith(f'-- active\nreturn {active}, {ended}, "active", job.ended, active_of\n')


@every_script
def test_what_is_kept_for_the_end_of_a_script_is_there_once(name: str) -> None:
    body = load_scripts()[name].body.decode()
    for include in ("records", "ends", "tally", "new_job", "enter_new", "add_job", "lease_job"):
        assert body.count(f"--[[ {include}: ") <= 1


def test_includes_are_expanded_once_each() -> None:
    includes = {"a": "--[[ a: x ]]\nlocal a = 1\n", "b": "--[[ b: x ]]\n-- @include a\nlocal b = a\n"}
    sources = {"s": "--[[ s: x ]]\n-- @include a\n-- @include b\nreturn a + b\n"}
    assert build("s", sources, includes).body.decode().count("local a = 1") == 1
