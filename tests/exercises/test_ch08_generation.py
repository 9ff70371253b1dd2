"""第 8 章后四节练习的错误解法：每一个都必须被检查函数拒绝，而且提示要说到点子上。"""

import numpy as np
import pytest
from bookcheck.exercises import kill, mutant

from dlbook.exercises import check

# ---- ex-8-14 min-p 截断 ----


@mutant("ex-8-14", "门槛用了 m 本身")
def absolute(p, m):
    kept = np.where(p >= m, p, 0)
    return kept / kept.sum()


@mutant("ex-8-14", "没有归一")
def unnormalized(p, m):
    return np.where(p >= m * p.max(), p, 0)


@mutant("ex-8-14", "不等号反了")
def reversed_cut(p, m):
    kept = np.where(p < m * p.max(), p, 0)
    return kept / kept.sum()


@mutant("ex-8-14", "严格大于")
def strict(p, m):
    kept = np.where(p > m * p.max(), p, 0)
    return kept / max(kept.sum(), 1e-9)


@mutant("ex-8-14", "就地归零")
def in_place(p, m):
    p[p < m * p.max()] = 0
    return p / p.sum()


# ---- ex-8-15 隔几格 ----


@mutant("ex-8-15", "行列弄反")
def forward_lag(weights, lag):
    return np.diagonal(weights, lag).mean()


@mutant("ex-8-15", "除以了 T")
def over_length(weights, lag):
    return np.diagonal(weights, -lag).sum() / len(weights)


@mutant("ex-8-15", "只求和")
def summed(weights, lag):
    return np.diagonal(weights, -lag).sum()


@mutant("ex-8-15", "差一格")
def off_by_one(weights, lag):
    return np.diagonal(weights, -(lag - 1)).mean()


# ---- ex-8-16 花多少，买多大 ----


def budget(gpus, days, mfu, peak, *, seconds=86400, per=120):
    n = (gpus * days * seconds * mfu * peak / per) ** 0.5
    return n, 20 * n


@mutant("ex-8-16", "没有乘利用率")
def no_mfu(gpus, days, mfu, peak):
    return budget(gpus, days, 1, peak)


@mutant("ex-8-16", "天当成了秒")
def days_as_seconds(gpus, days, mfu, peak):
    return budget(gpus, days, mfu, peak, seconds=1)


@mutant("ex-8-16", "忘了 6")
def no_six(gpus, days, mfu, peak):
    return budget(gpus, days, mfu, peak, per=20)


@mutant("ex-8-16", "次序反了")
def swapped(gpus, days, mfu, peak):
    return budget(gpus, days, mfu, peak)[::-1]


@mutant("ex-8-16", "只用一块")
def one_gpu(gpus, days, mfu, peak):
    return budget(1, days, mfu, peak)


# ---- 每个都要被拒绝，提示要说到点子上 ----


@pytest.mark.parametrize(
    ("name", "solution", "diagnosis"),
    [
        ("ex-8-14", absolute, "不是 m 本身"),
        ("ex-8-14", unnormalized, "重新归一"),
        ("ex-8-14", reversed_cut, "方向反了"),
        ("ex-8-15", forward_lag, "行与列弄反"),
        ("ex-8-15", over_length, "T − lag"),
        ("ex-8-15", summed, "没有取平均"),
        ("ex-8-15", off_by_one, "差了一格"),
        ("ex-8-16", no_mfu, "利用率"),
        ("ex-8-16", days_as_seconds, "换成秒"),
        ("ex-8-16", no_six, "6N"),
        ("ex-8-16", swapped, "次序反了"),
        ("ex-8-16", one_gpu, "块数"),
    ],
)
def test_diagnosis_names_the_misconception(name, solution, diagnosis):
    assert diagnosis in kill(name, solution)


def test_other_correct_solutions_pass(capsys):
    def by_ranking(p, m):
        out = p.copy()
        for i in np.argsort(p):
            if p[i] < m * p.max():
                out[i] = 0
        return out / out.sum()

    def by_logarithms(gpus, days, mfu, peak):
        log_c = np.log(gpus) + np.log(days * 86400) + np.log(mfu) + np.log(peak)
        n = float(np.exp((log_c - np.log(120)) / 2))
        return n, 20 * n

    def by_loop(weights, lag):
        return sum(weights[t, t - lag] for t in range(lag, len(weights))) / (len(weights) - lag)

    check("ex-8-14", by_ranking)
    check("ex-8-15", by_loop)
    check("ex-8-16", by_logarithms)
    assert capsys.readouterr().out.count("✓") == 3
