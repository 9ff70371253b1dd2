"""录制：有来历，代码变了标过期，没有就说没有，构建时绝不执行。"""

import re

import pytest
from bookcheck.checks import record
from bookcheck.source import HARDWARE, read_chapter

CELL = """
```{code-cell} python
from toy.triple import triple
print("很久以后：", triple(7))
```
```{expect}
:recorded: long-run
```
"""


@pytest.fixture
def recorded_book(book):
    text = book.path("book/02_two.md").read_text(encoding="utf-8")
    book.write("book/02_two.md", text + CELL)
    return book


def comparator(book) -> str:
    report = book.check()
    assert report.problems == []
    return next(c for c in report.claims if c.label == "out-3").comparator


def test_recording_is_kept_marked_and_goes_stale(recorded_book):
    book = recorded_book
    assert comparator(book) == "absent"
    record(book.root, read_chapter(book.path("book/02_two.md")), "long-run")
    assert comparator(book) == "recorded"
    result = book.sphinx()
    assert result.returncode == 0, result.stderr
    page = book.path("_build/html/02_two.html").read_text(encoding="utf-8")
    assert "很久以后： 21" in page and "录制于 20" in page and "mark-recorded" in page
    book.edit("toy/triple.py", "3 * x", "x + x + x")
    assert comparator(book) == "stale"


def test_absent_recording_is_explained_to_the_reader(recorded_book):
    """页上说缺什么；录制的名字只在提示与总表里。"""
    assert recorded_book.sphinx().returncode == 0
    page = recorded_book.path("_build/html/02_two.html").read_text(encoding="utf-8")
    shown = re.sub(r"<[^>]*>", "", page)
    assert "这段代码构建时不运行，输出还没有录下" in shown and "long-run" not in shown
    assert "make record CH=02 NAME=long-run" in page
    table = recorded_book.path("_build/html/checks.html").read_text(encoding="utf-8")
    assert "make record CH=02 NAME=long-run" in table


def test_recorded_cell_is_not_executed_by_a_build(recorded_book):
    recorded_book.edit("book/02_two.md", "triple(7)", "undefined_name")
    assert comparator(recorded_book) == "absent"
    with pytest.raises(RuntimeError, match="NameError"):
        record(recorded_book.root, read_chapter(recorded_book.path("book/02_two.md")), "long-run")


def test_unknown_recording_is_refused(recorded_book):
    with pytest.raises(LookupError, match="有：long-run"):
        record(recorded_book.root, read_chapter(recorded_book.path("book/02_two.md")), "other")


def on_hardware(recorded_book, monkeypatch, present, body="很久以后： 21", name="cuda"):
    """那一格写明在有 cuda 的机器上当场执行，而这台机器有（或没有）。"""
    monkeypatch.setitem(HARDWARE, "cuda", lambda: present)
    recorded_book.edit("book/02_two.md", "long-run", f"long-run\n:where: {name}\n{body}")
    return recorded_book


def test_where_the_hardware_is_the_cell_is_executed_and_checked(recorded_book, monkeypatch):
    book = on_hardware(recorded_book, monkeypatch, present=True)
    assert comparator(book) == "exact"
    book.edit("book/02_two.md", "以后： 21", "以后： 22")
    (problem,) = book.check().problems
    assert "很久以后： 21" in problem.got


def test_elsewhere_it_shows_the_recording(recorded_book, monkeypatch):
    book = on_hardware(recorded_book, monkeypatch, present=False, body="不会核对")
    assert comparator(book) == "absent"


def test_hardware_that_appears_later_makes_the_chapter_run_again(recorded_book, monkeypatch):
    book = on_hardware(recorded_book, monkeypatch, present=False)
    assert comparator(book) == "absent"
    monkeypatch.setitem(HARDWARE, "cuda", lambda: True)
    assert comparator(book) == "exact"


def test_it_can_still_be_recorded_where_the_hardware_is(recorded_book, monkeypatch):
    book = on_hardware(recorded_book, monkeypatch, present=True)
    record(book.root, read_chapter(book.path("book/02_two.md")), "long-run")
    monkeypatch.setitem(HARDWARE, "cuda", lambda: False)
    assert comparator(book) == "recorded"


def test_unknown_hardware_is_refused(recorded_book, monkeypatch):
    book = on_hardware(recorded_book, monkeypatch, present=True, name="abacus")
    assert any("where 应是 cuda，写的是 abacus" in p.message for p in book.check().problems)


def test_where_without_a_recording_is_refused(book):
    book.edit("book/02_two.md", "```{expect}\n6", "```{expect}\n:where: cuda\n6")
    assert any("要与 recorded 同用" in p.message for p in book.check().problems)
