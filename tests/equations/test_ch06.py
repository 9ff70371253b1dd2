"""第 6 章公式的核对：二次函数上的收敛比例、各种优化方法的一步、方差的传播。"""

import numpy as np
import sympy as sp
import torch
from bookcheck.equations import definition, verifies

import dlbook
from dlbook import optim
from dlbook.training import warmup_cosine

rng = np.random.default_rng(6)
definition("eq-learn-quadratic", "约定的例子：沿特征方向摆好坐标轴的二次函数")


def close(actual, expected, tolerance=1e-10):
    np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance)


@verifies("eq-learn-unbiased", "eq-learn-noise", by="枚举 5 个样本里有放回地抽 3 个的全部 125 种批")
def test_minibatch_gradient():
    gradients = rng.normal(size=(5, 2))
    index = np.stack(np.meshgrid(*[np.arange(5)] * 3), axis=-1).reshape(-1, 3)
    means = gradients[index].mean(axis=1)
    full = gradients.mean(axis=0)
    close(means.mean(axis=0), full)
    sigma2 = np.mean(np.sum((gradients - full) ** 2, axis=1))
    close(np.mean(np.sum((means - full) ** 2, axis=1)), sigma2 / 3)


def walk(make, start, f, steps):
    point = dlbook.tensor(start, dtype=dlbook.float64, requires_grad=True)
    optimizer = make([point])
    trail = [point.detach().numpy().copy()]
    for _ in range(steps):
        optimizer.zero_grad()
        f(point).backward()
        optimizer.step()
        trail.append(point.detach().numpy().copy())
    return np.array(trail)


def bowl(lam):
    weight = dlbook.tensor(lam, dtype=dlbook.float64)
    return lambda x: 0.5 * (weight * x * x).sum()


@verifies("eq-learn-contraction", by="真的用 dlbook.optim.SGD 走，与公式逐步比较")
def test_contraction():
    lam = np.array([1.0, 4.0, 9.0])
    trail = walk(lambda p: optim.SGD(p, lr=0.15), [1.0, -2.0, 0.5], bowl(lam), 8)
    close(trail, trail[0] * (1 - 0.15 * lam) ** np.arange(9)[:, None])


@verifies("eq-learn-best-rate", by="网格搜索学习率：最差方向的比例在公式处最小，且等于公式")
def test_best_rate():
    low, high = 0.7, 11.0
    rates = np.linspace(1e-3, 2 / high, 200_001)
    worst = np.maximum(np.abs(1 - rates * low), np.abs(1 - rates * high))
    assert abs(rates[worst.argmin()] - 2 / (low + high)) < 1e-5
    kappa = high / low
    assert abs(worst.min() - (kappa - 1) / (kappa + 1)) < 1e-4


@verifies("eq-learn-momentum", "eq-learn-recursion", by="dlbook.optim.SGD 的轨迹满足两个递推")
def test_momentum():
    lam, lr, beta = np.array([1.0, 6.0]), 0.1, 0.8
    trail = walk(lambda p: optim.SGD(p, lr=lr, momentum=beta), [1.0, 2.0], bowl(lam), 12)
    x, v = trail[0], np.zeros(2)
    for seen in trail[1:]:
        v = beta * v + lam * x
        x = x - lr * v
        close(x, seen)
    close(trail[2:], (1 + beta - lr * lam) * trail[1:-1] - beta * trail[:-2])


@verifies("eq-learn-effective", by="恒定的梯度走 400 步")
def test_effective_step():
    v = 0.0
    for _ in range(400):
        v = 0.9 * v + 2.5
    close(v, 2.5 / (1 - 0.9))


@verifies(
    "eq-learn-momentum-rate", by="SymPy 解方程；递推矩阵的谱半径在两端恰为 √β，邻近的参数都更大"
)
def test_momentum_rate():
    low, high, root = sp.symbols("lambda_min lambda_max r", positive=True)
    lr = sp.symbols("eta", positive=True)
    r = (sp.sqrt(high) - sp.sqrt(low)) / (sp.sqrt(high) + sp.sqrt(low))
    rate = (2 / (sp.sqrt(high) + sp.sqrt(low))) ** 2
    equations = [(1 - root) ** 2 - lr * low, (1 + root) ** 2 - lr * high]
    for equation in equations:
        assert sp.simplify(equation.subs({root: r, lr: rate})) == 0

    def radius(beta, eta, curvatures=(1.0, 25.0)):
        worst = 0.0
        for lam in curvatures:
            matrix = np.array([[1 + beta - eta * lam, -beta], [1.0, 0.0]])
            worst = max(worst, np.abs(np.linalg.eigvals(matrix)).max())
        return worst

    best_beta, best_rate = ((5 - 1) / (5 + 1)) ** 2, (2 / (5 + 1)) ** 2
    assert abs(radius(best_beta, best_rate) - np.sqrt(best_beta)) < 1e-6
    for db, dr in ((0.02, 0), (-0.02, 0), (0, 0.005), (0, -0.005)):
        assert radius(best_beta + db, best_rate + dr) > np.sqrt(best_beta) + 1e-4


def against_formula(make, update, steps=15):
    """随机的梯度序列喂给 dlbook 的优化器，与公式写成的 update(x, g, t) 比较。"""
    gradients = rng.normal(size=(steps, 4))
    point = dlbook.tensor(np.ones(4), requires_grad=True)
    optimizer = make([point])
    x = np.ones(4)
    for t, g in enumerate(gradients, start=1):
        point.grad = dlbook.tensor(g)
        optimizer.step()
        x = update(x, g, t)
        close(point.detach().numpy(), x)


@verifies(
    "eq-learn-nesterov",
    by="随机的梯度，与 dlbook.optim 逐步比较；又与“先走一步再求梯度”的写法比较",
)
def test_nesterov():
    state = {"v": 0.0}

    def update(x, g, t):
        state["v"] = 0.9 * state["v"] + g
        return x - 0.1 * (g + 0.9 * state["v"])

    against_formula(lambda p: optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True), update)
    lam, start = np.array([1.0, 6.0]), np.array([1.0, 2.0])
    seen = walk(lambda p: optim.SGD(p, lr=0.1, momentum=0.8, nesterov=True), start, bowl(lam), 12)
    x, v, ahead = start, np.zeros(2), []
    for _ in range(13):
        ahead.append(x - 0.1 * 0.8 * v)
        v = 0.8 * v + lam * ahead[-1]
        x = x - 0.1 * v
    close(seen, ahead)


@verifies("eq-learn-adagrad", by="随机的梯度序列，与 dlbook.optim（同 torch.optim）逐步比较")
def test_adagrad():
    state = {"s": 0.0}

    def update(x, g, t):
        state["s"] = state["s"] + g * g
        return x - 0.1 * g / (np.sqrt(state["s"]) + 1e-10)

    against_formula(lambda p: optim.Adagrad(p, lr=0.1), update)


@verifies("eq-learn-rmsprop", by="随机的梯度序列，与 dlbook.optim（同 torch.optim）逐步比较")
def test_rmsprop():
    state = {"s": 0.0}

    def update(x, g, t):
        state["s"] = 0.99 * state["s"] + 0.01 * g * g
        return x - 0.1 * g / (np.sqrt(state["s"]) + 1e-8)

    against_formula(lambda p: optim.RMSprop(p, lr=0.1), update)


def adam_update(decay):
    state = {"m": 0.0, "s": 0.0}

    def update(x, g, t):
        state["m"] = 0.9 * state["m"] + 0.1 * g
        state["s"] = 0.999 * state["s"] + 0.001 * g * g
        m, s = state["m"] / (1 - 0.9**t), state["s"] / (1 - 0.999**t)
        return (1 - 0.1 * decay) * x - 0.1 * m / (np.sqrt(s) + 1e-8)

    return update


@verifies(
    "eq-learn-adam",
    "eq-learn-adamw",
    by="随机的梯度序列，与 dlbook.optim（同 torch.optim）逐步比较",
)
def test_adam_and_adamw():
    against_formula(lambda p: optim.Adam(p, lr=0.1), adam_update(0))
    against_formula(lambda p: optim.AdamW(p, lr=0.1, weight_decay=0.3), adam_update(0.3))


@verifies("eq-learn-bias", by="SymPy：等比数列之和")
def test_bias_correction():
    b = sp.symbols("beta", positive=True)
    for t in (1, 2, 7):
        total = (1 - b) * sum(b**k for k in range(t))
        assert sp.expand(total - (1 - b**t)) == 0


@verifies(
    "eq-learn-cosine",
    by="与 torch 的余弦、dlbook.training.warmup_cosine 逐步比较；每步都大于 0",
)
def test_warmup_cosine():
    total, warmup, top = 50, 10, 0.3

    def formula(t):
        if t < warmup:
            return top * (t + 1) / warmup
        return top / 2 * (1 + np.cos(np.pi * (t - warmup) / (total - warmup)))

    def rates(schedule_of, steps):
        optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=top)
        schedule = schedule_of(optimizer)
        for _ in range(steps):
            yield optimizer.param_groups[0]["lr"]
            optimizer.step()
            schedule.step()

    whole = [formula(t) for t in range(total)]
    close(list(rates(lambda o: warmup_cosine(o, total, warmup=warmup), total)), whole)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR
    close(list(rates(lambda o: cosine(o, total - warmup), total - warmup)), whole[warmup:])
    close([whole[warmup - 1], whole[warmup], formula(total)], [top, top, 0])
    assert min(whole) > 0


@verifies("eq-learn-variance", "eq-learn-relu-half", by="精确的积分，以及两百万次抽样")
def test_variance_propagation():
    x = sp.symbols("x", real=True)
    s = sp.symbols("s", positive=True)
    density = sp.exp(-(x**2) / (2 * s**2)) / (sp.sqrt(2 * sp.pi) * s)
    assert sp.simplify(sp.integrate(x**2 * density, (x, 0, sp.oo)) - s**2 / 2) == 0
    n, sigma = 50, 0.3
    w, a = sigma * rng.normal(size=(40_000, n)), rng.uniform(0, 1, (40_000, n))
    z = (w * a).sum(axis=1)
    assert abs(z.var() / (n * sigma**2 * np.mean(a**2)) - 1) < 0.03


@verifies("eq-learn-backward-variance", by="自动求导得到的梯度，在许多个随机的线性层上的方差")
def test_backward_variance():
    n_in, n_out, sigma, s = 30, 200, 0.2, 1.7
    measured = []
    for _ in range(400):
        weight = torch.tensor(sigma * rng.normal(size=(n_out, n_in)))
        a = torch.tensor(rng.normal(size=n_in), requires_grad=True)
        (weight @ a).backward(torch.tensor(s * rng.normal(size=n_out)))
        measured.append(a.grad.numpy())
    assert abs(np.var(measured) / (n_out * sigma**2 * s**2) - 1) < 0.05


@verifies(
    "eq-learn-scale-invariant", by="层归一化与批归一化（ε = 0）：放大权重，输出不变，梯度反比缩小"
)
def test_normalization_removes_the_scale():
    x, weight = torch.tensor(rng.normal(size=(16, 5))), rng.normal(size=(7, 5))
    wanted = torch.tensor(rng.normal(size=(16, 7)))

    def batch_norm(z):
        return torch.nn.functional.batch_norm(z, None, None, training=True, eps=1e-14)

    def layer_norm(z):
        return torch.nn.functional.layer_norm(z, (7,), eps=1e-14)

    for norm in (layer_norm, batch_norm):
        outputs, gradients = [], []
        for c in (1.0, 0.01, 30.0):
            w = torch.tensor(c * weight, requires_grad=True)
            out = norm(x @ w.T)
            ((out - wanted) ** 2).sum().backward()
            outputs.append(out.detach().numpy())
            gradients.append(c * w.grad.numpy())
        close(outputs[1:], [outputs[0]] * 2, 1e-6)
        close(gradients[1:], [gradients[0]] * 2, 1e-6)


@verifies(
    "eq-learn-he",
    "eq-learn-xavier",
    by="与 torch.nn.init 比较；He 使二十层的方差保持不变，减半则每层减半",
)
def test_initializations():
    weight = torch.empty(3000, 2000)
    torch.manual_seed(0)
    torch.nn.init.kaiming_normal_(weight, nonlinearity="relu")
    assert abs(weight.var().item() / (2 / 2000) - 1) < 0.01
    torch.nn.init.xavier_normal_(weight)
    assert abs(weight.var().item() / (2 / 5000) - 1) < 0.01
    for factor, low, high in ((2, 0.4, 2.5), (1, 0.4 / 2**20, 2.5 / 2**20)):
        a = rng.normal(size=(200, 400))
        start = np.mean(a**2)
        for _ in range(20):
            a = np.maximum(0, a @ (np.sqrt(factor / 400) * rng.normal(size=(400, 400))))
        assert low < np.mean(a**2) / start < high


@verifies(
    "eq-learn-sigmoid-bound", by="SymPy 求 sigmoid 导数的最大值；随机的二十层链与自动求导比较"
)
def test_sigmoid_bound():
    x = sp.symbols("x", real=True)
    slope = sp.diff(1 / (1 + sp.exp(-x)), x)
    assert slope.subs(x, 0) == sp.Rational(1, 4)
    assert sp.simplify(sp.diff(slope, x).subs(x, 0)) == 0
    weights = rng.normal(size=20)
    start = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    a = start
    for w in weights:
        a = torch.sigmoid(w * a)
    a.backward()
    assert abs(start.grad.item()) <= np.prod(np.abs(weights) / 4)


@verifies("eq-learn-clip", by="与 torch.nn.utils.clip_grad_norm_ 比较，长度超过与不超过两种")
def test_clip():
    for scale in (0.01, 10.0):
        g = scale * rng.normal(size=6)
        parameter = torch.zeros(6, dtype=torch.float64, requires_grad=True)
        parameter.grad = torch.tensor(g)
        torch.nn.utils.clip_grad_norm_([parameter], 1.0)
        close(parameter.grad.numpy(), g * min(1, 1 / np.linalg.norm(g)), 1e-5)


@verifies("eq-learn-newton", by="二次函数上一步到极小点，不论条件数")
def test_newton():
    for _ in range(3):
        A = rng.normal(size=(4, 4))
        H = A @ A.T + 0.01 * np.eye(4)
        c, x = rng.normal(size=4), rng.normal(size=4)
        x = x - np.linalg.solve(H, H @ (x - c))
        close(x, c, 1e-8)
