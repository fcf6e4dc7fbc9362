"""Say with a code why email-validator refuses an address: it says so in English sentences alone."""

import re
from typing import Final

# How the library's sentences begin, by the reason. What none of them is has no reason: it is a check behind all others.
_SENTENCES: Final = {
    "no_at": r"An email address must have an @-sign",
    "odd_at": r'The email address has the "',
    "nothing_before": r"There must be something before",
    "nothing_after": r"There must be something after",
    "with_name": r"The display name|A display name|An open angle bracket|There can't be anything after",
    "quoted": r"Quoting|Extra character\(s\) found after close quote|.*characters in quotes",
    "bracketed": r"A bracketed IP|The (?:IPv6 )?address in brackets|The part after the @-sign[^:]* in brackets",
    "dot": r"An email address cannot (?:(?:start|end) with a period|have a period immediately|have two periods)",
    "hyphen": r"An email address cannot (?:(?:start|end) with a hyphen|have a .*hyphen|have two letters)",
    "too_long": r"The email address is too long|After the @-sign, periods cannot be separated",
    "no_dot": r"The part after the @-sign is not valid\. It should have a period",
    "no_top_level": r"The part after the @-sign is not valid\. It is not within",
    "reserved": r"The part after the @-sign is a special-use",
    "space": r".*characters[^:(]*: .*\bSPACE\b",
    "character": r".*characters[^:(]*: ",
    "no_domain": r"The part after the @-sign|The email address contains invalid characters after the @-sign",
}
_SENTENCE: Final = re.compile(
    "(?:After Unicode normalization: )?(?:"
    + "|".join(f"(?P<{reason}>{beginning})" for reason, beginning in _SENTENCES.items())
    + ")"
)
REASONS: Final = ("many_at", *_SENTENCES)


def reason_of(text: str, sentence: str) -> dict[str, int | str]:
    """Return the parameters that tell why the library refuses the address with the sentence; none if that is unknown.

    They are the `reason`, one of REASONS, and the `characters` of the address that are at fault.
    """
    if text.count("@") > 1:  # two addresses, which the library reads as one with wrong characters
        return {"reason": "many_at"}
    known = _SENTENCE.match(sentence)
    if not known:
        return {}
    reason = str(known.lastgroup)
    if reason == "character":
        return {"reason": reason, "characters": _characters(sentence[known.end() :])}
    if reason == "no_at" and "@" in text:  # behind a quotation mark
        reason = "quoted"
    return {"reason": reason}


def _characters(listed: str) -> str:
    """Return the characters of the library's list: those that can be seen as they are, the others by name."""
    shown = listed.removesuffix(".").split(", ")
    return " ".join(each[1:-1] if each[0] in "'\"" else each for each in shown)
