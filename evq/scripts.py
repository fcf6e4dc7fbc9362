"""Load the Lua scripts, and bind their arguments by name.

A script's header (its format is described in `evq/lua/README.md`) is its signature. From it come the script's keys, the
prologue that names its arguments, and the checks of every call: a missing or misnamed argument is a `TypeError` here
instead of a nil there.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha1
from importlib.resources import files

from evq.keys import KEYS

TYPES = ("str", "int")
Argument = str | bytes | int

_HEADER = re.compile(r"\A--\[\[ (?P<name>\w+): (?P<text>.*?)\]\]\n", re.DOTALL)
_SECTION = re.compile(r"^  (KEYS|ARGV|EACH|RETURNS|STATE)\s", re.MULTILINE)
_INCLUDES = re.compile(r"^(?P<block> *)-- @include \w+\n(?:(?P=block)-- @include \w+\n)*", re.MULTILINE)
"""Includes one behind the other; those of a block are indented, and seen there alone."""
_NAME = re.compile(r"--\[\[.*?\]\]|--[^\n]*|\"[^\"]*\"|'[^']*'|(?<![.\w])(?P<name>[a-z_]+)\b", re.DOTALL)
"""A name that stands by itself; or a comment or text, in which there is none."""


class HeaderError(Exception):
    """A script's header is not of the form that the loader reads."""


@dataclass(frozen=True, slots=True)
class Header:
    """What a script's header says."""

    name: str
    keys: tuple[str, ...]
    argv: tuple[tuple[str, str], ...]
    each: tuple[tuple[str, str], ...]
    returns: str
    state: tuple[tuple[str, str], ...]


def parse_header(source: str) -> Header:
    """Read the header of a script or include; raise `HeaderError` if it is not of the documented form."""
    match = _HEADER.match(source)
    if match is None:
        raise HeaderError(f"no header in {source[:60]!r}")
    parts = _SECTION.split(match["text"])
    sections = dict(zip(parts[1::2], parts[2::2], strict=True))
    keys = tuple(sections.get("KEYS", "").split())
    if unknown := set(keys) - KEYS.keys():
        raise HeaderError(f"{match['name']}: no such key: {', '.join(sorted(unknown))}")
    return Header(
        name=match["name"],
        keys=keys,
        argv=_fields(match["name"], sections.get("ARGV", "")),
        each=_fields(match["name"], sections.get("EACH", "")),
        returns=" ".join(sections.get("RETURNS", "").split()),
        state=tuple(_arrow(one) for one in sections.get("STATE", "").split(",") if one.strip()),
    )


def _fields(script: str, section: str) -> tuple[tuple[str, str], ...]:
    fields = []
    for line in filter(str.strip, section.splitlines()):
        name, kind = (*line.split(), "")[:2]
        if kind not in TYPES:
            raise HeaderError(f"{script}: argument {name!r} needs a type: {' or '.join(TYPES)}")
        fields.append((name, kind))
    return tuple(fields)


def _arrow(text: str) -> tuple[str, str]:
    before, _, after = text.partition("->")
    return before.strip(), after.strip()


@dataclass(frozen=True, slots=True)
class Script:
    """A script, ready to be called."""

    header: Header
    names: Mapping[str, str]
    """Those of ARGV, and their types."""
    body: bytes
    sha: str

    def arguments(self, each: Iterable[Sequence[Argument]], argv: Mapping[str, Argument]) -> list[Argument]:
        """Order a call's arguments as EVALSHA wants them behind the keys: ARGV, then EACH."""
        if argv.keys() != self.names.keys():
            raise TypeError(f"{self.header.name} takes {list(self.names)}, not {list(argv)}")
        flat = list(map(argv.__getitem__, self.names))
        width = len(self.header.each)
        for item in each:
            if len(item) != width:
                raise TypeError(f"{self.header.name} takes {width} values an item, not {len(item)}")
            flat.extend(item)
        return flat


def _prologue(header: Header) -> str:
    """Bind arguments to the names in the header, all in one line, so that Redis reports true line numbers."""
    lines = [
        f"local {name} = {_convert(kind, f'ARGV[{number}]')}" for number, (name, kind) in enumerate(header.argv, 1)
    ]
    if header.each:
        width, start = len(header.each), len(header.argv)
        values = ", ".join(_convert(kind, f"ARGV[i + {n}]") for n, (_, kind) in enumerate(header.each, 1))
        lines.append(
            f"local function each() local i, count = {start - width}, #ARGV return function() i = i + {width} "
            f"if i < count then return {values} end end end "
            f"local function firsts() local found, count = {{}}, 0 for i = {start + 1}, #ARGV, {width} do "
            f"count = count + 1 found[count] = ARGV[i] end return found end"
        )
    return " ".join(lines)


def _convert(kind: str, value: str) -> str:
    return f"tonumber({value})" if kind == "int" else value


def build(name: str, sources: Mapping[str, str], includes: Mapping[str, str]) -> Script:
    """Build one script: each include expanded where it is first seen, and each key in place of its name."""
    header = parse_header(sources[name])

    def expand(text: str, seen: set[str]) -> str:
        keys = parse_header(text).keys

        def key(match: re.Match[str]) -> str:
            name = match["name"]
            return f'KEYS[1] .. "{KEYS[name][0]}"' if name in keys else match[0]

        def include(match: re.Match[str]) -> str:
            inside = seen.copy() if match["block"] else seen
            return "".join(expand_once(included, inside) for included in match[0].split()[2::3])

        return _INCLUDES.sub(include, _NAME.sub(key, text))

    def expand_once(included: str, seen: set[str]) -> str:
        if included in seen:
            return ""
        seen.add(included)
        return expand(includes[included], seen)

    body = f"{_prologue(header)} {expand(sources[name], set())}".encode()
    sha = sha1(body).hexdigest()  # noqa: S324 - Redis's choice
    return Script(header=header, names=dict(header.argv), body=body, sha=sha)


def read_sources(package: str) -> dict[str, str]:
    """Read the `.lua` files of a package, by name without the ending."""
    return {
        path.name.removesuffix(".lua"): path.read_text(encoding="utf-8")
        for path in files(package).iterdir()
        if path.name.endswith(".lua")
    }


@cache
def load_scripts() -> Mapping[str, Script]:
    """Build every script of evq."""
    sources, includes = read_sources("evq.lua"), read_sources("evq.lua.include")
    return {name: build(name, sources, includes) for name in sources}
