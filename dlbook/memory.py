"""让 C 库留住释放了的内存，不急着还给操作系统。

训练的每一步都申请、释放同样大小的几百个数组。glibc 默认把大块内存一释放就还给系统，下一步再要，
系统得一页一页重新清零、映射：每页约 2.4 微秒，一步几千页，占一步时间的三成上下。
抬高两个门槛之后，释放的内存留给下一步用，不论这一步是引擎、NumPy 还是 PyTorch 算的。
不靠它也正确，只是慢；不是 glibc 的系统（macOS、Windows）没有这两个旋钮，什么也不做。

书中：sec-bp-speed
"""

import ctypes

# malloc.h 里的编号：空闲内存超过多少才还给系统；多大的块才单独向系统要。
M_TRIM_THRESHOLD = -1
M_MMAP_THRESHOLD = -3
KEEP = 1 << 30


def keep_freed_memory() -> bool:
    """调高 glibc 的两个门槛；成功返回 True，没有 mallopt 的系统返回 False。

    书中：sec-bp-speed
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):
        return False
    return bool(mallopt(M_MMAP_THRESHOLD, KEEP) and mallopt(M_TRIM_THRESHOLD, KEEP))
