"""第 8 章前两节（任务、词元）每个带标签的公式。"""

import math
from collections import Counter
from itertools import pairwise, product

import numpy as np
import sympy
import torch
from bookcheck.equations import definition, verifies

from dlbook.data import tangshi
from dlbook.text import RhymeTable, verse
from dlbook.text.ngram import AddK, KneserNey, _discounts

# 小语料：0 是首尾的换行，1 到 4 是“字”。
V = 5
SEQUENCES = [[0, 1, 2, 3, 0], [0, 1, 2, 4, 2, 0], [0, 1, 3, 3, 0], [0, 2, 1, 2, 0], [0, 4, 1, 0]]


def bigram_counts():
    counts = np.zeros((V, V), int)
    for ids in SEQUENCES:
        for h, w in pairwise(ids):
            counts[h, w] += 1
    return counts


@verifies("eq-lm-chain", by="任取一个联合分布，边缘化求出各条件概率，连乘与原来的概率逐个相等")
def test_chain():
    joint = np.random.default_rng(0).dirichlet(np.ones(4**3)).reshape(4, 4, 4)
    for x in product(range(4), repeat=3):
        p1 = joint.sum(axis=(1, 2))[x[0]]
        p2 = joint.sum(axis=2)[x[0], x[1]] / joint.sum(axis=(1, 2))[x[0]]
        p3 = joint[x] / joint.sum(axis=2)[x[0], x[1]]
        assert math.isclose(p1 * p2 * p3, joint[x], rel_tol=1e-12)


@verifies("eq-lm-loss", by="与 torch.nn.functional.cross_entropy 比较；总和等于整段概率的负对数")
def test_loss():
    model = KneserNey(SEQUENCES, V, order=3)
    ids = SEQUENCES[1]
    logits = np.log([model.distribution(ids[:t]) for t in range(1, len(ids))])
    theirs = torch.nn.functional.cross_entropy(torch.tensor(logits), torch.tensor(ids[1:]))
    losses = model.nats([ids])
    assert math.isclose(losses.mean(), theirs.item(), rel_tol=1e-12)
    whole = math.prod(model.distribution(ids[:t])[ids[t]] for t in range(1, len(ids)))
    assert math.isclose(losses.sum(), -math.log(whole), rel_tol=1e-12)


@verifies("eq-lm-perplexity", by="SymPy 符号验证；均匀分布的困惑度恰好是候选的个数")
def test_perplexity():
    loss = sympy.symbols("L", positive=True)
    bits = loss / sympy.log(2)
    assert sympy.simplify(2**bits - sympy.exp(loss)) == 0
    for k in (2, 100, 3003):
        assert math.isclose(math.exp(-math.log(1 / k)), k, rel_tol=1e-12)


definition("eq-lm-markov", "近似：只看最近的 n − 1 个，n 元模型由此得名")


@verifies("eq-lm-mle", by="在单纯形上随机取一万个别的分布，损失都不更小；拉格朗日条件由 SymPy 求解")
def test_mle():
    counts = bigram_counts()
    rng = np.random.default_rng(0)
    for row in counts:
        best = row / row.sum()
        with np.errstate(divide="ignore", invalid="ignore"):
            others = rng.dirichlet(np.ones(V), 2000)
            loss = -np.sum(row * np.log(others), axis=1)
            lowest = -np.sum(np.where(row > 0, row * np.log(best), 0))
        assert np.all(loss >= lowest)
    c = sympy.symbols("c1:4", positive=True)
    p = sympy.symbols("p1:4", positive=True)
    lam = sympy.symbols("lambda", positive=True)
    lagrangian = -sum(ci * sympy.log(pi) for ci, pi in zip(c, p, strict=True)) + lam * (sum(p) - 1)
    at = {pi: ci / sum(c) for ci, pi in zip(c, p, strict=True)} | {lam: sum(c)}
    for variable in (*p, lam):
        assert sympy.simplify(sympy.diff(lagrangian, variable).subs(at)) == 0


@verifies("eq-lm-add-k", by="与计数矩阵逐项比较，三个 k；每行之和为 1")
def test_add_k():
    counts = bigram_counts()
    for k in (0.01, 0.5, 1):
        want = (counts + k) / (counts.sum(axis=1, keepdims=True) + k * V)
        model = AddK(SEQUENCES, V, order=2, k=k)
        got = np.array([model.distribution([0, h] if h else [0]) for h in range(V)])
        np.testing.assert_allclose(got, want, rtol=1e-12)
        np.testing.assert_allclose(got.sum(axis=1), 1, rtol=1e-12)


@verifies(
    "eq-lm-good-turing",
    by="真的逐个拿走：落到“剩下 c 次”的回数恰为 (c+1)n_{c+1}；两半语料的实测在 6% 以内",
)
def test_good_turing():
    counts = Counter(pair for ids in SEQUENCES for pair in pairwise(ids))
    n = Counter(counts.values())
    landed = Counter()
    for pair, times in counts.items():
        for _ in range(times):
            landed[counts[pair] - 1] += 1
    assert all(landed[c] == (c + 1) * n[c + 1] for c in range(6))
    bodies = [f"\n{p.body}\n" for p in tangshi().train]
    one, other = (Counter(pair for s in bodies[k::2] for pair in pairwise(s)) for k in (0, 1))
    n = Counter(one.values())
    for c in (1, 2, 3, 4):
        measured = np.mean([other[pair] for pair in one if one[pair] == c])
        assert math.isclose((c + 1) * n[c + 1] / n[c], measured, rel_tol=0.06)


@verifies("eq-lm-kneser-ney", by="二元、照公式逐项写的慢实现，全部 (h, w) 相等；每行之和为 1")
def test_kneser_ney():
    counts = bigram_counts()
    continuation = (counts > 0).sum(axis=0)

    def level(values, table, lower):
        """一行计数 values；折扣由整张表 table 估计，不是由一行。"""
        by_count = _discounts(table[table > 0])
        d = np.where(values > 0, by_count[np.minimum(values, 3)], 0)
        return np.maximum(values - d, 0) / values.sum() + d.sum() / values.sum() * lower

    unigram = level(continuation, continuation, np.full(V, 1 / V))
    model = KneserNey(SEQUENCES, V, order=2)
    for h in range(V):
        got = model.distribution([0, h] if h else [0])
        np.testing.assert_allclose(got, level(counts[h], counts, unigram), rtol=1e-12)
        assert math.isclose(got.sum(), 1, rel_tol=1e-12)


@verifies("eq-lm-discounts", by="由 n₁…n₄ 逐项算出，与代码相等；各折扣在 0 与 c 之间")
def test_discounts():
    n = {1: 1000, 2: 400, 3: 220, 4: 150}
    counts = np.repeat(list(n), list(n.values()))
    y = n[1] / (n[1] + 2 * n[2])
    want = [c - (c + 1) * y * n[c + 1] / n[c] for c in (1, 2, 3)]
    np.testing.assert_allclose(_discounts(counts)[1:], want, rtol=1e-12)
    assert all(0 < d < c for c, d in enumerate(want, 1))


@verifies("eq-lm-cosine", by="手写的余弦与押韵表的判定一致：从未同押的字，余弦大于四分之一才算")
def test_cosine():
    texts = [p.body for p in tangshi().train[:3000]]
    table = RhymeTable(texts)
    together = Counter(
        frozenset(pair)
        for text in texts
        for pair in {tuple(sorted(p)) for p in verse.rhyme_pairs(text)}
        if pair[0] != pair[1]
    )
    characters = table.characters[:120]
    vectors = {
        c: np.array([together[frozenset((c, other))] if c != other else 0
                     for other in table.characters], float)
        for c in characters
    }  # fmt: skip
    checked = 0
    for a, b in product(characters, repeat=2):
        u, v = vectors[a], vectors[b]
        if a == b or not u.any() or not v.any() or together[frozenset((a, b))]:
            continue
        cosine = u @ v / (np.linalg.norm(u) * np.linalg.norm(v))
        if abs(cosine - 0.25) > 1e-6:
            assert table.rhymes(a, b) == (cosine > 0.25)
            checked += cosine > 0.25
    assert checked > 20


@verifies("eq-lm-utf8", by="U+0800 到 U+FFFF 的全部字符，与 Python 的编码逐字节比较")
def test_utf8():
    for u in range(0x800, 0x10000):
        if 0xD800 <= u <= 0xDFFF:
            continue
        want = bytes([224 + u // 4096, 128 + u // 64 % 64, 128 + u % 64])
        assert chr(u).encode("utf-8") == want


@verifies(
    "eq-lm-embedding",
    "eq-lm-embedding-gradient",
    by="独热矩阵的乘积与 torch.nn.functional.embedding、梯度与 torch.autograd 比较",
)
def test_embedding():
    rng = np.random.default_rng(0)
    ids, G = rng.integers(0, 6, 9), rng.normal(size=(9, 4))
    W = torch.tensor(rng.normal(size=(6, 4)), requires_grad=True)
    P = np.eye(6)[ids]
    Y = torch.nn.functional.embedding(torch.tensor(ids), W)
    np.testing.assert_array_equal(Y.detach().numpy(), P @ W.detach().numpy())
    Y.backward(torch.tensor(G))
    np.testing.assert_allclose(W.grad.numpy(), P.T @ G, rtol=1e-12, atol=1e-15)
    rows = np.array([G[ids == v].sum(axis=0) for v in range(6)])
    np.testing.assert_allclose(W.grad.numpy(), rows, rtol=1e-12, atol=1e-15)
