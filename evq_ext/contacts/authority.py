"""Ask the libraries that know: email-validator and phonenumbers.

Where `_tables` and `_dialling` are certain the answer is known without asking, but only for the libraries that they
were checked against; with any other version every value is handed over.
"""

import re
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Final

import phonenumbers
from email_validator import validate_email

from evq_ext import _tables
from evq_ext.contacts import _dialling


def _is_version(distribution: str, checked: re.Pattern[str]) -> bool:
    return checked.fullmatch(version(distribution)) is not None


def _is_code(path: str, checked: str) -> bool:
    try:
        return sha256(Path(path).read_bytes()).hexdigest() == checked
    except OSError:
        return False  # the library is installed without its source


EMAIL_TABLES_FIT: Final = _is_version("email-validator", _tables.EMAIL_VALIDATOR_VERSION)
PHONE_TABLES_FIT: Final = _is_code(phonenumbers.phonenumberutil.__file__, _tables.PHONENUMBERS_CODE)
REGIONS: Final = frozenset(phonenumbers.SUPPORTED_REGIONS)
# A letter behind a digit, unless an extension begins there, or a mark at the end, as in "02-312-3456 (H.P)".
_LETTER_AMONG_DIGITS: Final = re.compile(
    r"\D*\d[^a-z]*(?!(?:e?xt(?:ensio)?n?|x|int|anexo)[ .:=]*\d+#?\Z|(?<=[ (])[a-z]\.?[a-z]?\W*\Z)[a-z]", re.IGNORECASE
)


def normal_email(text: str) -> str:
    """Return the address in the form that is its identity: normalised, lower case.

    `text` is cleaned. Raises ValueError, with the reason in English, if it is not an e-mail address.
    """
    if EMAIL_TABLES_FIT and _tables.CERTAIN_EMAIL.match(text):
        return text.lower()
    return ask_email(text)


def ask_email(text: str) -> str:
    """Return what email-validator makes of the address, in lower case; no DNS is asked.

    Raises ValueError with the library's reason. ASCII in full width is read as plain, which the library does behind the
    "@" alone; before it, it would take another person's address.
    """
    length = len(text.encode())
    if length > _tables.EMAIL_MAX_CHARS:  # no form of it can be valid, and the library is slow on long texts
        raise ValueError(f"The email address is too long ({length} bytes, at most {_tables.EMAIL_MAX_CHARS}).")
    if "@" in text:
        text = text.translate(_tables.PLAIN_WIDTH)
    return validate_email(text, check_deliverability=False).normalized.lower()


def e164(text: str, region: str) -> str:
    """Return the phone number in E.164 form; `text` is cleaned, `region` is the one of numbers without a country code.

    Raises ValueError if it is not a valid number.
    """
    if not PHONE_TABLES_FIT:
        return ask_e164(text, region)
    plan = _dialling.plan_of(region)
    certain = plan.read(text)
    if certain is None:
        certain = ask_e164(text, region)
        plan.meet(_dialling.code_of(certain))
    return certain


def ask_e164(text: str, region: str) -> str:
    """Return what phonenumbers makes of the number; raises ValueError if that is not a valid number.

    The library leaves out a letter among the digits, as of "010-1234-567O", or takes it for the digit on its key: a
    slip of the fingers, or a number that somebody has made unreadable, becomes the number of somebody else.
    """
    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException as error:
        raise ValueError(str(error)) from error
    if _LETTER_AMONG_DIGITS.match(text):
        raise ValueError("There is a letter among the digits.")
    if not phonenumbers.is_valid_number(number):
        raise ValueError(f"Not a number that {region} or the country in it assigns.")
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def is_zero_restored(text: str, number: str, region: str) -> bool:
    """Say whether `number` is what `text` was before a spreadsheet program took it for a number, and its zero away."""
    return (
        text.isascii()
        and text.isdecimal()
        and not text.startswith("0")
        and number == f"+{_dialling.country_code(region)}{text}"
        and _dialling.lacks_zero(text, region)
    )


def national_form(number: str) -> str:
    """Return a number in E.164 form as it is written in its country."""
    return phonenumbers.format_number(phonenumbers.parse(number), phonenumbers.PhoneNumberFormat.NATIONAL)
