"""张量元素的类型，以及两种类型相遇时的升级规则（与 PyTorch 相同，与 NumPy 不同）。

书中：sec-bp-engine
"""

import builtins
from numbers import Integral, Real

import numpy as np
from numpy.typing import DTypeLike

float32 = float = np.dtype(np.float32)
float64 = double = np.dtype(np.float64)
int64 = long = np.dtype(np.int64)
int32 = int = np.dtype(np.int32)
int16 = short = np.dtype(np.int16)
int8 = np.dtype(np.int8)
uint8 = np.dtype(np.uint8)
bool = np.dtype(np.bool_)

DEFAULT = float32
SUPPORTED = frozenset({float32, float64, int64, int32, int16, int8, uint8, bool})
# 由低到高：布尔、整数、浮点。
CATEGORY = {"b": 0, "i": 1, "u": 1, "f": 2}


def as_dtype(dtype: DTypeLike) -> np.dtype:
    """把 dtype 的各种写法变成 np.dtype；不支持的抛出 TypeError。

    书中：sec-bp-engine
    """
    found = np.dtype(dtype)  # Python 的 float 指 float64，int 指 int64，与 PyTorch 相同
    if found not in SUPPORTED:
        raise TypeError(f"不支持的 dtype：{found}；可用 float32、float64、int64、bool 等")
    return found


def promote(a: np.dtype, b: np.dtype) -> np.dtype:
    """两个 dtype 的结果：类别不同取类别高的那个（int64 与 float32 得 float32）；相同才比宽窄。

    书中：sec-bp-engine
    """
    if a == b:
        return a
    if CATEGORY[a.kind] != CATEGORY[b.kind]:
        return a if CATEGORY[a.kind] > CATEGORY[b.kind] else b
    return np.promote_types(a, b)


def scalar_dtype(value: Real) -> np.dtype:
    """Python 的数参加运算时算哪一类：布尔、int64，或默认的浮点。

    书中：sec-bp-engine
    """
    if isinstance(value, builtins.bool | np.bool_):
        return bool
    return int64 if isinstance(value, Integral) else DEFAULT


def result_dtype(arrays: list[np.ndarray], scalars: list[Real]) -> np.dtype:
    """各操作数一起运算，结果的 dtype。

    有维数的张量说了算；零维张量、Python 的数只在类别更高时才抬高结果（整数张量乘 0.5 得浮点）。

    书中：sec-bp-engine
    """
    groups = [
        [a.dtype for a in arrays if a.ndim],
        [a.dtype for a in arrays if not a.ndim],
        [scalar_dtype(s) for s in scalars],
    ]
    result = None
    for group in groups:
        if not group:
            continue
        joined = group[0]
        for dtype in group[1:]:
            joined = promote(joined, dtype)
        if result is None or CATEGORY[joined.kind] > CATEGORY[result.kind]:
            result = joined
    return result
