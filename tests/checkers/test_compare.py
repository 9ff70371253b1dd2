"""比较器与正文检查。"""

import pytest
from bookcheck.compare import compare_fingerprint, compare_text
from bookcheck.prose import lint


def same(want, got, **options):
    return compare_text(want.split("\n"), got.split("\n"), {k: str(v) for k, v in options.items()})


@pytest.mark.parametrize(
    ("want", "got", "options"),
    [
        ("loss = 0.123456", "loss = 0.1234561", {"rtol": 1e-5}),
        ("[1.  2.5]", "[1.        2.5000001]", {"rtol": 1e-6}),
        ("1e-16", "-2e-17", {"atol": 1e-15}),
        ("nan inf", "nan inf", {"rtol": 1e-5}),
        ("准确率 [[0.9..0.95]]，好", "准确率 0.932，好", {}),
        ("[[-2..-1]] 与 [[1e2..2e2]]", "-1.5 与 150", {}),
        ("开头\n...\n结尾", "开头\n一\n二\n结尾", {}),
        ("开头\n...\n结尾", "开头\n结尾", {}),
        ("...\n末行 [[1..2]]", "甲\n末行 1.5", {}),
    ],
)
def test_agree(want, got, options):
    assert same(want, got, **options) == ""


@pytest.mark.parametrize(
    ("want", "got", "options"),
    [
        ("0.5", "0.50", {}),
        ("loss = 0.123456", "loss = 0.123556", {"rtol": 1e-5}),
        ("loss = 0.5", "Loss = 0.5", {"rtol": 1}),
        ("3 个", "4 个", {"rtol": 1}),
        ("3", "3.0", {"rtol": 1}),
        ("1.0 2.0", "1.0", {"rtol": 1}),
        ("1.5", "nan", {"rtol": 1}),
        ("准确率 [[0.9..0.95]]", "准确率 0.96", {}),
        ("准确率 [[0.9..0.95]]", "精度 0.92", {}),
        ("开头\n...\n结尾", "开头\n一", {}),
        ("一", "一\n二", {}),
    ],
)
def test_disagree(want, got, options):
    assert same(want, got, **options) != ""


def test_fingerprint_tolerance_is_relative_to_the_scale_of_the_data():
    assert compare_fingerprint({"v": [0.0, 1000.0]}, {"v": [1e-4, 1000.0]}, 1e-6) == ""
    assert compare_fingerprint({"v": [0.0, 1000.0]}, {"v": [1e-2, 1000.0]}, 1e-6) != ""
    assert compare_fingerprint({"v": [1.0]}, {"v": [1.0], "w": 1}, 1e-6) != ""
    assert compare_fingerprint([{"a": [float("nan")]}], [{"a": [float("nan")]}], 1e-6) == ""


@pytest.mark.parametrize(
    "text",
    [
        "测试准确率为 93.5%。",
        "损失降到 0.448。",
        "约为 98 %。",
        "其中 $W \\approx 1.9366$。",
        "得到 `3.2974`。",
        "- 列表里的 2.5 也算",
        ":::{note}\n提示里的 0.25。\n:::",
        "```{exercise-start}\n:label: ex-1\n```\n误差 1.234\n```{exercise-end}\n```",
    ],
)
def test_lint_rejects_typed_numbers(text):
    assert lint(text)


@pytest.mark.parametrize(
    "text",
    [
        "学习率 {given}`0.1`，准确率 {eval}`acc:.1%`。",
        "取 $\\eta = 0.1$，共 60000 张图，`h = 1e-4`。",
        "```{code-cell} python\nx = 1.2345\n```",
        "```{expect}\n1.2345\n```",
        "```{math}\n:label: eq-x\nx = 1.2345\n```",
        "$$\nx = 1.2345\n$$",
        "## 2.5 标题",
        "见 [链接](https://example.org/v1.2.3)。",
        "---\nversion: 1.25\n---\n正文",
    ],
)
def test_lint_accepts(text):
    assert lint(text) == []
