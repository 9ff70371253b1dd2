"""多元最小二乘：各解法一致，形状与错误信息。"""

import numpy as np
import pytest

from dlbook.autograd.gradcheck import numerical_gradient
from dlbook.models.least_squares import gradient, powers, rms, solve_normal, solve_qr, with_ones


@pytest.fixture
def problem():
    random = np.random.default_rng(3)
    return with_ones(random.normal(size=(30, 4))), random.normal(size=30)


def test_design_matrices():
    np.testing.assert_array_equal(with_ones(np.array([2, 3])), [[1, 2], [1, 3]])
    assert with_ones(np.zeros((5, 3))).shape == (5, 4)
    x = np.linspace(-1, 2, 7)
    np.testing.assert_allclose(powers(x, 4), np.vander(x, 5, increasing=True), rtol=1e-14)
    np.testing.assert_array_equal(powers(np.zeros(3), 0), np.ones((3, 1)))


def test_gradient_matches_differences(problem):
    X, y = problem
    point = np.arange(5.0)
    numeric = numerical_gradient(lambda p: np.sum((X @ p - y) ** 2), point)
    np.testing.assert_allclose(gradient(X, y, point), numeric, rtol=1e-7)


def test_all_solvers_agree(problem):
    X, y = problem
    expected = np.linalg.lstsq(X, y)[0]
    np.testing.assert_allclose(solve_normal(X, y), expected, rtol=1e-12)
    np.testing.assert_allclose(solve_qr(X, y), expected, rtol=1e-12)
    assert abs(gradient(X, y, expected)).max() < 1e-12


def test_ridge_matches_its_normal_equations(problem):
    X, y = problem
    for lam in (1e-3, 1.0, 50.0):
        expected = np.linalg.solve(X.T @ X + lam * np.eye(5), X.T @ y)
        np.testing.assert_allclose(solve_qr(X, y, lam), expected, rtol=1e-11)


def test_ridge_makes_a_rank_deficient_problem_unique():
    X = np.ones((3, 5))
    np.testing.assert_allclose(solve_qr(X, np.full(3, 6.0), 1e-12), 1.2, rtol=1e-6)
    with pytest.raises(ValueError, match="5 列线性相关"):
        solve_qr(X, np.ones(3))


def test_qr_survives_where_the_normal_equations_do_not():
    X = np.array([[1, 1], [1e-8, 0], [0, 1e-8]])
    np.testing.assert_allclose(solve_qr(X, X @ [1.0, 2.0]), [1, 2], rtol=1e-7)
    with pytest.raises(ValueError, match="不可逆"):
        solve_normal(X, X @ [1.0, 2.0])
    with pytest.raises(ValueError, match="线性相关"):
        solve_qr(np.ones((4, 2)), np.ones(4))


def test_rms_is_in_the_unit_of_the_target(problem):
    X, y = problem
    phi = np.ones(5)
    assert rms(X, y, phi) == pytest.approx(np.sqrt(np.sum((X @ phi - y) ** 2) / 30))
    assert rms(X, 10 * y, 10 * phi) == pytest.approx(10 * rms(X, y, phi))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: with_ones(np.zeros((2, 2, 2))), r"收到形状 \(2, 2, 2\)"),
        (lambda: powers(np.zeros((2, 1)), 1), r"一维.*\(2, 1\)"),
        (lambda: powers(np.zeros(2), -1), "收到 -1"),
        (lambda: powers(np.zeros(2), 2.5), "整数，收到 2.5"),
        (lambda: gradient(np.ones((3, 2)), np.ones(3), np.ones(3)), r"\(2,\)，收到 \(3,\)"),
        (lambda: solve_qr(np.ones((3, 1)), np.ones(2)), r"\(3, 1\) 与 \(2,\)"),
        (lambda: solve_normal(np.ones(3), np.ones(3)), r"\(3,\) 与 \(3,\)"),
        (lambda: gradient(np.ones((3, 1)), np.ones((3, 1)), np.ones(1)), r"\(3, 1\) 与 \(3, 1\)"),
        (lambda: solve_qr(np.ones((3, 1)), np.ones(3), -1.0), "收到 -1.0"),
        (lambda: rms(np.ones((0, 2)), np.ones(0), np.ones(2)), "非空"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
