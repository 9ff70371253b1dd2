"""torch 有而这里没有的选项：参数照样列出（次序才能相同），给了就明说不支持。"""

import numpy as np
from numpy.typing import DTypeLike

from dlbook.autograd import dtypes
from dlbook.backprop._check import InputError


def refuse(**options: object) -> None:
    """options 里有任何一个不是空的（None、False、0、""），抛出 NotImplementedError。"""
    for name, value in options.items():
        if value:
            raise NotImplementedError(f"不支持 {name}={value!r}")


def check_sizes(**sizes: int) -> None:
    """各个尺寸应是不为负的整数，否则抛出 TypeError、ValueError。"""
    for name, n in sizes.items():
        if not isinstance(n, int | np.integer) or isinstance(n, bool):
            raise TypeError(f"{name} 应是整数，收到 {n!r}")
        if n < 0:
            raise InputError(f"{name} 不能为负，收到 {n}")


def parameter_dtype(device: object, dtype: DTypeLike | None) -> np.dtype:
    """新建参数的 dtype：缺省 float32，须是浮点；device 只能是 None 或 "cpu"。"""
    if device is not None and str(device) != "cpu":
        raise NotImplementedError(f"本库只在 CPU 上运行，没有设备 {device!r}")
    dtype = dtypes.DEFAULT if dtype is None else dtypes.as_dtype(dtype)
    if dtype.kind != "f":
        raise TypeError(f"参数应是浮点类型，收到 {dtype}")
    return dtype
