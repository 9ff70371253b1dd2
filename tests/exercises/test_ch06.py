"""第 6 章练习的错误解法：每一个都必须被检查函数拒绝，而且提示要说到点子上。"""

import numpy as np
import pytest
from bookcheck.exercises import kill, mutant


def moments(gradients, beta1, beta2):
    m = s = np.zeros(gradients.shape[1])
    for t, g in enumerate(gradients, start=1):
        m, s = beta1 * m + (1 - beta1) * g, beta2 * s + (1 - beta2) * g * g
        yield t, m, s


@mutant("ex-6-1", "没有偏差修正")
def uncorrected(gradients, lr, beta1, beta2, eps):
    moves = [lr * m / (np.sqrt(s) + eps) for _, m, s in moments(gradients, beta1, beta2)]
    return -np.cumsum(moves, axis=0)


@mutant("ex-6-1", "ε 在根号里")
def inside(gradients, lr, beta1, beta2, eps):
    moves = [
        lr * m / (1 - beta1**t) / np.sqrt(s / (1 - beta2**t) + eps)
        for t, m, s in moments(gradients, beta1, beta2)
    ]
    return -np.cumsum(moves, axis=0)


@mutant("ex-6-1", "方向反了")
def uphill(gradients, lr, beta1, beta2, eps):
    moves = [
        lr * m / (1 - beta1**t) / (np.sqrt(s / (1 - beta2**t)) + eps)
        for t, m, s in moments(gradients, beta1, beta2)
    ]
    return np.cumsum(moves, axis=0)


@mutant("ex-6-1", "修正写回了滑动平均")
def written_back(gradients, lr, beta1, beta2, eps):
    x = m = s = np.zeros(gradients.shape[1])
    path = []
    for t, g in enumerate(gradients, start=1):
        m, s = beta1 * m + (1 - beta1) * g, beta2 * s + (1 - beta2) * g * g
        m, s = m / (1 - beta1**t), s / (1 - beta2**t)
        x = x - lr * m / (np.sqrt(s) + eps)
        path.append(x)
    return np.array(path)


def length(gradients):
    return np.sqrt(sum(np.sum(g**2) for g in gradients))


@mutant("ex-6-2", "各裁各的")
def separately(gradients, limit):
    clipped = [g * min(1, limit / np.linalg.norm(g)) for g in gradients]
    return clipped, length(gradients)


@mutant("ex-6-2", "不超过时也缩放")
def always(gradients, limit):
    norm = length(gradients)
    return [g * limit / norm for g in gradients], norm


@mutant("ex-6-2", "就地修改")
def in_place(gradients, limit):
    norm = length(gradients)
    for g in gradients:
        g *= min(1, limit / norm)
    return gradients, norm


@mutant("ex-6-2", "按元素截断")
def elementwise(gradients, limit):
    return [np.clip(g, -limit, limit) for g in gradients], length(gradients)


@mutant("ex-6-3", "alpha 没有平方")
def not_squared(n, alpha):
    return np.sqrt(2 / ((1 + alpha) * n))


@mutant("ex-6-3", "返回方差")
def variance(n, alpha):
    return 2 / ((1 + alpha**2) * n)


@mutant("ex-6-3", "忘了 alpha")
def plain_he(n, alpha):
    return np.sqrt(2 / n)


@pytest.mark.parametrize(
    ("name", "solution", "diagnosis"),
    [
        ("ex-6-1", uncorrected, "没有做偏差修正"),
        ("ex-6-1", inside, "根号里面"),
        ("ex-6-1", uphill, "方向反了"),
        ("ex-6-1", written_back, "照公式"),
        ("ex-6-2", separately, "各裁各的"),
        ("ex-6-2", always, "不超过时也放大"),
        ("ex-6-2", in_place, "就地"),
        ("ex-6-2", elementwise, "按元素"),
        ("ex-6-3", not_squared, "平方"),
        ("ex-6-3", variance, "方差"),
        ("ex-6-3", plain_he, "没有用上 alpha"),
    ],
)
def test_diagnosis_names_the_misconception(name, solution, diagnosis):
    assert diagnosis in kill(name, solution)
