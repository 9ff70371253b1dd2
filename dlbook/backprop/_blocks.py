"""分块算：一块 3 万来个元素，中间结果都留在二级缓存里，不必一趟趟经过内存。

一个式子若有十步，照数组写就要把整块内存读写十遍；切成小块、每块走完十步再换下一块，内存只经过一遍。

书中：sec-bp-speed
"""

from collections.abc import Iterable

import numpy as np

BLOCK = 1 << 15


def in_blocks(*arrays: np.ndarray) -> Iterable[tuple[np.ndarray, ...]]:
    """把同形状的各数组切成对齐的小块（都是视图），供逐元素的式子一块一块地算。

    小的、在内存里排法不同的，整个给出，算起来一样对。
    """
    first = arrays[0]
    if first.size <= 2 * BLOCK:
        return [arrays]
    flat = [_in_memory_order(a) for a in arrays]
    if any(a.strides != first.strides for a in arrays) or not flat[0].flags.c_contiguous:
        return [arrays]
    flat = [a.reshape(-1) for a in flat]
    return (
        tuple([a[start : start + BLOCK] for a in flat]) for start in range(0, first.size, BLOCK)
    )


def _in_memory_order(a: np.ndarray) -> np.ndarray:
    """按内存里的次序重排各轴：卷积的输出通道在最后，换过轴序，内存却是连续的。"""
    return a if a.flags.c_contiguous else a.transpose(np.argsort(a.strides)[::-1])
