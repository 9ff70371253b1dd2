"""第 12 章每个带标签的公式：与符号推导、数值微分或 PyTorch 比较，误差不超过 1e-9。"""

import math
from itertools import pairwise

import numpy as np
import sympy
import torch
from bookcheck.equations import definition, verifies

from dlbook.backprop import cross_entropy, cross_entropy_backward, linear, linear_backward

F = torch.nn.functional
rng = np.random.default_rng(12)


def close(actual, expected, tolerance=1e-9):
    np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance)


def vjp(function, g, *inputs):
    """torch.autograd：损失对各个输入的梯度，上游梯度是 g；输入输出都是 ndarray。"""
    tensors = [torch.tensor(x, requires_grad=True) for x in inputs]
    function(*tensors).backward(torch.tensor(g))
    return [t.grad.numpy() for t in tensors]


def jacobian(function, x):
    return torch.autograd.functional.jacobian(function, torch.tensor(x)).numpy()


def is_zero(expression):
    return sympy.simplify(expression) == 0


# ---- 计算图、雅可比矩阵、代价 ----

definition("eq-bp-jacobian", "雅可比矩阵的定义：全部一阶偏导数排成矩阵")

A, B, C = rng.normal(size=(4, 5)), rng.normal(size=(3, 4)), rng.normal(size=(1, 3))


def chain(x):
    return torch.tensor(C) @ torch.tanh(torch.tensor(B) @ torch.tanh(torch.tensor(A) @ x))


def factors(x):
    u = np.tanh(A @ x)
    v = np.tanh(B @ u)
    return (1 - u**2)[:, None] * A, (1 - v**2)[:, None] * B, C


@verifies("eq-bp-chain", by="三个函数的链，与 PyTorch 求出的整个雅可比矩阵比较")
def test_chain():
    x = rng.normal(size=5)
    J1, J2, J3 = factors(x)
    close(J3 @ J2 @ J1, jacobian(chain, x))


@verifies("eq-bp-cost", by="照两种次序真的去乘，每次矩阵乘法按形状计数")
def test_cost():
    for widths in ([5, 4, 3, 1], [784, 256, 128, 1], [7, 6, 5, 4, 3, 1]):
        factors = list(zip(widths[1:], widths[:-1], strict=True))  # J_k 的形状
        (rows, columns), forward = factors[0], 0
        for new_rows, inner in factors[1:]:
            assert inner == rows
            forward += new_rows * inner * columns
            rows = new_rows
        (rows, columns), backward = factors[-1], 0
        for inner, new_columns in reversed(factors[:-1]):
            assert inner == columns
            backward += rows * inner * new_columns
            columns = new_columns
        pairs = [a * b for a, b in pairwise(widths)]
        assert forward == widths[0] * sum(pairs[1:])
        assert backward == sum(pairs[:-1])


@verifies("eq-bp-vjp", by="Jᵀ 乘上游梯度，与 torch.autograd 比较；并逐下标求和")
def test_vjp():
    x, g = rng.normal(size=5), rng.normal(size=4)
    J = factors(x)[0]
    (expected,) = vjp(lambda t: torch.tanh(torch.tensor(A) @ t), g, x)
    close(J.T @ g, expected)
    close([sum(g[i] * J[i, j] for i in range(4)) for j in range(5)], expected)


@verifies("eq-bp-jvp", by="与 torch.autograd.functional.jvp 比较")
def test_jvp():
    x, dx = rng.normal(size=5), rng.normal(size=5)
    _, expected = torch.autograd.functional.jvp(
        lambda t: torch.tanh(torch.tensor(A) @ t), torch.tensor(x), torch.tensor(dx)
    )
    close(factors(x)[0] @ dx, expected)


@verifies("eq-bp-dot-test", by="一边用 torch 的 JVP，一边用 torch 的 VJP，两个内积相等")
def test_dot_test():
    x, dx, g = rng.normal(size=5), rng.normal(size=5), rng.normal(size=4)

    def f(t):
        return torch.tanh(torch.tensor(A) @ t)

    _, forward = torch.autograd.functional.jvp(f, torch.tensor(x), torch.tensor(dx))
    (backward,) = vjp(f, g, x)
    close(g @ forward.numpy(), backward @ dx)


@verifies("eq-bp-three-gemms", by="三个乘积与 torch.autograd 比较，乘法次数都是 mnp")
def test_three_gemms():
    m, n, p = 5, 4, 3
    X, W, G = rng.normal(size=(m, n)), rng.normal(size=(p, n)), rng.normal(size=(m, p))
    close(X @ W.T, F.linear(torch.tensor(X), torch.tensor(W)))
    dX, dW = vjp(F.linear, G, X, W)
    close(G @ W, dX)
    close(G.T @ X, dW)
    for left, right in ((X, W.T), (G, W), (G.T, X)):
        assert left.shape[0] * left.shape[1] * right.shape[1] == m * n * p


@verifies("eq-bp-checkpoint", by="SymPy 求最小值点；整数上逐个比较")
def test_checkpoint():
    s, n = sympy.symbols("s n", positive=True)
    M = s + n / s
    assert is_zero(sympy.diff(M, s).subs(s, sympy.sqrt(n)))
    assert sympy.diff(M, s, 2).subs(s, sympy.sqrt(n)).is_positive
    assert is_zero(M.subs(s, sympy.sqrt(n)) - 2 * sympy.sqrt(n))
    assert min(range(1, 65), key=lambda k: k + 64 / k) == 8


# ---- 线性层 ----

X23 = np.array([[1.0, 2.0, 3.0], [0.0, -1.0, 2.0]])
w3 = np.array([[1.0], [2.0], [-1.0]])
G2 = np.array([[2.0], [-1.0]])


def affine(x, w, b):
    return x @ w + b


@verifies("eq-bp-linear-forward", "eq-bp-linear-dw", "eq-bp-linear-db", "eq-bp-linear-dx",
          by="一个样本：与 torch.autograd 比较（书里的数与随机的数）")  # fmt: skip
def test_linear_one():
    for x, w, g in (
        (X23[:1], w3, G2[:1]),
        tuple(rng.normal(size=s) for s in ((1, 3), (3, 1), (1, 1))),
    ):
        b = np.array([1.0])
        y = affine(*map(torch.tensor, (x, w, b)))
        close(y.item(), w[0, 0] * x[0, 0] + w[1, 0] * x[0, 1] + w[2, 0] * x[0, 2] + b[0])
        dx, dw, db = vjp(affine, g, x, w, b)
        close(x.T @ g, dw)
        close(g[0], db)
        close(g @ w.T, dx)


definition("eq-bp-batch-dw-def", "记号：对权重的三个偏导数排成与权重同形状的一列")


@verifies("eq-bp-batch-forward", "eq-bp-batch-dw1", "eq-bp-batch-dw", "eq-bp-batch-db",
          "eq-bp-batch-dx", by="两个样本：与 torch.autograd 比较，逐分量与矩阵")  # fmt: skip
def test_linear_batch():
    for X, w, g in ((X23, w3, G2), tuple(rng.normal(size=s) for s in ((2, 3), (3, 1), (2, 1)))):
        b = np.array([1.0])
        y = affine(*map(torch.tensor, (X, w, b))).numpy()
        close(y[:, 0], [sum(w[j, 0] * X[i, j] for j in range(3)) + b[0] for i in range(2)])
        dX, dw, db = vjp(affine, g, X, w, b)
        close(g[0, 0] * X[0, 0] + g[1, 0] * X[1, 0], dw[0, 0])
        close([[g[0, 0] * X[0, j] + g[1, 0] * X[1, j]] for j in range(3)], dw)
        close(X.T @ g, dw)
        close(g[0] + g[1], db)
        close(g @ w.T, dX)


@verifies("eq-bp-linear-general", by="与 torch.nn.functional.linear 比较；与逐下标求和比较")
def test_linear_general():
    X, W, b, G = (rng.normal(size=s) for s in ((5, 4), (3, 4), (3,), (5, 3)))
    Y, cache = linear(X, W, b)
    close(Y, F.linear(*map(torch.tensor, (X, W, b))))
    dX, dW, db = vjp(F.linear, G, X, W, b)
    close(G.T @ X, dW)
    close(G.sum(axis=0), db)
    close(G @ W, dX)
    close(np.einsum("ik,ij->kj", G, X), dW)
    for ours, theirs in zip(linear_backward(G, cache), (dX, dW, db), strict=True):
        close(ours, theirs)


# ---- softmax 与交叉熵 ----

definition("eq-bp-logits", "记号：C 个分数排成一行")
definition("eq-bp-softmax-out", "记号：C 个概率排成一行")

N = 4
o_symbols = sympy.symbols(f"o1:{N + 1}", real=True)
s_symbols = [sympy.exp(v) / sum(map(sympy.exp, o_symbols)) for v in o_symbols]


@verifies("eq-bp-softmax-def", by="与 torch.softmax 比较")
def test_softmax():
    o = rng.normal(size=6)
    close(np.exp(o) / np.exp(o).sum(), torch.softmax(torch.tensor(o), 0))


@verifies("eq-bp-softmax-diag", by="SymPy：N = 4，每一行逐步相减为零")
def test_softmax_diagonal():
    total = sum(map(sympy.exp, o_symbols))
    for i in range(N):
        exact = sympy.diff(s_symbols[i], o_symbols[i])
        e = sympy.exp(o_symbols[i])
        steps = [
            (total * e - e * e) / total**2,
            e * (total - e) / total**2,
            e / total * ((total - e) / total),
            s_symbols[i] * (1 - s_symbols[i]),
        ]
        assert all(is_zero(exact - step) for step in steps)


@verifies("eq-bp-softmax-off", by="SymPy：N = 4，每个 i ≠ j 逐步相减为零")
def test_softmax_off_diagonal():
    total = sum(map(sympy.exp, o_symbols))
    for i in range(N):
        for j in set(range(N)) - {i}:
            exact = sympy.diff(s_symbols[i], o_symbols[j])
            ei, ej = sympy.exp(o_symbols[i]), sympy.exp(o_symbols[j])
            steps = [(0 - ei * ej) / total**2, -ei / total * ej / total]
            steps.append(-s_symbols[i] * s_symbols[j])
            assert all(is_zero(exact - step) for step in steps)


@verifies("eq-bp-softmax-jacobian", by="与 PyTorch 的雅可比矩阵比较，三种写法")
def test_softmax_jacobian():
    for o in (np.log([1.0, 2.0, 3.0]), rng.normal(size=3)):
        s = torch.softmax(torch.tensor(o), 0).numpy()
        J = jacobian(lambda t: torch.softmax(t, 0), o)
        close(np.diag(s) - np.outer(s, s), J)
        close([[s[i] * ((i == j) - s[j]) for j in range(3)] for i in range(3)], J)


@verifies("eq-bp-softmax-shift", by="SymPy：对任意的 c 相减为零；数值上与 torch 比较")
def test_softmax_shift():
    c = sympy.symbols("c", real=True)
    shifted = [sympy.exp(v - c) for v in o_symbols]
    middle = [sympy.exp(v) / sympy.exp(c) for v in o_symbols]
    for k in range(N):
        assert is_zero(shifted[k] / sum(shifted) - s_symbols[k])
        assert is_zero(middle[k] / sum(middle) - s_symbols[k])


@verifies("eq-bp-softmax-chain", "eq-bp-softmax-vjp", by="每一步与 torch.autograd 比较")
def test_softmax_vjp():
    o, g = rng.normal(size=5), rng.normal(size=5)
    s = torch.softmax(torch.tensor(o), 0).numpy()
    (exact,) = vjp(lambda t: torch.softmax(t, 0), g, o)
    close(s * (g - (g @ s) * np.ones(5)), exact)
    for j in range(5):
        others = [i for i in range(5) if i != j]
        steps = [
            sum(g[i] * s[i] * ((i == j) - s[j]) for i in range(5)),
            g[j] * s[j] * (1 - s[j]) + sum(g[i] * (-s[i] * s[j]) for i in others),
            g[j] * s[j] - g[j] * s[j] * s[j] - sum(g[i] * s[i] * s[j] for i in others),
            g[j] * s[j] - sum(g[i] * s[i] * s[j] for i in range(5)),
            s[j] * (g[j] - sum(g[i] * s[i] for i in range(5))),
        ]
        close(steps, np.full(5, exact[j]))


@verifies("eq-bp-ce", "eq-bp-logsumexp", by="与 torch.nn.functional.cross_entropy 比较")
def test_cross_entropy():
    o, t = rng.normal(size=6) * 5, 2
    s = torch.softmax(torch.tensor(o), 0).numpy()
    expected = F.cross_entropy(torch.tensor(o), torch.tensor(t)).item()
    y = np.eye(6)[t]
    close(-np.sum(y * np.log(s)), expected)
    close(-np.log(s[t]), expected)
    c = o.max()
    close(np.log(np.exp(o - c).sum()) - (o[t] - c), expected)


@verifies("eq-bp-ce-grad", by="SymPy 对 N = 4 求导；与 torch.autograd、cross_entropy_backward 比较")
def test_cross_entropy_gradient():
    for t in range(N):
        for j in range(N):
            exact = sympy.diff(-sympy.log(s_symbols[t]), o_symbols[j])
            assert is_zero(exact - (s_symbols[j] - int(j == t)))
    z, target = rng.normal(size=(3, 5)), np.array([0, 4, 2])
    (exact,) = vjp(lambda x: F.cross_entropy(x, torch.tensor(target)), 1.0, z)
    s = torch.softmax(torch.tensor(z), 1).numpy()
    close((s - np.eye(5)[target]) / 3, exact)
    close(cross_entropy_backward(1.0, cross_entropy(z, target)[1]), exact)


# ---- ReLU ----


@verifies("eq-bp-relu-example", by="与 torch.relu 比较")
def test_relu_example():
    close(torch.relu(torch.tensor([-2.0, 3.0, 8.0])), [0, 3, 8])


@verifies("eq-bp-relu-grad", "eq-bp-relu-vjp", by="与 torch.autograd 比较，含 x = 0")
def test_relu_gradient():
    x, g = np.array([-2.0, 3.0, 8.0, 0.0]), rng.normal(size=4)
    close(jacobian(torch.relu, x), np.diag([0.0, 1.0, 1.0, 0.0]))
    (exact,) = vjp(torch.relu, g, x)
    close(g * (x > 0), exact)


# ---- LayerNorm 与 RMSNorm ----

E = 4
x_symbols = sympy.symbols(f"x1:{E + 1}", real=True)
epsilon = sympy.symbols("epsilon", positive=True)
mu = sum(x_symbols) / sympy.Integer(E)
d_symbols = [v - mu for v in x_symbols]
variance = sum(d**2 for d in d_symbols) / sympy.Integer(E)
std = sympy.sqrt(variance + epsilon)
POINT = {**dict(zip(x_symbols, (0.3, -1.2, 2.0, 0.7), strict=True)), epsilon: 1e-5}


def same(left, right):
    """两个符号式在一个点上相等；符号化简太慢的地方用它（高精度求值）。"""
    exact = {k: sympy.Rational(str(v)) for k, v in POINT.items()}
    return abs(sympy.N((left - right).subs(exact), 30)) < sympy.Float("1e-25")


@verifies("eq-bp-ln-forward", by="与 torch.nn.functional.layer_norm 比较，形状 (2, 3, 6)")
def test_layer_norm_forward():
    x, gamma, beta = rng.normal(size=(2, 3, 6)), rng.normal(size=6), rng.normal(size=6)
    mean = x.sum(-1, keepdims=True) / 6
    var = ((x - mean) ** 2).sum(-1, keepdims=True) / 6
    y = gamma * (x - mean) / np.sqrt(var + 1e-5) + beta
    close(y, F.layer_norm(torch.tensor(x), (6,), torch.tensor(gamma), torch.tensor(beta)))


@verifies("eq-bp-ln-one", by="用 PyTorch 的雅可比矩阵 ∂x̂/∂x 拼出总梯度，与 layer_norm 的反向比较")
def test_layer_norm_chain():
    x, gamma, g = rng.normal(size=6), rng.normal(size=6), rng.normal(size=6)
    J = jacobian(lambda t: F.layer_norm(t, (6,)), x)  # J[j, i] = ∂x̂_j/∂x_i
    (exact,) = vjp(lambda t: F.layer_norm(t, (6,), torch.tensor(gamma)), g, x)
    close([sum(g[j] * gamma[j] * J[j, i] for j in range(6)) for i in range(6)], exact)


@verifies("eq-bp-ln-mean", "eq-bp-ln-center", by="SymPy：E = 4，每个 i、j 相减为零")
def test_layer_norm_center():
    for i, xi in enumerate(x_symbols):
        assert is_zero(sympy.diff(mu, xi) - sympy.Rational(1, E))
        for j in range(E):
            assert is_zero(
                sympy.diff(d_symbols[j], xi) - (sympy.Integer(i == j) - sympy.Rational(1, E))
            )


@verifies("eq-bp-ln-var", "eq-bp-ln-var-short", by="SymPy：E = 4，每一步相减为零")
def test_layer_norm_variance():
    for i, xi in enumerate(x_symbols):
        exact = sympy.diff(variance, xi)
        d = d_symbols
        steps = [
            sum(2 * d[k] * sympy.diff(d[k], xi) for k in range(E)) / sympy.Integer(E),
            sympy.Rational(2, E)
            * sum(d[k] * (sympy.Integer(i == k) - sympy.Rational(1, E)) for k in range(E)),
            sympy.Rational(2, E)
            * (sum(d[k] * int(i == k) for k in range(E)) - sum(d) / sympy.Integer(E)),
            sympy.Rational(2, E) * (d[i] - sum(d) / sympy.Integer(E)),
            sympy.Rational(2, E) * d[i],
        ]
        assert all(is_zero(exact - step) for step in steps)


@verifies("eq-bp-ln-std", "eq-bp-ln-dstd", by="SymPy：E = 4，求导后逐步相减为零")
def test_layer_norm_std():
    assert is_zero(std - (variance + epsilon) ** sympy.Rational(1, 2))
    for i, xi in enumerate(x_symbols):
        exact = sympy.diff(std, xi)
        steps = [
            sympy.diff(variance + epsilon, xi) / (2 * sympy.sqrt(variance + epsilon)),
            1 / (2 * std) * sympy.Rational(2, E) * d_symbols[i],
            d_symbols[i] / (std * E),
        ]
        assert all(is_zero(exact - step) for step in steps)


definition("eq-bp-ln-xhat", "把除法写成乘法，为用乘积的求导法则")


@verifies("eq-bp-ln-product", "eq-bp-ln-term1", "eq-bp-ln-jacobian",
          by="SymPy：E = 4，每个 i、j 在有理点上以 30 位精度比较每一步")  # fmt: skip
def test_layer_norm_jacobian():
    d = d_symbols
    x_hat = [v / std for v in d]
    for i, xi in enumerate(x_symbols):
        for j in range(E):
            exact = sympy.diff(x_hat[j], xi)
            first = d[j] * sympy.diff(1 / std, xi)
            second = sympy.diff(d[j], xi) / std
            assert same(exact, first + second)
            assert same(first, -d[j] / std**2 * sympy.diff(std, xi))
            assert same(first, -d[i] * d[j] / (std**3 * E))
            delta = sympy.Integer(int(i == j)) - sympy.Rational(1, E)
            assert same(exact, -d[i] * d[j] / (std**3 * E) + delta / std)
            assert same(exact, (delta - d[i] * d[j] / (std**2 * E)) / std)
            assert same(exact, (delta - x_hat[i] * x_hat[j] / sympy.Integer(E)) / std)


def layer_norm_case():
    x, gamma, g = rng.normal(size=6), rng.normal(size=6), rng.normal(size=6)
    (exact,) = vjp(lambda t: F.layer_norm(t, (6,), torch.tensor(gamma)), g, x)
    d = x - x.mean()
    s = np.sqrt(np.mean(d**2) + 1e-5)
    return d, s, d / s, g * gamma, exact


@verifies("eq-bp-ln-dx", "eq-bp-ln-compact", by="每一行与 torch 的 layer_norm 反向比较")
def test_layer_norm_dx():
    _, s, x_hat, gt, exact = layer_norm_case()
    n = len(gt)
    for i in range(n):
        bracket = [(i == j) - 1 / n - x_hat[i] * x_hat[j] / n for j in range(n)]
        steps = [
            sum(gt[j] / s * bracket[j] for j in range(n)),
            (gt[i] - gt.sum() / n - sum(gt[j] * x_hat[i] * x_hat[j] for j in range(n)) / n) / s,
            (gt[i] - gt.sum() / n - x_hat[i] / n * (gt * x_hat).sum()) / s,
        ]
        close(steps, np.full(3, exact[i]))
    close((gt - gt.mean() - x_hat * (gt * x_hat).mean()) / s, exact)


@verifies("eq-bp-ln-notation", by="对 x̂ 求导：与 torch.autograd 比较")
def test_layer_norm_notation():
    x_hat, gamma, beta, g = rng.normal(size=(4, 6))
    (exact,) = vjp(lambda t: torch.tensor(gamma) * t + torch.tensor(beta), g, x_hat)
    close(g * gamma, exact)


@verifies("eq-bp-ln-clean-d", "eq-bp-ln-clean-x", by="分两段与 torch.autograd 比较，再与总梯度比较")
def test_layer_norm_clean():
    d, s, x_hat, gt, exact = layer_norm_case()
    (exact_d,) = vjp(lambda t: t / torch.sqrt((t**2).mean() + 1e-5), gt, d)
    dd = (gt - x_hat * (gt * x_hat).mean()) / s
    close(dd, exact_d)
    close([gt[j] / s - x_hat[j] / (s * 6) * (gt * x_hat).sum() for j in range(6)], exact_d)
    close(dd - dd.mean(), exact)


@verifies("eq-bp-ln-params", by="形状 (2, 3, 6)：与 torch.autograd 比较")
def test_layer_norm_parameters():
    x, g, gamma, beta = (rng.normal(size=s) for s in ((2, 3, 6), (2, 3, 6), (6,), (6,)))
    x_hat = F.layer_norm(torch.tensor(x), (6,)).numpy()
    dgamma, dbeta = vjp(lambda a, b: F.layer_norm(torch.tensor(x), (6,), a, b), g, gamma, beta)
    close(g.sum(axis=(0, 1)), dbeta)
    close((g * x_hat).sum(axis=(0, 1)), dgamma)


@verifies("eq-bp-rms-forward", "eq-bp-rms-backward", by="与 torch.nn.functional.rms_norm 比较")
def test_rms_norm():
    x, g, gamma = (rng.normal(size=s) for s in ((2, 3, 6), (2, 3, 6), (6,)))
    r = np.sqrt((x**2).mean(-1, keepdims=True) + 1e-5)

    def f(x, gamma):
        return F.rms_norm(x, (6,), gamma, 1e-5)

    close(gamma * x / r, f(torch.tensor(x), torch.tensor(gamma)))
    dx, dgamma = vjp(f, g, x, gamma)
    gt, x_hat = g * gamma, x / r
    close((gt - x_hat * (gt * x_hat).mean(-1, keepdims=True)) / r, dx)
    close((g * x_hat).sum(axis=(0, 1)), dgamma)


# ---- 注意力 ----

T, D = 5, 3
MASK = np.triu(np.full((T, T), -np.inf), k=1)


def attention_case():
    Q, K, V, G = rng.normal(size=(4, T, D))
    S = Q @ K.T / math.sqrt(D) + MASK
    A = np.exp(S - S.max(1, keepdims=True))
    A /= A.sum(1, keepdims=True)
    return Q, K, V, G, S, A


def sdpa(q, k, v):
    return F.scaled_dot_product_attention(q[None], k[None], v[None], is_causal=True)[0]


@verifies("eq-bp-attn-scores", "eq-bp-attn-weights", "eq-bp-attn-out",
          by="与 torch 的 scaled_dot_product_attention（因果）比较")  # fmt: skip
def test_attention_forward():
    Q, K, V, _, _, A = attention_case()
    close(A @ V, sdpa(*map(torch.tensor, (Q, K, V))))


@verifies("eq-bp-attn-dv", "eq-bp-attn-ds", "eq-bp-attn-dqk", "eq-bp-attn-delta",
          by="每个中间量与 torch.autograd 比较")  # fmt: skip
def test_attention_backward():
    Q, K, V, G, S, A = attention_case()
    dQ, dK, dV = vjp(sdpa, G, Q, K, V)
    close(A.T @ G, dV)
    dA = G @ V.T
    close(dA, vjp(lambda a: a @ torch.tensor(V), G, A)[0])
    delta = (dA * A).sum(1)
    dS = A * (dA - np.outer(delta, np.ones(T)))
    close(dS, vjp(lambda s: torch.softmax(s, 1) @ torch.tensor(V), G, S)[0])
    close(dS @ K / math.sqrt(D), dQ)
    close(dS.T @ Q / math.sqrt(D), dK)
    close((G * (A @ V)).sum(1), delta)


@verifies("eq-bp-attn-variance", by="SymPy：独立标准正态的点积的方差，由矩算出")
def test_attention_variance():
    from sympy.stats import Normal, variance

    q, k = Normal("q", 0, 1), Normal("k", 0, 1)
    one = variance(q * k)  # 每一项的方差；各项独立，方差相加
    d = sympy.symbols("d", positive=True)
    assert sympy.simplify(one - 1) == 0
    assert sympy.simplify(d * one / sympy.sqrt(d) ** 2 - 1) == 0


def multihead(X, WQ, WK, WV, WO):
    B, T, E = X.shape

    def heads(Z):
        return Z.reshape(B, T, 2, E // 2).transpose(1, 2)

    out = F.scaled_dot_product_attention(*(heads(X @ W.T) for W in (WQ, WK, WV)), is_causal=True)
    return out.transpose(1, 2).reshape(B, T, E) @ WO.T


@verifies("eq-bp-mha-forward", by="拼好的前向与 torch.nn.MultiheadAttention 比较")
def test_multihead_forward():
    X, W = rng.normal(size=(2, 3, 4)), rng.normal(size=(4, 4, 4))
    module = torch.nn.MultiheadAttention(4, 2, bias=False, batch_first=True, dtype=torch.float64)
    with torch.no_grad():
        module.in_proj_weight.copy_(torch.tensor(np.vstack(W[:3])))
        module.out_proj.weight.copy_(torch.tensor(W[3]))
    x, hidden = torch.tensor(X), torch.ones(3, 3).triu(1).bool()
    expected = module(x, x, x, attn_mask=hidden, need_weights=False)[0].detach()
    close(multihead(x, *map(torch.tensor, W)), expected)


@verifies("eq-bp-mha-backward", by="逐行照公式算出六个梯度，与 torch.autograd 比较")
def test_multihead_backward():
    X, W, G = rng.normal(size=(2, 3, 4)), rng.normal(size=(4, 4, 4)), rng.normal(size=(2, 3, 4))
    exact = vjp(multihead, G, X, *W)
    x, w = torch.tensor(X), [torch.tensor(v) for v in W]

    def heads(Z):
        return Z.reshape(2, 3, 2, 2).transpose(1, 2)

    def merge(Z):
        return Z.transpose(1, 2).reshape(2, 3, 4).numpy()

    qkv = [heads(x @ v.T).requires_grad_() for v in w[:3]]
    O_heads = F.scaled_dot_product_attention(*qkv, is_causal=True)
    out = merge(O_heads.detach())
    close(sum(G[b].T @ out[b] for b in range(2)), exact[4])
    O_heads.backward(heads(torch.tensor(G @ W[3])))
    dX = np.zeros_like(X)
    for t, v, expected in zip(qkv, W[:3], exact[1:4], strict=True):
        dZ = merge(t.grad)
        close(sum(dZ[b].T @ X[b] for b in range(2)), expected)
        dX += dZ @ v
    close(dX, exact[0])


# ---- 其余零件 ----


@verifies("eq-bp-embedding", by="与 torch.nn.functional.embedding 比较；与独热矩阵的乘法比较")
def test_embedding():
    W, G, ids = rng.normal(size=(4, 2)), rng.normal(size=(5, 2)), np.array([2, 0, 2, 3, 2])
    (exact,) = vjp(lambda w: F.embedding(torch.tensor(ids), w), G, W)
    by_row = [sum((G[i] for i in range(5) if ids[i] == v), np.zeros(2)) for v in range(4)]
    close(by_row, exact)
    P = np.eye(4)[ids]
    close(P @ W, W[ids])
    close(P.T @ G, exact)


@verifies("eq-bp-gelu", by="与 torch 的 gelu 及其反向比较；SymPy 求导")
def test_gelu():
    x = sympy.symbols("x", real=True)
    Phi = (1 + sympy.erf(x / sympy.sqrt(2))) / 2
    phi = sympy.exp(-(x**2) / 2) / sympy.sqrt(2 * sympy.pi)
    assert is_zero(sympy.diff(x * Phi, x) - (Phi + x * phi))
    points = rng.normal(size=8) * 2
    values = [float((x * Phi).subs(x, v)) for v in points]
    close(values, F.gelu(torch.tensor(points)))
    slopes = [float((Phi + x * phi).subs(x, v)) for v in points]
    close(slopes, vjp(F.gelu, np.ones(8), points)[0])


@verifies("eq-bp-gelu-tanh", "eq-bp-gelu-tanh-grad", by='与 torch 的 gelu(approximate="tanh") 比较')
def test_gelu_tanh():
    def f(t):
        return F.gelu(t, approximate="tanh")

    x = rng.normal(size=8) * 2
    c = math.sqrt(2 / math.pi)
    u = c * (x + 0.044715 * x**3)
    close(x / 2 * (1 + np.tanh(u)), f(torch.tensor(x)))
    slope = (1 + np.tanh(u)) / 2 + x / 2 * (1 - np.tanh(u) ** 2) * c * (1 + 3 * 0.044715 * x**2)
    close(slope, vjp(f, np.ones(8), x)[0])
    assert (f(torch.tensor(x)) - F.gelu(torch.tensor(x))).abs().max() < 1e-3


@verifies("eq-bp-dropout", by="掩码固定：与 torch.autograd 比较；期望由两种结果加权算出")
def test_dropout():
    x, g, p = rng.normal(size=(4, 5)), rng.normal(size=(4, 5)), 0.3
    mask = (rng.random((4, 5)) >= p).astype(float)
    (exact,) = vjp(lambda t: t * torch.tensor(mask) / (1 - p), g, x)
    close(g * mask / (1 - p), exact)
    close((1 - p) * (x / (1 - p)) + p * 0, x)


@verifies("eq-bp-conv-forward", "eq-bp-conv-backward", by="逐下标求和，与 torch.conv2d 比较")
def test_conv():
    x, k, b, g = (rng.normal(size=s) for s in ((5, 6), (2, 3), (1,), (4, 4)))

    def f(x, k, b):
        return F.conv2d(x[None, None], k[None, None], b)[0, 0]

    dx, dk, db = vjp(f, g, x, k, b)
    kernel, out = list(np.ndindex(2, 3)), list(np.ndindex(4, 4))
    y = np.array([sum(x[i + u, j + v] * k[u, v] for u, v in kernel) + b[0] for i, j in out])
    close(y.reshape(4, 4), f(*map(torch.tensor, (x, k, b))))
    close([sum(g[i, j] * x[i + u, j + v] for i, j in out) for u, v in kernel], dk.ravel())
    close(g.sum(), db[0])

    def padded(i, j):
        return g[i, j] if 0 <= i < 4 and 0 <= j < 4 else 0.0

    by_formula = [
        sum(padded(a - u, c - v) * k[u, v] for u, v in kernel) for a, c in np.ndindex(5, 6)
    ]
    close(by_formula, dx.ravel())


@verifies("eq-bp-pool", by="与 torch 的 max_pool2d、avg_pool2d 及反向比较")
def test_pool():
    x, g, k = rng.normal(size=(4, 6)), rng.normal(size=(2, 3)), 2
    blocks = x.reshape(2, k, 3, k).transpose(0, 2, 1, 3)  # 第 (i, j) 块是 blocks[i, j]
    upstream = g[:, :, None, None]
    winner = blocks == blocks.max(axis=(2, 3), keepdims=True)
    cases = [
        (F.max_pool2d, blocks.max(axis=(2, 3)), upstream * winner),
        (F.avg_pool2d, blocks.mean(axis=(2, 3)), upstream / k**2 * np.ones_like(blocks)),
    ]
    for pool, y, dx in cases:

        def f(t, pool=pool):
            return pool(t[None, None], k)[0, 0]

        close(y, f(torch.tensor(x)))
        close(dx.transpose(0, 2, 1, 3).reshape(4, 6), vjp(f, g, x)[0])


@verifies("eq-bp-residual", by="与 torch.autograd 比较，f 是一层 tanh")
def test_residual():
    x, g, W = rng.normal(size=4), rng.normal(size=4), rng.normal(size=(4, 4))

    def f(t):
        return torch.tanh(torch.tensor(W) @ t)

    (exact,) = vjp(lambda t: t + f(t), g, x)
    close(g + jacobian(f, x).T @ g, exact)
