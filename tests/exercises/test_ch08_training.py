"""第 8 章第 6 节练习的错误解法：每一个都必须被检查函数拒绝，而且提示要说到点子上。"""

import math

import numpy as np
import pytest
from bookcheck.exercises import mutant

from dlbook.exercises import check
from dlbook.training.muon import A, B, C

# ---- ex-8-12 平均的平均 ----


def mean_of(losses, counts):
    return sum(a * b for a, b in zip(losses, counts, strict=True)) / sum(counts)


@mutant("ex-8-12", "平均的平均")
def mean_of_means(losses, counts):
    mean = sum(losses) / len(losses)
    return mean, math.exp(mean)


@mutant("ex-8-12", "困惑度的平均")
def mean_perplexity(losses, counts):
    return mean_of(losses, counts), mean_of([math.exp(loss) for loss in losses], counts)


@mutant("ex-8-12", "底数取 2")
def base_two(losses, counts):
    mean = mean_of(losses, counts)
    return mean, 2**mean


@mutant("ex-8-12", "没有除以目标数")
def total(losses, counts):
    mean = mean_of(losses, counts)
    return mean * sum(counts), math.exp(mean)


# ---- ex-8-13 正交化 ----


def iterate(x, steps, step=lambda x, s: A * x + (B * s + C * s @ s) @ x):
    for _ in range(steps):
        x = step(x, x @ x.T)
    return x


@mutant("ex-8-13", "没有缩小")
def unscaled(x, steps):
    return iterate(x, steps)


@mutant("ex-8-13", "除以谱范数")
def spectral(x, steps):
    return iterate(x / np.linalg.norm(x, 2), steps)


@mutant("ex-8-13", "用奇异值分解")
def exact(x, steps):
    left, _, right = np.linalg.svd(x, full_matrices=False)
    return left @ right


@mutant("ex-8-13", "只迭代一次")
def once(x, steps):
    return iterate(x / np.linalg.norm(x), 1)


@mutant("ex-8-13", "逐个元素的乘方")
def elementwise(x, steps):
    return iterate(x / np.linalg.norm(x), steps, lambda x, s: A * x + B * x**3 + C * x**5)


@mutant("ex-8-13", "五次项写成了 S 的逐元素平方")
def squared(x, steps):
    return iterate(x / np.linalg.norm(x), steps, lambda x, s: A * x + (B * s + C * s**2) @ x)


@pytest.mark.parametrize(
    ("label", "solution", "hint"),
    [
        ("ex-8-12", mean_of_means, "各批的权重应是目标数"),
        ("ex-8-12", mean_perplexity, "不是各批困惑度的平均"),
        ("ex-8-13", unscaled, "没有先除以"),
        ("ex-8-13", spectral, "除以的是最大的奇异值"),
        ("ex-8-13", exact, "奇异值全为 1"),
    ],
)
def test_hints_point_at_the_mistake(label, solution, hint):
    with pytest.raises(AssertionError, match=hint):
        check(label, solution)
