r"""Run many regular expressions over digits side by side: a nondeterministic automaton.

It knows what the metadata of phonenumbers is written in: digits, sets of them, `\d`, groups, `|`, `?`, `{m}`, `{m,n}`,
and `$`, which it takes for nothing: it may then find more than there is, never less.
"""

import re
from typing import Final, NamedTuple

DIGITS: Final = range(10)

_SYMBOL: Final = re.compile(r"\[[0-9-]+\]|\\d|[0-9]|\(\?:|\(|\)|\||\?|\{[0-9]+(?:,[0-9]+)?\}|\$")
_ANY: Final = frozenset(DIGITS)


class PatternError(ValueError):
    """A pattern is written otherwise than any that is known."""


States = frozenset[int]
"""Where the patterns stand: what is 0 or more waits for a digit, what is less is a mark that has been found."""
NOWHERE: Final[States] = frozenset()


class _Digit(NamedTuple):
    members: frozenset[int]


class _Sequence(NamedTuple):
    parts: tuple["_Tree", ...]


class _Choice(NamedTuple):
    parts: tuple["_Tree", ...]


class _Repeat(NamedTuple):
    part: "_Tree"
    low: int
    high: int


_Tree = _Digit | _Sequence | _Choice | _Repeat


class Patterns:
    """Hold the patterns, and find those that digits match."""

    def __init__(self) -> None:
        self._members: list[frozenset[int]] = []  # of each state: the digits that it waits for
        self._after: list[States] = []  # and where they lead
        self._endless: set[int] = set()  # states that nothing ends
        self._steps: dict[States, tuple[States, ...]] = {}

    def whole(self, pattern: str, mark: int) -> States:
        """Return where to begin to find `mark` after digits that the pattern matches as a whole.

        Raises PatternError.
        """
        return self._build(_parse(pattern), frozenset([mark]))

    def beginning(self, pattern: str, mark: int) -> States:
        """Return where to begin to find `mark` after any digits that begin with a match of the pattern.

        Raises PatternError.
        """
        place = len(self._after)
        ever = frozenset([place, mark])
        self._members.append(_ANY)
        self._after.append(ever)
        self._endless.add(place)
        return self._build(_parse(pattern), ever)

    def step(self, states: States, digit: int) -> States:
        """Return where the patterns stand after one more digit; nowhere if no whole can be found any more."""
        if states not in self._steps:
            self._steps[states] = self._all_steps(states)
        return self._steps[states][digit]

    def _all_steps(self, states: States) -> tuple[States, ...]:
        waiting = [state for state in states if state >= 0]
        if self._endless.issuperset(waiting):
            return (NOWHERE,) * len(DIGITS)
        found: list[set[int]] = [set() for _ in DIGITS]
        for state in waiting:
            for digit in self._members[state]:
                found[digit] |= self._after[state]
        return tuple(map(frozenset, found))

    def _build(self, tree: _Tree, after: States) -> States:
        match tree:
            case _Digit(members):
                self._members.append(members)
                self._after.append(after)
                return frozenset([len(self._after) - 1])
            case _Sequence(parts):
                for part in reversed(parts):
                    after = self._build(part, after)
                return after
            case _Choice(parts):
                return frozenset().union(*(self._build(part, after) for part in parts))
            case _Repeat(part, low, high):
                end = after
                for _ in range(high - low):
                    after = self._build(part, after) | end
                for _ in range(low):
                    after = self._build(part, after)
                return after


def _parse(pattern: str) -> _Tree:
    symbols = _SYMBOL.findall(pattern)
    if "".join(symbols) != pattern:
        raise PatternError(f"{pattern!r} is not a pattern of digits.")
    symbols.reverse()
    return _parse_choice(symbols)


def _parse_choice(symbols: list[str]) -> _Tree:
    """Parse up to the end of the group, which is taken away too; the next symbol is the last one."""
    parts: list[_Tree] = []
    branches: list[_Tree] = []
    while symbols and (symbol := symbols.pop()) != ")":
        if symbol == "|":
            branches.append(_Sequence(tuple(parts)))
            parts = []
        elif symbol.startswith("("):
            parts.append(_parse_choice(symbols))
        elif symbol == "?":
            parts.append(_Repeat(parts.pop(), 0, 1))
        elif symbol.startswith("{"):
            low, _, high = symbol[1:-1].partition(",")
            parts.append(_Repeat(parts.pop(), int(low), int(high or low)))
        elif symbol != "$":
            parts.append(_Digit(_ANY if symbol == r"\d" else _members(symbol)))
    return _Choice((*branches, _Sequence(tuple(parts))))


def _members(symbol: str) -> frozenset[int]:
    """Return the digits in a set such as [13-6], or of one digit alone."""
    members: set[int] = set()
    for first, last in re.findall(r"([0-9])(?:-([0-9]))?", symbol):
        members.update(range(int(first), int(last or first) + 1))
    return frozenset(members)
