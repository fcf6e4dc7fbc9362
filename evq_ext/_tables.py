"""Every constant that both implementations obey; the compiled core fills its C tables from here at import."""

import re
from typing import Final

# --- The record grammar -----------------------------------------------------------------------------------------------

BOM: Final = b"\xef\xbb\xbf"
DELIMITERS: Final = (b",", b";", b"\t", b"|")

# A quote that is never closed would swallow the rest of the file; past one of these bounds it is not a quote.
QUOTED_MAX_BYTES: Final = 64 * 1024  # inside one pair of quotes
RECORD_MAX_LINES: Final = 1_000  # line ends inside one record's quotes
RECORD_MAX_BYTES: Final = 1024 * 1024  # one record; also bounds what a parser keeps between two feeds
FEED_MAX_BYTES: Final = 1 << 30  # offsets are 32 bits wide, and no text grows to more than thrice its size
FILE_MAX_BYTES: Final = (1 << 32) - 1  # row numbers are 32 bits wide, and no row has less than a byte

# --- Encodings --------------------------------------------------------------------------------------------------------

WRONG: Final = 0xFF  # what a wrong byte becomes: wrong in UTF-8 too, so that its row is refused and no other
# Codecs of Python in which ASCII is itself and any other character has one or two bytes; or four, in GB 18030 alone.
TABLED_CODECS: Final = ("cp949", "cp932", "gb18030", "cp950", "cp1252")

# --- Cells ------------------------------------------------------------------------------------------------------------

CELL_MAX_CHARS: Final = 32_767  # what a cell of a workbook can hold
NAME_MAX_CHARS: Final = 200
TEXT_MAX_CHARS: Final = 2_000

# A spreadsheet program takes a cell that begins with one of these for a formula, unless an apostrophe before it marks
# the cell as text (OWASP, CSV Injection). The last four are = + - @ in full width.
FORMULA_STARTS: Final = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")
TEXT_MARK: Final = "'"

_SPACES: Final = (
    *range(0x09, 0x0E),  # tab and the line ends
    0x85,
    0xA0,
    0x1680,
    *range(0x2000, 0x200B),
    0x2028,
    0x2029,
    0x202F,
    0x205F,
    0x3000,
    0x3164,  # Hangul fillers: letters to Unicode, blanks to the eye
    0xFFA0,
)
_INVISIBLE: Final = (
    *range(0x20),
    *range(0x7F, 0xA0),
    0xAD,
    0x180E,
    *range(0x200B, 0x2010),  # zero-width, and direction marks
    *range(0x202A, 0x202F),
    *range(0x2060, 0x2070),
    0xFEFF,
)
# For `str.translate`: None removes the character.
CLEANING: Final[dict[int, str | None]] = {**dict.fromkeys(_INVISIBLE), **dict.fromkeys(_SPACES, " ")}

# Characters that cleaning leaves as they are, whatever stands beside them: their own NFC, and never the second half of
# a composition. The compiled core cleans cells of these alone; any other cell is cleaned by `_rules.clean`.
PLAIN_RANGES: Final = (
    (0x21, 0x7E),
    (0xA1, 0xAC),
    (0xAE, 0x2FF),  # Latin
    (0x3A3, 0x482),  # Greek and Cyrillic
    (0x1E00, 0x1EF9),  # Vietnamese
    (0x2010, 0x2027),  # dashes and quotation marks
    (0x2030, 0x205E),
    (0x20A0, 0x20BF),  # currencies
    (0x2100, 0x2125),  # letter-like symbols
    (0x212C, 0x2189),
    (0x2190, 0x2328),  # arrows and operators
    (0x2460, 0x26FF),  # circled letters, boxes, shapes
    (0x3001, 0x3029),  # CJK punctuation
    (0x3041, 0x3096),  # kana
    (0x30A0, 0x30FF),
    (0x3131, 0x3163),  # Hangul letters
    (0x31F0, 0x321E),
    (0x3220, 0x4DBF),  # symbols such as that of a company, CJK units, rare ideographs
    (0x4E00, 0x9FFF),  # CJK ideographs
    (0xAC00, 0xD7A3),  # Hangul syllables
    (0xFF01, 0xFF9F),  # full-width forms, half-width kana
)

# --- E-mail: the addresses on which email-validator's verdict is certain ----------------------------------------------

EMAIL_VALIDATOR_VERSION: Final = re.compile(r"2\.4\.\d+")
ATEXT: Final = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-/=?^_`{|}~"  # RFC 5322 3.2.3
EMAIL_MAX_CHARS: Final = 254  # RFC 5321 4.5.3.1.3
# For `str.translate`: ASCII in full width, as East Asian keyboards write it, becomes plain.
PLAIN_WIDTH: Final = {wide: wide - 0xFEE0 for wide in range(0xFF01, 0xFF5F)}
LABEL_MAX_CHARS: Final = 63  # RFC 1035 2.3.1
SPECIAL_USE_TLDS: Final = ("arpa", "invalid", "local", "localhost", "onion", "test")

# A dot-atom, "@", and two or more LDH labels without "--" (which IDNA gives a meaning), the last ending in a letter.
# Of ASCII texts without "--" behind the first "@", the library takes these and no other.
CERTAIN_EMAIL: Final = re.compile(
    rf"(?=.{{0,{EMAIL_MAX_CHARS}}}\Z)"
    rf"[{re.escape(ATEXT)}]+(?:\.[{re.escape(ATEXT)}]+)*@(?!.*--)"
    rf"(?:[a-z0-9](?:[a-z0-9-]{{0,{LABEL_MAX_CHARS - 2}}}[a-z0-9])?\.)+"
    rf"(?!(?:{'|'.join(SPECIAL_USE_TLDS)})\Z)(?:[a-z0-9][a-z0-9-]{{0,{LABEL_MAX_CHARS - 2}}})?[a-z]\Z",
    re.ASCII | re.IGNORECASE,
)

# --- Warnings: what is said of a row that is taken, in the order of their bits in the compiled core -------------------

WARNINGS: Final = ("email_misspelt", "phone_zero_restored")

# --- Phone: what `_dialling` knows of phonenumbers --------------------------------------------------------------------

# SHA-256 of `phonenumberutil.py`, the library's code. The metadata, which changes each fortnight, is read anew.
PHONENUMBERS_CODE: Final = "27a248e3bec5db0fa49a503a272f2f6d8693d32225b4908b035b3f829720d290"
PHONE_SEPARATORS: Final = "-. ()/"  # of which the library takes no notice, wherever they stand
# What people write who give no number.
NO_PHONE: Final = (
    *("-", "--", "---", ".", "/", "x", "X", "no", "No", "NO", "none", "None", "NONE"),
    *("n/a", "N/A", "na", "NA", "없음", "없습니다", "해당없음", "해당 없음", "무", "なし", "無し", "無", "无", "没有"),
)

# --- Sheets (ECMA-376 part 1; its limits are Excel's) -----------------------------------------------------------------

SHEET_MAX_ROWS: Final = 1_048_576
SHEET_MAX_COLUMNS: Final = 16_384  # XFD
SHEET_READ_COLUMNS: Final = 256  # IV; a value beyond it is an error
# All shared texts, and 4 bytes for each; a little less than 2**28, at which an array that doubles would grow again.
SHARED_MAX_BYTES: Final = 255 * 1024 * 1024
TAG_MAX_BYTES: Final = 64 * 1024
RUN_MAX_BYTES: Final = 4 * 1024 * 1024  # of one piece of text; what is behind cannot make a longer cell
# Of a cell's text before escapes are read: 14 bytes, as those of an escaped CR LF, make at least one character.
CELL_MAX_BYTES: Final = 14 * (CELL_MAX_CHARS + 1)
OUTPUT_STEP_BYTES: Final = 1024 * 1024  # a reader pauses when it has written as much
LAST_DAY: Final = 2_958_465  # 9999-12-31, from 1900-01-00
DAYS_1904: Final = 1_462  # from 1900-01-00 to 1904-01-01
DAY_MILLISECONDS: Final = 86_400_000
