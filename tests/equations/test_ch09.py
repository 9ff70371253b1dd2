"""第 9 章公式的核对：微积分与 SymPy、PyTorch 比较，概率与精确的求和、积分或模拟比较。"""

import numpy as np
import sympy as sp
import torch
from bookcheck.equations import definition, verifies
from torch.autograd.functional import hessian, jacobian

rng = np.random.default_rng(9)
definition("eq-math-gradient", "梯度的定义：全部偏导数排成向量")
definition("eq-math-jacobian", "雅可比矩阵的定义：输出管行，输入管列")
definition("eq-math-hessian", "黑塞矩阵的定义：全部二阶偏导数")
definition("eq-math-expectation", "期望的定义：按概率加权的平均")


def tensor(*shape):
    return torch.tensor(rng.normal(size=shape), requires_grad=True)


def close(actual, expected, tolerance=1e-10):
    np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance)


def neuron():
    x, target = torch.tensor(rng.normal(size=(20, 4))), torch.tensor(rng.normal(size=20))
    return x, target, tensor(4), tensor(1)


@verifies("eq-math-neuron-mse", by="两种写法代入同一批数，与 torch 的均方误差比较")
def test_neuron_mse():
    x, target, w, b = neuron()
    activation = torch.relu(x @ w + b)
    written_out = [
        (t - max(0.0, sum(wi * xi for wi, xi in zip(w, row, strict=True)).item() + b.item())) ** 2
        for row, t in zip(x, target.tolist(), strict=True)
    ]
    peer = torch.nn.functional.mse_loss(activation, target)
    close(np.mean(written_out), peer.item())


@verifies("eq-math-polar", by="与 SymPy 的雅可比矩阵比较")
def test_polar():
    a, b = sp.symbols("x1 x2")
    f = sp.Matrix([a * sp.cos(b), a * sp.sin(b)])
    formula = sp.Matrix([[sp.cos(b), -a * sp.sin(b)], [sp.sin(b), a * sp.cos(b)]])
    assert sp.simplify(f.jacobian([a, b]) - formula) == sp.zeros(2)


@verifies("eq-math-linearization", "eq-math-taylor", by="步子减半，误差分别缩小到约 1/4 与 1/8")
def test_approximations():
    def f(v):
        return torch.stack([v[0] * torch.cos(v[1]), torch.exp(v[0] * v[1]) + v[1] ** 3])

    x, d = torch.tensor([0.7, 0.4], dtype=torch.float64), torch.tensor([0.3, -0.5]).double()
    J, H = jacobian(f, x), hessian(lambda v: f(v)[1], x)
    first, second = [], []
    for scale in (1e-2, 5e-3):
        step = scale * d
        first.append((f(x + step) - f(x) - J @ step).norm().item())
        quadratic = f(x)[1] + J[1] @ step + 0.5 * step @ H @ step
        second.append(abs(f(x + step)[1] - quadratic).item())
    assert 3.9 < first[0] / first[1] < 4.1
    assert 7.8 < second[0] / second[1] < 8.2


@verifies(
    "eq-math-elementwise", "eq-math-arithmetic", by="与 PyTorch 的雅可比矩阵比较，另加取较大者"
)
def test_elementwise():
    u, v = torch.tensor(rng.normal(size=4)), torch.tensor(rng.uniform(1, 2, 4))
    identity = torch.eye(4, dtype=torch.float64)
    close(jacobian(lambda t: t + v, u), identity)
    close(jacobian(lambda t: u - t, v), -identity)
    close(jacobian(lambda t: t * v, u), torch.diag(v))
    close(jacobian(lambda t: t / v, u), torch.diag(1 / v))
    close(jacobian(lambda t: torch.maximum(t, v), u), torch.diag((u > v).double()))


@verifies("eq-math-scalar-expand", by="与 PyTorch 的雅可比矩阵比较")
def test_scalar_expand():
    x, b = torch.tensor(rng.normal(size=5)), torch.tensor(0.7, dtype=torch.float64)
    close(jacobian(lambda t: x + t, b), torch.ones(5))
    close(jacobian(lambda t: t * x, b), x)


@verifies("eq-math-sum", "eq-math-dot", by="与 PyTorch 的自动求导比较")
def test_sum_and_dot():
    x = tensor(6)
    parts = [torch.sin(x).prod(), (x**3).sum(), torch.exp(x[0] * x[1])]
    separate = sum(torch.autograd.grad(part, x, retain_graph=True)[0] for part in parts)
    close(torch.autograd.grad(sum(parts), x)[0], separate)
    close(torch.autograd.grad(x.sum(), x)[0], np.ones(6))
    close(torch.autograd.grad(3 * x.sum(), x)[0], np.full(6, 3.0))
    w = tensor(6)
    close(torch.autograd.grad(w @ x.detach(), w)[0], x.detach())


@verifies("eq-math-chain-single", by="SymPy：任意的 f、g")
def test_chain_single():
    x, u = sp.symbols("x u")
    for f, g in ((sp.sin(u), x**2), (sp.log(u), x**4 + 1), (u**3, sp.exp(x))):
        direct = sp.diff(f.subs(u, g), x)
        assert sp.simplify(direct - sp.diff(f, u).subs(u, g) * sp.diff(g, x)) == 0


@verifies("eq-math-total", by="SymPy：x 直接出现，又经两个中间量出现")
def test_total_derivative():
    x, u, v = sp.symbols("x u v")
    f, inner = sp.sin(x * u) + v**2 / x, {u: x**2, v: sp.exp(x)}
    total = sp.diff(f, x) + sum(sp.diff(f, k) * sp.diff(g, x) for k, g in inner.items())
    assert sp.simplify(total.subs(inner) - sp.diff(f.subs(inner), x)) == 0


@verifies("eq-math-chain-vector", by="两层函数，雅可比矩阵之积与整个函数的雅可比矩阵比较")
def test_chain_vector():
    A, B = torch.tensor(rng.normal(size=(4, 3))), torch.tensor(rng.normal(size=(2, 4)))
    x = torch.tensor(rng.normal(size=3))

    def inner(t):
        return torch.tanh(A @ t)

    def outer(u):
        return torch.sin(B @ u)

    close(jacobian(outer, inner(x)) @ jacobian(inner, x), jacobian(lambda t: outer(inner(t)), x))


@verifies(
    "eq-math-affine-gradient", "eq-math-activation-gradient", by="与 PyTorch 比较，含恰为 0 的 z"
)
def test_activation_gradient():
    x = torch.tensor([[1.0, 2.0], [1.0, -1.0], [-3.0, 0.5]], dtype=torch.float64)
    for row in x:
        w = torch.tensor([1.0, 1.0], dtype=torch.float64, requires_grad=True)
        b = torch.tensor(0.0, dtype=torch.float64, requires_grad=True)
        z = w @ row + b
        dw, db = torch.autograd.grad(z, (w, b), retain_graph=True)
        close(dw, row)
        close(db, 1.0)
        dw, db = torch.autograd.grad(torch.relu(z), (w, b))
        close(dw, row if z > 0 else torch.zeros(2))
        close(db, float(z > 0))


@verifies("eq-math-loss-gradient", by="与 PyTorch 的自动求导比较")
def test_loss_gradient():
    x, target, w, b = neuron()
    z = x @ w + b
    torch.nn.functional.mse_loss(torch.relu(z), target).backward()
    e = (torch.relu(z) - target).detach()
    active = (z > 0).double()
    close(w.grad, 2 / 20 * ((e * active)[:, None] * x).sum(dim=0))
    close(b.grad, [2 / 20 * (e * active).sum().item()])


@verifies("eq-math-differential", by="随机的小变化，损失之差与内积之差是二阶小量")
def test_differential():
    W, X = tensor(3, 4), torch.tensor(rng.normal(size=(5, 4)))

    def loss(weight):
        return torch.sin(X @ weight.T).square().sum()

    (gradient,) = torch.autograd.grad(loss(W), W)
    direction = torch.tensor(rng.normal(size=(3, 4)))
    errors = []
    for scale in (1e-3, 5e-4):
        step = scale * direction
        errors.append(abs((loss(W + step) - loss(W) - (gradient * step).sum()).item()))
    assert 3.8 < errors[0] / errors[1] < 4.2


@verifies("eq-math-move", by="随机矩阵，三个内积相等")
def test_move():
    A, B, C = rng.normal(size=(3, 5)), rng.normal(size=(3, 4)), rng.normal(size=(4, 5))
    close(np.sum(A * (B @ C)), np.sum((B.T @ A) * C))
    close(np.sum(A * (B @ C)), np.sum((A @ C.T) * B))


@verifies("eq-math-linear", by="与 PyTorch 的自动求导比较")
def test_linear():
    X, W, b, G = tensor(5, 3), tensor(2, 3), tensor(2), torch.tensor(rng.normal(size=(5, 2)))
    torch.nn.functional.linear(X, W, b).backward(G)
    X_, W_ = X.detach(), W.detach()
    close(W.grad, G.T @ X_)
    close(X.grad, G @ W_)
    close(b.grad, G.T @ torch.ones(5, dtype=torch.float64))


@verifies("eq-math-normalization", by="SymPy：骰子、指数分布、正态分布的总和、积分与区间概率")
def test_normalization():
    x = sp.symbols("x", real=True)
    assert sum(sp.Rational(1, 6) for _ in range(6)) == 1
    assert sp.integrate(sp.exp(-x), (x, 0, sp.oo)) == 1
    normal = sp.exp(-(x**2) / 2) / sp.sqrt(2 * sp.pi)
    assert sp.integrate(normal, (x, -sp.oo, sp.oo)) == 1
    inside = float(sp.integrate(normal, (x, -1, 1)))
    z = np.random.default_rng(0).normal(size=400_000)
    assert abs(inside - np.mean(np.abs(z) <= 1)) < 3e-3


def joint():
    """两个（不独立的）离散随机变量的联合分布与取值。"""
    p = rng.dirichlet(np.ones(12)).reshape(3, 4)
    return p, rng.normal(size=3), rng.normal(size=4)


@verifies("eq-math-linearity", "eq-math-variance", by="不独立的联合分布上按定义求和")
def test_expectation_rules():
    p, x, y = joint()
    left = np.sum(p * (2.5 * x[:, None] - 1.5 * y))
    close(left, 2.5 * p.sum(1) @ x - 1.5 * p.sum(0) @ y)
    marginal, mean = p.sum(1), p.sum(1) @ x
    close(marginal @ (x - mean) ** 2, marginal @ x**2 - mean**2)


@verifies("eq-math-mean-variance", by="三个独立的骰子，枚举全部 216 种结果")
def test_variance_of_the_mean():
    faces = np.arange(1, 7)
    means = (faces[:, None, None] + faces[:, None] + faces) / 3
    close(means.var(), faces.var() / 3)


@verifies("eq-math-conditional", "eq-math-bayes", by="随机的联合分布，两种条件概率按定义求")
def test_bayes():
    p = rng.dirichlet(np.ones(4)).reshape(2, 2)  # p[a, b]
    pa, pb = p.sum(1), p.sum(0)
    b_given_a = p[:, 1] / pa
    close(p[1, 1], pa[1] * b_given_a[1])
    close(pb[1], b_given_a @ pa)
    close(p[1, 1] / pb[1], b_given_a[1] * pa[1] / (b_given_a @ pa))


@verifies("eq-math-gaussian-sum", by="SymPy：两个高斯密度的卷积")
def test_gaussian_sum():
    x, t = sp.symbols("x t", real=True)

    def density(value, mean, variance):
        return sp.exp(-((value - mean) ** 2) / (2 * variance)) / sp.sqrt(2 * sp.pi * variance)

    convolution = sp.integrate(density(t, 1, 2) * density(x - t, -3, 5), (t, -sp.oo, sp.oo))
    ratio = sp.simplify(convolution / density(x, -2, 7))
    assert sp.simplify(ratio - 1) == 0


@verifies("eq-math-clt", by="指数分布的和有精确的分布函数（Γ 分布），与标准正态之差随 n 减小")
def test_central_limit():
    z = torch.linspace(-3, 3, 61, dtype=torch.float64)
    normal = 0.5 * (1 + torch.erf(z / 2**0.5))
    gaps = []
    for n in (1, 5, 50, 5000):
        shape = torch.tensor(float(n), dtype=torch.float64)
        exact = torch.special.gammainc(shape, (n + z * n**0.5).clamp(min=0))
        gaps.append((exact - normal).abs().max().item())
    assert gaps == sorted(gaps, reverse=True) and gaps[-1] < 3e-3


@verifies("eq-math-temperature", by="与 softmax(log p / T) 比较；两端的极限")
def test_temperature():
    p = np.array([0.1, 0.05, 0.3, 0.2, 0.25, 0.1])

    def at(T):
        return p ** (1 / T) / np.sum(p ** (1 / T))

    close(at(0.7), torch.softmax(torch.tensor(np.log(p) / 0.7), 0).numpy())
    close(at(1e-2), np.eye(6)[p.argmax()], 1e-6)
    close(at(1e6), np.full(6, 1 / 6), 1e-5)
