"""输入的检查：早一点、说清楚。形状不合抛出 ValueError，dtype 不合抛出 TypeError。"""

import numpy as np

ARRAY = np.ndarray | np.generic


class InputError(ValueError, RuntimeError):
    """形状、取值不合。NumPy 在此抛 ValueError，PyTorch 抛 RuntimeError；照哪边的习惯都接得住。"""


class DtypeError(TypeError, RuntimeError):
    """dtype 不合。照 NumPy 的习惯（TypeError）、PyTorch 的习惯（RuntimeError）都接得住。"""


def check_floating(name: str, array: np.ndarray, shape: str = "", ndim: int | None = None) -> None:
    """array 应是浮点数组；给了 ndim 时维数也要对，shape 是写给人看的形状，如 "(m, in)"。"""
    if not isinstance(array, ARRAY):
        raise DtypeError(f"{name} 应是 NumPy 数组，收到 {type(array).__name__}")
    if array.dtype.kind != "f":
        raise DtypeError(
            f"{name} 应是浮点数组，收到 {array.dtype}；先用 {name}.astype(np.float32) 转换"
        )
    if ndim is not None and array.ndim != ndim:
        raise InputError(f"{name} 的形状应是 {shape}，收到 {array.shape}")


def check_same_dtype(**arrays: np.ndarray) -> None:
    """浮点数组的 dtype 应一致：混用时 NumPy 会悄悄升成 float64，又慢又与 PyTorch 不同。"""
    if len({array.dtype for array in arrays.values()}) > 1:
        found = "，".join(f"{name} 是 {array.dtype}" for name, array in arrays.items())
        raise DtypeError(f"各数组的 dtype 应一致，收到：{found}")


def check_upstream(dy: np.ndarray, shape: tuple[int, ...], dtype: np.dtype) -> None:
    """上游梯度 dy 应与输出同形状、同 dtype。"""
    check_floating("dy", dy)
    if dy.shape != shape:
        raise InputError(f"上游梯度 dy 应与输出同形状 {shape}，收到 {dy.shape}")
    if dy.dtype != dtype:
        raise DtypeError(f"上游梯度 dy 应与输出同为 {dtype}，收到 {dy.dtype}")


def check_scalar_upstream(dy: float) -> None:
    """损失是一个数，它的上游梯度也应是一个数。"""
    if np.ndim(dy) != 0:
        raise InputError(f"损失是一个数，上游梯度 dy 也应是一个数，收到形状 {np.shape(dy)}")


def check_target(target: np.ndarray, num_classes: int, m: int | None = None) -> None:
    """target 应是形状 (m,) 的整数数组，每个值在 0 到 num_classes − 1 之间。"""
    if not isinstance(target, np.ndarray) or target.dtype.kind not in "iu":
        found = getattr(target, "dtype", type(target).__name__)
        raise DtypeError(f"target 应是整数数组（每个样本的类别编号），收到 {found}")
    if target.ndim != 1 or (m is not None and len(target) != m):
        expected = "(m,)" if m is None else f"({m},)"
        raise InputError(f"target 的形状应是 {expected}，收到 {target.shape}")
    if target.size and not 0 <= target.min() <= target.max() < num_classes:
        row = np.flatnonzero((target < 0) | (target >= num_classes))[0]
        raise InputError(
            f"target 的每个值应在 0 到 {num_classes - 1} 之间（共 {num_classes} 类），"
            f"第 {row} 个是 {target[row]}"
        )
