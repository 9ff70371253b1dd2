"""学习率的日程。torch.optim.lr_scheduler 里的都能用，这里只补两个最常用的组合。

书中：sec-training-loop
"""

import math
from collections.abc import Callable

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR


def warmup_cosine(optimizer: Optimizer, steps: int, *, warmup: int, floor: float = 0.0) -> LambdaLR:
    """先用 warmup 步由 η/warmup 线性升到 η，再沿半个余弦降到 floor·η，一共 steps 步。

    η 是 optimizer 各组参数自己的学习率。warmup 不在 0 与 steps − 1 之间时抛出 ValueError。

    书中：sec-training-loop
    """
    return _warmup_then(
        lambda progress: floor + (1 - floor) * (1 + math.cos(math.pi * progress)) / 2,
        optimizer, steps, warmup,
    )  # fmt: skip


def warmup_linear(optimizer: Optimizer, steps: int, *, warmup: int) -> LambdaLR:
    """先用 warmup 步由 η/warmup 线性升到 η，再线性降到 0，一共 steps 步。

    η 是 optimizer 各组参数自己的学习率。warmup 不在 0 与 steps − 1 之间时抛出 ValueError。

    书中：sec-lm-schedule
    """
    return _warmup_then(lambda progress: 1 - progress, optimizer, steps, warmup)


def _warmup_then(
    decay: Callable[[float], float], optimizer: Optimizer, steps: int, warmup: int
) -> LambdaLR:
    """热身之后的倍数是 decay(进度)，进度由 0 到 1。"""
    if not 0 <= warmup < steps:
        raise ValueError(f"热身的步数应在 0 与 {steps - 1} 之间，收到 {warmup}")

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        return decay(min(1.0, (step - warmup) / (steps - warmup)))

    return LambdaLR(optimizer, factor)
