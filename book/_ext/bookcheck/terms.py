"""术语：一个英文只有一种译法，第一次用时注出英文，术语表指向讲解它的那一节。

- 讲解一个术语的地方写成 ``**中文（English）**``，不译的写成 ``**English**``；
  术语表恰好收下全部这样的术语，译名、英文一致，“首见”一栏指向全书第一处讲解所在的节；
- 三个字以上的术语，正文在讲解之前就用到的，也要在第一次用到时注出英文 ``中文（English）``
  （章首的提要、标题、练习的题目不算；两个字的多兼作日常用语，如“值”“状态”，不查）；
- 术语表末尾列出不用的译名，正文里一处也不许有。
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from bookcheck.prose import prose_lines

_BOLD = re.compile(r"\*\*([^*（()“”，：]+)（([^（）“”]+)）[。：，]?\*\*")
_ROW = re.compile(
    r"^\| (?P<zh>[^|]+?) \| (?P<en>[^|]+?) \| [^|]+ \| \{ref\}`(?P<place>[\w-]+)` \|$"
)
_REJECTED = re.compile(r"^\| (?P<bad>[^|]+?) \| (?P<good>[^|]+?) \|$")
_PLACE = re.compile(
    r"^\((?P<label>(?:sec|chap)-[\w-]+)\)=\s*$|^:label: (?P<exercise>ex-[\w-]+)\s*$"
)
_CHINESE = re.compile("[\u4e00-\u9fff]")
_ORDINARY = {"版本号"}  # 也是日常用语：库的版本号


@dataclass(frozen=True)
class Term:
    """正文里的一处讲解，或术语表的一行。``english`` 只取逗号之前，小写。"""

    chinese: str
    english: str
    place: str


@dataclass(frozen=True)
class _Line:
    page: str
    text: str
    place: str
    counts: bool  # 算不算“用到”：章首的提要与指令的标题不算


def _english(text: str) -> str:
    return re.split("[,，]", text)[0].strip().lower()


def _lines(page: str, text: str) -> Iterator[_Line]:
    """一页正文的行，连同所在的节。"""
    raw = text.splitlines()
    body = next((n for n, line in enumerate(raw, 1) if line.startswith("## ")), 0)
    places, place = [""], ""
    for line in raw:
        found = _PLACE.match(line)
        place = found["label"] or found["exercise"] if found else place
        places.append(place)
    for number, line in prose_lines(text):
        title = raw[number - 1].lstrip().startswith(("`", ":"))
        yield _Line(page, line, places[number], number > body and not title)


def read_glossary(text: str) -> tuple[list[Term], dict[str, str]]:
    """术语表 → （各行，不用的译名 → 改用的）。"""
    terms, rejected = [], {}
    for line in text.splitlines():
        if row := _ROW.match(line):
            terms.append(Term(row["zh"], _english(row["en"]), row["place"]))
        elif (row := _REJECTED.match(line)) and row["bad"] not in ("不用", "---"):
            rejected[row["bad"]] = row["good"]
    return terms, rejected


def check_terms(pages: Mapping[str, str], glossary: str) -> list[str]:
    """核对各页（页名 → 正文，依阅读的次序）与术语表，返回说明每处不符的话。"""
    terms, rejected = read_glossary(glossary)
    lines = [line for page, text in pages.items() for line in _lines(page, text)]
    first: dict[str, Term] = {}
    problems = []
    for line in lines:
        for chinese, english in _BOLD.findall(line.text):
            term = Term(chinese.strip(), _english(english), line.place)
            known = first.setdefault(term.chinese, term)
            if known.english != term.english:
                both = f"{known.english} 与 {term.english}"
                problems.append(f"{line.page}：“{term.chinese}”既是 {both}")
    problems += _two_translations([*first.values(), *terms])
    problems += _glossary_problems(first, terms, lines)
    problems += _unexplained(lines, terms)
    problems += [
        f"{line.page}：不用“{bad}”，用“{good}”"
        for line in lines
        for bad, good in rejected.items()
        if bad in line.text
    ]
    return list(dict.fromkeys(problems))


def _two_translations(terms: list[Term]) -> Iterator[str]:
    chinese: dict[str, str] = {}
    for term in terms:
        known = chinese.setdefault(term.english, term.chinese)
        if known != term.chinese:
            yield f"{term.english} 有两种译法：{known}、{term.chinese}"


def _glossary_problems(
    first: Mapping[str, Term], terms: list[Term], lines: list[_Line]
) -> Iterator[str]:
    listed = {term.chinese: term for term in terms}
    if len(listed) < len(terms):
        yield "术语表有重复的中文"
    for chinese, term in first.items():
        if chinese not in listed:
            yield f"术语表里没有“{chinese}”（{term.english}）"
        elif listed[chinese] != term:
            yield f"术语表里“{chinese}”应是 {term.english}，首见 {term.place}：{listed[chinese]}"
    for chinese in listed.keys() - first.keys():
        if _CHINESE.search(chinese):
            yield f"术语表里的“{chinese}”在正文里没有讲解（**中文（English）**）"
        elif not any(f"**{chinese}**" in x.text for x in lines if x.place == listed[chinese].place):
            yield f"{listed[chinese].place} 一节没有讲解“{chinese}”（**{chinese}**）"


def _unexplained(lines: list[_Line], terms: list[Term]) -> Iterator[str]:
    """讲解之前就用到、又没有注出英文的术语。"""
    names = [term.chinese for term in terms]
    for chinese, english in ((term.chinese, term.english) for term in terms):
        if len(chinese) < 3 or chinese in _ORDINARY or not _CHINESE.search(chinese):
            continue
        longer = [name for name in names if chinese in name and name != chinese]
        gloss = re.compile(
            re.escape(chinese) + r"\**（[^（）]*" + re.escape(english), re.IGNORECASE
        )
        for line in lines:
            if chinese not in line.text:
                continue
            alone = line.text
            for other in longer:  # “二元交叉熵”里的“交叉熵”不算
                alone = alone.replace(other, "□" * len(other))
            if chinese in alone and gloss.search(alone):
                break
            if chinese in alone and line.counts:
                missing = f"第一次用“{chinese}”没有注出英文（{english}）"
                yield f"{line.page}：{missing}：{line.text[:40]}…"
                break
