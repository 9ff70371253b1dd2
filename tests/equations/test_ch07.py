"""第 7 章每个带标签的公式：与符号推导、PyTorch 或逐步模拟比较。"""

import math
import re
from pathlib import Path

import numpy as np
import sympy
import torch
import torch.nn.functional as F
from bookcheck.equations import definition, printed_latex, verifies

EXPECTED = Path(__file__).parents[2] / "book" / "_expected" / "07_pytorch.json"
X1, W1, B, Y = 1.1, 2.2, 0.0, 1.0  # 书里的数

z, a, y, x, x1, w1, b = sympy.symbols("z a y x x1 w1 b", real=True)
SIGMA = 1 / (1 + sympy.exp(-z))
LOSS = -(y * sympy.log(a) + (1 - y) * sympy.log(1 - a))


def numbers(label):
    """书里这个公式印出来的小数，按先后次序（负号算在内）。"""
    latex = printed_latex(EXPECTED, label)
    return [float(n) for n in re.findall(r"(?<![\w.])-?\d+\.\d+", latex)]


def forward():
    """书里的例子，64 位：(w1, b, z, a, 损失)，都留着计算图。"""
    leaves = [torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (W1, B)]
    score = leaves[0] * X1 + leaves[1]
    activation = torch.sigmoid(score)
    target = torch.tensor(Y, dtype=torch.float64)
    return *leaves, score, activation, F.binary_cross_entropy(activation, target)


definition("eq-pt-linear", "模型的形式：一个特征的线性变换")


@verifies("eq-pt-sigmoid", by="与 torch.sigmoid 比较")
def test_sigmoid():
    grid = torch.linspace(-6, 6, 25, dtype=torch.float64)
    formula = sympy.lambdify(z, SIGMA, "numpy")(grid.numpy())
    assert np.allclose(formula, torch.sigmoid(grid).numpy(), rtol=1e-14)


@verifies("eq-pt-bce", by="与 torch 的 binary_cross_entropy 比较，标签取 0、1 与其间的数")
def test_binary_cross_entropy():
    formula = sympy.lambdify((a, y), LOSS, "math")
    for activation in (0.1, 0.5, 0.9183):
        for target in (0.0, 0.3, 1.0):
            pair = [torch.tensor(v, dtype=torch.float64) for v in (activation, target)]
            exact = F.binary_cross_entropy(*pair).item()
            assert math.isclose(formula(activation, target), exact, rel_tol=1e-12)


@verifies("eq-pt-trace", by="逐步重算，印出的每个数都是正确的舍入")
def test_trace():
    printed = numbers("eq-pt-trace")
    _, _, score, activation, loss = (t.item() for t in forward())
    assert math.isclose(W1 * X1 + B, score, rel_tol=1e-15)
    assert {2.2, 1.1, 0.0, round(score, 2), round(activation, 5)} <= set(printed)
    assert printed[-1] == round(loss, 4) == round(-math.log(round(activation, 5)), 4)


@verifies("eq-pt-log-rule", by="SymPy 求导")
def test_log_rule():
    t = sympy.symbols("t", positive=True)
    f = sympy.Function("f")(t)
    assert sympy.diff(sympy.log(t), t) == 1 / t
    assert sympy.simplify(sympy.diff(sympy.log(f), t) - sympy.diff(f, t) / f) == 0


@verifies("eq-pt-quotient", by="SymPy 对任意的 u、v 求导")
def test_quotient():
    u, v = sympy.Function("u")(x), sympy.Function("v")(x)
    rule = (u.diff(x) * v - u * v.diff(x)) / v**2
    assert sympy.simplify(sympy.diff(u / v, x) - rule) == 0


@verifies("eq-pt-exp", by="SymPy 求导")
def test_exp():
    assert sympy.diff(sympy.exp(x), x) == sympy.exp(x)


@verifies("eq-pt-chain", by="三个局部导数之积与 autograd 比较，w1 取若干值")
def test_chain():
    product = (
        sympy.diff(LOSS, a).subs(a, SIGMA) * sympy.diff(SIGMA, z) * sympy.diff(w1 * x1 + b, w1)
    )
    formula = sympy.lambdify((w1, b, x1, y), product.subs(z, w1 * x1 + b), "math")
    for weight in (-1.0, 0.4, 2.2):
        for target in (0.0, 1.0):
            leaf = torch.tensor(weight, dtype=torch.float64, requires_grad=True)
            activation = torch.sigmoid(leaf * X1 + B)
            F.binary_cross_entropy(activation, torch.tensor(target, dtype=torch.float64)).backward()
            assert math.isclose(formula(weight, B, X1, target), leaf.grad.item(), rel_tol=1e-9)


@verifies("eq-pt-dl-da", by="SymPy 求导，三行相等；数值与 autograd 比较")
def test_dl_da():
    exact = sympy.diff(LOSS, a)
    first = -(y / a + (1 - y) * (-1) / (1 - a))
    second = (1 - y) / (1 - a) - y / a
    assert sympy.simplify(exact - first) == 0
    assert sympy.simplify(exact - second) == 0
    *_, activation, loss = forward()
    gradient = torch.autograd.grad(loss, activation)[0].item()
    one, rounded = numbers("eq-pt-dl-da")
    assert one == Y
    assert rounded == round(activation.item(), 5)
    assert math.isclose(-one / rounded, gradient, rel_tol=1e-5)


@verifies("eq-pt-da-dz", by="SymPy 求导，每一行都与它相等；数值与 autograd 比较")
def test_da_dz():
    exact = sympy.diff(SIGMA, z)
    for line in (
        sympy.exp(-z) / (1 + sympy.exp(-z)) ** 2,
        1 / (1 + sympy.exp(-z)) * (1 - 1 / (1 + sympy.exp(-z))),
        SIGMA * (1 - SIGMA),
    ):
        assert sympy.simplify(exact - line) == 0
    _, _, score, activation, _ = forward()
    gradient = torch.autograd.grad(activation, score)[0].item()
    value, again = numbers("eq-pt-da-dz")
    assert value == again == round(activation.item(), 5)
    assert math.isclose(value * (1 - value), gradient, rel_tol=1e-4)


@verifies("eq-pt-dz-dw", by="SymPy 求导")
def test_dz_dw():
    assert sympy.diff(w1 * x1 + b, w1) == x1
    assert numbers("eq-pt-dz-dw") == [X1]


@verifies("eq-pt-dl-dw", by="把印出的数乘起来，与 autograd 比较")
def test_dl_dw():
    one, a1, a2, a3, feature, result = numbers("eq-pt-dl-dw")
    weight, _, _, activation, loss = forward()
    gradient = torch.autograd.grad(loss, weight)[0].item()
    assert a1 == a2 == a3 == round(activation.item(), 5)
    product = (-one / a1) * a2 * (1 - a3) * feature
    assert round(product, 4) == round(gradient, 4) == result


@verifies("eq-pt-crossover", by="SymPy 解方程")
def test_crossover():
    n, rc, rg, t0 = sympy.symbols("n r_c r_g t_0", positive=True)
    slower, faster = 2 * n**3 / rc, t0 + 2 * n**3 / rg
    crossing = (t0 / (2 * (1 / rc - 1 / rg))) ** sympy.Rational(1, 3)
    values = {rc: 5, rg: 80, t0: 3}
    assert sympy.simplify((slower - faster).subs(n, crossing)) == 0
    gap = (slower - faster).subs(values)
    point = crossing.subs(values)
    assert gap.subs(n, point * 0.9) < 0 < gap.subs(n, point * 1.1)  # 小的 CPU 快，大的 GPU 快


@verifies("eq-pt-ddp", by="R 份等大的小批量各自求梯度再平均，与合并的一批比较；份不等大时不相等")
def test_ddp():
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Linear(5, 8), torch.nn.Tanh(), torch.nn.Linear(8, 3)
    ).double()  # fmt: skip
    x_all, y_all = torch.randn(12, 5, dtype=torch.float64), torch.arange(12) % 3

    def gradient(rows):
        loss = F.cross_entropy(model(x_all[rows]), y_all[rows])
        parts = torch.autograd.grad(loss, model.parameters())
        return torch.cat([part.flatten() for part in parts])

    whole = gradient(slice(None))
    for ranks in (2, 3, 4):
        average = sum(gradient(slice(r, None, ranks)) for r in range(ranks)) / ranks
        assert torch.allclose(average, whole, rtol=1e-12, atol=1e-14)
    uneven = (gradient(slice(0, 9)) + gradient(slice(9, 12))) / 2
    assert not torch.allclose(uneven, whole, rtol=1e-3)


@verifies("eq-pt-ring", by="一拍一拍地模拟，数每个进程发送的字节")
def test_ring():
    for ranks in (2, 3, 4, 8):
        size = 24 * ranks
        data = np.random.default_rng(0).integers(0, 9, (ranks, size)).astype(float)
        chunks = [list(np.split(row.copy(), ranks)) for row in data]
        sent = np.zeros(ranks)
        for beat in range(2 * (ranks - 1)):
            adding = beat < ranks - 1
            step = beat if adding else beat - ranks
            messages = [(r, (r - step) % ranks) for r in range(ranks)]
            values = [chunks[r][k].copy() for r, k in messages]
            for (r, k), value in zip(messages, values, strict=True):
                target = chunks[(r + 1) % ranks]
                target[k] = target[k] + value if adding else value
                sent[r] += value.nbytes
        for row in chunks:
            assert np.array_equal(np.concatenate(row), data.sum(axis=0))
        total = data[0].nbytes
        assert np.allclose(sent, 2 * (ranks - 1) * total / ranks)
        assert np.allclose(sent, 2 * (1 - 1 / ranks) * total)
        assert (sent < 2 * total).all()
