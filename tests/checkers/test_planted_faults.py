"""往小书里种错误：每一种都必须变红，并说清楚在哪里、期望什么、得到什么。"""

import re

import pytest


def test_untouched_book_is_green_without_rerunning(book):
    report = book.check()
    assert report.problems == []
    assert report.executed == []
    kinds = {claim.kind for claim in report.claims}
    assert kinds == {"output", "figure", "number", "equation"}
    assert all(claim.passed for claim in report.claims)


def test_wrong_digit_in_expectation(book):
    book.edit("book/01_one.md", "W = 3.0 共", "W = 3.1 共")
    text = book.problems()
    assert re.search(r"book/01_one\.md:16: 输出与期望不符", text)
    assert "期望：W = 3.1 共 3 个" in text and "实得：W = 3.0 共 3 个" in text


def test_integers_stay_exact_under_tolerance(book):
    book.edit("book/01_one.md", ":rtol: 1e-9\nW = 3.0 共 3", ":rtol: 0.5\nW = 3.3 共 4")
    assert "4 相差超出容差" in book.problems()


def test_deleted_expectation(book):
    book.edit("book/02_two.md", "```{expect}\n6\n```\n", "")
    assert "book/02_two.md:11: 代码格有输出，但没有 {expect}" in book.problems()


def test_expectation_for_a_silent_cell(book):
    book.edit("book/02_two.md", "print(triple(2))", "triple(2);")
    assert "输出与期望不符，期望 1 行，实得 0 行" in book.problems()


def test_misplaced_expectation(book):
    book.edit("book/02_two.md", "```{expect}\n6\n", "插一句话。\n\n```{expect}\n6\n")
    text = book.problems()
    assert "这个 {expect} 不紧跟在代码格之后" in text
    assert "代码格有输出，但没有 {expect}" in text


@pytest.mark.parametrize(
    "change",
    [
        "1.01 * 0.5 * k * k",
        "0.5 * k * k * (1.01 if k == 23 else 1)",
        "0.5 * (46 - k if k in (22, 24) else k) ** 2",  # 两点对调：极值、均值、样本都不变
    ],
)
def test_figure_data_moved_by_one_percent(book, change):
    book.edit("book/01_one.md", "0.5 * k * k", change)
    assert "图 fig-line 的数据与指纹不符" in book.problems()


def test_figure_label_changed(book):
    book.edit("book/01_one.md", 'set_title("标题")', 'set_title("题目")')
    assert "期望 '标题'，实得 '题目'" in book.problems()


def test_legend_outside_the_axes_changed(book):
    line = 'ax.set_title("标题");'
    book.edit("book/01_one.md", line, 'ax.set_title("标题")\nfig.legend(["甲"]);')
    assert book.bless() == []
    book.edit("book/01_one.md", 'fig.legend(["甲"])', 'fig.legend(["乙"])')
    assert "期望 '甲'，实得 '乙'" in book.problems()


def test_missing_glyph(book):
    book.edit("book/01_one.md", 'set_title("标题")', 'set_title("标题𰻝")')
    text = book.problems()
    assert "图 fig-line 缺字" in text and "missing from font" in text


def test_figure_too_small_to_read(book):
    book.edit("book/01_one.md", 'set_title("标题")', 'set_title("标题", fontsize=4)')
    assert "字号小于" in book.problems()


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("    name: fig-line\n", "名字"),
        ("    caption: 一条线\n", "图题"),
        ("    alt: 一条上升的直线\n", "替代文字"),
    ],
)
def test_figure_without_name_caption_or_alt(book, line, what):
    book.edit("book/01_one.md", line, "    align: center\n")
    assert f"图缺少{what}" in book.problems()


def test_figure_without_fingerprint(book):
    book.edit(
        "book/01_one.md",
        "fig, ax = plt.subplots()",
        "from IPython.display import SVG, display\n"
        "display(SVG('<svg xmlns=\"http://www.w3.org/2000/svg\"></svg>'))",
    )
    book.edit("book/01_one.md", "ax.plot(y)\n", "")
    book.edit("book/01_one.md", 'ax.set_title("标题");', "")
    assert "图 fig-line 没有指纹" in book.problems()


@pytest.mark.parametrize(
    "picture",
    [
        "![一条线](line.png)",
        "```{figure} line.png\n一条线\n```",
        '<img src="line.png">',
    ],
)
def test_figure_not_drawn_by_a_cell(book, picture):
    book.edit("book/02_two.md", "# 第二章\n", f"# 第二章\n\n{picture}\n")
    assert "02_two.md:11: 图要由代码格画出" in book.problems()


def test_two_figures_in_one_cell(book):
    book.edit("book/01_one.md", "ax.plot(y)", "ax.plot(y)\nplt.subplots()")
    assert "一个代码格应恰有一幅图，实得 2 幅" in book.problems()


def test_wrong_sign_in_formula_as_code(book):
    book.edit("tests/equations/test_ch01.py", "- 2 * a * b", "+ 2 * a * b")
    text = book.problems()
    assert "公式 eq-square 的核对函数 test_square 未通过" in text and "AssertionError" in text
    assert "未通过" in book.problems(), "第二次也必须是红的"


def test_formula_changed_without_rechecking(book):
    book.edit("book/01_one.md", "a^2 - 2ab", "a^2 + 2ab")
    text = book.problems()
    assert "公式 eq-square 的写法变了" in text
    assert "期望：(a - b)^2 = a^2 - 2ab + b^2" in text


def test_labelled_equation_without_check(book):
    book.edit("tests/equations/test_ch01.py", '"eq-square"', '"eq-other"')
    text = book.problems()
    assert "公式 eq-square 没有核对函数，也没有声明为定义" in text
    assert "所指的标签 eq-other 书里没有" in text


@pytest.mark.parametrize(
    "equation",
    ["- 一项：\n\n  ```{math}\n  :label: eq-new\n  a = b\n  ```\n", "$$\na = b\n$$ (eq-new)\n",
     "$$\nc = d\n$$\n\n  $$ a = b $$ (eq-new)\n"],
)  # fmt: skip
def test_no_way_of_writing_an_equation_escapes(book, equation):
    text = book.path("book/02_two.md").read_text(encoding="utf-8")
    book.write("book/02_two.md", f"{text}\n{equation}")
    assert "公式 eq-new 没有核对函数" in book.problems()
    check = '@verifies("eq-new", by="试")\ndef test_new():\n    pass\n'
    book.write("tests/equations/test_ch02.py", f"from bookcheck.equations import verifies\n{check}")
    assert book.bless() == []
    saved = book.path("book/_expected/02_two.json").read_text(encoding="utf-8")
    assert '"eq-new": "a = b"' in saved


def test_broken_check_file(book):
    book.edit("tests/equations/test_ch01.py", "def test_square", "def def test_square")
    assert "核对文件不能运行" in book.problems()


def test_cell_that_raises(book):
    book.edit("book/02_two.md", "print(triple(2))", "print(triple(2) / 0)")
    for _ in range(3):
        text = book.problems()
        assert "book/02_two.md:11: 代码格报错：ZeroDivisionError: division by zero" in text


def test_kernel_that_dies(book):
    book.edit("book/02_two.md", "print(triple(2))", "import os; os._exit(3)")
    assert "内核中途退出" in book.problems()


def test_must_raise_that_does_not_raise(book):
    book.edit("book/02_two.md", 'int("五")', 'int("5")')
    text = book.problems()
    assert "标了 must-raise 的代码格没有报错" in text
    book.bless()
    assert "标了 must-raise 的代码格没有报错" in book.problems(), "不能靠接受新结果变绿"


def test_must_raise_with_another_message(book):
    book.edit("book/02_two.md", 'int("五")', "int([])")
    assert "实得：TypeError: int() argument must be" in book.problems()


def test_two_mismatches_in_two_chapters_are_both_reported(book):
    book.edit("book/01_one.md", "W = 3.0 共", "W = 9.0 共")
    book.edit("book/02_two.md", "{expect}\n6", "{expect}\n7")
    report = book.check()
    assert {(p.path.name, p.line) for p in report.problems} == {
        ("01_one.md", 16),
        ("02_two.md", 15),
    }


def test_number_in_prose_that_drifts(book):
    book.edit("toy/double.py", "2 * x", "2 * x + 0.002")
    text = book.problems()
    assert "正文里的数 W:.3f 变了" in text and "期望：3.000" in text and "实得：3.002" in text


def test_number_in_prose_outside_its_range(book):
    book.edit("book/01_one.md", "5.9..6.1", "6.5..7.1")
    assert "6.0 不在区间 6.5..7.1 内" in book.problems()


def test_number_in_prose_that_cannot_be_computed(book):
    book.edit("book/01_one.md", "{eval}`W:.3f`", "{eval}`V:.3f`")
    assert "求值失败：NameError" in book.problems()


def test_number_typed_by_hand(book):
    book.edit("book/01_one.md", "此处的数是", "准确率是 93.5%，此处的数是")
    assert "book/01_one.md:21: 正文里手写了数 93.5%" in book.problems()


def test_volatile_needs_a_reason(book):
    book.edit("book/02_two.md", "{expect}\n6", "{expect}\n:volatile:\n6")
    assert "volatile 必须写明原因" in book.problems()


def test_warning_is_output_too(book):
    book.edit(
        "book/02_two.md", "print(triple(2))", "import warnings; warnings.warn('小心')\nprint(6)"
    )
    assert "UserWarning: 小心" in book.problems()


def test_forgotten_fingerprint_of_a_removed_figure(book):
    text = book.path("book/01_one.md").read_text(encoding="utf-8")
    start, stop = text.index("```{code-cell} python\n---"), text.index("```{math}")
    book.write("book/01_one.md", text[:start] + text[stop:])
    assert "_expected 里的 figures/fig-line 在书里已经没有了" in book.problems()


def test_exercise_without_mutants_and_surviving_mutant(book):
    text = book.path("book/02_two.md").read_text(encoding="utf-8")
    cell = '```{code-cell} python\ncheck = lambda name, f: None\ncheck("ex-2-9", None)\n```\n'
    book.write("book/02_two.md", text + "\n(ex-2-9)=\n练习。\n\n" + cell)
    assert "练习 ex-2-9 没有错误解法" in book.problems()
    book.write(
        "tests/exercises/test_ch02.py",
        "from bookcheck import equations\nfrom bookcheck.exercises import mutant\n"
        "import dlbook.exercises as e\ne.check = lambda name, f: None  # 什么都放过的检查函数\n"
        '@mutant("ex-2-9", "错得离谱")\ndef wrong():\n    pass\n',
    )
    assert "放过了错误解法" in book.problems()
