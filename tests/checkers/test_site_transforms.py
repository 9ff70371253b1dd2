"""网页的后处理：标点跟着公式走，多行公式的行距；一个字也不丢。"""

import pytest
from bookcheck.site import KeepPunctuation, SpaceRows
from docutils import nodes
from docutils.frontend import get_default_settings
from docutils.utils import new_document


def document(*children):
    made = new_document("试", get_default_settings())
    made += nodes.paragraph("", "", *children)
    return made


def math(text):
    return nodes.math(text, text)


@pytest.mark.parametrize(
    ("parts", "kept"),
    [
        (["参数（", "$a$", "、", "$b$", "）的函数。"], ["（a、", "b）"]),
        (["写作 ", "$c$", "。还有字"], ["c。"]),
        (["$d$", "，"], ["d，"]),
        (["（", "$e$"], ["（e"]),
        (["没有", "$f$", "标点"], []),
    ],
)
def test_punctuation_stays_with_the_formula_and_no_text_is_lost(parts, kept):
    made = document(*(math(p[1:-1]) if p.startswith("$") else nodes.Text(p) for p in parts))
    before = made.astext()
    KeepPunctuation(made).run()
    assert made.astext() == before
    together = [node.astext() for node in made.findall(nodes.inline)]
    assert together == kept


def test_rows_of_tall_formulas_are_spaced_but_matrices_are_not():
    rows = ["\\begin{aligned}", r"a &= \frac12 \\", r"b &= \begin{bmatrix}", r"1 \\", "2",
            r"\end{bmatrix} \\", "c &= 3", "\\end{aligned}"]  # fmt: skip
    formula = nodes.math_block("", "\n".join(rows))
    flat = nodes.math_block("", "\n".join(["a &= 1 \\\\", "b &= 2"]))
    made = document()
    made += [formula, flat]
    SpaceRows(made).run()
    assert [a for a, b in zip(formula.astext().split("\n"), rows, strict=True) if a != b] == [
        r"a &= \frac12 \\[0.6ex]", r"\end{bmatrix} \\[0.6ex]",
    ]  # fmt: skip
    assert flat.astext() == "a &= 1 \\\\\nb &= 2"
