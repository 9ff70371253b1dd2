"""第 2 章练习的错误解法：每一个都必须被检查函数拒绝，而且提示要说到点子上。"""

import math

import numpy as np
import pytest
from bookcheck.exercises import kill, mutant

from dlbook.autograd.scalar import Value
from dlbook.exercises import check

# ---- ex-2-1 更准的差分 ----


@mutant("ex-2-1", "分母忘了乘 h")
def no_step(f, x, h):
    return (-f(x + 2 * h) + 8 * f(x + h) - 8 * f(x - h) + f(x - 2 * h)) / 12


@mutant("ex-2-1", "外侧两点的符号反了")
def outer_sign(f, x, h):
    return (f(x + 2 * h) + 8 * f(x + h) - 8 * f(x - h) - f(x - 2 * h)) / (12 * h)


@mutant("ex-2-1", "只做了中心差分")
def central(f, x, h):
    return (f(x + h) - f(x - h)) / (2 * h)


@mutant("ex-2-1", "偷偷用了更小的步长")
def smaller_step(f, x, h):
    h = h / 100
    return (-f(x + 2 * h) + 8 * f(x + h) - 8 * f(x - h) + f(x - 2 * h)) / (12 * h)


@mutant("ex-2-1", "忘了 return")
def no_return(f, x, h):
    (-f(x + 2 * h) + 8 * f(x + h) - 8 * f(x - h) + f(x - 2 * h)) / (12 * h)


# ---- ex-2-2 带权的均方误差 ----


@mutant("ex-2-2", "分母用了样本个数")
def divide_by_count(x, y, r, W, b):
    e = W * x + b - y
    return 2 * np.mean(r * e * x), 2 * np.mean(r * e)


@mutant("ex-2-2", "对 W 的偏导数忘了乘 x")
def no_input(x, y, r, W, b):
    e = W * x + b - y
    return (2 * np.sum(r * e) / np.sum(r),) * 2


@mutant("ex-2-2", "忘了平方带来的 2")
def no_two(x, y, r, W, b):
    e = W * x + b - y
    return np.sum(r * e * x) / np.sum(r), np.sum(r * e) / np.sum(r)


@mutant("ex-2-2", "残差的符号反了")
def wrong_sign(x, y, r, W, b):
    e = y - W * x - b
    return 2 * np.sum(r * e * x) / np.sum(r), 2 * np.sum(r * e) / np.sum(r)


@mutant("ex-2-2", "没有用到权")
def no_weight(x, y, r, W, b):
    e = W * x + b - y
    return 2 * np.mean(e * x), 2 * np.mean(e)


@mutant("ex-2-2", "返回了每个样本各自的梯度")
def per_sample(x, y, r, W, b):
    e = W * x + b - y
    return 2 * r * e * x / np.sum(r), 2 * r * e / np.sum(r)


# ---- ex-2-3 给引擎添一个运算 ----


@mutant("ex-2-3", "返回普通的数")
def plain_number(v):
    return 1 / (1 + math.exp(-v.data))


@mutant("ex-2-3", "忘了乘上游的梯度")
def no_upstream(v):
    y = (math.tanh(v.data / 2) + 1) / 2
    return Value(y, "σ", (v,), lambda g: (y * (1 - y),))


@mutant("ex-2-3", "导数写成 y(1 + y)")
def wrong_derivative(v):
    y = (math.tanh(v.data / 2) + 1) / 2
    return Value(y, "σ", (v,), lambda g: (g * y * (1 + y),))


@mutant("ex-2-3", "大的负数溢出")
def overflow(v):
    return 1 / (1 + (-v).exp())


@mutant("ex-2-3", "没有登记输入，梯度传不回去")
def no_parents(v):
    return Value((math.tanh(v.data / 2) + 1) / 2)


@mutant("ex-2-3", "直接改写输入的梯度")
def overwrites(v):
    y = (math.tanh(v.data / 2) + 1) / 2

    def pull(g):
        v.grad = g * y * (1 - y)
        return (0.0,)

    return Value(y, "σ", (v,), pull)


@pytest.mark.parametrize(
    ("name", "solution", "diagnosis"),
    [
        ("ex-2-1", no_step, "忘了乘 h"),
        ("ex-2-1", outer_sign, "外侧两点"),
        ("ex-2-1", central, "中心差分"),
        ("ex-2-2", divide_by_count, "权之和"),
        ("ex-2-2", no_input, "忘了乘 x"),
        ("ex-2-2", no_two, "带来的 2"),
        ("ex-2-2", wrong_sign, "符号反了"),
        ("ex-2-3", plain_number, "计算图就断了"),
        ("ex-2-3", no_upstream, "上游"),
        ("ex-2-3", wrong_derivative, "σ(1 − σ)"),
        ("ex-2-3", overflow, "OverflowError"),
        ("ex-2-3", no_parents, "没有传到输入"),
    ],
)
def test_diagnosis_names_the_misconception(name, solution, diagnosis):
    assert diagnosis in kill(name, solution)


def test_other_correct_solutions_pass(capsys):
    def from_two_steps(f, x, h):
        def half(h):
            return (f(x + h) - f(x - h)) / (2 * h)

        return (4 * half(h) - half(2 * h)) / 3

    def piecewise(v):
        if v.data >= 0:
            return 1 / (1 + (-v).exp())
        e = v.exp()
        return e / (1 + e)

    def average(x, y, r, W, b):
        e = W * x + b - y
        return 2 * np.average(e * x, weights=r), 2 * np.average(e, weights=r)

    check("ex-2-1", from_two_steps)
    check("ex-2-2", average)
    check("ex-2-3", piecewise)
    assert capsys.readouterr().out.count("✓") == 3
