"""第 8 章第 6 节每个带标签的公式。"""

import numpy as np
import pytest
import torch
from bookcheck.equations import verifies

from dlbook.models.gpt import GPTConfig, define
from dlbook.training import warmup_linear
from dlbook.training.language import validation_loss
from dlbook.training.muon import A, B, C, orthogonalize


@verifies("eq-lm-val-loss", by="逐首、逐字从模型的概率里取出，直接照定义求和")
def test_validation_loss():
    torch.manual_seed(0)
    model = define(torch)(GPTConfig(20, context=9, layers=1, heads=1, width=8)).eval()
    rng = np.random.default_rng(0)
    rows = [[0, *rng.integers(1, 20, n).tolist(), 0] for n in (3, 8, 3, 5)]
    total, count = 0.0, 0
    for row in rows:
        for t in range(1, len(row)):
            with torch.no_grad():
                p = torch.softmax(model(torch.tensor([row[:t]]))[0][0, -1], 0)
            total -= float(torch.log(p[row[t]]))
            count += 1
    assert validation_loss(model, rows) == pytest.approx(total / count, rel=1e-6)
    assert validation_loss(model, rows, tokens=1) == pytest.approx(total / count, rel=1e-6)


@verifies("eq-lm-spectral", by="奇异值分解；一万个谱范数为 1 的随机矩阵都不超过它")
def test_the_best_direction_under_the_spectral_norm():
    rng = np.random.default_rng(0)
    gradient = rng.normal(size=(4, 3))
    left, s, right = np.linalg.svd(gradient, full_matrices=False)
    best = left @ right
    assert np.sum(gradient * best) == pytest.approx(s.sum())
    assert np.linalg.norm(best, 2) == pytest.approx(1)
    others = rng.normal(size=(10000, 4, 3))
    others /= np.linalg.norm(others, 2, axis=(1, 2))[:, None, None]
    assert np.einsum("ij,nij->n", gradient, others).max() < s.sum()
    k = range(3)
    for u in others[:100]:
        parts = sum(s[i] * left[:, i] @ u @ right[i] for i in k)
        assert np.sum(gradient * u) == pytest.approx(parts)


@verifies("eq-lm-newton-schulz", by="float64 的奇异值分解：奇异向量不变，奇异值恰好照第二行变")
def test_newton_schulz():
    generator = torch.Generator().manual_seed(0)
    for shape in ((5, 8), (8, 5), (3, 6, 6)):
        x = torch.randn(shape, generator=generator, dtype=torch.float64)
        left, s, right = torch.linalg.svd(x, full_matrices=False)
        s = s / (torch.linalg.matrix_norm(x)[..., None] + 1e-7)
        for _ in range(3):
            s = A * s + B * s**3 + C * s**5
        expected = left * s[..., None, :] @ right
        torch.testing.assert_close(
            orthogonalize(x, 3, torch.float64), expected, rtol=1e-9, atol=1e-12
        )


@verifies("eq-lm-schedule", by="与训练用的日程逐步比较")
def test_schedule():
    steps, warmup, rate = 40, 6, 0.3
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=rate)
    schedule = warmup_linear(optimizer, steps, warmup=warmup)
    for s in range(steps):
        factor = (s + 1) / warmup if s < warmup else (steps - s) / (steps - warmup)
        assert optimizer.param_groups[0]["lr"] == pytest.approx(rate * factor)
        optimizer.step()
        schedule.step()
