"""损失函数：均方误差，与 softmax 合在一起算的交叉熵；以及独热编码。

损失对批量取平均；空的批量没有平均值，抛出 ValueError（PyTorch 在此返回 nan，容易一路传下去）。

书中：eq-mse、eq-cross-entropy
"""

import numpy as np
from numpy.typing import DTypeLike

from dlbook.backprop._check import (
    InputError,
    check_floating,
    check_same_dtype,
    check_scalar_upstream,
    check_target,
)
from dlbook.backprop.products import row_max, row_sum


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
        raise InputError(f"input 与 target 应同形状，收到 {input.shape} 与 {target.shape}")
    if input.size == 0:
        raise InputError(f"没有元素，平均值无意义：input 的形状是 {input.shape}")
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
        raise InputError(f"input 应至少有一个样本、一个类别，收到形状 {input.shape}")
    m, num_classes = input.shape
    check_target(target, num_classes, m)
    # −log softmax(z)[t] = log Σⱼ exp(zⱼ) − z[t]，先减去每行最大值，指数不再上溢；
    # 不经过概率再取对数，概率小到下溢为 0 时损失也不会变成 inf。
    z = input - row_max(input)
    z_target = z[np.arange(m), target]
    prob = np.exp(z, out=z)
    total = row_sum(prob)
    loss = (np.log(total[:, 0]) - z_target).sum() / m
    prob /= total
    return loss, (prob, target)


def cross_entropy_backward(dy: float, cache: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """dinput = dy · (softmax(input) − 独热(target)) / m；dy 是一个数，通常是 1.0。

    书中：eq-dz2
    """
    check_scalar_upstream(dy)
    prob, target = cache
    scale = float(dy) / len(target)
    dinput = prob * scale
    picked = np.arange(len(target)), target
    dinput[picked] = (prob[picked] - 1) * scale
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


def nll_loss(
    input: np.ndarray,
    target: np.ndarray,
    weight: np.ndarray | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> tuple[np.ndarray, tuple]:
    """−Σ wₜ input[t]：input 是对数概率 (m, C, …)，target (m, …) 是类别编号。

    weight (C,) 是各类的权重；编号等于 ignore_index 的样本不算。reduction 为 "mean" 时除以
    算进去的权重之和，"sum" 不除，"none" 逐样本给出。编号越界抛出 IndexError。

    书中：sec-bp-cross-entropy
    """
    check_floating("input", input)
    num_classes = input.shape[1 if input.ndim > 1 else 0]
    kept = target != ignore_index
    safe = target * kept
    if safe.size and not 0 <= safe.min() <= safe.max() < num_classes:
        raise IndexError(
            f"target 的编号应在 0 到 {num_classes - 1} 之间（或等于 ignore_index={ignore_index}），"
            f"收到 {safe.min()} 到 {safe.max()}"
        )
    share = kept.astype(input.dtype)
    if weight is not None:
        share *= weight[safe]
    rows = np.moveaxis(input, 1, -1) if input.ndim > 1 else input
    picked = np.take_along_axis(rows, safe[..., None], -1)[..., 0]
    loss = np.asarray(np.where(kept, -picked * share, input.dtype.type(0)))
    cache = (safe, share, rows.shape, input.ndim)
    if reduction == "none":
        return loss, (*cache, None)
    divisor = share.sum() if reduction == "mean" else input.dtype.type(1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return loss.sum() / divisor, (*cache, divisor)


def nll_loss_backward(dy: np.ndarray, cache: tuple) -> np.ndarray:
    """只有 target 那一类得到梯度 −dy · wₜ（"mean" 时再除以权重之和）。

    书中：sec-bp-cross-entropy
    """
    safe, share, shape, ndim = cache[:4]
    divisor = cache[4]
    dinput = np.zeros(shape, share.dtype)
    g = -dy * share if divisor is None else share * (-dy / divisor)
    np.put_along_axis(dinput, safe[..., None], np.asarray(g)[..., None], -1)
    return np.moveaxis(dinput, -1, 1) if ndim > 1 else dinput


def binary_cross_entropy(
    input: np.ndarray, target: np.ndarray
) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """逐元素的 −(t ln p + (1 − t) ln(1 − p))，p 在 0 与 1 之间；ln 截断在 −100，不会无穷大。

    书中：sec-bp-cross-entropy
    """
    check_floating("input", input)
    if input.size and not (input.min() >= 0 and input.max() <= 1):
        raise InputError("binary_cross_entropy 的 input 应是 0 到 1 之间的概率")
    with np.errstate(divide="ignore"):
        log_p = np.maximum(np.log(input), -100)
        log_q = np.maximum(np.log1p(-input), -100)
    return (target - 1) * log_q - target * log_p, (input, target)


def binary_cross_entropy_backward(
    dy: np.ndarray, cache: tuple[np.ndarray, np.ndarray]
) -> np.ndarray:
    """dp = dy ⊙ (p − t) / (p (1 − p))，分母不小于 1e−12（PyTorch 用的是 float32 的 1e−12）。

    书中：sec-bp-cross-entropy
    """
    p, t = cache
    return dy * (p - t) / np.maximum((1 - p) * p, float(np.float32(1e-12)))


def binary_cross_entropy_with_logits(
    input: np.ndarray, target: np.ndarray, pos_weight: np.ndarray | None = None
) -> tuple[np.ndarray, tuple]:
    """sigmoid 与二元交叉熵合在一起，逐元素：(1 − t) x + w · ln(1 + e⁻ˣ)。

    w = 1 + (pos_weight − 1) t，缺省为 1。ln(1 + e⁻ˣ) 写成 max(−x, 0) + ln(1 + e^{−|x|})，
    怎样的 x 都不会溢出。

    书中：sec-bp-cross-entropy
    """
    check_floating("input", input)
    w = 1.0 if pos_weight is None else (pos_weight - 1) * target + 1
    soft = np.log1p(np.exp(-np.abs(input))) + np.maximum(-input, 0)
    return (1 - target) * input + w * soft, (input, target, w)


def binary_cross_entropy_with_logits_backward(dy: np.ndarray, cache: tuple) -> np.ndarray:
    """dx = dy ⊙ (1 − t − w (1 − sigmoid(x)))；没有 pos_weight 时就是 sigmoid(x) − t。

    书中：sec-bp-cross-entropy
    """
    x, t, w = cache
    with np.errstate(over="ignore"):
        q = 1 / (1 + np.exp(x))
    return dy * (1 - t - w * q)
