"""对一批参数做的事，名字与 ``torch.nn.utils`` 相同。

书中：sec-bp-training
"""

import math
from collections.abc import Iterable

import numpy as np

from dlbook.autograd.ops.shapes import cat
from dlbook.autograd.tensor import Tensor, no_grad


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """全部梯度看成一个长向量，范数超过 max_norm 就整体缩小到 max_norm；返回缩小之前的范数。

    norm_type 是几范数，可以是 inf。error_if_nonfinite=True 时，范数是 nan 或 inf 就抛出
    RuntimeError。foreach 只影响 torch 的执行方式，这里不用。

    书中：sec-bp-training
    """
    grads = [p.grad for p in _as_list(parameters) if p.grad is not None]
    norms = [_norm(g.array, norm_type) for g in grads]
    total = _norm(np.array(norms), norm_type) if norms else 0.0
    if error_if_nonfinite and not math.isfinite(total):
        raise RuntimeError(f"梯度的 {norm_type:g}-范数是 {total}，无法裁剪")
    scale = max_norm / (total + 1e-6)
    if scale < 1:
        with no_grad():
            for g in grads:
                g.mul_(scale)
    return Tensor(np.asarray(total, grads[0].dtype if grads else np.float32))


def clip_grad_value_(
    parameters: Tensor | Iterable[Tensor], clip_value: float, foreach: bool | None = None
) -> None:
    """把每个梯度的每个元素限制在 [−clip_value, clip_value] 里。

    书中：sec-bp-training
    """
    for p in _as_list(parameters):
        if p.grad is not None:
            p.grad.clamp_(-clip_value, clip_value)


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """把全部参数接成一个一维张量，梯度可以传回各参数。

    书中：sec-bp-training
    """
    return cat([p.reshape(-1) for p in parameters])


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """:func:`parameters_to_vector` 的逆：把 vec 的数值依次抄回各参数。

    书中：sec-bp-training
    """
    start = 0
    with no_grad():
        for p in parameters:
            end = start + p.array.size
            p.write()[...] = vec.array[start:end].reshape(p.shape)
            start = end


def _as_list(parameters: Tensor | Iterable[Tensor]) -> list[Tensor]:
    return [parameters] if isinstance(parameters, Tensor) else list(parameters)


def _norm(array: np.ndarray, norm_type: float) -> float:
    """按 float64 累加的 p-范数；空数组为 0。"""
    if array.size == 0:
        return 0.0
    if norm_type == 2:
        flat = array.reshape(-1)
        return math.sqrt(float(np.vdot(flat, flat)))
    return float(np.linalg.norm(array.reshape(-1).astype(np.float64), norm_type))
