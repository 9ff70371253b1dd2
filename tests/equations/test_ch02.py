"""第 2 章每个带标签的公式：与符号推导、数值微分或 PyTorch 比较。"""

import math
import re
from decimal import Decimal, getcontext
from pathlib import Path

import numpy as np
import sympy
import torch
from bookcheck.equations import definition, printed_latex, verifies

from dlbook.autograd.gradcheck import numerical_diff, numerical_gradient
from dlbook.autograd.scalar import Value
from dlbook.backprop import mse_loss, mse_loss_backward
from dlbook.data.toy import toy_line
from dlbook.models.linear_regression import fit, gradient, hessian, least_squares, predict

EXPECTED = Path(__file__).parents[2] / "book" / "_expected" / "02_linear_regression.json"

# 四个样本，全用符号：验证的是公式本身，不是某一组数。
N = 4
W, b, eta = sympy.symbols("W b eta")
X = sympy.symbols(f"x:{N}")
Y = sympy.symbols(f"y:{N}")
RESIDUALS = [W * xi + b - yi for xi, yi in zip(X, Y, strict=True)]
LOSS = sum(e**2 for e in RESIDUALS) / sympy.Integer(N)
THETA = sympy.Matrix([W, b])
ROWS = [sympy.Matrix([xi, 1]) for xi in X]


def is_zero(expression):
    return sympy.simplify(sympy.expand(expression)) == 0


def printed_numbers(label):
    """书里这个公式印出来的小数，按先后次序。"""
    latex = printed_latex(EXPECTED, label)
    return [float(n) for n in re.findall(r"(?<![\w.])\d+\.\d+", latex)]


definition("eq-linear-model", "模型的形式：预测是输入的一次函数")
definition("eq-gradient", "记号：两个偏导数排成一列，叫梯度")


@verifies("eq-mse", by="与 torch.nn.functional.mse_loss、与逐项求和比较")
def test_mse():
    x, y = toy_line()
    y_pred = predict(x, 2.0, 5.0)
    ours, _ = mse_loss(y_pred, y)
    theirs = torch.nn.functional.mse_loss(torch.tensor(y_pred), torch.tensor(y))
    assert math.isclose(ours, theirs.item(), rel_tol=1e-14)
    total = sum((2.0 * xi + 5.0 - yi) ** 2 for xi, yi in zip(x[:, 0], y[:, 0], strict=True))
    assert math.isclose(ours, total / len(x), rel_tol=1e-13)


@verifies("eq-grad-w", by="SymPy 对 N = 4 的损失求导，逐步相减为零；与 torch.autograd 比较")
def test_grad_w():
    terms = sum(sympy.diff(e**2, W) for e in RESIDUALS) / N
    expanded = sum(2 * e * xi for e, xi in zip(RESIDUALS, X, strict=True)) / N
    final = sympy.Rational(2, N) * sum(e * xi for e, xi in zip(RESIDUALS, X, strict=True))
    for step in (terms, expanded, final):
        assert is_zero(sympy.diff(LOSS, W) - step)
    assert math.isclose(gradient(*toy_line(), 0.3, -0.7)[0], torch_gradient(0.3, -0.7)[0])


@verifies("eq-grad-b", by="SymPy 对 N = 4 的损失求导，逐步相减为零；与 torch.autograd 比较")
def test_grad_b():
    terms = sum(sympy.diff(e**2, b) for e in RESIDUALS) / N
    final = sympy.Rational(2, N) * sum(RESIDUALS)
    for step in (terms, final):
        assert is_zero(sympy.diff(LOSS, b) - step)
    assert math.isclose(gradient(*toy_line(), 0.3, -0.7)[1], torch_gradient(0.3, -0.7)[1])


def torch_gradient(W, b):
    x, y = map(torch.tensor, toy_line())
    theta = torch.tensor([W, b], dtype=torch.float64, requires_grad=True)
    torch.nn.functional.mse_loss(theta[0] * x + theta[1], y).backward()
    return theta.grad.tolist()


@verifies("eq-grad-both", by="数值微分，以及经由 mse_loss_backward 的链式法则")
def test_grad_both():
    x, y = toy_line()
    for W0, b0 in ((0.0, 0.0), (1.0, -2.0), (2.1, 5.4)):
        dW, db = gradient(x, y, W0, b0)
        numeric = numerical_gradient(lambda t: mse_loss(predict(x, *t), y)[0], np.array([W0, b0]))
        np.testing.assert_allclose((dW, db), numeric, rtol=1e-7)
        _, cache = mse_loss(predict(x, W0, b0), y)
        dy = mse_loss_backward(1.0, cache)
        assert math.isclose(dW, np.sum(dy * x), rel_tol=1e-12)
        assert math.isclose(db, np.sum(dy), rel_tol=1e-12)


@verifies("eq-update", by="与 torch.optim.SGD 走三步比较")
def test_update():
    x, y = toy_line()
    theta = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.SGD([theta], lr=0.1)
    history = fit(x, y, lr=0.1, steps=3)
    for k in (1, 2, 3):
        optimizer.zero_grad()
        y_pred = theta[0] * torch.tensor(x) + theta[1]
        torch.nn.functional.mse_loss(y_pred, torch.tensor(y)).backward()
        optimizer.step()
        np.testing.assert_allclose(theta.tolist(), (history.W[k], history.b[k]), rtol=1e-13)


@verifies("eq-result-100", by="重新训练 100 步，与书里印的数逐位比较")
def test_result_100():
    history = fit(*toy_line(), lr=0.1, steps=100)
    assert printed_numbers("eq-result-100") == [history.W[-1], history.b[-1]]
    assert printed_numbers("eq-result-100") == [2.118073690511974, 5.466089050922982]


@verifies("eq-hessian", by="SymPy 求全部二阶偏导数，与两种写法相减为零；与 hessian() 比较")
def test_hessian():
    exact = sympy.hessian(LOSS, (W, b))
    entries = sum((sympy.Matrix([[xi**2, xi], [xi, 1]]) for xi in X), sympy.zeros(2, 2))
    outer = sum((row * row.T for row in ROWS), sympy.zeros(2, 2))
    for form in (entries, outer):
        assert (sympy.Rational(2, N) * form - exact).expand() == sympy.zeros(2, 2)
    x, _ = toy_line(N)
    values = dict(zip(X, x[:, 0], strict=True))
    np.testing.assert_allclose(hessian(x), np.array(exact.subs(values), dtype=float), rtol=1e-14)


@verifies("eq-quadratic-form", by="SymPy 展开相减为零；随机方向上非负，x 全相等时可为零")
def test_quadratic_form():
    p, q = sympy.symbols("p q")
    v = sympy.Matrix([p, q])
    left = (v.T * sympy.hessian(LOSS, (W, b)) * v)[0]
    assert is_zero(left - sympy.Rational(2, N) * sum((row.T * v)[0] ** 2 for row in ROWS))
    assert is_zero(left - sympy.Rational(2, N) * sum((p * xi + q) ** 2 for xi in X))
    H, flat = hessian(toy_line()[0]), hessian(np.full((100, 1), 0.5))
    directions = np.random.default_rng(0).normal(size=(1000, 2))
    assert (np.einsum("ni,ij,nj->n", directions, H, directions) > 0).all()
    valley = np.array([1.0, -0.5])  # p x + q = 0
    assert abs(valley @ flat @ valley) < 1e-15


@verifies("eq-quadratic-expansion", by="SymPy：两边相减恒为零（二次函数的泰勒展开没有余项）")
def test_quadratic_expansion():
    delta = sympy.Matrix(sympy.symbols("d0 d1"))
    moved = LOSS.subs({W: W + delta[0], b: b + delta[1]}, simultaneous=True)
    grad = sympy.Matrix([sympy.diff(LOSS, W), sympy.diff(LOSS, b)])
    H = sympy.hessian(LOSS, (W, b))
    assert is_zero(moved - LOSS - (grad.T * delta)[0] - (delta.T * H * delta)[0] / 2)


@verifies("eq-directional", by="SymPy 求差商的极限，与内积相减为零")
def test_directional():
    t, u0, u1 = sympy.symbols("t u0 u1")
    moved = LOSS.subs({W: W + t * u0, b: b + t * u1}, simultaneous=True)
    quotient = sympy.cancel(sympy.expand(moved - LOSS) / t)
    inner = sympy.diff(LOSS, W) * u0 + sympy.diff(LOSS, b) * u1
    assert is_zero(quotient.subs(t, 0) - inner)


@verifies("eq-steepest", by="一万个随机单位方向都在两端之间，负梯度方向取到下界")
def test_steepest():
    g = np.array(gradient(*toy_line(), 0.0, 0.0))
    u = np.random.default_rng(0).normal(size=(10_000, 2))
    u /= np.linalg.norm(u, axis=1, keepdims=True)
    length = np.linalg.norm(g)
    assert (np.abs(u @ g) <= length * (1 + 1e-15)).all()
    assert math.isclose(g @ (-g / length), -length, rel_tol=1e-15)
    # 只有负梯度方向取到下界：夹角越大，离下界越远。
    away = np.linalg.norm(u + g / length, axis=1)
    np.testing.assert_allclose(u @ g + length, length * away**2 / 2, atol=1e-12)


@verifies("eq-error-recursion", by="SymPy：任意一步更新之后的误差与右边相减为零")
def test_error_recursion():
    # 最低点由正规方程给出；代入四个具体的横、纵坐标，W、b、η 仍是符号。
    values = dict(zip(X, (0, 1, 2, 5), strict=True)) | dict(zip(Y, (1, 3, 4, 4), strict=True))
    loss = LOSS.subs(values)
    grad = sympy.Matrix([sympy.diff(loss, W), sympy.diff(loss, b)])
    best = sympy.Matrix([W, b]).subs(sympy.solve(list(grad), [W, b]))
    H = sympy.hessian(loss, (W, b))
    assert (grad - H * (THETA - best)).expand() == sympy.zeros(2, 1)
    after = THETA - eta * grad - best
    assert (after - (sympy.eye(2) - eta * H) * (THETA - best)).expand() == sympy.zeros(2, 1)


@verifies("eq-rate", by="训练 100 步，投影到主轴，与公式比较（三种学习率）")
def test_rate():
    x, y = toy_line()
    lam, axes = np.linalg.eigh(hessian(x))
    for lr in (0.05, 0.1, 0.7):
        run = fit(x, y, lr=lr, steps=100)
        c = (np.stack([run.W, run.b], axis=1) - least_squares(x, y)) @ axes
        predicted = (1 - lr * lam) ** np.arange(101)[:, None] * c[0]
        np.testing.assert_allclose(c, predicted, rtol=1e-9, atol=1e-13)


@verifies("eq-step-bound", by="界内千分之一收敛、界外千分之一发散；等于界时不增不减")
def test_step_bound():
    x, y = toy_line()
    bound = 2 / np.linalg.eigvalsh(hessian(x))[1]
    floor = mse_loss(predict(x, *least_squares(x, y)), y)[0]
    below, at, above = (
        fit(x, y, lr=bound * factor, steps=4000).loss - floor for factor in (0.999, 1, 1.001)
    )
    assert below[-1] < 1e-2 * below[1000]
    assert above[-1] > 1e2 * above[1000]
    assert math.isclose(at[-1], at[1000], rel_tol=1e-6)


@verifies("eq-loss-rate", by="训练 100 步，每一步的损失与公式比较")
def test_loss_rate():
    x, y = toy_line()
    lam, axes = np.linalg.eigh(hessian(x))
    best = least_squares(x, y)
    run = fit(x, y, lr=0.1, steps=100)
    c0 = (np.array([0.0, 0.0]) - best) @ axes
    k = np.arange(101)[:, None]
    predicted = 0.5 * np.sum(lam * (1 - 0.1 * lam) ** (2 * k) * c0**2, axis=1)
    floor = mse_loss(predict(x, *best), y)[0]
    np.testing.assert_allclose(run.loss - floor, predicted, rtol=1e-10)


@verifies("eq-best-step", by="在学习率的细网格上，最坏的比例在公式给出的地方最小，值为 ρ")
def test_best_step():
    low, high = np.linalg.eigvalsh(hessian(toy_line()[0]))
    lrs = np.linspace(0.001, 0.8, 80_000)
    worst = np.maximum(abs(1 - lrs * low), abs(1 - lrs * high))
    kappa = high / low
    assert abs(lrs[worst.argmin()] - 2 / (low + high)) < 1e-5
    assert math.isclose(worst.min(), (kappa - 1) / (kappa + 1), rel_tol=1e-4)


@verifies("eq-least-squares", by="SymPy 解“梯度等于零”；与 numpy.linalg.lstsq 比较")
def test_least_squares():
    mean_x, mean_y = sum(X) / sympy.Integer(N), sum(Y) / sympy.Integer(N)
    slope = sum((xi - mean_x) * (yi - mean_y) for xi, yi in zip(X, Y, strict=True)) / sum(
        (xi - mean_x) ** 2 for xi in X
    )
    solution = sympy.solve([sympy.diff(LOSS, W), sympy.diff(LOSS, b)], [W, b])
    assert is_zero(solution[W] - slope)
    assert is_zero(solution[b] - (mean_y - slope * mean_x))
    x, y = toy_line()
    rows = np.hstack([x, np.ones_like(x)])
    expected, *_ = np.linalg.lstsq(rows, y, rcond=None)
    np.testing.assert_allclose(least_squares(x, y), expected[:, 0], rtol=1e-12)


definition("eq-derivative", "导数的定义")


@verifies("eq-central-difference", by="SymPy：对五种函数，h 趋于 0 的极限等于导数")
def test_central_difference():
    t, h = sympy.symbols("t h")
    for f in (t**2, t**3 - t, sympy.exp(t), sympy.sin(t), sympy.exp(t**2) ** 2):
        quotient = (f.subs(t, t + h) - f.subs(t, t - h)) / (2 * h)
        assert is_zero(sympy.limit(quotient, h, 0) - sympy.diff(f, t))


@verifies("eq-composite", by="SymPy 求导得 4x·exp(2x²)，与数值微分、反向传播比较")
def test_composite():
    t = sympy.symbols("t")
    y = sympy.exp(t**2) ** 2
    assert is_zero(sympy.diff(y, t) - 4 * t * sympy.exp(2 * t**2))
    exact = float(sympy.diff(y, t).subs(t, 0.5))
    v = Value(0.5)
    ((v**2).exp() ** 2).backward()
    assert math.isclose(v.grad, exact, rel_tol=1e-15)
    assert math.isclose(numerical_diff(lambda x: math.exp(x**2) ** 2, 0.5), exact, rel_tol=1e-7)


@verifies("eq-truncation", by="SymPy 对任意函数作级数展开，比较各阶系数")
def test_truncation():
    t, h = sympy.symbols("t h")
    f = sympy.Function("f")

    def series(shift):
        return sum(sympy.diff(f(t), t, k) * shift**k / sympy.factorial(k) for k in range(6))

    forward = sympy.expand((series(h) - f(t)) / h)
    central = sympy.expand((series(h) - series(-h)) / (2 * h))
    d1, d2, d3 = (sympy.diff(f(t), t, k) for k in (1, 2, 3))
    assert [forward.coeff(h, k) for k in (0, 1)] == [d1, d2 / 2]
    assert [central.coeff(h, k) for k in (0, 1, 2, 3)] == [d1, 0, d3 / 6, 0]
    # 阶数也量一遍：h 缩到一半，误差约缩到 1/2 与 1/4。
    error = lambda h: abs(math.e - numerical_diff(math.exp, 1.0, h))  # noqa: E731
    assert abs(error(0.02) / error(0.01) - 4) < 0.01


@verifies("eq-best-h", by="SymPy 对总误差求导；高精度算出的误差曲线，实测谷底在估计的 h 附近")
def test_best_h():
    h, u, f0, f2, f3 = sympy.symbols("h u f0 f2 f3", positive=True)
    forward = f2 / 2 * h + 2 * u * f0 / h
    central = f3 / 6 * h**2 + u * f0 / h
    for total, best in (
        (forward, 2 * sympy.sqrt(u * f0 / f2)),
        (central, sympy.cbrt(3 * u * f0 / f3)),
    ):
        assert is_zero(sympy.diff(total, h).subs(h, best))
        assert sympy.diff(total, h, 2).is_positive
    # 舍入忽大忽小，取一小段 h 的中位数再找谷底；它与估计相差应不到三倍。
    f, exact = (lambda x: math.exp(x**2) ** 2), 2 * math.sqrt(math.e)
    centers = 10.0 ** np.arange(-9, -3, 0.1)
    wobble = np.linspace(0.9, 1.1, 41)
    errors = [
        np.median([abs(numerical_diff(f, 0.5, c * w) - exact) for w in wobble]) for c in centers
    ]
    estimate = (3 * 2.0**-53 / 32) ** (1 / 3)
    assert 1 / 3 < centers[int(np.argmin(errors))] / estimate < 3


@verifies("eq-forward-trace", by="按式逐步计算，与书里印的数逐位比较")
def test_forward_trace():
    v0 = 0.5
    v1 = v0**2
    v2 = math.exp(v1)
    v3 = v2**2
    assert printed_numbers("eq-forward-trace") == [v0, v0, v1, v2, v3]


@verifies("eq-backward-trace", by="按式连乘，与书里印的数逐位比较；与五十位的精确值 2√e 比较")
def test_backward_trace():
    v2 = math.exp(0.25)
    product = 1 * (2 * v2) * v2 * (2 * 0.5) * 1
    assert printed_numbers("eq-backward-trace") == [v2, 0.25, 0.5, product]
    getcontext().prec = 50
    exact = 2 * Decimal(1).exp().sqrt()
    assert abs(Decimal(product) - exact) <= Decimal(math.ulp(product))


@verifies("eq-multi-path", by="SymPy：取 u₁ = a²、u₂ = eᵃ，直接求导与按路求和相减为零")
def test_multi_path():
    a, u1, u2 = sympy.symbols("a u1 u2")
    y = u1 * u2 + sympy.sin(u1)
    inner = {u1: a**2, u2: sympy.exp(a)}
    paths = sum(sympy.diff(y, u).subs(inner) * sympy.diff(inner[u], a) for u in (u1, u2))
    assert is_zero(sympy.diff(y.subs(inner), a) - paths)
