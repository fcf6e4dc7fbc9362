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
        "en": "This is not a valid e-mail address.",
        "ko": "올바른 이메일 주소가 아닙니다.",
    },
    "phone_invalid": {
        "en": (
            "This is not a valid phone number: without a country code it was read as one of {region}. Write it with "
            "its country code, such as +81 90 1234 5678, or choose the country with the option region."
        ),
        "ko": (
            "올바른 전화번호가 아닙니다. 국가 번호가 없으면 {region} 번호로 읽습니다. +81 90 1234 5678처럼 국가 번호를 "
            "붙여 쓰거나 region 옵션에서 국가를 골라 주세요."
        ),
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

# What follows the text of email_invalid.
EMAIL_REASONS: Final[dict[str, dict[Language, str]]] = {
    "many_at": {
        "en": "It has more than one @; write one address alone.",
        "ko": "@가 두 개 이상 있습니다. 주소를 하나만 써 주세요.",
    },
    "no_at": {
        "en": "It has no @.",
        "ko": "@가 없습니다.",
    },
    "odd_at": {
        "en": "Its @ is another character that looks alike.",
        "ko": "@ 대신 모양이 비슷한 다른 문자가 들어 있습니다.",
    },
    "nothing_before": {
        "en": "There is nothing before the @.",
        "ko": "@ 앞에 아무것도 없습니다.",
    },
    "nothing_after": {
        "en": "There is nothing behind the @.",
        "ko": "@ 뒤에 아무것도 없습니다.",
    },
    "with_name": {
        "en": "Write the address alone, without a name and angle brackets.",
        "ko": "이름과 꺾쇠괄호 없이 주소만 써 주세요.",
    },
    "quoted": {
        "en": "It has quotation marks.",
        "ko": "따옴표가 들어 있습니다.",
    },
    "bracketed": {
        "en": "Behind the @ there must be a domain, and no number in brackets.",
        "ko": "@ 뒤에는 대괄호로 묶은 숫자가 아니라 도메인을 써 주세요.",
    },
    "dot": {
        "en": "A full stop is at the beginning or the end, beside the @, or beside another one.",
        "ko": "마침표가 맨 앞이나 맨 끝, @ 바로 옆에 있거나 연달아 있습니다.",
    },
    "hyphen": {
        "en": "Behind the @, a hyphen is where none can be.",
        "ko": "@ 뒤에서 하이픈을 쓸 수 없는 자리에 하이픈이 있습니다.",
    },
    "too_long": {
        "en": "It is too long.",
        "ko": "주소가 너무 깁니다.",
    },
    "no_dot": {
        "en": "There is no full stop behind the @.",
        "ko": "@ 뒤에 마침표가 없습니다.",
    },
    "no_top_level": {
        "en": "It does not end as a domain does, such as .com or .kr.",
        "ko": ".com이나 .kr처럼 도메인으로 끝나지 않습니다.",
    },
    "reserved": {
        "en": "Its domain is reserved, and has no mail.",
        "ko": "메일에 쓸 수 없는 예약된 도메인입니다.",
    },
    "space": {
        "en": "There is a space inside.",
        "ko": "주소 안에 공백이 있습니다.",
    },
    "character": {
        "en": "It has characters that no address can have: {characters}",
        "ko": "주소에 쓸 수 없는 문자가 있습니다: {characters}",
    },
    "no_domain": {
        "en": "What is behind the @ is no domain.",
        "ko": "@ 뒤가 올바른 도메인이 아닙니다.",
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
    text = TEXTS[finding.code][language]
    if "reason" in finding.params:
        text += " " + EMAIL_REASONS[str(finding.params["reason"])][language]
    text = text.format_map(finding.params)
    if not finding.column:
        return text
    names = FIELD_NAMES.get(finding.column)
    name = names[language] if names else finding.column
    return f"{name} ({cell}): {text}" if cell else f"{name}: {text}"
