"""数值微分的数字，以及梯度检验：对的都放行，故意埋下的错一个也不放过。"""

import math

import numpy as np
import pytest

from dlbook.autograd.gradcheck import gradcheck, numerical_diff, numerical_gradient
from dlbook.backprop import (
    cross_entropy,
    cross_entropy_backward,
    linear,
    linear_backward,
    mse_loss,
    mse_loss_backward,
    relu,
    relu_backward,
    softmax,
    softmax_backward,
)


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


T = np.array([0, 3, 1, 1, 2])
X, W, B = normal(5, 4), normal(3, 4, seed=1), normal(3, seed=2)
TARGET = normal(5, 4, seed=3)


def cross_entropy_of(z):
    return cross_entropy(z, T)


def mse_of(x):
    return mse_loss(x, TARGET)


# 数值微分


def test_numerical_diff_gives_the_digits_of_the_book():
    assert numerical_diff(lambda x: x**2, 2.0) == 4.000000000004
    assert numerical_diff(lambda x: math.exp(x**2) ** 2, 0.5) == 3.2974426293330694
    assert numerical_diff(lambda x: np.exp(x**2) ** 2, np.array(0.5)) == 3.2974426293330694


def test_numerical_diff_is_central():
    """中心差分对二次函数没有截断误差，前向差分有。"""
    assert numerical_diff(lambda x: x * x, 3.0, eps=0.25) == 6.0


def test_numerical_gradient_matches_the_formula_and_leaves_x_alone():
    x = normal(2, 3, 4)
    x.setflags(write=False)
    before = x.copy()
    got = numerical_gradient(lambda x: np.sum(np.sin(x) * x), x)
    np.testing.assert_allclose(got, np.cos(x) * x + np.sin(x), atol=1e-9)
    np.testing.assert_array_equal(x, before)


def test_numerical_gradient_moves_one_entry_at_a_time():
    seen = []
    numerical_gradient(lambda x: seen.append(x.copy()) or 0.0, np.zeros(3), eps=1.0)
    np.testing.assert_array_equal(seen, [s * row for row in np.eye(3) for s in (1, -1)])


@pytest.mark.parametrize("dtype", [np.float32, np.int64])
def test_numerical_gradient_works_in_float64_whatever_comes_in(dtype):
    got = numerical_gradient(lambda x: (x**2).sum(), np.array([1, 2, 3], dtype))
    assert got.dtype == np.float64
    np.testing.assert_allclose(got, [2, 4, 6], rtol=1e-9)


def test_numerical_gradient_of_a_number_and_of_nothing():
    assert numerical_gradient(lambda x: x**2, np.array(3.0)) == pytest.approx(6.0)
    assert numerical_gradient(lambda x: x.sum(), np.zeros((0, 2))).shape == (0, 2)


def test_numerical_gradient_needs_one_number():
    with pytest.raises(ValueError, match=r"应返回一个数，收到形状 \(2,\)"):
        numerical_gradient(lambda x: x, np.zeros(2))


# 对的放行


RIGHT = {
    "linear": (linear, linear_backward, [X, W, B]),
    "linear, m=1": (linear, linear_backward, [X[:1], W, B]),
    "relu": (relu, relu_backward, [X]),
    "softmax": (softmax, softmax_backward, [X]),
    "softmax, axis=0": (lambda x: softmax(x, 0), softmax_backward, [X]),
    "softmax, 三维": (softmax, softmax_backward, [normal(2, 3, 4)]),
    "cross_entropy": (cross_entropy, cross_entropy_backward, [X, T]),
    "cross_entropy, m=1": (cross_entropy, cross_entropy_backward, [X[:1], T[:1]]),
    "mse_loss": (mse_of, mse_loss_backward, [X]),
}


@pytest.mark.parametrize(("forward", "backward", "inputs"), RIGHT.values(), ids=RIGHT)
def test_every_pair_passes(forward, backward, inputs):
    assert gradcheck(forward, backward, inputs) is True


def test_float32_inputs_are_checked_in_float64():
    assert gradcheck(cross_entropy, cross_entropy_backward, [X.astype(np.float32), T])


def test_a_single_array_need_not_be_wrapped():
    assert gradcheck(relu, relu_backward, X)


# 错的拦下


def softmax_without_the_sum(dy, cache):
    y, _ = cache
    return dy * y


def linear_with_a_twist(which, twist):
    def backward(dy, cache):
        grads = list(linear_backward(dy, cache))
        grads[which] = twist(grads[which])
        return tuple(grads)

    return backward


def at_one_entry(grad, add):
    grad = grad.copy()
    grad[1, 2] += add
    return grad


WRONG = {
    "符号反了": (mse_of, lambda dy, c: -mse_loss_backward(dy, c), [X], r"inputs\[0\]"),
    "忘了除以 m": (
        cross_entropy_of,
        lambda dy, c: len(T) * cross_entropy_backward(dy, c),
        [X],
        "20 个元素中有 20 个不合",
    ),
    "忘了乘上游梯度": (
        cross_entropy_of,
        lambda dy, c: cross_entropy_backward(1.0, c),
        [X],
        "不对",
    ),
    "均方误差忘了 2": (mse_of, lambda dy, c: mse_loss_backward(dy, c) / 2, [X], "不对"),
    "ReLU 没有挡住负数": (relu, lambda dy, c: dy, [X], f"有 {(X < 0).sum()} 个不合"),
    "softmax 当成逐元素的函数": (softmax, softmax_without_the_sum, [X], "不对"),
    "softmax 求和的轴错了": (
        softmax,
        lambda dy, c: softmax_backward(dy, (c[0], 0)),
        [X],
        "不对",
    ),
    "只有第二个输入错": (
        linear,
        linear_with_a_twist(1, lambda g: -g),
        [X, W, B],
        r"inputs\[1\] 的元素",
    ),
    "只有一个元素错": (
        linear,
        linear_with_a_twist(0, lambda g: at_one_entry(g, 1e-3)),
        [X, W, B],
        r"inputs\[0\] 的元素 \(1, 2\) 的梯度不对.*20 个元素中有 1 个不合",
    ),
    "nan": (relu, lambda dy, c: relu_backward(dy, c) * np.nan, [X], "backward 给出 nan"),
    "转置了": (
        linear,
        linear_with_a_twist(1, np.transpose),
        [X, W, B],
        r"inputs\[1\].*应与输入同形状 \(3, 4\)，backward 给出 \(4, 3\)",
    ),
    "偏置忘了求和": (
        linear,
        lambda dy, c: (*linear_backward(dy, c)[:2], dy),
        [X, W, B],
        r"inputs\[2\].*\(3,\)，backward 给出 \(5, 3\)",
    ),
    "少给一个梯度": (
        linear,
        lambda dy, c: linear_backward(dy, c)[:2],
        [X, W, B],
        "有 3 个浮点输入，backward 却给出 2 个梯度",
    ),
    "忘了 return": (relu, lambda dy, c: None, [X], "忘了 return"),
    "改了上游梯度": (
        relu,
        lambda dy, c: np.multiply(dy, c > 0, out=dy),
        [X],
        "修改了传给它的上游梯度",
    ),
    "前向改了输入": (
        lambda x: (np.maximum(x, 0, out=x), x),
        relu_backward,
        [X],
        r"inputs\[0\] 被 forward 或 backward 修改了",
    ),
    "前向丢了精度": (
        lambda x: relu(x.astype(np.float32)),
        lambda dy, c: dy * (c > 0),
        [X],
        "forward 却算出 float32",
    ),
}


@pytest.mark.parametrize(("forward", "backward", "inputs", "message"), WRONG.values(), ids=WRONG)
def test_every_planted_fault_is_caught(forward, backward, inputs, message):
    with pytest.raises(AssertionError, match=message):
        gradcheck(forward, backward, inputs)


def test_a_random_upstream_gradient_sees_what_all_ones_cannot():
    """softmax 各分量之和恒为 1：上游梯度全取 1 时，对的梯度是 0，任何成比例的错误都看不见。"""
    y, cache = softmax(X)
    ones = np.ones_like(y)
    np.testing.assert_allclose(3 * softmax_backward(ones, cache), 0, atol=1e-15)
    with pytest.raises(AssertionError, match="不对"):
        gradcheck(softmax, lambda dy, c: 3 * softmax_backward(dy, c), [X])


def test_the_callers_arrays_are_left_alone():
    x = X.copy()
    x.setflags(write=False)
    assert gradcheck(softmax, softmax_backward, [x])
