"""Why a file is refused as a whole: a code with parameters, and its text in English and Korean."""

from collections.abc import Mapping, Sequence
from typing import Final

from evq.errors import ValidationError
from evq_server.schemas import Language

Param = int | str | Sequence[str]
"""A number, a text, or names, of which the first are shown in quotes."""

_SHOWN: Final = 20  # names that a text lists
_NAME_CHARS: Final = 40  # of a name in such a list

TEXTS: Final[Mapping[str, Mapping[Language, str]]] = {
    "empty": {
        "en": "The file is empty. Upload a list with a header and one participant a row.",
        "ko": "빈 파일입니다. 제목 행이 있고 한 행에 참가자 한 명씩 적힌 명단을 올려 주세요.",
    },
    "upload_gone": {
        "en": "The uploaded file is no longer on the server. Upload it again.",
        "ko": "올린 파일이 서버에 남아 있지 않습니다. 다시 올려 주세요.",
    },
    "no_rows": {
        "en": "The file has a header but no rows below it. Add the participants and upload it again.",
        "ko": "제목 행 아래에 내용이 없습니다. 참가자를 적어 다시 올려 주세요.",
    },
    "not_a_list": {
        "en": "This is {kind}, not a participants list. Export it as CSV or XLSX and upload that.",
        "ko": "참가자 명단이 아니라 {kind}입니다. CSV나 XLSX로 내보내서 다시 올려 주세요.",
    },
    "packed": {
        "en": "This is {kind}. Unpack it and upload the participants list inside.",
        "ko": "{kind}입니다. 압축을 풀고 그 안의 참가자 명단을 올려 주세요.",
    },
    "workbook_locked": {
        "en": "The workbook is protected by a password. Remove it and upload the workbook again.",
        "ko": "암호가 걸린 통합 문서입니다. 암호를 풀고 다시 올려 주세요.",
    },
    "workbook_damaged": {
        "en": "The workbook is damaged or was cut off in transfer. Open it in your spreadsheet program, save it again "
        "and upload the new file.",
        "ko": "통합 문서가 손상되었거나 전송 중에 잘렸습니다. 스프레드시트 프로그램에서 열어 다시 저장한 뒤 새 파일을 "
        "올려 주세요.",
    },
    "workbook_parts": {
        "en": "The workbook has too many parts; at most {most} are accepted. Save only the participants' sheet and "
        "upload that.",
        "ko": "통합 문서를 이루는 부분이 너무 많습니다({most}개까지). 참가자 시트만 따로 저장해서 올려 주세요.",
    },
    "workbook_bomb": {
        "en": "The workbook unpacks to far more than it should (at most {gigabytes} GiB, and {ratio} times its own "
        "size). Save only the participants' sheet as CSV and upload that.",
        "ko": "통합 문서의 압축을 풀면 지나치게 커집니다(최대 {gigabytes} GiB, 압축 크기의 {ratio}배). 참가자 시트만 "
        "CSV로 저장해서 올려 주세요.",
    },
    "workbook_doctype": {
        "en": "The workbook declares a DOCTYPE, which no spreadsheet program writes. Save it again and upload that.",
        "ko": "스프레드시트 프로그램이 쓰지 않는 DOCTYPE이 들어 있는 통합 문서입니다. 다시 저장해서 올려 주세요.",
    },
    "workbook_texts": {
        "en": "The workbook holds more text than can be read at once. Save only the participants' sheet as CSV and "
        "upload that.",
        "ko": "통합 문서에 든 글이 너무 많아 한 번에 읽을 수 없습니다. 참가자 시트만 CSV로 저장해서 올려 주세요.",
    },
    "workbook_limits": {
        "en": "The workbook could not be read within the limits ({gigabytes} GiB of memory, {seconds} s). Save only "
        "the participants' sheet as CSV and upload that.",
        "ko": "제한(메모리 {gigabytes} GiB, {seconds}초) 안에 통합 문서를 읽지 못했습니다. 참가자 시트만 CSV로 "
        "저장해서 올려 주세요.",
    },
    "sheets_hidden": {
        "en": "All sheets of the workbook are hidden. Unhide the participants' sheet, save the workbook and upload it "
        "again; or name one with the option `sheet`: {sheets}.",
        "ko": "통합 문서의 시트가 모두 숨겨져 있습니다. 참가자 시트의 숨기기를 취소하고 저장해서 다시 올리거나 `sheet` "
        "옵션으로 하나를 지정해 주세요: {sheets}",
    },
    "sheet_too_wide": {
        "en": 'The sheet "{sheet}" reaches beyond column IV, the 256th: there is something in {cell}. Delete what lies '
        "outside the list, or save the list as a workbook of its own; or choose another sheet with the option `sheet`.",
        "ko": '"{sheet}" 시트가 256번째 열(IV)을 넘습니다. {cell} 칸에 내용이 있습니다. 명단 밖의 내용을 지우거나 '
        "명단만 다른 통합 문서로 저장해서 올려 주세요. `sheet` 옵션으로 다른 시트를 고를 수도 있습니다.",
    },
    "sheet_too_long": {
        "en": 'The sheet "{sheet}" holds more than {gigabytes} GiB of text. Split the list and upload its parts.',
        "ko": '"{sheet}" 시트의 내용이 {gigabytes} GiB를 넘습니다. 명단을 나누어 올려 주세요.',
    },
    "sheet_cell_beyond": {
        "en": 'The sheet "{sheet}" has a cell or row {cell}, but a sheet ends at row 1,048,576 and column XFD. Save '
        "the workbook again in your spreadsheet program and upload that.",
        "ko": '"{sheet}" 시트에 {cell} 칸 또는 행이 있지만 시트는 1,048,576행과 XFD열까지입니다. 스프레드시트 '
        "프로그램에서 다시 저장해서 올려 주세요.",
    },
    "sheet_cell_damaged": {
        "en": 'The cell {cell} of the sheet "{sheet}" refers to a text that is not in the workbook. Save the '
        "workbook again in your spreadsheet program and upload that.",
        "ko": '"{sheet}" 시트의 {cell} 칸이 가리키는 글이 통합 문서에 없습니다. 스프레드시트 프로그램에서 다시 '
        "저장해서 올려 주세요.",
    },
    "sheet_unordered": {
        "en": 'The rows of the sheet "{sheet}" are not stored in order: {cell} comes too late. Open the workbook in '
        "your spreadsheet program, save it again and upload the new file.",
        "ko": '"{sheet}" 시트의 행이 순서대로 저장되어 있지 않습니다({cell}). 스프레드시트 프로그램에서 열어 '
        "다시 저장한 뒤 새 파일을 올려 주세요.",
    },
    "encoding_unrecognised": {
        "en": "The encoding of the text was not recognised. Open the file in your spreadsheet program, save it as CSV "
        "UTF-8 and upload that; or name the encoding with the option `encoding`.",
        "ko": "파일의 글자 인코딩을 알아내지 못했습니다. 스프레드시트 프로그램에서 열어 CSV UTF-8로 저장한 뒤 "
        "올리거나 `encoding` 옵션으로 인코딩을 지정해 주세요.",
    },
    "encoding_unknown": {
        "en": 'The encoding "{encoding}" is not known; choose from {encodings}.',
        "ko": '알 수 없는 인코딩입니다: "{encoding}". 다음 중에서 골라 주세요: {encodings}',
    },
    "encoding_of_workbook": {
        "en": "A workbook has no encoding to choose; leave the option `encoding` out.",
        "ko": "통합 문서에는 인코딩을 지정할 수 없습니다. `encoding` 옵션을 빼 주세요.",
    },
    "sheet_of_text": {
        "en": "A text file has no sheets; leave the option `sheet` out.",
        "ko": "텍스트 파일에는 시트가 없습니다. `sheet` 옵션을 빼 주세요.",
    },
    "sheet_unknown": {
        "en": 'The workbook has no sheet "{sheet}"; it has {sheets}.',
        "ko": '통합 문서에 "{sheet}" 시트가 없습니다. 있는 시트: {sheets}',
    },
    "markup_damaged": {
        "en": "The table in the file is damaged. Open it in your spreadsheet program, save it as XLSX and upload that.",
        "ko": "파일 안의 표가 손상되었습니다. 스프레드시트 프로그램에서 열어 XLSX로 저장한 뒤 올려 주세요.",
    },
    "too_slow": {
        "en": "The file could not be read within {seconds} s. Save only the participants as CSV and upload that.",
        "ko": "파일을 {seconds}초 안에 읽지 못했습니다. 참가자 명단만 CSV로 저장해서 올려 주세요.",
    },
    "too_many_columns": {
        "en": "The list has {count} columns; at most {most} are accepted. Delete those that are not needed.",
        "ko": "열이 {count}개입니다. {most}개까지 쓸 수 있으니 필요 없는 열을 지워 주세요.",
    },
    "mapping_unknown": {
        "en": "The mapping names {names}, but the columns are {columns}.",
        "ko": "매핑에 있는 {names} 열이 파일에 없습니다. 파일의 열: {columns}",
    },
    "mapping_twice": {
        "en": "The mapping gives {fields} to more than one column.",
        "ko": "매핑이 {fields} 항목을 둘 이상의 열에 지정했습니다.",
    },
    "value_of_email": {
        "en": "The option `values` cannot give the e-mail address, by which participants are told apart.",
        "ko": "이메일 주소는 참가자를 구별하는 값이므로 `values` 옵션으로 줄 수 없습니다.",
    },
    "value_twice": {
        "en": "The option `values` gives {fields}, but the file has columns for that: {columns}. Leave the value out, "
        'or the column with the mapping: {{"{first}": ""}}.',
        "ko": "`values` 옵션으로 준 {fields} 항목이 파일에도 있습니다: {columns}. 값을 빼거나 매핑으로 열을 빼 주세요: "
        '{{"{first}": ""}}',
    },
    "value_wrong": {
        "en": 'The value that the option `values` gives for "{field}" is not valid: "{value}".',
        "ko": '`values` 옵션으로 준 "{field}" 값이 올바르지 않습니다: "{value}"',
    },
    "no_header": {
        "en": "Row {row} is a participant, and no row above it has headings that are known. Insert a row with headings "
        "(name, e-mail, phone) above the participants.",
        "ko": "{row}행에 참가자가 적혀 있는데 그 위에서 제목 행을 찾지 못했습니다. 참가자들 위에 제목 행"
        "(이름, 이메일, 전화번호)을 넣어 주세요.",
    },
    "no_email": {
        "en": "No column holds e-mail addresses, which every participant needs; the columns are {columns}. Add a "
        "column `email`. The header must be among the first {searched} rows.",
        "ko": "참가자마다 이메일 주소가 있어야 하는데 이메일 열을 찾지 못했습니다. 파일의 열: {columns}. `email` 열을 "
        "추가해 주세요. 제목 행은 처음 {searched}행 안에 있어야 합니다.",
    },
    "no_email_column": {
        "en": "No column holds e-mail addresses; the columns are {columns}. Write the heading "
        '"email" over the addresses and upload the file again; or give the option `mapping`, for instance '
        '{{"{possible}": "email"}}. The header must be among the first {searched} rows.',
        "ko": '이메일 주소가 있는 열을 찾지 못했습니다. 파일의 열: {columns}. 주소가 있는 열의 제목을 "email"로 '
        '적어 다시 올리거나 `mapping` 옵션을 지정해 주세요. 예: {{"{possible}": "email"}}. 제목 행은 처음 '
        "{searched}행 안에 있어야 합니다.",
    },
    "rows_rejected": {
        "en": "{count} rows have errors, so nothing was saved, as you asked. Download the error report, correct the "
        "rows and upload the file again; or have the other rows imported, without the option `mode`.",
        "ko": "오류가 있는 행이 {count}개 있어, 선택하신 대로 아무것도 저장하지 않았습니다. "
        "오류 보고서를 내려받아 행을 고친 뒤 파일을 다시 올리거나, `mode` 옵션 없이 나머지 행만 가져와 주세요.",
    },
}

KINDS: Final[Mapping[str, Mapping[Language, str]]] = {
    "pdf": {"en": "a PDF file", "ko": "PDF 파일"},
    "png": {"en": "a PNG image", "ko": "PNG 그림"},
    "jpeg": {"en": "a JPEG image", "ko": "JPEG 그림"},
    "gif": {"en": "a GIF image", "ko": "GIF 그림"},
    "gzip": {"en": "a gzip archive", "ko": "gzip 압축 파일"},
    "7z": {"en": "a 7-Zip archive", "ko": "7-Zip 압축 파일"},
    "rar": {"en": "a RAR archive", "ko": "RAR 압축 파일"},
    "rtf": {"en": "an RTF document", "ko": "RTF 문서"},
    "sqlite": {"en": "an SQLite database", "ko": "SQLite 데이터베이스"},
    "zip": {"en": "a ZIP archive", "ko": "ZIP 압축 파일"},
    "json": {"en": "a JSON file", "ko": "JSON 파일"},
    "vcard": {"en": "a vCard file", "ko": "vCard 연락처 파일"},
    "mhtml": {"en": "a web page in one file (MHTML)", "ko": "한 파일로 저장한 웹 페이지(MHTML)"},
    "sylk": {"en": "a SYLK file", "ko": "SYLK 파일"},
    "iwork": {
        "en": "an Apple Numbers, Pages or Keynote file",
        "ko": "Apple Numbers, Pages 또는 Keynote 파일",
    },
    "word": {"en": "a Word document", "ko": "워드 문서"},
    "powerpoint": {"en": "a PowerPoint presentation", "ko": "파워포인트 파일"},
    "opendocument": {
        "en": "an OpenDocument file that is no spreadsheet",
        "ko": "스프레드시트가 아닌 OpenDocument 파일",
    },
    "office": {"en": "an old Office file that is no workbook", "ko": "통합 문서가 아닌 이전 형식의 오피스 파일"},
    "html": {"en": "a web page", "ko": "웹 페이지"},
    "xml": {"en": "an XML file", "ko": "XML 파일"},
    "binary": {"en": "a binary file", "ko": "이진 파일"},
}


class FileError(ValidationError):
    """The file as a whole is at fault.

    *code* is one of TEXTS; *params* fill its text and are plain JSON. As a `str` it is English.
    """

    def __init__(self, code: str, **params: Param) -> None:
        super().__init__(_text(code, params, "en"))
        self.code = code
        self.params = params

    def text(self, language: Language) -> str:
        """Say to the organiser what is wrong and what to do."""
        return _text(self.code, self.params, language)


def _text(code: str, params: Mapping[str, Param], language: Language) -> str:
    shown = {name: _shown(name, value, language) for name, value in params.items()}
    return TEXTS[code][language].format_map(shown)


def _shown(name: str, value: Param, language: Language) -> str:
    match value:
        case int():
            return f"{value:,}"
        case str():
            return KINDS[value][language] if name == "kind" else value
    names = ", ".join(f'"{name[:_NAME_CHARS]}"' for name in value[:_SHOWN])
    more = len(value) - _SHOWN
    return names if more <= 0 else names + {"en": f" and {more} more", "ko": f" 외 {more}개"}[language]
