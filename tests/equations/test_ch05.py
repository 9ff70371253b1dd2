"""第 5 章公式的核对：概率论的式子用 SymPy 推，损失与梯度和 PyTorch 的自动求导比较。"""

import numpy as np
import sympy as sp
import torch
import torch.nn.functional as F
from bookcheck.equations import definition, verifies

from dlbook.backprop import binary_cross_entropy_with_logits, cross_entropy, one_hot, softmax
from dlbook.models.calibration import expected_calibration_error, fit_temperature

rng = np.random.default_rng(5)
definition("eq-loss-mle", "最大似然估计的定义：各样本独立，似然是连乘")
definition("eq-loss-cross-entropy", "交叉熵的定义")
definition("eq-loss-entropy", "熵的定义")


def tensor(value):
    return torch.tensor(value, dtype=torch.float64, requires_grad=True)


@verifies("eq-loss-coin", by="枚举十次投掷的全部结果，7 正 3 反的每一串概率都相同，总和为 1")
def test_coin():
    p = sp.symbols("p", positive=True)
    likelihood = p**7 * (1 - p) ** 3
    flips = [1, 1, 0, 1, 0, 1, 1, 1, 0, 1]
    assert sp.expand(sp.prod(p if f else 1 - p for f in flips) - likelihood) == 0
    total = sum(sp.binomial(10, k) * p**k * (1 - p) ** (10 - k) for k in range(11))
    assert sp.expand(total) == 1


@verifies("eq-loss-coin-best", by="SymPy 解 d log L / dp = 0，并验证二阶导数为负")
def test_coin_best():
    p, k, n = sp.symbols("p k n", positive=True)
    log_likelihood = k * sp.log(p) + (n - k) * sp.log(1 - p)
    (best,) = sp.solve(sp.diff(log_likelihood, p), p)
    assert sp.simplify(best - k / n) == 0
    second = sp.diff(log_likelihood, p, 2).subs({k: 7, n: 10, p: sp.Rational(7, 10)})
    assert second < 0


@verifies("eq-loss-nll", by="与连乘比较：exp(−N·损失) 等于似然")
def test_nll():
    p = rng.uniform(0.1, 0.9, 12)
    loss = -np.mean(np.log(p))
    assert np.isclose(np.exp(-len(p) * loss), np.prod(p), rtol=1e-12)


@verifies("eq-loss-gaussian", by="SymPy 积分：总面积 1，均值 f，方差 σ²")
def test_gaussian():
    y, f = sp.symbols("y f", real=True)
    s = sp.symbols("sigma", positive=True)
    density = sp.exp(-((y - f) ** 2) / (2 * s**2)) / (sp.sqrt(2 * sp.pi) * s)

    def mean(g):
        return sp.simplify(sp.integrate(g * density, (y, -sp.oo, sp.oo)))

    assert mean(1) == 1 and mean(y) == f and sp.simplify(mean((y - f) ** 2) - s**2) == 0


@verifies("eq-loss-gaussian-nll", by="与 torch.distributions.Normal 的对数密度比较")
def test_gaussian_nll():
    y, f, s = rng.normal(size=20), rng.normal(size=20), rng.uniform(0.1, 3, 20)
    formula = (y - f) ** 2 / (2 * s**2) + np.log(s) + 0.5 * np.log(2 * np.pi)
    peer = torch.distributions.Normal(torch.tensor(f), torch.tensor(s))
    assert np.allclose(formula, -peer.log_prob(torch.tensor(y)).numpy(), rtol=1e-12)


@verifies("eq-loss-mse", by="随机的一批预测按两种损失排出的次序相同")
def test_mse_orders_alike():
    y = rng.normal(size=30)
    candidates = rng.normal(size=(200, 30))
    mse = np.mean((y - candidates) ** 2, axis=1)
    for s in (0.2, 1.0, 7.0):
        normal = torch.distributions.Normal(torch.tensor(candidates), s)
        nll = -normal.log_prob(torch.tensor(y)).mean(dim=1).numpy()
        assert (np.argsort(mse) == np.argsort(nll)).all()


@verifies("eq-loss-three", by="三种写法代入同一批数，比例分别是 N 与 N/2；梯度同比例")
def test_three_coefficients():
    y, prediction = torch.tensor(rng.normal(size=40)), tensor(rng.normal(size=40))
    square = (prediction - y) ** 2
    losses = [square.mean(), square.sum(), square.sum() / 2]
    grads = [torch.autograd.grad(loss, prediction, retain_graph=True)[0] for loss in losses]
    for n, ratio in ((1, 40), (2, 20)):
        assert torch.isclose(losses[n], ratio * losses[0], rtol=1e-12)
        assert torch.allclose(grads[n], ratio * grads[0], rtol=1e-12)


@verifies("eq-loss-sigma", by="SymPy 解一阶条件")
def test_sigma():
    s, m = sp.symbols("sigma m", positive=True)  # m 是误差平方的平均
    (best,) = sp.solve(sp.diff(m / (2 * s**2) + sp.log(s), s), s)
    assert sp.simplify(best**2 - m) == 0


@verifies("eq-loss-best-mean", by="三个不同形状的离散分布上，两边都按定义求期望")
def test_best_prediction_is_the_mean():
    for _ in range(3):
        p, y, c = rng.dirichlet(np.ones(6)), rng.normal(size=6), rng.normal()
        mean = p @ y
        left = p @ (y - c) ** 2
        right = p @ (y - mean) ** 2 + (mean - c) ** 2
        assert np.isclose(left, right, rtol=1e-12)


@verifies("eq-loss-laplace", by="SymPy 积分：总面积为 1")
def test_laplace():
    e = sp.symbols("e", real=True)
    s = sp.symbols("s", positive=True)
    half = sp.integrate(sp.exp(-e / s) / (2 * s), (e, 0, sp.oo))
    assert sp.simplify(2 * half) == 1


@verifies("eq-loss-mae", by="与 torch.distributions.Laplace 的对数密度比较")
def test_mae():
    y, f, s = rng.normal(size=20), rng.normal(size=20), 0.7
    peer = torch.distributions.Laplace(torch.tensor(f), s).log_prob(torch.tensor(y))
    formula = np.abs(y - f).mean() / s + np.log(2 * s)
    assert np.isclose(formula, -peer.mean().item(), rtol=1e-12)


@verifies("eq-loss-median", by="与自动求导比较")
def test_median():
    y = torch.tensor(rng.normal(size=51))
    for value in (-1.0, 0.1, 2.0):
        c = tensor(value)
        (y - c).abs().sum().backward()
        assert c.grad.item() == ((y < value).sum() - (y > value).sum()).item()


@verifies("eq-loss-hetero", by="与 torch.nn.functional.gaussian_nll_loss 比较")
def test_hetero():
    y, mean, s = (torch.tensor(rng.normal(size=30)) for _ in range(3))
    formula = 0.5 * (torch.exp(-s) * (y - mean) ** 2 + s)
    assert torch.isclose(formula.mean(), F.gaussian_nll_loss(mean, y, s.exp(), eps=0), rtol=1e-12)


@verifies("eq-loss-hetero-grad", by="与自动求导比较")
def test_hetero_grad():
    y, mean, s = (
        torch.tensor(rng.normal(size=9)),
        tensor(rng.normal(size=9)),
        tensor(rng.normal(size=9)),
    )
    (0.5 * (torch.exp(-s) * (y - mean) ** 2 + s)).sum().backward()
    with torch.no_grad():
        assert torch.allclose(s.grad, 0.5 * (1 - torch.exp(-s) * (y - mean) ** 2))
        assert torch.allclose(mean.grad, torch.exp(-s) * (mean - y))


@verifies("eq-loss-bernoulli", "eq-loss-bce", by="与 torch 的伯努利分布、二元交叉熵比较")
def test_bce():
    s, y = torch.tensor(rng.uniform(0.05, 0.95, 20)), torch.tensor(rng.integers(0, 2, 20) * 1.0)
    probability = s**y * (1 - s) ** (1 - y)
    peer = torch.distributions.Bernoulli(s).log_prob(y)
    assert torch.allclose(probability.log(), peer)
    formula = -(y * s.log() + (1 - y) * (1 - s).log()).mean()
    assert torch.isclose(formula, F.binary_cross_entropy(s, y), rtol=1e-12)


@verifies("eq-loss-bce-grad", by="与自动求导比较")
def test_bce_grad():
    z, y = tensor(rng.normal(size=10) * 3), torch.tensor(rng.integers(0, 2, 10) * 1.0)
    F.binary_cross_entropy_with_logits(z, y, reduction="sum").backward()
    assert torch.allclose(z.grad, torch.sigmoid(z).detach() - y)


@verifies("eq-loss-bce-stable", by="与 torch 及 dlbook.backprop 比较，分数从 −800 到 800")
def test_bce_stable():
    z = np.concatenate([rng.normal(size=20) * 5, [-800, -40, 0, 40, 800]])
    y = rng.integers(0, 2, 25) * 1.0
    formula = np.maximum(z, 0) - y * z + np.log(1 + np.exp(-np.abs(z)))
    peer = F.binary_cross_entropy_with_logits(torch.tensor(z), torch.tensor(y), reduction="none")
    assert np.allclose(formula, peer.numpy(), rtol=1e-12)
    assert np.allclose(formula, binary_cross_entropy_with_logits(z, y)[0], rtol=1e-12)


@verifies("eq-loss-categorical", "eq-loss-ce", by="与 torch 的类别分布比较")
def test_categorical():
    s, t = torch.tensor(rng.dirichlet(np.ones(5), 8)), torch.tensor(rng.integers(0, 5, 8))
    y = F.one_hot(t, 5)
    peer = torch.distributions.Categorical(s).log_prob(t)
    assert torch.allclose((s**y).prod(dim=1).log(), peer)
    assert torch.allclose(-(y * s.log()).sum(dim=1), -peer)


@verifies("eq-loss-two-class", by="SymPy 化简")
def test_two_class():
    a, b = sp.symbols("z0 z1", real=True)
    left = sp.exp(b) / (sp.exp(a) + sp.exp(b))
    right = 1 / (1 + sp.exp(-(b - a)))
    assert sp.simplify(left - right) == 0


@verifies("eq-loss-canonical", by="三种损失的梯度都与自动求导比较")
def test_canonical():
    z, y = tensor(rng.normal(size=6)), torch.tensor(rng.normal(size=6))
    (0.5 * ((z - y) ** 2)).sum().backward()
    assert torch.allclose(z.grad, z.detach() - y)
    z, y = tensor(rng.normal(size=6)), torch.tensor(rng.integers(0, 2, 6) * 1.0)
    F.binary_cross_entropy_with_logits(z, y, reduction="sum").backward()
    assert torch.allclose(z.grad, torch.sigmoid(z).detach() - y)
    z, t = tensor(rng.normal(size=(4, 7))), rng.integers(0, 7, 4)
    F.cross_entropy(z, torch.tensor(t), reduction="sum").backward()
    values = z.detach().numpy()
    assert np.allclose(z.grad.numpy(), softmax(values)[0] - one_hot(t, 7))


def distributions(count=20, size=6):
    return rng.dirichlet(np.ones(size), count), rng.dirichlet(np.ones(size), count)


@verifies("eq-loss-kl", by="随机的分布，三项各按定义求；KL 与 torch.distributions 比较")
def test_kl():
    p, q = distributions()
    cross, entropy = -(p * np.log(q)).sum(1), -(p * np.log(p)).sum(1)
    kl = (p * np.log(p / q)).sum(1)
    assert np.allclose(cross, entropy + kl, rtol=1e-12)
    peer = torch.distributions.kl_divergence(
        torch.distributions.Categorical(torch.tensor(p)),
        torch.distributions.Categorical(torch.tensor(q)),
    )
    assert np.allclose(kl, peer.numpy(), rtol=1e-10)


@verifies(
    "eq-loss-kl-nonneg", by="两万对随机分布都不小于 0，相同的分布恰为 0；关键不等式由 SymPy 验证"
)
def test_kl_nonneg():
    p, q = distributions(20_000)
    kl = (p * np.log(p / q)).sum(1)
    assert (kl > 0).all() and np.all((p * np.log(p / p)).sum(1) == 0)
    u = sp.symbols("u", positive=True)
    gap = u - 1 - sp.log(u)
    assert sp.solve(sp.diff(gap, u), u) == [1] and gap.subs(u, 1) == 0
    assert sp.diff(gap, u, 2).is_positive


@verifies("eq-loss-mle-kl", by="一批候选分布，按似然从大到小与按 KL 从小到大的次序相同")
def test_mle_is_min_kl():
    data = rng.integers(0, 4, 50)
    empirical = np.bincount(data, minlength=4) / 50
    models = rng.dirichlet(np.ones(4), 300)
    log_likelihood = np.log(models[:, data]).sum(1)
    seen = empirical > 0
    kl = (empirical[seen] * np.log(empirical[seen] / models[:, seen])).sum(1)
    assert (np.argsort(-log_likelihood) == np.argsort(kl)).all()


@verifies("eq-loss-mse-sigmoid", by="SymPy 求导")
def test_mse_sigmoid():
    z, y = sp.symbols("z y", real=True)
    s = 1 / (1 + sp.exp(-z))
    assert sp.simplify(sp.diff((s - y) ** 2, z) - 2 * (s - y) * s * (1 - s)) == 0


@verifies("eq-loss-smoothing", by="取这样的分数，带标签平滑的 torch 交叉熵梯度为 0")
def test_smoothing():
    for epsilon, classes in ((0.1, 10), (0.3, 4)):
        gap = np.log((1 - epsilon + epsilon / classes) / (epsilon / classes))
        z = tensor(gap * np.eye(classes)[[2]])
        F.cross_entropy(z, torch.tensor([2]), label_smoothing=epsilon).backward()
        assert torch.allclose(z.grad, torch.zeros_like(z), atol=1e-12)


@verifies("eq-loss-ece", by="与逐组循环、逐个样本判断的写法比较")
def test_ece():
    prob, target = rng.dirichlet(np.ones(4) * 0.5, 400), rng.integers(0, 4, 400)
    conf, hit = prob.max(1), prob.argmax(1) == target
    total = 0.0
    for low in np.arange(8) / 8:
        inside = (conf >= low) & ((conf < low + 1 / 8) | ((low == 7 / 8) & (conf <= 1)))
        if inside.any():
            total += inside.sum() / 400 * abs(hit[inside].mean() - conf[inside].mean())
    assert np.isclose(total, expected_calibration_error(prob, target, 8), rtol=1e-12)


@verifies("eq-loss-temperature", by="与 torch.softmax 比较；T 不改变次序")
def test_temperature():
    z, T = rng.normal(size=(6, 5)), 2.5
    formula = np.exp(z / T) / np.exp(z / T).sum(axis=1, keepdims=True)
    assert np.allclose(formula, torch.softmax(torch.tensor(z) / T, dim=1).numpy())
    assert (formula.argsort(axis=1) == z.argsort(axis=1)).all()


@verifies("eq-loss-temperature-grad", by="一、二阶导数与自动求导比较；牛顿法的结果与网格搜索比较")
def test_temperature_grad():
    z, t, beta = torch.tensor(rng.normal(size=5)), 3, tensor(0.8)
    loss = torch.logsumexp(beta * z, 0) - beta * z[t]
    (first,) = torch.autograd.grad(loss, beta, create_graph=True)
    (second,) = torch.autograd.grad(first, beta)
    s = torch.softmax(0.8 * z, 0)
    assert torch.isclose(first, (s * z).sum() - z[t])
    assert torch.isclose(second, (s * z**2).sum() - (s * z).sum() ** 2)
    logits, target = rng.normal(size=(500, 5)) * 3, rng.integers(0, 5, 500)
    logits[np.arange(500), target] += 2
    grid = np.linspace(0.5, 8, 3001)
    values = [cross_entropy(logits / T, target)[0] for T in grid]
    assert abs(fit_temperature(logits, target) - grid[np.argmin(values)]) < 0.01
