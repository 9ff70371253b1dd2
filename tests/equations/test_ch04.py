"""第 4 章每个带标签的公式：逐字写成循环，与 PyTorch、数值微分比较。"""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from bookcheck.equations import verifies

import dlbook
from dlbook import backprop
from dlbook.autograd.gradcheck import numerical_gradient
from dlbook.models import cnn

N, C, OUT, K, H, W = 2, 3, 4, 3, 7, 6
CASES = [(1, 0), (1, 1), (2, 0), (2, 1), (3, 2)]  # 步幅、填充
rng = np.random.default_rng(0)
X, WEIGHT = rng.normal(size=(N, C, H, W)), rng.normal(size=(OUT, C, K, K))
BIAS = rng.normal(size=OUT)


def padded(x, p):
    return np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)))


def size_by_formula(n, s, p):
    return (n + 2 * p - K) // s + 1


def upstream(s, p):
    shape = (N, OUT, size_by_formula(H, s, p), size_by_formula(W, s, p))
    return np.random.default_rng(s + 10 * p).normal(size=shape)


def torch_gradients(s, p):
    """损失取 Σ g·y，PyTorch 给出的三个梯度。"""
    leaves = [torch.tensor(a, requires_grad=True) for a in (X, WEIGHT, BIAS)]
    y = F.conv2d(*leaves, stride=s, padding=p)
    (torch.tensor(upstream(s, p)) * y).sum().backward()
    return [leaf.grad.numpy() for leaf in leaves]


@verifies("eq-conv", by="公式逐字写成七重循环，与 torch.nn.functional.conv2d 比较，五种步幅与填充")
def test_conv():
    for s, p in CASES:
        expected = F.conv2d(*map(torch.tensor, (X, WEIGHT, BIAS)), stride=s, padding=p).numpy()
        y = np.zeros_like(expected)
        xp = padded(X, p)
        for n, o, i, j in np.ndindex(y.shape):
            y[n, o, i, j] = BIAS[o] + sum(
                xp[n, c, s * i + u, s * j + v] * WEIGHT[o, c, u, v]
                for c, u, v in np.ndindex(C, K, K)
            )
        np.testing.assert_allclose(y, expected, rtol=1e-9, atol=1e-12)
        engine, _ = backprop.conv2d(X, WEIGHT, BIAS, (s, s), (p, p))
        np.testing.assert_allclose(engine, expected, rtol=1e-9, atol=1e-12)


@verifies("eq-equivariance", by="四边留白的随机图，先挪后卷与先卷后挪逐位相等；不留白时不等")
def test_equivariance():
    image = np.zeros((1, 1, 16, 16))
    image[0, 0, 5:10, 4:9] = rng.normal(size=(5, 5))
    for move in [(0, 1), (2, 0), (1, 3), (-2, -1)]:
        both = [
            backprop.conv2d(np.roll(image, move, axis=(2, 3)), WEIGHT[:1, :1])[0],
            np.roll(backprop.conv2d(image, WEIGHT[:1, :1])[0], move, axis=(2, 3)),
        ]
        np.testing.assert_allclose(*both, rtol=1e-12, atol=1e-14)
    full = rng.normal(size=(1, 1, 16, 16))
    shifted = backprop.conv2d(np.roll(full, 3, axis=3), WEIGHT[:1, :1])[0]
    assert not np.allclose(shifted, np.roll(backprop.conv2d(full, WEIGHT[:1, :1])[0], 3, axis=3))


@verifies("eq-conv-parameters", by="与 torch.nn.Conv2d 的参数个数比较")
def test_parameters():
    for c, o, k in [(1, 16, 5), (16, 32, 3), (32, 32, 3), (7, 2, 1)]:
        layer = torch.nn.Conv2d(c, o, k)
        assert sum(p.numel() for p in layer.parameters()) == o * (c * k**2 + 1)


@verifies("eq-conv-output-size", by="与 PyTorch 输出的形状比较，四百多种大小、核、步幅、填充")
def test_output_size():
    for size in range(1, 12):
        for k in range(1, 6):
            for s in range(1, 4):
                for p in range(3):
                    expected = (size + 2 * p - k) // s + 1
                    if size + 2 * p < k:
                        assert expected <= 0
                        continue
                    y = F.conv2d(torch.ones(1, 1, size, 9), torch.ones(1, 1, k, 1), None,
                                 stride=(s, 1), padding=(p, 0))  # fmt: skip
                    assert y.shape[2] == expected


@verifies("eq-receptive-field", by="改动每一个输入，数出能影响输出一格的范围，七种网络")
def test_receptive_field():
    networks = [
        [(3, 1)], [(5, 2)], [(3, 1), (3, 1)], [(3, 2), (3, 2)], [(2, 2), (3, 1)],
        [(5, 2), (3, 1), (2, 2), (3, 1), (2, 2)], [(1, 1), (4, 3), (2, 1)],
    ]  # fmt: skip
    for layers in networks:
        field, jump = 1, 1
        for k, s in layers:
            field, jump = field + (k - 1) * jump, jump * s
        x = torch.zeros(1, 1, 60, requires_grad=True)
        y = x
        for k, s in layers:
            y = F.conv1d(y, torch.ones(1, 1, k), stride=s)
        y[0, 0, 1].backward()
        assert int((x.grad != 0).sum()) == field


@verifies("eq-im2col", by="torch.nn.functional.unfold 展开后做矩阵乘法，与卷积比较")
def test_im2col():
    for s, p in CASES:
        columns = F.unfold(torch.tensor(X), K, padding=p, stride=s).numpy()
        rows = columns.transpose(0, 2, 1).reshape(-1, C * K * K)
        y = rows @ WEIGHT.reshape(OUT, -1).T + BIAS
        expected, _ = backprop.conv2d(X, WEIGHT, BIAS, (s, s), (p, p))
        np.testing.assert_allclose(
            y, expected.transpose(0, 2, 3, 1).reshape(-1, OUT), rtol=1e-9, atol=1e-12
        )


@verifies("eq-conv-backward-bias", by="公式写成循环，与 PyTorch 的自动求导比较")
def test_backward_bias():
    for s, p in CASES:
        np.testing.assert_allclose(upstream(s, p).sum(axis=(0, 2, 3)), torch_gradients(s, p)[2])


@verifies("eq-conv-backward-weight", by="公式写成循环，与 PyTorch 的自动求导比较")
def test_backward_weight():
    for s, p in CASES:
        g, xp = upstream(s, p), padded(X, p)
        dw = np.zeros_like(WEIGHT)
        for n, o, i, j in np.ndindex(g.shape):
            for c, u, v in np.ndindex(C, K, K):
                dw[o, c, u, v] += g[n, o, i, j] * xp[n, c, s * i + u, s * j + v]
        np.testing.assert_allclose(dw, torch_gradients(s, p)[1], rtol=1e-9, atol=1e-12)


@verifies("eq-conv-backward-input", by="公式写成循环（条件 si+u=a、sj+v=b），与 PyTorch 比较")
def test_backward_input():
    for s, p in CASES:
        g = upstream(s, p)
        rows, columns = g.shape[2:]
        dx = np.zeros_like(padded(X, p))
        for c, a, b in np.ndindex(dx.shape[1:]):
            for i, j in np.ndindex(rows, columns):
                u, v = a - s * i, b - s * j
                if 0 <= u < K and 0 <= v < K:
                    dx[:, c, a, b] += g[:, :, i, j] @ WEIGHT[:, c, u, v]
        inside = dx[:, :, p : p + H, p : p + W]
        np.testing.assert_allclose(inside, torch_gradients(s, p)[0], rtol=1e-9, atol=1e-12)


@verifies("eq-conv-backward-matrix", by="torch 的 unfold、fold 之间做两次矩阵乘法，与 PyTorch 比较")
def test_backward_matrix():
    for s, p in CASES:
        g = upstream(s, p)
        G = g.transpose(0, 2, 3, 1).reshape(-1, OUT)
        columns = F.unfold(torch.tensor(X), K, padding=p, stride=s).numpy()
        rows = columns.transpose(0, 2, 1).reshape(-1, C * K * K)
        dx, dw, _ = torch_gradients(s, p)
        np.testing.assert_allclose((G.T @ rows).reshape(dw.shape), dw, rtol=1e-9, atol=1e-12)
        drows = (G @ WEIGHT.reshape(OUT, -1)).reshape(N, -1, C * K * K).transpose(0, 2, 1)
        folded = F.fold(torch.tensor(drows.copy()), (H, W), K, padding=p, stride=s).numpy()
        np.testing.assert_allclose(folded, dx, rtol=1e-9, atol=1e-12)


def blocks(x, k):
    n, c, h, w = x.shape
    return x.reshape(n, c, h // k, k, w // k, k)


@verifies("eq-pool", by="与 PyTorch 的 max_pool2d、avg_pool2d 比较")
def test_pool():
    for k in (2, 3):
        x = np.random.default_rng(k).normal(size=(2, 3, 6, 12))
        tx = torch.tensor(x)
        np.testing.assert_array_equal(blocks(x, k).max(axis=(3, 5)), F.max_pool2d(tx, k).numpy())
        np.testing.assert_allclose(blocks(x, k).mean(axis=(3, 5)), F.avg_pool2d(tx, k).numpy())


@verifies("eq-pool-backward", by="公式（赢家得全部；平分 k² 份）与 PyTorch 的自动求导比较")
def test_pool_backward():
    for k in (2, 3):
        x = np.random.default_rng(k).normal(size=(2, 3, 6, 12))
        top = blocks(x, k).max(axis=(3, 5), keepdims=True)
        g = np.random.default_rng(9).normal(size=top.shape)
        for pool, dx in (
            (F.max_pool2d, g * (blocks(x, k) == top)),
            (F.avg_pool2d, np.broadcast_to(g / k**2, blocks(x, k).shape)),
        ):
            tx = torch.tensor(x, requires_grad=True)
            (pool(tx, k) * torch.tensor(g[:, :, :, 0, :, 0])).sum().backward()
            np.testing.assert_allclose(dx.reshape(x.shape), tx.grad.numpy(), rtol=1e-12)


@verifies("eq-cnn-batch-norm", by="公式与 torch.nn.functional.batch_norm、dlbook.backprop 比较")
def test_batch_norm():
    gamma, beta = rng.normal(size=C), rng.normal(size=C)
    mean = X.mean(axis=(0, 2, 3), keepdims=True)
    variance = ((X - mean) ** 2).mean(axis=(0, 2, 3), keepdims=True)
    y = gamma[:, None, None] * (X - mean) / np.sqrt(variance + 1e-5) + beta[:, None, None]
    expected = F.batch_norm(torch.tensor(X), None, None, torch.tensor(gamma), torch.tensor(beta),
                            training=True).numpy()  # fmt: skip
    np.testing.assert_allclose(y, expected, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(backprop.batch_norm(X, gamma, beta)[0], expected, rtol=1e-9,
                               atol=1e-12)  # fmt: skip


@verifies("eq-cnn-running", by="公式与 torch.nn.BatchNorm2d、dlbook.nn.BatchNorm2d 走三批之后比较")
def test_running_statistics():
    ours, theirs = dlbook.nn.BatchNorm2d(C), torch.nn.BatchNorm2d(C)
    mean, variance, m, count = np.zeros(C), np.ones(C), 0.1, N * H * W
    for seed in range(3):
        x = np.random.default_rng(seed).normal(2, 3, size=(N, C, H, W)).astype(np.float32)
        mean = (1 - m) * mean + m * x.mean(axis=(0, 2, 3))
        variance = (1 - m) * variance + m * count / (count - 1) * x.var(axis=(0, 2, 3))
        ours(dlbook.from_numpy(x))
        theirs(torch.tensor(x))
    for layer in (ours, theirs):
        np.testing.assert_allclose(layer.running_mean.numpy(), mean, rtol=1e-5)
        np.testing.assert_allclose(layer.running_var.numpy(), variance, rtol=1e-5)


@verifies("eq-cnn-one-cycle", by="公式与 dlbook.models.cnn.one_cycle 比较，并核对两端、峰值与连续")
def test_one_cycle():
    t = np.linspace(0, 1, 101)
    expected = np.where(t < 0.2, t / 0.2, (1 - t) / 0.8)
    np.testing.assert_allclose([cnn.one_cycle(v) for v in t], expected, atol=1e-12)
    assert cnn.one_cycle(0.0) == 0 and cnn.one_cycle(1.0) == 0
    assert cnn.one_cycle(0.2) == pytest.approx(1)
    assert cnn.one_cycle(0.2 - 1e-9) == pytest.approx(1)


def small_model():
    """float64 的小网络，两个引擎各一份，参数相同。"""
    generator = np.random.default_rng(3)
    w, head = generator.normal(size=(2, 1, 3, 3)), generator.normal(size=(3, 2 * 16)) / 4

    def forward(lib, x):
        f = lib.nn.functional
        h = f.relu(f.conv2d(x, lib.tensor(w, dtype=lib.float64)))
        return f.linear(h.flatten(1), lib.tensor(head, dtype=lib.float64))

    return forward, generator.uniform(0.2, 0.8, size=(1, 1, 6, 6))


@verifies("eq-saliency", by="引擎对输入的梯度与数值微分、PyTorch 比较")
def test_saliency():
    forward, image = small_model()
    x = dlbook.tensor(image, dtype=dlbook.float64, requires_grad=True)
    forward(dlbook, x)[0, 1].backward()
    tx = torch.tensor(image, requires_grad=True)
    forward(torch, tx)[0, 1].backward()
    numeric = numerical_gradient(
        lambda a: forward(dlbook, dlbook.tensor(a, dtype=dlbook.float64)).numpy()[0, 1], image
    )
    np.testing.assert_allclose(x.grad.numpy(), tx.grad.numpy(), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(x.grad.numpy(), numeric, rtol=1e-6, atol=1e-8)


@verifies("eq-fgsm", by="同样大小的改动里，沿梯度符号的一阶增量最大（εΣ|∂𝓛|），实测损失增得也最多")
def test_sign_attack():
    forward, image = small_model()
    epsilon, target = 1e-3, [2]

    def loss(x):
        return F.cross_entropy(forward(torch, x), torch.tensor(target))

    def increase(attacked):
        with torch.no_grad():
            return (loss(torch.tensor(attacked)) - loss(torch.tensor(image))).item()

    x = torch.tensor(image, requires_grad=True)
    loss(x).backward()
    gradient = x.grad.numpy()
    step = epsilon * np.sign(gradient)
    attacked = np.clip(image + step, 0, 1)
    np.testing.assert_array_equal(attacked, image + step)  # 像素都在中间，夹取不起作用
    gain = increase(attacked)
    assert gain == pytest.approx(epsilon * np.abs(gradient).sum(), rel=0.05)
    signs = np.random.default_rng(0).choice([-1.0, 1.0], size=(200, *image.shape))
    assert all(increase(image + epsilon * s) < gain for s in signs)
