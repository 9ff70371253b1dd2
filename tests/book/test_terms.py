"""术语：全书一种译法，第一次用注英文，术语表与正文相符。规则见 bookcheck/terms.py。"""

import re
from pathlib import Path

from bookcheck.terms import check_terms

BOOK = Path(__file__).parents[2] / "book"


def toctree(name):
    """一页的目录里列出的各页，依次。"""
    text = (BOOK / f"{name}.md").read_text(encoding="utf-8")
    for block in re.findall(r"^```\{toctree\}\n(.*?)^```", text, re.M | re.S):
        yield from re.findall(r"^(\d\d_\w+)$", block, re.M)


def reading_order():
    for name in toctree("index"):
        yield name
        yield from toctree(name)


def test_reading_order_is_the_whole_book(written):
    assert set(written) <= set(reading_order())


def test_terms_are_used_consistently(chapters):
    pages = {name: chapters[name].text for name in reading_order()}
    assert check_terms(pages, chapters["glossary"].text) == []
