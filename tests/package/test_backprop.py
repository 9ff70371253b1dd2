"""每一对前向、反向与 PyTorch 比较：值、梯度、dtype；以及早而清楚的报错。"""

import inspect

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from dlbook import backprop
from dlbook.backprop import (
    cross_entropy,
    cross_entropy_backward,
    linear,
    linear_backward,
    mse_loss,
    mse_loss_backward,
    one_hot,
    relu,
    relu_backward,
    softmax,
    softmax_backward,
)

repeatable = settings(derandomize=True, database=None, deadline=None, max_examples=60)
dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])
TOLERANCE = {np.float32: {"rtol": 1e-5, "atol": 1e-6}, np.float64: {"rtol": 1e-12, "atol": 1e-14}}

LAYOUTS = {
    "连续": lambda x: x,
    "按列存放": np.asfortranarray,
    "隔行的视图": lambda x: np.repeat(x, 2, axis=0)[::2],
    "倒序的视图": lambda x: x[::-1].copy()[::-1],
}
layouts = pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)


def normal(shape, dtype, *, seed=0, scale=1.0, layout=None):
    """只读的随机数组：谁想就地修改它，当场报错。"""
    x = (np.random.default_rng(seed).standard_normal(shape) * scale).astype(dtype)
    return read_only(layout(x) if layout else x)


def read_only(x):
    x.setflags(write=False)
    return x


def tensor(x, requires_grad=False):
    return torch.tensor(np.array(x), requires_grad=requires_grad)


def assert_same(got, want, dtype, **tolerance):
    """与 PyTorch 的结果同形状、同 dtype、数值在容差内。"""
    want = want.detach().numpy()
    assert got.dtype == dtype == want.dtype
    np.testing.assert_allclose(got, want, strict=True, **(tolerance or TOLERANCE[dtype]))


def run_torch(f, *inputs, dy=None):
    """PyTorch 的值，与损失 Σ dy ⊙ y 对各输入的梯度。"""
    inputs = [tensor(x, requires_grad=True) for x in inputs]
    y = f(*inputs)
    y.backward(torch.ones_like(y) if dy is None else tensor(dy))
    return y, [x.grad for x in inputs]


# 全连接层


@dtypes
@layouts
@pytest.mark.parametrize(("m", "n_in", "n_out"), [(5, 4, 3), (1, 4, 3), (6, 1, 1)])
def test_linear_matches_torch(dtype, layout, m, n_in, n_out):
    x = normal((m, n_in), dtype, seed=1, layout=layout)
    w = normal((n_out, n_in), dtype, seed=2, layout=layout)
    b = normal((n_out,), dtype, seed=3)
    dy = normal((m, n_out), dtype, seed=4, layout=layout)
    y, cache = linear(x, w, b)
    want, grads = run_torch(F.linear, x, w, b, dy=dy)
    assert_same(y, want, dtype)
    for got, grad in zip(linear_backward(dy, cache), grads, strict=True):
        assert_same(got, grad, dtype)


def test_linear_first_layer_skips_the_gradient_of_the_data():
    x, w, b = (normal(s, np.float32) for s in [(4, 3), (2, 3), (2,)])
    y, cache = linear(x, w, b)
    full = linear_backward(y, cache)
    part = linear_backward(y, cache, need_dinput=False)
    assert part[0] is None
    np.testing.assert_array_equal(part[1], full[1])
    np.testing.assert_array_equal(part[2], full[2])


@pytest.mark.parametrize(
    ("x", "w", "b", "error", "message"),
    [
        ((4, 3), (2, 5), (2,), ValueError, r"in 应相等.*\(4, 3\).*\(2, 5\)"),
        ((4, 3), (2, 3), (3,), ValueError, r"out 应相等.*\(2, 3\).*\(3,\)"),
        ((3,), (2, 3), (2,), ValueError, r"input 的形状应是 \(m, in\)，收到 \(3,\)"),
        ((4, 3), (3,), (2,), ValueError, r"weight 的形状应是 \(out, in\)，收到 \(3,\)"),
        ((4, 3), (2, 3), (2, 1), ValueError, r"bias 的形状应是 \(out,\)，收到 \(2, 1\)"),
    ],
)
def test_linear_names_the_shapes_that_do_not_fit(x, w, b, error, message):
    with pytest.raises(error, match=message):
        linear(np.ones(x), np.ones(w), np.ones(b))


def test_linear_refuses_mixed_or_integer_dtypes():
    x, w, b = np.ones((4, 3), np.float32), np.ones((2, 3)), np.ones(2)
    with pytest.raises(TypeError, match="input 是 float32，weight 是 float64"):
        linear(x, w, b)
    with pytest.raises(TypeError, match="input 应是浮点数组，收到 uint8"):
        linear(x.astype(np.uint8), w, b)
    with pytest.raises(TypeError, match="input 应是 NumPy 数组，收到 list"):
        linear([[1.0, 2.0]], w, b)


# 激活函数


@dtypes
@layouts
def test_relu_matches_torch(dtype, layout):
    x = np.array(normal((5, 4), dtype))
    x[0] = [0.0, -0.0, 1e-30, -1e-30]
    x = read_only(layout(x))
    dy = normal((5, 4), dtype, seed=1, layout=layout)
    y, cache = relu(x)
    want, (grad,) = run_torch(F.relu, x, dy=dy)
    assert_same(y, want, dtype, rtol=0)
    assert_same(relu_backward(dy, cache), grad, dtype, rtol=0)


@dtypes
@layouts
@pytest.mark.parametrize("axis", [-1, 0, 1])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1000.0])
def test_softmax_matches_torch(dtype, layout, axis, scale):
    x = normal((4, 6), dtype, scale=scale, layout=layout)
    dy = normal((4, 6), dtype, seed=1, layout=layout)
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        y, cache = softmax(x, axis)
        dx = softmax_backward(dy, cache)
    want, (grad,) = run_torch(lambda x: F.softmax(x, dim=axis), x, dy=dy)
    assert_same(y, want, dtype)
    assert_same(dx, grad, dtype)


def test_softmax_of_any_rank_and_one_sample():
    for shape in [(5,), (1, 5), (2, 3, 4), (0, 5), (5, 1)]:
        x = normal(shape, np.float64)
        assert_same(softmax(x)[0], F.softmax(tensor(x), dim=-1), np.float64)


def test_softmax_keeps_minus_infinity_as_impossible():
    y, _ = softmax(np.array([0.0, -np.inf, 0.0]))
    np.testing.assert_array_equal(y, [0.5, 0.0, 0.5])


@pytest.mark.parametrize(("shape", "axis"), [((3, 4), 2), ((3, 4), -3), ((3, 0), -1), ((), -1)])
def test_softmax_refuses_an_axis_it_cannot_normalise(shape, axis):
    with pytest.raises(ValueError, match=f"axis={axis}、形状"):
        softmax(np.ones(shape)[()], axis)


logits = arrays(
    np.float64,
    array_shapes(min_dims=2, max_dims=2, max_side=6),
    elements=st.floats(-1000, 1000),
)


@repeatable
@given(logits)
def test_softmax_is_a_distribution(x):
    y, _ = softmax(x)
    assert (y >= 0).all()
    np.testing.assert_allclose(y.sum(axis=-1), 1, rtol=1e-14)


@repeatable
@given(logits, st.floats(-1000, 1000))
def test_softmax_ignores_a_common_shift(x, shift):
    np.testing.assert_allclose(softmax(x + shift)[0], softmax(x)[0], rtol=1e-9, atol=1e-300)


@repeatable
@given(logits)
def test_softmax_gradient_sums_to_zero(x):
    _, cache = softmax(x)
    dy = np.random.default_rng(0).standard_normal(x.shape)
    np.testing.assert_allclose(softmax_backward(dy, cache).sum(axis=-1), 0, atol=1e-14)


@repeatable
@given(logits)
def test_relu_is_idempotent_and_non_negative(x):
    y, _ = relu(x)
    assert (y >= 0).all()
    np.testing.assert_array_equal(relu(y)[0], y)


@pytest.mark.parametrize("f", [relu, softmax])
def test_activations_refuse_integers(f):
    with pytest.raises(TypeError, match="input 应是浮点数组，收到 int64"):
        f(np.array([[1, 2]]))


# 损失


@dtypes
@layouts
@pytest.mark.parametrize("shape", [(5, 3), (1, 1), (7,), (2, 3, 4)])
def test_mse_loss_matches_torch(dtype, layout, shape):
    x = normal(shape, dtype, seed=1, layout=layout)
    t = normal(shape, dtype, seed=2, layout=layout)
    loss, cache = mse_loss(x, t)
    want, (grad, _) = run_torch(F.mse_loss, x, t)
    assert_same(loss, want, dtype)
    assert_same(mse_loss_backward(1.0, cache), grad, dtype)


def test_mse_loss_refuses_to_broadcast():
    with pytest.raises(ValueError, match=r"应同形状，收到 \(3, 1\) 与 \(3,\)"):
        mse_loss(np.ones((3, 1)), np.ones(3))
    with pytest.raises(TypeError, match="input 是 float64，target 是 float32"):
        mse_loss(np.ones(3), np.ones(3, np.float32))
    with pytest.raises(ValueError, match=r"平均值无意义.*\(0, 2\)"):
        mse_loss(np.ones((0, 2)), np.ones((0, 2)))


@dtypes
@layouts
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1000.0])
@pytest.mark.parametrize("m", [1, 6])
@pytest.mark.parametrize("label", [np.uint8, np.int64])
def test_cross_entropy_matches_torch(dtype, layout, scale, m, label):
    z = normal((m, 4), dtype, scale=scale, layout=layout)
    t = read_only(np.random.default_rng(1).integers(0, 4, m).astype(label))
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        loss, cache = cross_entropy(z, t)
        dz = cross_entropy_backward(1.0, cache)
    want, (grad,) = run_torch(lambda z: F.cross_entropy(z, tensor(t).long()), z)
    assert_same(loss, want, dtype)
    assert_same(dz, grad, dtype)


@dtypes
def test_cross_entropy_stays_finite_where_the_probability_underflows(dtype):
    z = read_only(np.array([[1000.0, -1000.0], [-1000.0, 1000.0]], dtype))
    loss, cache = cross_entropy(z, np.array([1, 1]))
    assert loss == 1000.0  # 两个样本的损失是 2000 与 0
    np.testing.assert_array_equal(cross_entropy_backward(1.0, cache), [[0.5, -0.5], [0, 0]])


@repeatable
@given(logits, st.data())
def test_cross_entropy_is_non_negative_and_ignores_a_common_shift(z, data):
    m, num_classes = z.shape
    t = data.draw(arrays(np.int64, (m,), elements=st.integers(0, num_classes - 1)))
    loss, cache = cross_entropy(z, t)
    assert loss >= 0
    np.testing.assert_allclose(cross_entropy(z + 100, t)[0], loss, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(cross_entropy_backward(1.0, cache).sum(axis=1), 0, atol=1e-14)


def test_cross_entropy_is_the_textbook_formula():
    """与定义逐字对应的写法：−Σ 独热 · log softmax，再平均。"""
    z, t = normal((6, 4), np.float64), np.array([0, 3, 1, 1, 2, 0])
    y, y_hat = one_hot(t, 4), softmax(z)[0]
    loss, cache = cross_entropy(z, t)
    np.testing.assert_allclose(loss, -(y * np.log(y_hat)).sum(axis=1).mean(), rtol=1e-14)
    np.testing.assert_allclose(cross_entropy_backward(1.0, cache), (y_hat - y) / 6, rtol=1e-13)


@pytest.mark.parametrize(
    ("z", "t", "error", "message"),
    [
        (np.ones((3, 4)), np.array([0, 4, 1]), ValueError, "0 到 3 之间（共 4 类），第 1 个是 4"),
        (np.ones((3, 4)), np.array([0, 1, -1]), ValueError, "第 2 个是 -1"),
        (np.ones((3, 4)), np.array([0, 1]), ValueError, r"target 的形状应是 \(3,\)，收到 \(2,\)"),
        (np.ones((3, 4)), np.eye(3, 4, dtype=int), ValueError, r"收到 \(3, 4\)"),
        (np.ones((3, 4)), np.zeros(3), TypeError, "target 应是整数数组.*float64"),
        (np.ones((3, 4)), np.zeros(3, bool), TypeError, "target 应是整数数组.*bool"),
        (np.ones((3, 4)), [0, 1, 2], TypeError, "target 应是整数数组.*list"),
        (np.ones(4), np.array([0]), ValueError, r"input 的形状应是 \(m, C\)，收到 \(4,\)"),
        (np.ones((0, 4)), np.zeros(0, int), ValueError, r"至少有一个样本.*\(0, 4\)"),
        (np.ones((3, 0)), np.zeros(3, int), ValueError, r"一个类别.*\(3, 0\)"),
        (np.ones((3, 4), int), np.zeros(3, int), TypeError, "input 应是浮点数组，收到 int64"),
    ],
)
def test_cross_entropy_says_what_is_wrong(z, t, error, message):
    with pytest.raises(error, match=message):
        cross_entropy(z, t)


def test_one_hot_matches_torch_apart_from_dtype():
    t = read_only(np.array([5, 0, 4], np.uint8))
    got = one_hot(t, 10)
    assert got.dtype == np.float64
    assert one_hot(t, 10, dtype=np.float32).dtype == np.float32
    np.testing.assert_array_equal(got, F.one_hot(tensor(t).long(), 10).numpy())
    assert one_hot(np.zeros(0, int), 3).shape == (0, 3)
    with pytest.raises(ValueError, match="第 0 个是 5"):
        one_hot(t, 5)


# 所有的对子


def pairs(dtype):
    x, w, b = (normal(s, dtype, seed=7) for s in [(5, 4), (3, 4), (3,)])
    t = np.array([0, 3, 1, 1, 2])
    return {
        "linear": (linear(x, w, b), linear_backward),
        "relu": (relu(x), relu_backward),
        "softmax": (softmax(x), softmax_backward),
        "cross_entropy": (cross_entropy(x, t), cross_entropy_backward),
        "mse_loss": (mse_loss(x, x[::-1]), mse_loss_backward),
    }


def as_tuple(grads):
    return grads if isinstance(grads, tuple) else (grads,)


@dtypes
@pytest.mark.parametrize("name", pairs(np.float64))
def test_backward_is_linear_in_dy_and_repeatable(name, dtype):
    """反向对 dy 是线性的；同一份 cache 用两次，结果一样。"""
    (y, cache), backward = pairs(dtype)[name]
    dy = normal(y.shape, dtype, seed=9) if y.ndim else dtype(1)
    once = as_tuple(backward(dy, cache))
    double = as_tuple(backward(2 * dy, cache))
    again = as_tuple(backward(dy, cache))
    for a, b, c in zip(once, double, again, strict=True):
        assert a.dtype == dtype
        np.testing.assert_allclose(b, 2 * a, rtol=1e-6)
        np.testing.assert_array_equal(c, a)


@pytest.mark.parametrize("name", pairs(np.float64))
def test_backward_refuses_a_wrong_upstream_gradient(name):
    (y, cache), backward = pairs(np.float64)[name]
    with pytest.raises(ValueError, match=r"上游梯度 dy.*\(2, 2\)"):
        backward(np.ones((2, 2)), cache)
    if y.ndim:
        with pytest.raises(TypeError, match="float64，收到 float32"):
            backward(np.ones(y.shape, np.float32), cache)


@pytest.mark.parametrize("backward", [cross_entropy_backward, mse_loss_backward])
def test_a_float64_upstream_number_does_not_upcast_float32(backward):
    name = backward.__name__.removesuffix("_backward")
    (_, cache), _ = pairs(np.float32)[name]
    assert backward(np.float64(0.5), cache).dtype == np.float32


@pytest.mark.parametrize("name", ["relu", "mse_loss", "cross_entropy"])
def test_argument_names_and_order_follow_torch(name):
    ours = list(inspect.signature(getattr(backprop, name)).parameters)
    assert ours == list(inspect.signature(getattr(F, name)).parameters)[: len(ours)]


def test_every_public_name_exists_and_every_forward_has_a_backward():
    """这里只细测第 2、3 章推导的几对，其余各对由 test_ops_parity.py 经张量的运算核对。"""
    others = {"one_hot", "unbroadcast", "causal_mask"}
    for name in backprop.__all__:
        assert callable(getattr(backprop, name))
        if name not in others and not name.endswith("_backward"):
            assert f"{name}_backward" in backprop.__all__
    assert dir(backprop) == backprop.__all__
    with pytest.raises(AttributeError, match=r"没有 'swish'；有：.*relu"):
        backprop.swish  # noqa: B018


def test_two_layer_network_trains_and_matches_torch_step_by_step():
    """784-10-10 的缩影：几步梯度下降之后，参数仍与 PyTorch 一致。"""
    rng = np.random.default_rng(0)
    x, t = rng.random((32, 12)), rng.integers(0, 4, 32)
    params = [rng.normal(size=s) * 0.5 for s in [(8, 12), (8,), (4, 8), (4,)]]
    theirs = [tensor(p, requires_grad=True) for p in params]
    losses = []
    for _ in range(20):
        w1, b1, w2, b2 = params
        z1, c1 = linear(x, w1, b1)
        a, c2 = relu(z1)
        z2, c3 = linear(a, w2, b2)
        loss, c4 = cross_entropy(z2, t)
        losses.append(loss)
        da, dw2, db2 = linear_backward(cross_entropy_backward(1.0, c4), c3)
        _, dw1, db1 = linear_backward(relu_backward(da, c2), c1, need_dinput=False)
        params = [p - 0.5 * g for p, g in zip(params, [dw1, db1, dw2, db2], strict=True)]

        hidden = F.relu(F.linear(tensor(x), theirs[0], theirs[1]))
        F.cross_entropy(F.linear(hidden, theirs[2], theirs[3]), tensor(t)).backward()
        with torch.no_grad():
            for p in theirs:
                p -= 0.5 * p.grad
                p.grad = None
    assert losses[-1] < 0.8 * losses[0]
    for p, q in zip(params, theirs, strict=True):
        np.testing.assert_allclose(p, q.detach().numpy(), rtol=1e-9)
