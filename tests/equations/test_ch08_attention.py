"""第 8 章第 3 至 5 节每个带标签的公式：逐字写成循环，与引擎、PyTorch、独立的算法比较。"""

import itertools
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from bookcheck.equations import definition, verifies
from torch.utils.flop_counter import FlopCounterMode

import dlbook
from dlbook.models import attention, position
from dlbook.models.gpt import GPTConfig, define

rng = np.random.default_rng(0)


def softmax(scores):
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def torch_attention(q, k, v, **options):
    return F.scaled_dot_product_attention(*map(torch.tensor, (q, k, v)), **options).numpy()


# ---- 次序


@verifies(
    "eq-lm-equivariance", by="三个位置的全部六种排列，与 torch 的注意力比较；换成两层的网络也成立"
)
def test_equivariance():
    q, k, v = rng.normal(size=(3, 3, 4))
    plain = torch_attention(q, k, v)
    for order in itertools.permutations(range(3)):
        P = np.eye(3)[list(order)]
        np.testing.assert_allclose(P.T @ P, np.eye(3))
        shuffled = torch_attention(P @ q, P @ k, P @ v)
        np.testing.assert_allclose(shuffled, P @ plain, rtol=1e-12)
        spelled = softmax(P @ q @ k.T @ P.T / 2) @ P @ v
        np.testing.assert_allclose(spelled, P @ plain, rtol=1e-12)
    layer = torch.nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True).double()
    x, order = torch.tensor(rng.normal(size=(1, 5, 8))), [3, 0, 4, 2, 1]
    with torch.no_grad():
        both = layer(layer(x))[:, order], layer(layer(x[:, order]))
    np.testing.assert_allclose(*both, rtol=1e-9)


@verifies("eq-lm-bag", by="三种符号、四个位置的全部 81 行逐一列举，按袋子分组数出条件概率")
def test_bag():
    lines = list(itertools.product(range(3), repeat=4))
    total = 0.0
    by_bag = {}
    for line in lines:  # t = 3，往前数第三个是 line[0]
        by_bag.setdefault((tuple(sorted(line[:3])), line[3]), []).append(line)
    for group in by_bag.values():
        for line in group:
            p = sum(other[0] == line[0] for other in group) / len(group)
            assert p == pytest.approx(line[:3].count(line[0]) / 3)
            total -= math.log(p) / len(lines)
    formula = -np.mean([math.log(line[:3].count(line[0]) / 3) for line in lines])
    assert total == pytest.approx(formula, rel=1e-12)


definition("eq-lm-learned", "记号：字的嵌入与位置的嵌入相加")


@verifies("eq-lm-four-terms", by="随机的向量与权重，四项之和与直接相乘比较")
def test_four_terms():
    e, p = rng.normal(size=(2, 5, 4))
    w_q, w_k = rng.normal(size=(2, 3, 4))
    direct = ((e + p) @ w_q.T) @ ((e + p) @ w_k.T).T
    M = w_q.T @ w_k
    for i, j in np.ndindex(5, 5):
        terms = e[i] @ M @ e[j], e[i] @ M @ p[j], p[i] @ M @ e[j], p[i] @ M @ p[j]
        assert sum(terms) == pytest.approx(direct[i, j], rel=1e-9, abs=1e-12)


@verifies("eq-lm-frequencies", by="逐项按定义算，与 dlbook.models.position.frequencies 比较")
def test_frequencies():
    for width in (2, 8, 64):
        spelled = [10000 ** (-2 * i / width) for i in range(width // 2)]
        np.testing.assert_allclose(position.frequencies(width), spelled, rtol=1e-14)
    for bad in (0, -2, 7):
        with pytest.raises(ValueError, match="正偶数"):
            position.frequencies(bad)


@verifies("eq-lm-sinusoid", by="逐个元素按定义算，与 dlbook.models.position.sinusoidal 比较")
def test_sinusoid():
    where, width = np.array([0, 1, 5, 300]), 6
    table = position.sinusoidal(where, width)
    assert table.shape == (4, 6)
    for row, t in enumerate(where):
        for i in range(3):
            omega = 10000 ** (-2 * i / width)
            assert table[row, 2 * i] == pytest.approx(math.sin(omega * t), abs=1e-12)
            assert table[row, 2 * i + 1] == pytest.approx(math.cos(omega * t), abs=1e-12)


@verifies("eq-lm-sinusoid-shift", by="许多个 t 与 k，含负的 k，矩阵乘编码与直接求编码比较")
def test_sinusoid_shift():
    width = 8
    omega = position.frequencies(width)
    for t, k in itertools.product((0, 1, 7, 100), (-3, 0, 1, 5, 64)):
        here = position.sinusoidal(np.array([t]), width)[0]
        there = position.sinusoidal(np.array([t + k]), width)[0]
        for i, w in enumerate(omega):
            cos, sin = math.cos(w * k), math.sin(w * k)
            moved = np.array([[cos, sin], [-sin, cos]]) @ here[2 * i : 2 * i + 2]
            np.testing.assert_allclose(moved, there[2 * i : 2 * i + 2], atol=1e-12)


@verifies("eq-lm-sinusoid-dot", by="四十个位置两两的点积，与余弦之和比较")
def test_sinusoid_dot():
    table = position.sinusoidal(np.arange(40), 16)
    for s, t in np.ndindex(40, 40):
        formula = sum(math.cos(w * (s - t)) for w in position.frequencies(16))
        assert table[s] @ table[t] == pytest.approx(formula, abs=1e-9)


definition("eq-lm-rope-goal", "对位置编码提出的要求，由 eq-lm-rope-relative 达成")


@verifies("eq-lm-rope-complex", by="随机的二维向量与位置，复数乘积的实部与旋转之后的点积比较")
def test_rope_complex():
    for _ in range(20):
        q, k = rng.normal(size=(2, 2))
        m, n, omega = *rng.integers(-50, 50, 2), rng.uniform(0, 2)
        turn = [
            np.array([[math.cos(a), -math.sin(a)], [math.sin(a), math.cos(a)]])
            for a in (omega * m, omega * n)
        ]
        dot = (turn[0] @ q) @ (turn[1] @ k)
        product = complex(*q) * complex(*k).conjugate() * np.exp(1j * omega * (m - n))
        assert product.real == pytest.approx(dot, abs=1e-9)


@verifies("eq-lm-rope", by="逐对写成 2×2 的旋转矩阵，两个引擎的 rotate 都与它比较")
def test_rope():
    x, where = rng.normal(size=(2, 3, 5, 6)), np.array([0, 1, 2, 10, 37])
    expected = np.empty_like(x)
    for row, t in enumerate(where):
        for i, w in enumerate(position.frequencies(6)):
            cos, sin = math.cos(w * t), math.sin(w * t)
            pair = x[..., row, 2 * i : 2 * i + 2]
            expected[..., row, 2 * i : 2 * i + 2] = pair @ np.array([[cos, -sin], [sin, cos]]).T
    for lib in (dlbook, torch):
        rotated = position.rotate(lib, lib.from_numpy(x), where)
        assert rotated.dtype == lib.float64 and tuple(rotated.shape) == x.shape
        np.testing.assert_allclose(rotated.numpy(), expected, rtol=1e-12, atol=1e-14)
        single = position.rotate(lib, lib.from_numpy(x.astype(np.float32)), where)
        assert single.dtype == lib.float32


@verifies("eq-lm-rope-relative", by="造出整个旋转矩阵：正交，R_mᵀR_n = R_{n−m}；比较两种得分")
def test_rope_relative():
    def matrix(t):
        return position.rotate(dlbook, dlbook.eye(6, dtype=dlbook.float64), np.full(6, t)).numpy().T

    for m, n in itertools.product((0, 1, 9, 40), repeat=2):
        np.testing.assert_allclose(matrix(m).T @ matrix(m), np.eye(6), atol=1e-12)
        np.testing.assert_allclose(matrix(m).T @ matrix(n), matrix(n - m), atol=1e-12)
        q, k = rng.normal(size=(2, 6))
        assert (matrix(m) @ q) @ (matrix(n) @ k) == pytest.approx(q @ matrix(n - m) @ k, abs=1e-9)


# ---- 注意力


@verifies("eq-lm-attend", by="逐项按公式求和，与循环写法、torch 的因果注意力比较")
def test_attend():
    q, k, v = rng.normal(size=(3, 5, 4))
    spelled = np.zeros((5, 4))
    for t in range(5):
        powers = [math.exp(q[t] @ k[j] / math.sqrt(4)) for j in range(t + 1)]
        for j in range(t + 1):
            spelled[t] += powers[j] / sum(powers) * v[j]
    np.testing.assert_allclose(attention.causal_attention(q, k, v), spelled, rtol=1e-12)
    np.testing.assert_allclose(torch_attention(q, k, v, is_causal=True), spelled, rtol=1e-9)
    huge = attention.attend(q[0] * 1e4, k, v)  # 得分上千也不上溢
    assert np.isfinite(huge).all()


@verifies("eq-lm-score-variance", by="均匀分布与正态分布各二十万个样本，误差不超过 3%")
def test_score_variance():
    samples = np.random.default_rng(1)
    for d in (1, 3, 16):
        for draw in (samples.standard_normal, lambda n: samples.uniform(-(3**0.5), 3**0.5, n)):
            scores = (draw((200_000, d)) * draw((200_000, d))).sum(axis=1)
            assert scores.var() == pytest.approx(d, rel=0.03)
            assert (scores / math.sqrt(d)).var() == pytest.approx(1, rel=0.03)


@verifies("eq-lm-effective", by="均匀分给 n 个位置时恰为 n，只看一个时为 1；与 torch 的熵比较")
def test_effective():
    def effective(a):
        return math.exp(-sum(p * math.log(p) for p in a if p > 0))

    for n in (1, 2, 7):
        assert effective([1 / n] * n + [0.0] * 3) == pytest.approx(n)
    a = softmax(rng.normal(size=9))
    entropy = torch.distributions.Categorical(probs=torch.tensor(a)).entropy().item()
    assert effective(a) == pytest.approx(math.exp(entropy), rel=1e-6)


@verifies("eq-lm-multihead", by="逐头循环，与 torch.nn.MultiheadAttention 比较，三种头数")
def test_multihead():
    for heads in (1, 2, 4):
        module = torch.nn.MultiheadAttention(8, heads, batch_first=True, dtype=torch.float64)
        torch.nn.init.normal_(module.in_proj_bias)
        torch.nn.init.normal_(module.out_proj.bias)
        weights = (
            module.in_proj_weight, module.in_proj_bias, module.out_proj.weight,
            module.out_proj.bias,
        )  # fmt: skip
        x = rng.normal(size=(5, 8))
        hidden = torch.triu(torch.ones(5, 5, dtype=torch.bool), 1)
        with torch.no_grad():
            theirs, _ = module(*[torch.tensor(x)] * 3, attn_mask=hidden, need_weights=False)
        ours = attention.multihead(x, *(w.detach().numpy() for w in weights), heads=heads)
        np.testing.assert_allclose(ours, theirs.numpy(), rtol=1e-9, atol=1e-12)


# ---- 块与模型


def small_gpt(lib=torch, **changes):
    lib.manual_seed(0)
    sizes = {"vocab_size": 11, "context": 8, "layers": 2, "heads": 2, "width": 8} | changes
    return define(lib)(GPTConfig(**sizes)).double()


IDX = torch.tensor(rng.integers(0, 11, (2, 6)))


def layer_norm(x, weight):
    centered = x - x.mean(axis=-1, keepdims=True)
    return weight * centered / np.sqrt(centered.var(axis=-1, keepdims=True) + 1e-5)


@verifies("eq-lm-block", by="用 NumPy 逐字写成两行，与 GPT 的块比较，两个引擎")
def test_block():
    x = rng.normal(size=(2, 6, 8))
    for lib in (dlbook, torch):
        block = small_gpt(lib).blocks[0]
        w = {name: p.detach().numpy() for name, p in block.named_parameters()}
        normed = layer_norm(x, w["norm1.weight"])
        bias = np.zeros(24), np.zeros(8)
        attended = [
            attention.multihead(row, w["attention.qkv.weight"], bias[0],
                                w["attention.out.weight"], bias[1], heads=2)
            for row in normed
        ]  # fmt: skip
        middle = x + np.stack(attended)
        hidden = layer_norm(middle, w["norm2.weight"]) @ w["up.weight"].T
        erf = np.vectorize(math.erf)
        expected = middle + (hidden * (1 + erf(hidden / 2**0.5)) / 2) @ w["down.weight"].T
        ours, _ = block(lib.from_numpy(x))
        np.testing.assert_allclose(ours.detach().numpy(), expected, rtol=1e-9, atol=1e-12)


@verifies("eq-lm-stream", by="用钩子记下每条支路的输出，与最后一个块之后的残差流比较")
def test_stream():
    model = small_gpt(layers=3)
    written, final = [], []
    for block in model.blocks:
        block.attention.register_forward_hook(lambda *call: written.append(call[2][0]))
        block.down.register_forward_hook(lambda *call: written.append(call[2]))
    model.norm.register_forward_hook(lambda *call: final.append(call[1][0]))
    with torch.no_grad():
        model(IDX)
        start = model.token(IDX) + model.position(torch.arange(6))
    assert len(written) == 6
    torch.testing.assert_close(start + sum(written), final[0], rtol=1e-9, atol=1e-12)


@verifies("eq-lm-norms", by="与 torch.nn.TransformerEncoderLayer 的 norm_first 两种取法比较")
def test_norms():
    for norm_first in (True, False):
        layer = torch.nn.TransformerEncoderLayer(
            8, 2, 16, dropout=0.0, activation="gelu", batch_first=True, norm_first=norm_first
        ).double()
        x = torch.tensor(rng.normal(size=(2, 5, 8)))

        def attend(z, layer=layer):
            return layer.self_attn(z, z, z, need_weights=False)[0]

        def feed(z, layer=layer):
            return layer.linear2(F.gelu(layer.linear1(z)))

        with torch.no_grad():
            if norm_first:
                spelled = x + attend(layer.norm1(x))
                spelled = spelled + feed(layer.norm2(spelled))
            else:
                spelled = layer.norm1(x + attend(x))
                spelled = layer.norm2(spelled + feed(spelled))
            torch.testing.assert_close(layer(x), spelled, rtol=1e-9, atol=1e-12)


@verifies("eq-lm-ffn", by="用 NumPy 写出两个矩阵与 GELU，与 GPT 的前馈比较")
def test_ffn():
    block = small_gpt().blocks[0]
    x = rng.normal(size=(5, 8))
    w1, w2 = (m.weight.detach().numpy() for m in (block.up, block.down))
    assert w1.shape == (32, 8) and w2.shape == (8, 32)
    hidden = w1 @ x.T
    spelled = (w2 @ (hidden * (1 + np.vectorize(math.erf)(hidden / 2**0.5)) / 2)).T
    with torch.no_grad():
        ours = block.down(block.gelu(block.up(torch.tensor(x))))
    np.testing.assert_allclose(ours.numpy(), spelled, rtol=1e-9, atol=1e-14)


@verifies("eq-lm-ffn-memory", by="逐条相加，与两次矩阵乘法比较")
def test_ffn_memory():
    block = small_gpt().blocks[0]
    x = torch.tensor(rng.normal(size=8))
    with torch.no_grad():
        rules = [F.gelu(block.up.weight[j] @ x) * block.down.weight[:, j] for j in range(32)]
        torch.testing.assert_close(sum(rules), block.down(F.gelu(block.up(x))))


@verifies("eq-lm-tying", by="torch：共用一张表的梯度与拆成两张表之后的两份梯度之和比较")
def test_tying():
    model, targets = small_gpt(), torch.tensor(rng.integers(0, 11, (2, 6)))
    assert model.head.weight is model.token.weight
    model(IDX, targets)[1].backward()
    tied = model.token.weight.grad.clone()
    model.head.weight = torch.nn.Parameter(model.token.weight.detach().clone())
    model.zero_grad()
    model(IDX, targets)[1].backward()
    both = model.token.weight.grad + model.head.weight.grad
    torch.testing.assert_close(tied, both, rtol=1e-9, atol=1e-12)


@verifies("eq-lm-init-loss", by="正态分布的分数，二十组平均，三种 Eσ²，误差不超过 0.02")
def test_init_loss():
    samples = np.random.default_rng(3)
    for variance in (0.0, 0.064, 0.5):
        z = samples.normal(0, math.sqrt(variance), size=(20, 20_000))
        loss = np.log(np.exp(z).sum(axis=1)) - z[:, 0]
        wanted = math.log(20_000) + variance / 2
        spread = 3 * math.sqrt(variance / 20) + 0.02  # 答案那一格的抽样误差
        assert loss.mean() == pytest.approx(wanted, abs=spread)
        assert (loss + z[:, 0]).mean() == pytest.approx(wanted, abs=0.02)


@verifies("eq-lm-stream-variance", by="独立的随机写入累加，四种层数，除与不除，误差不超过 3%")
def test_stream_variance():
    samples = np.random.default_rng(4)
    v0, v = 0.5, 2.0
    for layers in (1, 4, 16, 50):
        for scale in (1.0, 1 / math.sqrt(2 * layers)):
            x = samples.normal(0, math.sqrt(v0), 200_000)
            for _ in range(2 * layers):
                x = x + scale * samples.normal(0, math.sqrt(v), len(x))
            assert x.var() == pytest.approx(v0 + 2 * layers * scale**2 * v, rel=0.03)
            if scale < 1:
                assert x.var() == pytest.approx(v0 + v, rel=0.03)


@verifies("eq-lm-parameters", by="十几种尺寸，与程序数出来的比较，含公布的 GPT-2 与 GPT-3")
def test_parameters():
    def count(config):
        with torch.device("meta"):
            return sum(p.numel() for p in define(torch)(config).parameters())

    for V, T, L, h, E in [(11, 8, 1, 1, 4), (7, 3, 2, 2, 6), (3003, 65, 3, 5, 160)]:
        plain = GPTConfig(V, T, L, h, E)
        biased = GPTConfig(V, T, L, h, E, bias=True)
        assert count(plain) == V * E + T * E + L * (12 * E**2 + 2 * E) + E
        assert count(biased) == V * E + T * E + L * (12 * E**2 + 13 * E) + 2 * E
    published = {(768, 12, 12): 124_439_808, (1600, 48, 25): 1_557_611_200}
    for (E, L, h), total in published.items():
        assert count(GPTConfig(50257, 1024, L, h, E, bias=True)) == total


@verifies("eq-lm-flops", by="torch 的 FlopCounterMode 数前向与反向，三种尺寸，一次不差")
def test_flops():
    def spelled_out(q, k, v, **_):
        return (q @ k.transpose(-2, -1)).softmax(-1) @ v

    for V, T, L, h, E in [(11, 8, 1, 1, 4), (17, 5, 2, 2, 6), (101, 16, 3, 4, 32)]:
        model = define(torch)(GPTConfig(V, T, L, h, E))
        for block in model.blocks:
            block.attention.attend = spelled_out
        ids = torch.zeros(3, T, dtype=torch.long)
        with FlopCounterMode(display=False) as forward:
            loss = model(ids, ids)[1]
        with FlopCounterMode(display=False) as backward:
            loss.backward()
        formula = 3 * T * (2 * (12 * L * E**2 + V * E) + 4 * L * T * E)
        assert forward.get_total_flops() == formula
        assert backward.get_total_flops() == 2 * formula
