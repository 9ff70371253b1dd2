"""第 9 章练习的错误解法：每一个都必须被检查函数拒绝，而且提示要说到点子上。"""

import numpy as np
import pytest
from bookcheck.exercises import kill, mutant


def differences(f, x, h, divisor=2.0):
    return np.stack([(f(x + e) - f(x - e)) / (divisor * h) for e in h * np.eye(len(x))], axis=1)


@mutant("ex-9-1", "转置了")
def transposed(f, x, h):
    return differences(f, x, h).T


@mutant("ex-9-1", "分母少了 2")
def half(f, x, h):
    return differences(f, x, h, divisor=1.0)


@mutant("ex-9-1", "前向差分")
def forward(f, x, h):
    return np.stack([(f(x + e) - f(x)) / h for e in h * np.eye(len(x))], axis=1)


@mutant("ex-9-1", "改动了 x")
def in_place(f, x, h):
    result = differences(f, x, h)
    x += h
    return result


@mutant("ex-9-1", "没有用给定的 h")
def own_step(f, x, h):
    return differences(f, x, 1e-5)


@mutant("ex-9-2", "当成对称矩阵")
def symmetric(A, x):
    return 2 * A @ x


@mutant("ex-9-2", "漏了一项")
def one_term(A, x):
    return A.T @ x


@mutant("ex-9-3", "没有用先验")
def no_prior(log_prior, log_likelihood):
    score = log_likelihood.sum(axis=0)
    weight = np.exp(score - score.max())
    return weight / weight.sum()


@mutant("ex-9-3", "直接连乘，下溢")
def underflow(log_prior, log_likelihood):
    with np.errstate(all="ignore"):
        weight = np.exp(log_prior) * np.exp(log_likelihood).prod(axis=0)
        return weight / weight.sum()


@mutant("ex-9-3", "没有归一化")
def unnormalized(log_prior, log_likelihood):
    return np.exp(log_prior + log_likelihood.sum(axis=0))


@mutant("ex-9-4", "边界归到左边")
def left_side(p, u):
    return np.searchsorted(np.cumsum(p), u, side="left")


@mutant("ex-9-4", "总选最大的")
def greedy(p, u):
    return np.full(len(u), p.argmax())


@mutant("ex-9-4", "没有防越界")
def beyond(p, u):
    return np.searchsorted(np.cumsum(p), u, side="right")


@pytest.mark.parametrize(
    ("name", "solution", "diagnosis"),
    [
        ("ex-9-1", transposed, "转置"),
        ("ex-9-1", half, "2h"),
        ("ex-9-1", forward, "前向差分"),
        ("ex-9-1", in_place, "原封不动"),
        ("ex-9-1", own_step, "给定的 h"),
        ("ex-9-2", symmetric, "对称"),
        ("ex-9-2", one_term, "Aᵀx"),
        ("ex-9-3", no_prior, "先验"),
        ("ex-9-3", underflow, "减去最大值"),
        ("ex-9-3", unnormalized, "归一化"),
        ("ex-9-4", left_side, "左闭右开"),
        ("ex-9-4", greedy, "概率最大"),
        ("ex-9-4", beyond, "超出最后一段"),
    ],
)
def test_diagnosis_names_the_misconception(name, solution, diagnosis):
    assert diagnosis in kill(name, solution)
