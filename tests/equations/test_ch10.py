"""第 10 章每个带标签的公式：与符号推导、数值微分、NumPy 或模拟比较。"""

import numpy as np
import pytest
import sympy
from bookcheck.equations import definition, verifies

from dlbook.autograd.gradcheck import numerical_gradient
from dlbook.models import linear_regression
from dlbook.models.least_squares import gradient, powers, rms, solve_normal, solve_qr, with_ones

# 四个样本，全用符号：验证的是公式本身，不是某一组数。
N = 4
p0, p1 = sympy.symbols("phi0 phi1")
X = sympy.symbols(f"x:{N}")
Y = sympy.symbols(f"y:{N}")
LINE_LOSS = sum((p0 + p1 * xi - yi) ** 2 for xi, yi in zip(X, Y, strict=True))
NORMAL = sympy.Matrix([[N, sum(X)], [sum(X), sum(xi**2 for xi in X)]])
RIGHT = sympy.Matrix([sum(Y), sum(xi * yi for xi, yi in zip(X, Y, strict=True))])

# 四辆车：手算的那一组数。
AGE, PRICE = np.array([1.0, 2, 3, 4]), np.array([14.0, 11, 10, 7])
HAND = np.array([16.0, -2.2])


def is_zero(expression):
    return sympy.simplify(sympy.expand(expression)) == 0


def table():
    """20 个样本、3 个特征；参数取在最低点之外。"""
    random = np.random.default_rng(0)
    features = random.normal(size=(20, 3))
    return features, random.normal(size=20), np.array([0.5, -1.0, 2.0, 0.25])


def multi_loss(features, y, phi):
    """照 eq-sl-multi-loss 逐项写出，不用矩阵。"""
    total = 0.0
    for row, target in zip(features, y, strict=True):
        total += (
            phi[0] + sum(p * value for p, value in zip(phi[1:], row, strict=True)) - target
        ) ** 2
    return total


definition("eq-sl-model", "记号：模型是由输入到输出的函数")
definition("eq-sl-model-params", "记号：把参数显式写进模型")
definition("eq-sl-argmin", "训练的定义：取使损失最小的参数")
definition("eq-sl-line", "模型的形式：一维的一次函数")
definition("eq-sl-multi-loss", "多元线性回归损失的定义；下面各式都与它的逐项写法比较")
definition("eq-sl-params-vector", "记号：参数排成一列")
definition("eq-sl-target-vector", "记号：N 个目标排成一列")
definition("eq-sl-error", "误差函数的定义")
definition("eq-sl-ridge", "正则化的误差函数的定义")


@verifies("eq-sl-sum-squares", by="四辆车手算；等于第 2 章均方误差的 N 倍")
def test_sum_squares():
    for phi, expected in (((12, -1), 12.0), ((6, 2), 90.0), ((16, -2.2), 0.8)):
        assert np.sum((phi[0] + phi[1] * AGE - PRICE) ** 2) == pytest.approx(expected)
        mean = np.mean((linear_regression.predict(AGE, phi[1], phi[0]) - PRICE) ** 2)
        assert 4 * mean == pytest.approx(expected)


@verifies("eq-sl-ls-argmin", by="四辆车：周围随机的一千组参数，损失都不小于 lstsq 的解")
def test_argmin():
    best = np.linalg.lstsq(with_ones(AGE), PRICE)[0]
    np.testing.assert_allclose(best, HAND, rtol=1e-12)
    offsets = np.random.default_rng(0).normal(size=(1000, 2))
    losses = ((best + offsets) @ with_ones(AGE).T - PRICE) ** 2
    assert losses.sum(axis=1).min() > 0.8


@verifies("eq-sl-line-loss", by="SymPy 展开，与逐项的平方和相减为零")
def test_line_loss():
    matrix = sympy.Matrix([[1, xi] for xi in X]) * sympy.Matrix([p0, p1]) - sympy.Matrix(Y)
    assert is_zero(LINE_LOSS - (matrix.T * matrix)[0])


@verifies("eq-sl-dphi0", by="SymPy 对 N = 4 的损失求导，逐步相减为零")
def test_dphi0():
    exact = sympy.diff(LINE_LOSS, p0)
    residuals = [p0 + p1 * xi - yi for xi, yi in zip(X, Y, strict=True)]
    steps = [
        sum(sympy.diff(e**2, p0) for e in residuals),
        sum(2 * e * sympy.diff(e, p0) for e in residuals),
        sum(2 * e for e in residuals),
        2 * N * p0 + 2 * sum(X) * p1 - 2 * sum(Y),
    ]
    assert all(is_zero(exact - step) for step in steps)


@verifies("eq-sl-dphi1", by="SymPy 对 N = 4 的损失求导，逐步相减为零")
def test_dphi1():
    exact = sympy.diff(LINE_LOSS, p1)
    residuals = [p0 + p1 * xi - yi for xi, yi in zip(X, Y, strict=True)]
    steps = [
        sum(sympy.diff(e**2, p1) for e in residuals),
        sum(2 * e * sympy.diff(e, p1) for e in residuals),
        sum(2 * e * xi for e, xi in zip(residuals, X, strict=True)),
        2 * sum(X) * p0 + 2 * NORMAL[1, 1] * p1 - 2 * RIGHT[1],
    ]
    assert all(is_zero(exact - step) for step in steps)


@verifies("eq-sl-normal-0", by="SymPy：两边之差的 2 倍就是对 φ0 的偏导数")
def test_normal_0():
    assert is_zero(2 * (N * p0 + sum(X) * p1 - sum(Y)) - sympy.diff(LINE_LOSS, p0))


@verifies("eq-sl-normal-1", by="SymPy：两边之差的 2 倍就是对 φ1 的偏导数")
def test_normal_1():
    left = sum(X) * p0 + NORMAL[1, 1] * p1
    assert is_zero(2 * (left - RIGHT[1]) - sympy.diff(LINE_LOSS, p1))


@verifies("eq-sl-first-order", by="四辆车：手算的解处两个数值偏导数都是零")
def test_first_order():
    numeric = numerical_gradient(lambda p: np.sum((with_ones(AGE) @ p - PRICE) ** 2), HAND)
    np.testing.assert_allclose(numeric, 0, atol=1e-8)


@verifies("eq-sl-normal-system", by="SymPy 解方程组，与令两个偏导数为零的解相同；四辆车得手算的数")
def test_normal_system():
    equations = [
        sympy.Eq(N * p0 + sum(X) * p1, sum(Y)),
        sympy.Eq(sum(X) * p0 + NORMAL[1, 1] * p1, RIGHT[1]),
    ]
    direct = sympy.solve([sympy.diff(LINE_LOSS, p) for p in (p0, p1)], [p0, p1])
    solved = sympy.solve(equations, [p0, p1])
    assert all(is_zero(solved[p] - direct[p]) for p in (p0, p1))
    values = dict(zip((*X, *Y), (1, 2, 3, 4, 14, 11, 10, 7), strict=True))
    assert [solved[p].subs(values) for p in (p0, p1)] == [16, sympy.Rational(-11, 5)]


@verifies("eq-sl-normal-matrix", by="SymPy：矩阵乘开，逐行就是方程组")
def test_normal_matrix():
    rows = NORMAL * sympy.Matrix([p0, p1]) - RIGHT
    assert is_zero(2 * rows[0] - sympy.diff(LINE_LOSS, p0))
    assert is_zero(2 * rows[1] - sympy.diff(LINE_LOSS, p1))


@verifies("eq-sl-inverse", by="随机可逆矩阵；不可逆时 NumPy 报错")
def test_inverse():
    random = np.random.default_rng(0)
    A, b = random.normal(size=(4, 4)), random.normal(size=4)
    np.testing.assert_allclose(np.linalg.inv(A) @ (A @ b), b, rtol=1e-10)
    with pytest.raises(np.linalg.LinAlgError):
        np.linalg.inv(np.ones((2, 2)))


@verifies(
    "eq-sl-closed-form", by="SymPy 求逆；与第 2 章的公式、与 lstsq 比较；x 全相等时行列式为零"
)
def test_closed_form():
    values = dict(zip((*X, *Y), (1, 2, 3, 4, 14, 11, 10, 7), strict=True))
    solution = (NORMAL.inv() * RIGHT).subs(values)
    assert list(solution) == [16, sympy.Rational(-11, 5)]
    slope, intercept = linear_regression.least_squares(AGE, PRICE)
    np.testing.assert_allclose(np.array(solution, dtype=float).ravel(), [intercept, slope])
    assert NORMAL.subs(dict.fromkeys(X, 3)).det() == 0
    assert NORMAL.subs(values).det() == 20


@verifies("eq-sl-convex", by="SymPy：黑塞矩阵是系数矩阵的 2 倍，二次型展开相减为零")
def test_convex():
    a, b = sympy.symbols("p q")
    v = sympy.Matrix([a, b])
    assert (sympy.hessian(LINE_LOSS, (p0, p1)) - 2 * NORMAL).expand() == sympy.zeros(2, 2)
    assert is_zero((v.T * 2 * NORMAL * v)[0] - 2 * sum((a + b * xi) ** 2 for xi in X))


@verifies("eq-sl-multi-partials", by="逐行的公式与数值微分比较")
def test_multi_partials():
    features, y, phi = table()
    numeric = numerical_gradient(lambda p: multi_loss(features, y, p), phi)
    e = np.array([phi[0] + row @ phi[1:] - t for row, t in zip(features, y, strict=True)])
    lines = [2 * np.sum(e * 1)] + [2 * np.sum(e * features[:, j]) for j in range(3)]
    np.testing.assert_allclose(lines, numeric, rtol=1e-7)


@verifies("eq-sl-design-matrix", by="形状与各列：第 0 列全 1，第 j 列是特征 j")
def test_design_matrix():
    features, _, _ = table()
    X = with_ones(features)
    assert X.shape == (20, 4)
    np.testing.assert_array_equal(X[:, 0], 1)
    np.testing.assert_array_equal(X[:, 2], features[:, 1])


@verifies("eq-sl-prediction-vector", by="矩阵乘法与逐个样本的和比较")
def test_prediction_vector():
    features, _, phi = table()
    rows = [phi[0] + sum(phi[j + 1] * row[j] for j in range(3)) for row in features]
    np.testing.assert_allclose(with_ones(features) @ phi, rows, rtol=1e-13)


@verifies("eq-sl-residual-vector", by="残差的平方和就是逐项写出的损失")
def test_residual_vector():
    features, y, phi = table()
    e = with_ones(features) @ phi - y
    assert e @ e == pytest.approx(multi_loss(features, y, phi), rel=1e-13)


@verifies("eq-sl-column-product", by="对 φ2 的数值偏导数，与残差和第 2 列的内积的 2 倍比较")
def test_column_product():
    features, y, phi = table()
    X = with_ones(features)
    numeric = numerical_gradient(lambda p: multi_loss(features, y, p), phi)[2]
    e = X @ phi - y
    assert 2 * e @ X[:, 2] == pytest.approx(numeric, rel=1e-7)
    assert 2 * X[:, 2] @ e == pytest.approx(numeric, rel=1e-7)
    # 源文的两种误读都对不上：从 1 数起的第 2 列、漏了系数 2。
    assert abs(2 * e @ X[:, 1] - numeric) > 1
    assert abs(e @ X[:, 2] - numeric) > 1


@verifies("eq-sl-gradient-matrix", by="2 Xᵀe 与逐项损失的数值微分比较")
def test_gradient_matrix():
    features, y, phi = table()
    X = with_ones(features)
    numeric = numerical_gradient(lambda p: multi_loss(features, y, p), phi)
    np.testing.assert_allclose(2 * X.T @ (X @ phi - y), numeric, rtol=1e-7)


@verifies("eq-sl-gradient", by="gradient() 与逐项损失的数值微分比较")
def test_gradient():
    features, y, phi = table()
    numeric = numerical_gradient(lambda p: multi_loss(features, y, p), phi)
    np.testing.assert_allclose(gradient(with_ones(features), y, phi), numeric, rtol=1e-7)


@verifies("eq-sl-gradient-zero", by="lstsq 的解处梯度为零向量")
def test_gradient_zero():
    features, y, _ = table()
    X = with_ones(features)
    np.testing.assert_allclose(gradient(X, y, np.linalg.lstsq(X, y)[0]), np.zeros(4), atol=1e-12)


@verifies("eq-sl-normal-equations", by="与 lstsq 比较；D = 1 时就是二元方程组的解")
def test_normal_equations():
    features, y, _ = table()
    X = with_ones(features)
    expected = np.linalg.lstsq(X, y)[0]
    np.testing.assert_allclose(X.T @ X @ expected, X.T @ y, rtol=1e-11)
    np.testing.assert_allclose(np.linalg.inv(X.T @ X) @ X.T @ y, expected, rtol=1e-11)
    np.testing.assert_allclose(solve_normal(X, y), expected, rtol=1e-11)
    np.testing.assert_allclose(solve_normal(with_ones(AGE), PRICE), HAND, rtol=1e-12)


@verifies("eq-sl-qr", by="Q 的列正交、R 上三角；解与 lstsq 比较")
def test_qr():
    features, y, _ = table()
    X = with_ones(features)
    Q, R = np.linalg.qr(X)
    np.testing.assert_allclose(Q.T @ Q, np.eye(4), atol=1e-14)
    np.testing.assert_array_equal(np.tril(R, -1), 0)
    np.testing.assert_allclose(X.T @ X, R.T @ Q.T @ Q @ R, atol=1e-12)
    phi = solve_qr(X, y)
    np.testing.assert_allclose(R @ phi, Q.T @ y, rtol=1e-11)
    np.testing.assert_allclose(phi, np.linalg.lstsq(X, y)[0], rtol=1e-11)


@verifies("eq-sl-polynomial", by="逐项求和、范德蒙德矩阵与 np.polyval 三者相同；对 w 是线性的")
def test_polynomial():
    x, w = np.linspace(-1, 1, 9), np.array([0.5, -2.0, 3.0, 1.5])
    terms = sum(w[j] * x**j for j in range(4))
    np.testing.assert_allclose(powers(x, 3) @ w, terms, rtol=1e-13)
    np.testing.assert_allclose(np.vander(x, 4, increasing=True) @ w, terms, rtol=1e-13)
    np.testing.assert_allclose(np.polyval(w[::-1], x), terms, rtol=1e-12)
    v = np.array([1.0, 1.0, -1.0, 2.0])
    np.testing.assert_allclose(
        powers(x, 3) @ (2 * w - v), 2 * powers(x, 3) @ w - powers(x, 3) @ v, rtol=1e-12
    )


@verifies("eq-sl-rms", by="rms() 等于 sqrt(2E/N)")
def test_rms():
    features, y, phi = table()
    X = with_ones(features)
    half = 0.5 * sum((X @ phi - y) ** 2)
    assert rms(X, y, phi) == pytest.approx(np.sqrt(2 * half / 20), rel=1e-13)


@verifies("eq-sl-ridge-normal", by="正则化误差的数值梯度；与接了假数据的 QR 解比较")
def test_ridge_normal():
    features, y, phi = table()
    X, lam = with_ones(features), 0.3

    def penalised(w):
        return 0.5 * np.sum((X @ w - y) ** 2) + 0.5 * lam * w @ w

    numeric = numerical_gradient(penalised, phi)
    np.testing.assert_allclose(X.T @ (X @ phi - y) + lam * phi, numeric, rtol=1e-6)
    solution = np.linalg.solve(X.T @ X + lam * np.eye(4), X.T @ y)
    np.testing.assert_allclose(numerical_gradient(penalised, solution), 0, atol=1e-8)
    np.testing.assert_allclose(solve_qr(X, y, lam), solution, rtol=1e-11)


@verifies("eq-sl-best-predictor", by="任取均值为 0 的离散噪声，逐项求和（精确），两边之差为零")
def test_best_predictor():
    f, x = sympy.symbols("f x")
    noise = [sympy.Rational(k) for k in (-2, -1, 1, 4)]
    weight = [sympy.Rational(k, 20) for k in (4, 8, 4, 3)] + [sympy.Rational(1, 20)]
    noise.append(-sum(w * v for w, v in zip(weight, noise, strict=False)) * 20)
    assert sum(weight) == 1
    assert sum(w * v for w, v in zip(weight, noise, strict=True)) == 0
    variance = sum(w * v**2 for w, v in zip(weight, noise, strict=True))
    sine = sympy.sin(2 * sympy.pi * x)
    risk = sum(w * (f - sine - v) ** 2 for w, v in zip(weight, noise, strict=True))
    assert is_zero(risk - ((f - sine) ** 2 + variance))
    assert sympy.solve(sympy.diff(risk, f), f) == [sine]
