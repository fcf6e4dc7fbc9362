"""What phonenumbers makes of a number's digits, as an automaton made of its own metadata when it is first needed.

Of separators the library takes no notice, and of the digits nothing decides but the patterns of its metadata and their
count. So the patterns are run side by side, and what the library does with their findings is said once for all numbers
that have the same findings, in `_Way.outcome`: it takes the number as it stands, or without its national prefix or
country code, or it refuses it. Where it would do more (a carrier code, a call from abroad), the automaton is unsure.
"""

import re
import struct
from collections import Counter
from collections.abc import Iterator
from functools import cache
from threading import Lock
from typing import Any, Final, NamedTuple

import phonenumbers
from phonenumbers import COUNTRY_CODE_TO_REGION_CODE as REGIONS
from phonenumbers import NumberFormat, PhoneMetadata

from evq_ext._tables import PHONE_SEPARATORS
from evq_ext.contacts._digits import DIGITS, NOWHERE, PatternError, Patterns, States

TAKEN, REFUSED, UNSURE = range(3)  # as in `_verdict.pxd`

NATIONAL: Final = 0  # the first states of a plan: where digits begin,
ABROAD: Final = 1  # where they do after a plus sign,
NOT_KNOWN: Final = 2  # and where nothing more can be said of them
STATES_MAX: Final = 0xFFFF
MANY: Final = 20  # numbers that cost less to ask for than it does to make the states of their country
LENGTH_MAX: Final = 250  # of a text that the library reads
# The first bytes, in UTF-8, of the characters at which the library finds that a number begins; those of 4 bytes too.
STARTS: Final = frozenset(
    chr(code).encode()[0] for code in range(0x10000) if chr(code).isdecimal() or chr(code) in "+\uff0b"
) | set(range(0xF0, 0x100))
DIGITS_MIN: Final = 3

_BUILDING: Final = Lock()
_KINDS: Final = (
    *("premium_rate", "toll_free", "shared_cost", "voip", "personal_number"),
    *("pager", "uan", "voicemail", "fixed_line", "mobile"),
)


class _Mark(NamedTuple):
    """Say what a pattern is, whose, and the only lengths for which it counts, if there are."""

    what: str
    whose: str | int = ""
    lengths: tuple[int, ...] = ()


class Outcome(NamedTuple):
    """Say what the library makes of digits, and which of those it takes are left out: `skipped` ones after `kept`.

    `bare_zero` says that the number is written with a zero before it in its country, and has none here.
    """

    verdict: int
    kept: int = 0
    skipped: int = 0
    bare_zero: bool = False


class _Node(NamedTuple):
    """Hold one state of a plan: what is said of the digits so far, and the state after each further one."""

    outcome: Outcome
    after: tuple[int, ...]

    def pack(self) -> bytes:
        """Return the state as `_phone.pxd` has it."""
        return struct.pack("<10H4B", *self.after, *self.outcome)


class _Standing(NamedTuple):
    """Say where the patterns stand in a number: in all of its digits, and in those behind its prefix or code."""

    digits: int
    whole: States
    rest: States = NOWHERE
    skipped: int = 0
    code_skipped: bool = False


class _Country:
    """The numbers of one country calling code, which several regions may share; the first one is its home."""

    def __init__(self, code: int) -> None:
        self.code = str(code)
        self.metadata = {name: _metadata(code, name) for name in REGIONS[code]}
        self.home = self.metadata[REGIONS[code][0]]
        self.patterns = Patterns()
        self.marks: list[_Mark] = []
        self.numbers = frozenset(self._begin_numbers())
        self.formats = frozenset(self._begin_formats())

    def mark(self, *content: Any) -> int:
        """Return what stands for a mark among the states of the patterns."""
        self.marks.append(_Mark(*content))
        return -len(self.marks)

    def found(self, states: States) -> list[_Mark]:
        return [self.marks[-state - 1] for state in states if state < 0]

    def _begin_numbers(self) -> Iterator[int]:
        for name, metadata in self.metadata.items():
            for kind in ("general_desc", *_KINDS):
                desc = getattr(metadata, kind)
                if desc is not None and desc.national_number_pattern:
                    mark = self.mark("general" if kind == "general_desc" else "kind", name, tuple(desc.possible_length))
                    yield from self.patterns.whole(desc.national_number_pattern, mark)
            if leading := self._leading(metadata):
                yield from self.patterns.beginning(leading, self.mark("leading", name))

    def _leading(self, metadata: PhoneMetadata) -> str | None:
        """Return what the numbers of a region begin with, where the library looks at that: among several regions."""
        return metadata.leading_digits if len(self.metadata) > 1 else None

    def _begin_formats(self) -> Iterator[int]:
        for index, form in enumerate(self.home.number_format):
            yield from self.patterns.whole(form.pattern or "", self.mark("format", index))
            for leading in form.leading_digits_pattern[-1:]:
                yield from self.patterns.beginning(leading, self.mark("format leading", index))

    def is_valid(self, states: States, length: int) -> bool:
        """Say whether a national number is valid (`is_valid_number`): in the first region that claims it."""
        marks = self.found(states)
        if not marks:
            return False
        kinds: dict[str | int, set[str]] = {}
        for mark in marks:
            if not mark.lengths or length in mark.lengths:
                kinds.setdefault(mark.whose, set()).add(mark.what)
        for name, metadata in self.metadata.items():
            is_number = kinds.get(name, set()) >= {"general", "kind"}
            if "leading" in kinds.get(name, set()) or (is_number and not self._leading(metadata)):
                return is_number
        return False

    def lacks_zero(self, states: States) -> bool:
        """Say whether a national number is written with a zero before it."""
        marks = {(mark.what, mark.whose) for mark in self.found(states)}
        for index, form in enumerate(self.home.number_format):
            if ("format", index) in marks and (not form.leading_digits_pattern or ("format leading", index) in marks):
                return _begins_with_zero(self.home, form)
        return False


class _Way:
    """How the numbers of a country are dialled: in one of its regions, or from abroad (`region` is None)."""

    def __init__(self, country: _Country, region: str | None) -> None:
        self._country = country
        self._patterns = country.patterns
        self._abroad = region is None
        self._metadata = country.home if region is None else country.metadata[region]
        self._prefix, self._code, self._idd = (country.mark(what) for what in ("prefix", "code", "abroad"))
        prefix = self._metadata.national_prefix_for_parsing
        self._dialled = self._patterns.whole(country.code, self._code)
        if self._metadata.international_prefix:
            self._dialled |= self._patterns.whole(self._metadata.international_prefix, self._idd)
        self._prefixed = country.numbers | (self._patterns.whole(prefix, self._prefix) if prefix else NOWHERE)

    def start(self) -> _Standing | None:
        """Return the standing before the first digit; None if the library may do what is not followed here."""
        whole = self._prefixed
        if not self._abroad:
            whole |= self._country.formats | self._dialled
        return _Standing(0, whole) if self._prefix not in whole else None

    def step(self, standing: _Standing, digit: int) -> _Standing | None:
        """Return the standing after one more digit; None as for the start."""
        count, whole, rest, skipped, code_skipped = standing
        count += 1
        whole, rest = self._patterns.step(whole, digit), self._patterns.step(rest, digit)
        if self._idd in whole or self._prefix in rest:
            return None
        if self._code in whole:
            if skipped or self._metadata is not self._country.home:
                return None
            return _Standing(count, whole, self._prefixed, count, code_skipped=True)
        if self._prefix in whole and not code_skipped:
            if skipped or not self._is_plain_prefix(count, digit):
                return None
            return _Standing(count, whole, self._country.numbers, count)
        return _Standing(count, whole, rest, skipped, code_skipped)

    def _is_plain_prefix(self, count: int, digit: int) -> bool:
        """Say whether the prefix, `count` digits that end with this one, is only taken away, never replaced."""
        if not self._metadata.national_prefix_transform_rule:
            return True
        found = re.match(self._metadata.national_prefix_for_parsing or "", str(digit))
        return count == 1 and found is not None and not any(found.groups())

    def outcome(self, standing: _Standing) -> Outcome:
        """Say what the library does with a number that ends here: `_maybe_extract_country_code` and what follows it."""
        count, whole, rest, skipped, code_skipped = standing
        country, kept = self._country, len(self._country.code) if self._abroad else 0
        as_it_is, without = country.is_valid(whole, count), country.is_valid(rest, count - skipped)
        stays = without and self._is_general(rest, count - skipped)  # the library puts back what leaves no number
        if code_skipped:
            return Outcome(TAKEN, kept, skipped) if stays and not self._is_general(whole) else Outcome(UNSURE)
        if not as_it_is and not without:
            return Outcome(REFUSED)
        if kept + count < DIGITS_MIN or (skipped and not stays):
            return Outcome(UNSURE)
        return Outcome(TAKEN, kept, skipped, not self._abroad and not skipped and country.lacks_zero(whole))

    def _is_general(self, states: States, length: int | None = None) -> bool:
        """Say whether the digits, if a length is given of a possible one, match the region's general description."""
        general = self._metadata.general_desc
        if length is not None and (
            general is None or length not in general.possible_length or length in general.possible_length_local_only
        ):
            return False
        return any(mark.what == "general" and mark.whose == self._metadata.id for mark in self._country.found(states))


class Plan:
    """How numbers are dialled in one region, and those of other countries that have been met.

    `packed` holds the states for the compiled core; each is a `_Node`.
    """

    def __init__(self, region: str) -> None:
        self.code = country_code(region)
        self.packed = b""
        self._met: Counter[int] = Counter()
        unsure = _Node(Outcome(UNSURE), (NOT_KNOWN,) * 10)
        self._nodes = [unsure, unsure, unsure]
        with _BUILDING:
            self._nodes[NATIONAL] = self._nodes[self._add(self.code, region)]
            self._learn(self.code)

    def meet(self, code: int) -> None:
        """Note that the library had to be asked for a number of a country; know its numbers once that was often."""
        with _BUILDING:
            self._met[code] += 1
            if self._met[code] == MANY and len(self._nodes) < STATES_MAX // 2:
                self._learn(code)

    def _learn(self, code: int) -> None:
        start = self._add(code, None)
        *first, last = map(int, str(code))
        at = ABROAD
        for digit in first:
            if self._nodes[at].after[digit] == NOT_KNOWN:
                self._nodes.append(self._nodes[NOT_KNOWN])
                self._lead(at, digit, len(self._nodes) - 1)
            at = self._nodes[at].after[digit]
        self._lead(at, last, start)
        self.packed = b"".join(node.pack() for node in self._nodes)

    def _lead(self, at: int, digit: int, to: int) -> None:
        after = self._nodes[at].after
        self._nodes[at] = self._nodes[at]._replace(after=(*after[:digit], to, *after[digit + 1 :]))

    def _add(self, code: int, region: str | None) -> int:
        """Add the states of a country's numbers, each once, and return the first; be unsure if it cannot."""
        try:
            way = _Way(_country(code), region)
        except PatternError:
            return NOT_KNOWN
        nodes = self._nodes
        refused = len(nodes)
        nodes.append(_Node(Outcome(REFUSED), (refused,) * 10))
        places = {nodes[refused]: refused}
        seen: dict[_Standing, int] = {}

        def visit(standing: _Standing | None) -> int:
            if standing is None:
                return NOT_KNOWN
            if not standing.whole and not standing.rest:
                return NOT_KNOWN if standing.code_skipped else refused
            if standing not in seen:
                after = tuple(visit(way.step(standing, digit)) for digit in DIGITS)
                node = _Node(way.outcome(standing), after)
                if node not in places:
                    places[node] = len(nodes)
                    nodes.append(node)
                seen[standing] = places[node]
            return seen[standing]

        return visit(way.start())

    def read(self, text: str) -> str | None:
        """Return the number in E.164 form; None if the library refuses it, or may."""
        if len(text) > LENGTH_MAX:
            return None
        at, plus, digits = NATIONAL, False, ""
        for character in text:
            if "0" <= character <= "9":
                at = self._nodes[at].after[int(character)]
                digits += character
            elif character == "+" and not digits and not plus:
                at, plus = ABROAD, True
            elif character not in PHONE_SEPARATORS:
                return None
        outcome = self._nodes[at].outcome
        if outcome.verdict != TAKEN:
            return None
        head = "" if plus else str(self.code)
        return f"+{head}{digits[: outcome.kept]}{digits[outcome.kept + outcome.skipped :]}"


@cache
def _country(code: int) -> _Country:
    return _Country(code)


@cache
def plan_of(region: str) -> Plan:
    """Return how numbers are dialled in a region; it takes some milliseconds once."""
    return Plan(region)


def code_of(e164: str) -> int:
    """Return the country calling code of a number in E.164 form."""
    return next(int(e164[1:end]) for end in range(2, 5) if int(e164[1:end]) in REGIONS)


def lacks_zero(text: str, region: str) -> bool:
    """Say whether a valid number is written with a zero before it in its region, and has none here.

    `text` holds digits alone, as what a spreadsheet program takes for a number does.
    """
    home = _metadata(country_code(region), REGIONS[country_code(region)][0])
    for form in home.number_format:
        leading = form.leading_digits_pattern[-1:]
        if all(re.match(pattern, text) for pattern in leading) and re.fullmatch(form.pattern or "", text):
            return _begins_with_zero(home, form)
    return False


def _begins_with_zero(home: PhoneMetadata, form: NumberFormat) -> bool:
    rule = form.national_prefix_formatting_rule or ""
    return home.national_prefix == "0" and "0" in rule and not form.national_prefix_optional_when_formatting


def _metadata(code: int, region: str) -> PhoneMetadata:
    metadata = PhoneMetadata.metadata_for_region_or_calling_code(code, region)
    if metadata is None:
        raise ValueError(f"phonenumbers knows no numbers of {region} (+{code}).")
    return metadata


def country_code(region: str) -> int:
    """Return the country calling code of a region; raises ValueError if there is no such region."""
    code = phonenumbers.country_code_for_region(region)
    if not code:
        raise ValueError(f"phonenumbers knows no region {region!r}.")
    return code
