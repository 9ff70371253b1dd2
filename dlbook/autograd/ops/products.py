"""矩阵乘法一族。

书中：sec-bp-linear
"""

import numpy as np

from dlbook.autograd.ops import shapes
from dlbook.autograd.ops._common import tensor_only
from dlbook.autograd.ops.elementwise import mul
from dlbook.autograd.tensor import Tensor, apply
from dlbook.backprop import products as pairs


def matmul(input: Tensor, other: Tensor) -> Tensor:
    """a @ b：最后两轴做矩阵乘法，前面的轴是批，可广播；一维的当作行（左）或列（右）。

    书中：sec-bp-batch
    """
    a, b = tensor_only(input), tensor_only(other, "other")
    _same_dtype(a, b, "matmul")
    if a.ndim == 0 or b.ndim == 0:
        raise RuntimeError(f"matmul 的两边都至少一维，收到 {a.shape} 与 {b.shape}")
    if a.shape[-1] != b.shape[-2 if b.ndim > 1 else 0]:
        raise RuntimeError(f"matmul 左边的列数应等于右边的行数，收到 {a.shape} 与 {b.shape}")
    try:
        return apply(pairs.matmul, pairs.matmul_backward, a, b)
    except ValueError:
        raise RuntimeError(f"matmul 的批对不上：{a.shape} 与 {b.shape}") from None


def mm(input: Tensor, mat2: Tensor) -> Tensor:
    """两个矩阵相乘，(n, m) 乘 (m, p)。

    书中：sec-bp-linear
    """
    _ranks(input, mat2, (2, 2), "mm")
    return matmul(input, mat2)


def bmm(input: Tensor, mat2: Tensor) -> Tensor:
    """一批矩阵相乘，(b, n, m) 乘 (b, m, p)；批数须相等。

    书中：sec-bp-attention
    """
    _ranks(input, mat2, (3, 3), "bmm")
    if input.shape[0] != mat2.shape[0]:
        raise RuntimeError(f"bmm 的批数应相等，收到 {input.shape} 与 {mat2.shape}")
    return matmul(input, mat2)


def mv(input: Tensor, vec: Tensor) -> Tensor:
    """矩阵乘向量，(n, m) 乘 (m,)。

    书中：sec-bp-linear
    """
    _ranks(input, vec, (2, 1), "mv")
    return matmul(input, vec)


def dot(input: Tensor, tensor: Tensor) -> Tensor:
    """两个向量的内积。

    书中：sec-bp-linear
    """
    _ranks(input, tensor, (1, 1), "dot")
    return matmul(input, tensor)


def outer(input: Tensor, vec2: Tensor) -> Tensor:
    """两个向量的外积，(n,) 与 (m,) 得 (n, m)。

    书中：sec-bp-linear
    """
    _ranks(input, vec2, (1, 1), "outer")
    return mul(shapes.unsqueeze(input, 1), vec2)


def einsum(equation: str, *operands: Tensor) -> Tensor:
    """爱因斯坦求和；同一操作数里重复的下标不支持。

    书中：sec-bp-batch
    """
    tensors = operands[0] if len(operands) == 1 and isinstance(operands[0], list) else operands
    for x in tensors:
        _same_dtype(tensor_only(tensors[0]), tensor_only(x), "einsum")

    def forward(*arrays: np.ndarray) -> tuple:
        return pairs.einsum(equation, list(arrays))

    def backward(dy: np.ndarray, cache: tuple, need: tuple | None = None) -> object:
        grads = pairs.einsum_backward(dy, cache, need)
        return grads[0] if need is None else grads

    forward.__name__ = "einsum"
    try:
        return apply(forward, backward, *tensors)
    except ValueError as error:
        shapes_found = "、".join(str(x.shape) for x in tensors)
        raise RuntimeError(f"einsum {equation!r} 用不到形状 {shapes_found} 上：{error}") from None


def _ranks(a: Tensor, b: Tensor, ndims: tuple[int, int], name: str) -> None:
    if (tensor_only(a).ndim, tensor_only(b, "第二个参数").ndim) != ndims:
        raise RuntimeError(
            f"{name} 要求 {ndims[0]} 维与 {ndims[1]} 维的张量，收到 {a.shape} 与 {b.shape}"
        )


def _same_dtype(a: Tensor, b: Tensor, name: str) -> None:
    if a.dtype != b.dtype:
        raise RuntimeError(f"{name} 两边的 dtype 应相同，收到 {a.dtype} 与 {b.dtype}")
