"""逐元素的公式分块算：一块 3 万来个元素，中间结果都留在二级缓存里，不必一趟趟经过内存。

书中：sec-bp-speed
"""

from collections.abc import Callable

import numpy as np

BLOCK = 1 << 15


def blockwise(f: Callable[..., tuple[np.ndarray, ...]], *arrays: np.ndarray) -> tuple:
    """对同形状的各数组逐块调用逐元素的 f，把各块的结果拼起来；小的、不连续的数组一次算完。"""
    size = arrays[0].size
    if size <= BLOCK or not all(a.flags.c_contiguous for a in arrays):
        return f(*arrays)
    flat = [a.reshape(-1) for a in arrays]
    results = None
    for start in range(0, size, BLOCK):
        block = slice(start, start + BLOCK)
        parts = f(*(a[block] for a in flat))
        if results is None:
            results = tuple(np.empty(size, p.dtype) for p in parts)
        for whole, part in zip(results, parts, strict=True):
            whole[block] = part
    return tuple(r.reshape(arrays[0].shape) for r in results)
