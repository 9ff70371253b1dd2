"""各组运算共用的小工具：dtype 的升级、dim 的检查。"""

from collections.abc import Sequence
from numbers import Number
from typing import Any

import numpy as np

from dlbook.autograd import dtypes
from dlbook.autograd.tensor import Tensor, apply
from dlbook.backprop import elementwise as pairs


def tensor_only(x: Any, name: str = "input") -> Tensor:
    """x 应是 Tensor，否则抛出 TypeError。"""
    if not isinstance(x, Tensor):
        # 别的库也有叫 Tensor 的类（如 torch），连模块名一起说才清楚。
        found = f"{type(x).__module__}.{type(x).__qualname__}".removeprefix("builtins.")
        raise TypeError(f"{name} 应是 dlbook.Tensor，收到 {found}；先用 dlbook.tensor(…) 转换")
    return x


def floating(x: Any, name: str = "input") -> Tensor:
    """整数、布尔的张量先换成默认的浮点，浮点的原样返回。"""
    tensor_only(x, name)
    return x if x.array.dtype.kind == "f" else cast(x, dtypes.DEFAULT)


def cast(x: Tensor, dtype: np.dtype) -> Tensor:
    """换 dtype；本来就是的原样返回。浮点之间换时梯度照样流。"""
    if x.array.dtype == dtype:
        return x
    if dtype.kind != "f":
        return Tensor(x.array.astype(dtype))
    return apply(pairs.cast, pairs.cast_backward, x, dtype=dtype)


def operands(*values: Any, least: np.dtype | None = None) -> list:
    """一起参加运算的各个值换成同一个 dtype：张量换 dtype，Python 的数原样（NumPy 会照张量的来）。

    给了 least（默认的浮点）时，结果至少是浮点：整数相除就是这样。
    """
    kinds = {v.array.dtype if isinstance(v, Tensor) else type(v) for v in values}
    # 最常见的情形一眼放行：dtype 相同的浮点张量，或浮点张量与 Python 的 float。
    if len(kinds - {float}) == 1:
        (kind,) = kinds - {float}
        if isinstance(kind, np.dtype) and kind.kind == "f":
            return check_broadcast(*values)
    values = [v.item() if isinstance(v, np.generic) else v for v in values]
    for v in values:
        if not isinstance(v, Tensor | Number):
            raise TypeError(
                f"张量只能与张量、数一起运算，收到 {type(v).__name__}；"
                "NumPy 数组先用 dlbook.from_numpy(…)"
            )
    arrays = [v.array for v in values if isinstance(v, Tensor)]
    dtype = dtypes.result_dtype(arrays, [v for v in values if not isinstance(v, Tensor)])
    if least is not None and dtype.kind != "f":
        dtype = least
    python = {"f": float, "i": int, "u": int, "b": bool}[dtype.kind]
    return check_broadcast(
        *[cast(v, dtype) if isinstance(v, Tensor) else python(v) for v in values]
    )


def check_broadcast(*values: Any) -> list:
    """各张量的形状应能互相广播，否则抛出 RuntimeError；原样返回。"""
    shapes = {v.array.shape for v in values if isinstance(v, Tensor)}
    if len(shapes) > 1:
        try:
            np.broadcast_shapes(*shapes)
        except ValueError:
            found = "、".join(map(str, shapes))
            raise RuntimeError(f"形状 {found} 不能广播：从后往前对齐，各轴要相等或是 1") from None
    return list(values)


def check_dim(ndim: int, dim: int) -> int:
    """dim 在 −ndim 到 ndim − 1 之间，返回不为负的那个；零维张量当作一维。"""
    n = max(ndim, 1)
    if isinstance(dim, Tensor) or not isinstance(dim, int | np.integer):
        raise TypeError(f"dim 应是整数，收到 {type(dim).__name__}")
    if not -n <= dim < n:
        raise IndexError(f"dim 应在 {-n} 到 {n - 1} 之间，收到 {dim}")
    return int(dim) % n


def axes(ndim: int, dim: int | Sequence[int] | None) -> tuple[int, ...] | None:
    """归约的 dim 变成 NumPy 的 axis：None、空的元组代表所有轴。"""
    if dim is None or ndim == 0:
        if dim is not None:
            for d in dim if isinstance(dim, Sequence) else [dim]:
                check_dim(ndim, d)
        return None
    found = tuple(check_dim(ndim, d) for d in (dim if isinstance(dim, Sequence) else [dim]))
    if len(set(found)) != len(found):
        raise RuntimeError(f"dim 里有重复的轴：{dim}")
    return found or None


def sizes(args: tuple) -> tuple[int, ...]:
    """形状的两种写法 f(2, 3) 与 f((2, 3)) 化成一种。"""
    if len(args) == 1 and isinstance(args[0], Sequence):
        args = tuple(args[0])
    try:
        return tuple(n.__index__() for n in args)
    except AttributeError:
        raise TypeError(f"形状应由整数组成，收到 {args}") from None
