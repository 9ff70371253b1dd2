"""按下标取：切片、收集、遮盖。

书中：sec-bp-embedding
"""

from collections.abc import Sequence
from numbers import Number
from typing import Any

import numpy as np

from dlbook.autograd.ops._common import cast, check_dim, tensor_only
from dlbook.autograd.tensor import Partial, Tensor, apply, share_memory
from dlbook.backprop import indexing as pairs
from dlbook.backprop import shapes as shape_pairs


def getitem(self: Tensor, index: Any) -> Tensor:
    """x[index]：整数、切片、None、省略号、整数张量（或列表）、布尔张量。切片是视图。

    步长为负的切片不支持（与 PyTorch 相同），请用 flip。

    书中：sec-bp-embedding
    """
    out = self
    try:
        for key in normalise_index(index):
            out = share_memory(apply(pairs.getitem, _getitem_backward, out, index=key), out)
    except IndexError as error:
        raise IndexError(f"下标 {index} 用不到形状 {self.shape} 上：{error}") from None
    return out


def _getitem_backward(dy: np.ndarray, cache: tuple) -> Partial:
    shape, dtype, _ = cache

    def add_to(out: np.ndarray) -> None:
        pairs.getitem_backward(dy, cache, out=out)

    return Partial(shape, dtype, add_to)


def normalise_index(index: Any) -> list[tuple]:
    """把下标变成 NumPy 的，分成依次去取的一步或两步。

    张量换成数组，列表当作整数张量；总带省略号，好让结果总是数组。整数与数组混用时分两步：先取整数，
    再用数组。NumPy 会把整数也当作数组，``x[0, :, i]`` 的轴序就与 PyTorch 不同了。

    书中：sec-bp-embedding
    """
    parts = [_index_part(p) for p in (index if isinstance(index, tuple) else [index])]
    if not any(isinstance(p, np.ndarray | bool) for p in parts):
        return [tuple(parts) if any(p is Ellipsis for p in parts) else (*parts, Ellipsis)]
    if not any(_is_integer(p) for p in parts):
        return [tuple(parts)]
    integers: list[Any] = []
    for p in parts:
        if isinstance(p, np.ndarray):  # 布尔数组有几维就占几轴
            integers += [slice(None)] * (p.ndim if p.dtype.kind == "b" else 1)
        elif p is not None and not isinstance(p, bool):
            integers.append(p if _is_integer(p) or p is Ellipsis else slice(None))
    if not any(p is Ellipsis for p in integers):
        integers.append(Ellipsis)
    return [tuple(integers), tuple(p for p in parts if not _is_integer(p))]


def _is_integer(part: Any) -> bool:
    return isinstance(part, int | np.integer) and not isinstance(part, bool)


def _index_part(part: Any) -> Any:
    if isinstance(part, Tensor):
        part = part.array
    elif isinstance(part, Sequence) and not isinstance(part, str):
        part = np.asarray(part, np.int64 if len(part) == 0 else None)
    if isinstance(part, np.ndarray):
        if part.dtype == np.uint8:
            raise NotImplementedError("uint8 的下标含糊：掩码请写 .bool()，编号请写 .long()")
        if part.dtype.kind not in "iub":
            raise IndexError(f"下标应是整数或布尔张量，收到 {part.dtype}")
        return int(part) if part.ndim == 0 and part.dtype.kind != "b" else part
    if isinstance(part, slice):
        part = slice(*(None if s is None else s.__index__() for s in _bounds(part)))
        if part.step is not None and part.step < 1:
            raise ValueError("切片的步长应为正数；倒序请用 flip")
    elif not (part is None or part is Ellipsis or isinstance(part, int | np.integer)):
        error = IndexError if isinstance(part, float) else TypeError  # 与 PyTorch 相同
        raise error(f"下标不支持 {type(part).__name__}")
    return part


def _bounds(s: slice) -> tuple:
    return s.start, s.stop, s.step


def gather(input: Tensor, dim: int, index: Tensor) -> Tensor:
    """沿 dim 按 index（int64，与 input 维数相同）收集；越界抛出 RuntimeError。

    书中：sec-bp-embedding
    """
    axis = check_dim(tensor_only(input).ndim, dim)
    positions = _positions(input, axis, index, "gather")
    if input.ndim == 0:
        return input[()].clone() if index.ndim == 0 else input.reshape(1)[index]
    return apply(pairs.gather, pairs.gather_backward, input, axis=axis, index=positions)


def _positions(x: Tensor, axis: int, index: Tensor, name: str) -> np.ndarray:
    if tensor_only(index, "index").dtype.kind not in "iu":
        raise RuntimeError(f"{name} 的 index 应是整数张量，收到 {index.dtype}")
    if max(index.ndim, 1) != max(x.ndim, 1):
        raise RuntimeError(f"{name} 的 index 应与 input 维数相同，收到 {index.shape} 与 {x.shape}")
    for i, (n, m) in enumerate(zip(index.shape, x.shape, strict=False)):
        if i != axis and n > m and index.array.size:
            raise RuntimeError(
                f"{name} 的 index 除第 {axis} 轴外不能比 input 长，收到 {index.shape} 与 {x.shape}"
            )
    n = x.shape[axis] if x.ndim else 1
    a = index.array
    if a.size and not 0 <= a.min() <= a.max() < n:
        raise RuntimeError(f"{name} 的 index 应在 0 到 {n - 1} 之间，收到 {a.min()} 到 {a.max()}")
    return a


def scatter_add(input: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor:
    """gather 的反面：从 input 的副本开始，把 src 的元素加到 index 指的位置。

    书中：sec-bp-embedding
    """
    axis = check_dim(tensor_only(input).ndim, dim)
    positions = _positions(input, axis, index, "scatter_add")
    if tensor_only(src, "src").dtype != input.dtype:
        raise RuntimeError(f"src 应与 input 同为 {input.dtype}，收到 {src.dtype}")
    if any(n > m for n, m in zip(index.shape, src.shape, strict=True)):
        raise RuntimeError(f"index 不能比 src 长，收到 {index.shape} 与 {src.shape}")

    def forward(input: np.ndarray, src: np.ndarray) -> tuple:
        return pairs.scatter_add(input, axis, positions, src)

    forward.__name__ = "scatter_add"
    return apply(forward, pairs.scatter_add_backward, input, src)


def index_select(input: Tensor, dim: int, index: Tensor) -> Tensor:
    """沿 dim 取出编号为 index (n,) 的各片。

    书中：sec-bp-embedding
    """
    axis = check_dim(tensor_only(input).ndim, dim)
    a = tensor_only(index, "index").array
    if a.dtype.kind not in "iu" or a.ndim > 1:
        raise IndexError(f"index_select 的 index 应是一维整数张量，收到 {a.dtype}、形状 {a.shape}")
    n = input.shape[axis] if input.ndim else 1
    if a.size and not 0 <= a.min() <= a.max() < n:
        raise IndexError(f"index 应在 0 到 {n - 1} 之间，收到 {a.min()} 到 {a.max()}")
    if input.ndim == 0:
        return input.clone()
    return apply(
        pairs.index_select, pairs.index_select_backward, input, axis=axis, index=a.reshape(-1)
    )


def masked_fill(input: Tensor, mask: Tensor, value: Tensor | Number) -> Tensor:
    """mask（布尔，可广播）为真处换成 value。

    书中：sec-bp-attention
    """
    if tensor_only(mask, "mask").dtype.kind != "b":
        raise RuntimeError(f"masked_fill 的 mask 应是布尔张量，收到 {mask.dtype}")
    if isinstance(value, Tensor):
        if value.requires_grad:
            raise NotImplementedError("masked_fill 的 value 不能求导；请用 where")
        value = value.item()
    check_fits_dtype(value, input.dtype)
    return apply(
        pairs.masked_fill,
        pairs.masked_fill_backward,
        tensor_only(input),
        mask=mask.array,
        value=value,
    )


def check_fits_dtype(value: Number, dtype: np.dtype) -> None:
    """inf、nan 放不进整数张量，抛出 RuntimeError。

    书中：sec-bp-attention
    """
    if dtype.kind != "f" and not np.isfinite(value):
        raise RuntimeError(f"{value} 放不进 {dtype} 的张量里；先写 x.float()")


def masked_select(input: Tensor, mask: Tensor) -> Tensor:
    """mask 为真处的元素，排成一维。

    书中：sec-bp-embedding
    """
    if tensor_only(mask, "mask").dtype.kind != "b":
        raise RuntimeError(f"masked_select 的 mask 应是布尔张量，收到 {mask.dtype}")
    shape = np.broadcast_shapes(tensor_only(input).shape, mask.shape)
    wide = apply(shape_pairs.broadcast_to, shape_pairs.broadcast_to_backward, input, shape=shape)
    return wide[Tensor(np.broadcast_to(mask.array, shape))]


def nonzero(input: Tensor, *, as_tuple: bool = False) -> Tensor | tuple[Tensor, ...]:
    """非零元素的位置：形状 (个数, 维数) 的 int64；as_tuple 为真时每维一个。

    书中：sec-bp-embedding
    """
    found = np.nonzero(np.atleast_1d(tensor_only(input).array))
    if as_tuple:
        return tuple(Tensor(i) for i in found)
    return Tensor(np.stack(found, 1)[:, : input.ndim])


def tril(input: Tensor, diagonal: int = 0) -> Tensor:
    """最后两轴的下三角，其余为 0。

    书中：sec-bp-attention
    """
    _check_matrix(input, "tril")
    return apply(pairs.tril, pairs.tril_backward, input, diagonal=diagonal)


def triu(input: Tensor, diagonal: int = 0) -> Tensor:
    """最后两轴的上三角，其余为 0。

    书中：sec-bp-attention
    """
    _check_matrix(input, "triu")
    return apply(pairs.triu, pairs.triu_backward, input, diagonal=diagonal)


def _check_matrix(x: Tensor, name: str) -> None:
    if tensor_only(x).ndim < 2:
        raise RuntimeError(f"{name} 要求至少二维，收到形状 {x.shape}")


def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """独热编码，int64；num_classes 为 −1 时取最大编号加一。

    书中：eq-one-hot
    """
    a = tensor_only(tensor).array
    if a.dtype != np.int64:
        raise RuntimeError(f"one_hot 要求 int64 张量，收到 {a.dtype}")
    if num_classes == -1:
        if a.size == 0:
            raise RuntimeError("没有元素时推不出类别数，请给 num_classes")
        num_classes = int(a.max()) + 1
    if a.size and not 0 <= a.min() <= a.max() < num_classes:
        raise RuntimeError(
            f"one_hot 的编号应在 0 到 {num_classes - 1} 之间，收到 {a.min()} 到 {a.max()}"
        )
    return cast(Tensor(np.eye(num_classes, dtype=np.int64)[a]), np.dtype(np.int64))
