"""改变形状而不改变数值的运算；以及广播的反面 :func:`unbroadcast`。

这些运算的梯度只是把 dy 搬回原来的位置，所以 cache 里只有形状，不留任何数组。

书中：sec-bp-engine
"""

from collections.abc import Sequence

import numpy as np


def unbroadcast(dy: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """广播的反向：形状为 shape 的数组被广播之后得到梯度 dy，把它求和变回 shape。

    广播就是复制，一份数据用了几次，梯度就加几次（eq-bp-batch-db）。形状本来就相同时原样返回。
    全书只有这一处处理广播的梯度。

    书中：sec-bp-engine
    """
    if np.shape(dy) == shape:
        return dy
    extra = dy.ndim - len(shape)
    axes = tuple(range(extra)) + tuple(
        i + extra for i, n in enumerate(shape) if n == 1 and dy.shape[i + extra] != 1
    )
    return dy.sum(axis=axes, keepdims=True).reshape(shape)


def reshape(input: np.ndarray, shape: Sequence[int]) -> tuple[np.ndarray, tuple[int, ...]]:
    """元素按行的顺序排成新的形状；能不复制就不复制。个数对不上抛出 ValueError。

    书中：sec-bp-engine
    """
    return input.reshape(shape), input.shape


def reshape_backward(dy: np.ndarray, cache: tuple[int, ...]) -> np.ndarray:
    """dx = dy 变回原来的形状。

    书中：sec-bp-engine
    """
    return dy.reshape(cache)


def permute(input: np.ndarray, dims: Sequence[int]) -> tuple[np.ndarray, tuple[int, ...]]:
    """重排各轴：输出的第 i 轴是输入的第 dims[i] 轴。返回视图。

    书中：sec-bp-engine
    """
    return input.transpose(dims), tuple(np.argsort(dims))


def permute_backward(dy: np.ndarray, cache: tuple[int, ...]) -> np.ndarray:
    """dx = dy 按相反的排列换回去。

    书中：sec-bp-engine
    """
    return dy.transpose(cache)


def broadcast_to(input: np.ndarray, shape: Sequence[int]) -> tuple[np.ndarray, tuple[int, ...]]:
    """按广播规则扩成 shape；返回只读的视图，不复制。

    书中：sec-bp-engine
    """
    return np.broadcast_to(input, shape), input.shape


def broadcast_to_backward(dy: np.ndarray, cache: tuple[int, ...]) -> np.ndarray:
    """dx = dy 沿复制出来的各轴求和。

    书中：sec-bp-engine
    """
    return unbroadcast(dy, cache)


def flip(input: np.ndarray, dims: Sequence[int]) -> tuple[np.ndarray, tuple[int, ...]]:
    """沿 dims 各轴倒序。

    书中：sec-bp-engine
    """
    return np.flip(input, tuple(dims)).copy(), tuple(dims)


def flip_backward(dy: np.ndarray, cache: tuple[int, ...]) -> np.ndarray:
    """dx = dy 再倒一次序。

    书中：sec-bp-engine
    """
    return np.flip(dy, cache)


def roll(
    input: np.ndarray, shifts: Sequence[int], dims: Sequence[int] | None
) -> tuple[np.ndarray, tuple]:
    """沿 dims 循环移位；dims 为 None 时先拉平，移完再变回原来的形状。

    书中：sec-bp-engine
    """
    return np.roll(input, shifts, dims), (shifts, dims)


def roll_backward(dy: np.ndarray, cache: tuple) -> np.ndarray:
    """dx = dy 反方向移回去。

    书中：sec-bp-engine
    """
    shifts, dims = cache
    return np.roll(dy, tuple(-s for s in shifts), dims)


def cat(inputs: Sequence[np.ndarray], axis: int = 0) -> tuple[np.ndarray, tuple]:
    """沿已有的一轴首尾相接；其余各轴长度须相等，否则抛出 ValueError。

    书中：sec-bp-engine
    """
    ends = np.cumsum([x.shape[axis] for x in inputs[:-1]])
    return np.concatenate(inputs, axis), (ends, axis)


def cat_backward(dy: np.ndarray, cache: tuple) -> list[np.ndarray]:
    """dy 在接缝处切开，各还各的。

    书中：sec-bp-engine
    """
    ends, axis = cache
    return np.split(dy, ends, axis)


def stack(inputs: Sequence[np.ndarray], axis: int = 0) -> tuple[np.ndarray, int]:
    """沿新的一轴叠起来；各数组须同形状，否则抛出 ValueError。

    书中：sec-bp-engine
    """
    return np.stack(inputs, axis), axis


def stack_backward(dy: np.ndarray, cache: int) -> list[np.ndarray]:
    """dy 沿那一轴拆开。

    书中：sec-bp-engine
    """
    return list(np.moveaxis(dy, cache, 0))


def pad(
    input: np.ndarray, widths: Sequence[tuple[int, int]], value: float = 0.0
) -> tuple[np.ndarray, tuple[slice, ...]]:
    """各轴两头各补若干个 value；widths 每轴一对（前，后），负数表示裁掉。

    书中：sec-bp-conv
    """
    crop = tuple(
        slice(max(-a, 0), n - max(-b, 0)) for (a, b), n in zip(widths, input.shape, strict=True)
    )
    y = np.pad(input[crop], [(max(a, 0), max(b, 0)) for a, b in widths], constant_values=value)
    return y, (widths, input.shape)


def pad_backward(dy: np.ndarray, cache: tuple) -> np.ndarray:
    """补上去的是常数，没有梯度：把补的边裁掉（裁掉的补零）就是 dx。

    书中：sec-bp-conv
    """
    widths, _ = cache
    return pad(dy, [(-a, -b) for a, b in widths])[0]
