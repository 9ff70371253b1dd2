"""全书一套记号（``book/notation.md``）：源文各章不同的写法，不得再混进来。"""

import re

import pytest

# 写法 → 本书的记号；勘误框里引述源文的不算。
FORBIDDEN = {
    r"\\epsilon(?![a-zA-Z])": r"小的正数写 \varepsilon",
    r"\\mathsf\s*\{?T|([A-Za-z)]|\\mathbf\{\w\})\^(T(?![a-zA-Z])|\{T\})": r"转置写 ^\top",
    r"\\boldsymbol\s*\{?[a-zA-Z]": r"向量、矩阵写 \mathbf（希腊字母才用 \boldsymbol）",
    r"\\operatorname\{softmax\}|\\text\{softmax\}": r"softmax 写 \mathrm{softmax}",
    r"\\frac\{d\s*[a-zA-Z]": r"一元导数写 \frac{\mathrm dy}{\mathrm dx}",
    r"_\{[in]\s*=\s*1\}\^\{?[NI]\}?(?![a-zA-Z-])": "样本从 0 数起，到 N − 1",
    r"\\mathbb\s*\{?1\}?": r"示性函数写 \mathbf 1[·]",
    "半凸": "统一称拟凸",
    r"B,\s*S,\s*E": "位置数写 T",
}
# 轨迹、试验不是数组里的样本，照惯例从 1 数。
ALLOWED = {"01_introduction": r"_\{n=1\}\^\{N\}"}
ERRATUM = re.compile(r"^(`{3,})\{erratum\}.*?^\1\s*$", re.S | re.M)


def violations(text: str, allowed: str | None = None) -> list[str]:
    text = ERRATUM.sub("", text)
    if allowed:
        text = re.sub(allowed, "", text)
    return [
        f"{found[0]}：{advice}"
        for pattern, advice in FORBIDDEN.items()
        for found in re.finditer(pattern, text)
    ]


def test_one_notation(chapters):
    found = {
        name: violations(chapter.text, ALLOWED.get(name))
        for name, chapter in chapters.items()
        if name != "notation"  # 那里列着源文的写法
    }
    assert {name: items for name, items in found.items() if items} == {}


def test_only_the_source_signature_keeps_learn_rate(chapters):
    users = {name for name, chapter in chapters.items() if "learn_rate" in chapter.text}
    assert users <= {"11_gradient_descent", "notation"}


@pytest.mark.parametrize(
    "text",
    [r"\sqrt{\sigma^2+\epsilon}", r"\mathbf X^T\mathbf X", r"\boldsymbol x_i", r"\frac{dy}{dx}",
     r"\sum_{i=1}^{N} x_i", r"\sum_{n=1}^I", r"w^{\mathsf T}x", "形状是 (B, S, E)", "半凸函数"],
)  # fmt: skip
def test_a_stray_notation_would_be_noticed(text):
    assert violations(text)
    assert not violations("```{erratum} 写法\n:where: x\n" + text + "\n```\n")


@pytest.mark.parametrize(
    "text",
    [r"\varepsilon", r"\mathbf X^\top", r"2^{T-1}", r"\prod_{t=1}^{T}",
     r"\boldsymbol\phi", r"\frac{d_j}{s}",
     r"\sum_{i=0}^{N-1}", r"\sum_{n=1}^{N-1}", r"\frac{\mathrm dy}{\mathrm dx}"],
)  # fmt: skip
def test_the_book_notation_is_accepted(text):
    assert not violations(text)
