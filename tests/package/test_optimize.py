"""朴素的梯度下降：源文的结果、停止准则、多元，以及错误信息。"""

import numpy as np
import pytest

from dlbook.optimize import gradient_descent


def parabola_gradient(x):
    return 2 * x - 4


def quartic_gradient(x):
    return x * x * (4 * x - 6)


def test_the_recorded_run():
    history, result = gradient_descent(9, parabola_gradient, 0.1, 100)
    assert history[:4] == [9, 7.6, 6.4799999999999995, 5.584]
    assert (len(history) - 1, result) == (23, 2.041320706725109)
    assert history[-1] == result


@pytest.mark.parametrize(
    ("learn_rate", "steps", "end"),
    [(0.5, 1, 2.0), (0.8, 14, 2.00548549), (0.9, 32, 2.00554597), (1.0, 100, 9.0)],
)
def test_learning_rates_on_the_parabola(learn_rate, steps, end):
    history, result = gradient_descent(9, parabola_gradient, learn_rate, 100)
    assert (len(history) - 1, result) == (steps, pytest.approx(end, abs=1e-8))


@pytest.mark.parametrize(
    ("start", "learn_rate", "steps", "end"),
    [(2, 0.1, 4, 1.4957), (2, 0.2, 6, 1.5047), (-0.5, 0.1, 7, -0.1239), (-0.5, 0.4, 9, -0.0571)],
)
def test_the_quartic_with_a_saddle(start, learn_rate, steps, end):
    history, result = gradient_descent(start, quartic_gradient, learn_rate, 100)
    assert (len(history) - 1, result) == (steps, pytest.approx(end, abs=5e-5))


def test_arrays_descend_and_are_not_changed_in_place():
    start = np.array([10.0, 10.0])
    history, end = gradient_descent(start, lambda p: p * [1.0, 2.0], 0.1, 1000, tol=1e-9)
    assert start.tolist() == [10.0, 10.0]
    assert history[0] is start
    np.testing.assert_allclose(history[1], [9.0, 8.0])
    np.testing.assert_allclose(end, 0, atol=1e-7)
    assert np.stack(history).shape == (len(history), 2)


def test_the_step_not_the_distance_decides():
    history, end = gradient_descent(9.0, parabola_gradient, 0.0005, 1000)
    assert (len(history), end) == (1, 9.0)
    assert len(gradient_descent(9.0, parabola_gradient, 0.0005, 1000, tol=0)[0]) == 1001
    assert gradient_descent(3.0, parabola_gradient, 0.1, 0) == ([3.0], 3.0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0.0, 10), "learn_rate.*0.0"),
        ((-0.1, 10), "learn_rate.*-0.1"),
        ((0.1, -1), "max_iter.*-1"),
        ((0.1, 10, -0.5), "tol.*-0.5"),
    ],
)
def test_bad_input_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        gradient_descent(1.0, parabola_gradient, *arguments)


def test_a_gradient_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"同形状 \(2,\).*给出 \(\)"):
        gradient_descent(np.ones(2), lambda p: float(p.sum()), 0.1, 10)
