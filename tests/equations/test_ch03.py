"""第 3 章公式的核对：公式照原样写成代码，与 PyTorch 的自动求导、SymPy 或公式里印出的数比较。"""

import re
from functools import cache
from pathlib import Path

import numpy as np
import sympy
import torch
from bookcheck.equations import definition, printed_latex, verifies
from torch.autograd.functional import jacobian

from dlbook import backprop
from dlbook.models import mlp

EXPECTED = Path(__file__).parents[2] / "book" / "_expected" / "03_mnist.json"

definition("eq-input-vector", "记号：784 个像素排成一列，下标从 0 起")
definition("eq-output-vector", "记号：十个分量依次是十个类别的概率")
definition("eq-output", "记号：十个概率简记为 s")
definition("eq-compare", "提出问题：怎样度量 s 与 y 的差")
definition("eq-wanted", "提出问题：要求的四个梯度")


@cache
def latex(label: str) -> str:
    """书中一个公式的 LaTeX 原文。"""
    return printed_latex(EXPECTED, label)


def printed_numbers(text: str) -> list[float]:
    return [float(number) for number in re.findall(r"-?\d+(?:\.\d+)?", text)]


def first_column(label: str) -> list[float]:
    """公式里第一个矩阵的元素；去掉 \\textcolor 的颜色名。"""
    body = re.search(r"\\begin\{bmatrix\}(.*?)\\end\{bmatrix\}", latex(label), re.S)[1]
    return printed_numbers(body)


@cache
def network() -> dict[str, torch.Tensor]:
    """一个随机的网络与一个样本，全是列向量；标签是 5。"""
    rng = np.random.default_rng(3)
    shapes = {"W1": (10, 784), "b1": (10, 1), "W2": (10, 10), "b2": (10, 1)}
    values = {name: rng.uniform(-0.5, 0.5, shape) for name, shape in shapes.items()}
    values["x"] = rng.uniform(0, 1, (784, 1))
    values["y"] = np.eye(10)[:, [5]]
    return {name: torch.tensor(value) for name, value in values.items()}


def forward(n):
    """eq-forward 的四行；n 是 network() 那样的字典。"""
    z1 = n["W1"] @ n["x"] + n["b1"]
    a = torch.clamp(z1, min=0)
    z2 = n["W2"] @ a + n["b2"]
    s = torch.exp(z2) / torch.exp(z2).sum(dim=0)
    return z1, a, z2, s


def cross_entropy_of(s, y):
    """eq-cross-entropy。"""
    return -(y * torch.log(s)).sum()


def autograd_gradients() -> dict[str, torch.Tensor]:
    """PyTorch 自动求导得到的全部梯度，损失用它自己的 cross_entropy。"""
    n = network()
    W1, b1, W2, b2 = (n[k].clone().requires_grad_() for k in ("W1", "b1", "W2", "b2"))
    z1 = W1 @ n["x"] + b1
    a = torch.relu(z1)
    z2 = W2 @ a + b2
    kept = {"z1": z1, "a": a, "z2": z2}
    for tensor in kept.values():
        tensor.retain_grad()
    torch.nn.functional.cross_entropy(z2.T, torch.tensor([5])).backward()
    kept |= {"W1": W1, "b1": b1, "W2": W2, "b2": b2}
    return {name: tensor.grad for name, tensor in kept.items()}


def same(left, right, atol=1e-12):
    np.testing.assert_allclose(np.asarray(left), np.asarray(right), rtol=1e-9, atol=atol)


# ---- 模型 ----


@verifies("eq-digit-function", by="公式里印出的十个数：和为 1，最大的是第 5 个")
def test_digit_function():
    prob = first_column("eq-digit-function")
    assert len(prob) == 10 and np.argmax(prob) == 5
    same(sum(prob), 1.0)


@verifies("eq-relu", by="按分段定义逐点计算，与 dlbook.backprop.relu、torch.relu 比较")
def test_relu():
    x = np.linspace(-3, 3, 25)
    piecewise = np.array([v if v > 0 else 0.0 for v in x])
    same(backprop.relu(x)[0], piecewise)
    same(torch.relu(torch.tensor(x)), piecewise)


@verifies("eq-relu-neuron", by="逐项求和与行向量乘列向量两种写法相等")
def test_relu_neuron():
    rng = np.random.default_rng(0)
    outputs = []
    for b in (-2.0, 0.0, 2.0):
        w, x = rng.normal(size=6), rng.normal(size=6)
        by_terms = max(0.0, sum(w[i] * x[i] for i in range(6)) + b)
        by_product = np.maximum(0, (w[None, :] @ x[:, None]).item() + b)
        same(by_terms, by_product)
        outputs.append(by_terms)
    assert min(outputs) == 0 < max(outputs)


@verifies("eq-linear-composition", by="SymPy 展开后恒等")
def test_linear_composition():
    x, w1, b1, w2, b2 = sympy.symbols("x w1 b1 w2 b2")
    composed = w2 * (w1 * x + b1) + b2
    w, b = w2 * w1, w2 * b1 + b2
    assert sympy.expand(composed - (w * x + b)) == 0


@verifies("eq-w1-shape", "eq-b1-shape", "eq-w2-shape", "eq-b2-shape",
          by="公式里末一个下标加一等于 mlp.init([784, 10, 10]) 各参数的形状")  # fmt: skip
def test_parameter_shapes():
    (W1, b1), (W2, b2) = mlp.init([784, 10, 10], np.random.default_rng(0))
    for layer, weight, bias in ((1, W1, b1), (2, W2, b2)):
        found = re.findall(rf"w\^\{{\({layer}\)\}}_\{{(\d+),(\d+)\}}", latex(f"eq-w{layer}-shape"))
        assert tuple(np.array(found, dtype=int).max(axis=0) + 1) == weight.shape
        found = re.findall(rf"b\^\{{\({layer}\)\}}_(\d+)", latex(f"eq-b{layer}-shape"))
        assert (max(map(int, found)) + 1,) == bias.shape


@verifies("eq-z1", "eq-a", "eq-z2", by="逐个分量相乘相加，与矩阵乘法、np.maximum 比较")
def test_intermediate_values():
    n = {name: value.numpy() for name, value in network().items()}
    z1, a, z2, _ = (value.numpy() for value in forward(network()))
    for i in range(10):
        same(z1[i, 0], sum(n["W1"][i, j] * n["x"][j, 0] for j in range(784)) + n["b1"][i, 0])
        same(a[i, 0], max(z1[i, 0], 0))
        same(z2[i, 0], sum(n["W2"][i, j] * a[j, 0] for j in range(10)) + n["b2"][i, 0])
    assert 0 < np.count_nonzero(a) < 10


@verifies("eq-network", "eq-network-again", "eq-forward",
          by="与 torch.nn.Sequential 搭的同参数网络比较，参数共 7960 个")  # fmt: skip
def test_network():
    n = network()
    module = torch.nn.Sequential(
        torch.nn.Linear(784, 10), torch.nn.ReLU(), torch.nn.Linear(10, 10), torch.nn.Softmax(dim=1)
    ).double()
    module.load_state_dict(
        {"0.weight": n["W1"], "0.bias": n["b1"][:, 0], "2.weight": n["W2"], "2.bias": n["b2"][:, 0]}
    )
    with torch.no_grad():
        expected = module(n["x"].T).T
    same(forward(n)[3], expected)
    assert sum(p.numel() for p in module.parameters()) == 7960
    assert latex("eq-network") == latex("eq-network-again")


@verifies("eq-softmax-order", by="公式里印出的数：后一行是前一行的 softmax，舍入到四位小数")
def test_softmax_order():
    before, after = latex("eq-softmax-order").split("Rightarrow")
    z, prob = np.array(printed_numbers(before)), printed_numbers(after)
    assert len(z) == len(prob) == 4
    same(prob, np.round(np.exp(z) / np.exp(z).sum(), 4))
    assert list(z) == sorted(z) and prob == sorted(prob)


@verifies("eq-softmax", by="各分量为正、和为 1，与 torch.softmax、dlbook.backprop.softmax 比较")
def test_softmax():
    z = np.random.default_rng(0).normal(size=10) * 3
    s = np.exp(z) / sum(np.exp(z[l]) for l in range(10))  # noqa: E741
    same(s, torch.softmax(torch.tensor(z), dim=0))
    same(s, backprop.softmax(z)[0])
    same(s.sum(), 1.0)
    assert (s > 0).all() and (s < 1).all()


# ---- 损失 ----


@verifies("eq-untrained", by="公式里印出的十个数：和为 1，第 5 个是最小的千分之一")
def test_untrained():
    prob = first_column("eq-untrained")
    assert len(prob) == 10 and np.argmin(prob) == 5 and prob[5] == 0.001
    same(sum(prob), 1.0)


@verifies("eq-one-hot", by="公式里印出的向量与 torch、dlbook.backprop 的 one_hot 比较")
def test_one_hot():
    column = first_column("eq-one-hot")
    assert column == torch.nn.functional.one_hot(torch.tensor(5), 10).tolist()
    assert column == backprop.one_hot(np.array([5]), 10)[0].tolist()


@verifies("eq-cross-entropy", "eq-nll", by="与 torch.nn.functional.cross_entropy 比较")
def test_cross_entropy():
    n = network()
    *_, z2, s = forward(n)
    expected = torch.nn.functional.cross_entropy(z2.T, torch.tensor([5]))
    by_sum = -sum(n["y"][k, 0] * torch.log(s[k, 0]) for k in range(10))
    same(by_sum, expected)
    same(-torch.log(s[5, 0]), expected)


# ---- 梯度 ----


@verifies("eq-chain", by="各段雅可比由 PyTorch 求出，按公式的次序收缩，与直接求导比较")
def test_chain():
    n = network()
    W1, b1, W2, b2, x, y = (n[k] for k in ("W1", "b1", "W2", "b2", "x", "y"))
    z1, a, z2, s = (v[:, 0] for v in forward(n))
    dL_ds = jacobian(lambda s: cross_entropy_of(s, y[:, 0]), s)
    ds_dz2 = jacobian(lambda z: torch.softmax(z, dim=0), z2)
    dz2_da = jacobian(lambda a: W2 @ a + b2[:, 0], a)
    da_dz1 = jacobian(torch.relu, z1)
    to_z2 = dL_ds @ ds_dz2
    to_z1 = to_z2 @ dz2_da @ da_dz1
    expected = autograd_gradients()
    dz2_dW2 = jacobian(lambda W: W @ a + b2[:, 0], W2)  # (10, 10, 10)
    dz1_dW1 = jacobian(lambda W: W @ x[:, 0] + b1[:, 0], W1)  # (10, 10, 784)
    assert dz2_dW2.shape == (10, 10, 10)
    same(torch.einsum("k,kij->ij", to_z2, dz2_dW2), expected["W2"])
    same(to_z2 @ jacobian(lambda b: W2 @ a + b, b2[:, 0]), expected["b2"][:, 0])
    same(torch.einsum("k,kij->ij", to_z1, dz1_dW1), expected["W1"])
    same(to_z1 @ jacobian(lambda b: W1 @ x[:, 0] + b, b1[:, 0]), expected["b1"][:, 0])


@verifies("eq-dsoftmax", by="PyTorch 对 softmax 的输出求导；并确认它不等于 output − y")
def test_gradient_of_output():
    n = network()
    s = forward(n)[3].clone().requires_grad_()
    cross_entropy_of(s, n["y"]).backward()
    same(s.grad, -n["y"] / s.detach())
    assert (s.grad - (s.detach() - n["y"])).abs().max() > 1


@verifies("eq-softmax-jacobian", by="SymPy 对三个类别逐项求导，两种情形都化简为零")
def test_softmax_jacobian():
    z = sympy.symbols("z0:3")
    total = sum(sympy.exp(v) for v in z)
    s = [sympy.exp(v) / total for v in z]
    for k in range(3):
        for i in range(3):
            formula = s[k] * (1 - s[k]) if i == k else -s[k] * s[i]
            assert sympy.simplify(sympy.diff(s[k], z[i]) - formula) == 0


@verifies("eq-dz2", by="SymPy 对三个类别求导化简；并与 PyTorch 对 z₂ 的梯度比较")
def test_gradient_of_z2():
    z, y = sympy.symbols("z0:3"), sympy.symbols("y0:2")
    y = (*y, 1 - sum(y))  # 标签之和为 1
    s = [sympy.exp(v) / sum(sympy.exp(u) for u in z) for v in z]
    loss = -sum(y[k] * sympy.log(s[k]) for k in range(3))
    for i in range(3):
        assert sympy.simplify(sympy.diff(loss, z[i]) - (s[i] - y[i])) == 0
    n = network()
    s = forward(n)[3]
    same(s - n["y"], autograd_gradients()["z2"])


@verifies("eq-dw2", "eq-db2", "eq-da", "eq-dz1", "eq-dw1", "eq-db1",
          by="从 δ₂ 起逐式计算，与 PyTorch 自动求导得到的六个梯度比较")  # fmt: skip
def test_other_gradients():
    n = network()
    z1, a, _, s = forward(n)
    delta2 = s - n["y"]
    da = n["W2"].T @ delta2
    delta1 = da * (z1 > 0)
    found = {"W2": delta2 @ a.T, "b2": delta2, "a": da, "z1": delta1,
             "W1": delta1 @ n["x"].T, "b1": delta1}  # fmt: skip
    expected = autograd_gradients()
    for name, value in found.items():
        assert value.shape == expected[name].shape
        same(value, expected[name])
    assert 0 < int((z1 > 0).sum()) < 10


def tiny_network() -> dict[str, np.ndarray]:
    """手算的例子，从 PyTorch 得到全部的量。"""
    W1 = torch.tensor(np.array([[0.2, -0.4, 1.0], [-0.6, 0.8, -1.0]]), requires_grad=True)
    W2 = torch.tensor(np.array([[0.5, 1.0], [-0.5, 0.3], [1.0, -0.7]]), requires_grad=True)
    columns = ([0.2, 0.1], [0.1, 0.0, -0.2], [0.0, 0.5, 1.0])
    b1, b2, x = (torch.tensor(np.array(column))[:, None] for column in columns)
    z1 = W1 @ x + b1
    a = torch.relu(z1)
    z2 = W2 @ a + b2
    for tensor in (z1, a, z2):
        tensor.retain_grad()
    s = torch.softmax(z2, dim=0)
    loss = -torch.log(s[0, 0])
    loss.backward()
    values = {"z1": z1, "a": a, "z2": z2, "s": s, "loss": loss, "delta2": z2.grad, "dW2": W2.grad,
              "da": a.grad, "delta1": z1.grad, "dW1": W1.grad}  # fmt: skip
    return {name: value.detach().numpy() for name, value in values.items()}


def matrices(label: str) -> list[list[float]]:
    bodies = re.findall(r"\\begin\{bmatrix\}(.*?)\\end\{bmatrix\}", latex(label), re.S)
    return [printed_numbers(body) for body in bodies]


@verifies("eq-hand-forward", by="公式里印出的每个数与 PyTorch 算得的值四位小数相同")
def test_hand_forward():
    tiny = tiny_network()
    for printed, name in zip(matrices("eq-hand-forward"), ("z1", "a", "z2", "s"), strict=True):
        same(printed, tiny[name].ravel().round(4))
    last = latex("eq-hand-forward").split(r"\log")[1]
    same(printed_numbers(last)[:2], [tiny["s"][0, 0].round(4), tiny["loss"].round(4)])


@verifies("eq-hand-backward", by="公式里印出的每个数与 PyTorch 自动求导得到的梯度四位小数相同")
def test_hand_backward():
    tiny = tiny_network()
    names = ("delta2", "dW2", "da", "delta1", "dW1")
    for printed, name in zip(matrices("eq-hand-backward"), names, strict=True):
        same(printed, tiny[name].ravel().round(4))


@verifies("eq-batch-forward", "eq-batch-gradients",
          by="七列样本，与 PyTorch 对平均损失的自动求导比较")  # fmt: skip
def test_batch():
    n, m = network(), 7
    rng = np.random.default_rng(1)
    X = torch.tensor(rng.uniform(0, 1, (784, m)))
    target = torch.tensor(rng.integers(0, 10, m))
    Y = torch.nn.functional.one_hot(target, 10).T.double()
    ones = torch.ones(m, 1, dtype=torch.float64)
    W1, b1, W2, b2 = (n[k].clone().requires_grad_() for k in ("W1", "b1", "W2", "b2"))
    torch.nn.functional.cross_entropy((W2 @ torch.relu(W1 @ X + b1) + b2).T, target).backward()
    with torch.no_grad():
        Z1 = W1 @ X + b1 @ ones.T
        A = torch.relu(Z1)
        Z2 = W2 @ A + b2 @ ones.T
        S = torch.softmax(Z2, dim=0)
        loss = -(Y * torch.log(S)).sum() / m
        same(loss, torch.nn.functional.cross_entropy(Z2.T, target))
        Delta2 = (S - Y) / m
        Delta1 = (W2.T @ Delta2) * (Z1 > 0)
        same(Delta2 @ A.T, W2.grad)
        same(Delta2 @ ones, b2.grad)
        same(Delta1 @ X.T, W1.grad)
        same(Delta1 @ ones, b1.grad)


@verifies("eq-rows-forward", "eq-rows-gradients",
          by="与 torch.nn.functional.linear 及其自动求导、dlbook.backprop.linear 比较")  # fmt: skip
def test_rows():
    rng = np.random.default_rng(2)
    X, W, b, Delta = (rng.normal(size=s) for s in ((7, 4), (3, 4), (3,), (7, 3)))
    ones = np.ones((7, 1))
    tensors = [torch.tensor(v, requires_grad=True) for v in (X, W, b)]
    out = torch.nn.functional.linear(*tensors)
    out.backward(torch.tensor(Delta))
    Z, cache = backprop.linear(X, W, b)
    for formula in (X @ W.T + ones @ b[None, :], Z):
        same(formula, out.detach())
    gradients = (Delta @ W, Delta.T @ X, (Delta.T @ ones)[:, 0])
    for formula, ours, tensor in zip(
        gradients, backprop.linear_backward(Delta, cache), tensors, strict=True
    ):
        same(formula, tensor.grad)
        same(ours, tensor.grad)
