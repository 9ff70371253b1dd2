"""网页构建：红就一直红，坏页不发布；绿的页带标记。"""

import json


def test_pages_carry_marks_and_the_table_lists_every_claim(book):
    result = book.sphinx()
    assert result.returncode == 0, result.stderr
    page = book.path("_build/html/01_one.html").read_text(encoding="utf-8")
    for mark in ("mark-tol", "mark-verified"):
        assert mark in page
    assert '<span class="eval">3.000</span>' in page
    table = book.path("_build/html/checks.html").read_text(encoding="utf-8")
    checks = json.loads(book.path("_build/checks.json").read_text(encoding="utf-8"))
    assert checks["passed"] and table.count('id="check-') == len(checks["claims"]) == 7
    for claim in checks["claims"]:
        assert {"kind", "chapter", "label", "comparator", "passed", "seconds"} <= set(claim)


def test_failing_cell_is_red_three_times_and_never_published(book):
    book.edit("book/02_two.md", "print(triple(2))", "print(triple(2) / 0)")
    for _ in range(3):
        result = book.sphinx()
        assert result.returncode != 0
        assert "02_two.md:11: 代码格报错：ZeroDivisionError" in result.stderr
        assert not book.path("_build/html/02_two.html").exists()


def test_mismatch_is_red_three_times_and_the_old_page_stays(book):
    assert book.sphinx().returncode == 0
    old = book.path("_build/html/01_one.html").read_bytes()
    book.edit("toy/double.py", "2 * x", "2 * x + 1")
    for _ in range(3):
        result = book.sphinx()
        assert result.returncode != 0 and "输出与期望不符" in result.stderr
        assert book.path("_build/html/01_one.html").read_bytes() == old
    book.edit("toy/double.py", "2 * x + 1", "2 * x")
    assert book.sphinx().returncode == 0


def test_sphinx_warning_is_red_three_times(book):
    book.edit("book/02_two.md", "# 第二章\n", "# 第二章\n\n见 {ref}`nowhere`。\n")
    for _ in range(3):
        result = book.sphinx()
        assert result.returncode != 0 and "nowhere" in result.stderr


def test_changed_output_reaches_the_page_without_touching_the_chapter(book):
    assert book.sphinx().returncode == 0
    book.edit("book/02_two.md", "{expect}\n6", "{expect}\n:volatile: 试\n6")
    assert book.sphinx().returncode == 0
    book.edit("toy/triple.py", "3 * x", "4 * x")
    result = book.sphinx()
    assert result.returncode == 0, result.stderr
    assert "<span></span>8" in book.path("_build/html/02_two.html").read_text(encoding="utf-8")


ERRATUM = """
```{{erratum}} {title}
:name: {name}
:where: 源文某处的 $x^2$
:check: {check}
{text}
```
"""


def test_errata_page_states_each_erratum_and_links_to_its_check(book):
    first = ERRATUM.format(
        title="少了 $\\mu_{ij}$ 的负号", name="erratum-sign", check="eq-square",
        text="应为**减号**，见 {eq}`eq-square` 与 {ref}`chap-two`。",
    )  # fmt: skip
    second = ERRATUM.format(title="错字", name="erratum-typo", check="editorial", text="一处错字。")
    for name, text in (("book/01_one.md", first), ("book/02_two.md", second)):
        book.write(name, book.path(name).read_text(encoding="utf-8") + text)
    book.sphinx()  # 写下 errata.md
    book.write("book/errata.md", "# 勘误\n\n```{errata-list} 01\n```\n")
    result = book.sphinx()
    assert result.returncode == 0, result.stderr
    page = book.path("_build/html/errata.html").read_text(encoding="utf-8")
    links = ["01_one.html#erratum-sign", "01_one.html#eq", "02_two.html#chap-two"]
    parts = ["源文某处", "<strong>减号</strong>", "mark-verified"]
    parts += [r"\(\mu_{ij}\)", r"\(x^2\)"]  # 标题与出处里的公式也是公式
    for part in parts + [f'href="{link}' for link in links]:
        assert part in page, part
    assert "一处错字" not in page, "只列第一章的"
    book.write("book/errata.md", "# 勘误\n\n```{errata-list} 09\n```\n")
    result = book.sphinx()
    assert result.returncode != 0 and "09 没有勘误" in result.stderr


def test_figure_of_measurements_has_one_mark(book):
    """图里的数不定，又不打印什么：只在图题后面标“不定”，图仍照常核对。"""
    book.edit(
        "book/01_one.md",
        'ax.set_title("标题");\n```\n',
        'ax.set_title("标题");\n```\n```{expect}\n:volatile: 这一次的测量\n```\n',
    )
    report = book.check()
    assert report.problems == []
    (claim,) = [c for c in report.of("01_one") if c.kind == "figure"]
    assert claim.comparator == "volatile" and "rtol" in claim.detail
    assert [c.label for c in report.of("01_one") if c.kind == "output"] == ["out-1"]
    assert book.sphinx().returncode == 0
    page = book.path("_build/html/01_one.html").read_text(encoding="utf-8")
    assert page.count("mark-volatile") == 1 and "这一次的测量" in page
    book.edit("book/01_one.md", "0.5 * k", "0.7 * k")
    assert "fig-line" in book.problems()
