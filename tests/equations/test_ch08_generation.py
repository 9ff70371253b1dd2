"""第 8 章后四节（生成、规模、LoRA）每个带标签的公式。"""

import numpy as np
import pytest
import sympy as sp
import torch
from bookcheck.equations import definition, verifies
from torch.utils.flop_counter import FlopCounterMode

from dlbook.models import lora
from dlbook.models.generate import generate, penalize, probabilities
from dlbook.models.gpt import GPTConfig, define
from dlbook.training import gpt_speed

rng = np.random.default_rng(0)
Z = rng.normal(size=(20, 50)) * 3


def tiny(**sizes):
    torch.manual_seed(0)
    options = {"context": 24, "layers": 2, "heads": 2, "width": 12} | sizes
    return define(torch)(GPTConfig(options.pop("vocab_size", 31), **options)).eval()


@verifies(
    "eq-generation-chain",
    by="五个字的词表，三步的全部 125 串：逐步概率之积的总和为 1，且与抽样的频率相符",
)
def test_chain():
    model, V = tiny(vocab_size=5), 5
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(8)
    total, exact = 0.0, {}
    for x in np.ndindex(V, V, V):
        ids = torch.tensor([[0, *x]])
        with torch.no_grad():
            p = model(ids)[0].softmax(-1)[0].double().numpy()
        exact[x] = float(np.prod([p[t, x[t]] for t in range(3)]))
        total += exact[x]
    assert total == pytest.approx(1, abs=1e-5)
    rows = generate(model, [[0]] * 20000, 3, rng=np.random.default_rng(1))[:, 1:]
    counts = np.bincount(rows @ [V * V, V, 1], minlength=V**3) / len(rows)
    expected = np.array(list(exact.values()))
    assert np.abs(counts - expected).max() < 5 * np.sqrt(expected.max() / len(rows))
    assert expected.std() > 1e-3  # 不是均匀分布，核对才有意义


@verifies("eq-generation-temperature", by="两种写法都与 dlbook.models.generate.probabilities 比较")
def test_temperature():
    p = probabilities(Z)
    for T in (0.1, 0.5, 1.0, 3.0):
        powered = p ** (1 / T)
        direct = np.exp(Z / T) / np.exp(Z / T).sum(axis=1, keepdims=True)
        got = probabilities(Z, temperature=T)
        np.testing.assert_allclose(got, powered / powered.sum(axis=1, keepdims=True), rtol=1e-9)
        np.testing.assert_allclose(got, direct, rtol=1e-9)
        np.testing.assert_array_equal(got.argsort(axis=1), p.argsort(axis=1))


@verifies("eq-generation-entropy", by="sympy 对四个符号分数求导，与方差除以 T³ 逐项相消")
def test_entropy():
    z = sp.symbols("z:4", real=True)
    T = sp.symbols("T", positive=True)
    weights = [sp.exp(v / T) for v in z]
    p = [w / sum(weights) for w in weights]
    entropy = -sum(q * sp.log(q) for q in p)
    mean = sum(q * v for q, v in zip(p, z, strict=True))
    variance = sum(q * (v - mean) ** 2 for q, v in zip(p, z, strict=True))
    difference = sp.diff(entropy, T) - variance / T**3
    for values in ((0.3, -1.2, 2.0, 0.7), (5.0, 1.0, 1.0, -3.0)):
        at = dict(zip(z, values, strict=True)) | {T: 0.8}
        assert abs(float(difference.subs(at).evalf(30))) < 1e-12
        assert float(variance.subs(at).evalf()) > 0


@verifies("eq-generation-top-k", by="逐行排序留前 k 个再归一，与 probabilities 比较")
def test_top_k():
    p = probabilities(Z)
    for k in (1, 3, 50):
        for row, got in zip(p, probabilities(Z, top_k=k), strict=True):
            kept = sorted(range(50), key=lambda i, row=row: -row[i])[:k]
            expected = np.zeros(50)
            expected[kept] = row[kept] / row[kept].sum()
            np.testing.assert_allclose(got, expected, rtol=1e-12)


@verifies("eq-generation-top-p", by="从一个起逐个添，直到概率之和不小于 p，与 probabilities 比较")
def test_top_p():
    p = probabilities(Z)
    sizes = set()
    for top_p in (0.1, 0.5, 0.9, 1.0):
        for row, got in zip(p, probabilities(Z, top_p=top_p), strict=True):
            ranked = np.sort(row)[::-1]
            m = next((m for m in range(1, 51) if ranked[:m].sum() >= top_p), 50)
            assert np.count_nonzero(got) == m
            np.testing.assert_allclose(np.sort(got)[::-1][:m], ranked[:m] / ranked[:m].sum())
            sizes.add(m)
    assert len(sizes) > 5


@verifies("eq-generation-penalty", by="逐个元素照公式算，与 penalize 比较；惩罚之后概率必不增")
def test_penalty():
    seen = rng.integers(50, size=(20, 6))
    for theta in (1.0, 1.3, 4.0):
        expected = Z.copy()
        for row, marked in zip(expected, seen, strict=True):
            for i in set(marked):
                row[i] = row[i] / theta if row[i] > 0 else row[i] * theta
        np.testing.assert_allclose(penalize(Z, seen, theta), expected)
        assert (expected <= Z).all()


def counted(model, ids, cache=None):
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model.head(model.hidden(ids, cache)[:, -1])
    return counter.get_total_flops()


@verifies("eq-generation-cost", by="用 PyTorch 的运算计数器数出每一步的乘加，两行都与公式逐步相等")
def test_cost():
    L, d, V = 2, 12, 31
    model, cache = tiny(), []

    def attend(q, k, v, dropout_p=0.0, is_causal=True):  # 写成矩阵乘法，计数器才数得清
        scores = q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5
        if is_causal:
            scores = scores.masked_fill(torch.ones_like(scores).triu(1).bool(), -torch.inf)
        return scores.softmax(-1) @ v

    for block in model.blocks:
        block.attention.attend = attend
    for t in range(1, 13):
        ids = torch.zeros(1, t, dtype=torch.long)
        assert counted(model, ids) == 24 * L * d**2 * t + 4 * L * d * t**2 + 2 * V * d
        assert counted(model, ids[:, -1:], cache) == 24 * L * d**2 + 4 * L * d * t + 2 * V * d


@verifies("eq-generation-cache-bytes", by="与真的缓存里各张量的字节数之和比较")
def test_cache_bytes():
    model, cache = tiny(), []
    for n in range(1, 8):
        with torch.no_grad():
            model.hidden(torch.zeros(1, 1, dtype=torch.long), cache)
        stored = sum(x.numel() * x.element_size() for pair in cache for x in pair)
        assert stored == 2 * 2 * n * 12 * 4


@verifies("eq-growing-parameters", by="与真的造出来（只有形状）的模型数出的参数个数比较，五种尺寸")
def test_parameters():
    for V, T, L, d in [(50257, 1024, 12, 768), (31, 8, 1, 4), (100, 20, 5, 12), (7, 3, 2, 8)]:
        config = GPTConfig(V, context=T, layers=L, heads=2, width=d, bias=True)
        with torch.device("meta"):
            counted = sum(p.numel() for p in define(torch)(config).parameters())
        assert counted == V * d + T * d + L * (12 * d**2 + 13 * d) + 2 * d


@verifies("eq-growing-flops", by="与 PyTorch 的运算计数器数出的前向加反向比较，相等")
def test_flops():
    for V, T, L, d in [(31, 8, 1, 4), (100, 20, 5, 12), (7, 3, 2, 8)]:
        config = GPTConfig(V, context=T, layers=L, heads=2, width=d, bias=True)
        model = define(torch)(config)
        for block in model.blocks:
            block.attention.attend = gpt_speed.attend_step_by_step
        ids = torch.zeros(3, T, dtype=torch.long)
        with FlopCounterMode(display=False) as counter:
            model(ids, ids)[1].backward()
        formula = 6 * (12 * L * d**2 + V * d) + 12 * L * T * d
        assert counter.get_total_flops() == 3 * T * formula
        assert gpt_speed.flops_per_token(config) == formula


@verifies("eq-growing-6nd", by="GPT-2 四种大小，6N 与逐项公式之比趋近 1：差由两成降到百分之几")
def test_six_n_d():
    gaps = []
    for L, d in [(12, 768), (24, 1024), (36, 1280), (48, 1600)]:
        config = GPTConfig(50257, context=1024, layers=L, heads=2, width=d, bias=True)
        N = 50257 * d + 1024 * d + L * (12 * d**2 + 13 * d) + 2 * d
        gaps.append(abs(6 * N / gpt_speed.flops_per_token(config) - 1))
    assert gaps[0] < 0.2
    assert gaps == sorted(gaps, reverse=True)
    assert gaps[-1] < 0.1


@verifies("eq-growing-mfu", by="由 measure 给出的每秒词元数照公式算，与它给出的 MFU 比较")
def test_mfu():
    config = GPTConfig(40, context=8, layers=1, heads=1, width=8)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gpt_speed, "peak_flops", lambda device: 1e12)
        speed = gpt_speed.measure(gpt_speed.ladder()[0], config, "cpu", steps=2, warmup=0)
    expected = speed.tokens_per_second * (6 * (12 * 64 + 320) + 12 * 64) / 1e12
    assert speed.mfu == pytest.approx(expected)


definition("eq-growing-power", "经验规律：双对数坐标里的直线，系数由拟合得到")


@verifies("eq-growing-chinchilla", by="sympy 解方程组；代回去两式都成立")
def test_chinchilla():
    N, D, C = sp.symbols("N D C", positive=True)
    (solution,) = sp.solve([C - 6 * N * D, D - 20 * N], [N, D], dict=True)
    assert sp.simplify(solution[N] - sp.sqrt(C / 120)) == 0
    assert sp.simplify(solution[D] - 20 * sp.sqrt(C / 120)) == 0


@verifies("eq-growing-lora", by="公式逐字写成 NumPy，与 LoRALinear 的输出及并进权重之后的输出比较")
def test_lora():
    torch.manual_seed(0)
    m, n, r, alpha = 6, 5, 2, 3.0
    linear = torch.nn.Linear(n, m, bias=False).double()
    layer = lora.define(torch)(linear, r, alpha)
    with torch.no_grad():
        layer.B.normal_()
    x = torch.randn(7, n, dtype=torch.float64)
    X, W, A, B = (t.detach().numpy() for t in (x, linear.weight, layer.A, layer.B))
    assert A.shape == (r, n)
    assert B.shape == (m, r)
    y = X @ W.T + alpha / r * X @ A.T @ B.T
    np.testing.assert_allclose(layer(x).detach().numpy(), y)
    np.testing.assert_allclose(layer.merged()(x).detach().numpy(), y)


@verifies(
    "eq-inside-lens",
    by="NumPy 逐字写成公式；最后一层与模型的输出比较，逐层与去掉后面各块的模型比较",
)
def test_lens():
    model = tiny(layers=3)
    ids = torch.arange(10)[None] % 31
    with torch.no_grad():
        x = model.token(ids) + model.position(torch.arange(10))
        stream = [x]
        for block in model.blocks:
            x, _ = block(x)
            stream.append(x)
        for layer, h in enumerate(stream):
            h = h[0].double().numpy()
            centred = h - h.mean(axis=1, keepdims=True)
            unit = centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + 1e-5)
            z = unit * model.norm.weight.numpy() @ model.token.weight.double().numpy().T
            short = tiny(layers=3)
            short.blocks = short.blocks[:layer]
            np.testing.assert_allclose(short(ids)[0][0].numpy(), z, atol=1e-5)
