"""归一化：LayerNorm、RMSNorm、BatchNorm。

三者都把数据排成矩阵 (行, D) 再算：LayerNorm、RMSNorm 沿每一行，BatchNorm 沿每一列。

书中：sec-bp-layernorm、sec-bp-rmsnorm
"""

import numpy as np

from dlbook.backprop._check import InputError, check_floating, check_upstream
from dlbook.backprop.products import column_sum, row_sum

Grads = tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None]


def layer_norm(
    input: np.ndarray,
    normalized_shape: tuple[int, ...],
    weight: np.ndarray | None = None,
    bias: np.ndarray | None = None,
    eps: float = 1e-5,
) -> tuple[np.ndarray, tuple]:
    """x̂ = (x − μ) / √(σ² + ε)，y = γ ⊙ x̂ + β；μ、σ² 在最后几轴（normalized_shape）上取。

    σ² 的除数是 D（不是 D − 1）。形状不合抛出 ValueError。

    书中：sec-bp-layernorm
    """
    rows = _as_rows(input, normalized_shape, weight, bias)
    d = float(rows.shape[1])
    xhat = rows - row_sum(rows) / d
    variance = np.einsum("ij,ij->i", xhat, xhat)[:, None] / d
    rstd = 1 / np.sqrt(variance + eps)
    xhat *= rstd
    return _affine(xhat, weight, bias).reshape(input.shape), (xhat, rstd, weight, input.shape)


def layer_norm_backward(
    dy: np.ndarray, cache: tuple, need: tuple[bool, bool, bool] = (True, True, True)
) -> Grads:
    """dγ = Σ dy ⊙ x̂，dβ = Σ dy（对行求和）；令 g = γ ⊙ dy，则

    dx = (g − 平均(g) − x̂ ⊙ 平均(g ⊙ x̂)) / √(σ² + ε)，平均沿每一行。

    书中：sec-bp-layernorm
    """
    xhat, rstd, weight, shape = cache
    check_upstream(dy, shape, xhat.dtype)
    dy = dy.reshape(xhat.shape)
    dweight, dbias = _affine_gradients(dy, xhat, weight, need)
    dx = None
    if need[0]:
        d = float(xhat.shape[1])
        g = dy if weight is None else dy * weight.reshape(-1)
        mean = row_sum(g) / d
        slope = np.einsum("ij,ij->i", g, xhat)[:, None] / d
        dx = xhat * -slope
        dx += g
        dx -= mean
        dx *= rstd
        dx = dx.reshape(shape)
    return dx, dweight, dbias


def rms_norm(
    input: np.ndarray,
    normalized_shape: tuple[int, ...],
    weight: np.ndarray | None = None,
    eps: float = 1e-5,
) -> tuple[np.ndarray, tuple]:
    """x̂ = x / √(平均(x²) + ε)，y = γ ⊙ x̂：不减平均、没有 β 的 LayerNorm。

    书中：sec-bp-rmsnorm
    """
    rows = _as_rows(input, normalized_shape, weight, None)
    d = float(rows.shape[1])
    rstd = 1 / np.sqrt(np.einsum("ij,ij->i", rows, rows)[:, None] / d + eps)
    xhat = rows * rstd
    return _affine(xhat, weight, None).reshape(input.shape), (xhat, rstd, weight, input.shape)


def rms_norm_backward(
    dy: np.ndarray, cache: tuple, need: tuple[bool, bool] = (True, True)
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """dγ = Σ dy ⊙ x̂；令 g = γ ⊙ dy，则 dx = (g − x̂ ⊙ 平均(g ⊙ x̂)) / √(平均(x²) + ε)。

    书中：sec-bp-rmsnorm
    """
    xhat, rstd, weight, shape = cache
    check_upstream(dy, shape, xhat.dtype)
    dy = dy.reshape(xhat.shape)
    dweight, _ = _affine_gradients(dy, xhat, weight, (True, need[1], False))
    dx = None
    if need[0]:
        g = dy if weight is None else dy * weight.reshape(-1)
        dx = xhat * (np.einsum("ij,ij->i", g, xhat)[:, None] / -float(xhat.shape[1]))
        dx += g
        dx *= rstd
        dx = dx.reshape(shape)
    return dx, dweight


def batch_norm(
    input: np.ndarray,
    weight: np.ndarray | None = None,
    bias: np.ndarray | None = None,
    eps: float = 1e-5,
    statistics: tuple[np.ndarray, np.ndarray] | None = None,
    training: bool = True,
) -> tuple[np.ndarray, tuple]:
    """与 LayerNorm 同一个公式，但 μ、σ² 对每个通道、在整个批（与所有像素）上取。

    input (N, C, …)。statistics =（均值，方差）可以事先给：训练时是 :func:`channel_statistics`
    算好的（不给就现算），评估（training 为假）时是训练中攒下的常数。

    书中：sec-bp-layernorm
    """
    check_floating("input", input)
    if input.ndim < 2:
        raise InputError(f"input 的形状应是 (N, C, …)，收到 {input.shape}")
    for name, p in (("weight", weight), ("bias", bias)):
        if p is not None and p.shape != input.shape[1:2]:
            raise InputError(f"{name} 的形状应是 ({input.shape[1]},)（通道数），收到 {p.shape}")
    moved = np.moveaxis(input, 1, -1)
    rows = moved.reshape(-1, input.shape[1])
    mean, variance = statistics or channel_statistics(input)
    rstd = 1 / np.sqrt(variance + eps)
    xhat = rows - mean
    xhat *= rstd
    y = _affine(xhat, weight, bias).reshape(moved.shape)
    return np.moveaxis(y, -1, 1), (xhat, rstd, weight, input.shape, training)


def channel_statistics(input: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """input (N, C, …) 每个通道的均值与（除以个数的）方差。

    书中：sec-bp-layernorm
    """
    rows = np.moveaxis(input, 1, -1).reshape(-1, input.shape[1])
    n = float(len(rows))
    mean = column_sum(rows) / n
    center = rows - mean
    center *= center
    return mean, column_sum(center) / n


def batch_norm_backward(
    dy: np.ndarray, cache: tuple, need: tuple[bool, bool, bool] = (True, True, True)
) -> Grads:
    """公式同 LayerNorm，只是平均沿每一列；统计量是给定的常数时，dx = γ ⊙ dy / √(σ² + ε)。

    书中：sec-bp-layernorm
    """
    xhat, rstd, weight, shape, training = cache
    check_upstream(dy, shape, xhat.dtype)
    moved = np.moveaxis(dy, 1, -1)
    rows = moved.reshape(xhat.shape)
    dgamma, dbeta = column_sum(rows * xhat), column_sum(rows)
    dx = None
    if need[0]:
        scale = rstd if weight is None else rstd * weight
        if training:
            n = float(len(rows))
            dx = xhat * (dgamma / -n)
            dx += rows
            dx -= dbeta / n
            dx *= scale
        else:
            dx = rows * scale
        dx = np.moveaxis(dx.reshape(moved.shape), -1, 1)
    return dx, dgamma if need[1] else None, dbeta if need[2] else None


def _as_rows(
    input: np.ndarray,
    normalized_shape: tuple[int, ...],
    weight: np.ndarray | None,
    bias: np.ndarray | None,
) -> np.ndarray:
    check_floating("input", input)
    k = len(normalized_shape)
    if k == 0 or tuple(input.shape[input.ndim - k :]) != tuple(normalized_shape):
        raise InputError(
            f"input 的最后几轴应是 normalized_shape {tuple(normalized_shape)}，收到 {input.shape}"
        )
    for name, p in (("weight", weight), ("bias", bias)):
        if p is not None and p.shape != tuple(normalized_shape):
            raise InputError(f"{name} 的形状应是 {tuple(normalized_shape)}，收到 {p.shape}")
    d = 1
    for n in normalized_shape:
        d *= n
    return input.reshape(-1, d) if input.size else input.reshape(0, d)


def _affine(xhat: np.ndarray, weight: np.ndarray | None, bias: np.ndarray | None) -> np.ndarray:
    y = xhat.copy() if weight is None else xhat * weight.reshape(-1)
    if bias is not None:
        y += bias.reshape(-1)
    return y


def _affine_gradients(
    dy: np.ndarray, xhat: np.ndarray, weight: np.ndarray | None, need: tuple[bool, bool, bool]
) -> tuple[np.ndarray | None, np.ndarray | None]:
    shape = None if weight is None else weight.shape
    dweight = column_sum(dy * xhat) if need[1] else None
    dbias = column_sum(dy) if need[2] else None
    return tuple(g if g is None or shape is None else g.reshape(shape) for g in (dweight, dbias))
