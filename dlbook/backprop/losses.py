"""损失函数：均方误差，与 softmax 合在一起算的交叉熵；以及独热编码。

损失对批量取平均；空的批量没有平均值，抛出 ValueError（PyTorch 在此返回 nan，容易一路传下去）。

书中：eq-mse、eq-cross-entropy
"""

import numpy as np
from numpy.typing import DTypeLike

from dlbook.backprop._check import (
    check_floating,
    check_same_dtype,
    check_scalar_upstream,
    check_target,
)


def mse_loss(input: np.ndarray, target: np.ndarray) -> tuple[np.floating, np.ndarray]:
    """均方误差：所有元素上 (input − target)² 的平均。

    input、target 同形状、同为浮点；返回一个数与 cache。形状不同抛出 ValueError——不做广播，
    因为 (m, 1) 减 (m,) 会悄悄变成 (m, m)。

    书中：eq-mse
    """
    check_floating("input", input)
    check_floating("target", target)
    check_same_dtype(input=input, target=target)
    if input.shape != target.shape:
        raise ValueError(f"input 与 target 应同形状，收到 {input.shape} 与 {target.shape}")
    if input.size == 0:
        raise ValueError(f"没有元素，平均值无意义：input 的形状是 {input.shape}")
    diff = input - target
    return np.mean(diff * diff), diff


def mse_loss_backward(dy: float, cache: np.ndarray) -> np.ndarray:
    """dinput = dy · 2 (input − target) / 元素个数；dy 是一个数，通常是 1.0。只求对 input 的梯度。

    书中：eq-mse
    """
    check_scalar_upstream(dy)
    diff = cache
    # float(dy) 是 Python 的数，不会把 float32 的 diff 升成 float64。
    return diff * (2 * float(dy) / diff.size)


def cross_entropy(
    input: np.ndarray, target: np.ndarray
) -> tuple[np.floating, tuple[np.ndarray, np.ndarray]]:
    """softmax 与交叉熵合在一起：各样本 −log softmax(input)[target] 的平均。

    input (m, C) 是 softmax 之前的分数（logits），浮点；target (m,) 是类别编号，整数，0 到 C − 1。
    返回一个数与 cache。形状不合、编号越界、m 或 C 为 0 时抛出 ValueError，
    dtype 不合抛出 TypeError。与 ``torch.nn.functional.cross_entropy`` 的默认行为一致。

    书中：eq-cross-entropy
    """
    check_floating("input", input, "(m, C)", 2)
    if input.size == 0:
        raise ValueError(f"input 应至少有一个样本、一个类别，收到形状 {input.shape}")
    m, num_classes = input.shape
    check_target(target, num_classes, m)
    # −log softmax(z)[t] = log Σⱼ exp(zⱼ) − z[t]，先减去每行最大值，指数不再上溢；
    # 不经过概率再取对数，概率小到下溢为 0 时损失也不会变成 inf。
    z = input - input.max(axis=1, keepdims=True)
    z_target = z[np.arange(m), target]
    prob = np.exp(z, out=z)
    total = prob.sum(axis=1, keepdims=True)
    loss = np.mean(np.log(total[:, 0]) - z_target)
    prob /= total
    return loss, (prob, target)


def cross_entropy_backward(dy: float, cache: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """dinput = dy · (softmax(input) − 独热(target)) / m；dy 是一个数，通常是 1.0。

    书中：eq-dz2
    """
    check_scalar_upstream(dy)
    prob, target = cache
    m = len(target)
    dinput = prob.copy()
    dinput[np.arange(m), target] -= 1
    dinput *= float(dy) / m
    return dinput


def one_hot(target: np.ndarray, num_classes: int, *, dtype: DTypeLike = np.float64) -> np.ndarray:
    """独热编码：target (m,) 整数 → (m, num_classes)，第 i 行只有第 target[i] 列是 1。

    与 ``torch.nn.functional.one_hot`` 相同，只是返回浮点数组（便于与概率相减），
    而且 num_classes 必须给：照 target 的最大值去猜，遇上缺了末几类的小批量就会少几列。
    编号越界或形状不合时抛出 ValueError，target 不是整数时抛出 TypeError。

    书中：eq-one-hot
    """
    check_target(target, num_classes)
    encoded = np.zeros((len(target), num_classes), dtype=dtype)
    encoded[np.arange(len(target)), target] = 1
    return encoded
