"""二维池化：窗口里的每个位置是输入的一张错开的切片，逐张比较（或相加）即可，不必展开窗口。

输入输出的形状是 (N, C, H, W)；内存里通道在最后时（卷积的输出）快得多，结果也保持那样。

书中：sec-bp-pool
"""

import numpy as np

from dlbook.backprop._check import InputError, check_floating, check_upstream
from dlbook.backprop.convolution import CHUNK, Geometry


def _slices(shape: Geometry, size: tuple[int, int]) -> list[tuple[slice, slice]]:
    """窗口里各个位置（按行的顺序）对应的输入切片。"""
    (kh, kw), (sh, sw), _, (dh, dw) = shape
    ho, wo = size
    return [
        (
            slice(r * dh, r * dh + sh * (ho - 1) + 1, sh),
            slice(t * dw, t * dw + sw * (wo - 1) + 1, sw),
        )
        for r in range(kh)
        for t in range(kw)
    ]


def _padded(x: np.ndarray, shape: Geometry, size: tuple[int, int], value: float) -> np.ndarray:
    """x (N, H, W, C) 四周补 value，右、下补到窗口够用；不必补时原样返回。"""
    (kh, kw), (sh, sw), (ph, pw), (dh, dw) = shape
    n, h, w, c = x.shape
    need_h = max(sh * (size[0] - 1) + dh * (kh - 1) + 1, h + ph)
    need_w = max(sw * (size[1] - 1) + dw * (kw - 1) + 1, w + pw)
    if (ph, pw, need_h, need_w) == (0, 0, h, w):
        return x
    out = np.full((n, need_h, need_w, c), value, x.dtype)
    out[:, ph : ph + h, pw : pw + w] = x
    return out


def output_size(size: tuple[int, int], shape: Geometry, ceil_mode: bool = False) -> tuple[int, int]:
    """池化输出的（高，宽）；ceil_mode 时向上取整，但最后一个窗口须从输入之内开始。

    书中：sec-bp-pool
    """
    out = []
    for n, k, s, p, d in zip(size, *shape, strict=True):
        span = n + 2 * p - d * (k - 1) - 1
        m = (-(-span // s) if ceil_mode else span // s) + 1
        out.append(m - 1 if ceil_mode and (m - 1) * s >= n + p else m)
    return tuple(out)


def _check(input: np.ndarray, shape: Geometry, size: tuple[int, int]) -> None:
    check_floating("input", input, "(N, C, H, W)", 4)
    if min(size) < 1:
        raise InputError(f"池化窗口 {shape.kernel} 比输入还大：输入 {input.shape}")
    if any(2 * p > k for p, k in zip(shape.padding, shape.kernel, strict=True)):
        raise InputError(f"补的边 {shape.padding} 不能超过窗口 {shape.kernel} 的一半")


def max_pool2d(
    input: np.ndarray,
    kernel_size: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int] = (0, 0),
    dilation: tuple[int, int] = (1, 1),
    ceil_mode: bool = False,
) -> tuple[np.ndarray, tuple]:
    """每个窗口取最大。

    书中：sec-bp-pool
    """
    shape = Geometry(kernel_size, stride, padding, dilation)
    size = output_size(input.shape[2:], shape, ceil_mode)
    _check(input, shape, size)
    x = _padded(input.transpose(0, 2, 3, 1), shape, size, -np.inf)
    first, *others = _slices(shape, size)
    y = np.empty((len(x), *size, x.shape[3]), x.dtype)
    for start in range(0, len(x), CHUNK):  # 一段一段地做，几趟比较都在缓存里
        part = slice(start, start + CHUNK)
        y[part] = x[part, *first]
        for s in others:
            np.maximum(y[part], x[part, *s], out=y[part])
    return y.transpose(0, 3, 1, 2), (x, y, input.shape, shape)


def max_pool2d_backward(dy: np.ndarray, cache: tuple) -> np.ndarray:
    """dy 只给窗口里最大的那一个；并列时给（按行的顺序）第一个。

    书中：sec-bp-pool
    """
    x, y, input_shape, shape = cache
    check_upstream(dy, (y.shape[0], y.shape[3], *y.shape[1:3]), y.dtype)
    dy = dy.transpose(0, 2, 3, 1)
    slices = _slices(shape, y.shape[1:3])
    overlapping = any(s < d * (k - 1) + 1 for k, s, _, d in zip(*shape, strict=True))
    # 窗口恰好铺满输入时，每个元素都会写到，不必先清零。
    tiled = shape.kernel == shape.stride and x.shape[1:3] == tuple(
        n * k for n, k in zip(y.shape[1:3], shape.kernel, strict=True)
    )
    dx = np.empty(x.shape, x.dtype) if tiled and not overlapping else np.zeros(x.shape, x.dtype)
    for start in range(0, len(x), CHUNK):
        part = slice(start, start + CHUNK)
        unclaimed = np.ones(y[part].shape, np.bool_)
        for s in slices:
            # 乘布尔比 np.where 快得多：后者遇上杂乱的真假，分支预测全错。
            winner = x[part, *s] == y[part]
            winner &= unclaimed
            unclaimed ^= winner
            if overlapping:
                dx[part, *s] += dy[part] * winner
            else:
                np.multiply(dy[part], winner, out=dx[part, *s])
    return _cropped(dx, input_shape, shape)


def _cropped(dx: np.ndarray, input_shape: tuple, shape: Geometry) -> np.ndarray:
    (_, _, h, w), (ph, pw) = input_shape, shape.padding
    return dx[:, ph : ph + h, pw : pw + w].transpose(0, 3, 1, 2)


def avg_pool2d(
    input: np.ndarray,
    kernel_size: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int] = (0, 0),
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> tuple[np.ndarray, tuple]:
    """每个窗口取平均。count_include_pad 为假时，补的零不算个数。

    书中：sec-bp-pool
    """
    shape = Geometry(kernel_size, stride, padding, (1, 1))
    size = output_size(input.shape[2:], shape, ceil_mode)
    _check(input, shape, size)
    x = _padded(input.transpose(0, 2, 3, 1), shape, size, 0.0)
    first, *others = _slices(shape, size)
    y = x[:, *first].copy()
    for s in others:
        y += x[:, *s]
    divisor = _divisor(input.shape[2:], size, shape, count_include_pad, divisor_override)
    divisor = np.asarray(divisor, x.dtype)
    y /= divisor
    return y.transpose(0, 3, 1, 2), (x.shape, input.shape, divisor, shape, size)


def _divisor(
    size: tuple[int, int],
    out: tuple[int, int],
    shape: Geometry,
    include_pad: bool,
    override: int | None,
) -> np.ndarray | int:
    """每个窗口的除数，(Ho, Wo, 1)：算进去的元素个数（ceil_mode 伸出补边之外的从不算）。"""
    if override is not None:
        return override
    counts = []
    for n, m, k, s, p in zip(size, out, *shape[:3], strict=True):
        start = np.arange(m) * s - p
        stop = np.minimum(start + k, n + p)
        if not include_pad:
            start, stop = np.maximum(start, 0), np.minimum(stop, n)
        counts.append(stop - start)
    return (counts[0][:, None] * counts[1])[:, :, None]


def avg_pool2d_backward(dy: np.ndarray, cache: tuple) -> np.ndarray:
    """dy 平分给窗口里的每一个。

    书中：sec-bp-pool
    """
    x_shape, input_shape, divisor, shape, size = cache
    check_upstream(dy, (input_shape[0], input_shape[1], *size), dy.dtype)
    share = dy.transpose(0, 2, 3, 1) / divisor
    dx = np.zeros(x_shape, dy.dtype)
    for s in _slices(shape, size):
        dx[:, *s] += share
    return _cropped(dx, input_shape, shape)
