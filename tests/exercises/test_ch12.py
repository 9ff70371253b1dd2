"""第 12 章练习的错误解法：每一个都必须被检查函数拒绝，而且提示要说到点子上。"""

import numpy as np
import pytest
from bookcheck.exercises import kill, mutant, registered_mutants

from dlbook.backprop import softmax_backward
from dlbook.exercises import check

# ---- ex-12-1 log-softmax 的反向 ----


@mutant("ex-12-1", "log 的那一步没有算进去")
def plain_softmax(dy, s):
    return softmax_backward(dy, (s, -1))


@mutant("ex-12-1", "漏了减去的一项")
def no_second_term(dy, s):
    return dy.copy()


@mutant("ex-12-1", "逐元素的 s ⊙ g")
def elementwise(dy, s):
    return dy - s * dy


@mutant("ex-12-1", "忘了乘 s")
def no_factor(dy, s):
    return dy - dy.sum(axis=-1, keepdims=True)


@mutant("ex-12-1", "每一行各算各的")
def over_everything(dy, s):
    return dy - s * dy.sum()


# ---- ex-12-2 单位化的反向 ----


def norm(x):
    return np.linalg.norm(x, axis=1, keepdims=True)


@mutant("ex-12-2", "把长度当成了常数")
def constant_length(dy, x):
    return dy / norm(x)


@mutant("ex-12-2", "最后忘了除以长度")
def no_division(dy, x):
    y = x / norm(x)
    return dy - y * (dy * y).sum(axis=1, keepdims=True)


@mutant("ex-12-2", "符号反了")
def wrong_sign(dy, x):
    y = x / norm(x)
    return (dy + y * (dy * y).sum(axis=1, keepdims=True)) / norm(x)


@mutant("ex-12-2", "应求和成一个数")
def no_sum(dy, x):
    y = x / norm(x)
    return (dy - y * (dy * y)) / norm(x)


@mutant("ex-12-2", "每一行各算各的")
def one_length(dy, x):
    length = np.linalg.norm(x)
    y = x / length
    return (dy - y * (dy * y).sum(axis=1, keepdims=True)) / length


# ---- ex-12-3 广播的反向 ----


@mutant("ex-12-3", "应求和，不是求平均")
def average(g, shape):
    extra = g.ndim - len(shape)
    return g.mean(axis=tuple(range(extra))) if extra else g


@mutant("ex-12-3", "不是只取第一份")
def first_copy(g, shape):
    return g[0] if g.ndim > len(shape) else g


@mutant("ex-12-3", "形状多了一维")
def keeps_axis(g, shape):
    return g.sum(axis=0, keepdims=True)


@mutant("ex-12-3", "长度 1 被拉长的轴也要求和")
def only_leading(g, shape):
    extra = g.ndim - len(shape)
    return g.sum(axis=tuple(range(extra))) if extra else g


@mutant("ex-12-3", "求和之后要留下长度 1 的轴")
def drops_axis(g, shape):
    extra = g.ndim - len(shape)
    stretched = tuple(extra + i for i, n in enumerate(shape) if n == 1 != g.shape[extra + i])
    return g.sum(axis=tuple(range(extra)) + stretched)


# ---- 检查 ----


# 每个错误解法都被拒绝，而且提示里说出它错在哪里（mutant 的第二个参数）。
@pytest.mark.parametrize(("exercise", "why", "solution"), registered_mutants(__name__))
def test_mutants_are_rejected_with_the_right_hint(exercise, why, solution):
    assert why in kill(exercise, solution)


def log_softmax_backward(dy, s):
    return dy - s * dy.sum(axis=-1, keepdims=True)


def l2_normalize_backward(dy, x):
    y = x / norm(x)
    return (dy - y * (dy * y).sum(axis=-1, keepdims=True)) / norm(x)


def unbroadcast(g, shape):
    g = g.sum(axis=tuple(range(g.ndim - len(shape))))
    stretched = tuple(i for i, n in enumerate(shape) if n == 1 != g.shape[i])
    return g.sum(axis=stretched, keepdims=True)


@pytest.mark.parametrize(
    ("exercise", "solution"),
    [
        ("ex-12-1", log_softmax_backward),
        ("ex-12-2", l2_normalize_backward),
        ("ex-12-3", unbroadcast),
    ],
)
def test_right_solutions_pass(exercise, solution, capsys):
    check(exercise, solution)
    assert "通过" in capsys.readouterr().out
