"""第 11 章每个带标签的公式：与符号推导、数值微分或实际运行比较。"""

import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import sympy
import torch
from bookcheck.equations import definition, printed_latex, verifies

from dlbook.autograd.gradcheck import numerical_diff, numerical_gradient
from dlbook.optimize import gradient_descent

EXPECTED = Path(__file__).parents[2] / "book" / "_expected" / "11_gradient_descent.json"

X = sympy.symbols("x", real=True)
QUADRATIC = X**2 - X + 3
QUARTIC = X**4 - 2 * X**3 + 2
EXAMPLE = X**2 - 4 * X + 1


def printed(label):
    return printed_latex(EXPECTED, label)


def from_latex(text):
    """书里印的一元多项式，转成 SymPy 的式子；只认这一章用到的写法。"""
    text = re.sub(r"\^\{?(\d+)\}?", r"**\1", text).replace(" ", "")
    return sympy.sympify(re.sub(r"(\d|x|\))(?=x|\()", r"\1*", text), locals={"x": X})


def right_sides(label):
    """公式里每个等号右边的多项式。"""
    body = re.sub(r"\\(begin|end)\{aligned\}", "", printed(label))
    pieces = [side for line in body.split(r"\\") for side in line.split("=")[1:]]
    return [from_latex(piece.replace("&", "")) for piece in pieces]


definition("eq-gd-gradient", "记号：全部偏导数排成一列")
definition("eq-gd-quasiconvex", "拟凸函数的定义")


@verifies("eq-gd-convex", by="x²、x² − x + 3 上随机抽样都满足；x⁴ − 2x³ + 2 有反例；λ 的两端")
def test_convex():
    random = np.random.default_rng(0)
    x1, x2 = random.uniform(-2, 3, (2, 5000))
    lam = random.uniform(0, 1, 5000)
    counts = {}
    for name, expression in (("a", X**2), ("b", QUADRATIC), ("c", QUARTIC)):
        f = sympy.lambdify(X, expression)
        gap = lam * f(x1) + (1 - lam) * f(x2) - f(lam * x1 + (1 - lam) * x2)
        counts[name] = int(np.sum(gap < -1e-12))
        assert f(1 * 2.0 + 0 * 5.0) == f(2.0)
    assert counts["a"] == counts["b"] == 0
    assert counts["c"] > 100


@verifies("eq-gd-tangent", by="SymPy：凸的例子减去切线是完全平方；非凸的例子有切线在曲线上方")
def test_tangent():
    a, b = sympy.symbols("a b", real=True)
    gap = QUADRATIC.subs(X, a) - QUADRATIC.subs(X, b)
    gap -= sympy.diff(QUADRATIC, X).subs(X, b) * (a - b)
    assert sympy.expand(gap - (a - b) ** 2) == 0
    quartic_gap = QUARTIC.subs(X, 0) - QUARTIC.subs(X, sympy.Rational(1, 2))
    quartic_gap -= sympy.diff(QUARTIC, X).subs(X, sympy.Rational(1, 2)) * sympy.Rational(-1, 2)
    assert quartic_gap < 0


@verifies("eq-gd-second", by="凸的例子处处不小于零；x⁴ 严格凸而在 0 处等于零；非凸的例子有负值")
def test_second():
    assert r"\ge 0" in printed("eq-gd-second")
    assert sympy.diff(QUADRATIC, X, 2) == 2
    assert sympy.diff(X**4, X, 2).is_nonnegative
    assert sympy.diff(X**4, X, 2).subs(X, 0) == 0
    middle = lambda a, b: (a**4 + b**4) / 2 - ((a + b) / 2) ** 4  # noqa: E731
    assert all(middle(a, b) > 0 for a, b in ((0, 1), (-1, 1), (0.0, -0.3), (2, 3)))
    assert sympy.diff(QUARTIC, X, 2).subs(X, sympy.Rational(1, 2)) < 0


@verifies("eq-gd-quadratic", by="书里印的式子与本测试的式子相减为零；最低点在 1/2")
def test_quadratic():
    (expression,) = right_sides("eq-gd-quadratic")
    assert sympy.expand(expression - QUADRATIC) == 0
    assert sympy.solve(sympy.diff(expression, X)) == [sympy.Rational(1, 2)]


@verifies("eq-gd-quadratic-derivatives", by="书里印的式子与 SymPy 求导的结果相减为零")
def test_quadratic_derivatives():
    first, second = right_sides("eq-gd-quadratic-derivatives")
    assert sympy.expand(first - sympy.diff(QUADRATIC, X)) == 0
    assert sympy.expand(second - sympy.diff(QUADRATIC, X, 2)) == 0


@verifies(
    "eq-gd-quartic", by="书里印的每个等号右边与 SymPy 求导的结果相减为零；零点是 0、3/2 与 0、1"
)
def test_quartic():
    sides = right_sides("eq-gd-quartic")
    first, second = sympy.diff(QUARTIC, X), sympy.diff(QUARTIC, X, 2)
    expected = [QUARTIC, first, first, second, second]
    assert len(sides) == 5
    assert all(sympy.expand(s - e) == 0 for s, e in zip(sides, expected, strict=True))
    assert sympy.solve(first) == [0, sympy.Rational(3, 2)]
    assert sympy.solve(second) == [0, 1]
    # 源文的加号不是导数。
    assert sympy.expand(12 * X**2 + 12 * X - second) != 0


@verifies("eq-gd-hessian-test", by="SymPy：任意方向上展开到二阶，余项是 t 的三阶以上")
def test_hessian():
    u, v, p, q, t = sympy.symbols("u v p q t")
    f = u**2 - v**2 + u**3 * v + 2 * u * v**2 + v**4 + 5
    at = {u: 0, v: 0}
    assert [sympy.diff(f, s).subs(at) for s in (u, v)] == [0, 0]
    H = sympy.hessian(f, (u, v)).subs(at)
    direction = sympy.Matrix([p, q])
    predicted = f.subs(at) + t**2 / 2 * (direction.T * H * direction)[0]
    rest = sympy.expand(f.subs({u: t * p, v: t * q}, simultaneous=True) - predicted)
    assert sympy.limit(rest / t**2, t, 0) == 0


@verifies("eq-gd-partials", by="SymPy 求偏导；与 torch.autograd 比较")
def test_partials():
    a, b = sympy.symbols("a b")
    f = a**2 / 2 + b**2
    assert (sympy.diff(f, a), sympy.diff(f, b)) == (a, 2 * b)
    point = torch.tensor([3.0, -2.0], dtype=torch.float64, requires_grad=True)
    (point[0] ** 2 / 2 + point[1] ** 2).backward()
    assert point.grad.tolist() == [3.0, -4.0]


@verifies("eq-gd-gradient-at", by="数值梯度在 (10, 10) 处等于 (10, 20)")
def test_gradient_at():
    numeric = numerical_gradient(lambda p: p[0] ** 2 / 2 + p[1] ** 2, np.array([10.0, 10.0]))
    np.testing.assert_allclose(numeric, [10, 20], rtol=1e-8)


@verifies("eq-gd-update", by="gradient_descent 的每一步与公式、与 torch.optim.SGD 比较")
def test_update():
    steps, _ = gradient_descent(np.array([10.0, 10.0]), lambda p: p * [1.0, 2.0], 0.1, 5)
    point = torch.tensor([10.0, 10.0], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.SGD([point], lr=0.1)
    for before, after in pairwise(steps):
        np.testing.assert_allclose(after, before - 0.1 * before * [1.0, 2.0], rtol=1e-15)
        optimizer.zero_grad()
        (point[0] ** 2 / 2 + point[1] ** 2).backward()
        optimizer.step()
        np.testing.assert_allclose(point.detach().numpy(), after, rtol=1e-14)


@verifies("eq-gd-descent-lemma", by="泰勒余项处的 ξ 真的存在（数值求出）；三个函数上不等式成立")
def test_descent_lemma():
    cases = [(EXAMPLE, 2.0), (sympy.sin(3 * X), 9.0), (QUARTIC, 60.0)]
    for expression, bound in cases:
        f, slope, bend = (sympy.lambdify(X, sympy.diff(expression, X, k)) for k in (0, 1, 2))
        for x in (-0.9, -0.5, 0.3, 1.2, 2.0):
            for share in (0.1, 0.5, 0.9):
                eta = share * 2 / bound
                after = f(x - eta * slope(x))
                ceiling = f(x) - eta * (1 - eta * bound / 2) * slope(x) ** 2
                assert after <= ceiling + 1e-12
                if slope(x) == 0:
                    continue
                # 由等式解出 f''(ξ)，它应落在这一段上二阶导数的值域里。
                needed = (after - f(x) + eta * slope(x) ** 2) * 2 / (eta * slope(x)) ** 2
                segment = np.linspace(x - eta * slope(x), x, 2001)
                values = np.broadcast_to(bend(segment), segment.shape)
                assert values.min() - 1e-6 <= needed <= values.max() + 1e-6


@verifies("eq-gd-example", by="书里印的式子；SymPy 求得最低点 x = 2，值 −3")
def test_example():
    (expression,) = right_sides("eq-gd-example")
    assert sympy.expand(expression - EXAMPLE) == 0
    assert sympy.solve(sympy.diff(expression, X)) == [2]
    assert expression.subs(X, 2) == -3


@verifies("eq-gd-example-gradient", by="书里印的式子与 SymPy、数值微分比较")
def test_example_gradient():
    (slope,) = right_sides("eq-gd-example-gradient")
    assert sympy.expand(slope - sympy.diff(EXAMPLE, X)) == 0
    numeric = numerical_diff(sympy.lambdify(X, EXAMPLE), 9.0)
    assert numeric == pytest.approx(float(slope.subs(X, 9)))


@verifies("eq-gd-steps", by="书里印的四个数与程序走的四步比较，也与精确的有理数比较")
def test_steps():
    history, _ = gradient_descent(9, lambda x: 2 * x - 4, 0.1, 100)
    numbers = [9.0] + [float(n) for n in re.findall(r"\)\s*=\s*([\d.]+)", printed("eq-gd-steps"))]
    assert history[:4] == pytest.approx(numbers, rel=1e-14)
    exact = [sympy.Integer(9)]
    for _ in range(3):
        exact.append(exact[-1] - sympy.Rational(1, 10) * (2 * exact[-1] - 4))
    assert [float(e) for e in exact] == numbers


@verifies("eq-gd-contraction", by="SymPy 解递推；与 gradient_descent 走 20 步比较，含发散的学习率")
def test_contraction():
    eta, x = sympy.symbols("eta x")
    assert sympy.expand((x - eta * (2 * x - 4) - 2) - (1 - 2 * eta) * (x - 2)) == 0
    for rate in (0.1, 0.5, 0.8, 1.0, 1.05):
        steps, _ = gradient_descent(9.0, lambda x: 2 * x - 4, rate, 20, tol=0)
        predicted = 2 + (1 - 2 * rate) ** np.arange(21) * 7
        np.testing.assert_allclose(steps, predicted, rtol=1e-9, atol=1e-12)


@verifies("eq-gd-saddle-function", by="书里印的式子与式 eq-gd-quartic 相同")
def test_saddle_function():
    (expression,) = right_sides("eq-gd-saddle-function")
    assert sympy.expand(expression - QUARTIC) == 0
    assert expression.subs(X, sympy.Rational(3, 2)) == sympy.Rational(5, 16)


@verifies("eq-gd-saddle-rate", by="实际走一千、一万步，与预言之比趋于 1")
def test_saddle_rate():
    ratios = []
    for k in (1000, 10_000):
        for eta in (0.05, 0.1):
            _, end = gradient_descent(-0.5, lambda x: x * x * (4 * x - 6), eta, k, tol=0)
            ratios.append(end / (-1 / (6 * eta * k)))
    assert ratios[:2] == pytest.approx([1, 1], abs=0.03)
    assert ratios[2:] == pytest.approx([1, 1], abs=0.005)


@verifies("eq-gd-newton", by="牛顿法就是二阶泰勒多项式的驻点；鞍点附近每步减半，最低点附近平方收敛")
def test_newton():
    x, s = sympy.symbols("x s")
    f = sympy.Function("f")
    model = f(x) + f(x).diff(x) * s + f(x).diff(x, 2) * s**2 / 2
    assert sympy.solve(sympy.diff(model, s), s) == [-f(x).diff(x) / f(x).diff(x, 2)]
    step = X - sympy.diff(QUARTIC, X) / sympy.diff(QUARTIC, X, 2)
    assert sympy.limit(step / X, X, 0) == sympy.Rational(1, 2)
    center = sympy.Rational(3, 2)
    assert sympy.simplify(step.subs(X, center) - center) == 0
    assert sympy.diff(step, X).subs(X, center) == 0
