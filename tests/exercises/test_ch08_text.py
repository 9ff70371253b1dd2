"""第 8 章第 1、2 节练习的错误解法：每一个都必须被检查函数拒绝，而且提示要说到点子上。"""

import math
from itertools import pairwise

import numpy as np
import pytest
from bookcheck.exercises import kill, mutant, registered_mutants

from dlbook.exercises import check

# ---- ex-8-1 公平的比较 ----


@mutant("ex-8-1", "除以的是词元数")
def per_token(losses, text):
    return sum(losses) / math.log(2) / len(losses)


@mutant("ex-8-1", "忘了除以 log 2")
def nats(losses, text):
    return sum(losses) / len(text)


@mutant("ex-8-1", "乘了 log 2")
def times_log2(losses, text):
    return sum(losses) * math.log(2) / len(text)


@mutant("ex-8-1", "没有除以字符数")
def total(losses, text):
    return sum(losses) / math.log(2)


@mutant("ex-8-1", "除以的是字节数")
def per_byte(losses, text):
    return sum(losses) / math.log(2) / len(text.encode())


# ---- ex-8-2 绝对折扣 ----


def discounted(counts, D, *, lower=None, kept=None, gamma=None):
    seen = counts > 0
    if lower is None:
        lower = seen.sum(axis=0) / seen.sum()
    total = counts.sum(axis=1, keepdims=True)
    safe = np.where(total > 0, total, 1)
    if gamma is None:
        gamma = np.where(total > 0, D * seen.sum(axis=1, keepdims=True) / safe, 1)
    if kept is None:
        kept = np.where(seen, counts - D, 0) / safe
    return kept + gamma * lower


@mutant("ex-8-2", "没有分出去")
def no_back_off(counts, D):
    return discounted(counts, D, gamma=0)


@mutant("ex-8-2", "低一阶用了次数")
def by_count(counts, D):
    return discounted(counts, D, lower=counts.sum(axis=0) / counts.sum())


@mutant("ex-8-2", "平均分了")
def uniform(counts, D):
    return discounted(counts, D, lower=np.full(len(counts), 1 / len(counts)))


@mutant("ex-8-2", "没有扣")
def no_discount(counts, D):
    return discounted(counts, D, kept=counts / np.maximum(counts.sum(axis=1, keepdims=True), 1))


@mutant("ex-8-2", "概率成了负数")
def discounts_zeros(counts, D):
    return discounted(
        counts, D, kept=(counts - D) / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    )


@mutant("ex-8-2", "全零的行没有处理")
def divides_by_zero(counts, D):
    with np.errstate(invalid="ignore"):
        total = counts.sum(axis=1, keepdims=True)
        seen = counts > 0
        kept = np.where(seen, counts - D, 0) / total
        return kept + D * seen.sum(axis=1, keepdims=True) / total * (seen.sum(axis=0) / seen.sum())


@mutant("ex-8-2", "全听低一阶的")
def zero_rows_stay_zero(counts, D):
    return np.where(counts.sum(axis=1, keepdims=True) > 0, discounted(counts, D), 0)


# ---- ex-8-3 手写 UTF-8 ----


def utf8(code, limits=(0x80, 0x800, 0x10000), mark=0x80, reverse=False, lead=True):
    if code < limits[0]:
        return bytes([code])
    n = 2 + (code >= limits[1]) + (code >= limits[2])
    tail = [mark | code >> 6 * k & 0x3F for k in range(n - 1)]
    first = (0xFF00 >> n & 0xFF) if lead else 0
    return bytes([first | code >> 6 * (n - 1), *(tail if reverse else tail[::-1])])


@mutant("ex-8-3", "忘了前面的 10")
def no_mark(code):
    return utf8(code, mark=0)


@mutant("ex-8-3", "次序反了")
def low_bits_first(code):
    return utf8(code, reverse=True)


@mutant("ex-8-3", "标明长度的那几个 1")
def no_lead(code):
    return utf8(code, lead=False)


@mutant("ex-8-3", "0x7F 还在一个字节之内")
def boundary_one(code):
    return utf8(code, limits=(0x7F, 0x800, 0x10000))


@mutant("ex-8-3", "0x7FF 还在两个字节之内")
def boundary_two(code):
    return utf8(code, limits=(0x80, 0x7FF, 0x10000))


@mutant("ex-8-3", "0x800 起要三个字节")
def boundary_two_late(code):
    return utf8(code, limits=(0x80, 0x801, 0x10000))


@mutant("ex-8-3", "0xFFFF 还在三个字节之内")
def boundary_three(code):
    return utf8(code, limits=(0x80, 0x800, 0xFFFF))


@mutant("ex-8-3", "四个字节")
def no_four(code):
    return utf8(code) if code < 0x10000 else utf8(code & 0xFFFF)


# ---- ex-8-4 照合并表编码 ----


def replace(ids, pair, new, *, once=False, overlap=False):
    out, i, done = [], 0, False
    while i < len(ids):
        if tuple(ids[i : i + 2]) == pair and not (once and done):
            out.append(new)
            i += 1 if overlap else 2
            done = True
        else:
            if not (overlap and done and i == len(ids) - 1):
                out.append(ids[i])
            i += 1
    return out


def encode(ids, merges, first_id, **options):
    for new, pair in enumerate(merges, first_id):
        ids = replace(list(ids), pair, new, **options)
    return ids


@mutant("ex-8-4", "应当先做学得早的合并")
def left_to_right(ids, merges, first_id):
    table = {pair: first_id + k for k, pair in enumerate(merges)}
    ids, i = list(ids), 0
    while i + 1 < len(ids):
        if tuple(ids[i : i + 2]) in table:
            ids[i : i + 2] = [table[tuple(ids[i : i + 2])]]
            i = max(i - 1, 0)
        else:
            i += 1
    return ids


@mutant("ex-8-4", "没有按学到的次序接着做")
def first_merge_only(ids, merges, first_id):
    return encode(ids, merges[:1], first_id)


@mutant("ex-8-4", "不是只做第一处")
def only_once(ids, merges, first_id):
    return encode(ids, merges, first_id, once=True)


@mutant("ex-8-4", "从右到左")
def from_the_right(ids, merges, first_id):
    flipped = [(b, a) for a, b in merges]
    return encode(list(ids)[::-1], flipped, first_id)[::-1]


@mutant("ex-8-4", "重叠了")
def overlapping(ids, merges, first_id):
    if merges != [(0, 0)]:
        return encode(ids, merges, first_id)
    return [first_id if pair == (0, 0) else pair[0] for pair in pairwise(ids)]


# ---- 检查 ----


@pytest.mark.parametrize(("exercise", "why", "solution"), registered_mutants(__name__))
def test_mutants_are_rejected_with_the_right_hint(exercise, why, solution):
    assert why in kill(exercise, solution)


def bits_per_character(losses, text):
    return sum(losses) / math.log(2) / len(text)


@pytest.mark.parametrize(
    ("exercise", "solution"),
    [
        ("ex-8-1", bits_per_character),
        ("ex-8-2", discounted),
        ("ex-8-3", utf8),
        ("ex-8-4", encode),
    ],
)
def test_right_solutions_pass(exercise, solution, capsys):
    check(exercise, solution)
    assert "通过" in capsys.readouterr().out
