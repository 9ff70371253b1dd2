"""归约：求和、平均、方差、最大、softmax、排序。

dim 可以是一个整数、几个整数，或 None（所有轴）；keepdim 为真时留下长度为 1 的轴。

书中：sec-bp-layernorm
"""

from collections.abc import Sequence
from numbers import Number
from typing import Any, NamedTuple

import numpy as np

from dlbook.autograd import dtypes
from dlbook.autograd.ops import indexing, shapes
from dlbook.autograd.ops._common import axes, cast, check_dim, floating, tensor_only
from dlbook.autograd.ops.elementwise import abs as absolute
from dlbook.autograd.ops.elementwise import maximum, minimum
from dlbook.autograd.tensor import Tensor, apply
from dlbook.backprop import activations
from dlbook.backprop import reductions as pairs

Dim = int | Sequence[int] | None


class ValuesIndices(NamedTuple):
    """max、min、sort、topk 的结果：数值，与它们沿 dim 的位置（int64）。

    书中：sec-bp-pool
    """

    values: Tensor
    indices: Tensor


def sum(input: Tensor, dim: Dim = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """沿 dim 求和；整数、布尔的和是 int64。

    书中：sec-bp-batch
    """
    x = tensor_only(input)
    if dtype is not None:
        x = cast(x, dtypes.as_dtype(dtype))
    elif x.dtype.kind != "f":
        x = cast(x, dtypes.int64)
    return apply(pairs.sum, pairs.sum_backward, x, axis=axes(x.ndim, dim), keepdims=keepdim)


def mean(input: Tensor, dim: Dim = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """沿 dim 取平均。整数张量要先换成浮点（或给 dtype）。

    书中：sec-bp-layernorm
    """
    x = tensor_only(input)
    if dtype is not None:
        x = cast(x, dtypes.as_dtype(dtype))
    if x.dtype.kind != "f":
        raise RuntimeError(f"mean 只用于浮点张量，收到 {x.dtype}；先写 x.float()")
    with np.errstate(divide="ignore", invalid="ignore"):
        return apply(pairs.mean, pairs.mean_backward, x, axis=axes(x.ndim, dim), keepdims=keepdim)


def prod(
    input: Tensor, dim: int | None = None, keepdim: bool = False, *, dtype: Any = None
) -> Tensor:
    """沿 dim（至多一轴）求积；整数、布尔的积是 int64。

    书中：sec-bp-engine
    """
    x = tensor_only(input)
    if dtype is not None:
        x = cast(x, dtypes.as_dtype(dtype))
    elif x.dtype.kind != "f":
        x = cast(x, dtypes.int64)
    if dim is not None:
        check_dim(x.ndim, dim)
    return apply(pairs.prod, pairs.prod_backward, x, axis=axes(x.ndim, dim), keepdims=keepdim)


def var(
    input: Tensor,
    dim: Dim = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: Number = 1,
) -> Tensor:
    """方差，除数是 n − correction；``unbiased=False`` 等于 ``correction=0``。

    书中：sec-bp-layernorm
    """
    return _variance(pairs.var, pairs.var_backward, input, dim, unbiased, keepdim, correction)


def std(
    input: Tensor,
    dim: Dim = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: Number = 1,
) -> Tensor:
    """标准差 √var。

    书中：sec-bp-layernorm
    """
    return _variance(pairs.std, pairs.std_backward, input, dim, unbiased, keepdim, correction)


def _variance(
    forward: Any,
    backward: Any,
    x: Tensor,
    dim: Dim,
    unbiased: bool | None,
    keepdim: bool,
    correction: Number,
) -> Tensor:
    if isinstance(dim, bool):  # x.var(False)：PyTorch 把它当作 unbiased
        dim, unbiased = None, dim
    if tensor_only(x).dtype.kind != "f":
        raise RuntimeError(f"方差、标准差只用于浮点张量，收到 {x.dtype}；先写 x.float()")
    if unbiased is not None:
        correction = int(unbiased)
    with np.errstate(divide="ignore", invalid="ignore"):
        return apply(
            forward,
            backward,
            x,
            axis=axes(x.ndim, dim),
            correction=correction,
            keepdims=keepdim,
        )


def amax(input: Tensor, dim: Dim = (), keepdim: bool = False) -> Tensor:
    """沿 dim 取最大；并列时梯度平分。

    书中：sec-bp-pool
    """
    return _extreme(pairs.amax, pairs.amax_backward, input, dim, keepdim)


def amin(input: Tensor, dim: Dim = (), keepdim: bool = False) -> Tensor:
    """沿 dim 取最小；并列时梯度平分。

    书中：sec-bp-pool
    """
    return _extreme(pairs.amin, pairs.amin_backward, input, dim, keepdim)


def _extreme(forward: Any, backward: Any, x: Tensor, dim: Dim, keepdim: bool) -> Tensor:
    axis = axes(tensor_only(x).ndim, dim)
    _refuse_empty(x, axis)
    return apply(forward, backward, x, axis=axis, keepdims=keepdim)


def _refuse_empty(x: Tensor, axis: tuple[int, ...] | None) -> None:
    if pairs.count(x.shape, axis) == 0:
        error = RuntimeError if axis is None else IndexError
        raise error(f"没有元素就没有最大、最小：形状 {x.shape}，沿 {axis}")


def max(
    input: Tensor, dim: int | Tensor | None = None, keepdim: bool = False
) -> Tensor | ValuesIndices:
    """最大值。不给 dim 是所有元素的；给 dim 返回 (values, indices)；给张量则逐元素取大。

    书中：sec-bp-pool
    """
    if isinstance(dim, Tensor):
        return maximum(input, dim)
    if dim is None:
        return _extreme(pairs.amax, pairs.amax_backward, input, None, False)
    return _select(input, argmax(input, dim, True), dim, keepdim)


def min(
    input: Tensor, dim: int | Tensor | None = None, keepdim: bool = False
) -> Tensor | ValuesIndices:
    """最小值。不给 dim 是所有元素的；给 dim 返回 (values, indices)；给张量则逐元素取小。

    书中：sec-bp-pool
    """
    if isinstance(dim, Tensor):
        return minimum(input, dim)
    if dim is None:
        return _extreme(pairs.amin, pairs.amin_backward, input, None, False)
    return _select(input, argmin(input, dim, True), dim, keepdim)


def _select(x: Tensor, indices: Tensor, dim: int, keepdim: bool) -> ValuesIndices:
    values = indexing.gather(x, dim, indices)
    if not keepdim and x.ndim:
        values, indices = shapes.squeeze(values, dim), shapes.squeeze(indices, dim)
    return ValuesIndices(values, indices)


def argmax(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """最大值的位置（int64）；并列时取第一个。

    书中：sec-loss-vs-accuracy
    """
    return _position(np.argmax, input, dim, keepdim)


def argmin(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """最小值的位置（int64）；并列时取第一个。

    书中：sec-loss-vs-accuracy
    """
    return _position(np.argmin, input, dim, keepdim)


def _position(find: Any, x: Tensor, dim: int | None, keepdim: bool) -> Tensor:
    axis = None if dim is None else check_dim(tensor_only(x).ndim, dim)
    _refuse_empty(x, None if axis is None else (axis,))
    if x.ndim == 0:
        return Tensor(np.zeros((), np.int64))
    if x.dtype == dtypes.bool and dim is not None:
        raise NotImplementedError("argmax、argmin 不支持布尔张量")
    return Tensor(np.asarray(find(x.array, axis=axis, keepdims=keepdim), np.int64))


def all(input: Tensor, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """是否全部为真（非零）。

    书中：sec-bp-engine
    """
    axis = axes(tensor_only(input).ndim, dim)
    return Tensor(np.asarray(input.array.all(axis=axis, keepdims=keepdim)))


def any(input: Tensor, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """是否有为真（非零）的。

    书中：sec-bp-engine
    """
    axis = axes(tensor_only(input).ndim, dim)
    return Tensor(np.asarray(input.array.any(axis=axis, keepdims=keepdim)))


def logsumexp(input: Tensor, dim: Dim, keepdim: bool = False) -> Tensor:
    """log Σ exp(x)，沿 dim；大的数也不会上溢。

    书中：sec-bp-softmax
    """
    x = floating(input)
    return apply(
        pairs.logsumexp, pairs.logsumexp_backward, x, axis=axes(x.ndim, dim), keepdims=keepdim
    )


def norm(input: Tensor, p: Number | str = "fro", dim: Dim = None, keepdim: bool = False) -> Tensor:
    """p 范数：(Σ |x|ᵖ)^{1/p}；p 支持 2（即 "fro"）、1 与 inf。

    书中：sec-bp-engine
    """
    if p in ("fro", 2):
        x = tensor_only(input)
        return apply(pairs.norm, pairs.norm_backward, x, axis=axes(x.ndim, dim), keepdims=keepdim)
    if p == 1:
        return sum(absolute(input), dim, keepdim)
    if p == float("inf"):
        return amax(absolute(input), () if dim is None else dim, keepdim)
    raise NotImplementedError(f'norm 的 p 支持 2、1、inf、"fro"，收到 {p!r}')


def cumsum(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """沿 dim 的前缀和；整数、布尔的是 int64。

    书中：sec-bp-engine
    """
    x = tensor_only(input)
    if dtype is not None:
        x = cast(x, dtypes.as_dtype(dtype))
    elif x.dtype.kind != "f":
        x = cast(x, dtypes.int64)
    axis = check_dim(x.ndim, dim)
    if x.ndim == 0:
        return x.clone()
    return apply(pairs.cumsum, pairs.cumsum_backward, x, axis=axis)


def softmax(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """沿 dim 的 softmax。

    书中：sec-bp-softmax
    """
    return _softmax(activations.softmax, activations.softmax_backward, input, dim, dtype)


def log_softmax(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """softmax 的对数，沿 dim；比先 softmax 再取对数稳。

    书中：sec-bp-softmax
    """
    return _softmax(activations.log_softmax, activations.log_softmax_backward, input, dim, dtype)


def _softmax(forward: Any, backward: Any, x: Tensor, dim: int, dtype: Any) -> Tensor:
    x = tensor_only(x) if dtype is None else cast(x, dtypes.as_dtype(dtype))
    axis = check_dim(x.ndim, dim)
    if x.dtype.kind != "f":
        raise NotImplementedError(f"softmax 只用于浮点张量，收到 {x.dtype}；先写 x.float()")
    if x.array.size == 0:
        return x.clone()
    if x.ndim == 0:
        return _softmax(forward, backward, shapes.reshape(x, (1,)), 0, None).reshape(())
    with np.errstate(invalid="ignore"):
        return apply(forward, backward, x, axis=axis)


# 排序


def sort(
    input: Tensor, dim: int = -1, descending: bool = False, *, stable: bool = False
) -> ValuesIndices:
    """沿 dim 排序，返回 (values, indices)；总是稳定的。

    书中：sec-bp-pool
    """
    order = argsort(input, dim, descending, stable=stable)
    return ValuesIndices(indexing.gather(input, dim, order), order)


def argsort(
    input: Tensor, dim: int = -1, descending: bool = False, *, stable: bool = False
) -> Tensor:
    """沿 dim 排序所用的位置（int64）；总是稳定的。

    书中：sec-bp-pool
    """
    axis = check_dim(tensor_only(input).ndim, dim)
    x = input.array
    if x.ndim == 0:
        return Tensor(np.zeros((), np.int64))
    if not descending:
        return Tensor(np.argsort(x, axis=axis, kind="stable"))
    # 倒着排再倒过来：从大到小，而相等的元素仍按原来的先后。
    order = np.flip(np.argsort(np.flip(x, axis), axis=axis, kind="stable"), axis)
    return Tensor(x.shape[axis] - 1 - order)


def topk(
    input: Tensor, k: int, dim: int = -1, largest: bool = True, sorted: bool = True
) -> ValuesIndices:
    """沿 dim 最大（largest=False 则最小）的 k 个，返回 (values, indices)；总是排好序的。

    书中：sec-bp-pool
    """
    axis = check_dim(tensor_only(input).ndim, dim)
    n = input.shape[axis] if input.ndim else 1
    if not 0 <= k <= n:
        raise RuntimeError(f"topk 的 k 应在 0 到 {n} 之间，收到 {k}")
    order = argsort(input, axis, largest)
    if input.ndim:
        order = Tensor(np.take(order.array, range(k), axis))
    return ValuesIndices(indexing.gather(input, axis, order), order)
