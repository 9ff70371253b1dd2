"""就地修改：名字以下划线结尾，返回自己。能不能改、版本号，都由 :meth:`Tensor.write` 把关。

书中：sec-bp-engine
"""

from collections.abc import Callable
from numbers import Number
from typing import Any

import numpy as np

from dlbook import random
from dlbook.autograd.dtypes import CATEGORY, result_dtype
from dlbook.autograd.ops import elementwise
from dlbook.autograd.ops.indexing import check_fits_dtype, normalise_index
from dlbook.autograd.tensor import Tensor, is_grad_enabled


def _value(target: Tensor, value: Any) -> Any:
    """右边的数值：还在求导的张量不能写进去（那样它的梯度就断了），类别更高的 dtype 也不能。"""
    if not isinstance(value, Tensor | Number | np.generic):
        raise TypeError(f"就地运算的右边应是张量或数，收到 {type(value).__name__}")
    if isinstance(value, Tensor) and value.requires_grad and is_grad_enabled():
        raise NotImplementedError(
            "不支持把需要求导的张量就地写进别的张量；请用 cat、stack、where 拼出新的张量"
        )
    value = value.array if isinstance(value, Tensor) else value
    arrays = [target.array] + ([value] if isinstance(value, np.ndarray) else [])
    scalars = [] if isinstance(value, np.ndarray) else [value]
    found = result_dtype(arrays, scalars)
    if CATEGORY[found.kind] > CATEGORY[target.dtype.kind]:
        raise RuntimeError(f"{found} 的结果放不进 {target.dtype} 的张量里")
    return value


def _check_fits(self: Tensor, shape: tuple[int, ...]) -> None:
    """形状 shape 应能广播成自己的形状。"""
    try:
        fits = np.broadcast_shapes(self.shape, shape) == self.shape
    except ValueError:
        fits = False
    if not fits:
        raise RuntimeError(f"就地运算不能改变形状：{self.shape} 与 {shape}")


def _update(operation: Callable, ufunc: np.ufunc, self: Tensor, value: Any) -> Tensor:
    """x ← operation(x, value)；在计算图里照平常的算，不在图里就直接改数值。"""
    traced = self.grad_fn is not None or getattr(value, "requires_grad", False)
    if traced and is_grad_enabled():
        return _traced_update(operation, self, value)
    value = _value(self, value)
    _check_fits(self, np.shape(value))
    out = self.write()
    ufunc(out, value, out=out, casting="unsafe")
    return self


def _traced_update(operation: Callable, self: Tensor, value: Any) -> Tensor:
    if self.is_leaf and self.requires_grad:
        self.write()  # 叶子不能就地改，由它报错
    _value(self, Tensor(value.array) if isinstance(value, Tensor) else value)
    _check_fits(self, np.shape(getattr(value, "array", value)))
    if self.grad_fn is not None and self.grad_fn.tensor is not None:
        raise NotImplementedError("retain_grad() 过的张量不支持就地修改；请写成 x = x + y")
    self._version_cell[0] += 1  # 反向要用旧值的运算从此报错，与 PyTorch 相同
    self.become(elementwise.cast(operation(self, value), self.dtype))
    return self


def add_(self: Tensor, other: Tensor | Number, *, alpha: Number = 1) -> Tensor:
    """x ← x + alpha · other。

    书中：sec-bp-engine
    """
    return _update(elementwise.add, np.add, self, other if alpha == 1 else other * alpha)


def sub_(self: Tensor, other: Tensor | Number, *, alpha: Number = 1) -> Tensor:
    """x ← x − alpha · other。

    书中：sec-bp-engine
    """
    return _update(elementwise.sub, np.subtract, self, other if alpha == 1 else other * alpha)


def mul_(self: Tensor, other: Tensor | Number) -> Tensor:
    """x ← x ⊙ other。

    书中：sec-bp-engine
    """
    return _update(elementwise.mul, np.multiply, self, other)


def div_(self: Tensor, other: Tensor | Number) -> Tensor:
    """x ← x / other；整数张量不能就地除。

    书中：sec-bp-engine
    """
    if self.dtype.kind != "f":
        raise RuntimeError(f"{self.dtype} 的张量不能就地除：商是浮点，放不进去")
    return _update(elementwise.div, np.divide, self, other)


def pow_(self: Tensor, exponent: Tensor | Number) -> Tensor:
    """x ← xⁿ。

    书中：sec-bp-engine
    """
    return _update(elementwise.pow, np.power, self, exponent)


def neg_(self: Tensor) -> Tensor:
    """x ← −x。

    书中：sec-bp-engine
    """
    return _update(elementwise.mul, np.multiply, self, -1)


def relu_(self: Tensor) -> Tensor:
    """x ← max(x, 0)。

    书中：sec-bp-relu
    """
    np.maximum(out := self.write(), 0, out=out)
    return self


def clamp_(self: Tensor, min: Number | None = None, max: Number | None = None) -> Tensor:
    """x ← 截断到 [min, max]。

    书中：sec-bp-relu
    """
    if min is None and max is None:
        raise RuntimeError("clamp_ 的 min 与 max 至少要给一个")
    out = self.write()
    np.clip(out, min, max, out=out)
    return self


def zero_(self: Tensor) -> Tensor:
    """全部置 0。

    书中：sec-accumulate
    """
    self.write()[...] = 0
    return self


def fill_(self: Tensor, value: Tensor | Number) -> Tensor:
    """全部置为 value。

    书中：sec-bp-engine
    """
    value = value.item() if isinstance(value, Tensor) else value
    check_fits_dtype(value, self.dtype)
    self.write()[...] = value
    return self


def copy_(self: Tensor, src: Tensor, non_blocking: bool = False) -> Tensor:
    """抄下 src 的数值（可广播，dtype 随自己）。

    书中：sec-bp-engine
    """
    if isinstance(src, Tensor) and src.requires_grad and is_grad_enabled():
        raise NotImplementedError("不支持把需要求导的张量 copy_ 进别的张量")
    source = src.array if isinstance(src, Tensor) else np.asarray(src)
    _check_fits(self, source.shape)
    self.write()[...] = source
    return self


def masked_fill_(self: Tensor, mask: Tensor, value: Number) -> Tensor:
    """mask 为真处置为 value。

    书中：sec-bp-attention
    """
    if mask.dtype.kind != "b":
        raise RuntimeError(f"masked_fill_ 的 mask 应是布尔张量，收到 {mask.dtype}")
    value = value.item() if isinstance(value, Tensor) else value
    check_fits_dtype(value, self.dtype)
    self.write()[np.broadcast_to(mask.array, self.shape)] = value
    return self


def scatter_(self: Tensor, dim: int, index: Tensor, src: Tensor | Number) -> Tensor:
    """把 src 的元素写到 index 指的位置（沿 dim）。

    书中：sec-bp-embedding
    """
    from dlbook.autograd.ops.indexing import _positions
    from dlbook.backprop.indexing import along

    value = _value(self, src)
    axis = dim % max(self.ndim, 1)
    where = along(_positions(self, axis, index, "scatter_"), axis)
    used = tuple(slice(n) for n in index.shape)
    self.write()[where] = value[used] if isinstance(value, np.ndarray) else value
    return self


def normal_(
    self: Tensor, mean: float = 0, std: float = 1, *, generator: "random.Generator | None" = None
) -> Tensor:
    """填入 N(mean, std²) 的随机数。

    书中：sec-bp-engine
    """
    drawn = random.source(generator).standard_normal(self.shape, _drawn(self))
    self.write()[...] = drawn * std + mean
    return self


def uniform_(
    self: Tensor,
    from_: float = 0,
    to: float = 1,
    *,
    generator: "random.Generator | None" = None,
) -> Tensor:
    """填入 [from_, to) 上均匀的随机数。

    书中：sec-bp-engine
    """
    drawn = random.source(generator).random(self.shape, _drawn(self))
    self.write()[...] = drawn * (to - from_) + from_
    return self


def _drawn(x: Tensor) -> np.dtype:
    if x.dtype.kind != "f":
        raise RuntimeError(f"只有浮点张量能填随机的实数，这个是 {x.dtype}")
    return x.dtype


def __setitem__(self: Tensor, index: Any, value: Tensor | Number) -> None:
    """x[index] = value。

    书中：sec-bp-engine
    """
    *steps, key = normalise_index(index)
    value = _assigned(value)
    place = self.write()
    try:
        for step in steps:
            place = place[step]
        place[key] = value
    except IndexError as error:
        raise IndexError(f"下标 {index} 用不到形状 {self.shape} 上：{error}") from None
    except ValueError:
        raise RuntimeError(
            f"形状 {np.shape(value)} 的值放不进形状 {place[key].shape} 的位置"
        ) from None


def _assigned(value: Any) -> Any:
    if not isinstance(value, Tensor | Number | np.generic):
        raise TypeError(f"写进张量里的应是张量或数，收到 {type(value).__name__}")
    if isinstance(value, Tensor):
        if value.requires_grad and is_grad_enabled():
            raise NotImplementedError(
                "不支持把需要求导的张量就地写进别的张量；请用 cat、stack、where 拼出新的张量"
            )
        return value.array
    return value


# 这几个运算不常就地用：照平常的算，再抄回来


def _replace(self: Tensor, new: Tensor) -> Tensor:
    value = _value(self, new)
    _check_fits(self, new.shape)
    self.write()[...] = value
    return self


def __ifloordiv__(self: Tensor, other: Tensor | Number) -> Tensor:
    """x ← ⌊x / other⌋。

    书中：sec-bp-engine
    """
    return _replace(self, elementwise.floor_divide(self, other))


def __imod__(self: Tensor, other: Tensor | Number) -> Tensor:
    """x ← x 除以 other 的余数。

    书中：sec-bp-engine
    """
    return _replace(self, elementwise.remainder(self, other))


def __iand__(self: Tensor, other: Tensor | int) -> Tensor:
    """x ← x & other。

    书中：sec-bp-engine
    """
    return _replace(self, elementwise.bitwise_and(self, other))


def __ior__(self: Tensor, other: Tensor | int) -> Tensor:
    """x ← x | other。

    书中：sec-bp-engine
    """
    return _replace(self, elementwise.bitwise_or(self, other))


def __ixor__(self: Tensor, other: Tensor | int) -> Tensor:
    """x ← x ^ other。

    书中：sec-bp-engine
    """
    return _replace(self, elementwise.bitwise_xor(self, other))


__iadd__, __isub__, __imul__, __itruediv__, __ipow__ = add_, sub_, mul_, div_, pow_
