"""第 8 章第 3 至 5 节练习的错误解法：每一个都必须被检查函数拒绝，而且提示要说到点子上。"""

import numpy as np
import pytest
from bookcheck.exercises import kill, mutant

from dlbook.exercises import check

# ---- ex-8-5 旋转一次的得分 ----


def turned(q, k, turn, base=10000.0):
    d = len(q)
    omega = base ** (-np.arange(0, d, 2) / d)
    q, k = q[0::2] + 1j * q[1::2], k[0::2] + 1j * k[1::2]
    return float(np.sum(q * np.conj(k * np.exp(1j * omega * turn))).real)


@mutant("ex-8-5", "方向反了")
def backwards(q, k, m, n):
    return turned(q, k, m - n)


@mutant("ex-8-5", "没有旋转")
def unturned(q, k, m, n):
    return float(q @ k)


@mutant("ex-8-5", "所有的对用同一个转速")
def one_rate(q, k, m, n):
    return turned(q, k, n - m, base=1.0)


@mutant("ex-8-5", "配成了前后两半")
def halves(q, k, m, n):
    order = np.arange(len(q)).reshape(2, -1).T.ravel()
    return turned(q[order], k[order], n - m)


@mutant("ex-8-5", "只转了键，用的是它的绝对位置")
def absolute(q, k, m, n):
    return turned(q, k, n)


# ---- ex-8-6 越远扣得越多 ----


def linear_bias(T, m, *, sign=-1, shift=0, hidden=-np.inf):
    back = np.arange(T)[:, None] - np.arange(T)
    return np.where(back >= 0, sign * m * (back + shift), hidden)


@mutant("ex-8-6", "符号反了")
def reward(T, m):
    return linear_bias(T, m, sign=1)


@mutant("ex-8-6", "没有遮住后面的")
def symmetric(T, m):
    return -m * np.abs(np.arange(T)[:, None] - np.arange(T))


@mutant("ex-8-6", "后面的成了正数")
def unmasked(T, m):
    return -m * (np.arange(T)[:, None] - np.arange(T))


@mutant("ex-8-6", "自己也扣一份")
def charged_self(T, m):
    return linear_bias(T, m, shift=1)


@mutant("ex-8-6", "没有乘 m")
def no_slope(T, m):
    return linear_bias(T, 1.0)


@mutant("ex-8-6", "后面的是 0")
def zero_future(T, m):
    return linear_bias(T, m, hidden=0.0)


@mutant("ex-8-6", "行列弄反")
def transposed(T, m):
    return linear_bias(T, m).T


# ---- ex-8-7 只看最近的 w 个 ----


def band(T, low, high):
    back = np.arange(T)[:, None] - np.arange(T)
    return (back >= low) & (back <= high)


@mutant("ex-8-7", "多看一个")
def one_more(T, w):
    return band(T, 0, w)


@mutant("ex-8-7", "去掉了自己")
def without_self(T, w):
    return band(T, 1, w - 1)


@mutant("ex-8-7", "前后都看")
def both_sides(T, w):
    return band(T, 1 - w, w - 1)


@mutant("ex-8-7", "看的是后面")
def forwards(T, w):
    return band(T, 0, w - 1).T


@mutant("ex-8-7", "真假反了")
def inverted(T, w):
    return ~band(T, 0, w - 1)


@mutant("ex-8-7", "没有用上 w")
def no_window(T, w):
    return band(T, 0, T)


@mutant("ex-8-7", "返回的是整数")
def integers(T, w):
    return band(T, 0, w - 1).astype(int)


@mutant("ex-8-7", "返回的是加在得分上的掩码")
def additive(T, w):
    return np.where(band(T, 0, w - 1), 0, -np.inf)


# ---- ex-8-8 两块并一块 ----


@mutant("ex-8-8", "没有换基准")
def no_rescale(first, second):
    return max(first[0], second[0]), first[1] + second[1], first[2] + second[2]


@mutant("ex-8-8", "总以第一块为准")
def first_basis(first, second):
    with np.errstate(over="ignore", invalid="ignore"):
        scale = np.exp(second[0] - first[0])
        return first[0], first[1] + scale * second[1], first[2] + scale * second[2]


@mutant("ex-8-8", "不减最大值")
def overflow(first, second):
    with np.errstate(over="ignore", invalid="ignore"):
        m = max(first[0], second[0])
        a, b = np.exp(first[0]), np.exp(second[0])
        return (
            m,
            (a * first[1] + b * second[1]) / np.exp(m),
            ((a * first[2] + b * second[2]) / np.exp(m)),
        )


@mutant("ex-8-8", "合并时就除以了分母")
def divided(first, second):
    m, total, u = exact_merge(first, second)
    return m, total, u / total if total else u


@mutant("ex-8-8", "两块都被遮住时得 nan")
def not_a_number(first, second):
    with np.errstate(invalid="ignore"):
        m = max(first[0], second[0])
        a, b = np.exp(first[0] - m), np.exp(second[0] - m)
        return m, a * first[1] + b * second[1], a * first[2] + b * second[2]


def exact_merge(first, second):
    m = max(first[0], second[0])
    if m == -np.inf:
        return first
    a, b = np.exp(first[0] - m), np.exp(second[0] - m)
    return m, a * first[1] + b * second[1], a * first[2] + b * second[2]


# ---- ex-8-9 换一种配置的参数量 ----


def llama(V, E, L, h, g, H, *, tables=2, matrices=3, norms=2, last=1, kv=2, square=2):
    attention = square * E * E + kv * E * (g * E // h)
    return tables * V * E + L * (attention + matrices * E * H + norms * E) + last * E


@mutant("ex-8-9", "表只算了一张")
def one_table(*sizes):
    return llama(*sizes, tables=1)


@mutant("ex-8-9", "前馈只有两个矩阵")
def two_matrices(*sizes):
    return llama(*sizes, matrices=2)


@mutant("ex-8-9", "没有最后的归一化")
def no_last_norm(*sizes):
    return llama(*sizes, last=0)


@mutant("ex-8-9", "每块只有一个归一化")
def one_norm(*sizes):
    return llama(*sizes, norms=1)


@mutant("ex-8-9", "键值没有分组")
def ungrouped(*sizes):
    return llama(*sizes, kv=0, square=4)


@mutant("ex-8-9", "键与值合用一个投影")
def shared_kv(V, E, L, h, g, H):
    return llama(V, E, L, h, g, H) - (L * E * (g * E // h) if g < h else 0)


@mutant("ex-8-9", "带了偏置")
def with_bias(V, E, L, h, g, H):
    return llama(V, E, L, h, g, H) + L * 4 * E


# ---- ex-8-10 各头各写一份 ----


@mutant("ex-8-10", "切了 W 的行")
def row_blocks(Z, W):
    return np.stack([o @ w for o, w in zip(Z, np.split(W, len(Z)), strict=True)])


@mutant("ex-8-10", "没有转置")
def untransposed(Z, W):
    d = Z.shape[2]
    return np.stack([o @ W[r * d : (r + 1) * d] for r, o in enumerate(Z)])


@mutant("ex-8-10", "都用了第一块")
def first_block(Z, W):
    return np.stack([o @ W[:, : Z.shape[2]].T for o in Z])


@mutant("ex-8-10", "每个头写了全部")
def everything(Z, W):
    whole = np.concatenate(list(Z), axis=1) @ W.T
    return np.stack([whole] * len(Z))


@mutant("ex-8-10", "头的次序反了")
def reversed_heads(Z, W):
    parts = np.split(W, len(Z), axis=1)
    return np.stack([o @ w.T for o, w in zip(Z, parts, strict=True)][::-1])


# ---- 每个都要被拒绝，提示要说到点子上 ----


@pytest.mark.parametrize(
    ("name", "solution", "diagnosis"),
    [
        ("ex-8-5", backwards, "方向反了"),
        ("ex-8-5", unturned, "没有旋转"),
        ("ex-8-5", one_rate, "同一个转速"),
        ("ex-8-5", halves, "相邻的两个"),
        ("ex-8-5", absolute, "方向反了"),
        ("ex-8-6", reward, "符号反了"),
        ("ex-8-6", symmetric, "忘了遮住"),
        ("ex-8-6", charged_self, "t − j + 1"),
        ("ex-8-6", no_slope, "没有乘 m"),
        ("ex-8-6", transposed, "行与列弄反"),
        ("ex-8-7", one_more, "多看了一个"),
        ("ex-8-7", without_self, "少看了一个"),
        ("ex-8-7", both_sides, "没有遮住后面"),
        ("ex-8-7", forwards, "方向反了"),
        ("ex-8-7", inverted, "True 应表示可以看"),
        ("ex-8-7", no_window, "没有用上 w"),
        ("ex-8-8", no_rescale, "换了基准"),
        ("ex-8-8", divided, "合并时也不要除"),
        ("ex-8-8", overflow, "先减去"),
        ("ex-8-8", not_a_number, "单独处理"),
        ("ex-8-9", one_table, "表有两张"),
        ("ex-8-9", two_matrices, "三个矩阵"),
        ("ex-8-9", no_last_norm, "最后的归一化"),
        ("ex-8-9", one_norm, "两个归一化"),
        ("ex-8-9", ungrouped, "gE/h"),
        ("ex-8-9", shared_kv, "各有一个投影"),
        ("ex-8-10", untransposed, "忘了转置"),
        ("ex-8-10", first_block, "同一块 W"),
    ],
)
def test_diagnosis_names_the_misconception(name, solution, diagnosis):
    assert diagnosis in kill(name, solution)


def test_other_correct_solutions_pass(capsys):
    def by_matrices(q, k, m, n):
        """造出两个旋转矩阵，各转各的（题目只许转一次，但答案相同）。"""
        d = len(q)
        score = 0.0
        for i in range(d // 2):
            w = 10000 ** (-2 * i / d)
            turn = [
                np.array([[np.cos(w * t), -np.sin(w * t)], [np.sin(w * t), np.cos(w * t)]])
                for t in (m, n)
            ]
            pair = slice(2 * i, 2 * i + 2)
            score += (turn[0] @ q[pair]) @ (turn[1] @ k[pair])
        return score

    def by_triangles(T, w):
        ones = np.ones((T, T), bool)
        return np.tril(ones) & np.triu(ones, 1 - w)

    def by_loops(T, m):
        rows = [[-m * (t - j) if j <= t else -np.inf for j in range(T)] for t in range(T)]
        return np.array(rows)

    def by_einsum(Z, W):
        return np.einsum("htd,ehd->hte", Z, W.reshape(len(W), len(Z), -1))

    check("ex-8-5", by_matrices)
    check("ex-8-6", by_loops)
    check("ex-8-10", by_einsum)
    check("ex-8-7", by_triangles)
    check("ex-8-8", exact_merge)
    check("ex-8-9", llama)
    assert capsys.readouterr().out.count("✓") == 6
