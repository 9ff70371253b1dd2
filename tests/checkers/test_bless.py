"""``make bless``：显示差异，写回，之后全绿；不该由机器决定的不写。"""

import pytest
from bookcheck.__main__ import main
from bookcheck.bless import dump_expected


def test_bless_rewrites_expectation_and_shows_diff(book, capsys):
    book.edit("book/01_one.md", "W = 3.0 共", "W = 3.1 共")
    assert book.bless() == []
    shown = capsys.readouterr().out
    assert "-W = 3.1 共 3 个" in shown and "+W = 3.0 共 3 个" in shown
    assert ":rtol: 1e-9" in book.path("book/01_one.md").read_text(encoding="utf-8"), "选项要留着"
    assert book.problems() == ""


def test_bless_adds_missing_expectations(book):
    book.edit("book/02_two.md", "```{expect}\n6\n```\n", "")
    book.edit("book/01_one.md", "fig-line", "fig-curve")
    book.edit("book/01_one.md", "W:.3f", "W:.4f")
    assert book.bless() == []
    assert book.problems() == ""
    assert "```{expect}\n6\n```" in book.path("book/02_two.md").read_text(encoding="utf-8")


def test_bless_of_a_green_book_changes_nothing(book):
    paths = [*book.path("book").rglob("*.md"), *book.path("book/_expected").rglob("*.json")]
    before = {path: path.read_bytes() for path in paths}
    assert book.bless() == []
    assert before == {path: path.read_bytes() for path in paths}


def test_bless_leaves_ranges_and_failures_to_people(book):
    book.edit("book/02_two.md", "{expect}\n6", "{expect}\n[[7..8]]")
    left = book.bless()
    assert len(left) == 1 and "不在区间" in left[0].message
    book.edit("book/02_two.md", "print(triple(2))", "print(undefined)")
    assert any("NameError" in p.message for p in book.bless())


def test_expected_file_is_stable_and_readable():
    record = {"b": [1.0, 2.5], "a": {"图": [{"x": [1]}, {"x": [2]}]}}
    text = dump_expected(record)
    assert text.index('"a"') < text.index('"b"') and '"b": [1.0, 2.5]' in text


def test_command_line_reports_the_result_and_refuses_an_unknown_chapter(book, capsys):
    root = ["--root", str(book.root)]
    assert main(["check", "02", *root]) == 0
    assert "0 处不符；重新执行：无" in capsys.readouterr().out
    book.edit("book/02_two.md", "{expect}\n6", "{expect}\n7")
    assert main(["check", "02", *root]) == 1
    assert main(["bless", "02", *root]) == 0
    with pytest.raises(SystemExit):
        main(["check", "12", *root])
    assert "没有文件名以 12 开头的章" in capsys.readouterr().err
