"""第 8 章后四节练习的错误解法：每一个都必须被检查函数拒绝，而且提示要说到点子上。"""

from math import comb

import numpy as np
import pytest
from bookcheck.exercises import kill, mutant

from dlbook.exercises import check

# ---- ex-8-14 一处小小的不同 ----


@mutant("ex-8-14", "从 0 数起")
def from_zero(a, b, limit):
    over = np.abs(a - b) > limit
    return int(over.argmax()) if over.any() else 0


@mutant("ex-8-14", "没有取绝对值")
def signed(a, b, limit):
    over = b - a > limit
    return int(over.argmax()) + 1 if over.any() else 0


@mutant("ex-8-14", "没有先问有没有")
def always_found(a, b, limit):
    return int((np.abs(a - b) > limit).argmax()) + 1


@mutant("ex-8-14", "等于也算")
def not_less(a, b, limit):
    over = np.abs(a - b) >= limit
    return int(over.argmax()) + 1 if over.any() else 0


@mutant("ex-8-14", "最后一次")
def last_gap(a, b, limit):
    return int(np.flatnonzero(np.abs(a - b) > limit).max(initial=-1)) + 1


# ---- ex-8-15 差几个末位 ----


@mutant("ex-8-15", "差的数值")
def difference(a, b):
    return np.abs(a - b)


@mutant("ex-8-15", "负数没有换")
def raw_bits(a, b):
    x, y = (z.view(np.int32).astype(np.int64) for z in (a, b))
    return np.abs(x - y)


@mutant("ex-8-15", "都除以 1 附近的间隔")
def fixed_unit(a, b):
    return np.rint(np.abs(a.astype(float) - b) / np.spacing(np.float32(1))).astype(np.int64)


@mutant("ex-8-15", "没有取绝对值")
def signed_steps(a, b):
    x, y = (z.view(np.int32).astype(np.int64) for z in (a, b))
    x, y = (np.where(z < 0, -(z & 0x7FFFFFFF), z) for z in (x, y))
    return x - y


@mutant("ex-8-15", "溢出")
def overflowing(a, b):
    x, y = (z.view(np.int32) for z in (a, b))
    x, y = (np.where(z < 0, -(z & 0x7FFFFFFF), z).astype(np.int32) for z in (x, y))
    return np.abs(x - y).astype(np.int64)


# ---- ex-8-16 分辨真假 ----


def at_least(n, k):
    return sum(comb(n, i) for i in range(k, n + 1)) / 2**n


@mutant("ex-8-16", "恰好这么多")
def exactly(n, chance):
    return next((k for k in range(n + 1) if comb(n, k) / 2**n < chance), None)


@mutant("ex-8-16", "少一组")
def one_fewer(n, chance):
    k = next((k for k in range(n + 1) if at_least(n, k) < chance), None)
    return k and k - 1


@mutant("ex-8-16", "两侧")
def two_sided(n, chance):
    return next((k for k in range(n + 1) if 2 * at_least(n, k) < chance), None)


@mutant("ex-8-16", "等于也算")
def or_equal(n, chance):
    return next((k for k in range(n + 1) if at_least(n, k) <= chance), None)


@mutant("ex-8-16", "不够时返回 n")
def never_none(n, chance):
    return next((k for k in range(n + 1) if at_least(n, k) < chance), n)


# ---- ex-8-17 min-p 截断 ----


@mutant("ex-8-17", "门槛用了 m 本身")
def absolute(p, m):
    kept = np.where(p >= m, p, 0)
    return kept / kept.sum()


@mutant("ex-8-17", "没有归一")
def unnormalized(p, m):
    return np.where(p >= m * p.max(), p, 0)


@mutant("ex-8-17", "不等号反了")
def reversed_cut(p, m):
    kept = np.where(p < m * p.max(), p, 0)
    return kept / kept.sum()


@mutant("ex-8-17", "严格大于")
def strict(p, m):
    kept = np.where(p > m * p.max(), p, 0)
    return kept / max(kept.sum(), 1e-9)


@mutant("ex-8-17", "就地归零")
def in_place(p, m):
    p[p < m * p.max()] = 0
    return p / p.sum()


# ---- ex-8-18 隔几格 ----


@mutant("ex-8-18", "行列弄反")
def forward_lag(weights, lag):
    return np.diagonal(weights, lag).mean()


@mutant("ex-8-18", "除以了 T")
def over_length(weights, lag):
    return np.diagonal(weights, -lag).sum() / len(weights)


@mutant("ex-8-18", "只求和")
def summed(weights, lag):
    return np.diagonal(weights, -lag).sum()


@mutant("ex-8-18", "差一格")
def off_by_one(weights, lag):
    return np.diagonal(weights, -(lag - 1)).mean()


# ---- ex-8-19 找归纳头 ----


def followed(weights, ids, *, shift=1, latest=True, reduce=np.mean):
    places, found = {}, []
    for t, token in enumerate(ids):
        if token in places:
            found.append(weights[t, places[token] + shift])
        if latest or token not in places:
            places[token] = t
    return float(reduce(found)) if found else float("nan")


@mutant("ex-8-19", "看的是它自己")
def itself(weights, ids):
    return followed(weights, ids, shift=0)


@mutant("ex-8-19", "第一次出现的地方")
def first_place(weights, ids):
    return followed(weights, ids, latest=False)


@mutant("ex-8-19", "求和")
def summed_up(weights, ids):
    return followed(weights, ids, reduce=np.sum)


@mutant("ex-8-19", "除以了 T")
def over_all(weights, ids):
    return followed(weights, ids, reduce=lambda found: np.sum(found) / len(ids))


@mutant("ex-8-19", "没有重复时返回 0")
def zero_if_none(weights, ids):
    score = followed(weights, ids)
    return 0.0 if np.isnan(score) else score


# ---- ex-8-20 花多少，买多大 ----


def budget(gpus, days, mfu, peak, *, seconds=86400, per=120):
    n = (gpus * days * seconds * mfu * peak / per) ** 0.5
    return n, 20 * n


@mutant("ex-8-20", "没有乘利用率")
def no_mfu(gpus, days, mfu, peak):
    return budget(gpus, days, 1, peak)


@mutant("ex-8-20", "天当成了秒")
def days_as_seconds(gpus, days, mfu, peak):
    return budget(gpus, days, mfu, peak, seconds=1)


@mutant("ex-8-20", "忘了 6")
def no_six(gpus, days, mfu, peak):
    return budget(gpus, days, mfu, peak, per=20)


@mutant("ex-8-20", "次序反了")
def swapped(gpus, days, mfu, peak):
    return budget(gpus, days, mfu, peak)[::-1]


@mutant("ex-8-20", "只用一块")
def one_gpu(gpus, days, mfu, peak):
    return budget(1, days, mfu, peak)


# ---- ex-8-21 要多少计算量 ----


@mutant("ex-8-21", "只取了计算量的对数")
def semilog(flops, losses, target):
    slope, intercept = np.polyfit(np.log(flops), losses, 1)
    return np.exp((target - intercept) / slope)


@mutant("ex-8-21", "没有取对数")
def straight(flops, losses, target):
    slope, intercept = np.polyfit(flops, losses, 1)
    return (target - intercept) / slope


@mutant("ex-8-21", "忘了还原")
def still_log(flops, losses, target):
    slope, intercept = np.polyfit(np.log(flops), np.log(losses), 1)
    return (np.log(target) - intercept) / slope


@mutant("ex-8-21", "只用首尾两点")
def two_points(flops, losses, target):
    x, y = np.log(flops), np.log(losses)
    return np.exp(x[0] + (np.log(target) - y[0]) * (x[-1] - x[0]) / (y[-1] - y[0]))


# ---- 每个都要被拒绝，提示要说到点子上 ----


@pytest.mark.parametrize(
    ("name", "solution", "diagnosis"),
    [
        ("ex-8-14", from_zero, "从 1 数起"),
        ("ex-8-14", signed, "绝对值"),
        ("ex-8-14", always_found, "any"),
        ("ex-8-14", not_less, "等于不算"),
        ("ex-8-14", last_gap, "第一次"),
        ("ex-8-15", difference, "差的数值"),
        ("ex-8-15", raw_bits, "负的整数"),
        ("ex-8-15", fixed_unit, "1 附近的间隔"),
        ("ex-8-15", overflowing, "int64"),
        ("ex-8-16", exactly, "或更多"),
        ("ex-8-16", one_fewer, "还不够小"),
        ("ex-8-16", two_sided, "已经小于"),
        ("ex-8-16", or_equal, "等于不算"),
        ("ex-8-16", never_none, "None"),
        ("ex-8-17", absolute, "不是 m 本身"),
        ("ex-8-17", unnormalized, "重新归一"),
        ("ex-8-17", reversed_cut, "方向反了"),
        ("ex-8-18", forward_lag, "行与列弄反"),
        ("ex-8-18", over_length, "T − lag"),
        ("ex-8-18", summed, "没有取平均"),
        ("ex-8-18", off_by_one, "差了一格"),
        ("ex-8-19", itself, "后面的一个"),
        ("ex-8-19", first_place, "最近的一次"),
        ("ex-8-19", summed_up, "没有取平均"),
        ("ex-8-19", over_all, "有重复的 t"),
        ("ex-8-19", zero_if_none, "nan"),
        ("ex-8-20", no_mfu, "利用率"),
        ("ex-8-20", days_as_seconds, "换成秒"),
        ("ex-8-20", no_six, "6N"),
        ("ex-8-20", swapped, "次序反了"),
        ("ex-8-20", one_gpu, "块数"),
        ("ex-8-21", semilog, "只取了计算量的"),
        ("ex-8-21", straight, "没有取对数"),
        ("ex-8-21", still_log, "还要取指数"),
        ("ex-8-21", two_points, "首尾两点"),
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

    def by_walking(a, b, limit):
        pairs = enumerate(zip(a, b, strict=True), 1)
        return next((step for step, (x, y) in pairs if abs(x - y) > limit), 0)

    def by_sign_and_size(a, b):
        size = [np.abs(z).view(np.int32).astype(np.int64) for z in (a, b)]
        return np.where(np.signbit(a) == np.signbit(b), np.abs(size[0] - size[1]), sum(size))

    def by_tails(n, chance):
        return next((k for k in range(n + 1) if at_least(n, k) < chance), None)

    def by_lstsq(flops, losses, target):
        A = np.stack([np.log(flops), np.ones(len(flops))], axis=1)
        slope, intercept = np.linalg.lstsq(A, np.log(losses), rcond=None)[0]
        return float(np.exp((np.log(target) - intercept) / slope))

    check("ex-8-14", by_walking)
    check("ex-8-15", by_sign_and_size)
    check("ex-8-16", by_tails)
    check("ex-8-19", followed)
    check("ex-8-21", by_lstsq)
    check("ex-8-17", by_ranking)
    check("ex-8-18", by_loop)
    check("ex-8-20", by_logarithms)
    assert capsys.readouterr().out.count("✓") == 8
