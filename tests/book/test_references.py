"""参考文献：每一条都被引用，每一处引用都有这一条，条目写全。"""

import re
from collections import Counter
from pathlib import Path

import pytest
from pybtex.database import parse_string

TEXT = (Path(__file__).parents[2] / "book" / "references.bib").read_text(encoding="utf-8")
CITED = re.compile(r"\{cite(?::\w+)?\}`([^`]+)`")
REQUIRED = {
    "article": {"author", "title", "journal", "volume", "year"},
    "inproceedings": {"author", "title", "booktitle", "year"},
    "book": {"author", "title", "publisher", "year"},
    "phdthesis": {"author", "title", "school", "year"},
    "techreport": {"author", "title", "institution", "year"},
    "misc": {"author", "title", "year"},
}
WHERE = {"eprint", "howpublished", "url"}  # misc 至少要说明在哪里找得到


def incomplete(text: str) -> list[str]:
    found = []
    for key, entry in parse_string(text, "bibtex").entries.items():
        fields = {name.lower() for name in entry.fields} | {role for role in entry.persons}
        missing = REQUIRED[entry.type] - fields
        if entry.type == "misc" and not WHERE & fields:
            missing = missing | {"eprint、howpublished 或 url"}
        if missing:
            found.append(f"{key} 缺 {missing}")
    return found


def test_every_entry_is_cited_and_every_citation_has_an_entry(chapters):
    cited = {
        key.strip()
        for chapter in chapters.values()
        for keys in CITED.findall(chapter.text)
        for key in keys.split(",")
    }
    assert set(parse_string(TEXT, "bibtex").entries) == cited


def test_entries_are_complete():
    assert incomplete(TEXT) == []


def test_no_work_is_listed_twice():
    works = [
        (re.sub(r"\W", "", entry.fields["title"]).lower(), entry.fields["year"])
        for entry in parse_string(TEXT, "bibtex").entries.values()
    ]
    assert [work for work, count in Counter(works).items() if count > 1] == []


@pytest.mark.parametrize(
    "entry",
    [
        "@article{a, author={A}, title={T}, year={2000}}",
        "@misc{b, author={B}, title={T}, year={1}}",
    ],
)
def test_an_incomplete_entry_would_be_noticed(entry):
    assert incomplete(entry)
