"""微型引擎：值与梯度对照 PyTorch 和数值微分，图的次序与累加，错误信息。"""

import gc
import math
import operator

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dlbook.autograd.gradcheck import numerical_diff
from dlbook.autograd.scalar import Value, topological_order

UNARY = {
    "exp": (Value.exp, torch.exp),
    "log": (Value.log, torch.log),
    "tanh": (Value.tanh, torch.tanh),
    "relu": (Value.relu, torch.relu),
    "neg": (operator.neg, operator.neg),
    "square": (lambda a: a**2, lambda a: a**2),
    "cube": (lambda a: a**3, lambda a: a**3),
    "reciprocal": (lambda a: a**-1, lambda a: a**-1),
    "root": (lambda a: a**0.5, lambda a: a**0.5),
    "zeroth": (lambda a: a**0, lambda a: a**0),
    "2 + a": (lambda a: 2 + a, lambda a: 2 + a),
    "2 - a": (lambda a: 2 - a, lambda a: 2 - a),
    "2 * a": (lambda a: 2 * a, lambda a: 2 * a),
    "2 / a": (lambda a: 2 / a, lambda a: 2 / a),
    "a + 2": (lambda a: a + 2, lambda a: a + 2),
    "a - 2": (lambda a: a - 2, lambda a: a - 2),
    "a * 2": (lambda a: a * 2, lambda a: a * 2),
    "a / 2": (lambda a: a / 2, lambda a: a / 2),
}
BINARY = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}


@pytest.mark.parametrize("name", UNARY)
@pytest.mark.parametrize("x", [0.3, 1.7])
def test_unary_against_torch(name, x):
    ours, theirs = UNARY[name]
    v, t = Value(x), torch.tensor(x, dtype=torch.float64, requires_grad=True)
    (3 * ours(v)).backward()
    (3 * theirs(t)).backward()
    assert math.isclose(ours(Value(x)).data, theirs(t).item(), rel_tol=1e-14)
    assert math.isclose(v.grad, t.grad.item(), rel_tol=1e-14, abs_tol=1e-300)


@pytest.mark.parametrize("x", [-1.3, 0.0])
@pytest.mark.parametrize("name", ["exp", "tanh", "relu", "square", "cube", "zeroth"])
def test_unary_at_nonpositive_values(name, x):
    ours, theirs = UNARY[name]
    v, t = Value(x), torch.tensor(x, dtype=torch.float64, requires_grad=True)
    ours(v).backward()
    theirs(t).backward()
    assert v.grad == pytest.approx(t.grad.item(), rel=1e-14, abs=0)


@pytest.mark.parametrize("symbol", BINARY)
def test_binary_against_torch(symbol):
    op = BINARY[symbol]
    a, b = Value(1.3), Value(-0.7)
    s, t = (torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (1.3, -0.7))
    (2 * op(a, b)).backward()
    (2 * op(s, t)).backward()
    assert a.grad == pytest.approx(s.grad.item(), rel=1e-14)
    assert b.grad == pytest.approx(t.grad.item(), rel=1e-14)


def test_source_numbers():
    v0 = Value(0.5)
    v1 = v0**2
    v2 = v1.exp()
    v3 = v2**2
    v3.backward()
    assert [v.data for v in (v1, v2, v3)] == [0.25, 1.2840254166877414, 1.648721270700128]
    assert v0.grad == 3.297442541400256


def test_micrograd_readme_expression():
    """一个用遍各种运算、反复共享节点的长式子，与 PyTorch 比较。"""

    def expression(a, b, relu):
        c = a + b
        d = a * b + b**3
        c = c + c + 1
        c = c + 1 + c + (-a)
        d = d + d * 2 + relu(b + a)
        d = d + 3 * d + relu(b - a)
        e = c - d
        f = e**2
        return f / 2.0 + 10.0 / f

    a, b = Value(-4.0), Value(2.0)
    g = expression(a, b, Value.relu)
    g.backward()
    s, t = (torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (-4.0, 2.0))
    theirs = expression(s, t, torch.relu)
    theirs.backward()
    assert g.data == pytest.approx(theirs.item(), rel=1e-14)
    assert (a.grad, b.grad) == pytest.approx((s.grad.item(), t.grad.item()), rel=1e-14)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(st.sampled_from(["add", "mul", "tanh", "square", "exp", "div"]), max_size=12),
       st.floats(-1, 1))  # fmt: skip
def test_random_graphs_against_numerical_diff(program, x):
    """随机的程序，随时取用先前的任何一个结果，所以到处有共享的节点。"""

    def run(a, tanh, exp):
        values = [a, a * 0.5 + 1]
        for k, step in enumerate(program):
            p, q = values[-1], values[(7 * k) % len(values)]
            values.append({
                "add": lambda p=p, q=q: p + q,
                "mul": lambda p=p, q=q: tanh(p) * q,
                "tanh": lambda p=p, q=q: tanh(p - q),
                "square": lambda p=p, q=q: tanh(p) ** 2 + q,
                "exp": lambda p=p, q=q: exp(tanh(p)) + tanh(q),
                "div": lambda p=p, q=q: p / (tanh(q) ** 2 + 1),
            }[step]())  # fmt: skip
        return values[-1]

    v = Value(x)
    run(v, Value.tanh, Value.exp).backward()
    expected = numerical_diff(lambda a: run(a, math.tanh, math.exp), x, eps=1e-5)
    assert v.grad == pytest.approx(expected, rel=1e-5, abs=1e-6)


def test_used_twice_accumulates():
    a = Value(3.0)
    (a + a).backward()
    assert a.grad == 2.0
    a = Value(3.0)
    (a * a / a).backward()
    assert a.grad == pytest.approx(1.0)


def test_leaves_accumulate_and_inner_nodes_do_not():
    """与 PyTorch 相同：同一张图反向两次，叶子得到两倍，而不是更多。"""
    a = Value(2.0)
    b = a * a
    y = b * 3
    y.backward()
    y.backward()
    assert a.grad == 2 * 12.0
    assert b.grad == 3.0
    a.grad = 0.0
    y.backward()
    assert a.grad == 12.0


def test_two_outputs_share_a_subgraph():
    a = Value(2.0)
    h = a**2
    y, z = h * 3, h.exp()
    y.backward()
    z.backward()
    assert a.grad == pytest.approx(12.0 + 4 * math.exp(4.0))


def test_backward_on_a_leaf():
    a = Value(5.0)
    a.backward()
    assert a.grad == 1.0


def test_diamond_waits_for_all_users():
    a = Value(0.5)
    u = a * a
    (u + u.exp()).backward()
    assert a.grad == pytest.approx(2 * 0.5 * (1 + math.exp(0.25)))


def test_topological_order_visits_once_and_inputs_first():
    a, b = Value(1.0), Value(2.0)
    c = a * b
    d = c + a
    root = d * c + d
    order = topological_order(root)
    assert len(order) == len(set(order)) == 6  # a、b、c、d、d·c、root
    place = {node: k for k, node in enumerate(order)}
    assert all(place[p] < place[node] for node in order for p in node.parents)
    assert order[-1] is root


def test_doubling_does_not_walk_every_path():
    a = y = Value(1.0)
    for _ in range(60):
        y = y + y
    y.backward()
    assert a.grad == 2.0**60


def test_chain_of_ten_thousand_nodes():
    a = y = Value(1.0)
    for _ in range(10_000):
        y = y * 1.0 + 0.0
    y.backward()
    assert a.grad == 1.0


def test_graph_is_freed_without_the_cycle_collector():
    """节点之间没有循环引用：引用计数就能立刻收回整张图。"""
    gc.collect()
    gc.disable()
    try:
        a = Value(1.0)
        y = (a * 2 + 1).exp().tanh() / 3 - a
        y.backward()
        before = sum(type(o) is Value for o in gc.get_objects())
        del y
        after = sum(type(o) is Value for o in gc.get_objects())
    finally:
        gc.enable()
    # __slots__ 的对象仍受回收器登记，所以数得到；删掉 y 之后只该剩下 a。
    assert before - after >= 9


def test_numpy_scalars_work_on_either_side():
    v = Value(2.0)
    for number in (np.float64(3), np.float32(3), np.int64(3)):
        for result in (number * v, v * number, number + v, number - v, number / v):
            assert type(result) is Value
            assert type(result.data) is float
    assert (np.float64(3) - v).data == 1.0
    assert (np.float64(3) / v).data == 1.5


@pytest.mark.parametrize(
    ("action", "error", "message"),
    [
        (lambda v: Value("3"), TypeError, "应是一个实数.*str"),
        (lambda v: Value(np.ones((2, 3))), TypeError, r"ndarray，形状 \(2, 3\)"),
        (lambda v: Value(1j), TypeError, "complex"),
        (lambda v: v + "1", TypeError, "应是一个实数.*str"),
        (lambda v: "1" + v, TypeError, "应是一个实数.*str"),
        (lambda v: v - None, TypeError, "NoneType"),
        (lambda v: None - v, TypeError, "NoneType"),
        (lambda v: v * np.ones(2), TypeError, r"形状 \(2,\)"),
        (lambda v: np.ones(2) * v, TypeError, r"形状 \(2,\)"),
        (lambda v: v / [1], TypeError, "list"),
        (lambda v: v**v, TypeError, "指数.*Value.*log"),
        (lambda v: 2**v, TypeError, "指数.*Value.*log"),
        (lambda v: np.float64(2) ** v, TypeError, "指数.*Value.*log"),
        (lambda v: v ** "2", TypeError, "指数.*str"),
        (lambda v: v / 0, ZeroDivisionError, "除数为零"),
        (lambda v: 1 / Value(0), ZeroDivisionError, "除数为零"),
        (lambda v: Value(0) ** -1, ZeroDivisionError, "x = 0 处没有导数"),
        (lambda v: Value(0) ** 0.5, ZeroDivisionError, "x = 0 处没有导数"),
        (lambda v: Value(-1) ** 0.5, ValueError, "不是实数"),
        (lambda v: Value(0).log(), ValueError, "应为正数，收到 0.0"),
        (lambda v: Value(-2).log(), ValueError, "应为正数，收到 -2.0"),
    ],
)
def test_errors_are_clear(action, error, message):
    with pytest.raises(error, match=message):
        action(Value(2.0))


def test_repr_shows_data_and_grad():
    v = Value(2)
    assert repr(v) == "Value(data=2.0, grad=0.0)"


def test_graph_is_drawn_with_values_and_gradients():
    from matplotlib import pyplot as plt

    from dlbook.plot import graph

    a = Value(2.0)
    u = a * a
    y = u + u.exp()
    y.backward()
    fig = graph.computation_graph(y, {a: "$a$"})
    texts = [t.get_text() for t in fig.axes[0].texts]
    boxes = fig.axes[0].patches
    assert len(boxes) == 4
    assert "$a$" in texts
    assert f"梯度 {a.grad:.4g}" in texts
    assert "值 4" in texts
    arrows = [t for t in texts if t == ""]
    assert len(arrows) == sum(len(node.parents) for node in topological_order(y))
    plt.close(fig)
    plain = graph.computation_graph(y, grad=False)
    assert not any("梯度" in t.get_text() for t in plain.axes[0].texts)
    plt.close(plain)
