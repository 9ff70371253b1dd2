"""录制：有来历，代码变了标过期，没有就说没有，构建时绝不执行。"""

import pytest
from bookcheck.checks import record
from bookcheck.source import read_chapter

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


def test_recorded_cell_is_not_executed_by_a_build(recorded_book):
    recorded_book.edit("book/02_two.md", "triple(7)", "undefined_name")
    assert comparator(recorded_book) == "absent"
    with pytest.raises(RuntimeError, match="NameError"):
        record(recorded_book.root, read_chapter(recorded_book.path("book/02_two.md")), "long-run")


def test_unknown_recording_is_refused(recorded_book):
    with pytest.raises(LookupError, match="有：long-run"):
        record(recorded_book.root, read_chapter(recorded_book.path("book/02_two.md")), "other")
