"""Participants lists in several languages, made up anew from a seed."""

import random
from typing import Final

HEADERS: Final = {
    "Korean": "이름,이메일,소속",
    "Japanese": "氏名,メールアドレス,会社名",
    "Chinese": "姓名,邮箱,公司",
    "Taiwanese": "姓名,電子郵件,公司",
    "German": "Name,E-Mail,Straße",
    "English": "name,email,company",
}
_NAMES: Final = {
    "Korean": ("김 이 박 최 정 강 조 윤 장 임 한 오 서", "민서 지우 현준 하윤 도예 은수 아진 영호 성재 경석"),
    "Japanese": (
        "佐藤 鈴木 高橋 田中 伊藤 渡辺 山本 中村 小林 加藤",
        "太郎 花子 健 さくら 翔太 美咲 ケンジ 結衣 大輔 愛",
    ),
    "Chinese": ("王 李 张 刘 陈 杨 赵 黄 周 吴 徐 孙 马 郭", "伟 芳 秀英 敏 静 丽娜 强 磊 军 洋 勇 艳 杰 涛"),
    "Taiwanese": ("王 李 張 劉 陳 楊 趙 黃 周 吳 徐 孫 馬 郭", "偉 芳 秀英 敏 靜 麗娜 強 磊 軍 洋 勇 艷 傑 濤"),
    "German": ("Müller Schäfer Jäger Köhler Schröder Weiß Schmidt Böhm", "Jürgen Björn Sören Käthe Anna Ute Hans"),
    "English": ("Smith Jones Taylor Brown Wilson Evans", "John Mary Alan Grace Ada Edgar"),
}
_COMPANIES: Final = {
    "Korean": "한빛전자 서울대학교 부산시청",
    "Japanese": "株式会社ひかり 東京大学 ソニー",
    "Chinese": "北京大学 阳光公司 深圳华为",
    "Taiwanese": "臺灣大學 陽光公司 台北市",
    "German": "Königsallee Gartenstraße Markt",
    "English": "Acme Globex Initech",
}


def make_list(language: str, rows: int, *, header: str | None = None, seed: int = 0) -> str:
    """Write a list of *rows* people, with the header of its language, or of another."""
    chance = random.Random(seed)
    family, given = (part.split() for part in _NAMES[language])
    lines = [HEADERS[header or language]]
    for number in range(rows):
        parts = [chance.choice(family), chance.choice(given)]
        name = " ".join(reversed(parts)) if language in {"German", "English"} else "".join(parts)
        lines.append(f"{name},p{number}@example.org,{chance.choice(_COMPANIES[language].split())}")
    return "\r\n".join([*lines, ""])
