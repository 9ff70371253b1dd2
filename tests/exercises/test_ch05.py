"""第 5 章练习的错误解法：每一个都必须被检查函数拒绝，而且提示要说到点子上。"""

import numpy as np
import pytest
from bookcheck.exercises import kill, mutant

# ---- ex-5-1 泊松损失 ----


@mutant("ex-5-1", "梯度忘了除以样本数")
def no_mean(z, y):
    rate = np.exp(z)
    return np.mean(rate - y * z), rate - y


@mutant("ex-5-1", "符号反了")
def wrong_sign(z, y):
    rate = np.exp(z)
    return np.mean(rate - y * z), (y - rate) / z.size


@mutant("ex-5-1", "把输出直接当成平均次数")
def no_exponential(z, y):
    return np.mean(z - y * z), (1 - y) / z.size


@mutant("ex-5-1", "除以行数而不是元素个数")
def rows_only(z, y):
    rate = np.exp(z)
    return np.mean(rate - y * z), (rate - y) / len(z)


# ---- ex-5-2 期望校准误差 ----


def groups_of(confidence, bins):
    return np.minimum((confidence * bins).astype(int), bins - 1)


def gaps(confidence, correct, bins):
    group = groups_of(confidence, bins)
    inside = [group == g for g in np.unique(group)]
    return [(part.mean(), correct[part].mean() - confidence[part].mean()) for part in inside]


@mutant("ex-5-2", "各组没有加权")
def unweighted(confidence, correct, bins):
    return np.mean([abs(gap) for _, gap in gaps(confidence, correct, bins)])


@mutant("ex-5-2", "没有取绝对值")
def signed(confidence, correct, bins):
    return sum(weight * -gap for weight, gap in gaps(confidence, correct, bins))


@mutant("ex-5-2", "没有分组")
def one_group(confidence, correct, bins):
    return abs(confidence.mean() - correct.mean())


@mutant("ex-5-2", "把握恰为 1 的没有归入末组")
def overflow(confidence, correct, bins):
    group = (confidence * bins).astype(int)
    total = 0.0
    for g in range(bins):
        inside = group == g
        if inside.any():
            total += inside.mean() * abs(correct[inside].mean() - confidence[inside].mean())
    return total


# ---- ex-5-3 分位数损失 ----


@mutant("ex-5-3", "两侧的权重反了")
def swapped(prediction, y, tau):
    error = prediction - y
    return np.mean(np.maximum(tau * error, (tau - 1) * error))


@mutant("ex-5-3", "忘了取平均")
def summed(prediction, y, tau):
    error = y - prediction
    return np.sum(np.maximum(tau * error, (tau - 1) * error))


@mutant("ex-5-3", "高估一侧没有变号")
def negative(prediction, y, tau):
    error = y - prediction
    return np.mean(np.where(error > 0, tau * error, (1 - tau) * error))


# ---- ex-5-4 KL 散度 ----


def kl(m1, s1, m2, s2):
    return np.log(s2 / s1) + (s1**2 + (m1 - m2) ** 2) / (2 * s2**2) - 0.5


@mutant("ex-5-4", "两个分布的次序反了")
def reversed_order(m1, s1, m2, s2):
    return kl(m2, s2, m1, s1)


@mutant("ex-5-4", "把标准差当成方差")
def variance(m1, s1, m2, s2):
    return kl(m1, np.sqrt(s1), m2, np.sqrt(s2))


@mutant("ex-5-4", "漏了二分之一")
def no_half(m1, s1, m2, s2):
    return kl(m1, s1, m2, s2) + 0.5 * (m1 != m2)


@pytest.mark.parametrize(
    ("name", "solution", "diagnosis"),
    [
        ("ex-5-1", no_mean, "忘了除以样本数"),
        ("ex-5-1", wrong_sign, "符号反了"),
        ("ex-5-1", no_exponential, "当成了 λ"),
        ("ex-5-1", rows_only, "除以了行数"),
        ("ex-5-2", unweighted, "没有按人数加权"),
        ("ex-5-2", signed, "正负抵消"),
        ("ex-5-2", one_group, "没有分组"),
        ("ex-5-2", overflow, "归入最后一组"),
        ("ex-5-3", swapped, "弄反了"),
        ("ex-5-3", summed, "没有取平均"),
        ("ex-5-3", negative, "负的"),
        ("ex-5-4", reversed_order, "次序反了"),
        ("ex-5-4", variance, "方差"),
        ("ex-5-4", no_half, "漏了"),
    ],
)
def test_diagnosis_names_the_misconception(name, solution, diagnosis):
    assert diagnosis in kill(name, solution)
