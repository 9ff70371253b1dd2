"""第 1 章练习的错误解法：每一个都必须被检查函数拒绝，而且提示要说到点子上。"""

import numpy as np
import pytest
from bookcheck.exercises import kill, mutant

# ---- ex-1-1 把文字变成数 ----


@mutant("ex-1-1", "编号从 1 数起")
def from_one(text, vocab):
    return [vocab.find(c) + 1 if c in vocab else len(vocab) + 1 for c in text]


@mutant("ex-1-1", "丢掉不认识的字")
def dropped(text, vocab):
    return [vocab.index(c) for c in text if c in vocab]


@mutant("ex-1-1", "不认识的字成了 −1")
def minus_one(text, vocab):
    return [vocab.find(c) for c in text]


@mutant("ex-1-1", "不认识的字成了 0")
def zero(text, vocab):
    return [max(vocab.find(c), 0) for c in text]


# ---- ex-1-2 折扣回报 ----


@mutant("ex-1-2", "算成了过去的奖励")
def past(rewards, discount):
    total, gains = 0.0, []
    for reward in rewards:
        total = reward + discount * total
        gains.append(total)
    return gains


@mutant("ex-1-2", "没有打折扣")
def undiscounted(rewards, discount):
    return list(np.cumsum(rewards[::-1])[::-1])


@mutant("ex-1-2", "忘了倒过来")
def reversed_order(rewards, discount):
    total, gains = 0.0, []
    for reward in reversed(rewards):
        total = reward + discount * total
        gains.append(total)
    return gains


@mutant("ex-1-2", "这一步的奖励也打折")
def discounted_twice(rewards, discount):
    total, gains = 0.0, []
    for reward in reversed(rewards):
        total = discount * (reward + total)
        gains.append(total)
    return gains[::-1]


# ---- ex-1-3 ε-贪心 ----


@mutant("ex-1-3", "最高的没有加上随便选到的那份")
def forgot_share(values, epsilon):
    p = np.full(len(values), epsilon / len(values))
    p[np.argmax(values)] = 1 - epsilon
    return p


@mutant("ex-1-3", "随便选时不含最高的")
def excluded(values, epsilon):
    p = np.full(len(values), epsilon / (len(values) - 1))
    p[np.argmax(values)] = 1 - epsilon
    return p


@mutant("ex-1-3", "ε 与 1 − ε 弄反")
def swapped(values, epsilon):
    p = np.full(len(values), (1 - epsilon) / len(values))
    p[np.argmax(values)] += epsilon
    return p


@pytest.mark.parametrize(
    ("name", "solution", "diagnosis"),
    [
        ("ex-1-1", from_one, "由 0 数起"),
        ("ex-1-1", dropped, "丢掉"),
        ("ex-1-1", minus_one, "−1"),
        ("ex-1-1", zero, "分不开"),
        ("ex-1-2", past, "只算之后的"),
        ("ex-1-2", undiscounted, "没有打折扣"),
        ("ex-1-2", reversed_order, "次序反了"),
        ("ex-1-2", discounted_twice, "也打了折扣"),
        ("ex-1-3", forgot_share, "再加上"),
        ("ex-1-3", excluded, "漏了"),
        ("ex-1-3", swapped, "弄反"),
    ],
)
def test_diagnosis_names_the_misconception(name, solution, diagnosis):
    assert diagnosis in kill(name, solution)
