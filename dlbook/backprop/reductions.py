"""归约：沿若干轴把许多数变成一个。axis 是整数的元组，None 代表所有轴。

书中：sec-bp-layernorm、sec-bp-softmax
"""

import numpy as np

from dlbook.backprop._check import check_floating

Axis = tuple[int, ...] | None


def expand(array: np.ndarray, shape: tuple[int, ...], axis: Axis) -> np.ndarray:
    """归约的反面：把归约所得（不论留没留长度为 1 的轴）沿 axis 复制回 shape；只读的视图。

    书中：sec-bp-batch
    """
    axis = range(len(shape)) if axis is None else axis
    axis = {a % len(shape) for a in axis} if shape else set()
    kept = tuple(1 if i in axis else n for i, n in enumerate(shape))
    return np.broadcast_to(np.reshape(array, kept), shape)


def count(shape: tuple[int, ...], axis: Axis) -> int:
    """沿 axis 归约时，每个结果由多少个元素得来。

    书中：sec-bp-batch
    """
    n = 1
    for a in range(len(shape)) if axis is None else axis:
        n *= shape[a] if shape else 1
    return n


def sum(input: np.ndarray, axis: Axis = None, keepdims: bool = False) -> tuple[np.ndarray, tuple]:
    """y = Σ x，沿 axis。

    书中：sec-bp-batch
    """
    return input.sum(axis=axis, keepdims=keepdims), (input.shape, axis)


def sum_backward(dy: np.ndarray, cache: tuple) -> np.ndarray:
    """dx = dy 复制回去：和对每一项的导数都是 1。求和与广播互为反向。

    书中：sec-bp-batch
    """
    return expand(dy, *cache)


def mean(input: np.ndarray, axis: Axis = None, keepdims: bool = False) -> tuple[np.ndarray, tuple]:
    """y = Σ x / n，沿 axis；n = 0 时得 nan。

    书中：sec-bp-layernorm
    """
    n = count(input.shape, axis)
    total = input.sum(axis=axis, keepdims=keepdims)
    # 除以 Python 的数：np.mean 的除数是 float64 时会连累 float32 的结果。
    y = np.divide(total, float(n)).astype(input.dtype, copy=False)
    return y, (input.shape, axis, n)


def mean_backward(dy: np.ndarray, cache: tuple) -> np.ndarray:
    """dx = dy / n，复制回去。

    书中：sec-bp-layernorm
    """
    shape, axis, n = cache
    return expand(np.divide(dy, float(n)), shape, axis)


def prod(input: np.ndarray, axis: Axis = None, keepdims: bool = False) -> tuple[np.ndarray, tuple]:
    """y = Π x，沿 axis（至多一轴，或 None）。

    书中：sec-bp-engine
    """
    return input.prod(axis=axis, keepdims=keepdims), (input, axis)


def prod_backward(dy: np.ndarray, cache: tuple) -> np.ndarray:
    """dxᵢ = dy ⊙ Π_{j≠i} xⱼ。不写成 y / xᵢ：有 0 时就除不成了，所以左边的积乘以右边的积。

    书中：sec-bp-engine
    """
    x, axis = cache
    flat = x.reshape(1, -1) if axis is None else np.moveaxis(x, axis[0], -1)
    left, right = np.ones_like(flat), np.ones_like(flat)
    left[..., 1:] = np.cumprod(flat[..., :-1], -1)
    right[..., :-1] = np.cumprod(flat[..., :0:-1], -1)[..., ::-1]
    others = left * right
    others = others.reshape(x.shape) if axis is None else np.moveaxis(others, -1, axis[0])
    return expand(dy, x.shape, axis) * others


def var(
    input: np.ndarray, axis: Axis = None, correction: float = 1, keepdims: bool = False
) -> tuple[np.ndarray, tuple]:
    """方差 Σ (x − x̄)² / (n − correction)；correction = 1 是样本方差，0 是总体方差。

    书中：sec-bp-layernorm
    """
    n = count(input.shape, axis)
    center = input - mean(input, axis, keepdims=True)[0]
    total = (center * center).sum(axis=axis, keepdims=keepdims)
    divisor = max(float(n - correction), 0.0)
    y = np.divide(total, divisor).astype(input.dtype, copy=False)
    return y, (center, axis, divisor)


def var_backward(dy: np.ndarray, cache: tuple) -> np.ndarray:
    """dx = dy ⊙ 2 (x − x̄) / (n − correction)；x̄ 那一路的贡献之和恰好是零。

    书中：sec-bp-layernorm
    """
    center, axis, divisor = cache
    return expand(np.divide(dy * 2, divisor), center.shape, axis) * center


def std(
    input: np.ndarray, axis: Axis = None, correction: float = 1, keepdims: bool = False
) -> tuple[np.ndarray, tuple]:
    """标准差 √var。

    书中：sec-bp-layernorm
    """
    variance, cache = var(input, axis, correction, keepdims)
    y = np.sqrt(variance)
    return y, (y, cache)


def std_backward(dy: np.ndarray, cache: tuple) -> np.ndarray:
    """经过开方再经过方差：d var = dy / 2y。标准差为 0 处没有导数，取 0（与 PyTorch 相同）。

    书中：sec-bp-layernorm
    """
    y, var_cache = cache
    slope = np.divide(dy, 2 * y, out=np.zeros_like(y), where=np.asarray(y != 0))
    return var_backward(slope, var_cache)


def amax(input: np.ndarray, axis: Axis = None, keepdims: bool = False) -> tuple[np.ndarray, tuple]:
    """y = max x，沿 axis。没有元素时抛出 ValueError。

    书中：sec-bp-pool
    """
    y = input.max(axis=axis, keepdims=keepdims)
    return y, (input, y, axis)


def amax_backward(dy: np.ndarray, cache: tuple) -> np.ndarray:
    """梯度给最大的那一个；并列时平分（与 torch.amax 相同）。

    书中：sec-bp-pool
    """
    x, y, axis = cache
    mask = x == expand(y, x.shape, axis)
    if np.isnan(y).any():  # 有 nan 时最大值就是 nan，它与自己也不相等
        mask |= np.isnan(x) & np.isnan(expand(y, x.shape, axis))
    share = mask.sum(axis=axis, keepdims=True).astype(x.dtype)
    return expand(dy, x.shape, axis) * mask / share


def amin(input: np.ndarray, axis: Axis = None, keepdims: bool = False) -> tuple[np.ndarray, tuple]:
    """y = min x，沿 axis。

    书中：sec-bp-pool
    """
    y = input.min(axis=axis, keepdims=keepdims)
    return y, (input, y, axis)


def amin_backward(dy: np.ndarray, cache: tuple) -> np.ndarray:
    """梯度给最小的那一个；并列时平分。

    书中：sec-bp-pool
    """
    return amax_backward(dy, cache)


def logsumexp(
    input: np.ndarray, axis: Axis = None, keepdims: bool = False
) -> tuple[np.ndarray, tuple]:
    """y = log Σ exp(x)，沿 axis；先减去最大值，大的数不会上溢（sec-bp-softmax）。

    书中：sec-bp-softmax
    """
    check_floating("input", input)
    peak = (
        input.max(axis=axis, keepdims=True)
        if input.size
        else np.zeros_like(input.sum(axis=axis, keepdims=True))
    )
    # 最大值是 ±inf 时 inf − inf 会得 nan；此时不减，答案就是那个 inf。
    peak = np.where(np.isinf(peak), input.dtype.type(0), peak)
    with np.errstate(divide="ignore", over="ignore"):
        y = np.log(np.exp(input - peak).sum(axis=axis, keepdims=True)) + peak
    out = y if keepdims else y.reshape(input.sum(axis=axis).shape)
    return out, (input, y, axis)


def logsumexp_backward(dy: np.ndarray, cache: tuple) -> np.ndarray:
    """dx = dy ⊙ softmax(x) = dy ⊙ exp(x − y)。

    书中：sec-bp-softmax
    """
    x, y, axis = cache
    y = np.where(np.isinf(y), x.dtype.type(0), y)
    return expand(dy, x.shape, axis) * np.exp(x - y)


def cumsum(input: np.ndarray, axis: int) -> tuple[np.ndarray, int]:
    """前缀和 yᵢ = Σ_{j≤i} xⱼ，沿一轴。

    书中：sec-bp-engine
    """
    return input.cumsum(axis=axis, dtype=input.dtype), axis


def cumsum_backward(dy: np.ndarray, cache: int) -> np.ndarray:
    """xⱼ 出现在第 j 个及以后的各个和里，所以 dx 是 dy 的后缀和。

    书中：sec-bp-engine
    """
    return np.flip(np.flip(dy, cache).cumsum(axis=cache, dtype=dy.dtype), cache)


def norm(input: np.ndarray, axis: Axis = None, keepdims: bool = False) -> tuple[np.ndarray, tuple]:
    """二范数 y = √Σ x²，沿 axis。

    书中：sec-bp-rmsnorm
    """
    y = np.sqrt((input * input).sum(axis=axis, keepdims=keepdims))
    return y, (input, y, axis)


def norm_backward(dy: np.ndarray, cache: tuple) -> np.ndarray:
    """dx = dy ⊙ x / y：方向上的单位向量；y = 0 处没有导数，取 0（与 PyTorch 相同）。

    书中：sec-bp-rmsnorm
    """
    x, y, axis = cache
    scale = np.divide(dy, y, out=np.zeros_like(y), where=np.asarray(y != 0))
    return expand(scale, x.shape, axis) * x
