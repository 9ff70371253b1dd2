"""公式写成普通文字：读得懂，没有 LaTeX 的痕迹；写坏的式子不出错。"""

import pytest
from bookcheck.plain import plain_math


@pytest.mark.parametrize(
    ("latex", "text"),
    [
        (r"\boldsymbol{x}", "x"),
        (r"\frac{\partial\mathcal L}{\partial w_i}", "∂L/∂wᵢ"),
        (r"\frac12(y-\hat y)^2", "1/2 (y−ŷ)²"),
        (r"\mathbf x^\top\mathbf W", "xᵀW"),
        (r"x^{(i)}_t \in \mathbb R^{m\times n}", "x⁽ⁱ⁾ₜ ∈ ℝ^(m × n)"),
        (r"\sum_{k=1}^{n} w_{0,k}", "∑ₖ₌₁ⁿ w_(0,k)"),
        (r"\mathrm{ReLU}(z) = \max(0, z)", "ReLU(z) = max(0,z)"),
        (r"\text{与 } f \text{ 无关}", "与 f 无关"),
        (r"\underbrace{a+b}_{\text{前向}}", "a+b（前向）"),
        (r"\begin{aligned} a &= b \\[1ex] &\quad{}+ c \end{aligned}", "a = b +c"),
        (r"\begin{bmatrix} 1 & 2 \\ 3 & 4 \end{bmatrix}", "[1 2； 3 4]"),
        (r"\{1, \dots, m\}\;\|v\|", "{1,…,m} ‖v‖"),
    ],
)
def test_formula_becomes_readable_text(latex, text):
    assert plain_math(latex) == text


@pytest.mark.parametrize(
    "broken", ["", "x^", "^2", "{a", "a}", r"\frac", r"\frac{a}", r"\end{b}", "\\"]
)
def test_broken_formula_does_not_fail(broken):
    assert isinstance(plain_math(broken), str)
