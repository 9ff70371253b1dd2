"""造张量。

书中：sec-bp-engine
"""

import builtins
from collections.abc import Sequence
from functools import reduce
from numbers import Number
from typing import Any

import numpy as np

from dlbook import random
from dlbook.autograd import dtypes
from dlbook.autograd.ops._common import sizes, tensor_only
from dlbook.autograd.ops.elementwise import check_device
from dlbook.autograd.tensor import Tensor
from dlbook.backprop._check import DtypeError


def tensor(
    data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """由数、（嵌套的）列表或数组造张量，总是复制。

    不给 dtype 时：Python 的小数得 float32，整数得 int64，布尔得 bool；NumPy 数组保持原样。

    书中：sec-bp-engine
    """
    check_device(device)
    return Tensor(_as_array(data, dtype, copy=True), requires_grad)


def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """同 :func:`tensor`，但本来就是张量、数组且 dtype 相符时不复制。

    书中：sec-bp-engine
    """
    check_device(device)
    if isinstance(data, Tensor):
        return data if dtype is None else data.to(dtype=dtype)
    return _shared(_as_array(data, dtype, copy=False))


def from_numpy(ndarray: np.ndarray) -> Tensor:
    """与 NumPy 数组共用内存的张量。

    书中：sec-bp-engine
    """
    if not isinstance(ndarray, np.ndarray):
        raise TypeError(f"from_numpy 要求 NumPy 数组，收到 {type(ndarray).__name__}")
    _check_strides(ndarray)
    dtypes.as_dtype(ndarray.dtype)
    return _shared(ndarray)


def _shared(array: np.ndarray) -> Tensor:
    """内存是外面的：记下别人也看得见。"""
    out = Tensor(array)
    out._version_cell[1] = True
    return out


def _check_strides(array: np.ndarray) -> None:
    if any(step < 0 for step in array.strides):
        raise ValueError("数组的步长是负的（如 a[::-1]），PyTorch 也不接受；先写 a.copy()")


def _as_array(data: Any, dtype: Any, copy: bool) -> np.ndarray:
    if isinstance(data, Tensor):
        data = data.array
    if isinstance(data, np.ndarray | np.generic):
        wanted = dtypes.as_dtype(data.dtype if dtype is None else dtype)
        _check_strides(np.asarray(data))
        return np.array(data, wanted) if copy else np.asarray(data, wanted)
    found: set[np.dtype] = set()
    plain = _plain(data, found)
    try:
        array = np.array(plain)
    except ValueError:
        raise ValueError("各行长短不一，排不成张量") from None
    wanted = reduce(dtypes.promote, found, dtypes.bool) if found else dtypes.DEFAULT
    wanted = wanted if dtype is None else dtypes.as_dtype(dtype)
    if wanted.kind in "iu" and array.dtype.kind in "iuO" and array.size:
        limits = np.iinfo(wanted)
        low = limits.min or -limits.max  # 无符号的照 PyTorch，负数绕回去
        if array.min() < low or array.max() > limits.max:
            raise RuntimeError(f"有的数超出了 {wanted} 的范围")
    return array.astype(wanted)


class NotANumber(DtypeError, ValueError):
    """元素不是数。PyTorch 视情形抛 TypeError、ValueError、RuntimeError，照哪种都接得住。

    书中：sec-bp-engine
    """


PYTHON_NUMBERS = {builtins.bool: dtypes.bool, int: dtypes.int64, float: dtypes.DEFAULT}


def _plain(data: Any, found: set[np.dtype]) -> Any:
    """嵌套的列表，夹着的张量换成数；元素的各种 dtype 记进 found。不是数的抛出 NotANumber。"""
    kind = type(data)
    if kind in PYTHON_NUMBERS:
        found.add(PYTHON_NUMBERS[kind])
        return data
    if isinstance(data, Sequence) and not isinstance(data, str | bytes):
        return [_plain(x, found) for x in data]
    if isinstance(data, Tensor):
        if data.array.size != 1:
            raise ValueError(f"列表里的张量只能是一个数，收到形状 {data.shape}；要叠起来请用 stack")
        data = data.array.reshape(())[()]
    if isinstance(data, np.ndarray | np.generic) and data.dtype in dtypes.SUPPORTED:
        found.add(data.dtype)
        return data
    raise NotANumber(f"张量的元素应是数，收到 {kind.__name__}")


def _filled(make: Any, size: tuple, dtype: Any, device: Any, requires_grad: bool) -> Tensor:
    check_device(device)
    wanted = dtypes.DEFAULT if dtype is None else dtypes.as_dtype(dtype)
    return Tensor(make(_shape(size), wanted), requires_grad)


def _shape(size: tuple) -> tuple[int, ...]:
    if not size:
        raise TypeError("请给出形状，如 zeros(2, 3)；零维张量写 zeros(())")
    shape = sizes(size)
    if any(n < 0 for n in shape):
        raise RuntimeError(f"形状里不能有负数，收到 {shape}")
    return shape


def zeros(
    *size: int | Sequence[int],
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """全 0。

    书中：sec-bp-engine
    """
    return _filled(np.zeros, size, dtype, device, requires_grad)


def ones(
    *size: int | Sequence[int],
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """全 1。

    书中：sec-bp-engine
    """
    return _filled(np.ones, size, dtype, device, requires_grad)


def empty(
    *size: int | Sequence[int],
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """未初始化，值不可预料，之后必须自己填满。

    书中：sec-bp-engine
    """
    return _filled(np.empty, size, dtype, device, requires_grad)


def full(
    size: Sequence[int],
    fill_value: Number,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """全是 fill_value；dtype 不给时随它：小数 float32，整数 int64，布尔 bool。

    书中：sec-bp-engine
    """
    check_device(device)
    fill_value = fill_value.item() if isinstance(fill_value, Tensor) else fill_value
    wanted = dtypes.scalar_dtype(fill_value) if dtype is None else dtypes.as_dtype(dtype)
    return Tensor(np.full(_shape((size,)), fill_value, wanted), requires_grad)


def _like(input: Tensor, dtype: Any) -> np.dtype:
    return tensor_only(input).dtype if dtype is None else dtypes.as_dtype(dtype)


def zeros_like(
    input: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """与 input 同形状、同 dtype 的全 0。

    书中：sec-bp-engine
    """
    return zeros(
        tensor_only(input).shape,
        dtype=_like(input, dtype),
        device=device,
        requires_grad=requires_grad,
    )


def ones_like(
    input: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """与 input 同形状、同 dtype 的全 1。

    书中：sec-bp-engine
    """
    return ones(
        tensor_only(input).shape,
        dtype=_like(input, dtype),
        device=device,
        requires_grad=requires_grad,
    )


def empty_like(
    input: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """与 input 同形状、同 dtype，未初始化。

    书中：sec-bp-engine
    """
    return empty(
        tensor_only(input).shape,
        dtype=_like(input, dtype),
        device=device,
        requires_grad=requires_grad,
    )


def full_like(
    input: Tensor,
    fill_value: Number,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """与 input 同形状、同 dtype，全是 fill_value。

    书中：sec-bp-engine
    """
    return full(
        tensor_only(input).shape,
        fill_value,
        dtype=_like(input, dtype),
        device=device,
        requires_grad=requires_grad,
    )


def eye(
    n: int,
    m: int | None = None,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """n 行 m 列（默认 m = n）的单位矩阵。

    书中：sec-bp-linear
    """
    check_device(device)
    wanted = dtypes.DEFAULT if dtype is None else dtypes.as_dtype(dtype)
    return Tensor(np.eye(n, m, dtype=wanted), requires_grad)


def arange(
    *bounds: Number, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """``arange(end)``、``arange(start, end)``、``arange(start, end, step)``：不含 end 的等差数列。

    全是整数时 dtype 为 int64，否则为 float32。

    书中：sec-bp-attention
    """
    check_device(device)
    if not 1 <= len(bounds) <= 3:
        raise TypeError(f"arange 要一到三个数，收到 {len(bounds)} 个")
    bounds = [b.item() if isinstance(b, Tensor | np.generic) else b for b in bounds]
    start, end, step = (0, *bounds, 1) if len(bounds) == 1 else (*bounds, 1)[:3]
    if step == 0 or (end - start) * step < 0:
        raise RuntimeError(f"arange 的 step 应朝着 end 走，收到 {start}、{end}、{step}")
    default = dtypes.result_dtype([], bounds)
    wanted = default if dtype is None else dtypes.as_dtype(dtype)
    return Tensor(np.arange(start, end, step).astype(wanted), requires_grad)


def linspace(
    start: Number,
    end: Number,
    steps: int,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """从 start 到 end（含）均匀的 steps 个数。

    书中：sec-bp-engine
    """
    check_device(device)
    if steps < 0:
        raise RuntimeError(f"linspace 的 steps 不能为负，收到 {steps}")
    wanted = dtypes.DEFAULT if dtype is None else dtypes.as_dtype(dtype)
    return Tensor(np.linspace(start, end, steps).astype(wanted), requires_grad)


# 随机


def rand(
    *size: int | Sequence[int],
    generator: random.Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """[0, 1) 上均匀的随机数。

    书中：sec-bp-dropout
    """
    return _filled(random.source(generator).random, size, dtype, device, requires_grad)


def randn(
    *size: int | Sequence[int],
    generator: random.Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """标准正态的随机数。

    书中：sec-bp-dropout
    """
    return _filled(random.source(generator).standard_normal, size, dtype, device, requires_grad)


def rand_like(
    input: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """与 input 同形状、同 dtype 的 [0, 1) 上均匀的随机数。

    书中：sec-bp-dropout
    """
    return rand(
        tensor_only(input).shape,
        dtype=_like(input, dtype),
        device=device,
        requires_grad=requires_grad,
    )


def randn_like(
    input: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """与 input 同形状、同 dtype 的标准正态随机数。

    书中：sec-bp-dropout
    """
    return randn(
        tensor_only(input).shape,
        dtype=_like(input, dtype),
        device=device,
        requires_grad=requires_grad,
    )


def randint(
    *bounds_and_size: Any,
    generator: random.Generator | None = None,
    dtype: Any = None,
    device: Any = None,
) -> Tensor:
    """``randint(high, size)`` 或 ``randint(low, high, size)``：[low, high) 里的随机整数，int64。

    书中：sec-bp-dropout
    """
    check_device(device)
    if len(bounds_and_size) not in (2, 3):
        raise TypeError("randint 的写法是 randint(high, size) 或 randint(low, high, size)")
    *bounds, size = bounds_and_size
    if not isinstance(size, Sequence):
        raise TypeError(f"randint 的形状应是元组，如 (3,)，收到 {size!r}")
    low, high = (0, *bounds) if len(bounds) == 1 else bounds
    if low >= high:
        raise RuntimeError(f"randint 要求 low < high，收到 {low} 与 {high}")
    wanted = dtypes.int64 if dtype is None else dtypes.as_dtype(dtype)
    drawn = random.source(generator).integers(low, high, _shape((size,)))
    return Tensor(np.asarray(drawn).astype(wanted))


def randperm(
    n: int, *, generator: random.Generator | None = None, dtype: Any = None, device: Any = None
) -> Tensor:
    """0 到 n − 1 的一个随机排列，int64。

    书中：sec-mini-batch
    """
    check_device(device)
    wanted = dtypes.int64 if dtype is None else dtypes.as_dtype(dtype)
    return Tensor(random.source(generator).permutation(n).astype(wanted))


def bernoulli(input: Tensor, *, generator: random.Generator | None = None) -> Tensor:
    """各元素以 input 里的概率为 1，否则为 0。

    书中：sec-bp-dropout
    """
    p = tensor_only(input).array
    if p.dtype.kind != "f" or not ((p >= 0) & (p <= 1)).all():
        raise RuntimeError("bernoulli 的 input 应是 0 到 1 之间的浮点概率")
    return Tensor((random.source(generator).random(p.shape) < p).astype(p.dtype))


def multinomial(
    input: Tensor,
    num_samples: int,
    replacement: bool = False,
    *,
    generator: random.Generator | None = None,
) -> Tensor:
    """按权重（不为负）抽编号：input (C,) 或 (m, C)，返回 (num_samples,) 或 (m, num_samples)。

    书中：sec-bp-softmax
    """
    weights = np.atleast_2d(tensor_only(input).array.astype(np.float64))
    if input.ndim not in (1, 2):
        raise RuntimeError(f"multinomial 的 input 应是一维或二维，收到形状 {input.shape}")
    if num_samples < 1:
        raise RuntimeError(f"num_samples 应为正数，收到 {num_samples}")
    totals = weights.sum(1, keepdims=True)
    if (weights < 0).any() or not np.isfinite(totals).all() or (totals <= 0).any():
        raise RuntimeError("multinomial 的权重应不为负、有限，且每行之和大于 0")
    if not replacement and num_samples > (weights > 0).sum(1).min():
        raise RuntimeError(f"不放回地抽 {num_samples} 个，权重不为零的类别不够")
    rng, classes = random.source(generator), np.arange(weights.shape[1])
    drawn = np.stack(
        [rng.choice(classes, num_samples, replacement, row) for row in weights / totals]
    )
    return Tensor(drawn if input.ndim == 2 else drawn[0])
