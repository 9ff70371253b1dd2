"""改变形状的运算；PyTorch 里返回视图的，这里也返回视图（与原张量共用内存）。

书中：sec-bp-engine
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dlbook.autograd.dtypes import promote
from dlbook.autograd.ops import indexing
from dlbook.autograd.ops._common import axes, cast, check_dim, sizes, tensor_only
from dlbook.autograd.tensor import Tensor, apply, owner, share_memory
from dlbook.backprop import shapes as pairs
from dlbook.backprop._check import InputError


def _view(forward: Callable, backward: Callable, x: Tensor, **options: Any) -> Tensor:
    return share_memory(apply(forward, backward, tensor_only(x), **options), x)


def size(input: Tensor, dim: int | None = None) -> tuple[int, ...] | int:
    """形状；给 dim 则是那一轴的长度。

    书中：sec-bp-engine
    """
    if dim is None:
        return input.shape
    if input.ndim == 0:
        raise IndexError(f"零维张量没有 dim {dim}")
    return input.shape[check_dim(input.ndim, dim)]


def dim(input: Tensor) -> int:
    """维数。

    书中：sec-bp-engine
    """
    return input.ndim


def numel(input: Tensor) -> int:
    """元素个数。

    书中：sec-bp-engine
    """
    return tensor_only(input).array.size


def element_size(input: Tensor) -> int:
    """一个元素占几个字节。

    书中：sec-bp-engine
    """
    return input.array.itemsize


def _complete(x: Tensor, shape: tuple[int, ...]) -> tuple[int, ...]:
    """把形状里的 −1 换成推出来的长度；个数对不上抛出 RuntimeError。"""
    n, known = x.array.size, math.prod(s for s in shape if s != -1)
    unknown = shape.count(-1)
    if any(s < -1 for s in shape) or unknown > 1:
        raise RuntimeError(f"形状里至多有一个 −1，别的不能为负，收到 {shape}")
    if unknown and known == 0 and n == 0:
        raise RuntimeError(f"没有元素，形状 {shape} 里的 −1 推不出来")
    if (n % known if unknown and known else n - known) or (unknown and not known):
        raise RuntimeError(f"形状 {x.shape} 有 {n} 个元素，排不成 {shape}")
    return tuple(n // known if s == -1 else s for s in shape) if unknown else shape


def reshape(input: Tensor, shape: Sequence[int]) -> Tensor:
    """按行的顺序重新排成 shape，可有一个 −1；能不复制就不复制。

    书中：sec-bp-engine
    """
    shape = _complete(tensor_only(input), sizes((shape,)))
    return _view(pairs.reshape, pairs.reshape_backward, input, shape=shape)


def reshape_method(self: Tensor, *shape: int | Sequence[int]) -> Tensor:
    """按行的顺序重新排成 shape，可有一个 −1；能不复制就不复制。

    书中：sec-bp-engine
    """
    return reshape(self, sizes(shape))


def view(self: Tensor, *shape: int | Sequence[int]) -> Tensor:
    """同 reshape，但必须与原张量共用内存；做不到抛出 RuntimeError。

    卷积、池化的输出在内存里通道在最后（sec-bp-speed），那是引擎自己的事：它们放行，需要时复制。

    书中：sec-bp-engine
    """
    out = reshape(self, sizes(shape))
    if out.array.size and owner(out.array) is not owner(self.array) and not _channels_last(self):
        raise RuntimeError(
            f"形状 {self.shape} 的张量在内存里不连续，不能 view 成 {out.shape}；请用 reshape"
        )
    return out


def _channels_last(x: Tensor) -> bool:
    return x.ndim == 4 and x.array.transpose(0, 2, 3, 1).flags.c_contiguous


def view_as(self: Tensor, other: Tensor) -> Tensor:
    """view 成 other 的形状。

    书中：sec-bp-engine
    """
    return view(self, other.shape)


def flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """把第 start_dim 到 end_dim 轴（含）合成一轴。

    书中：sec-bp-conv
    """
    start = check_dim(tensor_only(input).ndim, start_dim)
    end = check_dim(input.ndim, end_dim)
    if start > end:
        raise RuntimeError(f"flatten 的 start_dim {start_dim} 应不大于 end_dim {end_dim}")
    shape = input.shape
    merged = math.prod(shape[start : end + 1])
    return reshape(input, (*shape[:start], merged, *shape[end + 1 :]))


def unflatten(input: Tensor, dim: int, sizes: Sequence[int]) -> Tensor:
    """flatten 的反面：把第 dim 轴拆成 sizes。

    书中：sec-bp-attention
    """
    axis = check_dim(tensor_only(input).ndim, dim)
    part = Tensor(np.empty(input.shape[axis], np.bool_))
    sizes = _complete(part, tuple(sizes))
    return reshape(input, (*input.shape[:axis], *sizes, *input.shape[axis + 1 :]))


def squeeze(input: Tensor, dim: int | Sequence[int] | None = None) -> Tensor:
    """去掉长度为 1 的轴；给 dim 就只看那些轴。

    书中：sec-bp-engine
    """
    chosen = axes(tensor_only(input).ndim, dim)
    if chosen is None:
        chosen = range(input.ndim)
    shape = tuple(n for i, n in enumerate(input.shape) if n != 1 or i not in chosen)
    return reshape(input, shape)


def unsqueeze(input: Tensor, dim: int) -> Tensor:
    """在 dim 处插进一个长度为 1 的轴。

    书中：sec-bp-engine
    """
    axis = check_dim(tensor_only(input).ndim + 1, dim)
    return reshape(input, (*input.shape[:axis], 1, *input.shape[axis:]))


def permute(input: Tensor, dims: Sequence[int]) -> Tensor:
    """重排各轴。

    书中：sec-bp-attention
    """
    x = tensor_only(input)
    order = tuple(check_dim(x.ndim, d) for d in dims)
    if sorted(order) != list(range(x.ndim)):
        raise RuntimeError(f"permute 的 dims 应是 {x.ndim} 个轴的一种排列，收到 {tuple(dims)}")
    return _view(pairs.permute, pairs.permute_backward, x, dims=order)


def permute_method(self: Tensor, *dims: int | Sequence[int]) -> Tensor:
    """重排各轴。

    书中：sec-bp-attention
    """
    return permute(self, sizes(dims))


def transpose(input: Tensor, dim0: int, dim1: int) -> Tensor:
    """对调两轴。

    书中：sec-bp-linear
    """
    n = tensor_only(input).ndim
    a, b = check_dim(n, dim0), check_dim(n, dim1)
    order = list(range(n))
    if n:
        order[a], order[b] = order[b], order[a]
    return _view(pairs.permute, pairs.permute_backward, input, dims=tuple(order))


def t(input: Tensor) -> Tensor:
    """至多二维的张量转置。

    书中：sec-bp-linear
    """
    if tensor_only(input).ndim > 2:
        raise RuntimeError(f"t() 只用于至多二维的张量，收到形状 {input.shape}")
    return transpose(input, 0, input.ndim - 1) if input.ndim else input


T = property(t, doc="二维张量的转置。\n\n书中：sec-bp-linear\n")


def _matrix_transpose(self: Tensor) -> Tensor:
    if self.ndim < 2:
        raise RuntimeError(f"mT 要求至少二维，收到形状 {self.shape}")
    return transpose(self, -2, -1)


mT = property(_matrix_transpose, doc="最后两轴的转置。\n\n书中：sec-bp-attention\n")


def movedim(input: Tensor, source: int | Sequence[int], destination: int | Sequence[int]) -> Tensor:
    """把第 source 轴移到 destination 处，其余保持次序。

    书中：sec-bp-conv
    """
    n = tensor_only(input).ndim
    sources = [check_dim(n, d) for d in (source if isinstance(source, Sequence) else [source])]
    targets = [
        check_dim(n, d)
        for d in (destination if isinstance(destination, Sequence) else [destination])
    ]
    if len(set(sources)) != len(sources) or len(set(targets)) != len(sources):
        raise RuntimeError(f"movedim 的轴应一一对应、不重复，收到 {source} 与 {destination}")
    order = [d for d in range(n) if d not in sources]
    for target, origin in sorted(zip(targets, sources, strict=True)):
        order.insert(target, origin)
    return permute(input, order)


def broadcast_to(input: Tensor, size: Sequence[int]) -> Tensor:
    """按广播规则扩成 size；不复制。

    书中：sec-bp-engine
    """
    return expand(input, *sizes((size,)))


def expand(self: Tensor, *size: int | Sequence[int]) -> Tensor:
    """把长度为 1 的轴扩长；−1 表示不变。不复制。

    书中：sec-bp-engine
    """
    size = sizes(size)
    extra = len(size) - tensor_only(self).ndim
    if extra < 0:
        raise RuntimeError(f"expand 的维数不能比原来少：{self.shape} → {size}")
    old = (1,) * extra + self.shape
    new = []
    for i, (n, s) in enumerate(zip(old, size, strict=True)):
        if s == -1 and i < extra:
            raise RuntimeError(f"新添的轴不能写 −1：{self.shape} → {size}")
        if s not in (-1, n) and n != 1:
            raise RuntimeError(f"只有长度为 1 的轴能扩长：{self.shape} → {size}")
        new.append(n if s == -1 else s)
    return _view(pairs.broadcast_to, pairs.broadcast_to_backward, self, shape=tuple(new))


def expand_as(self: Tensor, other: Tensor) -> Tensor:
    """扩成 other 的形状。

    书中：sec-bp-engine
    """
    return expand(self, other.shape)


def repeat(self: Tensor, *repeats: int | Sequence[int]) -> Tensor:
    """各轴重复若干次（复制）。

    书中：sec-bp-engine
    """
    repeats = sizes(repeats)
    if len(repeats) < self.ndim:
        raise RuntimeError(f"repeat 的次数应不少于 {self.ndim} 个，收到 {repeats}")
    old = (1,) * (len(repeats) - self.ndim) + self.shape
    paired = reshape(self, [n for s in old for n in (1, s)])
    wide = expand(paired, [n for r, s in zip(repeats, old, strict=True) for n in (r, s)])
    return reshape(wide, [r * s for r, s in zip(repeats, old, strict=True)])


def repeat_interleave(input: Tensor, repeats: int | Tensor, dim: int | None = None) -> Tensor:
    """每个元素（给 dim 则沿那一轴的每一片）连着重复 repeats 次。

    书中：sec-bp-attention
    """
    if dim is None:
        input, dim = flatten(input), 0
    axis = check_dim(input.ndim, dim)
    times = repeats.array if isinstance(repeats, Tensor) else repeats
    index = np.repeat(np.arange(input.shape[axis]), times)
    return indexing.index_select(input, axis, Tensor(index))


def contiguous(self: Tensor) -> Tensor:
    """在内存里按行连续的张量；本来就是则返回自己。

    书中：sec-bp-engine
    """
    if self.array.flags.c_contiguous:
        return self
    return apply(_contiguous, pairs.reshape_backward, self)


def _contiguous(input: np.ndarray) -> tuple[np.ndarray, tuple[int, ...]]:
    return np.ascontiguousarray(input), input.shape


def flip(input: Tensor, dims: int | Sequence[int]) -> Tensor:
    """沿 dims 各轴倒序（复制）。

    书中：sec-bp-conv
    """
    dims = axes(tensor_only(input).ndim, dims) or ()
    return apply(pairs.flip, pairs.flip_backward, input, dims=dims)


def roll(
    input: Tensor, shifts: int | Sequence[int], dims: int | Sequence[int] | None = None
) -> Tensor:
    """沿 dims 循环移位；不给 dims 时先拉平。

    书中：sec-bp-conv
    """
    shifts = (shifts,) if isinstance(shifts, int) else tuple(shifts)
    if dims is not None:
        dims = (dims,) if isinstance(dims, int) else tuple(dims)
        dims = tuple(check_dim(tensor_only(input).ndim, d) for d in dims)
    if len(shifts) != (1 if dims is None else len(dims)):
        raise RuntimeError(f"shifts 与 dims 应一样多，收到 {shifts} 与 {dims}")
    return apply(pairs.roll, pairs.roll_backward, input, shifts=shifts, dims=dims)


# 拼与拆


def _joined(tensors: Sequence[Tensor], name: str) -> list[Tensor]:
    if isinstance(tensors, Tensor):
        raise TypeError(f"{name} 要张量的列表，收到一个张量；是不是忘了方括号")
    tensors = [tensor_only(x, f"{name} 的每一项") for x in tensors]
    if not tensors:
        raise InputError(f"{name} 至少要有一个张量")
    dtype = tensors[0].dtype
    for x in tensors[1:]:
        dtype = promote(dtype, x.dtype)
    return [cast(x, dtype) for x in tensors]


def _variadic(forward: Callable, backward: Callable, axis: int) -> tuple[Callable, Callable]:
    """cat、stack 的一对函数收一个列表；apply 把张量一个一个给，这里重新收成列表。"""

    def run(*arrays: np.ndarray) -> tuple:
        return forward(arrays, axis)

    def back(dy: np.ndarray, cache: Any, need: Any = None) -> Any:
        grads = backward(dy, cache)
        return grads[0] if need is None else grads

    run.__name__ = forward.__name__
    return run, back


def cat(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """沿已有的一轴首尾相接。

    书中：sec-bp-attention
    """
    tensors = _joined(tensors, "cat")
    first = tensors[0]
    if first.ndim == 0:
        raise RuntimeError("零维张量不能 cat；请用 stack")
    axis = check_dim(first.ndim, dim)
    for x in tensors[1:]:
        same = x.ndim == first.ndim and all(
            i == axis or n == m for i, (n, m) in enumerate(zip(x.shape, first.shape, strict=True))
        )
        if not same:
            raise RuntimeError(
                f"cat 的张量除第 {axis} 轴外形状应相同，收到 {first.shape} 与 {x.shape}"
            )
    return apply(*_variadic(pairs.cat, pairs.cat_backward, axis), *tensors)


def stack(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """沿新的一轴叠起来；形状须相同。

    书中：sec-bp-attention
    """
    tensors = _joined(tensors, "stack")
    axis = check_dim(tensors[0].ndim + 1, dim)
    for x in tensors[1:]:
        if x.shape != tensors[0].shape:
            raise RuntimeError(f"stack 的张量应同形状，收到 {tensors[0].shape} 与 {x.shape}")
    return apply(*_variadic(pairs.stack, pairs.stack_backward, axis), *tensors)


def split(
    tensor: Tensor, split_size_or_sections: int | Sequence[int], dim: int = 0
) -> tuple[Tensor, ...]:
    """沿 dim 切开：给整数则每段那么长（末段可短），给列表则照它的各段长度。视图。

    书中：sec-bp-attention
    """
    axis = check_dim(tensor_only(tensor).ndim, dim)
    n = tensor.shape[axis]
    sections = split_size_or_sections
    if isinstance(sections, int):
        if sections < 0 or (sections == 0 and n):
            raise RuntimeError(f"每段的长度应为正数，收到 {sections}")
        step = max(sections, 1)
        starts = range(0, max(n, 1), step)
        sections = [min(step, n - s) for s in starts]
    if sum(sections) != n or any(s < 0 for s in sections):
        raise RuntimeError(f"各段长度之和应等于第 {axis} 轴的长度 {n}，收到 {list(sections)}")
    ends = np.cumsum(sections).tolist()
    return tuple(
        tensor[(slice(None),) * axis + (slice(end - s, end),)]
        for s, end in zip(sections, ends, strict=True)
    )


def chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """沿 dim 切成至多 chunks 段，每段一样长（末段可短）。视图。

    书中：sec-bp-attention
    """
    if chunks < 1:
        raise RuntimeError(f"chunks 应为正数，收到 {chunks}")
    n = input.shape[check_dim(tensor_only(input).ndim, dim)]
    if n == 0:
        return split(input, [0] * chunks, dim)
    return split(input, -(-n // chunks), dim)


def unbind(input: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """沿 dim 拆成一片一片，那一轴去掉。视图。

    书中：sec-bp-attention
    """
    axis = check_dim(tensor_only(input).ndim, dim)
    if input.ndim == 0:
        raise IndexError("零维张量不能 unbind")
    before = (slice(None),) * axis
    return tuple(input[(*before, i)] for i in range(input.shape[axis]))
