"""Ask the libraries that know: email-validator and phonenumbers.

On the values that `_tables` calls certain the answer is known without asking, but only for the library versions that
those tables were checked against; on any other version every value is handed over.
"""

import re
from importlib.metadata import version
from typing import Final

import phonenumbers
from email_validator import validate_email

from evq_ext import _tables


def _tables_fit(distribution: str, checked: re.Pattern[str]) -> bool:
    return checked.fullmatch(version(distribution)) is not None


EMAIL_TABLES_FIT: Final = _tables_fit("email-validator", _tables.EMAIL_VALIDATOR_VERSION)
PHONE_TABLES_FIT: Final = _tables_fit("phonenumbers", _tables.PHONENUMBERS_VERSION)
REGIONS: Final = frozenset(phonenumbers.SUPPORTED_REGIONS)


def normal_email(text: str) -> str:
    """Return the address in the form that is its identity: normalised, lower case.

    `text` is cleaned. Raises ValueError, with the reason in English, if it is not an e-mail address.
    """
    if EMAIL_TABLES_FIT and _tables.CERTAIN_EMAIL.match(text):
        return text.lower()
    return ask_email(text)


def ask_email(text: str) -> str:
    """Return what email-validator makes of the address, in lower case; no DNS is asked.

    Raises ValueError with the library's reason.
    """
    if len(text) > _tables.EMAIL_MAX_CHARS:  # no form of it can be valid, and the library is slow on long texts
        raise ValueError(f"The email address is too long ({len(text)} characters, at most {_tables.EMAIL_MAX_CHARS}).")
    return validate_email(text, check_deliverability=False).normalized.lower()


def e164(text: str, region: str) -> str:
    """Return the phone number in E.164 form; `text` is cleaned, `region` is the one of numbers without a country code.

    Raises ValueError if it is not a valid number.
    """
    if PHONE_TABLES_FIT and region == _tables.CERTAIN_PHONE_REGION:
        certain = _tables.CERTAIN_PHONE.fullmatch(text)
        if certain:
            return f"+8210{certain[1]}{certain[2]}"
    return ask_e164(text, region)


def ask_e164(text: str, region: str) -> str:
    """Return what phonenumbers makes of the number; raises ValueError if that is not a valid number."""
    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException as error:
        raise ValueError(str(error)) from error
    if not phonenumbers.is_valid_number(number):
        raise ValueError(f"Not a number that {region} or the country in it assigns.")
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
