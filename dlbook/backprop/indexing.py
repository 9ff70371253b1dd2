"""按下标取：切片、查表、按位置收集。取了几次，梯度就加回去几次。

书中：sec-bp-embedding
"""

from typing import Any

import numpy as np

from dlbook.backprop.shapes import unbroadcast


def getitem(input: np.ndarray, index: Any) -> tuple[np.ndarray, tuple]:
    """y = x[index]：整数、切片、None、省略号、整数数组、布尔数组，规则同 NumPy。

    书中：sec-bp-embedding
    """
    return input[index], (input.shape, input.dtype, index)


def getitem_backward(dy: np.ndarray, cache: tuple, *, out: np.ndarray | None = None) -> np.ndarray:
    """dy 加回原来的位置，其余位置是 0。给了 out 就直接加到 out 里。

    书中：sec-bp-embedding
    """
    shape, dtype, index = cache
    if out is None:
        out = np.zeros(shape, dtype)
    parts = index if isinstance(index, tuple) else (index,)
    if any(isinstance(p, np.ndarray) and p.dtype.kind in "iu" for p in parts):
        # 整数数组里可能有重复的下标：out[index] += dy 只算最后一次，add.at 才次次都加。
        np.add.at(out, index, dy)
    else:
        out[index] += dy
    return out


def embedding(input: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, tuple]:
    """查表：input 是任意形状的编号（整数），weight (V, d) 每行一个词向量；y (…, d)。

    等于独热向量乘以 weight，只是不必造出独热向量。编号越界抛出 IndexError。

    书中：sec-bp-embedding
    """
    if input.size and not 0 <= input.min() <= input.max() < len(weight):
        raise IndexError(
            f"embedding 的编号应在 0 到 {len(weight) - 1} 之间，收到 {input.min()} 到 {input.max()}"
        )
    return weight[input], (input, weight.shape, weight.dtype)


def embedding_backward(dy: np.ndarray, cache: tuple) -> np.ndarray:
    """dweight：每个词的那一行，是它各次出现处的 dy 之和；没出现的词是 0。

    书中：sec-bp-embedding
    """
    input, shape, dtype = cache
    return scatter_rows(dy.reshape(-1, shape[1]), input.reshape(-1), shape[0]).astype(
        dtype, copy=False
    )


def scatter_rows(rows: np.ndarray, index: np.ndarray, n: int) -> np.ndarray:
    """out[index[i]] += rows[i]，out 有 n 行，从 0 开始。

    先按编号排好，同一编号的行就挨在一起，``np.add.reduceat`` 一段一段地加，比 add.at 快得多。

    书中：sec-bp-embedding
    """
    out = np.zeros((n, *rows.shape[1:]), rows.dtype)
    if len(index) == 0:
        return out
    order = np.argsort(index, kind="stable")
    sorted_index = index[order]
    starts = np.flatnonzero(np.diff(sorted_index, prepend=sorted_index[0] - 1))
    out[sorted_index[starts]] = np.add.reduceat(rows[order], starts, axis=0)
    return out


def gather(input: np.ndarray, axis: int, index: np.ndarray) -> tuple[np.ndarray, tuple]:
    """沿 axis 按 index 收集：二维、axis = 1 时 y[i, j] = x[i, index[i, j]]。

    index 与 input 维数相同，除 axis 外各轴不长于 input。

    书中：sec-bp-embedding
    """
    where = along(index, axis)
    return input[where], (input.shape, input.dtype, where)


def gather_backward(dy: np.ndarray, cache: tuple) -> np.ndarray:
    """dy 按同样的位置加回去。

    书中：sec-bp-embedding
    """
    return getitem_backward(dy, cache)


def along(index: np.ndarray, axis: int) -> tuple[np.ndarray, ...]:
    """把“沿 axis 用 index”写成 NumPy 的整数数组下标：其余各轴用自己的位置。

    书中：sec-bp-embedding
    """
    where = list(np.ogrid[tuple(slice(n) for n in index.shape)])
    where[axis] = index
    return tuple(where)


def index_select(input: np.ndarray, axis: int, index: np.ndarray) -> tuple[np.ndarray, tuple]:
    """沿 axis 取出编号为 index (n,) 的各片。

    书中：sec-bp-embedding
    """
    return np.take(input, index, axis), (input.shape, axis, index)


def index_select_backward(dy: np.ndarray, cache: tuple) -> np.ndarray:
    """每一片的梯度加回它的编号处。

    书中：sec-bp-embedding
    """
    shape, axis, index = cache
    dx = scatter_rows(np.moveaxis(dy, axis, 0), index, shape[axis])
    return np.moveaxis(dx, 0, axis)


def scatter_add(
    input: np.ndarray, axis: int, index: np.ndarray, src: np.ndarray
) -> tuple[np.ndarray, tuple]:
    """gather 的反面：从 input 的副本开始，把 src 各元素加到 index 指的位置。

    书中：sec-bp-embedding
    """
    where = along(index, axis)
    y = input.copy()
    used = tuple(slice(n) for n in index.shape)
    np.add.at(y, where, src[used])
    return y, (where, used, src.shape)


def scatter_add_backward(
    dy: np.ndarray, cache: tuple, need: tuple[bool, bool] = (True, True)
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """dinput = dy；dsrc 是 dy 在那些位置上的值（没有用到的元素是 0）。

    书中：sec-bp-embedding
    """
    where, used, shape = cache
    dsrc = None
    if need[1]:
        dsrc = np.zeros(shape, dy.dtype)
        dsrc[used] = dy[where]
    return dy if need[0] else None, dsrc


def masked_fill(input: np.ndarray, mask: np.ndarray, value: float) -> tuple[np.ndarray, tuple]:
    """mask 为真处换成 value，其余不变；mask 可广播。

    书中：sec-bp-attention
    """
    shape = np.broadcast_shapes(input.shape, mask.shape)
    y = np.array(np.broadcast_to(input, shape))
    y[np.broadcast_to(mask, shape)] = value
    return y, (mask, input.shape)


def masked_fill_backward(dy: np.ndarray, cache: tuple) -> np.ndarray:
    """换成常数的地方没有梯度。

    书中：sec-bp-attention
    """
    mask, shape = cache
    dx = dy * ~mask
    return dx if dx.shape == shape else unbroadcast(dx, shape)


def tril(input: np.ndarray, diagonal: int = 0) -> tuple[np.ndarray, int]:
    """下三角：最后两轴上，只留 列 ≤ 行 + diagonal 的元素。

    书中：sec-bp-attention
    """
    return np.tril(input, diagonal), diagonal


def tril_backward(dy: np.ndarray, cache: int) -> np.ndarray:
    """留下的元素放行。

    书中：sec-bp-attention
    """
    return np.tril(dy, cache)


def triu(input: np.ndarray, diagonal: int = 0) -> tuple[np.ndarray, int]:
    """上三角：只留 列 ≥ 行 + diagonal 的元素。

    书中：sec-bp-attention
    """
    return np.triu(input, diagonal), diagonal


def triu_backward(dy: np.ndarray, cache: int) -> np.ndarray:
    """留下的元素放行。

    书中：sec-bp-attention
    """
    return np.triu(dy, cache)
