"""The text of every code of an error or a warning about a row, in English and Korean."""

from typing import Final

from evq_ext import Finding
from evq_server.schemas import Language

TEXTS: Final[dict[str, dict[Language, str]]] = {
    "bad_bytes": {
        "en": "The row holds bytes that are not valid text. Type it again and save the file as UTF-8.",
        "ko": "올바르지 않은 문자가 들어 있는 행입니다. 내용을 다시 입력하고 UTF-8로 저장해 주세요.",
    },
    "too_many_cells": {
        "en": "The row has {cells} cells, but there are {columns} columns. Put a cell that holds a comma in quotes.",
        "ko": "열은 {columns}개인데 이 행에는 칸이 {cells}개 있습니다. 쉼표가 든 칸은 따옴표로 묶어 주세요.",
    },
    "cells_beyond_headings": {
        "en": "There is something right of {cell}, where the headings end. Write a heading over it, or delete it.",
        "ko": "제목이 끝나는 {cell} 칸의 오른쪽에 내용이 있습니다. 그 열에 제목을 쓰거나 내용을 지워 주세요.",
    },
    "cell_too_long": {
        "en": "The cell is too long; at most 32,767 characters are accepted.",
        "ko": "칸의 내용이 너무 깁니다. 32,767자까지 쓸 수 있습니다.",
    },
    "row_too_long": {
        "en": "The row is too long; at most 1 MiB is accepted.",
        "ko": "행이 너무 깁니다. 1 MiB까지 쓸 수 있습니다.",
    },
    "unclosed_quote": {
        "en": "A quotation mark opens in this row and never closes.",
        "ko": "이 행에서 시작한 따옴표가 닫히지 않았습니다.",
    },
    "name_missing": {
        "en": "The name is missing.",
        "ko": "이름이 비어 있습니다.",
    },
    "name_too_long": {
        "en": "The name is too long; at most 200 characters are accepted.",
        "ko": "이름이 너무 깁니다. 200자까지 쓸 수 있습니다.",
    },
    "text_too_long": {
        "en": "The text is too long; at most 2,000 characters are accepted.",
        "ko": "내용이 너무 깁니다. 2,000자까지 쓸 수 있습니다.",
    },
    "email_missing": {
        "en": "The e-mail address is missing.",
        "ko": "이메일 주소가 비어 있습니다.",
    },
    "email_invalid": {
        "en": "This is not a valid e-mail address: {reason}",
        "ko": "올바른 이메일 주소가 아닙니다. ({reason})",
    },
    "phone_invalid": {
        "en": "This is not a valid phone number.",
        "ko": "올바른 전화번호가 아닙니다.",
    },
    "phone_scientific": {
        "en": "A spreadsheet has shortened the number, and lost digits. Format the column as text and type it again.",
        "ko": "스프레드시트가 번호를 줄여 숫자가 사라졌습니다. 열을 텍스트 서식으로 바꿔 다시 입력해 주세요.",
    },
    "not_a_choice": {
        "en": "This is none of the choices; write one of: {choices}",
        "ko": "선택할 수 있는 값이 아닙니다. 다음 중 하나를 써 주세요: {choices}",
    },
    "email_misspelt": {
        "en": "{domain} may be a slip of the fingers. Is it {suggestion}?",
        "ko": "{domain}은(는) 오타일 수 있습니다. {suggestion}이(가) 아닌지 확인해 주세요.",
    },
    "phone_zero_restored": {
        "en": "The number had lost its leading zero; it was saved as {restored}.",
        "ko": "맨 앞의 0이 빠져 있어 {restored}(으)로 저장했습니다.",
    },
    "duplicate_in_file": {
        "en": "Row {first_row} has the same e-mail address already.",
        "ko": "{first_row}행에 같은 이메일 주소가 이미 있습니다.",
    },
    "duplicate_left_out": {
        "en": "Left out: row {row} has the same e-mail address and counts instead.",
        "ko": "{row}행과 이메일 주소가 같아 이 행은 제외하고 {row}행을 반영했습니다.",
    },
    "duplicate_in_event": {
        "en": "A participant of the event has this e-mail address already.",
        "ko": "같은 이메일 주소를 쓰는 참가자가 이미 등록되어 있습니다.",
    },
}

FIELD_NAMES: Final[dict[str, dict[Language, str]]] = {
    "name": {"en": "Name", "ko": "이름"},
    "family_name": {"en": "Family name", "ko": "성"},
    "given_name": {"en": "Given name", "ko": "이름"},
    "email": {"en": "E-mail", "ko": "이메일"},
    "phone": {"en": "Phone", "ko": "전화번호"},
    "organisation": {"en": "Organisation", "ko": "소속"},
    "department": {"en": "Department", "ko": "부서"},
    "title": {"en": "Title", "ko": "직함"},
    "ticket_type": {"en": "Ticket type", "ko": "참가 유형"},
    "external_id": {"en": "Number", "ko": "번호"},
    "consent": {"en": "Consent", "ko": "동의"},
    "note": {"en": "Note", "ko": "비고"},
}


def describe(finding: Finding, language: Language, *, cell: str = "") -> str:
    """Say what was found, for the organiser: the column's name and cell, if it concerns one, and the code's text."""
    text = TEXTS[finding.code][language].format_map(finding.params)
    if not finding.column:
        return text
    names = FIELD_NAMES.get(finding.column)
    name = names[language] if names else finding.column
    return f"{name} ({cell}): {text}" if cell else f"{name}: {text}"
