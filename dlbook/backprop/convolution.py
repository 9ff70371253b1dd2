"""二维卷积：前向、对权重的梯度、对输入的梯度，三者都化成矩阵乘法。

对外的形状与 PyTorch 相同：input (N, C, H, W)、weight (O, C/groups, kh, kw)、bias (O,)；
内存里却把通道放在最后（N, H, W, C），输出只是换了轴序的视图。这样同一个像素的各通道挨着，
窗口的一行（kw 个像素 × C 个通道）是一段连续的内存，可以整段地搬。

**按行展开**：只沿宽度展开窗口，得到 (H, Wo, kw·C)；核的第 r 行贡献一次矩阵乘法
``展开的第 r 行起 (Ho·Wo, kw·C) @ 权重的第 r 行 (kw·C, O)``，kh 次加起来就是卷积。
比 im2col（沿高、宽都展开）少复制 kh 倍的数据；一次只做 8 幅图，中间结果留在二级缓存里。

书中：sec-bp-conv
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided

from dlbook.backprop._check import InputError, check_floating, check_same_dtype, check_upstream
from dlbook.backprop.products import column_sum

CHUNK = 8


class Geometry(NamedTuple):
    """卷积的几何：各项都是（高，宽）。

    书中：sec-bp-conv
    """

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]

    def output(self, size: tuple[int, int]) -> tuple[int, int]:
        """输入的（高，宽）→ 输出的（高，宽）：⌊(n + 2p − d(k − 1) − 1) / s⌋ + 1。

        书中：sec-bp-conv
        """
        return tuple(
            (n + 2 * p - d * (k - 1) - 1) // s + 1
            for n, k, s, p, d in zip(size, *self, strict=True)
        )


def conv2d(
    input: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray | None = None,
    stride: tuple[int, int] = (1, 1),
    padding: tuple[int, int] = (0, 0),
    dilation: tuple[int, int] = (1, 1),
    groups: int = 1,
) -> tuple[np.ndarray, tuple]:
    """y[n, o, i, j] = b[o] + Σ x[n, c, s·i + d·r − p, s·j + d·t − p] w[o, c, r, t]。

    严格说这是互相关：核没有翻转，深度学习里都这样叫卷积。形状不合抛出 ValueError。

    书中：sec-bp-conv
    """
    _check(input, weight, bias, groups)
    shape = Geometry(weight.shape[2:], stride, padding, dilation)
    size = shape.output(input.shape[2:])
    if min(size) < 1:
        raise InputError(
            f"卷积核 {shape.kernel} 比补零之后的输入还大：输入 {input.shape}，补 {padding}"
        )
    x = input.transpose(0, 2, 3, 1)
    y = np.empty((len(x), *size, len(weight)), x.dtype)
    for i, o in _groups(input.shape[1], len(weight), groups):
        _correlate(x[..., i], weight[o], shape, None if bias is None else bias[o], y[..., o])
    return y.transpose(0, 3, 1, 2), (input, weight, shape, groups)


def conv2d_backward(
    dy: np.ndarray, cache: tuple, need: tuple[bool, bool, bool] = (True, True, True)
) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None]:
    """dx：dy 与翻转的核做卷积；dw：输入的窗口与 dy 相乘求和；db：dy 求和。

    书中：sec-bp-conv
    """
    input, weight, shape, groups = cache
    size = shape.output(input.shape[2:])
    check_upstream(dy, (len(input), len(weight), *size), input.dtype)
    x = input.transpose(0, 2, 3, 1)
    dy = np.ascontiguousarray(dy.transpose(0, 2, 3, 1))
    dx = np.zeros(x.shape, x.dtype) if need[0] else None
    dweight = np.empty(weight.shape, weight.dtype) if need[1] else None
    for i, o in _groups(input.shape[1], len(weight), groups):
        if need[1]:
            dweight[o] = _weight_gradient(x[..., i], dy[..., o], shape)
        if need[0]:
            _input_gradient(dy[..., o], weight[o], shape, dx[..., i])
    rows = dy.reshape(-1, len(weight))
    dbias = column_sum(rows) if need[2] else None
    return dx.transpose(0, 3, 1, 2) if need[0] else None, dweight, dbias


def _check(input: np.ndarray, weight: np.ndarray, bias: np.ndarray | None, groups: int) -> None:
    check_floating("input", input, "(N, C, H, W)", 4)
    check_floating("weight", weight, "(O, C/groups, kh, kw)", 4)
    if bias is not None:
        check_floating("bias", bias, "(O,)", 1)
        check_same_dtype(input=input, weight=weight, bias=bias)
        if len(bias) != len(weight):
            raise InputError(f"bias 应有 {len(weight)} 个元素（输出通道数），收到 {len(bias)}")
    check_same_dtype(input=input, weight=weight)
    if groups < 1 or len(weight) % groups or input.shape[1] != weight.shape[1] * groups:
        raise InputError(
            f"input 的通道数 {input.shape[1]} 应是 weight 的 {weight.shape[1]} × groups {groups}，"
            f"输出通道数 {len(weight)} 应能被 groups 整除"
        )


def _groups(n_in: int, n_out: int, groups: int) -> list[tuple[slice, slice]]:
    """各组的输入通道与输出通道；不分组时就是全部。"""
    a, b = n_in // groups, n_out // groups
    return [(slice(g * a, g * a + a), slice(g * b, g * b + b)) for g in range(groups)]


class Unfolder:
    """把 x (N, H, W, C) 补零、展开成窗口，一次一段图；各段共用同一块内存。

    ``whole`` 为假时只展开窗口的一行；为真时展开整个窗口（im2col），那时把“窗口里的第几个”排在
    像素之前：一次搬动的是一整行像素，而不是窗口里零碎的几个数。

    书中：sec-bp-conv
    """

    def __init__(self, x: np.ndarray, shape: Geometry, whole: bool) -> None:
        (kh, kw), (sh, sw), (ph, pw), (dh, dw) = shape
        n, h, w, c = x.shape
        self.x, self.shape, self.whole = x, shape, whole
        self.size = ho, wo = shape.output((h, w))
        chunk = min(CHUNK, n)
        self.padded = np.zeros((chunk, h + 2 * ph, w + 2 * pw, c), x.dtype)
        self.inside = self.padded[:, ph : ph + h, pw : pw + w]
        s0, s1, s2, s3 = self.padded.strides
        if whole:
            view = (chunk, kh, kw, c, ho, wo), (s0, s1 * dh, s2 * dw, s3, s1 * sh, s2 * sw)
        else:
            view = (chunk, h + 2 * ph, wo, kw, c), (s0, s1, s2 * sw, s2 * dw, s3)
        self.windows = as_strided(self.padded, *view, writeable=False)
        self.columns = np.empty(view[0], x.dtype)

    def __iter__(self) -> Iterator[tuple[slice, list[np.ndarray]]]:
        """依次给出（这一段图的切片，核的每一行对应的展开矩阵 (图, Ho·Wo, …)）。"""
        (kh, kw), (sh, _), _, (dh, _) = self.shape
        ho, wo = self.size
        c = self.x.shape[3]
        for start in range(0, len(self.x), CHUNK):
            part = slice(start, min(start + CHUNK, len(self.x)))
            m = part.stop - start
            self.inside[:m] = self.x[part]
            columns = self.columns[:m]
            columns[...] = self.windows[:m]
            if self.whole:
                yield part, [columns.reshape(m, kh * kw * c, ho * wo).transpose(0, 2, 1)]
                continue
            lines = columns.reshape(m, -1, wo, kw * c)
            rows = [lines[:, r * dh : r * dh + sh * (ho - 1) + 1 : sh] for r in range(kh)]
            # 步长为 1 时这些行在内存里连着，合并成一个高矩阵不必复制。
            yield part, [r.reshape(m, ho * wo, kw * c) for r in rows]


def _kernel_rows(weight: np.ndarray, whole: bool) -> np.ndarray:
    """weight (O, C, kh, kw) → 每一行一个矩阵 (kh, kw·C, O)；whole 时合成一个 (1, kh·kw·C, O)。"""
    o, _, kh, _ = weight.shape
    rows = weight.transpose(2, 3, 1, 0).reshape(kh, -1, o)
    return np.ascontiguousarray(rows.reshape(1, -1, o) if whole else rows)


def _whole_is_better(shape: Geometry, channels: int) -> bool:
    # 通道少时一行窗口太短，矩阵乘法吃不饱；步长大于 1 时按行展开也省不了复制。
    return shape.kernel[1] * channels < 16 or shape.stride[0] > 1


def _correlate(
    x: np.ndarray, weight: np.ndarray, shape: Geometry, bias: np.ndarray | None, y: np.ndarray
) -> None:
    """y[...] = x 与 weight 的互相关（+ bias）；x、y 通道在最后。"""
    whole = _whole_is_better(shape, x.shape[3])
    kernel = _kernel_rows(weight, whole)
    pixels, n_out = y.shape[1] * y.shape[2], y.shape[3]
    total, term = np.empty((2, min(CHUNK, len(x)), pixels, n_out), x.dtype)
    # 偏置先铺成整幅图：逐像素去加只有几个数的偏置，NumPy 的循环开销比加法还大。
    bias = None if bias is None else np.tile(bias, (pixels, 1))
    for part, rows in Unfolder(x, shape, whole):
        m = len(rows[0])
        out, extra = total[:m], term[:m]
        if y.flags.c_contiguous:
            out = y[part].reshape(m, pixels, n_out)
        np.matmul(rows[0], kernel[0], out=out)
        for r, k in zip(rows[1:], kernel[1:], strict=True):
            out += np.matmul(r, k, out=extra)
        if bias is not None:
            out += bias
        if not y.flags.c_contiguous:
            y[part] = out.reshape(y[part].shape)


def _weight_gradient(x: np.ndarray, dy: np.ndarray, shape: Geometry) -> np.ndarray:
    """dw：核的每一行，是展开的输入（转置）乘 dy，对所有图求和。"""
    whole = _whole_is_better(shape, x.shape[3])
    (kh, kw), n_in, n_out = shape.kernel, x.shape[3], dy.shape[3]
    total = np.zeros((1 if whole else kh, (kh if whole else 1) * kw * n_in, n_out), x.dtype)
    for part, rows in Unfolder(x, shape, whole):
        g = dy[part].reshape(len(rows[0]), -1, n_out)
        for t, r in zip(total, rows, strict=True):
            t += np.matmul(r.transpose(0, 2, 1), g).sum(axis=0)
    return total.reshape(kh, kw, n_in, n_out).transpose(3, 2, 0, 1)


def _input_gradient(dy: np.ndarray, weight: np.ndarray, shape: Geometry, dx: np.ndarray) -> None:
    """dx[...] = dy 传回输入。"""
    (kh, kw), (sh, sw), (ph, pw), (dh, dw) = shape
    if (sh, sw) == (1, 1) and ph <= dh * (kh - 1) and pw <= dw * (kw - 1):
        # 步长为 1：dy 四周补零，与上下左右翻转、输入输出通道对调的核再做一次互相关。
        flipped = weight[:, :, ::-1, ::-1].transpose(1, 0, 2, 3)
        border = (dh * (kh - 1) - ph, dw * (kw - 1) - pw)
        _correlate(dy, flipped, Geometry((kh, kw), (1, 1), border, (dh, dw)), None, dx)
        return
    # 一般的步长：核的每个位置 (r, t) 把 dy 乘上它的权重，加回它取数的地方。
    n, h, w, c = dx.shape
    ho, wo = shape.output((h, w))
    padded = np.zeros((n, h + 2 * ph, w + 2 * pw, c), dx.dtype)
    rows = dy.reshape(-1, dy.shape[3])
    for r in range(kh):
        for t in range(kw):
            share = (rows @ weight[:, :, r, t]).reshape(n, ho, wo, c)
            padded[
                :,
                r * dh : r * dh + sh * (ho - 1) + 1 : sh,
                t * dw : t * dw + sw * (wo - 1) + 1 : sw,
            ] += share
    dx[...] = padded[:, ph : ph + h, pw : pw + w]
