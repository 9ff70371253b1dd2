"""玩具数据与一元线性回归：源文的每一位数字，以及错误信息。"""

import math

import numpy as np
import pytest

from dlbook.autograd.gradcheck import numerical_gradient
from dlbook.backprop import mse_loss
from dlbook.data.toy import toy_line, toy_moons
from dlbook.models.linear_regression import fit, gradient, hessian, least_squares, predict


def naive_gradient(x, y, W, b):
    n = len(x)
    pairs = list(zip(x, y, strict=True))
    return (
        2 / n * sum((W * xi[0] + b - yi[0]) * xi[0] for xi, yi in pairs),
        2 / n * sum((W * xi[0] + b - yi[0]) for xi, yi in pairs),
    )


def test_toy_line_matches_the_source():
    x, y = toy_line()
    assert x.shape == y.shape == (100, 1)
    assert x.dtype == y.dtype == np.float64
    np.testing.assert_allclose(x[:3, 0], [0.5488135, 0.71518937, 0.60276338], atol=5e-9)
    np.testing.assert_allclose(y[:3, 0], [6.77544354, 6.70038671, 6.94072077], atol=5e-9)


def test_toy_line_leaves_the_global_random_state_alone():
    np.random.seed(1)
    before = np.random.rand()
    np.random.seed(1)
    toy_line()
    assert np.random.rand() == before


def test_toy_line_seed_and_size():
    assert toy_line(7)[0].shape == (7, 1)
    assert not np.array_equal(toy_line(seed=0)[0], toy_line(seed=1)[0])
    assert np.array_equal(toy_line(seed=3)[1], toy_line(seed=3)[1])


def test_toy_moons():
    x, label = toy_moons(40, noise=0.0)
    assert x.shape == (40, 2)
    assert x.dtype == np.float64
    assert label.dtype == np.int64
    assert (label == np.repeat([0, 1], 20)).all()
    # 没有噪声时，上弯在单位圆的上半，下弯在移了位置的单位圆的下半。
    np.testing.assert_allclose(np.linalg.norm(x[:20], axis=1), 1)
    np.testing.assert_allclose(np.linalg.norm(x[20:] - [1.0, 0.5], axis=1), 1)
    assert (x[:20, 1] >= 0).all()
    assert (x[20:, 1] <= 0.5).all()
    assert np.array_equal(toy_moons(seed=5)[0], toy_moons(seed=5)[0])


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (lambda: toy_line(0), "正整数，收到 0"),
        (lambda: toy_line(2.5), "正整数，收到 2.5"),
        (lambda: toy_moons(61), "偶数，收到 61"),
        (lambda: toy_moons(60, noise=-1), "不小于 0，收到 -1"),
        (lambda: gradient(np.ones((3, 1)), np.ones(3), 0, 0), r"\(3, 1\) 与 \(3,\)"),
        (lambda: fit(np.ones(0), np.ones(0)), "非空"),
        (lambda: fit(*toy_line(), lr=0), "正数，收到 0"),
        (lambda: fit(*toy_line(), lr=float("nan")), "正数，收到 nan"),
        (lambda: fit(*toy_line(), steps=-1), "不小于 0，收到 -1"),
        (lambda: least_squares(np.ones(4), np.arange(4.0)), "全都相等"),
        (lambda: least_squares(np.ones(4), np.ones(3)), "形状相同"),
    ],
)
def test_errors_are_clear(action, message):
    with pytest.raises(ValueError, match=message):
        action()


def test_source_digits_with_the_loop():
    x, y = toy_line()
    W = b = 0
    losses = []
    for step in range(100):
        loss, _ = mse_loss(predict(x, W, b), y)
        dW, db = naive_gradient(x, y, W, b)
        W, b = W - 0.1 * dW, b - 0.1 * db
        losses.append(loss)
        if step == 0:
            assert (W, b, loss) == (0.6443345843402246, 1.294733887064559, 42.296340129442335)
    assert (W, b, losses[-1]) == (2.118073690511974, 5.466089050922982, 0.07908606512411756)
    assert (np.diff(losses) < 0).all()


def test_fit_reaches_the_same_digits():
    run = fit(*toy_line(), lr=0.1, steps=100)
    assert (run.W[-1], run.b[-1]) == (2.118073690511974, 5.466089050922982)
    assert len(run.W) == len(run.b) == len(run.loss) == 101
    assert (run.W[0], run.b[0]) == (0.0, 0.0)
    assert run.loss[99] == pytest.approx(0.07908606512411756, rel=1e-14)


def test_thousand_steps_reach_least_squares():
    x, y = toy_line()
    run = fit(x, y, steps=1000)
    W, b = least_squares(x, y)
    assert (round(W, 8), round(b, 8)) == (1.93655106, 5.55808002)
    assert math.hypot(run.W[-1] - W, run.b[-1] - b) < 1.1e-6
    assert mse_loss(predict(x, W, b), y)[0] == pytest.approx(0.0762332, abs=5e-8)


@pytest.mark.parametrize("shape", [(-1, 1), (-1,)])
def test_gradient_by_loop_and_by_differences(shape):
    x, y = (a.reshape(shape) for a in toy_line(20))
    for point in ((0.0, 0.0), (1.0, -2.0)):
        analytic = gradient(x, y, *point)
        numeric = numerical_gradient(lambda t: mse_loss(predict(x, *t), y)[0], np.array(point))
        np.testing.assert_allclose(analytic, numeric, rtol=1e-8)
        column = (x.reshape(-1, 1), y.reshape(-1, 1))
        np.testing.assert_allclose(analytic, naive_gradient(*column, *point), rtol=1e-13)


def test_zero_steps_and_start_point():
    x, y = toy_line()
    run = fit(x, y, steps=0, W=1.5, b=-2.0)
    assert (run.W.tolist(), run.b.tolist()) == ([1.5], [-2.0])
    assert run.loss[0] == mse_loss(predict(x, 1.5, -2.0), y)[0]


def test_hessian_and_least_squares_against_numpy():
    x, y = toy_line()
    slope, intercept = np.polyfit(x[:, 0], y[:, 0], 1)
    np.testing.assert_allclose(least_squares(x, y), (slope, intercept), rtol=1e-12)
    expected = 2 * np.array([[np.mean(x**2), np.mean(x)], [np.mean(x), 1]])
    np.testing.assert_allclose(hessian(x), expected, rtol=1e-13)
    assert np.linalg.eigvalsh(hessian(np.full(5, 3.0)))[0] == pytest.approx(0, abs=1e-12)


def test_step_bound_separates_convergence_from_divergence():
    x, y = toy_line()
    bound = 2 / np.linalg.eigvalsh(hessian(x))[1]
    assert bound == pytest.approx(0.806712046, rel=1e-9)
    assert fit(x, y, lr=0.99 * bound, steps=500).loss[-1] < 0.08
    assert fit(x, y, lr=1.01 * bound, steps=500).loss[-1] > 1e5
