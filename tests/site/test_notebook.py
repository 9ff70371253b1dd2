"""MyST → 笔记本的转换，逐种写法。"""

import nbformat
import pytest
from bookcheck.notebook import executed_notebook, python_object, to_notebook

LABELS = {
    "fig-a": "图 2.1",
    "eq-a": "式 2.3",
    "code-a": "代码 2.2",
    "ex-2-1": "练习 2.1",
    "sec-a": "甲节",
    "wang2020": "Wang，2020",
}
HEADER = """---
file_format: mystnb
kernelspec:
  name: python3
  display_name: Python 3
---
"""


@pytest.fixture
def convert(tmp_path):
    module = "import math\n\n\nclass Box:\n    @property\n    def area(self):\n        return 1\n"
    (tmp_path / "module.py").write_text(module, "utf-8")

    def run(text, executed=None):
        notebook = to_notebook(HEADER + text, executed, folder=tmp_path, labels=LABELS, chapter="2")
        nbformat.validate(notebook)
        return notebook.cells[1:]

    return run


def only(cells):
    assert len(cells) == 1
    return cells[0].source


def test_labels_are_dropped_and_headings_numbered(convert):
    source = only(convert("(chap-x)=\n# 章\n\n(sec-a)=\n## 节\n\n### 小节\n\n## 又一节"))
    assert source == "# 2 章\n\n## 2.1 节\n\n### 2.1.1 小节\n\n## 2.2 又一节"


def test_references_become_readable(convert):
    text = "{numref}`fig-a` {eq}`eq-a` {ref}`sec-a` {ref}`这里 <sec-a>`"
    assert only(convert(text)) == "图 2.1 式 2.3 甲节 这里"
    assert only(convert("{cite}`wang2020` {given}`0.1`")) == "（Wang，2020） 0.1"


def test_math_carries_its_number(convert):
    source = only(convert("```{math}\n:label: eq-a\na = b\n```\n\n$$\nc = d\n$$"))
    assert source == "$$\na = b\n\\tag{2.3}\n$$\n\n$$\nc = d\n$$"


def test_admonitions_become_quotes(convert):
    source = only(convert(":::{note}\n第一段。\n\n第二段 {eq}`eq-a`。\n:::"))
    assert source == "> **备注**\n>\n> 第一段。\n>\n> 第二段 式 2.3。"


def test_erratum_and_dropdown(convert):
    erratum = "```{erratum} 少了负号\n:name: erratum-1\n:where: 式 1\n:check: eq-a\n正文。\n```"
    assert only(convert(erratum)) == "> **勘误 · 少了负号**\n>\n> 正文。"
    hint = "````{admonition} 提示\n:class: dropdown hint\n想一想。\n````"
    assert only(convert(hint)) == "<details><summary>提示</summary>\n\n想一想。\n\n</details>"


def test_listing_is_taken_from_the_file(convert):
    options = ":pyobject: Box.area\n:caption: 面积\n:name: code-a"
    source = only(convert(f"```{{literalinclude}} module.py\n{options}\n```"))
    assert source == (
        "**代码 2.2**　面积\n\n```python\n@property\ndef area(self):\n    return 1\n```"
    )


def test_unknown_object_and_option_are_errors(convert):
    with pytest.raises(ValueError, match="没有 Circle"):
        python_object("class Box: ...", "Circle")
    with pytest.raises(ValueError, match="start-after"):
        convert("```{literalinclude} module.py\n:start-after: 甲\n```")


def test_code_outputs_figures_and_expectations(convert):
    text = (
        "```{code-cell} python\n:tags: [must-raise]\n1 / 0\n```\n"
        "```{expect}\nZeroDivisionError\n```\n\n"
        "```{code-cell} python\n---\nmystnb:\n  figure:\n    name: fig-a\n"
        "    caption: 一条线\n---\ndraw()\n```\n"
    )
    first, second, caption = convert(text)
    assert first.source == "1 / 0" and first.metadata.tags == ["raises-exception"]
    assert second.source == "draw()"
    assert caption.source == "**图 2.1**　一条线"


def test_numbers_and_private_outputs(convert):
    words = "$W$ 是 {eval}`W:.1f`，又是 {eval}`W:.1f`。"
    text = HEADER + "```{code-cell} python\nW = 2\n```\n\n" + words

    def outputs(notebook):
        data = {"text/plain": "2", "application/vnd.dlbook.figure+json": {}}
        notebook.cells[0].outputs = [nbformat.v4.new_output("display_data", data=data)]

    executed = executed_notebook(text, outputs, {"W:.1f": "2.0", "W:.1f #2": "2.0"})
    code, words = to_notebook(text, executed).cells[1:]
    assert words.source == "$W$ 是 2.0，又是 2.0。"
    assert list(code.outputs[0].data) == ["text/plain"]


def test_solution_is_folded_around_its_code(convert):
    text = (
        "```{exercise-start} 前向差分\n:label: ex-2-1\n```\n写出来。\n```{exercise-end}\n```\n\n"
        "````{solution-start} ex-2-1\n:class: dropdown\n````\n先这样。\n\n"
        "```{code-cell} python\nf = 1\n```\n\n再那样。\n````{solution-end}\n````\n\n之后的正文。"
    )
    before, code, after = convert(text)
    assert before.source == (
        "#### 练习 2.1　前向差分\n\n写出来。\n\n"
        "<details><summary>解答</summary>\n\n先这样。\n\n</details>"
    )
    assert code.metadata.jupyter.source_hidden
    assert after.source == (
        "<details><summary>解答（续）</summary>\n\n再那样。\n\n</details>\n\n之后的正文。"
    )


def test_plain_code_blocks_are_left_alone(convert):
    text = "```python\nx = '{eq}`eq-a`'\n# 不是标题\n```"
    assert only(convert(text)) == text


def test_cell_ids_are_deterministic(convert):
    text = "甲\n\n```{code-cell} python\n1\n```\n\n乙"
    assert [c.id for c in convert(text)] == [c.id for c in convert(text)]
