"""第 7 章练习的错误解法：每一个都必须被检查函数拒绝，而且提示要说到点子上。"""

import math
from itertools import pairwise

import pytest
import torch.nn.functional as F
from bookcheck.exercises import kill, mutant, registered_mutants

from dlbook.exercises import check

# ---- ex-7-1 损失对偏置的梯度 ----


def sigmoid(z):
    return 1 / (1 + math.exp(-z))


@mutant("ex-7-1", "z 对 b 的偏导数是 1")
def times_x(x1, w1, b, y):
    return (sigmoid(w1 * x1 + b) - y) * x1


@mutant("ex-7-1", "符号反了")
def wrong_sign(x1, w1, b, y):
    return y - sigmoid(w1 * x1 + b)


@mutant("ex-7-1", "漏了 σ 的导数")
def without_sigmoid_slope(x1, w1, b, y):
    a = sigmoid(w1 * x1 + b)
    return (a - y) / (a * (1 - a))


@mutant("ex-7-1", "多乘了一次 σ 的导数")
def slope_twice(x1, w1, b, y):
    a = sigmoid(w1 * x1 + b)
    return (a - y) * a * (1 - a)


@mutant("ex-7-1", "忘了过 sigmoid")
def without_sigmoid(x1, w1, b, y):
    return w1 * x1 + b - y


@mutant("ex-7-1", "y = 0 时不成立")
def only_for_one(x1, w1, b, y):
    return sigmoid(w1 * x1 + b) - 1


# ---- ex-7-2 数参数 ----


@mutant("ex-7-2", "忘了偏置")
def no_bias(sizes):
    return sum(a * b for a, b in pairwise(sizes))


@mutant("ex-7-2", "把输入也算上了一份偏置")
def bias_for_input(sizes):
    return no_bias(sizes) + sum(sizes)


@mutant("ex-7-2", "每层只算了一个偏置")
def one_bias(sizes):
    return no_bias(sizes) + len(sizes) - 1


@mutant("ex-7-2", "漏了最后一层")
def no_last_layer(sizes):
    return sum((a + 1) * b for a, b in pairwise(sizes[:-1]))


# ---- ex-7-3 给异步的设备计时 ----


def _measure(run, synchronize, clock, repeats, *, warm=True, before=True, after=True, each=False):
    if warm:
        run()
    if before:
        synchronize()
    start = clock()
    for _ in range(repeats):
        run()
        if each:
            synchronize()
    if after:
        synchronize()
    return clock() - start


@mutant("ex-7-3", "停表之前没有同步")
def no_sync_after(run, synchronize, clock, repeats):
    return _measure(run, synchronize, clock, repeats, after=False) / repeats


@mutant("ex-7-3", "没有预热")
def no_warm_up(run, synchronize, clock, repeats):
    return _measure(run, synchronize, clock, repeats, warm=False) / repeats


@mutant("ex-7-3", "预热之后没有同步")
def no_sync_before(run, synchronize, clock, repeats):
    return _measure(run, synchronize, clock, repeats, before=False) / repeats


@mutant("ex-7-3", "忘了除以次数")
def not_divided(run, synchronize, clock, repeats):
    return _measure(run, synchronize, clock, repeats)


@mutant("ex-7-3", "每次都同步")
def sync_each(run, synchronize, clock, repeats):
    return _measure(run, synchronize, clock, repeats, each=True) / repeats


# ---- ex-7-4 交叉点 ----


@mutant("ex-7-4", "只找了第一次更快的地方")
def first_win(sizes, cpu, gpu):
    return next((n for n, c, g in zip(sizes, cpu, gpu, strict=True) if g < c), None)


@mutant("ex-7-4", "返回了下标")
def index_of(sizes, cpu, gpu):
    n = crossover(sizes, cpu, gpu)
    return None if n is None else sizes.index(n)


@mutant("ex-7-4", "相等不算更快")
def ties_win(sizes, cpu, gpu):
    return crossover(sizes, cpu, [g - 1e-9 for g in gpu])


@mutant("ex-7-4", "CPU 与 GPU 比反了")
def reversed_comparison(sizes, cpu, gpu):
    return crossover(sizes, gpu, cpu)


def crossover(sizes, cpu, gpu):
    answer = None
    for n, c, g in zip(reversed(sizes), reversed(cpu), reversed(gpu), strict=True):
        if g >= c:
            break
        answer = n
    return answer


# ---- ex-7-5 发牌 ----


@mutant("ex-7-5", "没有补齐")
def no_padding(total, world_size, rank, drop_last):
    end = total // world_size * world_size if drop_last else total
    return list(range(rank, end, world_size))


@mutant("ex-7-5", "轮流")
def blocks(total, world_size, rank, drop_last):
    share = total // world_size if drop_last else math.ceil(total / world_size)
    return [i % total for i in range(rank * share, (rank + 1) * share)]


@mutant("ex-7-5", "应舍去多余的")
def never_drops(total, world_size, rank, drop_last):
    share = math.ceil(total / world_size)
    return [i % total for i in range(rank, share * world_size, world_size)]


@mutant("ex-7-5", "从第 rank 个起")
def pads_with_last(total, world_size, rank, drop_last):
    if drop_last:
        return list(range(rank, total // world_size * world_size, world_size))
    share = math.ceil(total / world_size)
    return [min(i, total - 1) for i in range(rank, share * world_size, world_size)]


# ---- ex-7-6 大小不一的梯度累积 ----


@mutant("ex-7-6", "没有先清零")
def keeps_old(model, pieces):
    total = sum(len(y) for _, y in pieces)
    for x, y in pieces:
        (F.cross_entropy(model(x), y) * len(y) / total).backward()


@mutant("ex-7-6", "没有按样本数加权")
def unweighted(model, pieces):
    model.zero_grad()
    for x, y in pieces:
        F.cross_entropy(model(x), y).backward()


@mutant("ex-7-6", "各份一样看重")
def equal_weights(model, pieces):
    model.zero_grad()
    for x, y in pieces:
        (F.cross_entropy(model(x), y) / len(pieces)).backward()


@mutant("ex-7-6", "只剩最后一份")
def zero_every_time(model, pieces):
    total = sum(len(y) for _, y in pieces)
    for x, y in pieces:
        model.zero_grad()
        (F.cross_entropy(model(x), y) * len(y) / total).backward()


# ---- 检查 ----


# 每个错误解法都被拒绝，而且提示里说出它错在哪里（mutant 的第二个参数）。
@pytest.mark.parametrize(("exercise", "why", "solution"), registered_mutants(__name__))
def test_mutants_are_rejected_with_the_right_hint(exercise, why, solution):
    assert why in kill(exercise, solution)


def grad_b(x1, w1, b, y):
    return sigmoid(w1 * x1 + b) - y


def count_parameters(sizes):
    return sum((a + 1) * b for a, b in pairwise(sizes))


def measure(run, synchronize, clock, repeats):
    return _measure(run, synchronize, clock, repeats) / repeats


def share(total, world_size, rank, drop_last):
    size = total // world_size if drop_last else math.ceil(total / world_size)
    return [i % total for i in range(rank, size * world_size, world_size)]


def accumulate(model, pieces):
    model.zero_grad()
    total = sum(len(y) for _, y in pieces)
    for x, y in pieces:
        (F.cross_entropy(model(x), y) * len(y) / total).backward()


@pytest.mark.parametrize(
    ("exercise", "solution"),
    [
        ("ex-7-1", grad_b),
        ("ex-7-2", count_parameters),
        ("ex-7-3", measure),
        ("ex-7-4", crossover),
        ("ex-7-5", share),
        ("ex-7-6", accumulate),
    ],
)
def test_right_solutions_pass(exercise, solution, capsys):
    check(exercise, solution)
    assert "通过" in capsys.readouterr().out
